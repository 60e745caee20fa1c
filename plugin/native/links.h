/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread's descriptors and its working directory lead to, as /proc tells it. */
#ifndef PYTRACE_LINKS_H
#define PYTRACE_LINKS_H

#include "record.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Put "/proc/TID/fd/DESCRIPTOR" (AT_FDCWD: "/proc/TID/cwd") into `name`. */
enum { LINK_NAME = 48 };
void link_name(char name[LINK_NAME], pid_t tid, int descriptor);

/* Put "/proc/TID/exe" into `name`. */
void link_name_of_program(char name[LINK_NAME], pid_t tid);

/* Append to a record what a descriptor leads to, without the suffix of something deleted.
 *
 * Returns ATTACHED_LINK, ATTACHED_DELETED_LINK, or ATTACHED_UNREADABLE with errno (ENOENT: it is not open). */
enum attachment_type link_append(struct record *record, pid_t tid, int descriptor);

/* Status of what a descriptor leads to. Returns 0, or -1 with errno. */
int link_status(pid_t tid, int descriptor, struct stat *status);

/* Whether a process's files have the names that they have for this one; true if that cannot be told. */
bool link_root_is_ours(pid_t tid);

#endif
