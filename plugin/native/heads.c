/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "heads.h"

#include "looks.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than the kernel reads of a script, and than what compilers put before the name of an ELF program's loader. */
enum { HEAD = 4096 };

static bool changed_since(int file, const struct timespec *began)
{
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    const struct timespec *changed = &status.st_ctim;
    return changed->tv_sec > began->tv_sec || (changed->tv_sec == began->tv_sec && changed->tv_nsec >= began->tv_nsec);
}

static void attach(struct tracee *tracee, unsigned argument, int file)
{
    struct record *record = &tracee->record;
    size_t attachment = record_attach(record, argument);
    ssize_t size = pread(file, record_reserve(record, HEAD), HEAD, 0);
    record_grow(record, size > 0 ? (size_t)size : 0);
    record_attached(record, attachment, size < 0 ? ATTACHED_UNREADABLE : ATTACHED_BYTES);
}

void heads_attach(struct tracee *tracee, const struct changes *changes, const struct timespec *began)
{
    char path[PATH_MAX];
    int argument = call_position(&tracee->call, ARG_HEAD, 0);
    if (argument < 0 || !look_absolute_path(changes, tracee, 0, path))
        return;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0)
        return;
    if (changed_since(file, began))
        attach(tracee, (unsigned)argument, file);
    close(file);
}
