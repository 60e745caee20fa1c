/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "secured.h"

#include "links.h"
#include "looks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* The largest file that is kept and how much is copied altogether, in bytes; how many descriptors stay free. */
static const int64_t LARGEST = 64 << 20;
static const uint64_t MOST_COPIED = 512 << 20;
enum { SPARE_DESCRIPTORS = 16 };

/* How a call destroys content: the file is changed in place, or its last name goes. */
enum destruction { DESTROYS_NOTHING, DESTROYS_IN_PLACE, DESTROYS_NAME };

void secured_begin(struct secured *secured)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    unsigned most = limit.rlim_cur < INT_MAX ? (unsigned)limit.rlim_cur : INT_MAX;
    secured->most_descriptors = most > SPARE_DESCRIPTORS ? most - SPARE_DESCRIPTORS : 0;
}

/* What a call destroys, and by which of its paths. */
static enum destruction destruction_by(const struct call *call, unsigned *nth)
{
    *nth = 0;
    switch (call->row->effect) {
    case EFFECT_OPEN:
    case EFFECT_CREATE:
        if (!call_opens_to_change(call) || call->odd || call_makes_new(call))
            return DESTROYS_NOTHING;
        return call->flags & (O_PATH | O_DIRECTORY) ? DESTROYS_NOTHING : DESTROYS_IN_PLACE;
    case EFFECT_TRUNCATE:
        return DESTROYS_IN_PLACE;
    case EFFECT_UNLINK:
        return call->flags & AT_REMOVEDIR ? DESTROYS_NOTHING : DESTROYS_NAME;
    case EFFECT_RENAME:
        *nth = 1;
        return call->flags & (RENAME_NOREPLACE | RENAME_EXCHANGE) ? DESTROYS_NOTHING : DESTROYS_NAME;
    default:
        return DESTROYS_NOTHING;
    }
}

static bool copy_all(int from, int to, int64_t size)
{
    if (ioctl(to, FICLONE, from) == 0)
        return true;
    int64_t done = 0;
    while (done < size) {
        ssize_t part = sendfile(to, from, NULL, (size_t)(size - done));
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return false;
        done += part;
    }
    return true;
}

/* A file without name: beside the original where that can share its blocks, else in memory. */
static int scratch_file(const char *path, int original)
{
    char folder[PATH_MAX];
    const char *end = strrchr(path, '/');
    size_t length = end != NULL && end != path ? (size_t)(end - path) : 1;
    memcpy(folder, path, length);
    folder[length] = 0;
    int beside = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (beside >= 0 && ioctl(beside, FICLONE, original) == 0)
        return beside;
    if (beside >= 0)
        close(beside);
    return memfd_create("pytrace", MFD_CLOEXEC);
}

static int copy_of(struct secured *secured, const char *path, int original, int64_t size)
{
    if (secured->copied + (uint64_t)size > MOST_COPIED)
        return -1;
    int copy = scratch_file(path, original);
    if (copy >= 0 && !copy_all(original, copy, size)) {
        close(copy);
        return -1;
    }
    secured->copied += (uint64_t)size;
    return copy;
}

/* Open a file for reading as quietly as possible, if it is still the one that was looked at. */
static int open_same(const char *path, const struct stat *status)
{
    struct stat opened;
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int descriptor = open(path, flags | O_NOATIME);
    if (descriptor < 0 && errno == EPERM)
        descriptor = open(path, flags);
    if (descriptor < 0)
        return -1;
    if (fstat(descriptor, &opened) == 0 && opened.st_dev == status->st_dev && opened.st_ino == status->st_ino)
        return descriptor;
    close(descriptor);
    return -1;
}

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* What is kept, and of which file: `original` is a descriptor of it. */
static void tell(struct stream *stream, pid_t tid, int descriptor, const struct stat *status, int original)
{
    struct record record = {NULL, 0, 0};
    record_begin(&record, RECORD_SECURED, tid);
    record_u32(&record, (uint32_t)descriptor);
    record_u64(&record, status->st_dev);
    record_u64(&record, status->st_ino);
    record_u64(&record, (uint64_t)status->st_size);
    record_u64(&record, (uint64_t)nanoseconds(status->st_mtim));
    record_u64(&record, (uint64_t)nanoseconds(status->st_ctim));
    record_u32(&record, status->st_mode);
    record_u32(&record, (uint32_t)status->st_nlink);
    if (link_append(&record, getpid(), original) == ATTACHED_LINK)
        stream_put(stream, &record);
    record_free(&record);
}

/* Whether a file is one that must and can be kept. */
static bool is_wanted(const struct secured *secured, const struct stat *status, enum destruction how)
{
    if (!S_ISREG(status->st_mode) || status->st_size > LARGEST)
        return false;
    if (how == DESTROYS_NAME && (status->st_nlink > 1 || inodes_hold(&secured->named, status)))
        return false;
    return !inodes_hold(&secured->made, status) && !inodes_hold(&secured->kept, status);
}

static void keep(struct secured *secured, const char *path, const struct stat *status, enum destruction how,
                 pid_t tid, struct stream *stream)
{
    int original = open_same(path, status);
    if (original < 0)
        return;
    int kept = how == DESTROYS_NAME ? original : copy_of(secured, path, original, status->st_size);
    bool has_room = kept >= 0 && (unsigned)kept < secured->most_descriptors;
    if (has_room) {
        inodes_add(how == DESTROYS_NAME ? &secured->named : &secured->kept, status);
        tell(stream, tid, kept, status, original);
    } else if (kept >= 0) {
        close(kept);
    }
    if (kept != original)
        close(original);
}

/* Put the absolute path of what a call destroys into `path`. Returns false if it is not known. */
static bool destroyed_path(const struct changes *changes, struct tracee *tracee, unsigned nth, char *path)
{
    const struct text *link = &tracee->call.bases[0];
    if (call_position(&tracee->call, ARG_FD, 0) != 0)
        return look_absolute_path(changes, tracee, nth, path);
    if (link->type != ATTACHED_LINK || link->length >= PATH_MAX || tracee->record.bytes[link->offset] != '/')
        return false;
    memcpy(path, tracee->record.bytes + link->offset, link->length);
    path[link->length] = 0;
    return true;
}

void secured_before(struct secured *secured, struct places *places, const struct changes *changes,
                    struct tracee *tracee, struct stream *stream)
{
    char path[PATH_MAX];
    struct stat status;
    unsigned nth;
    const struct call *call = &tracee->call;
    enum destruction how = destruction_by(call, &nth);
    tracee->creates = call_makes_new(call);
    if (how == DESTROYS_NOTHING || !destroyed_path(changes, tracee, nth, path))
        return;
    bool follow = how == DESTROYS_IN_PLACE && (call->flags & O_NOFOLLOW) == 0;
    int found = places_look(places, changes, path, follow, &status);
    if (found == 0 && is_wanted(secured, &status, how))
        keep(secured, path, &status, how, tracee->tid, stream);
    if (found == -ENOENT && how == DESTROYS_IN_PLACE && (call->flags & O_CREAT) != 0)
        tracee->creates = true;
}

void secured_made(struct secured *secured, pid_t tid, int descriptor)
{
    struct stat status;
    if (link_status(tid, descriptor, &status) == 0 && S_ISREG(status.st_mode))
        inodes_add(&secured->made, &status);
}
