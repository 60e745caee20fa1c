/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "call.h"

#include "arch.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <string.h>

/* Harmless to a run, but afterwards the tracer may see files that the caller does not, or the other way round. */
static const uint32_t HIDING[] = {SYS_setfsuid, SYS_setfsgid, 446 /* landlock_restrict_self */};

static const struct call_row UNKNOWN = {NULL, CALL_UNKNOWN, EFFECT_NONE, {ARG_INT, ARG_INT, ARG_INT, ARG_INT, ARG_INT, ARG_INT}};

const struct call_row *call_row(uint32_t number)
{
    return number < CALLS_COUNT ? &ARCH_CALLS[number] : &UNKNOWN;
}

bool call_hides_files(uint32_t number)
{
    for (size_t i = 0; i < sizeof HIDING / sizeof *HIDING; i++)
        if (HIDING[i] == number)
            return true;
    return false;
}

bool call_may_be_told_inside(uint32_t number)
{
#if defined(__x86_64__)
    static const uint32_t told[] = {
        SYS_stat,       SYS_fstat,      SYS_lstat,     SYS_newfstatat, SYS_statx,      SYS_access,    SYS_faccessat, NUMBER_FACCESSAT2,
        SYS_readlink,   SYS_readlinkat, SYS_open,      SYS_openat,     SYS_getdents64, SYS_ioctl,     SYS_prlimit64,
    };
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (told[i] == number)
            return true;
#endif
    (void)number;
    return false;
}

bool call_is_about_processors(uint32_t number)
{
    return number == SYS_sched_setaffinity || number == SYS_sched_getaffinity;
}

bool call_is_let_through(uint32_t number, const struct detail *detail)
{
    const struct call_row *row = call_row(number);
    switch (row->action) {
    case CALL_HARMLESS:
        return !call_hides_files(number) && !call_is_about_processors(number);
    case CALL_READS:
        return !detail->reads;
    case CALL_WRITES:
        return !detail->writes;
    case CALL_READS_WRITES:
        return !detail->reads && !detail->writes;
    default:
        return row->effect == EFFECT_NOTHING || (row->effect == EFFECT_FORK && number != NUMBER_CLONE3);
    }
}

uint32_t call_special_fork_flags(void)
{
    return CLONE_UNTRACED | CLONE_NEWNS | CLONE_NEWUSER;
}

int call_position(const struct call *call, enum call_arg kind, unsigned nth)
{
    for (int i = 0; i < 6; i++)
        if (call->row->args[i] == kind && nth-- == 0)
            return i;
    return -1;
}

int call_base(const struct call *call, unsigned nth)
{
    int path = call_position(call, ARG_PATH, nth);
    return path > 0 && call->row->args[path - 1] == ARG_DIR ? (int)call->arguments[path - 1] : AT_FDCWD;
}

static void read_open_flags(struct call *call, const uint8_t *structure, size_t size)
{
    struct open_how how = {0};
    if (call->number == NUMBER_OPENAT2) {
        memcpy(&how, structure, size < sizeof how ? size : sizeof how);
        call->flags = how.flags;
        call->odd = size < sizeof how || how.resolve != 0;
    } else {
        int path = call_position(call, ARG_PATH, 0);
        call->flags = path >= 0 ? call->arguments[path + 1] & 0xffffffffU : 0;
        call->odd = path < 0;
    }
}

static void read_status_flags(struct call *call)
{
    switch ((int)call->number) {
    case NUMBER_STAT:
    case NUMBER_FSTAT:
        return;
    case NUMBER_LSTAT:
        call->flags = AT_SYMLINK_NOFOLLOW;
        return;
    case SYS_newfstatat:
        call->flags = call->arguments[3];
        break;
    case SYS_statx:
        call->flags = call->arguments[2] & ~(uint64_t)AT_STATX_SYNC_TYPE;
        break;
    default:
        call->odd = true;
    }
    call->odd |= (call->flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT)) != 0;
}

static void read_fork_flags(struct call *call, const uint8_t *structure, size_t size)
{
    if (call->number == NUMBER_CLONE3) {
        call->odd = size < sizeof call->flags;
        if (!call->odd)
            memcpy(&call->flags, structure, sizeof call->flags);
    } else if (call->number == SYS_clone) {
        call->flags = call->arguments[0];
    }
}

void call_read_flags(struct call *call, const uint8_t *structure, size_t size)
{
    call->flags = 0;
    call->odd = false;
    switch (call->row->effect) {
    case EFFECT_OPEN:
        read_open_flags(call, structure, size);
        break;
    case EFFECT_CREATE:
        call->flags = O_CREAT | O_WRONLY | O_TRUNC;
        break;
    case EFFECT_STATUS:
        read_status_flags(call);
        break;
    case EFFECT_ACCESS:
        call->flags = call->number == NUMBER_FACCESSAT2 ? call->arguments[3] : 0;
        call->odd = (call->flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EACCESS)) != 0;
        break;
    case EFFECT_UNLINK:
        call->flags = call->number == SYS_unlinkat ? call->arguments[2] : 0;
        break;
    case EFFECT_RENAME:
        call->flags = call->number == SYS_renameat2 ? call->arguments[4] : 0;
        break;
    case EFFECT_FORK:
        read_fork_flags(call, structure, size);
        break;
    default:
        break;
    }
}

bool call_opens_to_change(const struct call *call)
{
    if (call->row->effect != EFFECT_OPEN && call->row->effect != EFFECT_CREATE)
        return false;
    return (call->flags & O_ACCMODE) != O_RDONLY || (call->flags & O_TRUNC) != 0;
}

bool call_makes_new(const struct call *call)
{
    const uint64_t exclusive = O_CREAT | O_EXCL;
    if (call->row->effect != EFFECT_OPEN || call->odd)
        return false;
    return (call->flags & exclusive) == exclusive || (call->flags & O_TMPFILE) == O_TMPFILE;
}

bool call_looks(const struct call *call)
{
    switch (call->row->effect) {
    case EFFECT_STATUS:
    case EFFECT_ACCESS:
    case EFFECT_LINK:
        return true;
    case EFFECT_OPEN:
        return !call->odd && !call_opens_to_change(call) && (call->flags & O_CREAT) == 0;
    default:
        return false;
    }
}

bool call_is_often_repeated(const struct call *call)
{
    return (EFFECTS_LOOKS >> call->row->effect & 1) != 0;
}

bool call_changes(const struct call *call)
{
    switch (call->row->effect) {
    case EFFECT_LISTING:
    case EFFECT_ATTRIBUTE:
    case EFFECT_CHDIR:
    case EFFECT_EXECUTE:
    case EFFECT_FORK:
    case EFFECT_UMASK:
    case EFFECT_NOTHING:
    case EFFECT_HOST:
    case EFFECT_LIMIT:
    case EFFECT_STATFS:
    case EFFECT_SOCKET_NAME:
    case EFFECT_TRANSFER:
        return false;
    default:
        return !call_looks(call);
    }
}
