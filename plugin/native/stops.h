/* SPDX-License-Identifier: Apache-2.0 */
/* What happens at each stop of a traced thread. */
#ifndef PYTRACE_STOPS_H
#define PYTRACE_STOPS_H

#include "duplicates.h"
#include "follow.h"
#include "injection.h"
#include "names.h"
#include "places.h"
#include "secured.h"
#include "stream.h"
#include "tracees.h"

/* `all`: repeated looks are told each time, and the result of every call is waited for. `alike`: the tracer's looks
 * show what the traced threads see. `held`: how many new threads wait for the event of the call that made them.
 * `ticking`: the timer runs, because something waits. `began_at`: when the tracer attached. */
struct tracing {
    struct stream stream;
    struct tracees tracees;
    struct changes changes;
    struct places places;
    struct duplicates duplicates;
    struct secured secured;
    struct follow follow;
    struct injection injection;
    struct names names;
    bool all;
    bool alike;
    bool begun;
    bool ticking;
    unsigned held;
    struct timespec began_at;
};

/* Note that the process is attached to, and becomes the first thread. */
void tracing_begin(struct tracing *tracing, pid_t command);

/* Put into the stream that something could not be done. */
void tracing_problem(struct tracing *tracing, const char *text);

/* Deal with stops until no thread is left. */
void stops_run(struct tracing *tracing);

/* End the stream, and wait until the reader needs nothing more of this process. */
void tracing_end(struct tracing *tracing);

#endif
