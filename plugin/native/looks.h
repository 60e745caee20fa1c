/* SPDX-License-Identifier: Apache-2.0 */
/* The tracer's own looks: the result of a call that only looks, found while its caller stands at its entry. */
#ifndef PYTRACE_LOOKS_H
#define PYTRACE_LOOKS_H

#include "places.h"

/* Find the result of the thread's call: a look, an execution of what is not there, or a file asked whether it is a
 * terminal.
 *
 * Returns false if only the call itself can tell. */
bool look(struct places *places, const struct changes *changes, struct tracee *tracee, int64_t *result);

/* Put the absolute path that the `nth` path of a call means into `path`, of PATH_MAX bytes. Returns false if unknown. */
bool look_absolute_path(const struct changes *changes, struct tracee *tracee, unsigned nth, char *path);

#endif
