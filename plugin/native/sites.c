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

/* How far before its call a number may be put into eax, what a site's form takes at most, and how many bytes all forms have
 * at their end, of which the first is seldom found elsewhere. */
enum { NUMBER_BEFORE = 24, FORM = 8, LAST = 3, LAST_BEGINS = 0xf0 };

/* Jumps are held against sites by blocks of so many bytes, and these by so many numbers. */
enum { BLOCK = 128, BLOCKS = 1 << 14 };

/* How long a jump of four bytes' distance is, and how far one of a byte's distance reaches. */
enum { LONG_JUMP = 5, SHORT_REACH = 192 };

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

static bool is_short_jump(uint8_t byte)
{
    return byte == SHORT_JUMP_ALWAYS || (byte & 0xf0) == SHORT_JUMP_IF;
}

static bool is_long_jump(const uint8_t *bytes, size_t i)
{
    return bytes[i] == CALL || bytes[i] == LONG_JUMP_ALWAYS ||
           ((bytes[i] & 0xf0) == LONG_JUMP_IF && i > 0 && bytes[i - 1] == TWO_BYTES);
}

/* Take out the sites that a jump of one byte's distance may lead into. */
static uint32_t without_those_near_jumps(const uint8_t *bytes, const struct program_code *code, struct site *sites,
                                         uint32_t count)
{
    for (uint32_t number = count; number-- > 0;) {
        const size_t site = sites[number].at - code->offset;
        const size_t begin = site > SHORT_REACH ? site - SHORT_REACH : 0;
        const size_t end = site + SHORT_REACH < code->size ? site + SHORT_REACH : code->size - 1;
        for (size_t i = begin; i < end; i++) {
            const uint64_t target = i + 2 + (uint64_t)(int64_t)(int8_t)bytes[i + 1];
            if (is_short_jump(bytes[i]) && target > site && target < site + FORM) {
                sites[number] = sites[--count];
                break;
            }
        }
    }
    return count;
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

/* Take out the sites that a jump or call of four bytes' distance may lead into. */
static uint32_t without_those_far_jumps(const uint8_t *bytes, const struct program_code *code, struct site *sites,
                                        uint32_t count)
{
    bool blocks[BLOCKS] = {false}; /* those that hold a site, or an end of one */
    for (uint32_t i = 0; i < count; i++)
        blocks[sites[i].at / BLOCK % BLOCKS] = blocks[(sites[i].at + FORM) / BLOCK % BLOCKS] = true;
    for (size_t page = 0; page < code->size; page += PAGE) {
        if (!may_belong(code, sites, count, page))
            continue;
        for (size_t i = page; i < page + PAGE && i + LONG_JUMP <= code->size; i++) {
            int32_t distance;
            memcpy(&distance, bytes + i + 1, sizeof distance);
            const uint64_t target = code->offset + i + LONG_JUMP + (uint64_t)(int64_t)distance;
            if (blocks[target / BLOCK % BLOCKS] && is_long_jump(bytes, i))
                count = without(sites, count, target);
        }
    }
    return count;
}

const uint8_t *sites_form(const struct site *site, size_t *size)
{
    *size = FORM_SIZES[site->comparison];
    return FORMS[site->comparison];
}

/* The form whose last bytes begin with the one at an offset; -1 if none does. */
static int form_that_ends(const uint8_t *bytes, size_t at, size_t size)
{
    for (int form = 0; form < COMPARISONS; form++) {
        const size_t before = FORM_SIZES[form] - LAST;
        if (at >= before && size - at >= LAST && memcmp(bytes + at - before, FORMS[form], FORM_SIZES[form]) == 0)
            return form;
    }
    return -1;
}

uint32_t sites_find(const uint8_t *file, const struct program_code *code, struct site *sites, uint32_t most)
{
    const uint8_t *bytes = file + code->offset, *end = bytes + code->size, *at = bytes;
    uint32_t count = 0;
    for (; count < most && (at = memchr(at, LAST_BEGINS, (size_t)(end - at))) != NULL; at++) {
        int form = form_that_ends(bytes, (size_t)(at - bytes), code->size);
        if (form < 0)
            continue;
        size_t offset = (size_t)(at - bytes) + LAST - FORM_SIZES[form];
        if (puts_wanted_number(bytes, offset))
            sites[count++] = (struct site){(uint32_t)(code->offset + offset), (uint32_t)form};
    }
    /* Where bytes only look like a jump, a site is lost. */
    count = without_those_near_jumps(bytes, code, sites, count);
    return without_those_far_jumps(bytes, code, sites, count);
}
