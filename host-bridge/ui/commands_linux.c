/* SPDX-License-Identifier: MIT */
/*
 * Commands that deal with the Linux partition. All wait by running the event
 * loop, and all can be left by ctrl-c; state changes are linux.c's. What Linux
 * answers is shown, never acted on.
 */
#include <stdio.h>
#include <string.h>

#include "host-bridge/agent/agent.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/guest/linux_io.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/log_view.h"

#define SHUTDOWN_MS	10000u	/* what a clean shutdown may take */

/**
 * Waits, without a limit, while Linux starts; what goes wrong with that is
 * reported by linux.c. Returns whether the agent is there: else Linux is down
 * or ctrl-c was typed, and this was printed. Does not start Linux. A Linux
 * without our agent is waited for until ctrl-c.
 */
bool commands_linux_wait(const struct command_env *env)
{
	const struct guest *guest = env->guest;

	if (linux_state(guest) == LINUX_RUNNING && !linux_ready(guest)) {
		printf("waiting for Linux; ctrl-c gives up\n");
		fflush(stdout);
	}
	while (linux_state(guest) == LINUX_RUNNING && !linux_ready(guest)) {
		if (console_interrupted()) {
			printf("^C\n");
			return false;
		}
		loop_step(LOOP_FOREVER);
	}
	if (linux_state(guest) != LINUX_RUNNING) {
		printf("Linux is not running; \"linux start\" starts it\n");
	}
	return linux_ready(guest);
}

/**
 * Shuts Linux down through its agent and waits, at most 10 s or until ctrl-c;
 * then stops it hard, as it does at once when there is no agent to ask. Linux
 * is down when this returns. True when it went by itself or was not running.
 * Top-level code only.
 */
bool commands_linux_shutdown(const struct command_env *env)
{
	const char *const request[] = { "shutdown", "poweroff", NULL };
	uint64_t until = loop_now() + loop_ms_to_ticks(SHUTDOWN_MS);
	struct guest *guest = env->guest;

	if (linux_state(guest) != LINUX_RUNNING) {
		return true;
	}
	if (linux_ready(guest) && agent_tell(env->agent, request) == 0) {
		/* Its power register ends this (linux.c); a Linux that hangs
		 * does not. */
		while (linux_state(guest) == LINUX_RUNNING && loop_now() < until &&
		       !console_interrupted()) {
			loop_step(until);
		}
	}
	if (linux_state(guest) != LINUX_RUNNING) {
		return true;
	}
	linux_stop(guest);
	return false;
}

/* The verbs of "linux": each prints what came of it. */
static void stop(const struct command_env *env)
{
	if (linux_state(env->guest) != LINUX_RUNNING) {
		printf("Linux is not running\n");
	} else if (commands_linux_shutdown(env)) {
		printf("Linux has shut down\n");
	} else {
		printf("Linux did not shut down by itself; it was stopped\n");
	}
}

/* What failed is printed by linux.c. */
static void start(const struct command_env *env)
{
	if (linux_state(env->guest) == LINUX_RUNNING) {
		printf("Linux is running already\n");
	} else {
		(void)linux_start(env->guest);
	}
}

/* A shell on a terminal of 24 rows and 80 columns: a serial line does not say
 * what size the user's has. */
static void console(const struct command_env *env)
{
	const char *const request[] = { "shell", "24", "80", NULL };
	uint32_t status;

	if (!commands_linux_wait(env)) {
		return;
	}
	/* Out before the shell's own bytes, which go past stdout. */
	printf("Connected to a shell in Linux; ctrl-] leaves it.\n");
	fflush(stdout);
	/* A shell that is left by ctrl-] gets SIGHUP; what it started may live
	 * on. */
	switch (agent_run(env->agent, request, AGENT_TERMINAL, &status)) {
	case AGENT_EXITED:
		printf("\nThe shell ended with status %u.\n",
		       (unsigned)status);
		break;
	case AGENT_DETACHED:
		printf("\nLeft the shell.\n");
		break;
	default:
		printf("\n%s\n", agent_error(env->agent));
		break;
	}
}

static void restart(const struct command_env *env)
{
	(void)commands_linux_shutdown(env);
	(void)linux_start(env->guest);
}

/* log takes an argument of its own and is dealt with before the others. */
static const struct {
	const char *name;
	void (*run)(const struct command_env *env);
} verbs[] = {
	{ "start", start }, { "stop", stop }, { "restart", restart },
	{ "console", console }, { "log", NULL },
};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void run_linux(const struct command_env *env, int argc, char **argv,
		      const char *rest)
{
	(void)rest;
	/* Not a number of lines: the usage line below. */
	if (strcmp(argv[1], "log") == 0 &&
	    log_view(linux_io_log, &env->guest->io, argc > 2 ? argv[2] : NULL)) {
		return;
	}
	for (size_t i = 0; i < VERBS && argc == 2; i++) {
		if (strcmp(argv[1], verbs[i].name) == 0) {
			verbs[i].run(env);
			return;
		}
	}
	printf("usage: linux start|stop|restart|console|log [LINES]\n");
}

static void complete_linux(const struct command_env *env,
			   struct completion *c)
{
	(void)env;
	for (size_t i = 0; i < VERBS; i++) {
		completion_add(c, verbs[i].name, strlen(verbs[i].name));
	}
}

/* The rest of the line goes to Linux's shell as it was typed; its status is
 * printed, or why there is none. A command that is left by ctrl-c gets SIGHUP
 * from the agent. */
static void run_exec(const struct command_env *env, int argc, char **argv,
		     const char *rest)
{
	const char *const request[] = { "exec", rest, NULL };
	uint32_t status;

	(void)argc;
	(void)argv;
	if (!commands_linux_wait(env)) {
		return;
	}
	fflush(stdout);
	switch (agent_run(env->agent, request, AGENT_PLAIN, &status)) {
	case AGENT_EXITED:
		printf("[exit status %u]\n", (unsigned)status);
		break;
	case AGENT_DETACHED:
		printf("^C\n");
		break;
	default:
		printf("%s\n", agent_error(env->agent));
		break;
	}
}

const struct command commands_linux[] = {
	{ "linux", "start|stop|restart|console|log", "the Linux partition",
	  "  start    load and start it\n"
	  "  stop     shut it down; after 10 s, or ctrl-c, stop it hard\n"
	  "  restart  stop, then start\n"
	  "  console  a shell in Linux on this terminal, ctrl-] leaves it\n"
	  "  log [LINES]  what Linux printed on its own serial port (the last\n"
	  "           64 KiB are kept), or its last lines\n",
	  1, 2, run_linux, complete_linux },
	{ "exec", "COMMAND", "run a command in Linux, show its exit status",
	  "  The line is given to Linux's shell as it is typed. The command\n"
	  "  has no input; ctrl-c ends it.\n",
	  1, -1, run_exec, NULL },
	{ 0 }
};
