/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "reports.h"

#include "ptrace_events.h"

#include <errno.h>
#include <stddef.h>
#include <sys/wait.h>

/* wait4 prefers the newest thread: one that stops again and again would keep the others standing. So every few
 * reports all that there are are collected before the first of them goes on. */
enum { TURNS = 8, MOST_WAITING = 256, MOST_HELD = 64 };

struct report {
    pid_t tid;
    int status;
};

static volatile struct report waiting[MOST_WAITING];
static volatile unsigned first, end;
static volatile struct report current;
static volatile pid_t held[MOST_HELD];
static unsigned turns;

/* A thread's later report takes the place of a stop that it has left: killed, or superseded by another's exec. */
static void put(pid_t tid, int status)
{
    unsigned at = first;
    while (at < end && (waiting[at].tid != tid || !WIFSTOPPED(waiting[at].status)))
        at++;
    waiting[at].tid = tid;
    waiting[at].status = status;
    end = at == end ? end + 1 : end;
}

static void collect(void)
{
    int status;
    while (end < MOST_WAITING) {
        pid_t tid = wait4(-1, &status, __WALL | WNOHANG, NULL);
        if (tid <= 0)
            return;
        put(tid, status);
    }
}

pid_t reports_next(int *status)
{
    if (first == end) {
        first = end = 0;
        pid_t tid = wait4(-1, status, __WALL, NULL);
        if (tid < 0)
            return errno == EINTR ? 0 : -1;
        put(tid, *status);
        turns = (turns + 1) % TURNS;
        if (turns == 0)
            collect();
    }
    pid_t tid = waiting[first].tid;
    *status = waiting[first].status;
    current.status = *status;
    current.tid = WIFSTOPPED(*status) ? tid : 0;
    first++;
    return tid;
}

void reports_resumed(void)
{
    current.tid = 0;
}

static bool replace_held(pid_t former, pid_t tid)
{
    for (size_t i = 0; i < MOST_HELD; i++) {
        if (held[i] == former) {
            held[i] = tid;
            return true;
        }
    }
    return false;
}

bool reports_hold(pid_t tid)
{
    return replace_held(0, tid);
}

void reports_release(pid_t tid)
{
    replace_held(tid, 0);
}

void reports_each_standing(void (*let_go)(pid_t tid, int status))
{
    if (current.tid != 0)
        let_go(current.tid, current.status);
    for (; first < end; first++)
        if (WIFSTOPPED(waiting[first].status))
            let_go(waiting[first].tid, waiting[first].status);
    for (size_t i = 0; i < MOST_HELD; i++)
        if (held[i] != 0)
            let_go(held[i], STATUS_OF_NEW_THREAD);
}
