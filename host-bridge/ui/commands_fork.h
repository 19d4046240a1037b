/* SPDX-License-Identifier: MIT */
/* The verbs of "linux" for templates and their children. */
#ifndef ISTHMUS_COMMANDS_FORK_H
#define ISTHMUS_COMMANDS_FORK_H

#include "host-bridge/net/linux_net.h"
#include "host-bridge/ui/commands.h"

/* What a child for one command has of the host. */
struct commands_sandbox {
	uint32_t root;		/* a folder, by its inode, to read; 0: none */
	enum linux_net_reach net;
};

/* commands_sandbox.c: takes the options that are before a command off the line.
 * False: one is not understood, or not there, which was printed. */
bool commands_sandbox_read(const struct command_env *env, const char **line,
			   struct commands_sandbox *box);
/* Makes a Linux whose agent is there a template, and prints what came of it. */
bool commands_fork_freeze(const struct command_env *env);

/* Starts one that is down, NULL: any that can be, as a child of a template, and
 * tells its agent who it is; box NULL: it has all of the host's. NULL: it could
 * not be, which was printed. */
const struct command_env *commands_fork(const struct command_env *of,
					const struct command_env *child,
					const struct commands_sandbox *box);

/* commands_save.c: a template in a file of the volume's; and one from it, as the
 * partition of that name, NULL: as the one it was. What came of it is printed. */
void commands_save(const struct command_env *env, const char *path);
void commands_restore(const struct command_env *env, const char *path,
		      const char *name);

#endif
