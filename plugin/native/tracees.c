/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tracees.h"

#include "allocate.h"
#include "links.h"

#include <fcntl.h>
#include <linux/sched.h>

enum { FIRST_CAPACITY = 64 };

static size_t home_of(const struct tracees *tracees, pid_t tid)
{
    return (uint32_t)tid * 2654435769U & (tracees->capacity - 1);
}

static size_t slot_of(const struct tracees *tracees, pid_t tid)
{
    size_t slot = home_of(tracees, tid);
    while (tracees->slots[slot] != NULL && tracees->slots[slot]->tid != tid)
        slot = (slot + 1) & (tracees->capacity - 1);
    return slot;
}

struct tracee *tracees_find(const struct tracees *tracees, pid_t tid)
{
    return tracees->capacity > 0 ? tracees->slots[slot_of(tracees, tid)] : NULL;
}

static void enlarge(struct tracees *tracees)
{
    struct tracees former = *tracees;
    tracees->capacity = former.capacity > 0 ? former.capacity * 2 : FIRST_CAPACITY;
    tracees->slots = allocate_zeroed(tracees->capacity, sizeof *tracees->slots);
    for (size_t i = 0; i < former.capacity; i++)
        if (former.slots[i] != NULL)
            tracees->slots[slot_of(tracees, former.slots[i]->tid)] = former.slots[i];
    free(former.slots);
}

static struct image *new_image(struct tracees *tracees)
{
    struct image *image = allocate_zeroed(1, sizeof *image);
    image->references = 1;
    image->number = ++tracees->numbers;
    return image;
}

static struct context *new_context(struct tracees *tracees)
{
    struct context *context = allocate_zeroed(1, sizeof *context);
    context->references = 1;
    context->version = ++tracees->numbers;
    return context;
}

static void let_go_of_image(struct image *image)
{
    if (--image->references == 0)
        free(image);
}

static void let_go_of_context(struct context *context)
{
    if (context != NULL && --context->references == 0) {
        record_free(&context->cwd);
        free(context);
    }
}

struct tracee *tracees_add(struct tracees *tracees, pid_t tid)
{
    if (tracees->count * 2 >= tracees->capacity)
        enlarge(tracees);
    struct tracee *tracee = allocate_zeroed(1, sizeof *tracee);
    tracee->tid = tid;
    tracee->image = new_image(tracees);
    tracees->slots[slot_of(tracees, tid)] = tracee;
    tracees->count++;
    return tracee;
}

void tracees_begin(struct tracees *tracees, struct tracee *first)
{
    first->context = new_context(tracees);
}

/* Close the gap at a slot: whatever stands behind it must still be found from its home on. */
static void vacate(struct tracees *tracees, size_t gap)
{
    size_t mask = tracees->capacity - 1;
    for (size_t slot = (gap + 1) & mask; tracees->slots[slot] != NULL; slot = (slot + 1) & mask) {
        size_t home = home_of(tracees, tracees->slots[slot]->tid);
        if (((slot - home) & mask) >= ((slot - gap) & mask)) {
            tracees->slots[gap] = tracees->slots[slot];
            gap = slot;
        }
    }
    tracees->slots[gap] = NULL;
}

void tracees_remove(struct tracees *tracees, struct tracee *tracee)
{
    vacate(tracees, slot_of(tracees, tracee->tid));
    tracees->count--;
    let_go_of_image(tracee->image);
    let_go_of_context(tracee->context);
    record_free(&tracee->record);
    record_free(&tracee->dropped);
    free(tracee);
}

static struct context *copy_of(struct tracees *tracees, const struct context *context)
{
    struct context *copy = new_context(tracees);
    copy->known = context->known;
    copy->folders = context->folders;
    copy->type = context->type;
    record_bytes(&copy->cwd, context->cwd.bytes, context->cwd.size);
    return copy;
}

void tracees_link(struct tracees *tracees, struct tracee *child, const struct tracee *parent, uint64_t flags)
{
    if (flags & CLONE_THREAD) {
        let_go_of_image(child->image);
        child->image = parent->image;
        child->image->references++;
    }
    if (parent->context == NULL || child->context != NULL)
        return;
    child->context = flags & CLONE_FS ? parent->context : copy_of(tracees, parent->context);
    if (flags & CLONE_FS)
        child->context->references++;
}

void tracees_executed(struct tracees *tracees, struct tracee *tracee)
{
    let_go_of_image(tracee->image);
    tracee->image = new_image(tracees);
    tracee->last_look = 0;
    tracee->dropped.size = 0;
}

void tracees_unshare(struct tracees *tracees, struct tracee *tracee)
{
    if (tracee->context == NULL || tracee->context->references == 1)
        return;
    struct context *copy = copy_of(tracees, tracee->context);
    let_go_of_context(tracee->context);
    tracee->context = copy;
}

void tracees_moved(struct tracees *tracees, struct tracee *tracee)
{
    if (tracee->context != NULL) {
        tracee->context->known = false;
        tracee->context->version = ++tracees->numbers;
    }
}

const struct record *tracee_cwd(struct tracee *tracee, const struct changes *changes, enum attachment_type *type)
{
    struct context *context = tracee->context;
    if (context == NULL)
        return NULL;
    if (!context->known || context->folders != changes->folders) {
        context->cwd.size = 0;
        context->type = link_append(&context->cwd, tracee->tid, AT_FDCWD);
        context->folders = changes->folders;
        context->known = true;
    }
    *type = context->type;
    return context->type == ATTACHED_UNREADABLE ? NULL : &context->cwd;
}
