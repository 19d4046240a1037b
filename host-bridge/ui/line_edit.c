/* SPDX-License-Identifier: MIT */
/*
 * Line editor. The screen is redrawn as one row (carriage return, prompt,
 * visible part, clear to the end, cursor), except for the common case of a
 * character typed at the end, which is just echoed.
 *
 * State is one struct line_edit; it knows only bytes: a UTF-8 character counts
 * as as many columns as it has bytes. Any byte may come in any state; what is
 * not known is ignored. Always pos <= len < LINE_MAX_LEN. [ECMA-48 "Control
 * Functions for Coded Character Sets"]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/ui/line_edit.h"

#define CTRL(c)		((c) & 0x1f)
#define KEY_ESC		0x1b
#define KEY_DELETE	0x7f

/* Inside an escape sequence: after ESC; after ESC [; after ESC O. */
enum { ESC_NONE, ESC_START, ESC_BRACKET, ESC_O };

static void say(const struct line_edit *line, const char *text)
{
	line->out(line->arg, text, strlen(text));
}

/**
 * Empty line and history. prompt (shorter than LINE_COLUMNS) and out must
 * outlive *line; out(arg, ...) gets bytes for the terminal and must take them
 * all.
 */
void line_edit_init(struct line_edit *line, const char *prompt,
		    void (*out)(void *arg, const char *bytes, size_t len),
		    void *arg)
{
	memset(line, 0, sizeof(*line));
	line->prompt = prompt;
	line->out = out;
	line->arg = arg;
}

/**
 * Draws prompt and line, with the cursor where it belongs. Scrolls so far that
 * the cursor is in sight. The last column stays free: terminals differ in what
 * they do after a character there.
 */
void line_edit_show(struct line_edit *line)
{
	size_t width = LINE_COLUMNS - 1 - strlen(line->prompt);
	size_t shown, back;
	char move[16];

	if (line->pos < line->scroll) {
		line->scroll = line->pos;
	} else if (line->pos > line->scroll + width) {
		line->scroll = line->pos - width;
	}
	shown = line->len - line->scroll;
	shown = shown < width ? shown : width;
	say(line, "\r");
	say(line, line->prompt);
	line->out(line->arg, line->text + line->scroll, shown);
	say(line, "\x1b[K");
	back = line->scroll + shown - line->pos;
	if (back > 0) {
		snprintf(move, sizeof(move), "\x1b[%uD", (unsigned)back);
		say(line, move);
	}
}

/** Leaves the row empty, for a notice; line_edit_show() restores it. */
void line_edit_hide(const struct line_edit *line)
{
	say(line, "\r\x1b[K");
}

/** A new, empty line; the history stays. */
void line_edit_start(struct line_edit *line)
{
	line->len = 0;
	line->pos = 0;
	line->scroll = 0;
	line->escape = ESC_NONE;
	line->history_at = line->history_count;
	line_edit_show(line);
}

/**
 * Inserts what fits of len bytes at the cursor; a bell tells of what does not.
 * bytes must not contain control characters.
 */
void line_edit_insert(struct line_edit *line, const char *bytes, size_t len)
{
	bool at_end = line->pos == line->len;

	if (len > LINE_MAX_LEN - 1 - line->len) {
		len = LINE_MAX_LEN - 1 - line->len;
		say(line, "\a");
	}
	memmove(line->text + line->pos + len, line->text + line->pos,
		line->len - line->pos);
	memcpy(line->text + line->pos, bytes, len);
	line->len += len;
	line->pos += len;
	/* Nothing behind the cursor and no scrolling: an echo does it. */
	if (at_end && line->pos - line->scroll + strlen(line->prompt) <
	    LINE_COLUMNS) {
		line->out(line->arg, bytes, len);
	} else {
		line_edit_show(line);
	}
}

/* Removes the bytes [from, to); the cursor ends at from. Both are within the
 * line, from <= to. */
static void cut(struct line_edit *line, size_t from, size_t to)
{
	memmove(line->text + from, line->text + to, line->len - to);
	line->len -= to - from;
	line->pos = from;
	line_edit_show(line);
}

/* pos is within the line. */
static void move_to(struct line_edit *line, size_t pos)
{
	line->pos = pos;
	line_edit_show(line);
}

/* Where the word before the cursor begins, blanks behind it skipped. */
static size_t word_start(const struct line_edit *line)
{
	size_t at = line->pos;

	while (at > 0 && line->text[at - 1] == ' ') {
		at--;
	}
	while (at > 0 && line->text[at - 1] != ' ') {
		at--;
	}
	return at;
}

/* Keeps the line for later, unless it is empty or the same as the last. The
 * oldest entry's place is taken. Without memory the line is not kept. */
static void remember(struct line_edit *line)
{
	unsigned slot = line->history_count % LINE_HISTORY;
	const char *last = line->history_count == 0 ? NULL :
		line->history[(line->history_count - 1) % LINE_HISTORY];
	char *copy;

	if (line->len == 0 || (last && strcmp(last, line->text) == 0)) {
		return;
	}
	copy = strdup(line->text);
	if (copy) {
		free(line->history[slot]);
		line->history[slot] = copy;
		line->history_count++;
	}
}

/* Goes back (-1) or forward (+1) in the history; past its ends nothing happens.
 * The line that was being typed is kept while others are shown, and is the last
 * "entry"; changes to a recalled line are not kept. */
static void recall(struct line_edit *line, int step)
{
	unsigned oldest = line->history_count > LINE_HISTORY ?
			  line->history_count - LINE_HISTORY : 0;
	unsigned at = line->history_at;

	/* Entries are numbered from 0 on for ever; the ring keeps the last
	 * ones. */
	if (step < 0 ? at == oldest : at == line->history_count) {
		return;
	}
	if (at == line->history_count) {
		line->text[line->len] = '\0';
		strcpy(line->saved, line->text);
	}
	at += (unsigned)step;
	line->history_at = at;
	strcpy(line->text, at == line->history_count ?
	       line->saved : line->history[at % LINE_HISTORY]);
	line->len = strlen(line->text);
	line->scroll = 0;
	move_to(line, line->len);
}

/* The delete key and ctrl-d: nothing at the end of the line. */
static void erase_at_cursor(struct line_edit *line)
{
	if (line->pos < line->len) {
		cut(line, line->pos, line->pos + 1);
	}
}

/* The last byte of a sequence ESC [ number key, or ESC O key: cursor keys A to
 * D, Home and End as H and F, or by number with '~'. */
static void escape_key(struct line_edit *line, unsigned char key)
{
	switch (key) {
	case 'A':
		recall(line, -1);
		break;
	case 'B':
		recall(line, 1);
		break;
	case 'C':
		if (line->pos < line->len) {
			move_to(line, line->pos + 1);
		}
		break;
	case 'D':
		if (line->pos > 0) {
			move_to(line, line->pos - 1);
		}
		break;
	case 'H':
		move_to(line, 0);
		break;
	case 'F':
		move_to(line, line->len);
		break;
	case '~':		/* 1, 7 home; 3 delete; 4, 8 end */
		if (line->number == 1 || line->number == 7) {
			move_to(line, 0);
		} else if (line->number == 4 || line->number == 8) {
			move_to(line, line->len);
		} else if (line->number == 3) {
			erase_at_cursor(line);
		}
		break;
	default:
		break;
	}
}

/* True when the key belongs to an escape sequence. A lone ESC takes the next
 * key with it: without a clock the two cannot be told apart. */
static bool escape_step(struct line_edit *line, unsigned char key)
{
	switch (line->escape) {
	case ESC_NONE:
		if (key != KEY_ESC) {
			return false;
		}
		line->escape = ESC_START;
		return true;
	case ESC_START:
		line->number = 0;
		line->escape = key == '[' ? ESC_BRACKET :
			       key == 'O' ? ESC_O : ESC_NONE;
		return true;
	/* Parameters are digits and ';'. Several run together into a number
	 * that no key has; any byte from '@' on ends the sequence. */
	case ESC_BRACKET:
		if (key >= '0' && key <= '9') {
			/* Bounded, whatever is typed; no key has a number above
			 * 99. */
			line->number = line->number * 10 % 1000 + key - '0';
			return true;
		}
		if (key < '@') {	/* further parameters */
			return true;
		}
		break;
	default:
		break;
	}
	line->escape = ESC_NONE;
	escape_key(line, key);
	return true;
}

/* The usual keys of Unix line editors. What has no meaning does nothing. */
static enum line_result control_key(struct line_edit *line, unsigned char key)
{
	switch (key) {
	case '\t':
		line->text[line->len] = '\0';
		return LINE_COMPLETE;
	case CTRL('a'):
		move_to(line, 0);
		break;
	case CTRL('e'):
		move_to(line, line->len);
		break;
	case CTRL('d'):
		erase_at_cursor(line);
		break;
	case CTRL('h'):
	case KEY_DELETE:
		if (line->pos > 0) {
			cut(line, line->pos - 1, line->pos);
		}
		break;
	case CTRL('k'):
		cut(line, line->pos, line->len);
		break;
	case CTRL('u'):
		cut(line, 0, line->pos);
		break;
	case CTRL('w'):
		cut(line, word_start(line), line->pos);
		break;
	case CTRL('p'):
		recall(line, -1);
		break;
	case CTRL('n'):
		recall(line, 1);
		break;
	case CTRL('l'):
		say(line, "\x1b[H\x1b[2J");
		line_edit_show(line);
		break;
	case CTRL('c'):
		say(line, "^C\r\n");
		return LINE_INTERRUPT;
	default:
		break;
	}
	return LINE_MORE;
}

/**
 * Takes one byte from the keyboard. After LINE_DONE text is terminated and
 * stays until line_edit_start(); after LINE_COMPLETE it is terminated too, and
 * the line goes on. After LINE_INTERRUPT it must be started anew.
 */
enum line_result line_edit_key(struct line_edit *line, unsigned char key)
{
	bool after_cr = line->last_cr;

	line->last_cr = false;
	if (escape_step(line, key)) {
		return LINE_MORE;
	}
	if (key == '\r' || key == '\n') {
		/* CR LF is one line's end, as a terminal program or a test may
		 * send it. */
		if (key == '\n' && after_cr) {
			return LINE_MORE;
		}
		line->last_cr = key == '\r';
		line->text[line->len] = '\0';
		say(line, "\r\n");
		remember(line);
		return LINE_DONE;
	}
	if (key < 0x20 || key == KEY_DELETE) {
		return control_key(line, key);
	}
	line_edit_insert(line, (const char *)&key, 1);
	return LINE_MORE;
}
