/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "stops.h"

#include "arch.h"
#include "capture.h"
#include "heads.h"
#include "links.h"
#include "looks.h"
#include "memory.h"
#include "passive.h"
#include "ptrace_events.h"
#include "reports.h"
#include "told.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a record may wait before it is written, in microseconds. */
enum { TICK = 10000 };

/* How many of these a new thread is held, when the call that made it is not told: its maker was killed. */
enum { TICKS_HELD = 20 };

static volatile sig_atomic_t ticked;

static void on_alarm(int number)
{
    (void)number;
    ticked = 1;
}

static void set_timer(struct tracing *tracing, bool ticking)
{
    const struct timeval interval = {0, ticking ? TICK : 0};
    const struct itimerval timer = {interval, interval};
    if (tracing->ticking != ticking)
        setitimer(ITIMER_REAL, &timer, NULL);
    tracing->ticking = ticking;
}

/* A thread that was killed while it stood is gone, which is no error: its end is reported by wait. */
static void resume(struct tracing *tracing, struct tracee *tracee, enum __ptrace_request request, int signal_number)
{
    cpu_set_t former;
    bool held = follow_hold(&tracing->follow, tracee, &former);
    ptrace(request, tracee->tid, NULL, (void *)(intptr_t)signal_number);
    if (held)
        follow_release(tracee, &former);
    reports_resumed();
}

static void release(struct tracing *tracing, struct tracee *tracee)
{
    if (!tracee->held)
        return;
    tracee->held = false;
    tracing->held--;
    reports_release(tracee->tid);
    resume(tracing, tracee, PTRACE_CONT, 0);
}

static void put_number(struct tracing *tracing, enum record_kind kind, pid_t tid, uint32_t number)
{
    struct record record = {NULL, 0, 0};
    record_begin(&record, kind, tid);
    record_u32(&record, number);
    stream_put(&tracing->stream, &record);
    record_free(&record);
}

/* How a thread ended, and the time by which it had. */
static void put_end(struct tracing *tracing, enum record_kind kind, pid_t tid, uint32_t number)
{
    struct record record = {NULL, 0, 0};
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    record_begin(&record, kind, tid);
    record_u32(&record, number);
    record_u64(&record, (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec);
    stream_put(&tracing->stream, &record);
    record_free(&record);
}

void tracing_problem(struct tracing *tracing, const char *text)
{
    struct record record = {NULL, 0, 0};
    record_begin(&record, RECORD_PROBLEM, 0);
    record_bytes(&record, text, strlen(text));
    stream_put(&tracing->stream, &record);
    record_free(&record);
}

void tracing_begin(struct tracing *tracing, pid_t command)
{
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    tracing->alike = true;
    clock_gettime(CLOCK_REALTIME_COARSE, &tracing->began_at);
    follow_begin(&tracing->follow);
    tracees_begin(&tracing->tracees, tracees_add(&tracing->tracees, command));
}

/* The record of a call is finished; the first of all is told at once, since the wrapper waits for it. */
static void put_call(struct tracing *tracing, struct tracee *tracee, enum record_state state, int64_t result)
{
    tracee->in_call = false;
    injection_change_ended(&tracing->injection, tracee);
    record_result(&tracee->record, state, result);
    if (tracing->all)
        stream_put(&tracing->stream, &tracee->record);
    else
        duplicates_put(&tracing->duplicates, &tracing->changes, tracee, result, &tracing->stream);
    if (!tracing->begun) {
        passive_tells(NULL);
        stream_flush(&tracing->stream);
    }
    tracing->begun = true;
}

static void put_unfinished(struct tracing *tracing, struct tracee *tracee)
{
    injection_change_ended(&tracing->injection, tracee);
    if (!tracee->in_call)
        return;
    tracee->in_call = false;
    record_result(&tracee->record, STATE_NEVER, 0);
    stream_put(&tracing->stream, &tracee->record);
}

/* A call by another table of numbers. What it did is not followed: the run is not stored. */
static void on_foreign(struct tracing *tracing, struct tracee *tracee, const struct __ptrace_syscall_info *info)
{
    struct record record = {NULL, 0, 0};
    record_begin(&record, RECORD_FOREIGN, tracee->tid);
    record_u32(&record, info->arch);
    record_u32(&record, (uint32_t)info->seccomp.nr);
    stream_put(&tracing->stream, &record);
    record_free(&record);
    tracing->alike = false;
    resume(tracing, tracee, PTRACE_CONT, 0);
}

static bool is_foreign(const struct __ptrace_syscall_info *info)
{
    const uint32_t marks = 0xc0000000U;
    if (info->arch != ARCH_AUDIT)
        return true;
    return ARCH_FOREIGN_BIT != 0 && ((uint32_t)info->seccomp.nr & marks) == ARCH_FOREIGN_BIT;
}

/* With CLONE_UNTRACED a child would escape, and fail in every call that the filter stops. */
static void set_fork_flags(struct tracee *tracee, uint64_t flags)
{
    const struct call *call = &tracee->call;
    if (call->number == NUMBER_CLONE3)
        memory_write(tracee->tid, call->arguments[0], &flags, sizeof flags);
    else
        arch_set_first_argument(tracee->tid, flags);
}

/* What a call's result does not change: whoever asks for it gets it. */
static bool always_succeeds(const struct call *call)
{
    switch (call->row->effect) {
    case EFFECT_HOST:
    case EFFECT_UMASK:
        return true;
    case EFFECT_LIMIT:
        return call->number != SYS_prlimit64 || call->arguments[2] == 0;
    default:
        return false;
    }
}

/* The result of a call, if it needs no stop at its exit. */
static bool foresee(struct tracing *tracing, struct tracee *tracee, int64_t *result)
{
    *result = 0;
    if (always_succeeds(&tracee->call))
        return true;
    return tracing->alike && !tracing->all && look(&tracing->places, &tracing->changes, tracee, result);
}

/* Whether a call opens what tells, among else, on which processors a thread may run: `/proc/PID/status`. */
static bool opens_status(const struct tracee *tracee)
{
    static const char name[] = "status";
    const size_t length = sizeof name - 1;
    const struct text *path = &tracee->call.paths[0];
    if (tracee->call.row->effect != EFFECT_OPEN || path->type != ATTACHED_TEXT || path->length < length)
        return false;
    return memcmp(tracee->record.bytes + path->offset + path->length - length, name, length) == 0;
}

/* Take up a look that was told inside. */
static void on_told(void *context, const struct slot *slot)
{
    struct tracing *tracing = context;
    struct tracee *tracee = tracees_find(&tracing->tracees, (pid_t)slot->thread);
    struct told_names names;
    bool named = told_names(&tracing->names, &tracing->places, tracing->injection.inside, slot, &names);
    if (tracee == NULL || tracee->in_call || !named) {
        tracing_problem(tracing, "a look was told by nobody who could have made it");
        return;
    }
    enum record_state state = capture_told(tracee, slot, &names);
    if (opens_status(tracee))
        follow_no_more(&tracing->follow, false);
    put_call(tracing, tracee, state, state == STATE_LOOKED ? 0 : slot->result);
}

static void take_told(struct tracing *tracing)
{
    told_take(&tracing->injection, false, on_told, tracing);
}

/* Forget the name of what a path of a call leads to that removes it or gives it another; of all, if it is a directory that
 * may have others below it, or cannot be told. */
static void forget_name(struct tracing *tracing, struct tracee *tracee, unsigned nth)
{
    struct inside *inside = tracing->injection.inside;
    char path[PATH_MAX];
    struct stat status;
    bool told = tracing->alike && look_absolute_path(&tracing->changes, tracee, nth, path);
    if (told && lstat(path, &status) != 0)
        return; /* there is nothing */
    if (told && (!S_ISDIR(status.st_mode) || tracee->call.row->effect != EFFECT_RENAME))
        names_forget(&tracing->names, inside, &(struct file){status.st_dev, status.st_ino});
    else
        names_forget_all(&tracing->names, inside);
}

static void forget_names(struct tracing *tracing, struct tracee *tracee)
{
    enum call_effect effect = (enum call_effect)tracee->call.row->effect;
    if (tracing->injection.inside == NULL)
        return;
    if (effect == EFFECT_UNLINK || effect == EFFECT_RMDIR || effect == EFFECT_RENAME)
        forget_name(tracing, tracee, 0);
    if (effect == EFFECT_RENAME)
        forget_name(tracing, tracee, 1);
}

/* From now on no look inside counts until the change is done; those that were told before it do. */
static void begin_change(struct tracing *tracing, struct tracee *tracee)
{
    bool first = tracing->injection.changing == 0;
    injection_change_begins(&tracing->injection, tracee);
    told_take(&tracing->injection, first, on_told, tracing);
    forget_names(tracing, tracee);
}

static void on_call(struct tracing *tracing, struct tracee *tracee)
{
    struct call *call = &tracee->call;
    int64_t result;
    capture_entry(tracee, &tracing->changes);
    if (opens_status(tracee))
        follow_no_more(&tracing->follow, false);
    if (foresee(tracing, tracee, &result)) {
        put_call(tracing, tracee, STATE_LOOKED, result);
        resume(tracing, tracee, PTRACE_CONT, 0);
        return;
    }
    if (call_changes(call))
        begin_change(tracing, tracee);
    if (tracing->alike && call->row->effect == EFFECT_EXECUTE)
        heads_attach(tracee, &tracing->changes, &tracing->began_at);
    if (tracing->alike)
        secured_before(&tracing->secured, &tracing->places, &tracing->changes, tracee, &tracing->stream);
    else
        tracee->creates = false;
    tracee->untraced_flag = call->row->effect == EFFECT_FORK && (call->flags & CLONE_UNTRACED) != 0;
    if (tracee->untraced_flag)
        set_fork_flags(tracee, call->flags & ~(uint64_t)CLONE_UNTRACED);
    tracee->in_call = true;
    resume(tracing, tracee, PTRACE_SYSCALL, 0);
}

/* Whether a file that was opened is not what its path leads to any more: another change came between. */
static bool has_lost_its_path(struct tracing *tracing, struct tracee *tracee, int descriptor)
{
    char path[PATH_MAX];
    struct stat opened, named;
    if (link_status(tracee->tid, descriptor, &opened) != 0 || !look_absolute_path(&tracing->changes, tracee, 0, path))
        return true;
    return stat(path, &named) != 0 || named.st_dev != opened.st_dev || named.st_ino != opened.st_ino;
}

/* A call has returned that was not told inside. */
static void on_late(struct tracing *tracing, struct tracee *tracee, const __uint64_t message[6])
{
    struct call *call = &tracee->call;
    const struct inside *inside = tracing->injection.inside;
    bool others_changed = message[4] >> 32 != (uint32_t)atomic_load(&inside->sequence);
    int64_t result = (int32_t)message[4];
    call->number = (uint32_t)(message[0] >> 8) & 0xffffU;
    call->row = call_row(call->number);
    memset(call->arguments, 0, sizeof call->arguments);
    memcpy(call->arguments, message + 1, 3 * sizeof *call->arguments);
    call->arguments[3] = message[0] >> 32;
    capture_entry(tracee, &tracing->changes);
    capture_exit(tracee, result);
    if (others_changed && result >= 0 && call->row->effect == EFFECT_OPEN && has_lost_its_path(tracing, tracee, (int)result))
        tracing_problem(tracing, "a file was replaced while it was opened");
    put_call(tracing, tracee, STATE_RETURNED, result);
}

static void on_message(struct tracing *tracing, struct tracee *tracee, const __uint64_t message[6])
{
    switch ((enum inside_message)(message[0] & 0xff)) {
    case MESSAGE_LIBRARY:
        injection_learn(&tracing->injection, tracee->tid, (int)message[1]);
        break;
    case MESSAGE_LATE:
        on_late(tracing, tracee, message);
        break;
    case MESSAGE_REFUSED:
        injection_refused(&tracing->injection, tracee);
        break;
    }
    resume(tracing, tracee, PTRACE_CONT, 0);
}

static void on_entry(struct tracing *tracing, struct tracee *tracee)
{
    struct __ptrace_syscall_info info;
    struct call *call = &tracee->call;
    bool known = ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof info, &info) > 0;
    if (!known && errno != ESRCH)
        tracing_problem(tracing, "system calls cannot be read: that needs Linux 5.3");
    if (!known || info.op != PTRACE_SYSCALL_INFO_SECCOMP) {
        resume(tracing, tracee, PTRACE_CONT, 0);
        return;
    }
    if (is_foreign(&info)) {
        on_foreign(tracing, tracee, &info);
        return;
    }
    if (injection_is_message(&tracing->injection, info.seccomp.nr, info.seccomp.args[5])) {
        on_message(tracing, tracee, info.seccomp.args);
        return;
    }
    call->number = (uint32_t)info.seccomp.nr;
    call->row = call_row(call->number);
    memcpy(call->arguments, info.seccomp.args, sizeof call->arguments);
    if (call_is_about_processors(call->number))
        follow_no_more(&tracing->follow, call->row->action == CALL_HARMLESS);
    if (call->number == SYS_prctl) /* it restricts its own calls, and with that what the code inside does */
        injection_end(&tracing->injection);
    if (call->row->action == CALL_HARMLESS) {
        tracing->alike = tracing->alike && !call_hides_files(call->number);
        resume(tracing, tracee, PTRACE_CONT, 0);
        return;
    }
    on_call(tracing, tracee);
}

/* Count what a call that succeeded has changed for look-ups. */
static void count_changes(struct changes *changes, const struct call *call)
{
    enum call_effect effect = (enum call_effect)call->row->effect;
    changes->all += call_changes(call);
    changes->links += effect == EFFECT_SYMLINK || effect == EFFECT_RENAME || effect == EFFECT_HARDLINK;
    changes->folders += effect == EFFECT_RENAME || effect == EFFECT_RMDIR ||
                        (effect == EFFECT_UNLINK && (call->flags & AT_REMOVEDIR) != 0);
}

/* Whether a call that sets users or groups asked for those that everybody here has from the start. */
static bool stays_itself(const struct call *call)
{
    bool group = strstr(call->row->name, "gid") != NULL;
    uint32_t own = group ? getegid() : geteuid();
    if (own != (group ? getgid() : getuid()))
        return false;
    for (int i = 0; i < 6 && call->row->args[i] == ARG_INT; i++)
        if ((uint32_t)call->arguments[i] != own && (uint32_t)call->arguments[i] != UINT32_MAX)
            return false;
    return true;
}

/* Let a call that succeeded have its effect on what is known of its thread. */
static void apply(struct tracing *tracing, struct tracee *tracee, int64_t result)
{
    const struct call *call = &tracee->call;
    count_changes(&tracing->changes, call);
    switch (call->row->effect) {
    case EFFECT_CHDIR:
        tracees_moved(&tracing->tracees, tracee);
        break;
    case EFFECT_UNSHARE:
        if (call->arguments[0] & CLONE_FS)
            tracees_unshare(&tracing->tracees, tracee);
        if (call->arguments[0] & ~(uint64_t)(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM))
            tracing->alike = false;
        break;
    case EFFECT_SECCOMP:
        injection_end(&tracing->injection);
        break;
    case EFFECT_PRIVILEGE:
        tracing->alike = tracing->alike && stays_itself(call);
        break;
    case EFFECT_REFUSE:
        tracing->alike = false;
        break;
    case EFFECT_OPEN:
    case EFFECT_CREATE:
        if (tracee->creates)
            secured_made(&tracing->secured, tracee->tid, (int)result);
        break;
    default:
        break;
    }
}

static void on_exit_of_call(struct tracing *tracing, struct tracee *tracee)
{
    struct __ptrace_syscall_info info;
    if (tracee->in_call && ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof info, &info) > 0 &&
        info.op == PTRACE_SYSCALL_INFO_EXIT) {
        int64_t result = info.exit.rval;
        capture_exit(tracee, result);
        if (tracee->untraced_flag)
            set_fork_flags(tracee, tracee->call.flags);
        tracee->untraced_flag = false;
        if (result >= 0)
            apply(tracing, tracee, result);
        put_call(tracing, tracee, STATE_RETURNED, result);
    }
    resume(tracing, tracee, PTRACE_CONT, 0);
}

/* Take up a call that makes a thread and was let through by the filter. One of another table is not followed. */
static void enter_fork(struct tracing *tracing, struct tracee *parent)
{
    struct __ptrace_syscall_info info;
    struct call *call = &parent->call;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, parent->tid, sizeof info, &info) <= 0 ||
        arch_read_call(parent->tid, &info.seccomp.nr, call->arguments) != 0 || is_foreign(&info))
        return;
    call->number = (uint32_t)info.seccomp.nr;
    call->row = call_row(call->number);
    capture_entry(parent, &tracing->changes);
    parent->in_call = true;
}

/* Whether a new thread shares with its maker, while both run, what a look of either means when it is told. */
static bool shares_what_looks_mean(uint64_t flags)
{
    return (flags & (CLONE_FS | CLONE_FILES)) != 0 || (flags & (CLONE_VM | CLONE_VFORK)) == CLONE_VM;
}

/* The call of a parent has made a thread; the rest of the call needs no stop. */
static void on_fork(struct tracing *tracing, struct tracee *parent)
{
    unsigned long number = 0;
    if (!parent->in_call)
        enter_fork(tracing, parent);
    if (ptrace(PTRACE_GETEVENTMSG, parent->tid, NULL, &number) == 0) {
        pid_t tid = (pid_t)number;
        struct tracee *child = tracees_find(&tracing->tracees, tid);
        uint64_t flags = parent->in_call ? parent->call.flags : 0;
        bool stands = child == NULL || child->held;
        if (child == NULL)
            child = tracees_add(&tracing->tracees, tid);
        if (parent->in_call)
            tracees_link(&tracing->tracees, child, parent, flags);
        if (parent->untraced_flag)
            set_fork_flags(parent, flags);
        parent->untraced_flag = false;
        if (shares_what_looks_mean(flags)) {
            injection_end_in(&tracing->injection, parent->tid, stands);
            injection_end_in(&tracing->injection, tid, stands);
        }
        if (flags & (CLONE_NEWNS | CLONE_NEWUSER))
            tracing->alike = false;
        if (parent->in_call)
            put_call(tracing, parent, STATE_RETURNED, tid);
        release(tracing, child);
    }
    resume(tracing, parent, PTRACE_CONT, 0);
}

/* Thread `former` has become the process's first, whose own thread is no more. */
static void supersede(struct tracing *tracing, struct tracee *leader, pid_t former)
{
    struct tracee *thread = tracees_find(&tracing->tracees, former);
    put_unfinished(tracing, leader);
    put_number(tracing, RECORD_SUPERSEDED, leader->tid, (uint32_t)former);
    if (thread == NULL)
        return;
    struct tracee kept = *leader;
    *leader = *thread;
    leader->tid = kept.tid;
    kept.tid = former;
    *thread = kept;
    if (leader->in_call)
        record_pid(&leader->record, leader->tid);
    tracees_remove(&tracing->tracees, thread);
}

static void on_exec(struct tracing *tracing, struct tracee *tracee)
{
    unsigned long former = 0;
    struct stat program;
    char name[LINK_NAME];
    if (ptrace(PTRACE_GETEVENTMSG, tracee->tid, NULL, &former) == 0 && (pid_t)former != tracee->tid)
        supersede(tracing, tracee, (pid_t)former);
    if (tracee->in_call)
        put_call(tracing, tracee, STATE_RETURNED, 0);
    tracees_executed(&tracing->tracees, tracee);
    link_name_of_program(name, tracee->tid);
    if (geteuid() == 0 && stat(name, &program) == 0 && (program.st_mode & (S_ISUID | S_ISGID)) != 0)
        tracing->alike = false;
    if (tracing->alike)
        injection_executed(&tracing->injection, tracee);
    resume(tracing, tracee, PTRACE_CONT, 0);
}

/* A new thread, a stop of the whole process, or the end of one. */
static void on_event_stop(struct tracing *tracing, struct tracee *tracee, int number, bool is_new)
{
    if (stops_a_group(number)) {
        resume(tracing, tracee, PTRACE_LISTEN, 0);
    } else if (is_new && reports_hold(tracee->tid)) {
        tracee->held = true;
        tracee->ticks_held = 0;
        tracing->held++;
        reports_resumed();
    } else {
        resume(tracing, tracee, PTRACE_CONT, 0);
    }
}

static void on_stop(struct tracing *tracing, pid_t tid, int status)
{
    take_told(tracing);
    struct tracee *tracee = tracees_find(&tracing->tracees, tid);
    bool is_new = tracee == NULL;
    int number = WSTOPSIG(status);
    if (is_new)
        tracee = tracees_add(&tracing->tracees, tid);
    if (status >> 16 == PTRACE_EVENT_EXEC)
        tracee->stops = 0; /* the kernel may have chosen a processor anew */
    follow_tracee(&tracing->follow, tracee);
    switch (status >> 16) {
    case PTRACE_EVENT_SECCOMP:
        on_entry(tracing, tracee);
        break;
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
        on_fork(tracing, tracee);
        break;
    case PTRACE_EVENT_EXEC:
        on_exec(tracing, tracee);
        break;
    case PTRACE_EVENT_STOP:
        on_event_stop(tracing, tracee, number, is_new);
        break;
    default:
        if (number == SYSCALL_STOP)
            on_exit_of_call(tracing, tracee);
        else
            resume(tracing, tracee, PTRACE_CONT, number);
    }
}

static void on_end(struct tracing *tracing, pid_t tid, int status)
{
    take_told(tracing);
    struct tracee *tracee = tracees_find(&tracing->tracees, tid);
    if (tracee != NULL) {
        put_unfinished(tracing, tracee);
        if (tracee->held) {
            tracing->held--;
            reports_release(tid);
        }
        tracees_remove(&tracing->tracees, tracee);
    }
    if (WIFSIGNALED(status))
        put_end(tracing, RECORD_KILLED, tid, (uint32_t)WTERMSIG(status));
    else
        put_end(tracing, RECORD_EXITED, tid, (uint32_t)WEXITSTATUS(status));
}

/* Write what waits, and let threads go whose parent did not live to tell of them. */
static void on_tick(struct tracing *tracing)
{
    ticked = 0;
    take_told(tracing);
    stream_flush(&tracing->stream);
    for (size_t i = 0; tracing->held > 0 && i < tracing->tracees.capacity; i++)
        if (tracing->tracees.slots[i] != NULL && tracing->tracees.slots[i]->ticks_held++ == TICKS_HELD)
            release(tracing, tracing->tracees.slots[i]);
}

void stops_run(struct tracing *tracing)
{
    int status;
    pid_t tid;
    while ((tid = reports_next(&status)) >= 0) {
        if (tid > 0 && WIFSTOPPED(status))
            on_stop(tracing, tid, status);
        else if (tid > 0)
            on_end(tracing, tid, status);
        if (ticked)
            on_tick(tracing);
        if (tracing->stream.broken)
            passive_run();
        set_timer(tracing, tracing->held > 0 || stream_waiting(&tracing->stream) || tracing->injection.inside != NULL);
    }
}

void tracing_end(struct tracing *tracing)
{
    struct record record = {NULL, 0, 0};
    set_timer(tracing, false);
    record_begin(&record, RECORD_END, 0);
    stream_put(&tracing->stream, &record);
    record_free(&record);
    stream_drain(&tracing->stream);
    stream_wait_closed(&tracing->stream);
}
