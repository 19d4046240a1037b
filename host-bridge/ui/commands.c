/* SPDX-License-Identifier: MIT */
/*
 * Finding, describing and running commands. The tables are const and belong to
 * the groups; a command needs an entry there and nothing here. Everything runs
 * at top level, so a command may run the event loop; none runs another.
 */
#include <stdio.h>
#include <string.h>

#include "host-bridge/files/fuse_service.h"
#include "host-bridge/ui/commands.h"

static void help(const struct command_env *env, int argc, char **argv,
		 const char *rest);
static void complete_help(const struct command_env *env,
			  struct completion *c);

/* A group of its own, last in the list: it needs to know all of them. */
static const struct command help_command[] = {
	{ "help", "[COMMAND]", "this list, or more about one command", "",
	  0, 1, help, complete_help },
	{ 0 }
};

static const struct command *const groups[] = {
	commands_system, commands_top, commands_isolation, commands_devices,
	commands_disk, commands_net, commands_linux, commands_vdisk,
	commands_fsck, commands_files,
	help_command,
};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

/* A command by its exact name, or NULL. */
static const struct command *find(const char *name)
{
	for (size_t g = 0; g < GROUPS; g++) {
		for (const struct command *c = groups[g]; c->name; c++) {
			if (strcmp(c->name, name) == 0) {
				return c;
			}
		}
	}
	return NULL;
}

/** Whether there is a command of exactly that name. */
bool commands_known(const char *name)
{
	return find(name) != NULL;
}

static bool in_group(const struct command *group, const struct command *c)
{
	while (group->name && group != c) {
		group++;
	}
	return group == c;
}

static void help(const struct command_env *env, int argc, char **argv,
		 const char *rest)
{
	const struct command *c = argc > 1 ? find(argv[1]) : NULL;

	(void)env;
	(void)rest;
	if (c) {
		printf("%s %s\n  %s\n%s", c->name, c->args, c->summary,
		       c->more);
		return;
	}
	if (argc > 1) {
		printf("no command \"%s\"\n", argv[1]);
	}
	for (size_t g = 0; g < GROUPS; g++) {
		for (c = groups[g]; c->name; c++) {
			printf("  %-9s%-30s %s\n", c->name, c->args,
			       c->summary);
		}
	}
	printf("Keys: up and down recall lines, tab completes, ctrl-c ends a "
	       "command.\n");
}

/* Candidates: every command's name. */
static void add_names(struct completion *c)
{
	for (size_t g = 0; g < GROUPS; g++) {
		for (const struct command *cmd = groups[g]; cmd->name;
		     cmd++) {
			completion_add(c, cmd->name, strlen(cmd->name));
		}
	}
}

static void complete_help(const struct command_env *env,
			  struct completion *c)
{
	(void)env;
	add_names(c);
}

static bool failing;		/* the command that runs */
static bool failed;		/* the last that has ended */

/** See commands.h. */
void commands_fail(void)
{
	failing = true;
}

/** See commands.h. */
bool commands_failed(void)
{
	return failed;
}

/* Runs a command of so many words, -1: they are none. */
static void run_words(const struct command_env *env, const struct command *c,
		      int count, char **words, const char *rest)
{
	if (count < 0) {
		printf("a quote is not closed, or there are too many words\n");
		commands_fail();
	} else if (count - 1 < c->min_args ||
		   (c->max_args >= 0 && count - 1 > c->max_args)) {
		printf("usage: %s %s\n", c->name, c->args);
		commands_fail();
	} else if (in_group(commands_files, c)) {
		/* Files as Linux has them, and Linux has them as they are. */
		fuse_service_recall(env->files);
		c->run(env, count, words, rest);
		fuse_service_settle(env->files);
	} else {
		c->run(env, count, words, rest);
	}
}

/**
 * Runs one line (changed in place) on *env and returns when its command has ended.
 * Unknown commands and wrong numbers of arguments are answered here, so that
 * run functions need not look; an empty line is nothing. Top level only.
 */
void commands_run(const struct command_env *env, char *line)
{
	/* Its own: a Linux's line may run while another one waits in the loop. */
	char copy[1024];
	char *words[WORDS_MAX];
	const struct command *c;
	bool outer = failing;
	char name[16];
	int count;

	failed = false;
	/* Splitting takes the quotes out of line; some commands want it as
	 * typed. */
	strlcpy(copy, line, sizeof(copy));
	/* The name by blanks alone, before any quotes are looked at: "exec"
	 * must be known before its quotes can count as errors of ours. Longer
	 * names than any command's are cut, and not found. */
	strlcpy(name, words_rest(line, 0), sizeof(name));
	name[strcspn(name, " ")] = '\0';
	if (name[0] == '\0') {
		return;
	}
	c = find(name);
	if (!c) {
		printf("no command \"%s\"; try \"help\"\n", name);
		failed = true;
		return;
	}
	failing = false;
	count = words_split(line, words);
	if (c->max_args < 0) {
		/* Quotes are the other shell's to understand: what the
		 * splitting made of them, -1 included, does not matter. */
		count = words_rest(copy, 1)[0] ? 2 : 1;
	}
	run_words(env, c, count, words, words_rest(copy, 1));
	failed = failing;
	failing = outer;
}

/**
 * Candidates for the word that ends at text[len], into *c: commands for the
 * first word, else whatever its command offers. A word begins behind the last
 * blank; quotes are not regarded. c->prefix points into text, which must have a
 * NUL at or behind text[len]. May ask the volume or Linux (top level only).
 */
void commands_complete(const struct command_env *env, const char *text,
		       size_t len, struct completion *c)
{
	const struct command *cmd;
	size_t start = len, first;
	char name[16];

	while (start > 0 && text[start - 1] != ' ') {
		start--;
	}
	completion_init(c, text + start, len - start);
	first = strspn(text, " ");
	if (first >= start) {
		add_names(c);
		return;
	}
	strlcpy(name, text + first, sizeof(name));
	name[strcspn(name, " ")] = '\0';
	cmd = find(name);
	if (cmd && cmd->complete) {
		cmd->complete(env, c);
	}
}
