/* SPDX-License-Identifier: Apache-2.0 */
/* What wait4 reports of traced threads, in fair turns, and which of them stand because of this process. */
#ifndef PYTRACE_REPORTS_H
#define PYTRACE_REPORTS_H

#include <stdbool.h>
#include <sys/types.h>

/* Wait for the next report. Returns the thread, 0 when a signal came first, or -1 when no thread is left.
 *
 * A thread that is reported as stopped stands until `reports_resumed`. */
pid_t reports_next(int *status);
void reports_resumed(void);

/* Note a thread that stands until something else has happened. Returns false if there is no more room. */
bool reports_hold(pid_t tid);
void reports_release(pid_t tid);

/* Call `let_go` for every thread that stands, with its status, in whatever state this process is. */
void reports_each_standing(void (*let_go)(pid_t tid, int status));

#endif
