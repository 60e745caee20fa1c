/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tracer.h"

#include "hash.h"
#include "passive.h"
#include "stops.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXIT_TRACED = 0, EXIT_NO_LOG = 1, EXIT_NOT_ATTACHED = 2 };

static const uintptr_t OPTIONS = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP |
                                 PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;

static struct tracing tracing;

void tracer_detach_from_session(void)
{
    sigset_t none;
    setsid();
    for (int number = 1; number < NSIG; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    passive_on_crash();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_from(unsigned first)
{
    if (syscall(SYS_close_range, first, ~0U, 0) == 0)
        return;
    struct rlimit limit = {0, 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    for (rlim_t number = first; number < limit.rlim_cur; number++)
        close((int)number);
}

/* Nothing of the command's stays open or busy because of this process. */
static void let_go_of_surroundings(void)
{
    close_from(0);
    for (int number = 0; number <= 2; number++)
        open("/dev/null", O_RDWR);
    if (chdir("/") != 0)
        return; /* It stays in the command's directory, which only keeps that busy. */
}

/* Raise what would end or hinder this process to what it may have (see secured_begin for descriptors). */
static void raise_limits(void)
{
    const int limits[] = {RLIMIT_FSIZE, RLIMIT_AS, RLIMIT_DATA, RLIMIT_CPU};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit limit;
        if (getrlimit((__rlimit_resource_t)limits[i], &limit) != 0)
            continue;
        limit.rlim_cur = limit.rlim_max;
        setrlimit((__rlimit_resource_t)limits[i], &limit);
    }
}

static bool attach(struct handshake *handshake, pid_t command)
{
    if (handshake_wait(handshake, STAGE_BEGUN, command) != STAGE_MAY_ATTACH)
        return false;
    if (ptrace(PTRACE_SEIZE, command, NULL, (void *)OPTIONS) == 0)
        return true;
    char text[128];
    snprintf(text, sizeof text, "attaching with ptrace fails: %s", strerror(errno));
    tracing_problem(&tracing, text);
    return false;
}

noreturn void tracer_run(struct handshake *handshake, pid_t command, const char *log, bool all)
{
    tracing.all = all;
    let_go_of_surroundings();
    raise_limits();
    if (stream_open(&tracing.stream, log) != 0) {
        handshake_reach(handshake, STAGE_FAILED);
        _exit(EXIT_NO_LOG);
    }
    hash_begin();
    secured_begin(&tracing.secured);
    bool attached = attach(handshake, command);
    if (attached) {
        tracing_begin(&tracing, command);
        passive_tells(&tracing.stream);
    }
    handshake_reach(handshake, attached ? STAGE_ATTACHED : STAGE_FAILED);
    if (attached)
        stops_run(&tracing);
    int filter_error = atomic_load(&handshake->filter_error);
    if (filter_error != 0) {
        char text[128];
        snprintf(text, sizeof text, "installing the seccomp filter fails: %s", strerror(filter_error));
        tracing_problem(&tracing, text);
    }
    tracing_end(&tracing);
    _exit(attached ? EXIT_TRACED : EXIT_NOT_ATTACHED);
}
