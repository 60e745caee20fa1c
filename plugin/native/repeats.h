/* SPDX-License-Identifier: Apache-2.0 */
/* Looks that were told before, by whatever thread: then a number stands for all of the record but the thread.
 *
 * Processes of one kind look at the same libraries, headers and modules, so that most looks of a build are such. */
#ifndef PYTRACE_REPEATS_H
#define PYTRACE_REPEATS_H

#include "record.h"
#include "stream.h"

enum { REPEATS_KEPT = 1 << 17, REPEATS_PLACES = 2 * REPEATS_KEPT };

/* The number that a record of a key was given, at the first free place from the key's own on; 0 where there is none. */
struct repeats {
    uint64_t keys[REPEATS_PLACES];
    uint32_t numbers[REPEATS_PLACES];
    uint32_t given;
};

/* Put the finished record of a look into the stream. */
void repeats_put(struct repeats *repeats, struct record *record, struct stream *stream);

#endif
