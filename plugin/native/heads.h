/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of a program that the run may have made: it names the interpreter, and may be gone when it is asked for. */
#ifndef PYTRACE_HEADS_H
#define PYTRACE_HEADS_H

#include "tracees.h"

#include <time.h>

/* Attach to the record of an execution what stands at the beginning of the program, if that changed since `began`. */
void heads_attach(struct tracee *tracee, const struct changes *changes, const struct timespec *began);

#endif
