/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "capture.h"

#include "arch.h"
#include "links.h"
#include "memory.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

/* Limits on what is read, in bytes: the kernel takes no longer path, argument list, address or structure. */
enum {
    MOST_PATH = PATH_MAX - 1,
    MOST_VECTOR = 8 << 20,
    MOST_ADDRESS = 128,
    MOST_STRUCTURE = 4096,
    MOST_ENTRIES = 1 << 20,
    MOST_MESSAGES = 1024,
};

static struct text capture_text(struct tracee *tracee, int argument)
{
    struct record *record = &tracee->record;
    size_t attachment = record_attach(record, (unsigned)argument);
    uint64_t address = tracee->call.arguments[argument];
    enum attachment_type type = memory_append_string(record, tracee->tid, address, MOST_PATH);
    return record_attached(record, attachment, type);
}

static struct text capture_link(struct tracee *tracee, unsigned argument, int descriptor)
{
    struct record *record = &tracee->record;
    size_t attachment = record_attach(record, argument);
    return record_attached(record, attachment, link_append(record, tracee->tid, descriptor));
}

static void capture_cwd(struct tracee *tracee, int argument, const struct changes *changes)
{
    enum attachment_type type;
    const struct record *cwd = tracee_cwd(tracee, changes, &type);
    if (cwd == NULL) {
        capture_link(tracee, (unsigned)argument, AT_FDCWD);
        return;
    }
    size_t attachment = record_attach(&tracee->record, (unsigned)argument);
    record_bytes(&tracee->record, cwd->bytes, cwd->size);
    record_attached(&tracee->record, attachment, type);
}

/* A path, and the descriptor before it unless the path does not depend on it. A path of NULL is not attached. */
static void capture_path(struct tracee *tracee, int argument, unsigned nth, const struct changes *changes)
{
    struct call *call = &tracee->call;
    struct text *path = &call->paths[nth];
    if (call->arguments[argument] != 0)
        *path = capture_text(tracee, argument);
    if (path->length > 0 && tracee->record.bytes[path->offset] == '/')
        return;
    if (argument == 0 || call->row->args[argument - 1] != ARG_DIR)
        return;
    int descriptor = (int)call->arguments[argument - 1];
    if (descriptor == AT_FDCWD)
        capture_cwd(tracee, argument - 1, changes);
    else
        call->bases[nth] = capture_link(tracee, (unsigned)argument - 1, descriptor);
}

static struct text capture_bytes(struct tracee *tracee, int argument, uint64_t address, size_t size)
{
    struct record *record = &tracee->record;
    size_t attachment = record_attach(record, (unsigned)argument);
    size_t got = memory_read(tracee->tid, address, record_reserve(record, size), size);
    if (got < size)
        return record_attached(record, attachment, ATTACHED_UNREADABLE);
    record_grow(record, size);
    return record_attached(record, attachment, ATTACHED_BYTES);
}

static size_t at_most(uint64_t size, size_t most)
{
    return size < most ? (size_t)size : most;
}

/* The strings of a vector, each ended by NUL. */
static void capture_vector(struct tracee *tracee, int argument)
{
    struct record *record = &tracee->record;
    struct page pointers, strings;
    pointers.size = strings.size = 0;
    size_t attachment = record_attach(record, (unsigned)argument);
    size_t begin = record->size;
    enum attachment_type type = ATTACHED_VECTOR;
    uint64_t address = tracee->call.arguments[argument];
    for (;; address += sizeof address) {
        uint64_t string = 0;
        if (page_read(&pointers, tracee->tid, address, &string, sizeof string) != 0)
            type = ATTACHED_UNREADABLE;
        if (type != ATTACHED_VECTOR || string == 0)
            break;
        size_t left = MOST_VECTOR - (record->size - begin);
        type = page_append_string(&strings, record, tracee->tid, string, left);
        if (type != ATTACHED_TEXT)
            break;
        record_bytes(record, "", 1);
        type = ATTACHED_VECTOR;
    }
    if (type != ATTACHED_VECTOR)
        record->size = begin;
    record_attached(record, attachment, type);
}

/* The address that a message is sent to, empty if it names none. */
static void capture_message(struct tracee *tracee, int argument, uint64_t header)
{
    struct msghdr message;
    if (memory_read(tracee->tid, header, &message, sizeof message) < sizeof message)
        record_attached(&tracee->record, record_attach(&tracee->record, (unsigned)argument), ATTACHED_UNREADABLE);
    else
        capture_bytes(tracee, argument, (uint64_t)(uintptr_t)message.msg_name,
                      message.msg_name != NULL ? at_most(message.msg_namelen, MOST_ADDRESS) : 0);
}

static void capture_messages(struct tracee *tracee, int argument)
{
    uint64_t header = tracee->call.arguments[argument];
    size_t count = at_most(tracee->call.arguments[argument + 1] & 0xffffffffU, MOST_MESSAGES);
    for (size_t i = 0; i < count; i++, header += sizeof(struct mmsghdr))
        capture_message(tracee, argument, header);
}

/* Two times: in seconds alone, or of two words each. */
static size_t size_of_times(const struct call *call)
{
    return (call->number == NUMBER_UTIME ? 2 : 4) * sizeof(int64_t);
}

/* An argument that points to something, when it does. Returns the structure that may hold flags, else nothing. */
static struct text capture_pointed(struct tracee *tracee, int argument)
{
    struct call *call = &tracee->call;
    uint64_t address = call->arguments[argument];
    uint64_t next = argument < 5 ? call->arguments[argument + 1] : 0;
    struct text nothing = {0, 0, ATTACHED_NOTHING};
    if (address == 0)
        return nothing;
    switch (call->row->args[argument]) {
    case ARG_TEXT:
        capture_text(tracee, argument);
        return nothing;
    case ARG_ARGV:
        capture_vector(tracee, argument);
        return nothing;
    case ARG_HOW:
        return capture_bytes(tracee, argument, address, at_most(next, MOST_STRUCTURE));
    case ARG_ADDRESS:
        capture_bytes(tracee, argument, address, at_most(next & 0xffffffffU, MOST_ADDRESS));
        return nothing;
    case ARG_MESSAGE:
        capture_message(tracee, argument, address);
        return nothing;
    case ARG_MESSAGES:
        capture_messages(tracee, argument);
        return nothing;
    case ARG_TIMES:
        capture_bytes(tracee, argument, address, size_of_times(call));
        return nothing;
    default:
        return nothing;
    }
}

/* What is recorded of a register: of a pointer whether it points, so that equal calls have equal records. */
static uint64_t recorded(uint8_t kind, uint64_t value)
{
    switch (kind) {
    case ARG_UNUSED:
    case ARG_HEAD:
        return 0;
    case ARG_INT:
    case ARG_DIR:
    case ARG_FD:
        return value;
    default:
        return value != 0;
    }
}

void capture_entry(struct tracee *tracee, const struct changes *changes)
{
    struct call *call = &tracee->call;
    struct text structure = {0, 0, ATTACHED_NOTHING};
    unsigned paths = 0;
    call->paths[0] = call->paths[1] = call->bases[0] = call->bases[1] = structure;
    uint64_t registers[6];
    for (int i = 0; i < 6; i++)
        registers[i] = recorded(call->row->args[i], call->arguments[i]);
    record_begin_call(&tracee->record, tracee->tid, call->number, registers);
    for (int i = 0; i < 6; i++) {
        uint8_t kind = call->row->args[i];
        if (kind == ARG_UNUSED || kind == ARG_INT || kind == ARG_DIR)
            continue;
        if (kind == ARG_FD) {
            call->bases[0] = capture_link(tracee, (unsigned)i, (int)call->arguments[i]);
        } else if (kind == ARG_PATH && paths < 2) {
            capture_path(tracee, i, paths++, changes);
        } else {
            struct text found = capture_pointed(tracee, i);
            structure = found.type != ATTACHED_NOTHING ? found : structure;
        }
    }
    call_read_flags(call, tracee->record.bytes + structure.offset, structure.length);
}

/* Attach a part of what was told. */
static struct text capture_part(struct tracee *tracee, unsigned argument, const char *bytes, size_t size,
                                enum attachment_type type)
{
    size_t attachment = record_attach(&tracee->record, argument);
    record_bytes(&tracee->record, bytes, size);
    return record_attached(&tracee->record, attachment, type);
}

static void capture_read(struct tracee *tracee, unsigned argument, const struct slot *slot)
{
    struct record *record = &tracee->record;
    size_t attachment = record_attach(record, argument);
    told_read(slot, record_reserve(record, slot->read_length));
    record_grow(record, slot->read_length);
    record_attached(record, attachment, ATTACHED_BYTES);
}

/* Whether an open led to just what its path says: nothing of what that is made of was a link. */
static bool opened_what_it_named(const struct slot *slot, const struct told_names *names)
{
    return names->opened_length > 0 && names->opened_length == slot->path_length &&
           memcmp(slot->bytes, names->opened, names->opened_length) == 0;
}

enum record_state capture_told(struct tracee *tracee, const struct slot *slot, const struct told_names *names)
{
    struct call *call = &tracee->call;
    uint64_t registers[6];
    call->number = slot->number;
    call->row = call_row(slot->number);
    memcpy(call->arguments, slot->arguments, sizeof call->arguments);
    call->paths[0] = call->paths[1] = call->bases[0] = call->bases[1] = (struct text){0, 0, ATTACHED_NOTHING};
    for (int i = 0; i < 6; i++)
        registers[i] = recorded(call->row->args[i], call->arguments[i]);
    record_begin_call(&tracee->record, tracee->tid, call->number, registers);
    for (int i = 0; i < 6; i++) {
        switch (call->row->args[i]) {
        case ARG_FD:
            call->bases[0] = capture_part(tracee, (unsigned)i, names->base, names->base_length, ATTACHED_LINK);
            break;
        case ARG_PATH:
            call->paths[0] = capture_part(tracee, (unsigned)i, slot->bytes, slot->path_length, ATTACHED_TEXT);
            if (names->base_length > 0)
                call->bases[0] = capture_part(tracee, (unsigned)i - 1, names->base, names->base_length, ATTACHED_LINK);
            break;
        case ARG_ENTRIES:
            capture_read(tracee, (unsigned)i, slot);
            break;
        default:
            break;
        }
    }
    call_read_flags(call, NULL, 0);
    if (opened_what_it_named(slot, names))
        return STATE_LOOKED;
    if (names->opened_length > 0)
        capture_part(tracee, ATTACHED_TO_RESULT, names->opened, names->opened_length, ATTACHED_LINK);
    return STATE_RETURNED;
}

static void capture_filled(struct tracee *tracee, int argument, int64_t result)
{
    const struct call *call = &tracee->call;
    uint32_t size;
    if (call->row->args[argument] == ARG_ENTRIES) {
        capture_bytes(tracee, argument, call->arguments[argument], at_most((uint64_t)result, MOST_ENTRIES));
    } else if (call->row->args[argument] == ARG_ADDRESS_OUT) {
        if (memory_read(tracee->tid, call->arguments[argument + 1], &size, sizeof size) == sizeof size)
            capture_bytes(tracee, argument, call->arguments[argument], at_most(size, MOST_ADDRESS));
    }
}

void capture_exit(struct tracee *tracee, int64_t result)
{
    enum call_effect effect = (enum call_effect)tracee->call.row->effect;
    if (result < 0)
        return;
    for (int i = 0; i < 6; i++)
        capture_filled(tracee, i, result);
    if (effect == EFFECT_OPEN || effect == EFFECT_CREATE)
        capture_link(tracee, ATTACHED_TO_RESULT, (int)result);
}
