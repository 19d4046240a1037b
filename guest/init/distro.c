/* SPDX-License-Identifier: MIT */
/*
 * The program `distro`: its line, what there is, and what runs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "distro.h"

#define USAGE		2	/* status of a wrong command line */
/* MiB of an image: mke2fs makes none with a journal that is smaller; ext4's most. */
#define SIZE_LEAST	16u
#define SIZE_MOST	(16u << 20)

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
	       distro_keeper(name) ? "running" :
	       distro_changer(name) ? "changed" : "stopped", forms[place.form],
	       strcmp(name, marked) == 0 ? "  default" : "");
}

static int list(const struct distro_words *words)
{
	char marked[DISTRO_NAME_MAX + 1] = "", user[DISTRO_USER_MAX + 1];

	(void)words;
	(void)distro_default(marked, user);
	distro_each(list_one, marked);
	return 0;
}

static int start(const struct distro_words *words)
{
	const char *name = words->word[0];
	char why[160];

	switch (distro_start(name, 0, why, sizeof(why))) {
	case DISTRO_BUSY:
		if (distro_changer(name) > 0) {
			fprintf(stderr, "distro: %s: it is being changed\n",
				name);
			return 1;
		}
		printf("%s is running already\n", name);
		return 0;
	case DISTRO_STARTED:
		return 0;
	default:
		fprintf(stderr, "distro: %s: %s\n", name, why);
		return 1;
	}
}

static int stop(const struct distro_words *words)
{
	const char *name = words->word[0];

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
static int set_default(const struct distro_words *words)
{
	const char *word = words->word[0];
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

/* What a verb takes besides its words. */
enum { NOTHING, MAY_TO, MUST_TO, YES };

static const struct {
	const char *word, *arguments;
	int least, most, option;
	int (*run)(const struct distro_words *words);
} verbs[] = {
	{ "list", "", 0, 0, NOTHING, list },
	{ "start", " NAME", 1, 1, NOTHING, start },
	{ "stop", " NAME", 1, 1, NOTHING, stop },
	{ "default", " [NAME[,USER]]", 0, 1, NOTHING, set_default },
	{ "import", " TAR NAME [--to files|disk] [--size MIB]", 2, 2, MAY_TO,
	  distro_archive_import },
	{ "export", " NAME TAR", 2, 2, NOTHING, distro_archive_export },
	{ "convert", " NAME --to files|disk [--size MIB]", 1, 1, MUST_TO,
	  distro_convert },
	{ "remove", " NAME --yes", 1, 1, YES, distro_change_remove },
};

/* An option with its value: how many words it has, 0: it is none. */
static int option(const char *word, const char *value, int takes,
		  struct distro_words *words)
{
	char *end;

	if (takes == YES && strcmp(word, "--yes") == 0) {
		words->yes = true;
		return 1;
	}
	if ((takes != MAY_TO && takes != MUST_TO) || !value) {
		return 0;
	}
	if (strcmp(word, "--to") == 0 && (strcmp(value, "files") == 0 ||
					  strcmp(value, "disk") == 0)) {
		words->to = value;
		return 2;
	}
	if (strcmp(word, "--size") == 0) {
		words->size = strtoul(value, &end, 10);
		return *end == '\0' && words->size >= SIZE_LEAST &&
		       words->size <= SIZE_MOST ? 2 : 0;
	}
	return 0;
}

/* Reads what is behind the verb, with that number. False: it is wrong. */
static bool read_words(int argc, char **argv, size_t verb,
		       struct distro_words *words)
{
	int count = 0, taken;

	*words = (struct distro_words){ 0 };
	for (int i = 2; i < argc; i += taken) {
		taken = option(argv[i], argv[i + 1], verbs[verb].option, words);
		if (taken == 0 && (argv[i][0] == '-' ||
				   count == verbs[verb].most)) {
			return false;
		}
		if (taken == 0) {
			words->word[count++] = argv[i];
			taken = 1;
		}
	}
	if (verbs[verb].option == MAY_TO && !words->to) {
		words->to = "files";
	}
	return count >= verbs[verb].least &&
	       (verbs[verb].option != MUST_TO || words->to);
}

/** The program; its exit status. */
int distro_main(int argc, char **argv)
{
	struct distro_words words;

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(argv[1], verbs[i].word) == 0 &&
		    read_words(argc, argv, i, &words)) {
			return verbs[i].run(&words);
		}
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		fprintf(stderr, "%s distro %s%s\n", i ? "      " : "usage:",
			verbs[i].word, verbs[i].arguments);
	}
	return USAGE;
}
