/* SPDX-License-Identifier: MIT */
/* The console's commands for programs in a Linux: host_commands.c. */
#ifndef ISTHMUS_HOST_COMMANDS_H
#define ISTHMUS_HOST_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command_env;
struct host_commands;
struct outbox;

struct host_commands_status {
	uint64_t run, refused;		/* lines */
	unsigned sessions;		/* now */
};

/* For the Linux of *env, which must stay, on its vsock. words: of the manifest, names
 * of commands, or NULL for what it gives without. Returns 0, EADDRINUSE or ENOMEM. */
int host_commands_new(const struct command_env *env, const char *words,
		      struct host_commands **out);
/* Whether it may have any: a child for one command may not. NULL is nothing. */
void host_commands_reach(struct host_commands *hc, bool any);
/* A line of a program's whose way is not vsock, of so many bytes, fewer than
 * HOST_COMMANDS_LINE: what it prints, or why it is refused, is in out as text. Only what
 * ends at once is to be had. From the loop. */
void host_commands_show(struct host_commands *hc, const char *line, size_t len,
			struct outbox *out);
/* From now on those that take the console have it in between. Once. */
void host_commands_serve(void);
void host_commands_get_status(const struct host_commands *hc,
			      struct host_commands_status *status);

#endif
