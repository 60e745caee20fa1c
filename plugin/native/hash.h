/* SPDX-License-Identifier: Apache-2.0 */
/* A keyed hash of 64 bits whose collisions nobody can plan. */
#ifndef PYTRACE_HASH_H
#define PYTRACE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Draw the key; to be called once, before the first hash. */
void hash_begin(void);

/* Hash `size` bytes, started by `seed`. */
uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t size);

#endif
