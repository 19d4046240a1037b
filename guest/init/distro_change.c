/* SPDX-License-Identifier: MIT */
/*
 * Changing a distribution that does not run: what all such commands begin with, and
 * its removal. Who changes one has its lock, so that it cannot start meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "distro.h"
#include "distro_tree.h"

#define FILES_MAX	16384u	/* open: three for each folder on a way */

/** Says what failed, with errno's words if it has some; the program's status. */
int distro_change_failed(const char *name, const char *what)
{
	fprintf(stderr, "distro: %s: %s%s%s\n", name, what, errno ? ": " : "",
		errno ? strerror(errno) : "");
	return 1;
}

/**
 * Locks it until this process ends, which then has mounts of its own, and finds its
 * folder on the volume, -1 if a disk has none, and its root: both are the caller's.
 * False: said why not.
 */
bool distro_change_begin(const char *name, struct distro_place *place, int *folder)
{
	const struct rlimit files = { FILES_MAX, FILES_MAX };

	errno = 0;
	if (!distro_name_ok(name)) {
		distro_change_failed(name, "no name for a distribution");
		return false;
	}
	(void)setrlimit(RLIMIT_NOFILE, &files);
	/* First: what was opened before could not be mounted. */
	if (!distro_mount_apart()) {
		distro_change_failed(name, "a mount namespace");
		return false;
	}
	if (!distro_lock_change(name)) {
		errno = 0;
		distro_change_failed(name, "it runs, or is being changed: "
				     "`distro stop` ends it");
		return false;
	}
	*folder = distro_switch_folder(name, false);
	if (*folder >= 0 && !distro_switch_settle(*folder)) {
		distro_change_failed(name, "a conversion that was begun");
		return false;
	}
	if (!distro_find(name, place)) {
		errno = 0;
		distro_change_failed(name, "there is no such distribution");
		return false;
	}
	return true;
}

/** What a disk says of itself in its root is said in the folder, for a form that is
 * there. False with errno. */
bool distro_change_config(int folder, int root)
{
	char text[DISTRO_TEXT_MAX];
	struct stat st;

	return fstatat(folder, "config", &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	       !distro_read(root, DISTRO_CONFIG, text) ||
	       distro_switch_write(folder, "config", text);
}

/* It is not to be the default any more. */
static void forget_default(int dir, const char *name)
{
	char marked[DISTRO_NAME_MAX + 1], user[DISTRO_USER_MAX + 1];
	char text[DISTRO_TEXT_MAX];

	(void)distro_read(dir, "default", text);
	text[strcspn(text, "\n")] = '\0';
	if (distro_word_parse(text, marked, user) && strcmp(marked, name) == 0) {
		(void)unlinkat(dir, "default", 0);
	}
}

/** Removes it, for good. Its folder has another name first: half of one there never
 * is; and what is left, the next removal takes away. */
int distro_change_remove(const struct distro_words *words)
{
	const char *name = words->word[0];
	struct distro_place place;
	char old[DISTRO_NAME_MAX + 16];
	int folder, dir;

	if (!distro_change_begin(name, &place, &folder)) {
		return 1;
	}
	errno = 0;
	if (place.form == DISTRO_DISK) {
		return distro_change_failed(name, "it is on a disk that the "
			"machine has been given, which Linux cannot remove");
	}
	if (!words->yes) {
		return distro_change_failed(name, "all that is in it would be "
					    "gone; with --yes it is removed");
	}
	dir = open(DISTRO_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(old, sizeof(old), ".remove-%.31s", name);
	if (dir < 0 || !distro_tree_clear(dir, old) ||
	    renameat(dir, name, dir, old) || fsync(dir)) {
		return distro_change_failed(name, "it cannot be removed");
	}
	forget_default(dir, name);
	if (!distro_tree_clear(dir, old)) {
		return distro_change_failed(name, "it is gone, but not all of "
					    "its room is free");
	}
	if (distro_find(name, &place)) {
		printf("%s is the machine's disk again, as it was before it was "
		       "converted\n", name);
	}
	return 0;
}
