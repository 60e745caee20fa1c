/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "links.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static char *append_number(char *at, unsigned number)
{
    char digits[10];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *append_word(char *at, const char *word, size_t size)
{
    memcpy(at, word, size);
    return at + size;
}

void link_name(char name[LINK_NAME], pid_t tid, int descriptor)
{
    char *at = append_word(name, "/proc/", 6);
    at = append_number(at, (unsigned)tid);
    if (descriptor == AT_FDCWD) {
        append_word(at, "/cwd", 5);
        return;
    }
    at = append_word(at, "/fd/", 4);
    *append_number(at, (unsigned)descriptor) = 0;
}

void link_name_of_program(char name[LINK_NAME], pid_t tid)
{
    char *at = append_number(append_word(name, "/proc/", 6), (unsigned)tid);
    append_word(at, "/exe", 5);
}

bool link_root_is_ours(pid_t tid)
{
    char name[LINK_NAME], text[2];
    char *at = append_number(append_word(name, "/proc/", 6), (unsigned)tid);
    *at++ = '/';
    append_word(at, "root", 5);
    ssize_t length = readlink(name, text, sizeof text);
    return length < 0 || (length == 1 && text[0] == '/');
}

int link_status(pid_t tid, int descriptor, struct stat *status)
{
    char name[LINK_NAME];
    link_name(name, tid, descriptor);
    return stat(name, status);
}

static const char SUFFIX[] = " (deleted)";
enum { SUFFIX_LENGTH = sizeof SUFFIX - 1 };

/* Whether the link's end is the kernel's suffix, and not the end of a name of something that is there. */
static bool is_deleted(const char *name, const char *text, size_t length)
{
    struct stat meant, named;
    if (length <= SUFFIX_LENGTH || memcmp(text + length - SUFFIX_LENGTH, SUFFIX, SUFFIX_LENGTH) != 0)
        return false;
    if (text[0] != '/' || stat(name, &meant) != 0 || lstat(text, &named) != 0)
        return true;
    return meant.st_dev != named.st_dev || meant.st_ino != named.st_ino;
}

enum attachment_type link_append(struct record *record, pid_t tid, int descriptor)
{
    char name[LINK_NAME];
    if (descriptor < 0 && descriptor != AT_FDCWD) {
        errno = ENOENT;
        return ATTACHED_UNREADABLE;
    }
    link_name(name, tid, descriptor);
    char *text = (char *)record_reserve(record, PATH_MAX + 1);
    ssize_t length = readlink(name, text, PATH_MAX);
    if (length < 0 || length == PATH_MAX)
        return ATTACHED_UNREADABLE;
    text[length] = 0;
    bool deleted = is_deleted(name, text, (size_t)length);
    record_grow(record, (size_t)length - (deleted ? SUFFIX_LENGTH : 0));
    return deleted ? ATTACHED_DELETED_LINK : ATTACHED_LINK;
}
