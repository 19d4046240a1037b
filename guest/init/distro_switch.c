/* SPDX-License-Identifier: MIT */
/*
 * The switch from one form of a distribution to the other: the file "switch" in its
 * folder says what is to be done, and from the moment on that it is there, the new
 * form is the one that counts. Whoever holds the distribution's lock carries it out
 * first, so that an end in the middle is none: each step may be done again.
 *
 *   "disk"   disk.img.new becomes disk.img, root becomes root.old
 *   "files"  root.new becomes root, disk.img goes
 *   "moved"  root.new becomes root, and "moved" says that the machine's disk is not
 *            the distribution any more
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "distro.h"

#define SWITCH	"switch"

/** A descriptor on the distribution's folder of the host's volume, which is made if it
 * is wanted. -1 with errno. */
int distro_switch_folder(const char *name, bool make)
{
	int dir, fd;

	if (make) {
		mkdir(DISTRO_DIR, 0755);
	}
	dir = open(DISTRO_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		return -1;
	}
	if (make) {
		(void)mkdirat(dir, name, 0755);
	}
	fd = distro_open(dir, name, O_RDONLY | O_DIRECTORY);
	close(dir);
	return fd;
}

/** Writes a text into a new file of the folder, which is whole or is not there. False
 * with errno. */
bool distro_switch_write(int folder, const char *file, const char *text)
{
	char part[32];
	int fd;
	bool done;

	snprintf(part, sizeof(part), "%.24s.part", file);
	(void)unlinkat(folder, part, 0);
	fd = openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) {
		return false;
	}
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
	       fsync(fd) == 0;
	close(fd);
	return done && renameat(folder, part, folder, file) == 0 &&
	       fsync(folder) == 0;
}

/* A step; it may be done already. */
static bool move(int folder, const char *from, const char *to)
{
	return renameat(folder, from, folder, to) == 0 || errno == ENOENT;
}

static bool gone(int folder, const char *file)
{
	return unlinkat(folder, file, 0) == 0 || errno == ENOENT;
}

static bool carry_out(int folder, const char *what)
{
	if (strcmp(what, "disk") == 0) {
		return move(folder, "disk.img.new", "disk.img") &&
		       fsync(folder) == 0 && move(folder, "root", "root.old");
	}
	if (strcmp(what, "files") == 0) {
		return move(folder, "root.new", "root") && fsync(folder) == 0 &&
		       gone(folder, "disk.img");
	}
	if (strcmp(what, "moved") == 0) {
		return move(folder, "root.new", "root") &&
		       distro_switch_write(folder, "moved", "");
	}
	errno = EINVAL;
	return false;
}

/**
 * Carries out the switch that was begun; none was: well. The caller has the lock.
 * False with errno.
 */
bool distro_switch_settle(int folder)
{
	char what[DISTRO_TEXT_MAX];

	if (!distro_read(folder, SWITCH, what)) {
		return true;
	}
	return carry_out(folder, what) && fsync(folder) == 0 &&
	       gone(folder, SWITCH) && fsync(folder) == 0;
}

/** Switches: both forms are there, whole and on the host's disk. False with errno. */
bool distro_switch(int folder, const char *what)
{
	return fsync(folder) == 0 && distro_switch_write(folder, SWITCH, what) &&
	       distro_switch_settle(folder);
}
