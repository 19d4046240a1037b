/* SPDX-License-Identifier: MIT */
/*
 * Line editing for a terminal that understands the usual escape sequences:
 * bytes from the keyboard in, bytes to the screen out. Knows nothing of
 * where they come from or go to.
 */
#ifndef ISTHMUS_LINE_EDIT_H
#define ISTHMUS_LINE_EDIT_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_MAX_LEN	1024
#define LINE_HISTORY	32
#define LINE_COLUMNS	80	/* longer lines scroll sideways */

enum line_result {
	LINE_MORE,	/* nothing to do */
	LINE_DONE,	/* line->text is a whole line */
	LINE_INTERRUPT,	/* ctrl-c: the line was dropped */
	LINE_COMPLETE,	/* tab: the caller may line_edit_insert() */
};

struct line_edit {
	char text[LINE_MAX_LEN];
	size_t len, pos;
	size_t scroll;		/* first byte shown */
	const char *prompt;
	void (*out)(void *arg, const char *bytes, size_t len);
	void *arg;
	int escape;		/* state inside an escape sequence */
	unsigned number;	/* its parameter */
	bool last_cr;		/* swallow the LF of CR LF */
	char *history[LINE_HISTORY];
	unsigned history_count;	/* entries ever added */
	unsigned history_at;	/* entry shown; = history_count: none */
	char saved[LINE_MAX_LEN]; /* the new line while history is shown */
};

void line_edit_init(struct line_edit *line, const char *prompt,
		    void (*out)(void *arg, const char *bytes, size_t len),
		    void *arg);
/* Begins a new line: shows the prompt. */
void line_edit_start(struct line_edit *line);
enum line_result line_edit_key(struct line_edit *line, unsigned char key);
/* Inserts bytes at the cursor. */
void line_edit_insert(struct line_edit *line, const char *bytes, size_t len);
/* Removes prompt and line from the screen; line_edit_show() redraws them. */
void line_edit_hide(const struct line_edit *line);
void line_edit_show(struct line_edit *line);

#endif
