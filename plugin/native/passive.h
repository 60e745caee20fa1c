/* SPDX-License-Identifier: Apache-2.0 */
/* Letting the traced tree go on without recording it.
 *
 * Its filter cannot be taken off, and without a tracer every call that the filter stops would fail. So the tracer stays
 * until the last thread has ended; all it does is to let go of what stops. The handler of its own crashes ends here,
 * too: nothing that is called from here uses memory that could be broken. */
#ifndef PYTRACE_PASSIVE_H
#define PYTRACE_PASSIVE_H

#include "stream.h"

#include <stdnoreturn.h>

/* From now on a crash of this process becomes passive tracing. */
void passive_on_crash(void);

/* From now on a crash is told on a stream that has told of no call yet, NULL for none any more: the wrapper would take the
 * command for one that never began, and run it again. */
void passive_tells(const struct stream *stream);

/* Let go of everything until nothing is left, and end this process. */
noreturn void passive_run(void);

#endif
