/* SPDX-License-Identifier: MIT */
/* The command `watch`, for the table in commands_files.c. */
#ifndef ISTHMUS_COMMANDS_WATCH_H
#define ISTHMUS_COMMANDS_WATCH_H

struct command_env;

void commands_watch(const struct command_env *env, int argc, char **argv,
		    const char *rest);

#endif
