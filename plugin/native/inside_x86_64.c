/* SPDX-License-Identifier: Apache-2.0 */
/* The code that runs in traced processes, at another address than it is linked for: it calls nothing outside its section,
 * has no data but what inside.h places, and keeps every register that a system call keeps. */
#define _GNU_SOURCE
#include "inside.h"

#if INSIDE_KNOWN

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Nothing of the compiler's may end up outside the section: no tables, no constants, no calls of memcpy. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-jump-tables", "no-tree-switch-conversion", "no-tree-loop-distribute-patterns", \
                     "no-tree-vectorize", "no-stack-protector", "no-store-merging")
#endif
#define ALONE target("general-regs-only"), no_sanitize("address", "undefined")
#define INSIDE_FUNCTION __attribute__((section("inside"), used, ALONE))
#define PART static inline __attribute__((always_inline, ALONE))

#define SHARED ((struct inside *)(INSIDE_AT + INSIDE_CODE_SIZE))
#define OWN ((struct inside_own *)INSIDE_OWN_AT)

/* STATX_MNT_ID, which older headers lack, as older kernels do. */
enum { MOUNT_KNOWN = 0x1000 };

/* A site's call: `arguments` and `number` in the registers that the kernel takes them from. */
struct frame {
    uint64_t rbx, site, number, arguments[6];
};

/* The sites' entries come here, with the site's number in rcx, which a system call does not keep. Below the stack pointer
 * there may be 128 bytes in use. */
__asm__(".pushsection inside, \"ax\"\n"
        ".macro from_sites name, comparison:vararg\n"
        ".globl \\name\n"
        "\\name:\n"
        "  lea -128(%rsp), %rsp\n"
        "  pushfq\n"
        "  cld\n"
        "  push %r9\n  push %r8\n  push %r10\n  push %rdx\n  push %rsi\n  push %rdi\n"
        "  push %rax\n  push %rcx\n  push %rbx\n"
        "  mov %rsp, %rdi\n  mov %rsp, %rbx\n  and $-16, %rsp\n"
        "  call inside_call\n"
        "  mov %rbx, %rsp\n"
        "  pop %rbx\n  pop %rcx\n  lea 8(%rsp), %rsp\n"
        "  pop %rdi\n  pop %rsi\n  pop %rdx\n  pop %r10\n  pop %r8\n  pop %r9\n"
        "  popfq\n"
        "  lea 128(%rsp), %rsp\n"
        "  mov 0x6ffff010(, %rcx, 8), %rcx\n"
        "  \\comparison\n"
        "  jmp *%rcx\n"
        ".endm\n"
        "from_sites inside_from_result, cmp $-4096, %rax\n"
        "from_sites inside_from_int, cmp $-4096, %eax\n"
        "from_sites inside_from_least, cmp $-4095, %rax\n"
        /* From the way in, with the beginning at rdi; on to the loader, which finds its registers as the kernel left them. */
        ".globl inside_start\n"
        "inside_start:\n"
        "  push 16(%rdi)\n"
        "  mov %rsp, %rbx\n  and $-16, %rsp\n"
        "  call inside_begin\n"
        "  mov %rbx, %rsp\n"
        "  xor %eax, %eax\n  xor %ebx, %ebx\n  xor %ecx, %ecx\n  xor %edx, %edx\n  xor %esi, %esi\n  xor %edi, %edi\n"
        "  xor %r8d, %r8d\n  xor %r9d, %r9d\n  xor %r10d, %r10d\n  xor %r11d, %r11d\n"
        "  ret\n"
        ".popsection\n");

PART int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    int64_t result;
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* As the program meant it: it stops where the filter says so. */
PART int64_t plainly(const struct frame *frame)
{
    const uint64_t *a = frame->arguments;
    return call(frame->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

PART int64_t unstopped(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    return call(number, a, b, c, d, e, SHARED->cookie);
}

PART void copy(void *to, const void *from, uint64_t size)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

PART bool is_off(void)
{
    return OWN->off != 0 || atomic_load_explicit(&SHARED->off, memory_order_relaxed) != 0;
}

/* Whether the code at all sites is what it was in the file, and within what was mapped. `base`: where the file's first
 * byte is, or would be. */
PART bool is_as_found(const struct library *library, uint64_t base, uint64_t low, uint64_t high)
{
    for (uint32_t i = 0; i < library->site_count; i++) {
        const struct site *site = &library->sites[i];
        const uint8_t *at = (const uint8_t *)(base + site->at);
        if ((uint64_t)at < low || (uint64_t)at + 8 > high || at[0] != 0x0f || at[1] != 0x05)
            return false;
        if (site->comparison == COMPARES_INT ? at[2] != 0x3d : (at[2] != 0x48 || at[3] != 0x3d))
            return false;
    }
    return true;
}

/* Lead the sites to their entries, by a jump in place of call and comparison: 8 bytes, or 7. */
PART void lead(const struct library *library, uint64_t base)
{
    for (uint32_t i = 0; i < library->site_count; i++) {
        uint32_t number = library->first_site + i;
        uint64_t at = base + library->sites[i].at;
        uint64_t pointer = INSIDE_AT + INSIDE_POINTERS + 8 * (uint64_t)number;
        bool shorter = library->sites[i].comparison == COMPARES_INT;
        uint64_t last = shorter ? ((const uint8_t *)at)[7] : 0x90;
        OWN->returns[number] = at + (shorter ? 7 : 8);
        *(volatile uint64_t *)at = 0x2524ffUL | pointer << 24 | last << 56;
    }
}

/* Where code may be made writable as well as executable, and may stop being so: some systems allow neither. */
PART bool open_up(uint64_t low, uint64_t high)
{
    return call(__NR_mprotect, low, high - low, PROT_READ | PROT_WRITE | PROT_EXEC, 0, 0, 0) == 0;
}

PART void shut(uint64_t low, uint64_t high)
{
    call(__NR_mprotect, low, high - low, PROT_READ | PROT_EXEC, 0, 0, 0);
}

/* The kernel's struct stat: the C library's has other names. */
struct status {
    uint64_t device, inode, links;
    uint32_t mode, user, group, padding;
    uint64_t special;
    int64_t size, block, blocks, accessed_s, accessed_ns, modified_s, modified_ns, changed_s, changed_ns, unused[3];
};

PART const struct library *library_of(const struct status *status)
{
    uint32_t count = atomic_load_explicit(&SHARED->library_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        const struct library *one = &SHARED->libraries[i];
        if (one->inode == status->inode && one->device == status->device && one->size == (uint64_t)status->size &&
            one->changed_s == status->changed_s && one->changed_ns == status->changed_ns)
            return one;
    }
    return NULL;
}

/* A file has been mapped to be executed. */
PART void mapped(const struct frame *frame, uint64_t low)
{
    const uint64_t *a = frame->arguments;
    struct status status;
    if (is_off() || unstopped(__NR_fstat, a[4], (uint64_t)&status, 0, 0, 0) != 0)
        return;
    const struct library *library = library_of(&status);
    if (library == NULL) {
        call(INSIDE_MESSAGE, MESSAGE_LIBRARY, a[4], 0, 0, 0, SHARED->cookie);
        library = library_of(&status);
    }
    if (library == NULL || library->site_count == 0 || OWN->returns[library->first_site] != 0) /* or it is mapped twice */
        return;
    uint64_t high = low + ((a[1] + 4095) & ~4095UL), base = low - a[5];
    if (is_as_found(library, base, low, high) && open_up(low, high)) {
        lead(library, base);
        shut(low, high);
    }
}

/* What a call asks. `base` and `path`: which arguments these are, -1 for none; `filled`: which one is filled with an
 * answer of at most `room` bytes, 0 for none. */
struct question {
    int base, path, filled;
    uint64_t room;
    bool opens, reads, known;
};

/* Whether the answer may be written over the path, which is read after it. */
PART bool overwrites_path(const struct frame *frame, const struct question *asked)
{
    uint64_t path = frame->arguments[asked->path], filled = frame->arguments[asked->filled];
    return path < filled + asked->room && filled < path + INSIDE_SLOT_BYTES;
}

PART struct question question_of(const struct frame *frame)
{
    const uint64_t *a = frame->arguments;
    const uint64_t changes = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    struct question asked = {-1, 0, 0, 0, false, false, true};
    switch (frame->number) {
    case __NR_stat:
    case __NR_lstat:
        asked.filled = 1;
        asked.room = sizeof(struct status);
        break;
    case __NR_access:
        break;
    case __NR_readlink:
        asked.known = (int)a[2] > 0;
        asked.filled = 1;
        asked.room = a[2] & 0x7fffffff;
        break;
    case __NR_open:
        asked.opens = true;
        asked.known = (a[1] & changes) == 0;
        break;
    case __NR_newfstatat:
        asked.base = 0;
        asked.path = 1;
        asked.filled = 2;
        asked.room = sizeof(struct status);
        break;
    case __NR_faccessat:
    case __NR_faccessat2:
        asked.base = 0;
        asked.path = 1;
        break;
    case __NR_statx:
        asked.base = 0;
        asked.path = 1;
        asked.filled = 4;
        asked.room = sizeof(struct statx);
        break;
    case __NR_readlinkat:
        asked.base = 0;
        asked.path = 1;
        asked.known = (int)a[3] > 0;
        asked.filled = 2;
        asked.room = a[3] & 0x7fffffff;
        break;
    case __NR_openat:
        asked.base = 0;
        asked.path = 1;
        asked.opens = true;
        asked.known = (a[2] & changes) == 0;
        break;
    case __NR_fstat:
        asked.base = 0;
        asked.path = -1;
        break;
    case __NR_ioctl:
        asked.base = 0;
        asked.path = -1;
        asked.known = a[1] == TCGETS;
        break;
    case __NR_getdents64:
        asked.base = 0;
        asked.path = -1;
        asked.reads = true;
        break;
    case __NR_prlimit64:
        asked.path = -1;
        asked.known = a[0] == 0 && a[2] == 0;
        break;
    default:
        asked.known = false;
    }
    if (asked.filled > 0 && overwrites_path(frame, &asked))
        asked.known = false;
    return asked;
}

/* Whether the call has read its path, if it has one, and ended of itself: made again, it could only be answered anew. */
PART bool is_settled(const struct frame *frame, int64_t result)
{
    switch (frame->number) {
    case __NR_readlink:
    case __NR_readlinkat:
        if (result == -EINVAL)
            return true;
        break;
    case __NR_ioctl:
        return result == -ENOTTY;
    case __NR_getdents64:
    case __NR_fstat:
    case __NR_prlimit64:
        return result >= 0;
    default:
        break;
    }
    return result >= 0 || result == -ENOENT || result == -ENOTDIR || result == -EACCES;
}

PART uint32_t length_of(const char *path, uint32_t limit)
{
    uint32_t length = 0;
    while (length < limit && ((const volatile char *)path)[length] != 0)
        length++;
    return length;
}

/* The working directory, and its length; 0 if that does not fit, is gone or cannot be reached. */
PART uint32_t cwd_of(char *into, uint32_t room)
{
    int64_t size = call(__NR_getcwd, (uint64_t)into, room, 0, 0, 0, 0);
    return size > 1 && into[0] == '/' ? (uint32_t)size - 1 : 0;
}

/* What one of this process's descriptors leads to, and its length; 0 if that does not fit, or may be gone. */
PART uint32_t link_of(int descriptor, char *into, uint32_t room)
{
    char name[32], digits[12];
    uint32_t count = 0, at = 14, number = (uint32_t)descriptor;
    *(volatile uint64_t *)name = 0x65732f636f72702fUL; /* "/proc/self/fd/" */
    *(volatile uint64_t *)(name + 8) = 0x2f64662f666cUL;
    if (descriptor < 0 || room < 16)
        return 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (count > 0)
        name[at++] = digits[--count];
    name[at] = 0;
    int64_t length = unstopped(__NR_readlink, (uint64_t)name, (uint64_t)into, room, 0, 0);
    if (length <= 0 || length >= (int64_t)room)
        return 0;
    return into[length - 1] == ')' ? 0 : (uint32_t)length; /* "(deleted)", it may be */
}

/* The kernel's struct statx: C libraries' may lack what is new in it. */
struct described {
    uint32_t mask, block;
    uint64_t attributes;
    uint32_t links, user, group;
    uint16_t mode, padding;
    uint64_t inode, size, blocks, known_attributes, times[8];
    uint32_t special[2], major, minor;
    uint64_t mount, rest[14];
};

/* Tell a file apart if no other has its inode, and it no other name: directories, and regular files with one link. */
PART void tell_apart(int descriptor, struct file *file)
{
    const uint32_t wanted = STATX_BASIC_STATS | MOUNT_KNOWN;
    const volatile char empty = 0;
    struct described found;
    if (unstopped(__NR_statx, (uint64_t)descriptor, (uint64_t)&empty, AT_EMPTY_PATH, wanted, (uint64_t)&found) != 0 ||
        (found.mask & wanted) != wanted || !(S_ISDIR(found.mode) || (S_ISREG(found.mode) && found.links == 1)))
        return;
    file->device = (found.minor & 0xff) | (uint64_t)found.major << 8 | (uint64_t)(found.minor & ~0xffU) << 12;
    file->inode = found.inode;
    file->mount = found.mount;
}

PART bool has_known_name(const struct file *file)
{
    const struct named *named = &SHARED->names[INSIDE_PLACE_OF_NAME(file)];
    return file->inode != 0 && atomic_load_explicit(&named->inode, memory_order_acquire) == file->inode &&
           atomic_load_explicit(&named->device, memory_order_relaxed) == file->device &&
           atomic_load_explicit(&named->mount, memory_order_relaxed) == file->mount;
}

/* Say what a descriptor, or AT_FDCWD, leads to: which file, and its name unless that is known. False if it has none that
 * fits. */
PART bool put_name(int descriptor, struct file *file, char *into, uint32_t room, uint16_t *length)
{
    if (descriptor == AT_FDCWD)
        return (*length = (uint16_t)cwd_of(into, room)) > 0;
    tell_apart(descriptor, file);
    return has_known_name(file) || (*length = (uint16_t)link_of(descriptor, into, room)) > 0;
}

/* Reserve slots that follow each other; NULL if there are not so many. */
PART struct slot *reserve(uint32_t count)
{
    uint32_t first = atomic_fetch_add_explicit(&SHARED->next_slot, count, memory_order_acq_rel);
    if (first + count <= INSIDE_SLOTS)
        return &SHARED->slots[first];
    for (uint32_t i = first; i < INSIDE_SLOTS; i++)
        atomic_store_explicit(&SHARED->slots[i].state, SLOT_TAKEN, memory_order_release);
    return NULL;
}

/* Put what a call has read into the first of some slots, after the `begin` bytes that are in use, and the others. */
PART void put_read(struct slot *slot, uint32_t count, uint32_t begin, const char *from, uint32_t size)
{
    slot->read_length = size;
    for (uint32_t i = 0; i < count; i++, begin = 0) {
        uint32_t room = INSIDE_SLOT_BYTES - begin, part = size < room ? size : room;
        copy(slot[i].bytes + begin, from, part);
        from += part;
        size -= part;
        if (i > 0)
            atomic_store_explicit(&slot[i].state, SLOT_TAKEN, memory_order_release);
    }
}

/* Tell of a call that has returned; false if it could not be told, or does not count. */
PART bool tell(const struct frame *frame, const struct question *asked, uint64_t sequence, int64_t result)
{
    const uint64_t *a = frame->arguments;
    const char *path = asked->path >= 0 ? (const char *)a[asked->path] : NULL;
    uint32_t length = path != NULL ? length_of(path, INSIDE_SLOT_BYTES) : 0;
    uint32_t read = asked->reads ? (uint32_t)result : 0, at = length;
    if (length == INSIDE_SLOT_BYTES)
        return false;
    uint32_t count = 1 + (read + INSIDE_SLOT_BYTES - 1) / INSIDE_SLOT_BYTES;
    struct slot *slot = reserve(count);
    if (slot == NULL)
        return false;
    bool whole = true;
    slot->path_length = (uint16_t)length;
    slot->base_length = slot->opened_length = 0;
    slot->base.inode = slot->opened.inode = 0;
    copy(slot->bytes, path, length);
    if (asked->base >= 0 && (length == 0 || slot->bytes[0] != '/'))
        whole = put_name((int)a[asked->base], &slot->base, slot->bytes + at, INSIDE_SLOT_BYTES - at, &slot->base_length);
    at += slot->base_length;
    if (whole && asked->opens && result >= 0)
        whole = put_name((int)result, &slot->opened, slot->bytes + at, INSIDE_SLOT_BYTES - at, &slot->opened_length);
    slot->thread = (uint32_t)call(__NR_gettid, 0, 0, 0, 0, 0, 0);
    slot->sequence = sequence;
    slot->number = (uint32_t)frame->number;
    slot->result = result;
    for (int i = 0; i < 6; i++)
        ((volatile uint64_t *)slot->arguments)[i] = a[i];
    put_read(slot, count, at, (const char *)a[1], read);
    atomic_store_explicit(&slot->state, whole ? SLOT_FILLED : SLOT_TAKEN, memory_order_seq_cst);
    return whole && atomic_load_explicit(&SHARED->sequence, memory_order_seq_cst) == sequence;
}

INSIDE_FUNCTION int64_t inside_call(const struct frame *frame)
{
    const uint64_t *a = frame->arguments;
    if (frame->number == __NR_mmap) {
        int64_t address = plainly(frame);
        bool failed = address < 0 && address >= -4095;
        if (!failed && a[2] == (PROT_READ | PROT_EXEC) && (a[3] & (MAP_TYPE | MAP_ANONYMOUS)) == MAP_PRIVATE)
            mapped(frame, (uint64_t)address);
        return address;
    }
    uint64_t sequence = atomic_load_explicit(&SHARED->sequence, memory_order_seq_cst);
    struct question asked = question_of(frame);
    if (!asked.known || (sequence & 1) != 0 || is_off() || atomic_load(&SHARED->next_slot) >= INSIDE_SLOTS)
        return plainly(frame);
    int64_t result = unstopped(frame->number, a[0], a[1], a[2], a[3], a[4]);
    bool settled = is_settled(frame, result);
    if (settled && tell(frame, &asked, sequence, result))
        return result;
    bool did_something = result >= 0 && (asked.opens || asked.reads);
    if (settled && !did_something)
        return plainly(frame);
    const uint64_t kind_number_and_fourth = MESSAGE_LATE | frame->number << 8 | a[3] << 32;
    const uint64_t when_and_result = sequence << 32 | (uint32_t)result;
    call(INSIDE_MESSAGE, kind_number_and_fourth, a[0], a[1], a[2], when_and_result, SHARED->cookie);
    return result;
}

INSIDE_FUNCTION void inside_begin(const struct inside_beginning *beginning)
{
    const struct library *loader = &SHARED->libraries[beginning->library];
    const uint64_t low = beginning->low, high = beginning->high, base = beginning->base, entry = beginning->entry;
    if (!open_up(low, high))
        call(INSIDE_MESSAGE, MESSAGE_REFUSED, 0, 0, 0, 0, SHARED->cookie);
    OWN->cookie = SHARED->cookie;
    copy((void *)entry, loader->first_code, INSIDE_WAY_IN); /* over the way in, and `beginning` with it */
    if (is_as_found(loader, base, low, high))
        lead(loader, base);
    shut(low, high);
}

#endif
