// SPDX-License-Identifier: Apache-2.0
// A child that shares its parent's working directory, made by a plain clone, changes it for both.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[65536];

static int change(void *nothing) {
    (void)nothing;
    return chdir("e");
}

int main(void) {
    char text[9];
    int child = clone(change, stack + sizeof stack, CLONE_FS | SIGCHLD, 0);
    waitpid(child, 0, 0);
    long size = read(open("f", O_RDONLY), text, sizeof text);
    return write(1, text, size) == size ? 0 : 1;
}
