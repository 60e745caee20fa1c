/* SPDX-License-Identifier: Apache-2.0 */
/* Standing aside: a process of ours that lives beside the command keeps nothing of the command's. */
#ifndef PYTRACE_SURROUNDINGS_H
#define PYTRACE_SURROUNDINGS_H

/* Leave the command's session, and ignore every signal that ends programs; SIGCHLD is not touched. */
void surroundings_leave_session(void);

/* Let nothing of the command's stay open or busy because of this process. `kept`: a descriptor above 2, or -1. */
void surroundings_let_go(int kept);

#endif
