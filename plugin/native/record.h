/* SPDX-License-Identifier: Apache-2.0 */
/* One record of the stream while it is made. */
#ifndef PYTRACE_RECORD_H
#define PYTRACE_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum record_kind {
    RECORD_CALL = 1,
    RECORD_EXITED,
    RECORD_KILLED,
    RECORD_SUPERSEDED,
    RECORD_PROBLEM,
    RECORD_FOREIGN,
    RECORD_SECURED,
    RECORD_END,
    RECORD_UNSEEN,
    RECORD_AGAIN,
};

/* How the result of a call became known. */
enum record_state {
    STATE_RETURNED = 0, /* it is the call's own */
    STATE_NEVER = 1,    /* the thread ended in it */
    STATE_LOOKED = 2,   /* the tracer looked itself */
};

enum attachment_type {
    ATTACHED_NOTHING = 0, /* in `struct text` only: there is no such attachment */
    ATTACHED_TEXT = 1,
    ATTACHED_UNREADABLE = 2,
    ATTACHED_TOO_LONG = 3,
    ATTACHED_LINK = 4,
    ATTACHED_DELETED_LINK = 5,
    ATTACHED_BYTES = 6,
    ATTACHED_VECTOR = 7,
};

/* The number of the argument that an attachment of the result has. */
enum { ATTACHED_TO_RESULT = 255 };

/* Where the bytes of an attachment stand in its record. */
struct text {
    uint32_t offset;
    uint32_t length;
    uint8_t type;
};

struct record {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
};

/* Start a record in place of what `record` held. `pid` is the thread's number. */
void record_begin(struct record *record, enum record_kind kind, pid_t pid);

/* Start the record of a call; its result is set by `record_result`. */
void record_begin_call(struct record *record, pid_t pid, uint32_t number, const uint64_t arguments[6]);

void record_result(struct record *record, enum record_state state, int64_t result);
void record_pid(struct record *record, pid_t pid);
void record_u32(struct record *record, uint32_t value);
void record_u64(struct record *record, uint64_t value);
void record_bytes(struct record *record, const void *bytes, size_t size);

/* Return room for `size` bytes after the record's end; `record_grow` makes them part of it. */
uint8_t *record_reserve(struct record *record, size_t size);
void record_grow(struct record *record, size_t size);

/* Start an attachment; the bytes that follow belong to it until `record_attached`, which returns where they are. */
size_t record_attach(struct record *record, unsigned argument);
struct text record_attached(struct record *record, size_t attachment, enum attachment_type type);

/* What identifies a finished record of a call, but for its thread; and that thread. */
uint64_t record_key(const struct record *record);
pid_t record_thread(const struct record *record);

/* Give the record of a call the number by which it may be told again. */
void record_number(struct record *record, uint32_t number);

/* The part of a call's record that holds its attachments. */
const uint8_t *record_attachments(const struct record *record, size_t *size);

void record_free(struct record *record);

#endif
