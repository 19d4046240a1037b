/* SPDX-License-Identifier: MIT */
/*
 * The two functions that a freestanding compiler may call by itself, for
 * copies and initialisations of structures. Byte strings may be slow
 * (BOOT_FLAG_ERMS_SLOW), which is no matter here: pages are zeroed by
 * zero_memory().
 */
#include <types.h>

__attribute__((used)) void *memcpy(void *to, const void *from, size_t n);
__attribute__((used)) void *memset(void *to, int c, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
	void *d = to;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n)
			 : : "memory");
	return to;
}

void *memset(void *to, int c, size_t n)
{
	void *d = to;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return to;
}
