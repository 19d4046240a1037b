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

/* A file of /proc, of which a read gives no more than a page. What does not fit is
 * left out. */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;
	size_t have = 0;

	while (fd >= 0 && have < size - 1 &&
	       (n = read(fd, text + have, size - 1 - have)) > 0) {
		have += (size_t)n;
	}
	text[have] = '\0';
	if (fd >= 0) {
		close(fd);
	}
	return have > 0;
}

/* Adds the number behind the name of a line. */
static bool add(const char *text, const char *name, uint64_t *sum)
{
	const char *at = strstr(text, name);

	*sum += at ? strtoull(at + strlen(name), NULL, 10) : 0;
	return at != NULL;
}

/* The times, which cost a look of a Linux at work no more than this. Seconds with
 * two decimals. [proc(5) "/proc/uptime"] */
static bool sample_times(struct cache_sample *s)
{
	unsigned long long up, up_10ms, idle, idle_10ms;
	char text[80];

	if (!read_text("/proc/uptime", text, sizeof(text)) ||
	    sscanf(text, "%llu.%2llu %llu.%2llu", &up, &up_10ms, &idle,
		   &idle_10ms) != 4) {
		return false;
	}
	s->ms = up * 1000 + up_10ms * 10;
	s->idle_ms = idle * 1000 + idle_10ms * 10;
	s->cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	return true;
}

/* The rest: KiB, but for refaults, which are pages of 4 KiB. [proc(5)
 * "/proc/meminfo", "/proc/vmstat"] */
static bool sample_memory(struct cache_sample *s)
{
	static char text[16384];

	s->file_kib = s->dirty_kib = s->refault_kib = 0;
	if (!read_text("/proc/meminfo", text, sizeof(text)) ||
	    !add(text, "\nActive(file):", &s->file_kib) ||
	    !add(text, "\nInactive(file):", &s->file_kib) ||
	    !add(text, "\nDirty:", &s->dirty_kib) ||
	    !read_text("/proc/vmstat", text, sizeof(text)) ||
	    !add(text, "\nworkingset_refault_file ", &s->refault_kib)) {
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
	struct cache_sample now = { 0 };

	while (sample_times(&now)) {
		struct cache_step step = { 0 };

		if (cache_quiet(&policy, &now)) {
			if (!sample_memory(&now)) {
				break;
			}
			step = cache_look(&policy, &now);
		}
		if (step.write) {
			sync();
		}
		if (step.reclaim_kib > 0) {
			reclaim(fd, step.reclaim_kib);
			if (!sample_times(&now) || !sample_memory(&now)) {
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
