// SPDX-License-Identifier: Apache-2.0
// Opens a file by a system call of 32-bit programs.
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

int main(void) {
    char *name = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    long number = 5;
    strcpy(name, "in");
    __asm__ volatile("int $0x80" : "+a"(number) : "b"(name), "c"(0L), "d"(0L) : "memory");
    return number > 2 ? 0 : 1;
}
