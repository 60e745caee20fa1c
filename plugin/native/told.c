/* SPDX-License-Identifier: Apache-2.0 */
#include "told.h"

#include <string.h>

/* Let the slots be used again from the first on, if nobody has reserved one since `seen`. */
static void begin_anew(struct injection *injection, unsigned end)
{
    struct inside *inside = injection->inside;
    unsigned seen = atomic_load(&inside->next_slot);
    if ((seen < INSIDE_SLOTS ? seen : INSIDE_SLOTS) != end)
        return;
    for (unsigned i = 0; i < end; i++)
        atomic_store_explicit(&inside->slots[i].state, SLOT_FREE, memory_order_relaxed);
    if (atomic_compare_exchange_strong(&inside->next_slot, &seen, 0))
        injection->next = 0;
    else
        for (unsigned i = 0; i < end; i++)
            atomic_store_explicit(&inside->slots[i].state, SLOT_TAKEN, memory_order_relaxed);
}

/* Whether a look counts: no change began between its start and its being told, or since. */
static bool counts(const struct inside *inside, const struct slot *slot, bool beginning)
{
    uint64_t now = atomic_load(&inside->sequence);
    return slot->sequence == now || (beginning && slot->sequence + 1 == now);
}

void told_take(struct injection *injection, bool beginning, told_look *look, void *context)
{
    struct inside *inside = injection->inside;
    if (inside == NULL)
        return;
    unsigned told = atomic_load(&inside->next_slot), end = told < INSIDE_SLOTS ? told : INSIDE_SLOTS;
    bool whole = true;
    for (unsigned i = injection->next; i < end; i++) {
        struct slot *slot = &inside->slots[i];
        unsigned state = atomic_load(&slot->state);
        if (state == SLOT_FILLED) {
            if (counts(inside, slot, beginning))
                look(context, slot);
            atomic_store(&slot->state, SLOT_TAKEN);
        }
        /* A slot that is being filled is looked at again; what comes after it does not wait. */
        whole = whole && state != SLOT_FREE;
        if (whole)
            injection->next = i + 1;
    }
    if (whole && end > INSIDE_SLOTS / 2)
        begin_anew(injection, end);
}

/* Keep a name that was told of a file, where that tells it apart from all others. */
static void learn(struct names *names, struct places *places, struct inside *inside, const struct file *file,
                  const char *text, size_t length)
{
    char path[INSIDE_SLOT_BYTES + 1];
    if (file->inode == 0)
        return;
    memcpy(path, text, length);
    path[length] = 0;
    if (places_are_ordinary(places, file->device, path))
        names_learn(names, inside, file, text, length);
}

/* One of the names: `text` in the slot, or one that is known. */
static bool find_name(struct names *names, struct places *places, struct inside *inside, const struct file *file,
                      const char **text, size_t *length)
{
    if (*length > 0)
        learn(names, places, inside, file, *text, *length);
    if (*length > 0 || file->inode == 0)
        return true;
    const struct name *known = names_find(names, file);
    if (known == NULL)
        return false;
    *text = known->text;
    *length = known->length;
    return true;
}

bool told_names(struct names *names, struct places *places, struct inside *inside, const struct slot *slot,
                struct told_names *told)
{
    const char *base = slot->bytes + slot->path_length;
    *told = (struct told_names){base, base + slot->base_length, slot->base_length, slot->opened_length};
    return find_name(names, places, inside, &slot->base, &told->base, &told->base_length) &&
           find_name(names, places, inside, &slot->opened, &told->opened, &told->opened_length);
}

void told_read(const struct slot *slot, uint8_t *into)
{
    size_t left = slot->read_length, begin = slot->base_length;
    while (left > 0) {
        size_t part = INSIDE_SLOT_BYTES - begin;
        part = part < left ? part : left;
        memcpy(into, slot->bytes + begin, part);
        into += part;
        left -= part;
        begin = 0;
        slot++;
    }
}
