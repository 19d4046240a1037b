/* SPDX-License-Identifier: MIT */
/* The command table without its `watch`, for tests of the others. */
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_watch.h"

void commands_watch(const struct command_env *env, int argc, char **argv,
		    const char *rest)
{
	(void)env;
	(void)argc;
	(void)argv;
	(void)rest;
}

void commands_fail(void)
{
}
