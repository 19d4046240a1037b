/* SPDX-License-Identifier: MIT */
/*
 * Commands that deal with the Linux partitions. All wait by running the event
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
#include "host-bridge/ui/commands_connect.h"
#include "host-bridge/ui/commands_fork.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/log_view.h"
#include "host-bridge/ui/places.h"
#include "host-bridge/ui/screen_size.h"
#include "host-bridge/ui/session_as.h"

#define SHUTDOWN_MS	10000u	/* what a clean shutdown may take */
#define MORE_SECONDS	120u	/* at most, for Linux's distributions */
#define ANSWER_MS	300u	/* of a terminal that is asked how large it is */
#define SIZE_TEXT	8	/* of a number of rows, with a NUL */

static const char *title(const struct command_env *env)
{
	return env->guest->want->title;
}

/**
 * By the name in the manifest, up to a colon; "linux" is the first, if none is
 * called so.
 */
const struct command_env *commands_linux_named(const struct command_env *env,
					       const char *name)
{
	size_t len = strcspn(name, ":");

	for (unsigned i = 0; i < env->count; i++) {
		const char *is = env->all[i].guest->want->name;

		if (strlen(is) == len && memcmp(is, name, len) == 0) {
			return &env->all[i];
		}
	}
	return len == strlen(PLACE_LINUX) &&
	       memcmp(name, PLACE_LINUX, len) == 0 ? env->all : NULL;
}

/** The same, but who is not there is missed in words. */
const struct command_env *commands_linux_find(const struct command_env *env,
					      const char *name)
{
	const struct command_env *of = commands_linux_named(env, name);

	if (!of) {
		printf("there is no Linux \"%.*s\" in the manifest\n",
		       (int)strcspn(name, ":"), name);
	}
	return of;
}

/** Offers all that commands_linux_named() finds; "linux" if it is the only one. */
void commands_linux_names(const struct command_env *env, struct completion *c,
			  const char *end)
{
	char text[BOOT_NAME_LEN + 1];

	for (unsigned i = 0; i < env->count; i++) {
		int len = snprintf(text, sizeof(text), "%s%s", env->count == 1 ?
				   PLACE_LINUX : env->all[i].guest->want->name,
				   end);

		completion_add(c, text, (size_t)len);
	}
}

/**
 * Waits, without a limit, while Linux starts; what goes wrong with that is
 * reported by linux.c. Returns whether the agent is there: else Linux is down
 * or ctrl-c was typed, and this was printed. Does not start Linux. A Linux
 * without our agent is waited for until ctrl-c. NULL: not found, no.
 */
bool commands_linux_wait(const struct command_env *env)
{
	const struct guest *guest = env ? env->guest : NULL;

	if (!guest) {
		return false;
	}
	if (linux_state(guest) == LINUX_RUNNING && !linux_ready(guest)) {
		printf("waiting for %s; ctrl-c gives up\n", title(env));
		fflush(stdout);
	}
	while (linux_state(guest) == LINUX_RUNNING && !linux_ready(guest)) {
		if (console_interrupted()) {
			printf("^C\n");
			return false;
		}
		loop_step(LOOP_FOREVER);
	}
	if (linux_state(guest) == LINUX_FROZEN) {
		printf("%s is a template: only its children run\n", title(env));
	} else if (linux_state(guest) != LINUX_RUNNING) {
		printf("%s is not running; \"linux start%s%s\" starts it\n",
		       title(env), guest->want->several ? " " : "",
		       guest->want->several ? guest->want->name : "");
	}
	return linux_ready(guest);
}

/* Of count Linuxes, does one still run that has been asked to end? */
static bool ending(const struct command_env *env, unsigned count,
		   uint32_t asked)
{
	for (unsigned i = 0; i < count; i++) {
		if (asked >> i & 1 &&
		    linux_state(env[i].guest) == LINUX_RUNNING) {
			return true;
		}
	}
	return false;
}

/**
 * Shuts Linuxes down through their agents, all at once, and waits, at most 10 s and
 * as much longer as one of them has asked for, or until ctrl-c; then stops them hard,
 * as it does without waiting where there is no agent to ask. All are down when this
 * returns. True when they went by themselves or were not running. Top-level code only.
 */
bool commands_linux_shutdown(const struct command_env *env, unsigned count)
{
	const char *const request[] = { "shutdown", "poweroff", NULL };
	uint32_t asked = 0, more = 0;
	bool clean = true;
	uint64_t until;

	_Static_assert(CONFIG_GUESTS <= 32, "a bit for each");
	for (unsigned i = 0; i < count; i++) {
		uint32_t seconds;

		if (linux_state(env[i].guest) == LINUX_RUNNING &&
		    linux_ready(env[i].guest) &&
		    agent_tell(env[i].agent, request, &seconds) == 0) {
			asked |= 1u << i;
			more = seconds > more ? seconds : more;
		}
	}
	more = more > MORE_SECONDS ? MORE_SECONDS : more;
	until = loop_now() + loop_ms_to_ticks(SHUTDOWN_MS + more * 1000);
	/* Its power register ends a Linux (linux.c); one that hangs does
	 * not. */
	while (ending(env, count, asked) && loop_now() < until &&
	       !console_interrupted()) {
		loop_step(until);
	}
	for (unsigned i = 0; i < count; i++) {
		if (linux_state(env[i].guest) == LINUX_RUNNING) {
			(void)linux_stop(env[i].guest);
			clean = false;
		}
	}
	return clean;
}

/* The verbs of "linux": each prints what came of it. */
static void stop(const struct command_env *env)
{
	if (linux_state(env->guest) == LINUX_FROZEN) {
		printf(linux_stop(env->guest) ? "%s is no template any more\n" :
		       "%s has children: stop these first\n", title(env));
	} else if (linux_state(env->guest) != LINUX_RUNNING) {
		printf("%s is not running\n", title(env));
	} else if (commands_linux_shutdown(env, 1)) {
		printf("%s has shut down\n", title(env));
	} else {
		printf("%s did not shut down by itself; it was stopped\n",
		       title(env));
	}
}

/* What failed is printed by linux.c. */
static void start(const struct command_env *env)
{
	if (linux_state(env->guest) == LINUX_RUNNING) {
		printf("%s is running already\n", title(env));
	} else if (linux_state(env->guest) == LINUX_FROZEN) {
		printf("%s is a template; \"linux stop\" ends that\n",
		       title(env));
	} else {
		(void)linux_start(env->guest);
	}
}

/* Asks the terminal how large it is, if it is one that may say: a serial line's. Other
 * keys that come meanwhile are the shell's. */
static void ask_size(const struct command_env *env, struct screen_size *size)
{
	uint64_t until = loop_now() + loop_ms_to_ticks(ANSWER_MS);
	uint8_t ahead[AGENT_AHEAD];
	size_t count = 0;

	if (console_is_remote()) {
		return;
	}
	screen_size_ask(size);
	fflush(stdout);
	while (size->asked && count < sizeof(ahead) && loop_now() < until) {
		int key = console_key();

		if (key < 0) {
			loop_step(until);
		} else if (screen_size_key(size, (uint8_t)key)) {
			ahead[count++] = (uint8_t)key;
		}
	}
	agent_typed_ahead(env->agent, ahead, count);
}

/* text: where the request's rows and columns are. */
static void console(const struct command_env *env, const struct session_as *as,
		    char text[2][SIZE_TEXT])
{
	struct screen_size size = { 0 };
	unsigned rows, cols;
	uint32_t status;

	if (!commands_linux_wait(env)) {
		return;
	}
	ask_size(env, &size);
	screen_size_get(&size, &rows, &cols);
	snprintf(text[0], SIZE_TEXT, "%u", rows);
	snprintf(text[1], SIZE_TEXT, "%u", cols);
	/* Out before the shell's own bytes, which go past stdout. */
	printf("Connected to a shell in %s; ctrl-] leaves it.\n", title(env));
	fflush(stdout);
	/* A shell that is left by ctrl-] gets SIGHUP; what it started may live
	 * on. */
	switch (agent_run(env->agent, as->field, AGENT_TERMINAL, &status)) {
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

/* "linux console [OPTION VALUE]... [NAME]": on a terminal as large as the user's is when
 * it begins; a serial line does not say that this has changed. */
static void run_console(const struct command_env *env, int argc, char **argv)
{
	char size[2][SIZE_TEXT];
	const char *const request[] = { "shell", size[0], size[1], NULL };
	struct session_as as;
	int i = 2;

	session_as_begin(&as, request);
	for (; i < argc && argv[i][0] == '-'; i += 2) {
		if (!session_as_add(&as, argv[i],
				    i + 1 < argc ? argv[i + 1] : NULL)) {
			return;
		}
	}
	if (argc - i > 1) {
		printf("usage: linux console [--user U] [--dir D] [--env K=V] "
		       "[--distro N] [NAME]\n");
		return;
	}
	env = i < argc ? commands_linux_find(env, argv[i]) : env;
	if (env) {
		console(env, &as, size);
	}
}

static void restart(const struct command_env *env)
{
	(void)commands_linux_shutdown(env, 1);
	start(env);
}

static void freeze(const struct command_env *env)
{
	if (commands_linux_wait(env)) {
		(void)commands_fork_freeze(env);
	}
}

/* "linux fork TEMPLATE [NAME]" */
static void run_fork(const struct command_env *env, int argc, char **argv)
{
	const struct command_env *of = commands_linux_find(env, argv[2]);
	const struct command_env *child =
		argc > 3 && of ? commands_linux_find(env, argv[3]) : NULL;

	if (of && (child || argc == 3)) {
		uint64_t began = loop_now();

		child = commands_fork(of, child, NULL);
		if (child) {
			printf("%s goes on from where %s was, %llu us later\n",
			       title(child), title(of), (unsigned long long)
			       ((loop_now() - began) * 1000 /
				loop_ms_to_ticks(1)));
		}
	}
}

/* "linux save NAME FILE", "linux restore FILE [NAME]" */
static void run_save(const struct command_env *env, int argc, char **argv)
{
	const struct command_env *of;

	if (strcmp(argv[1], "restore") == 0) {
		commands_restore(env, argv[2], argc > 3 ? argv[3] : NULL);
		return;
	}
	of = commands_linux_find(env, argv[2]);
	if (of) {
		commands_save(of, argv[3]);
	}
}

/* Those without a function take arguments of their own and are dealt with before the
 * others. */
static const struct {
	const char *name;
	void (*run)(const struct command_env *env);
} verbs[] = {
	{ "start", start }, { "stop", stop }, { "restart", restart },
	{ "console", NULL }, { "log", NULL },
	{ "freeze", freeze }, { "fork", NULL }, { "save", NULL },
	{ "restore", NULL },
};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* The last lines of what a Linux printed; false: no number. */
static bool show_log(const struct command_env *env, const char *lines)
{
	return log_view(linux_io_log, &env->guest->io, lines);
}

static void run_linux(const struct command_env *env, int argc, char **argv,
		      const char *rest)
{
	/* A name of one; for a log also a number, of which none is called. */
	const struct command_env *of =
		argc > 2 ? commands_linux_named(env, argv[2]) : env;
	bool log = strcmp(argv[1], "log") == 0;

	(void)rest;
	if (log && argc < 5 && (of || argc == 3)) {
		const char *lines = !of ? argv[2] : argc > 3 ? argv[3] : NULL;

		if (show_log(of ? of : env, lines)) {
			return;
		}
	}
	if (strcmp(argv[1], "console") == 0) {
		run_console(env, argc, argv);
		return;
	}
	if (strcmp(argv[1], "fork") == 0 && (argc == 3 || argc == 4)) {
		run_fork(env, argc, argv);
		return;
	}
	if ((strcmp(argv[1], "save") == 0 && argc == 4) ||
	    (strcmp(argv[1], "restore") == 0 && (argc == 3 || argc == 4))) {
		run_save(env, argc, argv);
		return;
	}
	for (size_t i = 0; i < VERBS && !log && argc < 4; i++) {
		if (!verbs[i].run || strcmp(argv[1], verbs[i].name) != 0) {
			continue;
		}
		of = argc > 2 ? commands_linux_find(env, argv[2]) : env;
		if (of) {
			verbs[i].run(of);
		}
		return;
	}
	printf("usage: linux start|stop|restart|log|freeze [NAME] [LINES]\n"
	       "       linux console [--user U] [--distro N] [NAME]\n"
	       "       linux fork TEMPLATE [NAME]\n"
	       "       linux save NAME FILE\n"
	       "       linux restore FILE [NAME]\n");
}

static void complete_linux(const struct command_env *env,
			   struct completion *c)
{
	for (size_t i = 0; i < VERBS; i++) {
		completion_add(c, verbs[i].name, strlen(verbs[i].name));
	}
	if (env->count > 1) {
		commands_linux_names(env, c, "");
	}
	/* A file, which no name is like. */
	if (memchr(c->prefix, '/', c->prefix_len)) {
		commands_complete_path(env, c);
	}
}

/* The Linux that the line is for, if it begins with "NAME: "; the line is then
 * what follows. */
static const struct command_env *addressed(const struct command_env *env,
					   const char **line)
{
	size_t len = strcspn(*line, ": ");
	const struct command_env *of = NULL;

	if ((*line)[len] == ':' && (*line)[len + 1] == ' ') {
		of = commands_linux_named(env, *line);
	}
	if (of) {
		*line = words_rest(*line, 1);
	}
	return of ? of : env;
}

/* A request with Linux's shell's line as it was typed; its status is printed, or why
 * there is none. A command that is left by ctrl-c gets SIGHUP from the agent. */
static void run_line(const struct command_env *env, const char *const *request)
{
	uint32_t status = 1;

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
	if (status != 0) {
		commands_fail();
	}
}

static void run_exec(const struct command_env *env, int argc, char **argv,
		     const char *rest)
{
	const char *request[] = { "exec", "", NULL };
	struct session_as as;

	(void)argc;
	(void)argv;
	session_as_begin(&as, request);
	if (!session_as_read(&as, &rest)) {
		return;
	}
	env = addressed(env, &rest);
	as.field[1] = rest;
	if (!rest[0]) {
		printf("exec: a command expected\n");
	} else if (commands_linux_wait(env)) {
		run_line(env, as.field);
	}
}

/* Linux's own program, in Linux's own root, whatever the default distribution is. */
static void run_distro(const struct command_env *env, int argc, char **argv,
		       const char *rest)
{
	char line[SESSION_LINE + sizeof("distro ")];

	(void)argc;
	(void)argv;
	env = addressed(env, &rest);
	if (strlen(rest) >= SESSION_LINE) {
		printf("the line is too long\n");
	} else if (commands_linux_wait(env)) {
		snprintf(line, sizeof(line), "distro %s", rest);
		run_line(env, (const char *[]){ "exec", line, "distro=-",
						NULL });
	}
}

/* The Linux that a line without a name means where a template is wanted: the first
 * that is one, if any is. */
static const struct command_env *first_template(const struct command_env *env)
{
	for (unsigned i = 0; i < env->count; i++) {
		if (linux_state(env->all[i].guest) == LINUX_FROZEN) {
			return &env->all[i];
		}
	}
	return env;
}

/* A child of a template, for one command: of the host's it has what the line says,
 * and nothing of it stays. */
static void run_sandbox(const struct command_env *env, int argc, char **argv,
			const char *rest)
{
	const char *line = rest;
	const struct command_env *child, *of = addressed(env, &rest);
	struct commands_sandbox box;

	(void)argc;
	(void)argv;
	of = rest == line ? first_template(env) : of;
	if (!commands_sandbox_read(env, &rest, &box)) {
		return;
	}
	child = commands_fork(of, NULL, &box);
	if (child && !child->agent) {
		printf("%s has no channel to the host\n", title(child));
	} else if (child) {
		run_line(child, (const char *[]){ "exec", rest, NULL });
	}
	if (child) {
		(void)linux_stop(child->guest);
	}
}

const struct command commands_linux[] = {
	{ "linux", "start|stop|restart|console|log|freeze|fork|save|restore",
	  "the Linux partitions",
	  "  start [NAME]    load and start it\n"
	  "  stop [NAME]     shut it down; after 10 s, or ctrl-c, stop it hard\n"
	  "  restart [NAME]  stop, then start\n"
	  "  console [NAME]  a shell in it on this terminal, ctrl-] leaves it;\n"
	  "                  before NAME the options of exec\n"
	  "  log [NAME] [LINES]  what it printed on its own serial port (the\n"
	  "                  last 64 KiB are kept), or its last lines\n"
	  "  freeze [NAME]   makes it a template: it never runs again\n"
	  "  fork TEMPLATE [NAME]  starts NAME, or any that is on-demand and down,\n"
	  "                  from where the template was, sharing its memory\n"
	  "  save NAME FILE  a template in a file of the volume's, for a later boot\n"
	  "  restore FILE [NAME]  a template from it, as NAME or as it was called\n"
	  "  NAME is the partition's in the manifest; without, it is the first.\n",
	  1, WORDS_MAX, run_linux, complete_linux },
	{ "exec", "[OPTION..] [NAME:] COMMAND",
	  "run a command in Linux, show its exit status",
	  "  The line is given to Linux's shell as it is typed. The command\n"
	  "  has no input; ctrl-c ends it. \"NAME: \" before it: in the Linux of\n"
	  "  that name. Options, each with a value behind a blank:\n"
	  "  --user U    as that user: a name, UID or UID:GID; else root\n"
	  "  --dir D     in that folder; else in the user's home\n"
	  "  --env K=V   with that variable; may be repeated\n"
	  "  --distro N  in that distribution; \"-\" is none\n"
	  "  \"--\" ends the options.\n",
	  1, -1, run_exec, NULL },
	{ "distro", "[NAME:] list|start|stop|default|import|export|convert|remove",
	  "distributions of a Linux",
	  "  list            name, whether it runs, form, and which is the default\n"
	  "  start NAME, stop NAME, default [NAME[,USER]]\n"
	  "  import TAR NAME [--to files|disk] [--size MIB]\n"
	  "                  of a tar archive, a path of Linux's: /mnt/host/..\n"
	  "                  An OCI image takes `isthmus distro` where that runs.\n"
	  "  export NAME TAR an archive of all of it, which does not run\n"
	  "  convert NAME --to files|disk   ctrl-c ends it; the next call goes on\n"
	  "  remove NAME --yes\n"
	  "  It is Linux's program of that name; \"NAME: \" before: in that Linux.\n",
	  1, -1, run_distro, NULL },
	{ "sandbox", "[NAME:] [--mount DIR:ro] [--net none|out] COMMAND",
	  "run a command in a child of a template",
	  "  As exec, but in a Linux that begins as the template NAME was, or the\n"
	  "  first there is, and is gone with the command. Of the host's files it\n"
	  "  has DIR and what is below, as /mnt/host and to read; else none. With\n"
	  "  --net out it reaches what is outside, and nobody reaches it; else it\n"
	  "  has no network.\n",
	  1, -1, run_sandbox, NULL },
	{ "connect", "PATH [TEXT]", "talk to a socket that a program in Linux has",
	  "  PATH is on the volume: /mnt/host of a Linux with \"sockets\". Each line\n"
	  "  goes there as it is ended, what comes is shown; ctrl-d ends what is\n"
	  "  sent, ctrl-] or ctrl-c all. TEXT: that line, and no more.\n",
	  1, -1, commands_connect, commands_complete_path },
	{ 0 }
};
