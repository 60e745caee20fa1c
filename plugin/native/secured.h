/* SPDX-License-Identifier: Apache-2.0 */
/* Content that a call is about to destroy, kept at hand in a descriptor of the tracer.
 *
 * Only what was there before the run counts: a file that the run made is left alone. Each file is kept once: itself (`named`)
 * where it would lose its last name, a copy of it (`kept`) where it would be changed in place. One that is kept itself is
 * copied all the same when it is about to be changed: the call that was to take its name may have failed. */
#ifndef PYTRACE_SECURED_H
#define PYTRACE_SECURED_H

#include "inodes.h"
#include "places.h"
#include "stream.h"

struct secured {
    struct inodes made;
    struct inodes named;
    struct inodes kept;
    uint64_t copied;
    unsigned most_descriptors;
};

/* Raise this process's own limit on descriptors as far as it may. */
void secured_begin(struct secured *secured);

/* Keep what the thread's call would destroy, and say so in the stream; note whether the call is to make a file. */
void secured_before(struct secured *secured, struct places *places, const struct changes *changes,
                    struct tracee *tracee, struct stream *stream);

/* Note the file that an open made, given its descriptor in the thread. */
void secured_made(struct secured *secured, pid_t tid, int descriptor);

#endif
