/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "passive.h"

#include "ptrace_events.h"
#include "reports.h"

#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* The status of a tracer that did not see everything. */
enum { EXIT_PASSIVE = 3 };

enum { HANDLER_STACK = 1 << 16 };

static const int CRASHES[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};

static _Alignas(16) char handler_stack[HANDLER_STACK];

static const struct stream *silent_stream;

void passive_tells(const struct stream *stream)
{
    silent_stream = stream;
}

/* Begin the stream, if nothing of it was written, and say that the command runs on. */
static void tell(const struct stream *stream)
{
    struct {
        char magic[STREAM_MAGIC_SIZE];
        uint32_t tracer, size;
        uint8_t kind, state;
        uint16_t attachments;
        uint32_t thread;
    } words = {STREAM_MAGIC, (uint32_t)getpid(), 0, RECORD_UNSEEN, 0, 0, 0};
    const size_t beginning = STREAM_MAGIC_SIZE + sizeof words.tracer;
    words.size = (uint32_t)(sizeof words - beginning);
    size_t from = stream->begun ? beginning : 0;
    if (write(stream->descriptor, (const char *)&words + from, sizeof words - from) < 0)
        return; /* nobody reads any more */
}

/* A signal that another process sent is none of ours, as with all that end programs. */
static void crashed(int number, siginfo_t *cause, void *context)
{
    (void)number;
    (void)context;
    if (cause->si_code <= 0 && cause->si_pid != getpid())
        return;
    const struct stream *stream = silent_stream;
    silent_stream = NULL; /* should it be what is broken */
    if (stream != NULL)
        tell(stream);
    passive_run();
}

void passive_on_crash(void)
{
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    struct sigaction action = {.sa_sigaction = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER | SA_SIGINFO};
    sigaltstack(&stack, NULL);
    for (size_t i = 0; i < sizeof CRASHES / sizeof *CRASHES; i++)
        sigaction(CRASHES[i], &action, NULL);
}

/* Let a thread go on from its stop as it would have without a tracer. */
static void let_go(pid_t tid, int status)
{
    int number = WSTOPSIG(status);
    int event = status >> 16;
    if (event == PTRACE_EVENT_STOP && stops_a_group(number) && ptrace(PTRACE_LISTEN, tid, NULL, NULL) == 0)
        return;
    bool delivered = event == 0 && number != SYSCALL_STOP;
    ptrace(PTRACE_CONT, tid, NULL, (void *)(intptr_t)(delivered ? number : 0));
}

noreturn void passive_run(void)
{
    int status;
    pid_t tid;
    reports_each_standing(let_go);
    while ((tid = reports_next(&status)) >= 0)
        if (tid > 0 && WIFSTOPPED(status))
            let_go(tid, status);
    _exit(EXIT_PASSIVE);
}
