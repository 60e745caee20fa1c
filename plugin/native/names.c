/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include "allocate.h"

#include <string.h>

static bool is(const struct name *name, const struct file *file)
{
    return name->text != NULL && name->file.inode == file->inode && name->file.device == file->device;
}

void names_learn(struct names *names, struct inside *inside, const struct file *file, const char *text, size_t length)
{
    uint32_t place = INSIDE_PLACE_OF_NAME(file);
    struct name *name = &names->places[place];
    if (name->text != NULL || file->inode == 0)
        return;
    *name = (struct name){*file, allocate(NULL, length), length};
    memcpy(name->text, text, length);
    atomic_store(&inside->names[place].device, file->device);
    atomic_store(&inside->names[place].mount, file->mount);
    atomic_store(&inside->names[place].inode, file->inode);
}

const struct name *names_find(const struct names *names, const struct file *file)
{
    const struct name *name = &names->places[INSIDE_PLACE_OF_NAME(file)];
    return is(name, file) && name->file.mount == file->mount ? name : NULL;
}

static void forget_at(struct names *names, struct inside *inside, uint32_t place)
{
    atomic_store(&inside->names[place].inode, 0);
    free(names->places[place].text);
    names->places[place].text = NULL;
}

void names_forget(struct names *names, struct inside *inside, const struct file *file)
{
    uint32_t place = INSIDE_PLACE_OF_NAME(file);
    if (is(&names->places[place], file))
        forget_at(names, inside, place);
}

void names_forget_all(struct names *names, struct inside *inside)
{
    for (uint32_t place = 0; place < INSIDE_NAMES; place++)
        if (names->places[place].text != NULL)
            forget_at(names, inside, place);
}
