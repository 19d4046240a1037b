/* SPDX-License-Identifier: MIT */
/*
 * How all processes come to their end when PID 1 shuts down. Nobody is believed
 * to obey: what is still there after a while is killed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

#define KILLED_MS	2000u	/* after SIGKILL */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* One process: what /proc says of it. */
struct process {
	int pid, session, terminal;
};

/* False: it has gone meanwhile, or this is no process. */
static bool read_process(const char *number, struct process *p)
{
	char path[32], text[512];
	const char *rest;
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.10s/stat", number);
	fd = number[0] >= '1' && number[0] <= '9' ?
	     open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	/* A name may hold anything but comes to an end. [proc(5)] */
	rest = strrchr(text, ')');
	p->pid = atoi(number);
	return rest && sscanf(rest + 1, " %*c %*d %*d %d %d", &p->session,
			      &p->terminal) == 2;
}

/* Has take() see each process. */
static void each_process(void (*take)(void *arg, const struct process *p),
			 void *arg)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	struct process p;

	while (dir && (entry = readdir(dir))) {
		if (read_process(entry->d_name, &p)) {
			take(arg, &p);
		}
	}
	if (dir) {
		closedir(dir);
	}
}

struct session {
	int leader;
	bool others;
};

static void look_for_others(void *arg, const struct process *p)
{
	struct session *s = arg;

	s->others |= p->session == s->leader && p->pid != s->leader;
}

/* A shell at a terminal ignores SIGTERM. When all that it started has ended it gets
 * what tells it that the terminal is lost; before, that would end these, too. */
static void hang_up(void *arg, const struct process *p)
{
	struct session s = { .leader = p->pid };

	(void)arg;
	if (p->session == p->pid && p->terminal != 0) {
		each_process(look_for_others, &s);
		if (!s.others) {
			kill(p->pid, SIGHUP);
		}
	}
}

/** If that process is a shell at a terminal with nothing left to wait for, it ends. */
void processes_hang_up(pid_t pid)
{
	struct process p;
	char number[12];

	snprintf(number, sizeof(number), "%d", (int)pid);
	if (read_process(number, &p)) {
		hang_up(NULL, &p);
	}
}

/* Collects the dead until nobody is left, or for that long. SIGCHLD, blocked,
 * ends each wait early. Who was entered from outside the namespace is not our
 * child. */
static void wait_for_all(uint64_t ms, bool entered)
{
	const struct timespec tenth = { .tv_nsec = 100000000 };
	uint64_t until = now_ms() + ms;
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	while (now_ms() < until) {
		pid_t pid;

		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		}
		if (pid < 0 && (!entered || kill(-1, 0))) {
			return;		/* ECHILD, ESRCH: all gone */
		}
		each_process(hang_up, NULL);
		sigtimedwait(&chld, NULL, &tenth);
	}
}

/**
 * Ends every process but the caller, PID 1 with all signals blocked: asked to
 * first, killed after patience_ms. shell is the leader of the session on the
 * console, 0 or less: there is none. entered: others than descendants of the
 * caller may be in its namespace.
 *
 * SIGHUP is not for all: to a service that ends in its own way at SIGTERM it
 * would be death in the middle of that.
 */
void processes_end(pid_t shell, unsigned patience_ms, bool entered)
{
	kill(-1, SIGTERM);
	if (shell > 0) {
		kill(-shell, SIGHUP);
	}
	/* Stopped processes could not obey. */
	kill(-1, SIGCONT);
	wait_for_all(patience_ms, entered);
	kill(-1, SIGKILL);
	wait_for_all(KILLED_MS, entered);
}
