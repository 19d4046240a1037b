/* SPDX-License-Identifier: MIT */
/*
 * The process that gives up the page cache of an idle Linux (cache_policy.c),
 * by the root control group's memory.reclaim: so its pages become free, and can
 * go back to the machine. `isthmus.cache=` on the command line says how much
 * stays, in MiB, and, behind a comma, how many milliseconds lie between two
 * looks; or `off`.
 *
 * It must not wake a processor that has nothing to do. A look every other second
 * is needed only while there is something to be given up; else it waits for Linux
 * to be at work: see watch().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache.h"
#include "init.h"

#define RECLAIM		"/sys/fs/cgroup/memory.reclaim"
#define NAME		"page-cache"	/* the process's */
#define CPUS_MAX	64
#define FLOOR_MAX_MIB	(1u << 20)
#define LOOK_MIN_MS	100u	/* Linux counts idle time in 10 ms */
#define LOOK_MAX_MS	3600000u

static struct {
	bool off;
	uint64_t floor_kib;
	unsigned int look_ms;
} wanted = { .floor_kib = CACHE_FLOOR_KIB, .look_ms = CACHE_LOOK_MS };

/* A number up to max at *text, which then is behind it. */
static bool number(const char **text, unsigned long max, unsigned long *n)
{
	char *end;

	*n = strtoul(*text, &end, 10);
	if (end == *text || **text < '0' || **text > '9' || *n > max) {
		return false;
	}
	*text = end;
	return true;
}

static void take_word(const char *word)
{
	const char *value = cmdline_after(word, "isthmus.cache=");
	unsigned long mib, ms = wanted.look_ms;

	if (!value) {
		return;
	}
	if (strcmp(value, "off") == 0) {
		wanted.off = true;
		return;
	}
	if (!number(&value, FLOOR_MAX_MIB, &mib) ||
	    (*value == ',' && (value++, !number(&value, LOOK_MAX_MS, &ms))) ||
	    *value || ms < LOOK_MIN_MS) {
		init_log("%s: not MIB, MIB,MS or off", word);
		return;
	}
	wanted.off = false;
	wanted.floor_kib = (uint64_t)mib << 10;
	wanted.look_ms = (unsigned int)ms;
}

/* The sum of the numbers behind these names in a file of "name number" lines;
 * how many there were. */
static int sum(const char *path, const char *const *names, uint64_t *total)
{
	char name[64];
	unsigned long long n;
	FILE *f = fopen(path, "re");
	int found = 0;

	*total = 0;
	if (!f) {
		return 0;
	}
	while (fscanf(f, "%63s %llu%*[^\n]", name, &n) == 2) {
		for (size_t i = 0; names[i]; i++) {
			if (strcmp(name, names[i]) == 0) {
				*total += n;
				found++;
			}
		}
	}
	fclose(f);
	return found;
}

/* What is behind the names in Linux's files is in KiB, or in pages of 4 KiB.
 * [proc(5) "/proc/meminfo", "/proc/uptime", "/proc/vmstat"] */
static bool sample(struct cache_sample *s)
{
	static const char *const file[] = {
		"Active(file):", "Inactive(file):", NULL
	};
	static const char *const dirty[] = { "Dirty:", NULL };
	static const char *const refaults[] = {
		"workingset_refault_file", NULL
	};
	FILE *f = fopen("/proc/uptime", "re");
	double up = 0, idle = 0;
	int found;

	if (!f) {
		return false;
	}
	found = fscanf(f, "%lf %lf", &up, &idle);
	fclose(f);
	s->ms = (uint64_t)(up * 1000);
	s->idle_ms = (uint64_t)(idle * 1000);
	s->cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	if (found != 2 || sum("/proc/meminfo", file, &s->file_kib) != 2 ||
	    sum("/proc/meminfo", dirty, &s->dirty_kib) != 1 ||
	    sum("/proc/vmstat", refaults, &s->refault_kib) != 1) {
		return false;
	}
	s->refault_kib *= 4;
	return true;
}

/* Ends with its parent, whose id is given. */
static void end_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		_exit(1);
	}
}

static void pause_ms(clockid_t clock, unsigned int ms)
{
	struct timespec left = { .tv_sec = ms / 1000,
				 .tv_nsec = ms % 1000 * 1000000 };

	while (clock_nanosleep(clock, 0, &left, &left) == EINTR) {
	}
}

/* Sleeps until that processor is at work, but at least for ms. A timer that may
 * be late by any time makes no processor wake; it is looked at when some timer
 * interrupt comes, and one that is at work has one every tick. On a clock that
 * nobody else has a timer on: of each clock only the next timer is looked at.
 * [prctl(2) "PR_SET_TIMERSLACK"] [Linux "kernel/time/hrtimer.c"] */
static void watch_one(int cpu, unsigned int ms)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	prctl(PR_SET_TIMERSLACK, LONG_MAX);
	pause_ms(CLOCK_BOOTTIME, ms);
}

/* Waits until any processor has been at work, but at least for ms: a process
 * for each, as a timer belongs to one. Without any the wait is a plain one. */
static void watch(unsigned int ms)
{
	pid_t self = getpid(), pids[CPUS_MAX], first;
	int count = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
		pid_t pid = CPU_ISSET(cpu, &set) ? fork() : -1;

		if (pid == 0) {
			end_with(self);
			watch_one(cpu, ms);
			_exit(0);
		}
		if (pid > 0) {
			pids[count++] = pid;
		}
	}
	if (count == 0) {
		pause_ms(CLOCK_MONOTONIC, ms);
		return;
	}
	/* The first that ends; then nobody else is needed. */
	first = waitpid(-1, NULL, 0);
	for (int i = 0; i < count; i++) {
		if (pids[i] != first) {
			kill(pids[i], SIGKILL);
		}
	}
	while (waitpid(-1, NULL, 0) > 0) {
	}
}

/* Asks for it; Linux does what it can, and says EAGAIN if that was less. */
static void reclaim(int fd, uint64_t kib)
{
	dprintf(fd, "%lluK", (unsigned long long)kib);
}

static void keep(int fd)
{
	struct cache_policy policy = { .floor_kib = wanted.floor_kib };
	struct cache_sample now;

	while (sample(&now)) {
		struct cache_step step = cache_look(&policy, &now);

		if (step.write) {
			sync();
		}
		if (step.reclaim_kib > 0) {
			reclaim(fd, step.reclaim_kib);
			if (!sample(&now)) {
				break;
			}
			cache_done(&policy, &now);
		}
		if (step.watch) {
			watch(wanted.look_ms);
		} else {
			pause_ms(CLOCK_MONOTONIC, wanted.look_ms);
		}
	}
	init_log("page cache: cannot read what Linux has in use");
}

/**
 * Starts the process, unless the command line or the kernel has it off; returns
 * its id, else -1. It ends with the caller.
 */
pid_t cache_start(void)
{
	static char line[4096];
	pid_t self = getpid(), pid;
	int fd;

	cmdline_words(line, sizeof(line), take_word);
	if (wanted.off) {
		return -1;
	}
	fd = open(RECLAIM, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		init_log("page cache: %s: %s", RECLAIM, strerror(errno));
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, NAME);
		end_with(self);
		keep(fd);
		_exit(1);
	}
	close(fd);
	return pid;
}
