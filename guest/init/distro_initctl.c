/* SPDX-License-Identifier: MIT */
/*
 * System V's init ends all when runlevel 0 is asked for, at its pipe; at SIGPWR it only
 * does what its table has for the power's failure, which may be nothing.
 * [sysvinit 3.06 src/initreq.h, initctl(5)]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "distro.h"

#define MAGIC		0x03091969
#define RUNLEVEL	1		/* the command */
#define KILL_SECONDS	5		/* from its SIGTERM to its SIGKILL, as telinit */

struct request {
	int magic, command, runlevel, seconds;
	char rest[368];
};

/** Asks the init of that number for runlevel 0. False: it has no such pipe. */
bool distro_initctl_halt(pid_t init)
{
	const struct request halt = { MAGIC, RUNLEVEL, '0', KILL_SECONDS, "" };
	char path[40];
	struct stat st;
	int root, fd;
	bool told;

	snprintf(path, sizeof(path), "/proc/%d/root", (int)init);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = root < 0 ? -1 : distro_open(root, "run/initctl", O_WRONLY);
	told = fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) &&
	       write(fd, &halt, sizeof(halt)) == (ssize_t)sizeof(halt);
	if (fd >= 0) {
		close(fd);
	}
	if (root >= 0) {
		close(root);
	}
	return told;
}
