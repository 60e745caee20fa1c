/* SPDX-License-Identifier: Apache-2.0 */
/* Looks that tell nothing new: the same program image saw the same before, and nothing has changed since.
 *
 * What follows an open or a status may be judged by what came just before it in its thread (an import of Python is a
 * status and then an open). So an open is a duplicate only if the look before it was the same too, and a dropped
 * status or open is put back before an open that is recorded, unless the thread has changed something since. */
#ifndef PYTRACE_DUPLICATES_H
#define PYTRACE_DUPLICATES_H

#include "repeats.h"
#include "tracees.h"

enum { DUPLICATES_KEPT = 1 << 15 };

struct duplicates {
    uint64_t seen[DUPLICATES_KEPT];
    struct repeats repeats;
};

/* Put the finished record of a thread's call into the stream, unless the call is a look that was seen before. */
void duplicates_put(struct duplicates *duplicates, const struct changes *changes, struct tracee *tracee,
                    int64_t result, struct stream *stream);

#endif
