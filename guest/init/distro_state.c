/* SPDX-License-Identifier: MIT */
/*
 * What runs: a folder for each distribution below /run/distro, which only our own
 * root has. Its file "lock" is locked, for as long as it lives, by the process that
 * keeps the distribution; "init" says the numbers of that process and of the
 * distribution's process 1, and is removed before the latter's number is free for
 * another.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "distro.h"

#define PATH_LEN	(sizeof(DISTRO_RUN) + DISTRO_NAME_MAX + 16)

static void path_of(const char *name, const char *file, char to[PATH_LEN])
{
	snprintf(to, PATH_LEN, DISTRO_RUN "/%.31s/%s", name, file);
}

/* The file's lock, whole; it is of the open file, and so a child's, too. */
static int lock(int fd, int command, short type)
{
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(fd, command, &whole) ? -1 : whole.l_type;
}

/** Becomes who keeps the distribution, for as long as the descriptor that this
 * returns, or a copy of it, is open. -1: another does, or there is no room. */
int distro_lock(const char *name)
{
	char path[PATH_LEN];
	int fd;

	mkdir(DISTRO_RUN, 0700);
	path_of(name, "", path);
	mkdir(path, 0700);
	path_of(name, "lock", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && (lock(fd, F_OFD_SETLK, F_WRLCK) < 0 ||
			ftruncate(fd, 0))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/** The same for who only changes it, until this process ends, and says so: its number
 * is in the file. False: it runs, or is being changed. */
bool distro_lock_change(const char *name)
{
	int fd = distro_lock(name);

	return fd >= 0 && dprintf(fd, "%d\n", (int)getpid()) > 0;
}

/** Who changes it, and does not keep it; 0: nobody. */
pid_t distro_changer(const char *name)
{
	char path[PATH_LEN];
	int pid = 0;
	FILE *f;

	path_of(name, "lock", path);
	f = distro_kept(name) ? fopen(path, "re") : NULL;
	if (f) {
		if (fscanf(f, "%d", &pid) != 1 || pid < 2) {
			pid = 0;
		}
		fclose(f);
	}
	return pid;
}

/** Does somebody keep it? */
bool distro_kept(const char *name)
{
	char path[PATH_LEN];
	int fd, type;

	path_of(name, "lock", path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	type = fd < 0 ? F_UNLCK : lock(fd, F_OFD_GETLK, F_WRLCK);
	if (fd >= 0) {
		close(fd);
	}
	return type == F_WRLCK;
}

/** This process keeps a distribution with that process 1: known from now on. False
 * with errno. */
bool distro_say(const char *name, pid_t init)
{
	char path[PATH_LEN], new[PATH_LEN];
	bool written;
	FILE *f;

	path_of(name, "init", path);
	path_of(name, "init.new", new);
	f = fopen(new, "we");
	if (!f) {
		return false;
	}
	written = fprintf(f, "%d %d\n", (int)init, (int)getpid()) > 0;
	return fclose(f) == 0 && written && rename(new, path) == 0;
}

/** Its init has started all that it is to start. */
void distro_say_ready(const char *name)
{
	char path[PATH_LEN];
	int fd;

	path_of(name, "ready", path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0) {
		close(fd);
	}
}

bool distro_is_ready(const char *name)
{
	char path[PATH_LEN];

	path_of(name, "ready", path);
	return access(path, F_OK) == 0;
}

/** It runs no longer. */
void distro_unsay(const char *name)
{
	char path[PATH_LEN];

	path_of(name, "init", path);
	unlink(path);
	path_of(name, "ready", path);
	unlink(path);
}

static bool read_numbers(const char *name, int *init, int *keeper)
{
	char path[PATH_LEN];
	FILE *f;
	bool two;

	path_of(name, "init", path);
	f = fopen(path, "re");
	if (!f) {
		return false;
	}
	two = fscanf(f, "%d %d", init, keeper) == 2 && *init > 1 && *keeper > 1;
	fclose(f);
	return two;
}

/** Who keeps it, if it runs: the number of a process; else 0. */
pid_t distro_keeper(const char *name)
{
	int init, keeper;

	/* Who kept it may have been killed. */
	return distro_kept(name) && read_numbers(name, &init, &keeper) ?
	       keeper : 0;
}

/**
 * A descriptor on the process 1 of a distribution that runs (pidfd_open(2)), and its
 * number; -1 if there is none.
 */
int distro_init_of(const char *name, pid_t *init)
{
	int number, keeper, again, fd;

	if (distro_keeper(name) == 0 ||
	    !read_numbers(name, &number, &keeper)) {
		return -1;
	}
	fd = (int)syscall(SYS_pidfd_open, number, 0);
	/* Said still: the number was its own when it was opened. */
	if (fd >= 0 && (!read_numbers(name, &again, &keeper) ||
			again != number)) {
		close(fd);
		return -1;
	}
	*init = number;
	return fd;
}
