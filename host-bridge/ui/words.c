/* SPDX-License-Identifier: MIT */
/* Words of a command line; candidates for completion; visible characters. */
#include <stdint.h>
#include <string.h>

#include "host-bridge/ui/words.h"

/*
 * Copies one word from *from to *to, without its quotes; both move on. The copy
 * never overtakes what is still to be read, so it may be made in place. Within
 * '...' a backslash is itself, elsewhere it takes the next character as it is;
 * a backslash at the end of the line stands for itself. False when a quote is
 * not closed.
 */
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
 * Splits in place: words[] point into text, which shrinks as quotes go. An
 * empty pair of quotes is an empty word. Returns the number of words, or -1
 * when a quote is not closed or there are more than WORDS_MAX; then text is
 * spoilt.
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
		/* At most at the blank just passed, or the end. */
		*out++ = '\0';
	}
}

/**
 * For commands whose first words are theirs, and the rest as it was typed. Without
 * a word it is empty.
 */
bool words_first(const char **text, char *word)
{
	char *in = word, *out = word;

	*text += strspn(*text, " ");
	strcpy(word, *text);
	if (!take_word(&in, &out)) {
		return false;
	}
	*text += in - word;
	*text += strspn(*text, " ");
	*out = '\0';
	return true;
}

/**
 * For commands that take the rest of the line as it was typed: what follows the
 * first n words, which are those between blanks, quoted or not.
 */
const char *words_rest(const char *text, unsigned n)
{
	text += strspn(text, " ");
	while (n-- > 0) {
		text += strcspn(text, " ");
		text += strspn(text, " ");
	}
	return text;
}

/**
 * No candidates yet. prefix is what was typed of the word; it must stay valid
 * and is not terminated.
 */
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

/**
 * Counts a candidate that begins with the prefix: shortens what all have in
 * common, and adds its name to the list while there is room (more says that
 * there was none). Names longer than 255 bytes are ignored. name may hold any
 * bytes but NUL, and is copied.
 */
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

/**
 * For names that anybody may have made: a terminal would obey the C0 controls,
 * and C1 too, of which 9b is "ESC [". These are U+0080 to U+009F in UTF-8 and,
 * to a terminal that does not know UTF-8, bytes; so no byte passes that is not
 * part of a character in its shortest form. [RFC 3629 "Syntax of UTF-8 Byte
 * Sequences"]
 */
size_t words_visible(const char *text, size_t len)
{
	/* By length: the first character that is shown. */
	static const uint32_t least[] = { 0, 0x20, 0xa0, 0x800, 0x10000 };
	uint32_t c = (uint8_t)*text;
	size_t n = c < 0x80 ? 1 : c >> 5 == 0x06 ? 2 : c >> 4 == 0x0e ? 3 :
		   c >> 3 == 0x1e ? 4 : 0;

	if (n == 0 || n > len) {
		return 0;
	}
	c &= n == 1 ? 0x7f : 0x7f >> n;
	for (size_t i = 1; i < n; i++) {
		if (((uint8_t)text[i] & 0xc0) != 0x80) {
			return 0;
		}
		c = c << 6 | ((uint8_t)text[i] & 0x3f);
	}
	/* DEL; the surrogates; the end of Unicode. */
	return c < least[n] || c == 0x7f || c >> 11 == 0x1b || c > 0x10ffff ?
	       0 : n;
}
