/* SPDX-License-Identifier: MIT */
/*
 * Two lines of a kernel tell of a start that went wrong: one when the initramfs
 * could not be unpacked, one when the kernel gives up, for whatever reason, no
 * init among them. The first is kept: what follows follows from it. The text is
 * Linux's, so anything; what is kept is printable. Programs in Linux can write
 * such a line too: it is shown as said by Linux, and decides no more than
 * whether a Linux without agent is waited for.
 */
#include <string.h>

#include "host-bridge/guest/linux_says.h"

static const char *const beginnings[] = {
	"Initramfs unpacking failed", "Kernel panic - not syncing",
};

#define BEGINNINGS (sizeof(beginnings) / sizeof(beginnings[0]))

/* The line is complete: is it one of these, perhaps behind a time? */
static bool look(struct linux_says *says)
{
	says->line[says->len] = '\0';
	says->len = 0;
	for (unsigned i = 0; i < BEGINNINGS && !says->reason[0]; i++) {
		const char *at = strstr(says->line, beginnings[i]);

		if (at) {
			memcpy(says->reason, at, strlen(at) + 1);
			return true;
		}
	}
	return false;
}

/**
 * A byte of the console; see linux_says.h. Of a line that is too long the
 * beginning counts.
 */
bool linux_says(struct linux_says *says, char byte)
{
	if (byte == '\n') {
		return look(says);
	}
	if (byte != '\r' && says->len < LINUX_SAYS_MAX - 1) {
		says->line[says->len++] = byte >= ' ' && byte <= '~' ? byte :
								       '?';
	}
	return false;
}
