/* SPDX-License-Identifier: MIT */
/*
 * Included before all else where host-bridge's sources are built for the build
 * machine: what newlib has and the C library of Debian 12 has not.
 */
#ifndef ISTHMUS_NEWLIB_H
#define ISTHMUS_NEWLIB_H

#include <string.h>

static inline size_t newlib_strlcpy(char *to, const char *from, size_t size)
{
	size_t len = strlen(from);

	if (size > 0) {
		size_t n = len < size ? len : size - 1;

		memcpy(to, from, n);
		to[n] = '\0';
	}
	return len;
}

#define strlcpy newlib_strlcpy

#endif
