/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "surroundings.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void surroundings_leave_session(void)
{
    sigset_t none;
    setsid();
    for (int number = 1; number < NSIG; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_all_but(int kept)
{
    unsigned after = (unsigned)(kept + 1);
    if ((kept <= 0 || syscall(SYS_close_range, 0U, after - 2, 0) == 0) &&
        syscall(SYS_close_range, after, ~0U, 0) == 0)
        return;
    struct rlimit limit = {0, 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    for (rlim_t number = 0; number < limit.rlim_cur; number++)
        if ((int)number != kept)
            close((int)number);
}

void surroundings_let_go(int kept)
{
    close_all_but(kept);
    for (int number = 0; number <= 2; number++)
        open("/dev/null", O_RDWR);
    if (chdir("/") != 0)
        return; /* It stays in the command's directory, which only keeps that busy. */
}
