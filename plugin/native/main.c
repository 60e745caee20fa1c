/* SPDX-License-Identifier: Apache-2.0 */
/* pytrace-tracer [--reads] [--writes] [--all | --inside] LOG EXECUTABLE ARG0 [ARG...]
 *
 * Becomes EXECUTABLE, traced; what it and its descendants do is written to LOG, the name of a pipe. With
 * --pid-namespace=PIPE it runs in a PID namespace, as a child of the caller, which PIPE tells of it (see namespace.h);
 * --as-user makes that with a user namespace, --untraced leaves the tracer out, and LOG unused. For the wrapper only:
 * it takes no other options and says nothing on any stream of the command. */
#define _GNU_SOURCE
#include "launcher.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char NAMESPACE[] = "--pid-namespace=";

/* What init may write its name to: all the arguments, which lie one after the other. */
static void set_title(struct space *space, int argc, char **argv)
{
    space->title = argv[0];
    space->room = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]);
}

int main(int argc, char **argv)
{
    struct launch command = {0};
    struct space space = {.told = -1, .init = -1, .command = -1};
    const char *told = NULL;
    bool untraced = false, as_user = false;
    int next = 1;
    for (; next < argc && strncmp(argv[next], "--", 2) == 0; next++) {
        command.detail.reads |= strcmp(argv[next], "--reads") == 0;
        command.detail.writes |= strcmp(argv[next], "--writes") == 0;
        command.all |= strcmp(argv[next], "--all") == 0;
        command.inside |= strcmp(argv[next], "--inside") == 0;
        untraced |= strcmp(argv[next], "--untraced") == 0;
        as_user |= strcmp(argv[next], "--as-user") == 0;
        if (strncmp(argv[next], NAMESPACE, sizeof NAMESPACE - 1) == 0)
            told = argv[next] + sizeof NAMESPACE - 1;
    }
    if (argc - next < 3)
        _exit(NOT_LAUNCHED);
    command.log = untraced ? NULL : argv[next];
    command.executable = argv[next + 1];
    command.argv = argv + next + 2;
    if (told == NULL)
        launch(&command);
    space.told = open(told, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (space.told < 0)
        _exit(NOT_LAUNCHED);
    space.traced = !untraced;
    set_title(&space, argc, argv);
    launch_in_namespace(&command, &space, as_user);
}
