/* SPDX-License-Identifier: Apache-2.0 */
/* pytrace-tracer [--reads] [--writes] [--all] LOG EXECUTABLE ARG0 [ARG...]
 *
 * Becomes EXECUTABLE, traced; what it and its descendants do is written to LOG, the name of a pipe. For the wrapper
 * only: it takes no other options and says nothing on any stream of the command. */
#include "launcher.h"

#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct launch command = {0};
    int next = 1;
    for (; next < argc && strncmp(argv[next], "--", 2) == 0; next++) {
        command.detail.reads |= strcmp(argv[next], "--reads") == 0;
        command.detail.writes |= strcmp(argv[next], "--writes") == 0;
        command.all |= strcmp(argv[next], "--all") == 0;
    }
    if (argc - next < 3)
        _exit(NOT_LAUNCHED);
    command.log = argv[next];
    command.executable = argv[next + 1];
    command.argv = argv + next + 2;
    launch(&command);
}
