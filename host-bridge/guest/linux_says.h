/* SPDX-License-Identifier: MIT */
/*
 * Finds in Linux's console output why it does not come up. Pure.
 */
#ifndef ISTHMUS_LINUX_SAYS_H
#define ISTHMUS_LINUX_SAYS_H

#include <stdbool.h>

#define LINUX_SAYS_MAX	120u

struct linux_says {		/* zeroed: nothing said */
	char line[LINUX_SAYS_MAX];
	unsigned len;
	char reason[LINUX_SAYS_MAX];	/* "": none so far */
};

/* Takes one byte. True when it ends the line that is the reason. */
bool linux_says(struct linux_says *says, char byte);

#endif
