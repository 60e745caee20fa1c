/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "namespace.h"

#include "surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The number of the command in its namespace: the first after init's. */
enum { COMMAND = 2 };

static bool failed(const struct space *space, const char *step)
{
    dprintf(space->told, "N %s %d\n", step, errno);
    return false;
}

static bool pair(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0;
}

/* Returns false if the other one has ended. */
static bool receive(int socket, int *number)
{
    ssize_t size;
    do {
        size = recv(socket, number, sizeof *number, 0);
    } while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof *number;
}

static void give(int socket, int number)
{
    if (send(socket, &number, sizeof number, MSG_NOSIGNAL) < 0)
        return; /* The other one has ended, which is found out in other ways. */
}

static bool put_text(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t length = (ssize_t)strlen(text);
    if (file < 0)
        return false;
    bool done = write(file, text, (size_t)length) == length;
    int error = errno;
    close(file);
    errno = error;
    return done;
}

static bool put_id(const char *path, unsigned id)
{
    char text[40];
    snprintf(text, sizeof text, "%u %u 1\n", id, id);
    return put_text(path, text);
}

/* This user is itself in the namespace; everybody else is the overflow user there. */
static bool become_user(const struct space *space)
{
    unsigned user = geteuid(), group = getegid();
    if (unshare(CLONE_NEWUSER) != 0)
        return failed(space, "user");
    if (put_text("/proc/self/setgroups", "deny") && put_id("/proc/self/uid_map", user) &&
        put_id("/proc/self/gid_map", group) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        return true;
    return failed(space, "ids");
}

/* Only /proc is this namespace's own: what is mounted elsewhere comes and goes as outside. Returns an error, or 0. */
static int mount_proc(void)
{
    if (mount(NULL, "/proc", NULL, MS_PRIVATE, NULL) != 0)
        return errno;
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 ? 0 : errno;
}

/* What the command sees of process 1 is the same each run. In the namespace it is seen nowhere else whether it is
 * traced: the tracer has no number there. */
static void take_name(const struct space *space)
{
    const char *name = space->traced ? "pytrace-traced" : "pytrace-init";
    prctl(PR_SET_NAME, name);
    memset(space->title, 0, space->room);
    if (strlen(name) < space->room)
        memcpy(space->title, name, strlen(name));
}

/* Wait for the command, whose children are this process's then, and for all of these: they are reaped unseen. */
static void outlive_all(void)
{
    struct pollfd command = {(int)syscall(SYS_pidfd_open, COMMAND, 0), POLLIN, 0};
    while (command.fd >= 0 && poll(&command, 1, -1) < 0 && errno == EINTR)
        continue;
    while (waitpid(-1, NULL, __WALL) >= 0 || errno == EINTR)
        continue;
}

static noreturn void be_init(const struct space *space, int launcher)
{
    int begun = 0;
    surroundings_leave_session();
    signal(SIGCHLD, SIG_IGN);
    take_name(space);
    int error = mount_proc();
    launcher = fcntl(launcher, F_DUPFD_CLOEXEC, 3);
    surroundings_let_go(launcher);
    give(launcher, error);
    if (error == 0 && receive(launcher, &begun)) {
        close(launcher);
        outlive_all();
    }
    _exit(0);
}

/* The next process that is forked is the first of the namespace. */
static bool fork_init(struct space *space)
{
    int ends[2], error = EPIPE;
    if (!pair(ends))
        return failed(space, "init");
    pid_t init = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (init == 0)
        be_init(space, ends[1]);
    if (init < 0)
        return failed(space, "init");
    close(ends[1]);
    space->init = ends[0];
    if (receive(space->init, &error) && error == 0)
        return true;
    errno = error;
    return failed(space, "proc");
}

bool space_make(struct space *space, bool as_user)
{
    if (as_user && !become_user(space))
        return false;
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
        return failed(space, "unshare");
    return fork_init(space);
}

pid_t space_fork(struct space *space)
{
    int ends[2];
    if (!pair(ends)) {
        failed(space, "init");
        return -1;
    }
    pid_t command = (pid_t)syscall(SYS_clone, CLONE_PARENT, NULL, NULL, NULL, NULL);
    close(ends[command == 0 ? 0 : 1]);
    space->command = ends[command == 0 ? 1 : 0];
    if (command == 0) {
        close(space->init);
        /* The tracer has no number here by which it could be named. */
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
        give(space->command, 0);
        return 0;
    }
    int ready;
    if (command < 0 || !receive(space->command, &ready)) {
        failed(space, "init");
        return -1;
    }
    dprintf(space->told, "P %d\n", command);
    give(space->init, 0);
    return command;
}

void space_release(const struct space *space)
{
    give(space->command, 0);
}

bool space_wait(const struct space *space)
{
    int begun;
    bool may = receive(space->command, &begun);
    close(space->command);
    prctl(PR_SET_PTRACER, 0, 0, 0, 0);
    return may;
}

void space_refused(const struct space *space)
{
    dprintf(space->told, "E %d\n", errno);
}
