/* SPDX-License-Identifier: Apache-2.0 */
/* A system call at its entry, and what the table says of it. */
#ifndef PYTRACE_CALL_H
#define PYTRACE_CALL_H

#include "calls.h"
#include "record.h"

#include <stdbool.h>
#include <stdint.h>

/* `flags`: those of an open, a look, an unlink, a rename or a fork. `odd`: they hold something that only the kernel can
 * judge. `paths` and `bases` stand in the thread's record: the path arguments in their order, each with the link of the
 * descriptor that it starts from, if one is given. */
struct call {
    const struct call_row *row;
    uint32_t number;
    bool odd;
    uint64_t arguments[6];
    uint64_t flags;
    struct text paths[2];
    struct text bases[2];
};

/* Which calls of descriptors that the command was given are traced. */
struct detail {
    bool reads;
    bool writes;
};

/* The row of a number of this processor's calls; one of action CALL_UNKNOWN for a number that the table lacks. */
const struct call_row *call_row(uint32_t number);

/* Whether a call passes the filter without a stop. Calls that make threads do, unless their flags are in memory: each
 * is reported by an event of its own. */
bool call_is_let_through(uint32_t number, const struct detail *detail);

/* Flags of clone that make the tracer see to it before the call. */
uint32_t call_special_fork_flags(void);

/* Whether a call may be told by code inside the process (inside.h): it looks, and takes less than six arguments. */
bool call_may_be_told_inside(uint32_t number);

/* Whether a harmless call makes its caller's look-ups differ from the tracer's. */
bool call_hides_files(uint32_t number);

/* Whether a call asks or says on which processors a thread may run. */
bool call_is_about_processors(uint32_t number);

/* Position of the `nth` argument of a kind, from 0; -1 when there are fewer. */
int call_position(const struct call *call, enum call_arg kind, unsigned nth);

/* The descriptor that the `nth` path of a call starts from if it is relative: AT_FDCWD for the working directory. */
int call_base(const struct call *call, unsigned nth);

/* Fill in `flags` and `odd`. `structure` holds `size` bytes of the call's structure of flags, if it has one. */
void call_read_flags(struct call *call, const uint8_t *structure, size_t size);

/* Whether a call only looks: status, access, target of a link, or opening for reading what is there. */
bool call_looks(const struct call *call);

/* Whether processes of one kind make a call again and again. */
bool call_is_often_repeated(const struct call *call);

/* Whether a call that succeeded can have changed what a look sees. */
bool call_changes(const struct call *call);

/* Whether an open, in its own words, is for writing or cuts the file. */
bool call_opens_to_change(const struct call *call);

/* Whether an open makes a file that was not there, if it succeeds. */
bool call_makes_new(const struct call *call);

#endif
