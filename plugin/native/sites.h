/* SPDX-License-Identifier: Apache-2.0 */
/* Where the code of a library makes calls that look, in a form that can be led elsewhere. */
#ifndef PYTRACE_SITES_H
#define PYTRACE_SITES_H

#include "inside.h"

#include <stdbool.h>
#include <stddef.h>

/* Of an ELF file for x86-64: where its code lies and where it begins, as offsets from its base in memory. */
struct program_code {
    uint64_t entry, low, high;
    uint64_t offset, size; /* in the file */
};

/* Read the headers; false unless it is such a file with one part of code. */
bool sites_read_headers(const uint8_t *file, size_t size, struct program_code *code);

/* Fill in at most `most` sites of a file whose headers were read; returns how many there are. */
uint32_t sites_find(const uint8_t *file, const struct program_code *code, struct site *sites, uint32_t most);

/* What stands at a site of a file; `*size` says how many bytes. */
const uint8_t *sites_form(const struct site *site, size_t *size);

/* Whether a file of this name is a loader or a C library. */
bool sites_expected(const char *path);

#endif
