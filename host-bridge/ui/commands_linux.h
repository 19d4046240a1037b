/* SPDX-License-Identifier: MIT */
/* What commands of other groups need of the Linux partitions. */
#ifndef ISTHMUS_COMMANDS_LINUX_H
#define ISTHMUS_COMMANDS_LINUX_H

#include <stdbool.h>

#include "host-bridge/ui/commands.h"

/* The Linux of that name, which may be followed by a colon and more; NULL: there
 * is none. find() then says so. */
const struct command_env *commands_linux_named(const struct command_env *env,
					       const char *name);
const struct command_env *commands_linux_find(const struct command_env *env,
					      const char *name);
/* Candidates: the names, each with end behind it. */
void commands_linux_names(const struct command_env *env, struct completion *c,
			  const char *end);
/* Waits until the agent is there; false, after saying why, when it is not going
 * to be. NULL: false. */
bool commands_linux_wait(const struct command_env *env);
/* Shuts these Linuxes down, count of them, cleanly if they can, else hard. True:
 * cleanly. */
bool commands_linux_shutdown(const struct command_env *env, unsigned count);

#endif
