/* SPDX-License-Identifier: Apache-2.0 */
/* The process that traces: from its start beside the command to the end of the last thread it traced. */
#ifndef PYTRACE_TRACER_H
#define PYTRACE_TRACER_H

#include "handshake.h"

#include <stdnoreturn.h>

/* Leave the command's session, and ignore every signal that ends programs. */
void tracer_detach_from_session(void);

/* Attach to the command that process `launcher` names, trace it and all it starts into the pipe `log`, and end. `all` as
 * in `struct launch`. */
noreturn void tracer_run(struct handshake *handshake, pid_t launcher, const char *log, bool all);

#endif
