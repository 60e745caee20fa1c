/* SPDX-License-Identifier: Apache-2.0 */
/* Taking the looks that were told inside, in the order in which they came. */
#ifndef PYTRACE_TOLD_H
#define PYTRACE_TOLD_H

#include "injection.h"
#include "names.h"
#include "places.h"

/* Given each look that counts. `slot` is the first of those that hold it. */
typedef void told_look(void *context, const struct slot *slot);

/* Take what was told; `beginning`: a change is about to begin and has been noted, so that what was told before counts. */
void told_take(struct injection *injection, bool beginning, told_look *look, void *context);

/* The names that belong to a look, as text; of length 0 where there is none. */
struct told_names {
    const char *base, *opened;
    size_t base_length, opened_length;
};

/* Put them together, and keep those that are new; false if one is missing. */
bool told_names(struct names *names, struct places *places, struct inside *inside, const struct slot *slot,
                struct told_names *told);

/* Copy what a look has read: `slot->read_length` bytes. */
void told_read(const struct slot *slot, uint8_t *into);

#endif
