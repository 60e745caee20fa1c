/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is there or ends the tracing: a tracer out of memory goes on as a passive one (see passive.h). */
#ifndef PYTRACE_ALLOCATE_H
#define PYTRACE_ALLOCATE_H

#include <stdlib.h>

static inline void *allocate(void *former, size_t size)
{
    void *memory = realloc(former, size);
    if (memory == NULL)
        abort();
    return memory;
}

static inline void *allocate_zeroed(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        abort();
    return memory;
}

#endif
