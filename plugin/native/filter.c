/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "filter.h"

#include "arch.h"
#include "inside.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

/* PR_SET_SYSCALL_USER_DISPATCH, which older headers lack. */
enum { SET_SYSCALL_USER_DISPATCH = 59 };

enum { MOST_STEPS = 4 * CALLS_COUNT + 64 };

struct program {
    struct sock_filter steps[MOST_STEPS];
    unsigned short count;
};

static void step(struct program *program, uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false)
{
    program->steps[program->count++] = (struct sock_filter){code, if_true, if_false, value};
}

/* Decide for the numbers up to `last`: those from `first` on pass, those below it, which no former range has, stop. */
static void let_range_through(struct program *program, uint32_t first, uint32_t last)
{
    step(program, BPF_JMP | BPF_JGT | BPF_K, last, 3, 0);
    step(program, BPF_JMP | BPF_JGE | BPF_K, first, 0, 1);
    step(program, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    step(program, BPF_RET | BPF_K, SECCOMP_RET_TRACE, 0, 0);
}

/* A clone with flags that call for the tracer stops; expects the number to be loaded, and leaves it so. */
static void stop_special_clone(struct program *program)
{
    step(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    step(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]), 0, 0);
    step(program, BPF_JMP | BPF_JSET | BPF_K, call_special_fork_flags(), 0, 1);
    step(program, BPF_RET | BPF_K, SECCOMP_RET_TRACE, 0, 0);
    step(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
}

/* Decide for a call that carries the cookie as its sixth argument; leaves the number loaded. */
enum { COOKIE_STEPS = 6 };
static void decide_with_cookie(struct program *program, uint64_t cookie, uint32_t decision)
{
    const uint32_t argument = offsetof(struct seccomp_data, args[5]);
    step(program, BPF_LD | BPF_W | BPF_ABS, argument, 0, 0);
    step(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)cookie, 0, 3);
    step(program, BPF_LD | BPF_W | BPF_ABS, argument + 4, 0, 0);
    step(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(cookie >> 32), 0, 1);
    step(program, BPF_RET | BPF_K, decision, 0, 0);
    step(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
}

/* A call that may be told inside passes if it carries the cookie as its sixth argument; expects the number to be loaded,
 * and leaves it so. */
static void let_told_through(struct program *program, uint64_t cookie)
{
    uint8_t left = 0;
    for (uint32_t number = 0; number < CALLS_COUNT; number++)
        left += call_may_be_told_inside(number);
    for (uint32_t number = 0; number < CALLS_COUNT; number++)
        if (call_may_be_told_inside(number)) {
            left--;
            step(program, BPF_JMP | BPF_JEQ | BPF_K, number, left, left > 0 ? 0 : COOKIE_STEPS);
        }
    decide_with_cookie(program, cookie, SECCOMP_RET_ALLOW);
}

/* A message from inside stops; expects the number to be loaded, and leaves it so. */
static void stop_message(struct program *program, uint64_t cookie)
{
    step(program, BPF_JMP | BPF_JEQ | BPF_K, INSIDE_MESSAGE, 0, COOKIE_STEPS);
    decide_with_cookie(program, cookie, SECCOMP_RET_TRACE);
}

/* A process that restricts its own calls stops; expects the number to be loaded, and leaves it so. */
static void stop_restricting(struct program *program)
{
    step(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 5);
    step(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]), 0, 0);
    step(program, BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 1, 0);
    step(program, BPF_JMP | BPF_JEQ | BPF_K, SET_SYSCALL_USER_DISPATCH, 0, 1);
    step(program, BPF_RET | BPF_K, SECCOMP_RET_TRACE, 0, 0);
    step(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
}

static void compose(struct program *program, const struct detail *detail, uint64_t cookie)
{
    step(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    step(program, BPF_JMP | BPF_JEQ | BPF_K, ARCH_AUDIT, 1, 0);
    step(program, BPF_RET | BPF_K, SECCOMP_RET_TRACE, 0, 0);
    step(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    if (cookie != 0) {
        let_told_through(program, cookie);
        stop_message(program, cookie);
        stop_restricting(program);
    }
    stop_special_clone(program);
    for (uint32_t first = 0; first < CALLS_COUNT; first++) {
        uint32_t end = first;
        while (end < CALLS_COUNT && call_is_let_through(end, detail))
            end++;
        if (end == first)
            continue;
        let_range_through(program, first, end - 1);
        first = end;
    }
    step(program, BPF_RET | BPF_K, SECCOMP_RET_TRACE, 0, 0);
}

static int install(const struct sock_fprog *filter)
{
    /* Without this flag older kernels slow the whole command down. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter) == 0)
        return 0;
    if (errno != EINVAL)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter);
}

int filter_install(const struct detail *detail, uint64_t cookie)
{
    static struct program program;
    compose(&program, detail, cookie);
    struct sock_fprog filter = {program.count, program.steps};
    /* Who may, does without this: it takes the command's set-user-ID programs away. */
    if (install(&filter) == 0)
        return 0;
    if (errno != EACCES || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return install(&filter);
}
