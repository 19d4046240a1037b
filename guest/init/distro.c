/* SPDX-License-Identifier: MIT */
/*
 * The program `distro`: what there is, and what runs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "distro.h"

#define USAGE	2	/* status of a wrong command line */

static void list_one(void *marked, const char *name)
{
	static const char *const forms[] = { "-", "disk", "image", "files" };
	struct distro_place place;

	if (!distro_find(name, &place)) {
		return;
	}
	if (place.fd >= 0) {
		close(place.fd);
	}
	printf("%-*s  %-7s  %-5s%s\n", (int)DISTRO_NAME_MAX, name,
	       distro_keeper(name) ? "running" : "stopped", forms[place.form],
	       strcmp(name, marked) == 0 ? "  default" : "");
}

static int list(const char *name)
{
	char marked[DISTRO_NAME_MAX + 1] = "", user[DISTRO_USER_MAX + 1];

	(void)name;
	(void)distro_default(marked, user);
	distro_each(list_one, marked);
	return 0;
}

static int start(const char *name)
{
	char why[160];

	switch (distro_start(name, 0, why, sizeof(why))) {
	case DISTRO_BUSY:
		printf("%s is running already\n", name);
		return 0;
	case DISTRO_STARTED:
		return 0;
	default:
		fprintf(stderr, "distro: %s: %s\n", name, why);
		return 1;
	}
}

static int stop(const char *name)
{
	if (!distro_name_ok(name) || !distro_kept(name)) {
		printf("%s is not running\n", name);
		return 0;
	}
	if (!distro_stop(name)) {
		fprintf(stderr, "distro: %s: it does not end\n", name);
		return 1;
	}
	return 0;
}

static int write_default(const char *word)
{
	FILE *f;

	mkdir(DISTRO_DIR, 0755);
	f = fopen(DISTRO_DIR "/default", "we");
	if (!f || fprintf(f, "%s\n", word) < 0 || fclose(f)) {
		fprintf(stderr, "distro: " DISTRO_DIR "/default: %s\n",
			strerror(errno));
		return 1;
	}
	return 0;
}

/* Says which one it is, or has it be another: NAME or NAME,USER. */
static int set_default(const char *word)
{
	char name[DISTRO_NAME_MAX + 1], user[DISTRO_USER_MAX + 1];
	struct distro_place place;

	if (!word) {
		if (distro_default(name, user)) {
			printf("%s%s%s\n", name, user[0] ? "," : "", user);
		}
		return 0;
	}
	if (!distro_word_parse(word, name, user) ||
	    !distro_find(name, &place)) {
		fprintf(stderr, "distro: %s: there is no such distribution\n",
			word);
		return 1;
	}
	return write_default(word);
}

static const struct {
	const char *word, *arguments;
	int least, most;
	int (*run)(const char *argument);
} verbs[] = {
	{ "list", "", 0, 0, list },
	{ "start", " NAME", 1, 1, start },
	{ "stop", " NAME", 1, 1, stop },
	{ "default", " [NAME[,USER]]", 0, 1, set_default },
};

/** The program; its exit status. */
int distro_main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(argv[1], verbs[i].word) == 0 &&
		    argc - 2 >= verbs[i].least && argc - 2 <= verbs[i].most) {
			return verbs[i].run(argv[2]);
		}
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		fprintf(stderr, "%s distro %s%s\n", i ? "      " : "usage:",
			verbs[i].word, verbs[i].arguments);
	}
	return USAGE;
}
