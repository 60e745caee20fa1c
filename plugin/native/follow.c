/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "follow.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A thread's processor is asked for at the first of so many stops: asking costs about as much as a stop. */
enum { STOPS_A_LOOK = 16 };

/* Which field after the name a processor is in `/proc/TID/stat` (proc(5): 39, of which two come before). */
enum { PROCESSOR_FIELD = 37 };

void follow_begin(struct follow *follow)
{
    follow->at = -1;
    follow->off = sched_getaffinity(0, sizeof follow->allowed, &follow->allowed) != 0 ||
                  CPU_COUNT(&follow->allowed) < 2;
}

void follow_no_more(struct follow *follow, bool chosen)
{
    if (!follow->off)
        sched_setaffinity(0, sizeof follow->allowed, &follow->allowed);
    follow->off = true;
    follow->chosen = follow->chosen || chosen;
}

/* The processor that a thread is on or was last; -1 if it is gone. */
static int processor_of(pid_t tid)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", tid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return -1;
    text[length] = 0;
    const char *at = strrchr(text, ')');
    for (int field = 0; at != NULL && field < PROCESSOR_FIELD; field++)
        at = strchr(at + 1, ' ');
    return at != NULL ? atoi(at + 1) : -1;
}

static int go_to(pid_t tid, int processor)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)processor, &one);
    return sched_setaffinity(tid, sizeof one, &one);
}

/* A thread may have been made by one that ran before it was released: it is to be bound no more than that one was. */
static void free_new(const struct follow *follow, pid_t tid)
{
    cpu_set_t bound;
    if (!follow->chosen && CPU_COUNT(&follow->allowed) > 1 && sched_getaffinity(tid, sizeof bound, &bound) == 0 &&
        CPU_COUNT(&bound) == 1)
        sched_setaffinity(tid, sizeof follow->allowed, &follow->allowed);
}

void follow_tracee(struct follow *follow, struct tracee *tracee)
{
    if (tracee->stops == 0)
        free_new(follow, tracee->tid);
    if (tracee->stops++ % STOPS_A_LOOK != 0 || follow->off)
        return;
    int processor = tracee->processor = processor_of(tracee->tid);
    if (processor < 0 || processor == follow->at || processor >= CPU_SETSIZE ||
        !CPU_ISSET((unsigned)processor, &follow->allowed))
        return;
    if (go_to(0, processor) == 0)
        follow->at = processor;
    else
        follow->off = true;
}

bool follow_hold(const struct follow *follow, const struct tracee *tracee, cpu_set_t *former)
{
    if (follow->off || follow->at < 0 || tracee->processor != follow->at)
        return false;
    return sched_getaffinity(tracee->tid, sizeof *former, former) == 0 && go_to(tracee->tid, follow->at) == 0;
}

void follow_release(const struct tracee *tracee, const cpu_set_t *former)
{
    sched_setaffinity(tracee->tid, sizeof *former, former);
}
