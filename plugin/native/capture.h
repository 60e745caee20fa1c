/* SPDX-License-Identifier: Apache-2.0 */
/* Taking the arguments of a call out of the thread that makes it, into the record of the call. */
#ifndef PYTRACE_CAPTURE_H
#define PYTRACE_CAPTURE_H

#include "told.h"
#include "tracees.h"

/* Start the thread's record with what the arguments of its `call` mean at the entry, and fill in the call's flags,
 * paths and bases. */
void capture_entry(struct tracee *tracee, const struct changes *changes);

/* Put what was told of a look in the place of the thread's call and record. Returns how its result became known. */
enum record_state capture_told(struct tracee *tracee, const struct slot *slot, const struct told_names *names);

/* Append what the call filled in, and what descriptor it made. */
void capture_exit(struct tracee *tracee, int64_t result);

#endif
