/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing the code of inside.h into the programs that are executed, and deciding whose looks may be told by it. */
#ifndef PYTRACE_INJECTION_H
#define PYTRACE_INJECTION_H

#include "inside.h"
#include "sites.h"
#include "tracees.h"

#include <stdbool.h>

enum { INJECTION_LOADERS = 4 };

/* A loader whose code was read: `library` is its place in the table. */
struct loader {
    uint32_t library;
    struct program_code code;
};

/* `inside` is NULL when no looks are told inside in this run; `memory` is the descriptor of what is mapped. `changing`
 * counts the calls under way that change something. `next`: the slots below it were taken. */
struct injection {
    struct inside *inside;
    uint8_t *code;
    int memory;
    struct loader loaders[INJECTION_LOADERS];
    unsigned loader_count;
    unsigned changing;
    unsigned next;
};

/* Make the memory. Nothing is brought in if `cookie` is 0, or if this processor's code is not known. */
void injection_begin(struct injection *injection, uint64_t cookie);

/* Whether a call is a message from inside. */
bool injection_is_message(const struct injection *injection, uint64_t number, uint64_t sixth_argument);

/* A program was executed, and has not begun. */
void injection_executed(struct injection *injection, struct tracee *tracee);

/* A program could not be entered: it begins as it would have. */
void injection_refused(const struct injection *injection, const struct tracee *tracee);

/* Take a library into the table, given a descriptor of the thread. */
void injection_learn(struct injection *injection, pid_t tid, int descriptor);

/* No look is told inside from now on; or none of the process of a thread, nor of those it forks. If nothing of it runs
 * (`stands`), its code is as it was, so that what cancels one of its threads can unwind the calls that it is in. */
void injection_end(struct injection *injection);
void injection_end_in(const struct injection *injection, pid_t tid, bool stands);

/* A call begins that changes what looks see, or has ended. */
void injection_change_begins(struct injection *injection, struct tracee *tracee);
void injection_change_ended(struct injection *injection, struct tracee *tracee);

#endif
