/* SPDX-License-Identifier: MIT */
/*
 * As whom, where and in what a session with the agent is, by options before a
 * command: the fields of its request. Pure, but for what it prints.
 */
#ifndef ISTHMUS_SESSION_AS_H
#define ISTHMUS_SESSION_AS_H

#include <stdbool.h>
#include <stddef.h>

#define SESSION_LINE	1024	/* bytes of a line of options, with a NUL */
#define SESSION_FIELDS	40

struct session_as {
	const char *field[SESSION_FIELDS + 1];	/* the request; NULL behind */
	unsigned count;
	char text[2 * SESSION_LINE];		/* where options of it are */
	size_t len;
};

/* Begins a request with these fields, which must stay; a shell has three. */
void session_as_begin(struct session_as *as, const char *const *fixed);
/* Takes an option and its value (NULL: there is none). False: there is no such
 * option, or it is one too many; that was printed. */
bool session_as_add(struct session_as *as, const char *option,
		    const char *value);
/* Takes options off the line as long as its words begin with a hyphen, up to
 * "--". False as above. */
bool session_as_read(struct session_as *as, const char **line);

#endif
