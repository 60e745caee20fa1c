/* SPDX-License-Identifier: Apache-2.0 */
/* A set of files by device and inode. */
#ifndef PYTRACE_INODES_H
#define PYTRACE_INODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct inode {
    uint64_t device;
    uint64_t number;
};

struct inodes {
    struct inode *slots;
    size_t capacity;
    size_t count;
};

bool inodes_hold(const struct inodes *inodes, const struct stat *status);
void inodes_add(struct inodes *inodes, const struct stat *status);

#endif
