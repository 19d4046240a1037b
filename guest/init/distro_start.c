/* SPDX-License-Identifier: MIT */
/*
 * The start of a distribution, up to its init: a process is made that keeps it
 * (distro_keep.c), whoever asked for it, and says through a pipe why not, or nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "distro.h"

#define FIRST_FD	3u	/* behind the standard ones */

/* Closes all descriptors but the standard ones and these two. */
static void close_others(unsigned one, unsigned other)
{
	unsigned first = one < other ? one : other;
	unsigned last = one < other ? other : one;

	/* An empty range is refused, and that is well. */
	(void)syscall(SYS_close_range, FIRST_FD, first - 1, 0u);
	(void)syscall(SYS_close_range, first + 1, last - 1, 0u);
	(void)syscall(SYS_close_range, last + 1, ~0u, 0u);
}

/* No signal is ignored, nothing is open but what is kept, and nobody of the session
 * that asked for it can reach it. */
static void be_alone(int lock, int said)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 1; i < _NSIG; i++) {
		signal(i, SIG_DFL);
	}
	setsid();
	umask(022);
	(void)!chdir("/");
	for (int i = 0; i < (int)FIRST_FD; i++) {
		dup2(null, i);
	}
	close_others((unsigned)lock, (unsigned)said);
}

/* The keeper is nobody's child but process 1's. */
static void spawn_keeper(const char *name, int wait_seconds, int lock, int said)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0) {
			be_alone(lock, said);
			distro_keep(name, wait_seconds, said);
		}
		_exit(0);
	}
	if (pid > 0) {
		waitpid(pid, NULL, 0);
	}
}

/**
 * Starts it; its root is waited for for so many seconds. When it is STARTED its init
 * runs, and goes on by itself; when it FAILED, why says so to the user.
 */
enum distro_started distro_start(const char *name, int wait_seconds, char *why,
				 size_t size)
{
	int lock, said[2];
	size_t len = 0;
	ssize_t n;

	why[0] = '\0';
	if (!distro_name_ok(name)) {
		snprintf(why, size, "no name for a distribution");
		return DISTRO_FAILED;
	}
	lock = distro_lock(name);
	if (lock < 0) {
		return DISTRO_BUSY;
	}
	if (pipe2(said, O_CLOEXEC)) {
		snprintf(why, size, "%s", strerror(errno));
		close(lock);
		return DISTRO_FAILED;
	}
	spawn_keeper(name, wait_seconds, lock, said[1]);
	close(lock);
	close(said[1]);
	/* Until it is closed on each side, by an init or an end. */
	while (len + 1 < size && ((n = read(said[0], why + len, size - len - 1)) > 0 ||
				  (n < 0 && errno == EINTR))) {
		len += n > 0 ? (size_t)n : 0;
	}
	why[len] = '\0';
	close(said[0]);
	return len > 0 ? DISTRO_FAILED : DISTRO_STARTED;
}
