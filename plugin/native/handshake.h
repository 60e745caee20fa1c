/* SPDX-License-Identifier: Apache-2.0 */
/* A page of memory by which launcher and tracer wait for each other; it is gone when the command is executed. */
#ifndef PYTRACE_HANDSHAKE_H
#define PYTRACE_HANDSHAKE_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/types.h>

enum stage {
    STAGE_BEGUN,
    STAGE_MAY_ATTACH, /* the launcher allowed it */
    STAGE_ATTACHED,
    STAGE_FAILED, /* the tracer ends; the launcher must, too */
};

struct handshake {
    atomic_uint stage;
    /* The process to attach to, from STAGE_MAY_ATTACH on: the launcher itself, or one that it has forked. */
    atomic_int command;
    /* What the launcher could not do, 0 for nothing: the error of installing the filter. */
    atomic_int filter_error;
    /* What lets a look through the filter, if it has it as its sixth argument; 0: nothing does. */
    uint64_t cookie;
};

/* Make the page; NULL if that fails. */
struct handshake *handshake_begin(void);

void handshake_reach(struct handshake *handshake, enum stage stage);

/* Wait until a stage after `former` is reached, as long as process `other` lives. Returns it, or STAGE_FAILED. */
enum stage handshake_wait(struct handshake *handshake, enum stage former, pid_t other);

#endif
