/* SPDX-License-Identifier: MIT */
/*
 * Console: prompt, line editing, notices. Commands run from here, at top level;
 * while they or the prompt wait, the event loop runs, and a notice may come at
 * any time. State: the line, and whether it is on the screen.
 */
#include <stdio.h>
#include <string.h>

#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/line_edit.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/rt/notice.h"

#define PROMPT		"isthmus> "
#define KEY_CTRL_C	0x03
#define LIST_COLUMNS	78

static struct line_edit line;
static bool editing;

/* Raw: the editor makes its own CR and LF. */
static void line_out(const char *bytes, size_t len)
{
	serial_write(SERIAL_CONSOLE, bytes, len);
}

/* A notice comes between the lines: the edited one is drawn again below it. */
static void hide_line(struct notice_screen *screen)
{
	(void)screen;
	if (editing) {
		line_edit_hide(&line);
	}
}

static void show_line(struct notice_screen *screen)
{
	(void)screen;
	if (editing) {
		line_edit_show(&line);
	}
}

/**
 * Ctrl-c typed since? What was typed before it is dropped with it; without one
 * nothing is. For commands that go on for long, once a turn: keys are seen only
 * when the loop has run.
 */
bool console_interrupted(void)
{
	return serial_typed(KEY_CTRL_C);
}

/**
 * Without this a command's output only fills the queue: ctrl-c would find
 * nothing left to stop, and once the queue is full, which is waited for with
 * that UART alone, Linux would have to wait too. Top level only.
 */
bool console_go_on(void)
{
	loop_step(0);
	while (!console_interrupted()) {
		if (!serial_busy()) {
			return true;
		}
		loop_step(LOOP_FOREVER);
	}
	printf("^C\n");
	return false;
}

/* Shows all candidates below the line. */
static void list_candidates(const struct completion *found)
{
	size_t column = 0;

	editing = false;
	printf("\n");
	for (const char *at = found->names; *at; at += strlen(at) + 1) {
		if (column > 0 && column + strlen(at) + 2 > LIST_COLUMNS) {
			printf("\n");
			column = 0;
		}
		column += (size_t)printf("%s  ", at);
	}
	if (found->more) {
		printf("...");
	}
	printf("\n");
	fflush(stdout);
	editing = true;
	line_edit_show(&line);
}

/* Inserts what all candidates share; shows them when that is nothing new. */
static void complete(void)
{
	static struct completion found;
	size_t extra;

	commands_complete(line.text, line.pos, &found);
	/* Without candidates this is nonsense, and not used. */
	extra = found.common_len - found.prefix_len;
	if (found.count == 0) {
		return;
	}
	if (extra > 0) {
		line_edit_insert(&line, found.common + found.prefix_len,
				 extra);
	}
	if (found.count == 1) {
		/* A directory or "linux:" is gone on with; anything else is a
		 * whole word. */
		if (!strchr("/:", found.common[found.common_len - 1])) {
			line_edit_insert(&line, " ", 1);
		}
	} else if (extra == 0) {
		list_candidates(&found);
	}
}

/* One edited line, terminated in line.text; false when it was interrupted by
 * ctrl-c. Runs the loop while there is no key. */
static bool read_line(void)
{
	enum line_result result = LINE_MORE;

	line_edit_start(&line);
	editing = true;
	while (result != LINE_DONE && result != LINE_INTERRUPT) {
		int key = serial_read();

		if (key < 0) {
			loop_step(LOOP_FOREVER);
			continue;
		}
		result = line_edit_key(&line, (unsigned char)key);
		if (result == LINE_COMPLETE) {
			complete();
		}
	}
	editing = false;
	return result == LINE_DONE;
}

/**
 * The console's life: everything else happens while it waits for keys. Never
 * returns. The last thing that main_entry() calls.
 */
void console_run(void)
{
	static struct notice_screen screen = {
		.hide = hide_line, .show = show_line,
	};

	notice_screen_add(&screen);
	line_edit_init(&line, PROMPT, line_out);
	for (;;) {
		fflush(stdout);
		if (read_line()) {
			commands_run(line.text);
		}
	}
}
