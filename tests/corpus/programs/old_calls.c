// SPDX-License-Identifier: Apache-2.0
// Asks for its number by the system calls of 32-bit programs.
int main(void) {
#ifdef __x86_64__
    long number = 20;
    __asm__ volatile("int $0x80" : "+a"(number) : : "memory");
    return number > 0 ? 0 : 1;
#else
    return 0;
#endif
}
