/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp filter: harmless calls pass, all others stop for the tracer. */
#ifndef PYTRACE_FILTER_H
#define PYTRACE_FILTER_H

#include "call.h"

/* Put the calling thread, and all that it will start, under the filter. Returns 0, or -1 with errno. */
int filter_install(const struct detail *detail, uint64_t cookie);

#endif
