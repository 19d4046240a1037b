/* SPDX-License-Identifier: MIT */
/* The command "connect": commands_connect.c. */
#ifndef ISTHMUS_COMMANDS_CONNECT_H
#define ISTHMUS_COMMANDS_CONNECT_H

struct command_env;

void commands_connect(const struct command_env *env, int argc, char **argv,
		      const char *rest);

#endif
