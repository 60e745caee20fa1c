/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tracer.h"

#include "hash.h"
#include "links.h"
#include "passive.h"
#include "stops.h"
#include "surroundings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_TRACED = 0, EXIT_NO_LOG = 1, EXIT_NOT_ATTACHED = 2 };

static const uintptr_t OPTIONS = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP |
                                 PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;

static struct tracing tracing;

void tracer_detach(void)
{
    prctl(PR_SET_NAME, "pytrace-watch");
    surroundings_leave_session();
    passive_on_crash();
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

/* What keeps the command from being traced, or NULL once it is. */
static const char *attach_to(pid_t command)
{
    static char text[128];
    if (!link_root_is_ours(command))
        return "its files have other names for the tracer: a PID namespace below a chroot";
    if (ptrace(PTRACE_SEIZE, command, NULL, (void *)OPTIONS) == 0)
        return NULL;
    snprintf(text, sizeof text, "attaching with ptrace fails: %s", strerror(errno));
    return text;
}

/* Returns the command, or 0 if it is not traced. */
static pid_t attach(struct handshake *handshake, pid_t launcher)
{
    if (handshake_wait(handshake, STAGE_BEGUN, launcher) != STAGE_MAY_ATTACH)
        return 0;
    pid_t command = atomic_load(&handshake->command);
    const char *obstacle = attach_to(command);
    if (obstacle == NULL)
        return command;
    tracing_problem(&tracing, obstacle);
    return 0;
}

noreturn void tracer_run(struct handshake *handshake, pid_t launcher, const char *log, bool all)
{
    tracing.all = all;
    surroundings_let_go(-1);
    raise_limits();
    if (stream_open(&tracing.stream, log) != 0) {
        handshake_reach(handshake, STAGE_FAILED);
        _exit(EXIT_NO_LOG);
    }
    hash_begin();
    secured_begin(&tracing.secured);
    pid_t command = attach(handshake, launcher);
    bool attached = command != 0;
    if (attached) {
        injection_begin(&tracing.injection, handshake->cookie);
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
