/* SPDX-License-Identifier: MIT */
/*
 * Bounded text formatting. Knows %s %u %x with # 0 width l. Bytes of a %s that
 * are not printable ASCII come out as '?', so that text from a manifest or a
 * file cannot carry terminal sequences into the log.
 */
#include <stdbool.h>
#include <stdint.h>

#include "text/fmt.h"

struct out {
	char *buf;
	size_t size, used;
};

static void put(struct out *o, char c)
{
	if (o->used + 1 < o->size) {
		o->buf[o->used++] = c;
	}
}

/* digits holds those of 2^64, and a width beyond it is cut. */
static void put_number(struct out *o, uint64_t v, unsigned base, int width,
		       bool zero)
{
	char digits[24];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n < width && n < (int)sizeof(digits)) {
		digits[n++] = zero ? '0' : ' ';
	}
	while (n) {
		put(o, digits[--n]);
	}
}

static void put_text(struct out *o, const char *s)
{
	for (; *s; s++) {
		put(o, *s < ' ' || *s > '~' ? '?' : *s);
	}
}

/* One conversion; f stands behind the %. Returns its last character, so that
 * the caller's loop goes on after it. What is not known comes out as it is. */
static const char *put_spec(struct out *o, const char *f, va_list *ap)
{
	bool zero = false, alt = false, is_long = false;
	int width = 0;
	uint64_t v;

	for (; *f == '#' || *f == '0'; f++) {
		alt |= *f == '#';
		zero |= *f == '0';
	}
	for (; *f >= '0' && *f <= '9'; f++) {
		width = width * 10 + (*f - '0');
	}
	for (; *f == 'l'; f++) {
		is_long = true;
	}
	switch (*f) {
	case 's':
		put_text(o, va_arg(*ap, const char *));
		return f;
	case 'u':
	case 'x':
		v = is_long ? va_arg(*ap, uint64_t) : va_arg(*ap, uint32_t);
		put_text(o, alt ? "0x" : "");
		put_number(o, v, *f == 'u' ? 10 : 16, width, zero);
		return f;
	default:
		put(o, *f);
		/* a lone % at the end: not beyond the NUL */
		return *f ? f : f - 1;
	}
}

/**
 * Formats into buf (size bytes, at least 1), always NUL terminated; text that
 * does not fit is cut. Returns the length.
 */
size_t fmt_va(char *buf, size_t size, const char *format, va_list ap)
{
	struct out o = { buf, size, 0 };
	va_list left;

	va_copy(left, ap);
	for (; *format; format++) {
		if (*format == '%') {
			format = put_spec(&o, format + 1, &left);
		} else {
			put(&o, *format);
		}
	}
	va_end(left);
	buf[o.used] = '\0';
	return o.used;
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
