/* SPDX-License-Identifier: Apache-2.0 */
/* Becoming the command, after a tracer has been forked off and has attached. */
#ifndef PYTRACE_LAUNCHER_H
#define PYTRACE_LAUNCHER_H

#include "call.h"

#include <stdnoreturn.h>

/* `all`: repeated looks are told each time, and the result of every call is waited for. */
struct launch {
    const char *log;
    const char *executable;
    char **argv;
    struct detail detail;
    bool all;
};

/* The status this process ends with if the command could not be executed; the stream says why. */
enum { NOT_LAUNCHED = 127 };

noreturn void launch(const struct launch *launch);

#endif
