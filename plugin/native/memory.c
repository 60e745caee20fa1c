/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "memory.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* The smallest page there is: within one, all bytes can be read or none. */
enum { PAGE = 4096 };

/* How much of a string is read at first, in bytes: most paths are shorter. */
enum { CHUNK = 256 };

static size_t to_page_end(uint64_t address)
{
    return PAGE - (size_t)(address % PAGE);
}

/* For kernels that refuse process_vm_readv: word by word. */
static size_t peek(pid_t tid, uint64_t address, uint8_t *into, size_t size)
{
    size_t done = 0;
    while (done < size) {
        uint64_t word_address = (address + done) & ~(uint64_t)7;
        size_t skipped = (size_t)(address + done - word_address);
        errno = 0;
        long word = ptrace(PTRACE_PEEKDATA, tid, (void *)(uintptr_t)word_address, NULL);
        if (errno != 0)
            break;
        size_t part = sizeof word - skipped < size - done ? sizeof word - skipped : size - done;
        memcpy(into + done, (uint8_t *)&word + skipped, part);
        done += part;
    }
    return done;
}

static size_t read_within_page(pid_t tid, uint64_t address, uint8_t *into, size_t size)
{
    struct iovec local = {into, size};
    struct iovec remote = {(void *)(uintptr_t)address, size};
    ssize_t got = process_vm_readv(tid, &local, 1, &remote, 1, 0);
    if (got < 0 && (errno == ENOSYS || errno == EPERM))
        return peek(tid, address, into, size);
    return got < 0 ? 0 : (size_t)got;
}

size_t memory_read(pid_t tid, uint64_t address, void *into, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t part = to_page_end(address + done);
        part = part < size - done ? part : size - done;
        size_t got = read_within_page(tid, address + done, (uint8_t *)into + done, part);
        done += got;
        if (got < part)
            break;
    }
    return done;
}

int memory_write(pid_t tid, uint64_t address, const void *from, size_t size)
{
    struct iovec local = {(void *)(uintptr_t)from, size};
    struct iovec remote = {(void *)(uintptr_t)address, size};
    return process_vm_writev(tid, &local, 1, &remote, 1, 0) == (ssize_t)size ? 0 : -1;
}

enum attachment_type memory_append_string(struct record *record, pid_t tid, uint64_t address, size_t limit)
{
    size_t done = 0;
    for (size_t chunk = CHUNK; done <= limit; chunk = PAGE) {
        size_t part = to_page_end(address + done);
        part = part < chunk ? part : chunk;
        part = part < limit + 1 - done ? part : limit + 1 - done;
        uint8_t *into = record_reserve(record, part);
        size_t got = read_within_page(tid, address + done, into, part);
        const uint8_t *end = got > 0 ? memchr(into, 0, got) : NULL;
        if (end != NULL) {
            record_grow(record, (size_t)(end - into));
            return ATTACHED_TEXT;
        }
        if (got < part) {
            record->size -= done;
            return ATTACHED_UNREADABLE;
        }
        record_grow(record, part);
        done += part;
    }
    record->size -= done - limit;
    return ATTACHED_TOO_LONG;
}

/* Make the page that holds an address the one at hand; returns how many of its bytes follow, 0 if unreadable. */
static size_t turn_to(struct page *page, pid_t tid, uint64_t address)
{
    uint64_t start = address - address % PAGE;
    if (page->size == 0 || page->tid != tid || page->address != start) {
        page->tid = tid;
        page->address = start;
        page->size = read_within_page(tid, start, page->bytes, PAGE);
    }
    size_t offset = (size_t)(address - start);
    return page->size > offset ? page->size - offset : 0;
}

enum attachment_type page_append_string(struct page *page, struct record *record, pid_t tid, uint64_t address,
                                        size_t limit)
{
    size_t done = 0;
    while (done <= limit) {
        size_t part = turn_to(page, tid, address + done);
        if (part == 0) {
            record->size -= done;
            return ATTACHED_UNREADABLE;
        }
        const uint8_t *from = page->bytes + (address + done) % PAGE;
        const uint8_t *end = memchr(from, 0, part);
        part = end != NULL ? (size_t)(end - from) : part;
        record_bytes(record, from, part);
        done += part;
        if (end != NULL && done <= limit)
            return ATTACHED_TEXT;
    }
    record->size -= done - limit;
    return ATTACHED_TOO_LONG;
}

int page_read(struct page *page, pid_t tid, uint64_t address, void *into, size_t size)
{
    if (turn_to(page, tid, address) < size)
        return memory_read(tid, address, into, size) == size ? 0 : -1;
    memcpy(into, page->bytes + address % PAGE, size);
    return 0;
}
