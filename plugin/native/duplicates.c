/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "duplicates.h"

#include "hash.h"

#include <fcntl.h>

/* Whether a call is one by which the meaning of a later open is judged. */
static bool leads_to_open(const struct call *call)
{
    return call->row->effect == EFFECT_OPEN || (call->row->effect == EFFECT_STATUS && call->paths[0].length > 0);
}

/* What identifies a look, but for the bytes that its record has attached. */
static uint64_t key_of(const struct changes *changes, const struct tracee *tracee, int64_t result)
{
    const struct call *call = &tracee->call;
    int first = call_position(call, ARG_FD, 0) == 0 || call_position(call, ARG_DIR, 0) == 0;
    int path = call_position(call, ARG_PATH, 0);
    bool opens = call->row->effect == EFFECT_OPEN;
    bool mode = call->row->effect == EFFECT_ACCESS && path >= 0;
    uint64_t words[] = {
        tracee->image->number,
        tracee->context->version,
        changes->all,
        call->number,
        opens && result >= 0 ? 0 : (uint64_t)result,
        call->flags,
        first ? call->arguments[0] : 0,
        mode ? call->arguments[path + 1] : 0,
        opens ? tracee->last_look : tracee->image->listings,
    };
    size_t size;
    const uint8_t *attached = record_attachments(&tracee->record, &size);
    return hash_bytes(hash_bytes(0, words, sizeof words), attached, size) | 1;
}

static void swap(struct record *one, struct record *other)
{
    struct record kept = *one;
    *one = *other;
    *other = kept;
}

void duplicates_put(struct duplicates *duplicates, const struct changes *changes, struct tracee *tracee,
                    int64_t result, struct stream *stream)
{
    struct call *call = &tracee->call;
    bool leads = leads_to_open(call), duplicate = false;
    bool lists = call->row->effect == EFFECT_OPEN && (call->flags & O_DIRECTORY) != 0 && result >= 0;
    if (tracee->context != NULL && call_looks(call)) {
        uint64_t key = key_of(changes, tracee, result);
        uint64_t *seen = &duplicates->seen[key / 2 % DUPLICATES_KEPT];
        duplicate = *seen == key;
        *seen = key;
        if (leads)
            tracee->last_look = key;
    } else if (leads) {
        tracee->last_look = 0;
    }
    if (lists && tracee->image != NULL)
        tracee->image->listings++;
    if (duplicate) {
        if (leads)
            swap(&tracee->dropped, &tracee->record);
        return;
    }
    if (call->row->effect == EFFECT_OPEN && tracee->dropped.size > 0)
        repeats_put(&duplicates->repeats, &tracee->dropped, stream);
    if (leads || call_changes(call))
        tracee->dropped.size = 0;
    if (call_is_often_repeated(call))
        repeats_put(&duplicates->repeats, &tracee->record, stream);
    else
        stream_put(stream, &tracee->record);
}
