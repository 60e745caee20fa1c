/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "injection.h"

bool injection_is_message(const struct injection *injection, uint64_t number, uint64_t sixth_argument)
{
    return number == INSIDE_MESSAGE && injection->inside != NULL && sixth_argument == injection->inside->cookie;
}

void injection_change_begins(struct injection *injection, struct tracee *tracee)
{
    if (injection->inside == NULL)
        return;
    tracee->changes = true;
    if (injection->changing++ == 0)
        atomic_fetch_add(&injection->inside->sequence, 1);
}

void injection_change_ended(struct injection *injection, struct tracee *tracee)
{
    if (!tracee->changes)
        return;
    tracee->changes = false;
    if (--injection->changing == 0)
        atomic_fetch_add(&injection->inside->sequence, 1);
}

void injection_end(struct injection *injection)
{
    if (injection->inside != NULL)
        atomic_store(&injection->inside->off, 1);
}

#if INSIDE_KNOWN

#include "allocate.h"
#include "links.h"
#include "memory.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

extern const uint8_t __start_inside[], __stop_inside[];
extern const uint8_t inside_from_result[], inside_from_int[], inside_from_least[], inside_start[];

/* The way in, which stands where the loader begins until inside_begin has put the loader's own code back: open the
 * memory, map code, `struct inside` and a page of the process's own, close it, go on. Nothing may lie there yet
 * (MAP_FIXED_NOREPLACE); if something does, or the memory cannot be opened, the tracer is told, and of the memory, of which rbx
 * bytes are mapped, and of its descriptor nothing is left. */
__asm__(".pushsection .rodata\n"
        "way_in:\n"
        "  mov $257, %eax\n  mov $-100, %edi\n  lea way_path(%rip), %rsi\n  mov $0x80002, %edx\n"
        "  mov way_cookie(%rip), %r9\n  syscall\n"
        "  mov %eax, %r8d\n  test %eax, %eax\n  js 9f\n"
        "  mov $0x70000000, %edi\n  mov way_code_size(%rip), %rsi\n  mov $5, %edx\n  mov $0x100001, %r10d\n"
        "  xor %r9d, %r9d\n  mov $9, %eax\n  syscall\n"
        "  cmp %rdi, %rax\n  jne 9f\n  mov %rsi, %rbx\n"
        "  mov %rsi, %r9\n  add %rsi, %rdi\n  mov way_shared_size(%rip), %rsi\n  mov $3, %edx\n  mov $9, %eax\n  syscall\n"
        "  cmp %rdi, %rax\n  jne 9f\n  add %rsi, %rbx\n"
        "  mov %r8d, %edi\n  mov $3, %eax\n  syscall\n"
        "  mov $0x6ffff000, %edi\n  mov $0x1000, %esi\n  mov $0x100022, %r10d\n  mov $-1, %r8\n  xor %r9d, %r9d\n"
        "  mov $9, %eax\n  syscall\n"
        "  cmp %rdi, %rax\n  jne 9f\n"
        "  lea way_beginning(%rip), %rdi\n  jmp *way_start(%rip)\n"
        "9: mov %r8d, %edi\n  mov $3, %eax\n  syscall\n"
        "  mov $0x70000000, %edi\n  mov %rbx, %rsi\n  mov $11, %eax\n  syscall\n"
        "  mov $110, %eax\n  mov $3, %edi\n  mov way_cookie(%rip), %r9\n  syscall\n  hlt\n"
        ".balign 8\n"
        "way_cookie: .quad 0\n"
        "way_code_size: .quad 0\n"
        "way_shared_size: .quad 0\n"
        "way_start: .quad 0\n"
        "way_beginning: .fill 5, 8, 0\n"
        "way_path: .fill 40, 1, 0\n"
        "way_end:\n"
        ".popsection\n");
extern const uint8_t way_in[], way_cookie[], way_end[];

/* What is filled in behind the code of the way in. */
struct way_words {
    uint64_t cookie, code_size, shared_size, start;
    struct inside_beginning beginning;
    char path[40];
};

static const uint8_t *const ENTRIES[COMPARISONS] = {
    [COMPARES_RESULT] = inside_from_result,
    [COMPARES_INT] = inside_from_int,
    [COMPARES_LEAST] = inside_from_least,
};

/* Below this address the kernel puts no loader, unless told to: a program that has none begins there. */
static const uint64_t LEAST_LOADER = 0x700000000000UL;

void injection_begin(struct injection *injection, uint64_t cookie)
{
    size_t size = (size_t)(__stop_inside - __start_inside);
    size_t way = (size_t)(way_end - way_in);
    if (cookie == 0 || size > INSIDE_POINTERS || way > INSIDE_WAY_IN)
        return;
    injection->memory = memfd_create("pytrace", MFD_CLOEXEC);
    if (injection->memory < 0 || ftruncate(injection->memory, (off_t)INSIDE_SIZE) != 0)
        return;
    uint8_t *memory = mmap(NULL, INSIDE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, injection->memory, 0);
    if (memory == MAP_FAILED)
        return;
    memcpy(memory, __start_inside, size);
    injection->code = memory;
    injection->inside = (struct inside *)(void *)(memory + INSIDE_CODE_SIZE);
    injection->inside->cookie = cookie;
}

/* Write a site's entry, which puts its number into ecx and jumps to the code for its comparison, and the pointer to it. */
static void make_entry(const struct injection *injection, uint32_t number, uint32_t comparison)
{
    const uint64_t offset = INSIDE_ENTRIES + (uint64_t)number * INSIDE_ENTRY_SIZE, address = INSIDE_AT + offset;
    const int32_t distance = (int32_t)((ENTRIES[comparison] - __start_inside) - (int64_t)(offset + 10));
    uint8_t *entry = injection->code + offset;
    entry[0] = 0xb9;
    memcpy(entry + 1, &number, sizeof number);
    entry[5] = 0xe9;
    memcpy(entry + 6, &distance, sizeof distance);
    memcpy(injection->code + INSIDE_POINTERS + 8 * (size_t)number, &address, sizeof address);
}

static bool read_whole(int file, uint8_t *into, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(file, into + done, size - done, (off_t)done);
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* Find the sites of a library that is in the table already; `code` is filled in if it has any. */
static void find_sites(const struct injection *injection, struct library *library, int file, struct program_code *code)
{
    uint8_t *bytes = allocate(NULL, library->size);
    if (read_whole(file, bytes, library->size) && sites_read_headers(bytes, library->size, code)) {
        uint32_t left = INSIDE_MOST_SITES - library->first_site;
        library->site_count =
            sites_find(bytes, code, library->sites, left < INSIDE_LIBRARY_SITES ? left : INSIDE_LIBRARY_SITES);
        if (code->entry <= library->size && library->size - code->entry >= INSIDE_WAY_IN)
            memcpy(library->first_code, bytes + code->entry, INSIDE_WAY_IN);
    }
    free(bytes);
    for (uint32_t i = 0; i < library->site_count; i++)
        make_entry(injection, library->first_site + i, library->sites[i].comparison);
}

/* Take a file into the table. Returns NULL if that is full or the file is none. */
static struct library *learn(struct injection *injection, int file, const char *path, struct program_code *code)
{
    struct inside *inside = injection->inside;
    struct stat status;
    unsigned count = atomic_load(&inside->library_count);
    if (count == INSIDE_MOST_LIBRARIES || fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return NULL;
    struct library *library = &inside->libraries[count];
    const struct library *former = count > 0 ? library - 1 : NULL;
    *library = (struct library){
        .device = status.st_dev,
        .inode = status.st_ino,
        .size = (uint64_t)status.st_size,
        .changed_s = status.st_ctim.tv_sec,
        .changed_ns = status.st_ctim.tv_nsec,
        .first_site = former != NULL ? former->first_site + former->site_count : 0,
    };
    if (sites_expected(path))
        find_sites(injection, library, file, code);
    atomic_store_explicit(&inside->library_count, count + 1, memory_order_release);
    return library;
}

void injection_learn(struct injection *injection, pid_t tid, int descriptor)
{
    char name[LINK_NAME], path[PATH_MAX];
    struct program_code code;
    link_name(name, tid, descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    int file = length > 0 ? open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    if (file < 0)
        return;
    path[length] = 0;
    learn(injection, file, path, &code);
    close(file);
}

/* The file that is mapped at an address of a process, as /proc tells it. Returns a descriptor, or -1. */
static int open_mapped(pid_t tid, uint64_t address, char path[PATH_MAX])
{
    char name[LINK_NAME], line[PATH_MAX + 128];
    snprintf(name, sizeof name, "/proc/%d/maps", tid);
    FILE *maps = fopen(name, "re");
    int file = -1;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long low, high;
        int at = 0;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &low, &high, &at) < 2 || address < low || address >= high)
            continue;
        if (at > 0 && line[at] == '/' && strlen(line + at) < PATH_MAX) {
            strcpy(path, line + at);
            file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        }
        break;
    }
    if (maps != NULL)
        fclose(maps);
    return file;
}

static bool begins_with(pid_t tid, uint64_t entry, const struct library *library)
{
    uint8_t found[INSIDE_WAY_IN];
    return memory_read(tid, entry, found, sizeof found) == sizeof found &&
           memcmp(found, library->first_code, sizeof found) == 0;
}

/* The loader that begins at an address of a process; NULL if it is none of those that are known. */
static const struct loader *loader_at(struct injection *injection, pid_t tid, uint64_t entry)
{
    for (unsigned i = 0; i < injection->loader_count; i++) {
        const struct loader *one = &injection->loaders[i];
        if ((entry - one->code.entry) % 4096 == 0 && begins_with(tid, entry, &injection->inside->libraries[one->library]))
            return one;
    }
    char path[PATH_MAX];
    if (injection->loader_count == INJECTION_LOADERS)
        return NULL;
    struct loader *loader = &injection->loaders[injection->loader_count];
    int file = open_mapped(tid, entry, path);
    const bool expected = file >= 0 && sites_expected(path); /* a program without a loader may lie as high */
    const struct library *library = expected ? learn(injection, file, path, &loader->code) : NULL;
    if (file >= 0)
        close(file);
    if (library == NULL || library->site_count == 0 || !begins_with(tid, entry, library))
        return NULL;
    loader->library = (uint32_t)(library - injection->inside->libraries);
    injection->loader_count++;
    return loader;
}

/* Open a process's memory, code included, to write to it. Returns a descriptor, or -1. */
static int open_memory(pid_t tid)
{
    char name[LINK_NAME];
    snprintf(name, sizeof name, "/proc/%d/mem", tid);
    return open(name, O_WRONLY | O_CLOEXEC);
}

static bool write_code(pid_t tid, uint64_t address, const void *bytes, size_t size)
{
    int memory = open_memory(tid);
    bool written = memory >= 0 && pwrite(memory, bytes, size, (off_t)address) == (ssize_t)size;
    if (memory >= 0)
        close(memory);
    return written;
}

static bool read_registers(pid_t tid, struct user_regs_struct *registers)
{
    struct iovec part = {registers, sizeof *registers};
    return ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &part) == 0 && part.iov_len == sizeof *registers;
}

/* Whether a process may map as much as it likes. */
static bool is_unlimited(pid_t tid)
{
    struct rlimit limit;
    return prlimit(tid, RLIMIT_AS, NULL, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

void injection_executed(struct injection *injection, struct tracee *tracee)
{
    struct user_regs_struct registers;
    tracee->entry = 0;
    if (injection->inside == NULL || atomic_load(&injection->inside->off) != 0 || !is_unlimited(tracee->tid) ||
        !read_registers(tracee->tid, &registers) || registers.rip < LEAST_LOADER)
        return;
    const struct loader *loader = loader_at(injection, tracee->tid, registers.rip);
    if (loader == NULL)
        return;
    uint8_t way[INSIDE_WAY_IN];
    const uint64_t base = registers.rip - loader->code.entry;
    const size_t code_size = (size_t)(way_cookie - way_in);
    struct way_words words = {
        .cookie = injection->inside->cookie,
        .code_size = INSIDE_CODE_SIZE,
        .shared_size = INSIDE_SIZE - INSIDE_CODE_SIZE,
        .start = INSIDE_AT + (uint64_t)(inside_start - __start_inside),
        .beginning = {loader->library, base, registers.rip, base + loader->code.low, base + loader->code.high},
    };
    snprintf(words.path, sizeof words.path, "/proc/%d/fd/%d", getpid(), injection->memory);
    memcpy(way, injection->inside->libraries[loader->library].first_code, sizeof way);
    memcpy(way, way_in, code_size);
    memcpy(way + code_size, &words, sizeof words);
    tracee->entry = registers.rip;
    tracee->entry_stack = registers.rsp;
    tracee->entry_library = loader->library;
    if (!write_code(tracee->tid, registers.rip, way, sizeof way))
        write_code(tracee->tid, registers.rip, injection->inside->libraries[loader->library].first_code, sizeof way);
}

void injection_refused(const struct injection *injection, const struct tracee *tracee)
{
    struct user_regs_struct now;
    if (tracee->entry == 0 || !read_registers(tracee->tid, &now))
        return;
    write_code(tracee->tid, tracee->entry, injection->inside->libraries[tracee->entry_library].first_code, INSIDE_WAY_IN);
    struct user_regs_struct registers = {
        .rip = tracee->entry,
        .rsp = tracee->entry_stack,
        .orig_rax = (uint64_t)-1, /* the message is no call that the kernel is to try */
        .eflags = now.eflags,
        .cs = now.cs, .ss = now.ss, .ds = now.ds, .es = now.es, .fs = now.fs, .gs = now.gs,
        .fs_base = now.fs_base, .gs_base = now.gs_base,
    };
    struct iovec part = {&registers, sizeof registers};
    ptrace(PTRACE_SETREGSET, tracee->tid, (void *)NT_PRSTATUS, &part);
}

/* Put back what stood at a library's sites, where they were led elsewhere. */
static void put_back(const struct library *library, const struct inside_own *own, int memory)
{
    for (uint32_t i = 0; i < library->site_count; i++) {
        uint64_t returns = own->returns[library->first_site + i];
        size_t size;
        const uint8_t *form = sites_form(&library->sites[i], &size);
        if (returns != 0 && pwrite(memory, form, size, (off_t)(returns - size)) < 0)
            return; /* the process is gone */
    }
}

void injection_end_in(const struct injection *injection, pid_t tid, bool stands)
{
    struct inside_own own;
    const uint64_t off = 1;
    const struct inside *inside = injection->inside;
    if (inside == NULL || memory_read(tid, INSIDE_OWN_AT, &own, sizeof own) != sizeof own ||
        own.cookie != inside->cookie || own.off != 0)
        return;
    memory_write(tid, INSIDE_OWN_AT + offsetof(struct inside_own, off), &off, sizeof off);
    int memory = stands ? open_memory(tid) : -1;
    if (memory < 0)
        return;
    for (unsigned i = 0; i < atomic_load(&inside->library_count); i++)
        put_back(&inside->libraries[i], &own, memory);
    close(memory);
}

#else

void injection_begin(struct injection *injection, uint64_t cookie)
{
    (void)injection;
    (void)cookie;
}

void injection_executed(struct injection *injection, struct tracee *tracee)
{
    (void)injection;
    (void)tracee;
}

void injection_refused(const struct injection *injection, const struct tracee *tracee)
{
    (void)injection;
    (void)tracee;
}

void injection_learn(struct injection *injection, pid_t tid, int descriptor)
{
    (void)injection;
    (void)tid;
    (void)descriptor;
}

void injection_end_in(const struct injection *injection, pid_t tid, bool stands)
{
    (void)injection;
    (void)tid;
    (void)stands;
}

#endif
