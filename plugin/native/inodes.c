/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "inodes.h"

#include "allocate.h"
#include "hash.h"

enum { FIRST_CAPACITY = 256 };

/* The slot that holds an inode, or the free one where it belongs; inode 0 marks a free one. */
static struct inode *slot_of(const struct inodes *inodes, struct inode wanted)
{
    size_t slot = hash_bytes(0, &wanted, sizeof wanted) & (inodes->capacity - 1);
    while (inodes->slots[slot].number != 0 &&
           (inodes->slots[slot].number != wanted.number || inodes->slots[slot].device != wanted.device))
        slot = (slot + 1) & (inodes->capacity - 1);
    return &inodes->slots[slot];
}

static struct inode inode_of(const struct stat *status)
{
    return (struct inode){status->st_dev, status->st_ino};
}

bool inodes_hold(const struct inodes *inodes, const struct stat *status)
{
    return inodes->capacity > 0 && slot_of(inodes, inode_of(status))->number != 0;
}

static void enlarge(struct inodes *inodes)
{
    struct inodes former = *inodes;
    inodes->capacity = former.capacity > 0 ? former.capacity * 2 : FIRST_CAPACITY;
    inodes->slots = allocate_zeroed(inodes->capacity, sizeof *inodes->slots);
    for (size_t i = 0; i < former.capacity; i++)
        if (former.slots[i].number != 0)
            *slot_of(inodes, former.slots[i]) = former.slots[i];
    free(former.slots);
}

void inodes_add(struct inodes *inodes, const struct stat *status)
{
    if (inodes->count * 2 >= inodes->capacity)
        enlarge(inodes);
    struct inode *slot = slot_of(inodes, inode_of(status));
    inodes->count += slot->number == 0;
    *slot = inode_of(status);
}
