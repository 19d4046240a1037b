/* SPDX-License-Identifier: MIT */
/* JSON, written as it comes; see json.h. [RFC 8259 "JSON Grammar"] */
#include <string.h>

#include "host-bridge/ui/json.h"
#include "host-bridge/ui/words.h"

#define REPLACEMENT	0xfffdu	/* for what is no character */

/* One character in its bytes, and how many these are: a byte that is part of none
 * is a replacement. words_visible() does not count C1 controls among the visible,
 * which are harmless here. */
static uint32_t take_char(const char *text, size_t *bytes)
{
	const uint8_t *at = (const uint8_t *)text;
	size_t n = words_visible(text, strlen(text));
	uint32_t c;

	if (n == 0 && at[0] == 0xc2 && (at[1] & 0xe0) == 0x80) {
		n = 2;
	}
	*bytes = n > 0 ? n : 1;
	if (n < 2) {
		return at[0] < 0x80 ? at[0] : REPLACEMENT;
	}
	c = at[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		c = c << 6 | (at[i] & 0x3f);
	}
	return c;
}

/* Beyond U+FFFF two halves of a surrogate pair. [RFC 8259 "Strings"] */
static void put_char(struct json *j, uint32_t c)
{
	if (c >= 0x10000) {
		c -= 0x10000;
		fprintf(j->to, "\\u%04x\\u%04x", 0xd800 + (unsigned)(c >> 10),
			0xdc00 + (unsigned)(c & 0x3ff));
	} else if (c < ' ' || c > '~' || c == '"' || c == '\\') {
		fprintf(j->to, "\\u%04x", (unsigned)c);
	} else {
		fputc((int)c, j->to);
	}
}

static void put_text(struct json *j, const char *text)
{
	size_t bytes;

	fputc('"', j->to);
	for (; *text; text += bytes) {
		put_char(j, take_char(text, &bytes));
	}
	fputc('"', j->to);
}

/* The comma before, and the name. */
static void put_name(struct json *j, const char *name)
{
	if (j->more) {
		fputs(", ", j->to);
	}
	j->more = true;
	if (name) {
		put_text(j, name);
		fputs(": ", j->to);
	}
}

/** bracket: '{' or '[', to be closed by json_end() with its like. */
void json_begin(struct json *j, const char *name, char bracket)
{
	put_name(j, name);
	fputc(bracket, j->to);
	j->more = false;
}

/** bracket: '}' or ']'. */
void json_end(struct json *j, char bracket)
{
	fputc(bracket, j->to);
	j->more = true;
}

/** Whole, and exact up to 2^53 for a reader that has doubles. */
void json_number(struct json *j, const char *name, uint64_t n)
{
	put_name(j, name);
	fprintf(j->to, "%llu", (unsigned long long)n);
}

/** The same, of a number that may be less than 0. */
void json_signed(struct json *j, const char *name, int64_t n)
{
	put_name(j, name);
	fprintf(j->to, "%lld", (long long)n);
}

/** true or false. */
void json_truth(struct json *j, const char *name, bool is)
{
	put_name(j, name);
	fputs(is ? "true" : "false", j->to);
}

/** Bytes up to the NUL; those that are not UTF-8 become U+FFFD. */
void json_text(struct json *j, const char *name, const char *text)
{
	put_name(j, name);
	put_text(j, text);
}
