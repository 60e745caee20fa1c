/* SPDX-License-Identifier: Apache-2.0 */
/* What runs in the traced processes themselves: looks that need no stop, and the memory by which they are told.
 *
 * Every program that takes part maps the same memory at one address: code first, then `struct inside`; and a page of its
 * own. Where the loader and the C library make a call that only looks (a site), they are led to that code. It makes the
 * call in a form that the filter lets through, with the run's cookie as a sixth argument, which no look has, and tells of
 * it in a slot.
 *
 * A look counts only if no change began between its start and the moment when its slot was filled: `sequence` is odd while
 * a change is under way, and differs after each. One that does not count is made once more in its own form, and stops. So
 * does all that the code does not know, and every look of a process of several threads.
 *
 * x86-64 only: elsewhere nothing is brought in, and every look stops. */
#ifndef PYTRACE_INSIDE_H
#define PYTRACE_INSIDE_H

#include <stdatomic.h>
#include <stdint.h>

/* Where it lies: in reach of the 32-bit address of a jump, above programs that cannot be moved. The code in
 * inside_x86_64.c has the address of `returns` in it. */
#define INSIDE_AT 0x70000000UL
#define INSIDE_OWN_AT 0x6ffff000UL

enum {
    INSIDE_POINTERS = 0x2000, /* in the code: where each site's jump finds the address of its entry */
    INSIDE_ENTRIES = 0x3000,
    INSIDE_ENTRY_SIZE = 16,
    INSIDE_CODE_SIZE = 0x4000,
    INSIDE_MOST_SITES = 256,
    INSIDE_MOST_LIBRARIES = 64,
    INSIDE_LIBRARY_SITES = 32,
    INSIDE_SLOTS = 4096,
    INSIDE_SLOT_BYTES = 392,
    INSIDE_NAMES = 4096,
    INSIDE_WAY_IN = 384, /* how much of a loader's first code the way in takes */
};

/* `getppid`, which has no arguments: with the cookie it is a message to the tracer, its first argument one of these. A
 * call that no kernel has would not do: a container's own filter answers it, and the tracer never hears of it. */
enum { INSIDE_MESSAGE = 110 };
enum inside_message {
    MESSAGE_LIBRARY = 1, /* a library that is not in the table; its descriptor */
    /* A call that has returned, and is neither told nor to be made again: with the first argument its number, from bit 8
     * on, and its fourth argument, from bit 32 on; its first three; its result, and from bit 32 on `sequence` when it began. */
    MESSAGE_LATE = 2,
    MESSAGE_REFUSED = 3, /* nothing can be led here: the loader is to begin as it would have */
};

enum slot_state { SLOT_FREE = 0, SLOT_FILLED, SLOT_TAKEN };

/* What tells files apart, and by which mount one was reached; inode 0 for none. */
struct file {
    uint64_t device, inode, mount;
};

/* A look. `bytes` holds its path, the name of the directory or descriptor that it starts from (`base`), and of what it
 * opened; or what it read, which goes on in as many slots after this one as that takes. A name of length 0 of a file that
 * is given is one that the tracer knows. */
struct slot {
    atomic_uint state;
    uint32_t thread;
    uint64_t sequence;
    uint64_t arguments[6];
    int64_t result;
    struct file base, opened;
    uint32_t number;
    uint16_t path_length, base_length, opened_length, padding;
    uint32_t read_length;
    char bytes[INSIDE_SLOT_BYTES];
};

/* What stands at a site after the call: three forms of a comparison of its result with the least error. */
enum comparison { COMPARES_RESULT = 0, COMPARES_INT, COMPARES_LEAST, COMPARISONS };

/* `at`: an offset in the library's file. */
struct site {
    uint32_t at;
    uint32_t comparison;
};

/* A file that was mapped to be executed, without sites if it is no library whose calls are known. `first_site` is in the
 * numbering of all libraries' sites. `first_code`: of a loader, what stands where it begins. */
struct library {
    uint64_t device, inode, size;
    int64_t changed_s, changed_ns;
    uint32_t first_site, site_count;
    struct site sites[INSIDE_LIBRARY_SITES];
    uint8_t first_code[INSIDE_WAY_IN];
};

/* A file whose name the tracer knows, at the place that is made of it: whoever looks by a descriptor of it need not ask. */
struct named {
    atomic_ullong device, inode, mount;
};

#define INSIDE_PLACE_OF_NAME(file) \
    ((uint32_t)(((file)->inode ^ (file)->device << 32) * 0x9e3779b97f4a7c15UL >> 52) % INSIDE_NAMES)

struct inside {
    uint64_t cookie;
    atomic_ullong sequence;
    atomic_uint off;
    atomic_uint next_slot;
    atomic_uint library_count;
    struct library libraries[INSIDE_MOST_LIBRARIES];
    struct named names[INSIDE_NAMES];
    _Alignas(4096) struct slot slots[INSIDE_SLOTS];
};

/* The page of a process. `cookie`: the run's, by which it is told from what other programs have there; `returns`: where each site
 * goes on. */
struct inside_own {
    uint64_t cookie;
    uint64_t off;
    uint64_t returns[INSIDE_MOST_SITES];
};

/* What the code is told when it begins, by the way in: which library the loader is, and where it lies. */
struct inside_beginning {
    uint64_t library, base, entry, low, high;
};

/* Whether there is such code for this processor, and the compiler puts all of it where it belongs (hatch_build.py). */
#if defined(__x86_64__) && !defined(PYTRACE_STOPS_ONLY)
#define INSIDE_KNOWN 1
#else
#define INSIDE_KNOWN 0
#endif

#define INSIDE_SIZE (INSIDE_CODE_SIZE + sizeof(struct inside))

#endif
