/* SPDX-License-Identifier: MIT */
/*
 * Distributions' names, settings and rules, as pure functions. Texts are written by
 * whoever writes to the distribution or to the host's volume: what is not understood
 * is as if it were not there.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "distro.h"

/* SIGRTMIN+4 as glibc counts: systemd's for "power off". [systemd(1) "SIGNALS"] */
#define SYSTEMD_POWEROFF	38
#define OURS			" # isthmus"	/* ends a line of ours in hosts */

/* Of memory a distribution may not have: an eighth and 16 MiB, not more than that
 * most. It is for the agent, the kernel and the files' cache. */
#define RESERVE_MIN	(16ull << 20)
#define RESERVE_MAX	(256ull << 20)

/** A distribution's name: 1 to 31 of [a-z0-9.-], a letter first. */
bool distro_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len >= 1 && len <= DISTRO_NAME_MAX && name[0] >= 'a' &&
	       name[0] <= 'z' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len;
}

/** A user's name or number, as useradd would take it or a little wider. */
bool distro_user_ok(const char *user)
{
	size_t len = strlen(user);

	return len >= 1 && len <= DISTRO_USER_MAX && user[0] != '-' &&
	       strspn(user, "abcdefghijklmnopqrstuvwxyz0123456789._-"
		      "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == len;
}

static bool init_ok(const char *init)
{
	return strlen(init) <= DISTRO_PATH_MAX &&
	       (init[0] == '/' || strcmp(init, "none") == 0);
}

/**
 * Takes lines KEY=VALUE into *config, what they do not say stays as it is. text is
 * changed. The last line of a key counts.
 */
void distro_config_parse(char *text, struct distro_config *config)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		const char *value;
		size_t len = strlen(line);

		while (len > 0 && isspace((unsigned char)line[len - 1])) {
			line[--len] = '\0';
		}
		if ((value = cmdline_after(line, "user=")) &&
		    distro_user_ok(value)) {
			snprintf(config->user, sizeof(config->user), "%s",
				 value);
		} else if ((value = cmdline_after(line, "init=")) &&
			   init_ok(value)) {
			snprintf(config->init, sizeof(config->init), "%s",
				 value);
		}
	}
}

/**
 * Takes NAME or NAME,USER apart; user is "" without one. False: it is neither, and
 * nothing was stored.
 */
bool distro_word_parse(const char *word, char *name, char *user)
{
	char copy[DISTRO_NAME_MAX + DISTRO_USER_MAX + 3];
	char *comma;

	if (strlen(word) >= sizeof(copy)) {
		return false;
	}
	strcpy(copy, word);
	comma = strchr(copy, ',');
	if (comma) {
		*comma++ = '\0';
	}
	if (!distro_name_ok(copy) || (comma && !distro_user_ok(comma))) {
		return false;
	}
	strcpy(name, copy);
	strcpy(user, comma ? comma : "");
	return true;
}

static const char *base_of(const char *exe)
{
	const char *slash = strrchr(exe, '/');

	return slash ? slash + 1 : exe;
}

/** Whether an init, by the path of its program, says when it has started all. */
bool distro_init_notifies(const char *exe)
{
	return strcmp(base_of(exe), "systemd") == 0;
}

/** Whether a message of an init says that: a line of it. [sd_notify(3)] */
bool distro_ready_text(const char *text)
{
	static const char word[] = "READY=1";
	const size_t len = sizeof(word) - 1;

	while (strncmp(text, word, len) != 0 ||
	       (text[len] != '\0' && text[len] != '\n')) {
		text = strchr(text, '\n');
		if (!text++) {
			return false;
		}
	}
	return true;
}

/**
 * What asks an init to end everything and power off, by its name among processes and
 * the path of its program: systemd, busybox (Alpine's), our own, System V's; of
 * others, SIGTERM is what they most probably know.
 */
int distro_stop_signal(const char *comm, const char *exe)
{
	if (distro_init_notifies(exe)) {
		return SYSTEMD_POWEROFF;
	}
	if (strcmp(base_of(exe), "busybox") == 0 || strcmp(comm, "distro-init") == 0) {
		return INIT_SIG_POWEROFF;
	}
	return strcmp(comm, "init") == 0 ? SIGPWR : SIGTERM;
}

/** How much memory a distribution may have of total, in bytes. */
uint64_t distro_memory_max(uint64_t total)
{
	uint64_t reserve = total / 8 + RESERVE_MIN;

	if (reserve > RESERVE_MAX) {
		reserve = RESERVE_MAX;
	}
	return total > 2 * reserve ? total - reserve : total / 2;
}

/* Appends a piece of text; false if there is no room. */
static bool append(char *to, size_t size, const char *text, size_t len)
{
	size_t at = strlen(to);

	if (at + len >= size) {
		return false;
	}
	memcpy(to + at, text, len);
	to[at + len] = '\0';
	return true;
}

/* Appends the lines of text that are ours, or those that are not, marked. */
static bool append_lines(char *to, size_t size, const char *text, bool mark)
{
	const char *end;

	for (; *text; text = end + (*end == '\n')) {
		size_t len, ours = strlen(OURS);

		end = text + strcspn(text, "\n");
		len = (size_t)(end - text);
		if (!mark && len >= ours &&
		    memcmp(end - ours, OURS, ours) == 0) {
			continue;
		}
		if (!append(to, size, text, len) ||
		    (mark && !append(to, size, OURS, ours)) ||
		    !append(to, size, "\n", 1)) {
			return false;
		}
	}
	return true;
}

/**
 * A hosts file: old without the lines that were ours, and then ours, each marked as
 * such. False: it would be too long.
 */
bool distro_hosts_text(const char *old, const char *ours, char *to, size_t size)
{
	to[0] = '\0';
	return append_lines(to, size, old, false) &&
	       append_lines(to, size, ours, true);
}
