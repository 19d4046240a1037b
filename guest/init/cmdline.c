/* SPDX-License-Identifier: MIT */
/*
 * The kernel's command line: `bootargs` of the manifest, and what `isthmus boot
 * --append` adds to it. What is ours in it the kernel leaves alone.
 */
#include <stdio.h>
#include <string.h>

#include "init.h"

/**
 * Has take() see each word, in their order. The words are in line, of size bytes,
 * and stay there; what does not fit is left out.
 */
void cmdline_words(char *line, size_t size, void (*take)(const char *word))
{
	FILE *f = fopen("/proc/cmdline", "re");
	char *save = NULL;
	bool there;

	if (!f) {
		return;
	}
	there = fgets(line, (int)size, f);
	fclose(f);
	for (char *word = there ? strtok_r(line, " \n", &save) : NULL; word;
	     word = strtok_r(NULL, " \n", &save)) {
		take(word);
	}
}

/** What follows start in the word; NULL if it does not begin so. */
const char *cmdline_after(const char *word, const char *start)
{
	size_t len = strlen(start);

	return strncmp(word, start, len) == 0 ? word + len : NULL;
}
