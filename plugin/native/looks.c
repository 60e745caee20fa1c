/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "looks.h"

#include "arch.h"
#include "links.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* O_LARGEFILE as the kernel knows it; the C library's is 0 where all files may be large. */
enum { LARGE_FILE = 0100000 };

/* Flags of an open that leave it plain. */
static const uint64_t PLAIN_FLAGS = O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | LARGE_FILE;

bool look_absolute_path(const struct changes *changes, struct tracee *tracee, unsigned nth, char *path)
{
    const struct call *call = &tracee->call;
    const struct text *named = &call->paths[nth], *base = &call->bases[nth];
    const uint8_t *bytes = tracee->record.bytes, *start = NULL;
    size_t length = 0;
    if (named->type != ATTACHED_TEXT || named->length == 0)
        return false;
    if (bytes[named->offset] != '/') {
        enum attachment_type type = base->type;
        const struct record *cwd = NULL;
        if (call_base(call, nth) == AT_FDCWD)
            cwd = tracee_cwd(tracee, changes, &type);
        start = cwd != NULL ? cwd->bytes : bytes + base->offset;
        length = cwd != NULL ? cwd->size : base->length;
        if (type != ATTACHED_LINK || (cwd == NULL && base->type != ATTACHED_LINK) || length == 0 || start[0] != '/')
            return false;
    }
    if (length + 1 + named->length >= PATH_MAX)
        return false;
    if (length > 0) {
        memcpy(path, start, length);
        path[length++] = '/';
    }
    memcpy(path + length, bytes + named->offset, named->length);
    path[length + named->length] = 0;
    return true;
}

static bool may(const char *path, uint64_t mode, uint64_t flags, int64_t *result)
{
    if (syscall(SYS_faccessat2, AT_FDCWD, path, mode, flags) == 0) {
        *result = 0;
        return true;
    }
    *result = -errno;
    return *result == -EACCES || *result == -EROFS;
}

static bool look_access(const struct call *call, const char *path, int64_t *result)
{
    int position = call_position(call, ARG_PATH, 0) + 1;
    uint64_t mode = call->arguments[position] & 0xffffffffU;
    return mode <= (R_OK | W_OK | X_OK) && may(path, mode, call->flags, result);
}

static bool look_link(const struct call *call, const char *path, const struct stat *status, int64_t *result)
{
    char target[PATH_MAX];
    int position = call_position(call, ARG_PATH, 0) + 2;
    int room = (int)call->arguments[position];
    if (room <= 0)
        return false;
    *result = -EINVAL;
    if (!S_ISLNK(status->st_mode))
        return true;
    *result = readlink(path, target, room < PATH_MAX ? (size_t)room : PATH_MAX);
    return *result >= 0;
}

/* The kernel judges an owner by the mode alone. */
static bool owner_may_read(const struct stat *status)
{
    return status->st_uid == geteuid() && (status->st_mode & S_IRUSR) != 0;
}

/* An open for reading. The number of the descriptor is not known: the result is 0. */
static bool look_open(const struct call *call, const char *path, const struct stat *status, int64_t *result)
{
    bool folder = S_ISDIR(status->st_mode);
    if (!S_ISREG(status->st_mode) && !folder)
        return false;
    *result = -ENOTDIR;
    if (!folder && (call->flags & O_DIRECTORY) != 0)
        return true;
    *result = 0;
    return owner_may_read(status) || may(path, R_OK, AT_EACCESS, result);
}

static bool look_at_path(struct places *places, const struct changes *changes, struct tracee *tracee, int64_t *result)
{
    char path[PATH_MAX];
    struct stat status;
    const struct call *call = &tracee->call;
    enum call_effect effect = (enum call_effect)call->row->effect;
    bool opens = effect == EFFECT_OPEN;
    if (opens && (call->flags & ~PLAIN_FLAGS) != 0)
        return false;
    if (!look_absolute_path(changes, tracee, 0, path))
        return false;
    bool follow = effect != EFFECT_LINK && (call->flags & (uint64_t)(opens ? O_NOFOLLOW : AT_SYMLINK_NOFOLLOW)) == 0;
    int found = places_look(places, changes, path, follow, &status);
    *result = found;
    if (found != 0)
        return found != PLACE_UNSURE;
    if (effect == EFFECT_EXECUTE)
        return false;
    switch (effect) {
    case EFFECT_STATUS:
        return true;
    case EFFECT_ACCESS:
        return look_access(call, path, result);
    case EFFECT_LINK:
        return look_link(call, path, &status, result);
    default:
        return look_open(call, path, &status, result);
    }
}

/* The status of a descriptor can be had if there is one, and is refused if there is none. */
static bool look_at_descriptor(const struct text *link, int64_t *result)
{
    *result = link->type == ATTACHED_UNREADABLE ? -EBADF : 0;
    return link->type == ATTACHED_LINK || link->type == ATTACHED_DELETED_LINK;
}

/* Whether an open file is a terminal: Python asks that of each. No file with blocks is one. */
static bool look_at_terminal(const struct tracee *tracee, int64_t *result)
{
    struct stat status;
    const struct call *call = &tracee->call;
    if (call->arguments[1] != TCGETS || call->bases[0].type != ATTACHED_LINK ||
        link_status(tracee->tid, (int)call->arguments[0], &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    *result = -ENOTTY;
    return true;
}

bool look(struct places *places, const struct changes *changes, struct tracee *tracee, int64_t *result)
{
    const struct call *call = &tracee->call;
    if (call->row->effect == EFFECT_IOCTL)
        return look_at_terminal(tracee, result);
    if (call->odd || (!call_looks(call) && call->row->effect != EFFECT_EXECUTE))
        return false;
    bool spelled = call->paths[0].type == ATTACHED_TEXT && call->paths[0].length > 0;
    if (spelled)
        return look_at_path(places, changes, tracee, result);
    bool empty = call->number == NUMBER_FSTAT || (call->flags & AT_EMPTY_PATH) != 0;
    return call->row->effect == EFFECT_STATUS && empty && look_at_descriptor(&call->bases[0], result);
}
