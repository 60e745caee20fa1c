/* SPDX-License-Identifier: Apache-2.0 */
/* Staying on the processor of the thread that is traced: to wake another one costs more than all else at a stop. */
#ifndef PYTRACE_FOLLOW_H
#define PYTRACE_FOLLOW_H

#include "tracees.h"

#include <sched.h>

/* `allowed`: the processors this process began with; `off`: they cannot be told or chosen, or are the command's own
 * business. `chosen`: the command has bound threads itself. `at`: where it stays, -1 before it has chosen. */
struct follow {
    cpu_set_t allowed;
    bool off;
    bool chosen;
    int at;
};

void follow_begin(struct follow *follow);

/* Leave processors alone from now on: the command asks for its own or, if `chosen`, is about to choose them. */
void follow_no_more(struct follow *follow, bool chosen);

/* Go where a stopped thread is, if it is time to look. */
void follow_tracee(struct follow *follow, struct tracee *tracee);

/* Keep a thread that is about to be resumed from being woken on another processor; the kernel would choose an idle
 * one, since this process is on the thread's own. Returns whether `follow_release` must be called as soon as it is
 * resumed, with what was put into `former`. Should the thread run before that, nothing that asks on which processors
 * it may run can end before it is released: such calls stop first. */
bool follow_hold(const struct follow *follow, const struct tracee *tracee, cpu_set_t *former);

void follow_release(const struct tracee *tracee, const cpu_set_t *former);

#endif
