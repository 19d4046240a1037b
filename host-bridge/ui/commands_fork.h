/* SPDX-License-Identifier: MIT */
/* The verbs of "linux" for templates and their children. */
#ifndef ISTHMUS_COMMANDS_FORK_H
#define ISTHMUS_COMMANDS_FORK_H

#include "host-bridge/ui/commands.h"

/* Makes a Linux whose agent is there a template; prints what came of it. */
void commands_fork_freeze(const struct command_env *env);
/* What a child has of the host's files: a folder, by its inode, to read; 0: none. */
struct commands_fork_files {
	uint32_t root;
};

/* Starts one that is down, NULL: any that can be, as a child of a template, and
 * tells its agent who it is; files NULL: it has all of the host's. NULL: it could
 * not be, which was printed. */
const struct command_env *commands_fork(const struct command_env *of,
					const struct command_env *child,
					const struct commands_fork_files *files);

#endif
