/* SPDX-License-Identifier: MIT */
/*
 * The two functions that a freestanding compiler may call by itself, for
 * copies and initialisations. Pages are copied too, so it goes by 8 bytes: byte
 * strings may be slow (BOOT_FLAG_ERMS_SLOW). They are zeroed by zero_memory().
 */
#include <types.h>

__attribute__((used)) void *memcpy(void *to, const void *from, size_t n);
__attribute__((used)) void *memset(void *to, int c, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
	void *d = to;
	size_t words = n / 8;

	__asm__ volatile("rep movsq\n\tmov %3, %2\n\trep movsb" : "+&D"(d),
			 "+&S"(from), "+&c"(words) : "r"(n & 7) : "memory");
	return to;
}

void *memset(void *to, int c, size_t n)
{
	void *d = to;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return to;
}
