/* SPDX-License-Identifier: Apache-2.0 */
/* Linked with the native tracer (`--wrap`, see instants.py): it ends itself, or the command that it is about to become,
 * at the instant that its first argument names, `--die=INSTANT:SIGNAL`. */
#define _GNU_SOURCE
#include "capture.h"
#include "filter.h"
#include "handshake.h"
#include "secured.h"
#include "stops.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

static char instant[64];
static int number;
static bool secures;
static pid_t secured_of;

static void learn(void)
{
    char words[4096] = "";
    int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(file, words, sizeof words - 1);
    close(file);
    const char *first = words + strlen(words) + 1;
    if (length <= 0 || sscanf(first, "--die=%63[^:]:%d", instant, &number) != 2)
        abort();
}

static void reached(const char *name)
{
    if (instant[0] == 0)
        learn();
    if (strcmp(name, instant) == 0)
        raise(number);
}

long __real_ptrace(int request, pid_t tid, void *address, void *data);
long __wrap_ptrace(int request, pid_t tid, void *address, void *data);
void __real_handshake_reach(struct handshake *handshake, enum stage stage);
void __wrap_handshake_reach(struct handshake *handshake, enum stage stage);
int __real_filter_install(const struct detail *detail);
int __wrap_filter_install(const struct detail *detail);
void __real_stream_put(struct stream *stream, struct record *record);
void __wrap_stream_put(struct stream *stream, struct record *record);
void __real_secured_before(struct secured *secured, struct places *places, const struct changes *changes,
                           struct tracee *tracee, struct stream *stream);
void __wrap_secured_before(struct secured *secured, struct places *places, const struct changes *changes,
                           struct tracee *tracee, struct stream *stream);
void __real_capture_exit(struct tracee *tracee, int64_t result);
void __wrap_capture_exit(struct tracee *tracee, int64_t result);
void __real_tracing_end(struct tracing *tracing);
void __wrap_tracing_end(struct tracing *tracing);
void __real_stream_drain(struct stream *stream);
void __wrap_stream_drain(struct stream *stream);
void __real_stream_wait_closed(const struct stream *stream);
void __wrap_stream_wait_closed(const struct stream *stream);

long __wrap_ptrace(int request, pid_t tid, void *address, void *data)
{
    if (request == PTRACE_SEIZE)
        reached("attaching");
    long result = __real_ptrace(request, tid, address, data);
    if (request == PTRACE_SEIZE)
        reached("attached");
    if (request == PTRACE_SYSCALL && tid == secured_of)
        reached("within");
    return result;
}

void __wrap_handshake_reach(struct handshake *handshake, enum stage stage)
{
    __real_handshake_reach(handshake, stage);
    if (stage == STAGE_ATTACHED)
        reached("told");
}

int __wrap_filter_install(const struct detail *detail)
{
    reached("unfiltered");
    int result = __real_filter_install(detail);
    reached("filtered");
    return result;
}

void __wrap_stream_put(struct stream *stream, struct record *record)
{
    secures = record->bytes[sizeof(uint32_t)] == RECORD_SECURED;
    __real_stream_put(stream, record);
}

void __wrap_secured_before(struct secured *secured, struct places *places, const struct changes *changes,
                           struct tracee *tracee, struct stream *stream)
{
    secures = false;
    __real_secured_before(secured, places, changes, tracee, stream);
    secured_of = secures ? tracee->tid : 0;
    if (secures)
        reached("secured");
}

void __wrap_capture_exit(struct tracee *tracee, int64_t result)
{
    if (tracee->tid == secured_of)
        reached("returned");
    __real_capture_exit(tracee, result);
}

void __wrap_tracing_end(struct tracing *tracing)
{
    reached("all ended");
    __real_tracing_end(tracing);
}

void __wrap_stream_drain(struct stream *stream)
{
    reached("ending");
    __real_stream_drain(stream);
}

void __wrap_stream_wait_closed(const struct stream *stream)
{
    reached("ended");
    __real_stream_wait_closed(stream);
}
