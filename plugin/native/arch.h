/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between processors: numbers of calls that only some have, and how a call's arguments are read and replaced. */
#ifndef PYTRACE_ARCH_H
#define PYTRACE_ARCH_H

#include <elf.h>
#include <linux/audit.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the stream is little endian"
#endif

/* Numbers that are the same on both processors and that older headers lack. */
enum {
    NUMBER_CLONE3 = 435,
    NUMBER_OPENAT2 = 437,
    NUMBER_FACCESSAT2 = 439,
};

#if defined(__x86_64__)

#define ARCH_AUDIT AUDIT_ARCH_X86_64
#define ARCH_CALLS calls_x86_64
/* x32 calls come with this bit in their number and the same audit value. */
#define ARCH_FOREIGN_BIT 0x40000000U
enum {
    NUMBER_STAT = SYS_stat,
    NUMBER_LSTAT = SYS_lstat,
    NUMBER_FSTAT = SYS_fstat,
    NUMBER_UTIME = SYS_utime,
};

/* Replace the first argument of the call that a stopped thread is about to make. Returns 0, or -1 with errno. */
static inline int arch_set_first_argument(pid_t tid, uint64_t value)
{
    return (int)ptrace(PTRACE_POKEUSER, tid, (void *)offsetof(struct user, regs.rdi), (void *)value);
}

/* Read the call that a thread stands in, from its registers. Returns 0, or -1 with errno. */
static inline int arch_read_call(pid_t tid, uint64_t *number, uint64_t arguments[6])
{
    struct user_regs_struct registers;
    struct iovec part = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &part) != 0)
        return -1;
    const uint64_t found[6] = {registers.rdi, registers.rsi, registers.rdx,
                               registers.r10, registers.r8,  registers.r9};
    *number = registers.orig_rax;
    memcpy(arguments, found, sizeof found);
    return 0;
}

#elif defined(__aarch64__)

#define ARCH_AUDIT AUDIT_ARCH_AARCH64
#define ARCH_CALLS calls_arm64
#define ARCH_FOREIGN_BIT 0U
/* Not on this processor: numbers that no call has. */
enum {
    NUMBER_STAT = -2,
    NUMBER_LSTAT = -3,
    NUMBER_FSTAT = SYS_fstat,
    NUMBER_UTIME = -4,
};

static inline int arch_set_first_argument(pid_t tid, uint64_t value)
{
    struct user_regs_struct registers;
    struct iovec part = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &part) != 0)
        return -1;
    registers.regs[0] = value;
    return (int)ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &part);
}

static inline int arch_read_call(pid_t tid, uint64_t *number, uint64_t arguments[6])
{
    struct user_regs_struct registers;
    struct iovec part = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &part) != 0)
        return -1;
    *number = registers.regs[8];
    for (int i = 0; i < 6; i++)
        arguments[i] = registers.regs[i];
    return 0;
}

#else
#error "the tracer knows x86-64 and arm64"
#endif

#endif
