/* SPDX-License-Identifier: MIT */
/*
 * The end of distributions: who keeps one is asked to, and sees to it in a bounded
 * time.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "distro.h"

#define MARGIN_SECONDS	10	/* for what comes after an init was killed */
#define LOOK_US		50000

/* Has take() see the name of each one that is kept; how many there are. */
static int each_kept(void (*take)(const char *name))
{
	DIR *dir = opendir(DISTRO_RUN);
	struct dirent *entry;
	int count = 0;

	while (dir && (entry = readdir(dir))) {
		if (distro_name_ok(entry->d_name) &&
		    distro_kept(entry->d_name)) {
			count++;
			take(entry->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	return count;
}

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void ask(const char *name)
{
	pid_t keeper = distro_keeper(name);

	/* A change ends at once, and can be gone on with. */
	if (keeper == 0) {
		keeper = distro_changer(name);
	}
	if (keeper > 0) {
		kill(keeper, SIGTERM);
	}
}

static void complain(const char *name)
{
	init_log("distribution %s: not ended; going on without it", name);
}

static void only_count(const char *name)
{
	(void)name;
}

/** Ends it, and waits. False: it runs still. */
bool distro_stop(const char *name)
{
	time_t until = seconds() + DISTRO_STOP_SECONDS + MARGIN_SECONDS;

	do {
		/* Again each time: it may be just being started. */
		ask(name);
		if (!distro_kept(name)) {
			return true;
		}
		usleep(LOOK_US);
	} while (seconds() < until);
	return false;
}

/** How many seconds distro_stop_all() may take, now. */
unsigned distro_seconds(void)
{
	return each_kept(only_count) ?
	       DISTRO_STOP_SECONDS + MARGIN_SECONDS : 0;
}

/** Ends all that run, at the same time, and waits; those that do not end are said. For
 * process 1, which inherits what sessions leave: while one of these is not collected
 * its namespace does not end. */
void distro_stop_all(void)
{
	time_t until = seconds() + DISTRO_STOP_SECONDS + MARGIN_SECONDS;

	while (each_kept(ask) > 0) {
		while (waitpid(-1, NULL, WNOHANG) > 0) {
		}
		if (seconds() >= until) {
			each_kept(complain);
			return;
		}
		usleep(LOOK_US);
	}
}
