/* SPDX-License-Identifier: MIT */
/* Words of a command line; candidates for completion. */
#include <string.h>

#include "host-bridge/words.h"

/* Copies one word from *from to *to, without its quotes. False when a quote
 * is not closed. */
static bool take_word(char **from, char **to)
{
	char quote = '\0';
	char *in = *from, *out = *to;

	while (*in && (quote || *in != ' ')) {
		if (quote ? *in == quote : *in == '\'' || *in == '"') {
			quote = quote ? '\0' : *in;
			in++;
			continue;
		}
		if (*in == '\\' && quote != '\'' && in[1]) {
			in++;
		}
		*out++ = *in++;
	}
	*from = in;
	*to = out;
	return quote == '\0';
}

/**
 * Splits in place: words[] point into text, which shrinks as quotes go.
 * An empty pair of quotes is an empty word.
 */
int words_split(char *text, char *words[WORDS_MAX])
{
	char *in = text, *out = text;
	int count = 0;

	for (;;) {
		while (*in == ' ') {
			in++;
		}
		if (!*in) {
			return count;
		}
		if (count == WORDS_MAX) {
			return -1;
		}
		words[count++] = out;
		if (!take_word(&in, &out)) {
			return -1;
		}
		if (*in) {
			in++;
		}
		*out++ = '\0';
	}
}

/** For commands that take the rest of the line as it was typed. */
const char *words_rest(const char *text, unsigned n)
{
	text += strspn(text, " ");
	while (n-- > 0) {
		text += strcspn(text, " ");
		text += strspn(text, " ");
	}
	return text;
}

/** No candidates yet; prefix must stay valid and is not terminated. */
void completion_init(struct completion *c, const char *prefix, size_t len)
{
	c->prefix = prefix;
	c->prefix_len = len;
	c->count = 0;
	c->common_len = 0;
	c->names_len = 0;
	c->names[0] = '\0';
	c->more = false;
}

/** Counts a candidate; names longer than 255 bytes are ignored. */
void completion_add(struct completion *c, const char *name, size_t len)
{
	size_t same = 0;

	if (len < c->prefix_len || len >= sizeof(c->common) ||
	    memcmp(name, c->prefix, c->prefix_len) != 0) {
		return;
	}
	if (c->count++ == 0) {
		memcpy(c->common, name, len);
		c->common_len = len;
	} else {
		while (same < len && same < c->common_len &&
		       name[same] == c->common[same]) {
			same++;
		}
		c->common_len = same;
	}
	if (c->names_len + len + 2 > sizeof(c->names)) {
		c->more = true;
		return;
	}
	memcpy(c->names + c->names_len, name, len);
	c->names_len += len + 1;
	c->names[c->names_len - 1] = '\0';
	c->names[c->names_len] = '\0';
}
