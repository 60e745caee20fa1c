/* SPDX-License-Identifier: Apache-2.0 */
/* The names of files that were told inside, which need not be told again as long as nothing renames or removes them. */
#ifndef PYTRACE_NAMES_H
#define PYTRACE_NAMES_H

#include "inside.h"

#include <stdbool.h>
#include <stddef.h>

struct name {
    struct file file;
    char *text;
    size_t length;
};

/* At each place one name at most, the same as `struct inside` says. */
struct names {
    struct name places[INSIDE_NAMES];
};

/* Keep a name, unless the place is taken. */
void names_learn(struct names *names, struct inside *inside, const struct file *file, const char *text, size_t length);

/* The name of a file, or NULL. */
const struct name *names_find(const struct names *names, const struct file *file);

/* Forget a file's name, by whichever mount; or all. To be called when no look counts that relied on it: while a change is under way. */
void names_forget(struct names *names, struct inside *inside, const struct file *file);
void names_forget_all(struct names *names, struct inside *inside);

#endif
