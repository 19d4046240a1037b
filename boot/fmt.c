/* SPDX-License-Identifier: MIT */
/*
 * Bounded text formatting. Knows %s %u %x %lu %lx. Bytes of a %s that are
 * not printable ASCII come out as '?', so that text from a manifest or a
 * file cannot carry terminal sequences into the log.
 */
#include <stdbool.h>
#include <stdint.h>

#include "fmt.h"

#define DIGITS	20	/* of 2^64 */

/* Writes the digits so that they end at buf[DIGITS]; returns the first. */
static const char *number(char buf[DIGITS + 1], uint64_t value, unsigned base)
{
	char *p = buf + DIGITS;

	*p = '\0';
	do {
		*--p = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	return p;
}

/**
 * Formats into buf (size bytes, at least 1), always NUL terminated; text that
 * does not fit is cut. Returns the length. Formats are this program's own.
 */
size_t fmt_va(char *buf, size_t size, const char *format, va_list ap)
{
	char digits[DIGITS + 1];
	size_t used = 0;

	for (; *format != '\0'; format++) {
		char literal[2] = { *format, '\0' };
		const char *text = literal;
		bool foreign = false;

		if (*format == '%') {
			bool is_long = *++format == 'l';

			format += is_long;
			foreign = *format == 's';
			text = foreign ? va_arg(ap, const char *)
				: number(digits, is_long ? va_arg(ap, uint64_t)
							 : va_arg(ap, uint32_t),
					 *format == 'x' ? 16 : 10);
		}
		for (; *text != '\0' && used + 1 < size; text++) {
			buf[used++] = foreign && (*text < ' ' || *text > '~') ? '?' : *text;
		}
	}
	buf[used] = '\0';
	return used;
}

/** As fmt_va(), with the arguments in place. */
size_t fmt(char *buf, size_t size, const char *format, ...)
{
	va_list ap;
	size_t used;

	va_start(ap, format);
	used = fmt_va(buf, size, format, ap);
	va_end(ap);
	return used;
}
