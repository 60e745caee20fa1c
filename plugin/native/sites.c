/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "sites.h"

#include "call.h"

#include <elf.h>
#include <string.h>
#include <sys/syscall.h>

/* The GNU loader and C library, by the beginnings of their names. */
static const char *const EXPECTED[] = {"ld-linux-x86-64.so", "ld-2.", "libc.so.6", "libc-2."};

/* `syscall`, then the comparison. */
static const uint8_t FORMS[COMPARISONS][8] = {
    [COMPARES_RESULT] = {0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff},
    [COMPARES_INT] = {0x0f, 0x05, 0x3d, 0x00, 0xf0, 0xff, 0xff},
    [COMPARES_LEAST] = {0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff},
};
static const size_t FORM_SIZES[COMPARISONS] = {8, 7, 8};

/* How far before its call a number may be put into eax, and what a site's form takes at most, in bytes. */
enum { NUMBER_BEFORE = 24, FORM = 8, CALL_SIZE = 2 };

/* Jumps are held against sites by blocks of so many bytes, and these by so many numbers. */
enum { BLOCK = 128, BLOCKS = 1 << 14 };

/* How far a function reaches at most, and how much of the code is put first because it is seldom run, in bytes. */
enum { NEAR = 1 << 16, SELDOM_RUN = 1 << 17, PAGE = 1 << 12 };

/* The first bytes of instructions with a distance: a number into eax, jumps. */
enum { MOVE_TO_EAX = 0xb8, SHORT_JUMP_ALWAYS = 0xeb, SHORT_JUMP_IF = 0x70 };
enum { CALL = 0xe8, LONG_JUMP_ALWAYS = 0xe9, TWO_BYTES = 0x0f, LONG_JUMP_IF = 0x80 };

bool sites_expected(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name != NULL ? name + 1 : path;
    for (size_t i = 0; i < sizeof EXPECTED / sizeof *EXPECTED; i++)
        if (strncmp(name, EXPECTED[i], strlen(EXPECTED[i])) == 0)
            return true;
    return false;
}

bool sites_read_headers(const uint8_t *file, size_t size, struct program_code *code)
{
    Elf64_Ehdr head;
    Elf64_Phdr part;
    unsigned parts = 0;
    if (size < sizeof head)
        return false;
    memcpy(&head, file, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
        head.e_machine != EM_X86_64 || head.e_type != ET_DYN || head.e_phentsize != sizeof part)
        return false;
    for (unsigned i = 0; i < head.e_phnum; i++) {
        uint64_t at = head.e_phoff + i * sizeof part;
        if (at > size || size - at < sizeof part)
            return false;
        memcpy(&part, file + at, sizeof part);
        if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0)
            continue;
        if (part.p_offset > size || part.p_filesz > size - part.p_offset || part.p_vaddr != part.p_offset)
            return false;
        const uint64_t within = PAGE - 1;
        *code = (struct program_code){head.e_entry, part.p_vaddr & ~within,
                                      (part.p_vaddr + part.p_filesz + within) & ~within, part.p_offset, part.p_filesz};
        parts++;
    }
    return parts == 1;
}

/* Whether the call that is made here is one that may be told inside, or mmap, by which libraries come. */
static bool puts_wanted_number(const uint8_t *code, size_t at)
{
    for (size_t back = 5; back <= NUMBER_BEFORE && back <= at; back++) {
        uint32_t number;
        memcpy(&number, code + at - back + 1, sizeof number);
        if (code[at - back] == MOVE_TO_EAX && (call_may_be_told_inside(number) || number == SYS_mmap))
            return true;
    }
    return false;
}

/* Take out the site whose comparison, past the call, is where a jump leads. */
static uint32_t without(struct site *sites, uint32_t count, uint64_t target)
{
    for (uint32_t i = 0; i < count; i++) {
        if (target > sites[i].at && target < (uint64_t)sites[i].at + FORM) {
            sites[i] = sites[count - 1];
            return count - 1;
        }
    }
    return count;
}

/* Where bytes lead that could be a jump, given how long its distance is: 1 or 4 bytes after the first. */
static uint64_t jumps_to(const uint8_t *bytes, const struct program_code *code, size_t i, unsigned distance_size)
{
    int32_t distance = (int8_t)bytes[i + 1];
    if (distance_size == sizeof distance)
        memcpy(&distance, bytes + i + 1, sizeof distance);
    return code->offset + i + 1 + distance_size + (uint64_t)(int64_t)distance;
}

/* How long the distance is of an instruction that begins with a byte, if it is a jump or a call. */
static void distance_sizes(uint8_t sizes[256])
{
    memset(sizes, 0, 256);
    memset(sizes + SHORT_JUMP_IF, 1, 16);
    memset(sizes + LONG_JUMP_IF, 4, 16); /* the second byte of one */
    sizes[SHORT_JUMP_ALWAYS] = 1;
    sizes[CALL] = sizes[LONG_JUMP_ALWAYS] = 4;
}

/* Whether a function that has a site can have code in the page at an offset: near the site, or where linkers put what is
 * seldom run, first of all. */
static bool may_belong(const struct program_code *code, const struct site *sites, uint32_t count, size_t page)
{
    if (page < SELDOM_RUN)
        return true;
    for (uint32_t i = 0; i < count; i++)
        if (sites[i].at + NEAR > code->offset + page && sites[i].at < code->offset + page + NEAR)
            return true;
    return false;
}

/* Take out all sites that anything which could be a jump leads into. Where bytes only look like one, a site is lost. */
static uint32_t without_those_jumped_into(const uint8_t *bytes, const struct program_code *code, struct site *sites,
                                          uint32_t count)
{
    bool blocks[BLOCKS] = {false}; /* those that hold a site, or an end of one */
    uint8_t sizes[256];
    distance_sizes(sizes);
    for (uint32_t i = 0; i < count; i++)
        blocks[sites[i].at / BLOCK % BLOCKS] = blocks[(sites[i].at + FORM) / BLOCK % BLOCKS] = true;
    for (size_t i = 0; i + 5 <= code->size; i++) {
        if (i % PAGE == 0 && !may_belong(code, sites, count, i)) {
            i += PAGE - 1;
            continue;
        }
        if (sizes[bytes[i]] == 0 || ((bytes[i] & 0xf0) == LONG_JUMP_IF && (i == 0 || bytes[i - 1] != TWO_BYTES)))
            continue;
        uint64_t target = jumps_to(bytes, code, i, sizes[bytes[i]]);
        if (blocks[target / BLOCK % BLOCKS])
            count = without(sites, count, target);
    }
    return count;
}

const uint8_t *sites_form(const struct site *site, size_t *size)
{
    *size = FORM_SIZES[site->comparison];
    return FORMS[site->comparison];
}

static int form_at(const uint8_t *code, size_t left)
{
    for (int form = 0; form < COMPARISONS; form++)
        if (left >= FORM && memcmp(code, FORMS[form], FORM_SIZES[form]) == 0)
            return form;
    return -1;
}

uint32_t sites_find(const uint8_t *file, const struct program_code *code, struct site *sites, uint32_t most)
{
    const uint8_t *bytes = file + code->offset;
    const uint8_t *end = bytes + code->size, *at = bytes;
    uint32_t count = 0;
    while (count < most && (at = memmem(at, (size_t)(end - at), FORMS[0], CALL_SIZE)) != NULL) {
        int form = form_at(at, (size_t)(end - at));
        size_t offset = (size_t)(at - bytes);
        if (form >= 0 && puts_wanted_number(bytes, offset))
            sites[count++] = (struct site){(uint32_t)(code->offset + offset), (uint32_t)form};
        at += CALL_SIZE;
    }
    return without_those_jumped_into(bytes, code, sites, count);
}
