/* SPDX-License-Identifier: MIT */
/*
 * Room ui: what a person, or the tool on the build machine, meets: terminal, line
 * editing, commands, views of logs, files by their names. Policy of what to do
 * when is here and in main.c. Trusts whoever sits at the console with the whole
 * machine; what Linux says is shown and not acted on. May include all rooms.
 *
 * The console: a person at a terminal on COM1. Commands run at top level, so
 * they may wait by running the event loop.
 */
#ifndef ISTHMUS_CONSOLE_H
#define ISTHMUS_CONSOLE_H

#include <stdbool.h>

#include "host-bridge/dev/serial.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/ui/line_edit.h"

struct command_env;
struct host_info;

/* A terminal with somebody at it. Its fields are console.c's. */
struct console {
	enum serial_line port;	/* where it is */
	struct notice_screen screen;
	struct line_edit line;
	bool editing;		/* the line is on the screen */
};

/* Somebody elsewhere who has lines run, between those of the console. */
struct console_remote {
	struct console_remote *next;		/* console.c's */
	bool (*line)(char *line, size_t size);	/* the next; false: none */
	void (*done)(void);			/* with that */
	const struct serial_other *serial;	/* the console meanwhile */
};

void console_add_remote(struct console_remote *remote);
/* Whether the console waits for a line, so that a remote's would be next. */
bool console_waits(void);
/* Says what this machine is. */
void console_banner(const struct host_info *info);
/* Reads lines from port and runs them as commands on *env, for ever. */
void console_run(struct console *console, enum serial_line port,
		 const struct command_env *env)
	__attribute__((noreturn));
/* The next key, or -1: for a command that wants some. Keys come as the loop runs. */
int console_key(void);
/* Whether the command is a remote's, of whose terminal nothing is known. */
bool console_is_remote(void);
/* True when ctrl-c was typed since the command began: it should end. The
 * console is that whose command runs; there is one at a time. */
bool console_interrupted(void);
/* For a command that prints much, before each piece: runs the loop, and waits
 * for the line to catch up. False: ctrl-c was typed, it should end. */
bool console_go_on(void);

#endif
