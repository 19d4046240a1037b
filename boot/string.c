/* SPDX-License-Identifier: MIT */
/*
 * The string functions that the compiler and libfdt expect of a freestanding
 * environment. Copies and fills use the string instructions, eight bytes a
 * step, which is the quickest way on every platform, emulators included. The
 * contracts are those of [C11 "String handling <string.h>"].
 */
#include <string.h>

/* Words first, then the odd bytes; the direction flag is clear, as the ABI has
 * it. */
void *memcpy(void *to, const void *from, size_t size)
{
	void *d = to;
	size_t words = size / 8;

	size %= 8;
	__asm__ volatile("rep movsq" : "+D"(d), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(size) : : "memory");
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	void *d = to;
	size_t words = size / 8;
	unsigned long v = 0x0101010101010101ul * (unsigned char)byte;

	size %= 8;
	__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(v) : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(size) : "a"(v) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *x = a, *y = b;
	size_t i = 0;

	while (i < size && x[i] == y[i]) {
		i++;
	}
	return i < size ? x[i] - y[i] : 0;
}

/* libfdt and fdt_check.c look for the end of strings with it. */
void *memchr(const void *from, int byte, size_t size)
{
	const unsigned char *s = from;

	for (; size > 0; s++, size--) {
		if (*s == (unsigned char)byte) {
			return (void *)s;
		}
	}
	return NULL;
}

/* Upwards is right also where the areas overlap, if to is the lower one. */
void *memmove(void *to, const void *from, size_t size)
{
	unsigned char *d = to;
	const unsigned char *s = from;

	if (d <= s) {
		return memcpy(to, from, size);
	}
	while (size-- > 0) {
		d[size] = s[size];
	}
	return to;
}

/* For strings of a blob, which may have no end. */
size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n] != '\0') {
		n++;
	}
	return n;
}

size_t strlen(const char *s)
{
	return strnlen(s, (size_t)-1);
}

/* memcmp() stops at the first difference, so never reads beyond b's NUL. */
int strcmp(const char *a, const char *b)
{
	return memcmp(a, b, strlen(a) + 1);
}
