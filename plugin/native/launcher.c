/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "launcher.h"

#include "filter.h"
#include "handshake.h"
#include "inside.h"
#include "tracer.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

/* Draw what lets looks through the filter; none, and every look stops. */
static uint64_t draw_cookie(void)
{
    uint64_t cookie = 0;
    return getrandom(&cookie, sizeof cookie, GRND_NONBLOCK) == (ssize_t)sizeof cookie ? cookie : 0;
}

/* Fork the tracer as a child of the caller, who waits for it: the command never has a child of ours, and process 1,
 * which reaps no orphans in many containers, never gets one. */
static pid_t fork_tracer(struct handshake *handshake, const struct launch *launch)
{
    pid_t launcher = getpid();
    pid_t tracer = (pid_t)syscall(SYS_clone, CLONE_PARENT, NULL, NULL, NULL, NULL);
    if (tracer == 0) {
        tracer_detach();
        tracer_run(handshake, launcher, launch->log, launch->all);
    }
    return tracer;
}

/* Let the tracer attach to a process; returns whether it has. */
static bool offer(struct handshake *handshake, pid_t tracer, pid_t command)
{
    atomic_store(&handshake->command, command);
    handshake_reach(handshake, STAGE_MAY_ATTACH);
    return handshake_wait(handshake, STAGE_MAY_ATTACH, tracer) == STAGE_ATTACHED;
}

static void filter(struct handshake *handshake, const struct launch *launch)
{
    if (filter_install(&launch->detail, handshake->cookie) != 0) {
        atomic_store(&handshake->filter_error, errno);
        _exit(NOT_LAUNCHED);
    }
}

noreturn void launch(const struct launch *launch)
{
    struct handshake *handshake = handshake_begin();
    if (handshake != NULL && launch->inside && INSIDE_KNOWN)
        handshake->cookie = draw_cookie();
    pid_t tracer = handshake != NULL ? fork_tracer(handshake, launch) : 0;
    if (tracer <= 0)
        _exit(NOT_LAUNCHED);
    prctl(PR_SET_PTRACER, tracer, 0, 0, 0);
    if (!offer(handshake, tracer, getpid()))
        _exit(NOT_LAUNCHED);
    filter(handshake, launch);
    execve(launch->executable, launch->argv, environ);
    _exit(NOT_LAUNCHED);
}

/* The process that becomes the command; `handshake` is NULL if it is not traced. */
static noreturn void become(const struct space *space, struct handshake *handshake, const struct launch *launch)
{
    if (!space_wait(space))
        _exit(NOT_LAUNCHED);
    if (handshake != NULL)
        filter(handshake, launch);
    execve(launch->executable, launch->argv, environ);
    space_refused(space);
    _exit(NOT_LAUNCHED);
}

noreturn void launch_in_namespace(const struct launch *launch, struct space *space, bool as_user)
{
    /* The tracer stays outside: its numbers of processes are those of the caller. */
    struct handshake *handshake = launch->log != NULL ? handshake_begin() : NULL;
    pid_t tracer = handshake != NULL ? fork_tracer(handshake, launch) : 0;
    if (launch->log != NULL && tracer <= 0)
        _exit(NOT_LAUNCHED);
    pid_t command = space_make(space, as_user) ? space_fork(space) : -1;
    if (command == 0)
        become(space, handshake, launch);
    if (command > 0 && (handshake == NULL || offer(handshake, tracer, command)))
        space_release(space);
    else if (handshake != NULL)
        handshake_reach(handshake, STAGE_FAILED);
    _exit(command > 0 ? 0 : NOT_LAUNCHED);
}
