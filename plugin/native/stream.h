/* SPDX-License-Identifier: Apache-2.0 */
/* The pipe to the wrapper: records in batches, and never a wait for the reader as long as memory lasts. */
#ifndef PYTRACE_STREAM_H
#define PYTRACE_STREAM_H

#include "record.h"

#include <stdbool.h>

#define STREAM_MAGIC "PTRSTRM\1"
enum { STREAM_MAGIC_SIZE = 8 };

/* `is_pipe`: somebody reads, and closes. `begun`: some of it was written. `broken`: nobody reads any more, and nothing is
 * written from then on. `again`: how many bytes at the end are a record of looks told again, which may grow, or 0; and
 * the thread that made them. */
struct stream {
    int descriptor;
    bool is_pipe;
    bool begun;
    bool broken;
    uint8_t *bytes;
    size_t begin;
    size_t end;
    size_t capacity;
    uint32_t again;
    pid_t again_by;
};

/* Open the pipe `name` and begin the stream with the number of this process. Returns 0, or -1 with errno. */
int stream_open(struct stream *stream, const char *name);

/* Append a finished record. */
void stream_put(struct stream *stream, struct record *record);

/* Append that a thread has looked again, as the record of a number said. */
void stream_put_again(struct stream *stream, pid_t pid, uint32_t number);

/* Whether something is left to be written. */
bool stream_waiting(const struct stream *stream);

/* Write what the pipe has room for. */
void stream_flush(struct stream *stream);

/* Write everything, however long the reader takes. */
void stream_drain(struct stream *stream);

/* Wait until the reader has closed the pipe, if it is one. */
void stream_wait_closed(const struct stream *stream);

#endif
