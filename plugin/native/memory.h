/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the memory of a stopped thread. */
#ifndef PYTRACE_MEMORY_H
#define PYTRACE_MEMORY_H

#include "record.h"

/* Read up to `size` bytes; returns how many could be read from the start on. */
size_t memory_read(pid_t tid, uint64_t address, void *into, size_t size);

/* Write `size` bytes. Returns 0, or -1. */
int memory_write(pid_t tid, uint64_t address, const void *from, size_t size);

/* Append the string at `address` to a record, without its NUL and no more than `limit` bytes of it.
 *
 * Returns ATTACHED_TEXT, ATTACHED_UNREADABLE (then nothing was appended) or ATTACHED_TOO_LONG. */
enum attachment_type memory_append_string(struct record *record, pid_t tid, uint64_t address, size_t limit);

/* One page of a thread's memory, kept while the strings of a vector are read from it. */
struct page {
    pid_t tid;
    uint64_t address;
    size_t size;
    uint8_t bytes[4096];
};

/* As `memory_append_string`, by way of `page`; its `size` begins as 0, and it is good only while the thread stands. */
enum attachment_type page_append_string(struct page *page, struct record *record, pid_t tid, uint64_t address,
                                        size_t limit);

/* Read `size` bytes by way of `page`. Returns 0, or -1. */
int page_read(struct page *page, pid_t tid, uint64_t address, void *into, size_t size);

#endif
