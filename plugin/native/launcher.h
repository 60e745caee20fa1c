/* SPDX-License-Identifier: Apache-2.0 */
/* Becoming the command, after a tracer has been forked off and has attached. */
#ifndef PYTRACE_LAUNCHER_H
#define PYTRACE_LAUNCHER_H

#include "call.h"
#include "namespace.h"

#include <stdnoreturn.h>

/* `log` is NULL if the command is not to be traced. `all`: repeated looks are told each time, and the result of every call is waited for.
 * `inside`: looks may be told by the command's own processes. */
struct launch {
    const char *log;
    const char *executable;
    char **argv;
    struct detail detail;
    bool all;
    bool inside;
};

/* The status this process ends with if the command could not be executed; the stream says why. */
enum { NOT_LAUNCHED = 127 };

noreturn void launch(const struct launch *launch);

/* The same in a PID namespace: this process ends, and the command is another child of its parent. `space` has `told`
 * and `title`; `as_user` as for `space_make`. */
noreturn void launch_in_namespace(const struct launch *launch, struct space *space, bool as_user);

#endif
