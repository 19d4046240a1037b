/* SPDX-License-Identifier: MIT */
/*
 * Lines for the user that come by themselves, at any time and from any room:
 * stages, failures, what became of Linux.
 */
#ifndef ISTHMUS_NOTICE_H
#define ISTHMUS_NOTICE_H

/* Somebody whose text on the screen a notice must not tear apart: it is taken
 * away before and put back after. */
struct notice_screen {
	struct notice_screen *next;	/* notice.c's */
	void (*hide)(struct notice_screen *screen);
	void (*show)(struct notice_screen *screen);
};

/* Somebody who wants each notice, too: a line without its end, as it is printed. */
struct notice_listener {
	struct notice_listener *next;	/* notice.c's */
	void (*line)(struct notice_listener *listener, const char *text);
};

/* A line of text, printf format, without the newline. */
void notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Around text on lines of its own, as notices are, by printf; nobody else is told of
 * it. Not around what waits. */
void notice_begin(void);
void notice_end(void);
/* From now on it is told of notices; *screen, *listener must stay. */
void notice_screen_add(struct notice_screen *screen);
void notice_listener_add(struct notice_listener *listener);

#endif
