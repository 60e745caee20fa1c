/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "launcher.h"

#include "filter.h"
#include "handshake.h"
#include "tracer.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Fork a process whose end is told to nobody: a pending SIGCHLD would outlast the execution of the command. */
static pid_t fork_silently(void)
{
    return (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
}

/* Fork the tracer by way of a process between that ends at once, so that the command never has a child of ours. */
static pid_t fork_tracer(struct handshake *handshake, const struct launch *launch)
{
    pid_t command = getpid();
    pid_t between = fork_silently();
    if (between == 0) {
        tracer_detach_from_session();
        pid_t tracer = fork_silently();
        if (tracer == 0)
            tracer_run(handshake, command, launch->log, launch->all);
        atomic_store(&handshake->tracer, tracer);
        _exit(0);
    }
    int status;
    while (between > 0 && waitpid(between, &status, __WALL) < 0 && errno == EINTR)
        continue;
    return atomic_load(&handshake->tracer);
}

noreturn void launch(const struct launch *launch)
{
    struct handshake *handshake = handshake_begin();
    pid_t tracer = handshake != NULL ? fork_tracer(handshake, launch) : 0;
    if (tracer <= 0)
        _exit(NOT_LAUNCHED);
    prctl(PR_SET_PTRACER, tracer, 0, 0, 0);
    handshake_reach(handshake, STAGE_MAY_ATTACH);
    if (handshake_wait(handshake, STAGE_MAY_ATTACH, tracer) != STAGE_ATTACHED)
        _exit(NOT_LAUNCHED);
    if (filter_install(&launch->detail) != 0) {
        atomic_store(&handshake->filter_error, errno);
        _exit(NOT_LAUNCHED);
    }
    execve(launch->executable, launch->argv, environ);
    _exit(NOT_LAUNCHED);
}
