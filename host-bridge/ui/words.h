/* SPDX-License-Identifier: MIT */
/* Command lines taken apart, completion, names for the screen. Pure. */
#ifndef ISTHMUS_WORDS_H
#define ISTHMUS_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#define WORDS_MAX	16

/* Splits text (changed in place) at blanks into words; quotes '...' and
 * "..." and backslash keep blanks. Returns the number of words, or -1 when a
 * quote is not closed or there are too many. */
int words_split(char *text, char *words[WORDS_MAX]);
/* Takes the first word off the text, as above, into word, which has room for all of
 * it; *text is then at the next. False: a quote is not closed. */
bool words_first(const char **text, char *word);
/* Start of the text behind the first n words, blanks skipped. Quotes are not
 * regarded. */
const char *words_rest(const char *text, unsigned n);

#define COMPLETION_NAMES	2048

struct completion {
	const char *prefix;	/* what is typed of the word */
	size_t prefix_len;
	unsigned count;
	char common[256];	/* longest beginning all candidates share */
	size_t common_len;
	char names[COMPLETION_NAMES];	/* candidates; each NUL terminated,
					 * an empty one ends the list */
	size_t names_len;
	bool more;		/* not all fitted into names */
};

void completion_init(struct completion *c, const char *prefix, size_t len);
/* Counts the name in if it begins with the prefix. */
void completion_add(struct completion *c, const char *name, size_t len);

/* Bytes of the UTF-8 character that text begins with, if it is one that a
 * terminal shows; 0 for controls and for what is no UTF-8. len is not 0. */
size_t words_visible(const char *text, size_t len);

#endif
