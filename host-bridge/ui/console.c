/* SPDX-License-Identifier: MIT */
/*
 * Console: prompt, line editing, notices. Commands run from here, at top level;
 * while they or the prompt wait, the event loop runs, and a notice may come at
 * any time. State: struct console.
 */
#include <stdio.h>
#include <string.h>

#include "proto/host_info.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/console.h"

#define PROMPT		"isthmus> "
#define KEY_CTRL_C	0x03
#define LIST_COLUMNS	78

/* Of the console whose command runs; before any, a run's only command. */
static enum serial_line current = SERIAL_CONSOLE;

static struct console_remote *remotes;
static bool waits, is_remote;

/** See console.h; *remote must stay. */
void console_add_remote(struct console_remote *remote)
{
	remote->next = remotes;
	remotes = remote;
}

/** See console.h. */
bool console_waits(void)
{
	return waits;
}

/* Raw: the editor makes its own CR and LF. */
static void line_out(void *arg, const char *bytes, size_t len)
{
	const struct console *console = arg;

	serial_write(console->port, bytes, len);
}

static struct console *of_screen(struct notice_screen *screen)
{
	return CONTAINER(screen, struct console, screen);
}

/* A notice comes between the lines: the edited one is drawn again below it. */
static void hide_line(struct notice_screen *screen)
{
	const struct console *console = of_screen(screen);

	if (console->editing) {
		line_edit_hide(&console->line);
	}
}

static void show_line(struct notice_screen *screen)
{
	struct console *console = of_screen(screen);

	if (console->editing) {
		line_edit_show(&console->line);
	}
}

/** See console.h. Top level. */
int console_key(void)
{
	return serial_read(current);
}

/** See console.h. */
bool console_is_remote(void)
{
	return is_remote;
}

/**
 * Ctrl-c typed since? What was typed before it is dropped with it; without one
 * nothing is. For commands that go on for long, once a turn: keys are seen only
 * when the loop has run.
 */
bool console_interrupted(void)
{
	return serial_typed(current, KEY_CTRL_C);
}

/**
 * Without this a command's output only fills the queue: ctrl-c would find
 * nothing left to stop, and what the queue has no room for is lost. At most
 * SERIAL_PIECE bytes may be printed until it is called again. What is queued at
 * ctrl-c is dropped. Top level only.
 */
bool console_go_on(void)
{
	loop_step(0);
	while (!console_interrupted()) {
		if (!serial_busy(current)) {
			return true;
		}
		loop_step(LOOP_FOREVER);
	}
	serial_drop(current);
	printf("^C\n");
	return false;
}

/** For a person; the tool's runs (exec, quiet) go without it. */
void console_banner(const struct host_info *info)
{
	printf("\nIsthmus: a host partition beside Linux\n"
	       "machine: %s, %u CPU, %llu MiB; host partition up to %llu MiB\n",
	       info->platform, (unsigned)info->machine_cpus,
	       (unsigned long long)(info->machine_memory >> 20),
	       (unsigned long long)(info->ram_end >> 20));
	printf("\"help\" lists the commands.\n");
}

/* Shows all candidates below the line. */
static void list_candidates(struct console *console,
			    const struct completion *found)
{
	size_t column = 0;

	console->editing = false;
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
	console->editing = true;
	line_edit_show(&console->line);
}

/* Inserts what all candidates share; shows them when that is nothing new. */
static void complete(struct console *console, const struct command_env *env)
{
	static struct completion found;
	struct line_edit *line = &console->line;
	size_t extra;

	commands_complete(env, line->text, line->pos, &found);
	/* Without candidates this is nonsense, and not used. */
	extra = found.common_len - found.prefix_len;
	if (found.count == 0) {
		return;
	}
	if (extra > 0) {
		line_edit_insert(line, found.common + found.prefix_len, extra);
	}
	if (found.count == 1) {
		/* A directory or "linux:" is gone on with; anything else is a
		 * whole word. */
		if (!strchr("/:", found.common[found.common_len - 1])) {
			line_edit_insert(line, " ", 1);
		}
	} else if (extra == 0) {
		list_candidates(console, &found);
	}
}

/* A line of the remote's, if there is one: the edited line goes out of its way. */
static bool run_remote(struct console *console, const struct command_env *env)
{
	static char text[1024];
	struct console_remote *remote = remotes;

	while (remote && !remote->line(text, sizeof(text))) {
		remote = remote->next;
	}
	if (!remote) {
		return false;
	}
	line_edit_hide(&console->line);
	console->editing = false;
	current = console->port;
	fflush(stdout);
	(void)serial_divert(remote->serial);
	is_remote = true;
	commands_run(env, text);
	is_remote = false;
	fflush(stdout);
	(void)serial_divert(NULL);
	remote->done();
	console->editing = true;
	line_edit_show(&console->line);
	return true;
}

/* One edited line, terminated in console->line.text; false when it was
 * interrupted by ctrl-c. Runs the loop while there is no key. */
static bool read_line(struct console *console, const struct command_env *env)
{
	enum line_result result = LINE_MORE;

	line_edit_start(&console->line);
	console->editing = true;
	while (result != LINE_DONE && result != LINE_INTERRUPT) {
		int key = serial_read(console->port);

		if (key < 0) {
			if (!run_remote(console, env)) {
				waits = true;
				loop_step(LOOP_FOREVER);
				waits = false;
			}
			continue;
		}
		result = line_edit_key(&console->line, (unsigned char)key);
		if (result == LINE_COMPLETE) {
			complete(console, env);
		}
	}
	console->editing = false;
	return result == LINE_DONE;
}

/**
 * The console's life: everything else happens while it waits for keys. Never
 * returns. The last thing that main_entry() calls.
 */
void console_run(struct console *console, enum serial_line port,
		 const struct command_env *env)
{
	console->port = port;
	console->screen.hide = hide_line;
	console->screen.show = show_line;
	notice_screen_add(&console->screen);
	line_edit_init(&console->line, PROMPT, line_out, console);
	for (;;) {
		fflush(stdout);
		if (read_line(console, env)) {
			current = port;
			commands_run(env, console->line.text);
		}
	}
}
