/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that are traced: what they share, and which call each is in. */
#ifndef PYTRACE_TRACEES_H
#define PYTRACE_TRACEES_H

#include "call.h"
#include "record.h"

/* What threads made with CLONE_FS share. `version` differs for every working directory that any of them ever had.
 * `cwd` holds nothing but the directory's link, when `known`; it is good while no directory is renamed or removed
 * (`folders`, see `struct changes`). */
struct context {
    unsigned references;
    uint64_t version;
    bool known;
    uint64_t folders;
    enum attachment_type type;
    struct record cwd;
};

/* What runs in a process between two execs; its threads share it. */
struct image {
    unsigned references;
    uint64_t number;
    uint64_t listings; /* directories opened so far: what it asks for afterwards it does not ask for in order to list */
};

/* How often the traced tree has changed what look-ups depend on. */
struct changes {
    uint64_t all;     /* anything that a look can see */
    uint64_t links;   /* symbolic links, by any way in which one can appear at a name */
    uint64_t folders; /* names of directories that may be someone's working directory */
};

/* `context` is NULL as long as the call that made the thread is not known. `held`: it waits for that call, for
 * `ticks_held`. `in_call`:
 * `call` and `record` are of a call that has not returned. `creates`: it will create a file if it succeeds.
 * `stops` counts its stops; `processor` is where it was at one of the last. `last_look` is the key of the thread's last status or open by
 * path; `dropped` holds that one's record if it was a duplicate, else nothing. `changes`: it is in a call that changes what
 * looks see. `entry`: where the program began that was last executed, if it was led inside first; with its stack then, and its
 * loader's place in the table. */
struct tracee {
    pid_t tid;
    bool held;
    bool in_call;
    bool creates;
    bool changes;
    bool untraced_flag;
    unsigned ticks_held;
    unsigned stops;
    int processor;
    uint64_t last_look;
    uint64_t entry, entry_stack;
    uint32_t entry_library;
    struct image *image;
    struct context *context;
    struct call call;
    struct record record;
    struct record dropped;
};

struct tracees {
    struct tracee **slots;
    size_t capacity;
    size_t count;
    uint64_t numbers;
};

struct tracee *tracees_find(const struct tracees *tracees, pid_t tid);

/* Add a thread that is not in the table, with an image of its own and no context. */
struct tracee *tracees_add(struct tracees *tracees, pid_t tid);

/* Give the first thread of all its context. */
void tracees_begin(struct tracees *tracees, struct tracee *first);

void tracees_remove(struct tracees *tracees, struct tracee *tracee);

/* Let a new thread share with the one that made it what the flags of clone say. */
void tracees_link(struct tracees *tracees, struct tracee *child, const struct tracee *parent, uint64_t flags);

/* Note that a process runs another program. */
void tracees_executed(struct tracees *tracees, struct tracee *tracee);

/* Give a thread a context of its own, equal to the one it had. */
void tracees_unshare(struct tracees *tracees, struct tracee *tracee);

/* Note that a thread's working directory is another. */
void tracees_moved(struct tracees *tracees, struct tracee *tracee);

/* The link of a thread's working directory, or NULL if it cannot be told. `*type` is ATTACHED_LINK if it exists. */
const struct record *tracee_cwd(struct tracee *tracee, const struct changes *changes, enum attachment_type *type);

#endif
