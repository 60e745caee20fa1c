/* SPDX-License-Identifier: Apache-2.0 */
/* Where a look by the tracer shows what the traced thread would see.
 *
 * It does on ordinary file systems, as long as the path does not lead through what differs from process to process:
 * /proc/self, its magic links, and what other special file systems hold. */
#ifndef PYTRACE_PLACES_H
#define PYTRACE_PLACES_H

#include "tracees.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

enum { PLACES_DEVICES = 64, PLACES_FOLDERS = 2048 };

/* What was found out of file systems, by device, and of directories, by the hash of path and `changes.links`. */
struct places {
    unsigned device_count;
    struct {
        dev_t device;
        bool ordinary;
    } devices[PLACES_DEVICES];
    uint64_t folders[PLACES_FOLDERS];
};

/* Whether an absolute path of a device lies on a file system that shows everybody the same, where no two files have one
 * inode number. */
bool places_are_ordinary(struct places *places, dev_t device, const char *path);

/* The answer when only the call itself can tell. */
enum { PLACE_UNSURE = 1 };

/* Status of an absolute path: 0, -ENOENT, -ENOTDIR or PLACE_UNSURE. `follow`: a symbolic link at its end. */
int places_look(struct places *places, const struct changes *changes, const char *path, bool follow,
                struct stat *status);

#endif
