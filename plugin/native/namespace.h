/* SPDX-License-Identifier: Apache-2.0 */
/* A PID namespace for the command: its init is process 1, the command process 2, and /proc shows these.
 *
 * The command is forked as a child of the caller of this program, so that its end, its stops and signals for it are the
 * caller's business as without a namespace. Init ends when the command and all that it left have ended. */
#ifndef PYTRACE_NAMESPACE_H
#define PYTRACE_NAMESPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* `traced`: the command will be. `told`: the pipe that tells the caller, by a line: "P NUMBER" of the command's process, "E ERRNO" if it could not be
 * executed, "N STEP ERRNO" if there is no namespace. `init` and `command`: sockets to these two. `title`: memory that
 * init's name is written to, of `room` bytes. */
struct space {
    bool traced;
    int told;
    int init;
    int command;
    char *title;
    size_t room;
};

/* Make the namespace, its init and its /proc. `as_user`: in a user namespace, where this user's ids mean themselves.
 * Returns whether that worked; if not, the caller has been told. */
bool space_make(struct space *space, bool as_user);

/* Fork the process that becomes the command. Returns its number, 0 in it, -1 if that fails, and tells the caller. */
pid_t space_fork(struct space *space);

/* Let the process that becomes the command go on; without this, it ends when the caller of this function does. */
void space_release(const struct space *space);

/* In that process: wait until it may go on; returns whether it may. */
bool space_wait(const struct space *space);

/* Tell that the command could not be executed, by `errno`. */
void space_refused(const struct space *space);

#endif
