/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include "allocate.h"
#include "hash.h"

#include <string.h>

/* Offsets in the header of a record, in the fixed part of a call's, and in the header of an attachment. */
enum {
    AT_KIND = 4,
    AT_STATE = 5,
    AT_COUNT = 6,
    AT_PID = 8,
    HEADER = 12,
    AT_NUMBER = HEADER + 4,
    AT_RESULT = HEADER + 8,
    CALL_HEADER = HEADER + 8 + 8 + 6 * 8,
    AT_LENGTH = 4,
    ATTACHMENT_HEADER = 8,
};

static void put(struct record *record, size_t offset, const void *value, size_t size)
{
    memcpy(record->bytes + offset, value, size);
}

void record_begin(struct record *record, enum record_kind kind, pid_t pid)
{
    record->size = 0;
    record_u32(record, 0);
    record_u32(record, kind);
    record_u32(record, (uint32_t)pid);
}

void record_begin_call(struct record *record, pid_t pid, uint32_t number, const uint64_t arguments[6])
{
    record_begin(record, RECORD_CALL, pid);
    record_u32(record, number);
    record_u32(record, 0);
    record_u64(record, 0);
    record_bytes(record, arguments, 6 * sizeof *arguments);
}

void record_result(struct record *record, enum record_state state, int64_t result)
{
    record->bytes[AT_STATE] = (uint8_t)state;
    put(record, AT_RESULT, &result, sizeof result);
}

void record_pid(struct record *record, pid_t pid)
{
    put(record, AT_PID, &pid, sizeof pid);
}

void record_u32(struct record *record, uint32_t value)
{
    record_bytes(record, &value, sizeof value);
}

void record_u64(struct record *record, uint64_t value)
{
    record_bytes(record, &value, sizeof value);
}

void record_bytes(struct record *record, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(record_reserve(record, size), bytes, size);
    record->size += size;
}

uint8_t *record_reserve(struct record *record, size_t size)
{
    if (record->capacity - record->size < size) {
        size_t capacity = record->capacity < 256 ? 256 : record->capacity;
        while (capacity - record->size < size)
            capacity *= 2;
        record->bytes = allocate(record->bytes, capacity);
        record->capacity = capacity;
    }
    return record->bytes + record->size;
}

void record_grow(struct record *record, size_t size)
{
    record->size += size;
}

size_t record_attach(struct record *record, unsigned argument)
{
    size_t attachment = record->size;
    record_u32(record, argument);
    record_u32(record, 0);
    return attachment;
}

struct text record_attached(struct record *record, size_t attachment, enum attachment_type type)
{
    uint32_t length = (uint32_t)(record->size - attachment - ATTACHMENT_HEADER);
    uint16_t count;
    record->bytes[attachment + 1] = (uint8_t)type;
    put(record, attachment + AT_LENGTH, &length, sizeof length);
    memcpy(&count, record->bytes + AT_COUNT, sizeof count);
    count++;
    put(record, AT_COUNT, &count, sizeof count);
    return (struct text){(uint32_t)(attachment + ATTACHMENT_HEADER), length, (uint8_t)type};
}

uint64_t record_key(const struct record *record)
{
    const uint64_t what = hash_bytes(0, record->bytes + AT_KIND, AT_PID - AT_KIND);
    return hash_bytes(what, record->bytes + HEADER, record->size - HEADER);
}

pid_t record_thread(const struct record *record)
{
    pid_t pid;
    memcpy(&pid, record->bytes + AT_PID, sizeof pid);
    return pid;
}

void record_number(struct record *record, uint32_t number)
{
    put(record, AT_NUMBER, &number, sizeof number);
}

const uint8_t *record_attachments(const struct record *record, size_t *size)
{
    *size = record->size - CALL_HEADER;
    return record->bytes + CALL_HEADER;
}

void record_free(struct record *record)
{
    free(record->bytes);
    *record = (struct record){NULL, 0, 0};
}
