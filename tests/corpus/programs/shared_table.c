// SPDX-License-Identifier: Apache-2.0
// A child without a copy of the descriptors puts another file under its parent's number.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int folder;
static char stack[65536];

static int swap(void *nothing) {
    (void)nothing;
    return dup2(open("e", O_RDONLY | O_DIRECTORY), folder) == folder ? 0 : 1;
}

int main(void) {
    char text[9];
    folder = open("d", O_RDONLY | O_DIRECTORY);
    int child = clone(swap, stack + sizeof stack, CLONE_FILES | SIGCHLD, 0);
    waitpid(child, 0, 0);
    long size = read(openat(folder, "f", O_RDONLY), text, sizeof text);
    return write(1, text, size) == size ? 0 : 1;
}
