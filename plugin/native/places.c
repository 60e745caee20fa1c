/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "places.h"

#include "arch.h"
#include "hash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* File systems that show everybody the same; XFS, F2FS, ZFS and bcachefs are in no header everywhere. */
static const uint32_t ORDINARY[] = {
    EXT4_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC, SQUASHFS_MAGIC, ISOFS_SUPER_MAGIC,
    RAMFS_MAGIC,      0x58465342,        0xf2f52010,  0x2fc12fc1,            0xca451a4e,
};

static bool is_ordinary_type(uint32_t type)
{
    for (size_t i = 0; i < sizeof ORDINARY / sizeof *ORDINARY; i++)
        if (ORDINARY[i] == type)
            return true;
    return false;
}

/* Whether the file system of a device is an ordinary one: 1 or 0; -1 if it has not been found out. */
static int what_is_known(const struct places *places, dev_t device)
{
    for (unsigned i = 0; i < places->device_count; i++)
        if (places->devices[i].device == device)
            return places->devices[i].ordinary;
    return -1;
}

static bool is_known_ordinary(const struct places *places, dev_t device)
{
    return what_is_known(places, device) == 1;
}

static bool is_ordinary(struct places *places, dev_t device, int descriptor)
{
    struct statfs found;
    int known = what_is_known(places, device);
    if (known >= 0)
        return known == 1;
    if (places->device_count == PLACES_DEVICES || fstatfs(descriptor, &found) != 0)
        return false;
    unsigned i = places->device_count++;
    places->devices[i].device = device;
    places->devices[i].ordinary = is_ordinary_type((uint32_t)found.f_type);
    return places->devices[i].ordinary;
}

bool places_are_ordinary(struct places *places, dev_t device, const char *path)
{
    struct stat status;
    int known = what_is_known(places, device);
    if (known >= 0)
        return known == 1;
    int descriptor = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    bool ordinary = descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_dev == device &&
                    is_ordinary(places, device, descriptor);
    if (descriptor >= 0)
        close(descriptor);
    return ordinary;
}

/* Walk a path with all links but those of /proc. Returns 0, or an error; PLACE_UNSURE on a special file system. */
static int walk(struct places *places, const char *path, uint64_t flags, struct stat *status)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags, .resolve = RESOLVE_NO_MAGICLINKS};
    int descriptor = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
    if (descriptor < 0)
        return -errno;
    bool sure = fstat(descriptor, status) == 0 && is_ordinary(places, status->st_dev, descriptor);
    close(descriptor);
    return sure ? 0 : PLACE_UNSURE;
}

static size_t folder_of(const char *path, size_t length)
{
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

static bool leads_nowhere_special(struct places *places, const struct changes *changes, const char *path,
                                  size_t length);

/* Find out of a directory that is not remembered. One that is absent is as good, if its absence is an ordinary one:
 * a name that is missing where the path has led to so far. */
static bool examine(struct places *places, const struct changes *changes, const char *path, size_t length)
{
    char folder[PATH_MAX];
    struct stat status;
    memcpy(folder, path, length);
    folder[length] = 0;
    int found = walk(places, folder, 0, &status);
    if (found != -ENOENT && found != -ENOTDIR)
        return found == 0;
    if (length <= 1 || (lstat(folder, &status) == 0 || (errno != ENOENT && errno != ENOTDIR)))
        return false;
    return leads_nowhere_special(places, changes, path, folder_of(path, length));
}

static bool leads_nowhere_special(struct places *places, const struct changes *changes, const char *path, size_t length)
{
    uint64_t hash = hash_bytes(changes->links, path, length);
    uint64_t *remembered = &places->folders[hash % PLACES_FOLDERS];
    if (*remembered == hash)
        return true;
    if (!examine(places, changes, path, length))
        return false;
    *remembered = hash;
    return true;
}

/* Processes have other numbers in the command's own PID namespace; `/proc/7/../..` leads on if there is a 7. */
static bool is_of_processes(const char *path)
{
    static const char proc[] = "/proc/";
    return strncmp(path, proc, sizeof proc - 1) == 0;
}

/* Whether a path ends with "/", "/." or "/..": then its last step is a directory, with links followed. */
static bool ends_in_folder(const char *path, size_t length)
{
    size_t dots = 0;
    while (dots < 2 && length > dots && path[length - 1 - dots] == '.')
        dots++;
    return length > dots && path[length - 1 - dots] == '/';
}

int places_look(struct places *places, const struct changes *changes, const char *path, bool follow,
                struct stat *status)
{
    size_t length = strlen(path);
    if (length == 0 || length >= PATH_MAX || is_of_processes(path))
        return PLACE_UNSURE;
    if (ends_in_folder(path, length))
        return walk(places, path, 0, status) == 0 ? 0 : PLACE_UNSURE;
    if (!leads_nowhere_special(places, changes, path, folder_of(path, length)))
        return PLACE_UNSURE;
    if (lstat(path, status) != 0)
        return errno == ENOENT || errno == ENOTDIR ? -errno : PLACE_UNSURE;
    if (!S_ISLNK(status->st_mode) && is_known_ordinary(places, status->st_dev))
        return 0;
    if (!S_ISLNK(status->st_mode) || follow)
        return walk(places, path, 0, status) == 0 ? 0 : PLACE_UNSURE;
    return is_known_ordinary(places, status->st_dev) ? 0 : PLACE_UNSURE;
}
