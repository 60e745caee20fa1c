/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "stream.h"

#include "allocate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How much is collected before it is written, and how much may wait for a reader that takes its time, in bytes. */
enum { BATCH = 1 << 16, MOST_WAITING = 1 << 26 };

static void append(struct stream *stream, const void *bytes, size_t size)
{
    if (stream->capacity - stream->end < size) {
        if (stream->begin > 0)
            memmove(stream->bytes, stream->bytes + stream->begin, stream->end - stream->begin);
        stream->end -= stream->begin;
        stream->begin = 0;
        size_t capacity = stream->capacity < 2 * BATCH ? 2 * BATCH : stream->capacity;
        while (capacity - stream->end < size)
            capacity *= 2;
        if (capacity != stream->capacity)
            stream->bytes = allocate(stream->bytes, capacity);
        stream->capacity = capacity;
    }
    memcpy(stream->bytes + stream->end, bytes, size);
    stream->end += size;
}

int stream_open(struct stream *stream, const char *name)
{
    struct stat status;
    *stream = (struct stream){.descriptor = open(name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)};
    if (stream->descriptor < 0 || fstat(stream->descriptor, &status) != 0)
        return -1;
    stream->is_pipe = S_ISFIFO(status.st_mode);
    uint32_t self = (uint32_t)getpid();
    append(stream, STREAM_MAGIC, STREAM_MAGIC_SIZE);
    append(stream, &self, sizeof self);
    return 0;
}

static void write_if_enough(struct stream *stream)
{
    size_t waiting = stream->end - stream->begin;
    if (waiting >= MOST_WAITING)
        stream_drain(stream);
    else if (waiting >= BATCH)
        stream_flush(stream);
}

void stream_put(struct stream *stream, struct record *record)
{
    if (stream->broken)
        return;
    uint32_t size = (uint32_t)record->size;
    memcpy(record->bytes, &size, sizeof size);
    append(stream, record->bytes, record->size);
    stream->again = 0;
    write_if_enough(stream);
}

void stream_put_again(struct stream *stream, pid_t pid, uint32_t number)
{
    if (stream->broken)
        return;
    if (stream->again == 0 || stream->again_by != pid) {
        const uint32_t header[] = {0, RECORD_AGAIN, (uint32_t)pid};
        append(stream, header, sizeof header);
        stream->again = sizeof header;
        stream->again_by = pid;
    }
    append(stream, &number, sizeof number);
    stream->again += (uint32_t)sizeof number;
    memcpy(stream->bytes + stream->end - stream->again, &stream->again, sizeof stream->again);
    write_if_enough(stream);
}

bool stream_waiting(const struct stream *stream)
{
    return stream->begin != stream->end;
}

void stream_flush(struct stream *stream)
{
    stream->again = 0;
    while (stream_waiting(stream)) {
        ssize_t written = write(stream->descriptor, stream->bytes + stream->begin, stream->end - stream->begin);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            stream->broken = errno != EAGAIN;
            break;
        }
        stream->begun = true;
        stream->begin += (size_t)written;
    }
    if (stream->broken || !stream_waiting(stream))
        stream->begin = stream->end = 0;
}

void stream_drain(struct stream *stream)
{
    stream_flush(stream);
    while (stream_waiting(stream)) {
        struct pollfd pipe = {stream->descriptor, POLLOUT, 0};
        poll(&pipe, 1, -1);
        stream_flush(stream);
    }
}

void stream_wait_closed(const struct stream *stream)
{
    struct pollfd pipe = {stream->descriptor, 0, 0};
    while (stream->is_pipe && !stream->broken && !(pipe.revents & (POLLERR | POLLNVAL)))
        poll(&pipe, 1, -1);
}
