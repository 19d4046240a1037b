/* SPDX-License-Identifier: MIT */
/*
 * Who resolves names, and the two that nobody else knows: written to /etc where that
 * says nothing yet. What was written so a child of a template has with its own
 * addresses; what others wrote is theirs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "init.h"
#include "net.h"

#define SIZE	1024		/* of a text; they are shorter */

static void resolv_conf(char *to, const struct net_side side[2])
{
	snprintf(to, SIZE, "nameserver %s\n", side[0].gateway_text);
}

static void hosts(char *to, const struct net_side side[2])
{
	int at = snprintf(to, SIZE, "127.0.0.1 localhost\n::1 localhost\n");

	for (int i = 0; i < 2; i++) {
		if (side[i].there) {
			at += snprintf(to + at, (size_t)(SIZE - at),
				       "%s host.isthmus.internal\n"
				       "%s linux.isthmus.internal linux\n",
				       side[i].gateway_text,
				       side[i].address_text);
		}
	}
}

static const struct {
	const char *path;
	void (*text)(char *to, const struct net_side side[2]);
} files[] = {
	{ "/etc/resolv.conf", resolv_conf }, { "/etc/hosts", hosts },
};

#define FILES	(sizeof(files) / sizeof(files[0]))

/* What the file says, if it is not too long to be of these; else nothing. */
static void read_text(const char *path, char text[SIZE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, SIZE - 1);

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0) {
		close(fd);
	}
}

/** Writes the files that are not there, or empty. */
void net_names_make(const struct net_side side[2])
{
	char text[SIZE];

	for (size_t i = 0; i < FILES; i++) {
		FILE *f;

		read_text(files[i].path, text);
		f = text[0] ? NULL : fopen(files[i].path, "we");
		if (f) {
			files[i].text(text, side);
			fputs(text, f);
			fclose(f);
		}
	}
}

/** Files that say what was made of old say it of now. */
void net_names_change(const struct net_side old[2], const struct net_side now[2])
{
	char text[SIZE], is[SIZE];

	for (size_t i = 0; i < FILES; i++) {
		read_text(files[i].path, is);
		files[i].text(text, old);
		if (strcmp(text, is) == 0) {
			files[i].text(text, now);
			(void)own_file(files[i].path, text);
		}
	}
}
