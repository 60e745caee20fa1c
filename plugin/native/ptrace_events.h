/* SPDX-License-Identifier: Apache-2.0 */
/* How wait tells the stops of a traced thread apart (ptrace(2), "Stopped states"). */
#ifndef PYTRACE_PTRACE_EVENTS_H
#define PYTRACE_PTRACE_EVENTS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ptrace.h>

/* The signal that a system call's stop is reported with under PTRACE_O_TRACESYSGOOD. */
enum { SYSCALL_STOP = SIGTRAP | 0x80 };

/* What wait reports of a new thread (PTRACE_EVENT_STOP with SIGTRAP). */
enum { STATUS_OF_NEW_THREAD = PTRACE_EVENT_STOP << 16 | SIGTRAP << 8 | 0x7f };

/* Whether a PTRACE_EVENT_STOP with this signal says that the whole process has been stopped. */
static inline bool stops_a_group(int number)
{
    return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

#endif
