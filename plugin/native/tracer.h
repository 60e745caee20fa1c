/* SPDX-License-Identifier: Apache-2.0 */
/* The process that traces: from its start beside the command to the end of the last thread it traced. */
#ifndef PYTRACE_TRACER_H
#define PYTRACE_TRACER_H

#include "handshake.h"

#include <stdnoreturn.h>

/* Leave the command's session, ignore every signal that ends programs, and take the name that tells this process from
 * the command and its kin (tracer/descendants.py). */
void tracer_detach(void);

/* Attach to the command that process `launcher` names, trace it and all it starts into the pipe `log`, and end. `all` as
 * in `struct launch`. */
noreturn void tracer_run(struct handshake *handshake, pid_t launcher, const char *log, bool all);

#endif
