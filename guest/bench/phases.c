/* SPDX-License-Identifier: MIT */
/*
 * Phases, in one process or in eight. Eight at once begin each phase together,
 * each in a folder of its own, and a phase ends with the last of them; so its
 * figure is what the machine pays for an operation when there is always
 * another one to do. In turn the same eight do the same, each when the one
 * before has ended: what is between the two figures is only that others are
 * at work.
 *
 * They wait in pipes: one up, a byte from each process; two down, a byte for
 * each, used alternately, so that a quick one cannot take the byte of a slow
 * one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PROCESSES	8u

struct pipes {
	int up[2], ready[2], go[2];
};

/**
 * Carries out a list of phases in this process and prints their figures,
 * `prefix` before their names. False: a phase failed, which has been printed;
 * those after it were not tried.
 */
bool phases_run(const struct phase *list, const char *dir, const char *prefix)
{
	struct phase_place place = { .dir = dir, .part = 1, .file = -1 };
	char name[64];

	for (const struct phase *p = list; p->work; p++) {
		snprintf(name, sizeof(name), "%s%s", prefix,
			 p->name ? p->name : "clearing up");
		if (p->before && !p->before(&place)) {
			bench_skip(name, "what comes before");
			return false;
		}
		bench_begin();
		if (!p->work(&place)) {
			bench_skip(name, dir);
			return false;
		}
		if (p->name) {
			bench_end(name, p->count, "ticks");
		}
	}
	return true;
}

/* Says to the parent that a step is done or, with errno, why not; waits for
 * its byte. */
static void step(bool ok, int up, int down)
{
	char c = ok ? 0 : (char)errno;

	if (write(up, &c, 1) != 1 || !ok || read(down, &c, 1) != 1) {
		_exit(1);
	}
}

/* One of the eight; does not return. */
static void child(const struct phase *list, const char *dir,
		  unsigned int part, const struct pipes *pipes)
{
	struct phase_place place = { .dir = dir, .part = part, .file = -1 };

	/* There already, with the large file, if the list before left it. */
	if (mkdir(dir, 0755) && errno != EEXIST) {
		step(false, pipes->up[1], -1);
	}
	for (const struct phase *p = list; p->work; p++) {
		step(!p->before || p->before(&place), pipes->up[1],
		     pipes->ready[0]);
		step(p->work(&place), pipes->up[1], pipes->go[0]);
	}
	rmdir(dir);
	_exit(0);
}

/* A byte from each of so many: how the step went. False with errno. */
static bool collect(int up, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		char c;

		if (read(up, &c, 1) != 1) {
			return false;
		}
		if (c) {
			errno = c;
			return false;
		}
	}
	return true;
}

static bool release(int down, unsigned int count)
{
	static const char bytes[PROCESSES];

	return write(down, bytes, count) == (ssize_t)count;
}

/* The work of all: at_once of them until the last one's word, then as many
 * more. */
static bool all_work(const struct pipes *pipes, unsigned int at_once)
{
	for (unsigned int i = 0; i < PROCESSES; i += at_once) {
		if (!release(pipes->ready[1], at_once) ||
		    !collect(pipes->up[0], at_once)) {
			return false;
		}
	}
	return true;
}

/* The parent's part: measures from their release to the last one's word. */
static bool measure(const struct phase *list, unsigned int part,
		    const struct pipes *pipes, bool in_turn)
{
	char name[64];

	for (const struct phase *p = list; p->work; p++) {
		snprintf(name, sizeof(name), "%s_%s",
			 p->name ? p->name : "clearing up",
			 in_turn ? "turn" : "8");
		if (!collect(pipes->up[0], PROCESSES)) {
			bench_skip(name, "what comes before");
			return false;
		}
		bench_begin();
		if (!all_work(pipes, in_turn ? 1 : PROCESSES)) {
			bench_skip(name, "one of the processes");
			return false;
		}
		if (p->name) {
			bench_end(name, p->count / part * PROCESSES, "ticks");
		}
		release(pipes->go[1], PROCESSES);
	}
	return true;
}

/**
 * The same in eight processes at once, or in turn, in folders it makes in `dir`,
 * each with counts divided by `part`; the figures, for one operation of any of
 * them, have "_8" or "_turn" behind their names. The folders stay while
 * something is in them. False as above.
 */
bool phases_run_many(const struct phase *list, const char *dir,
		     unsigned int part, bool in_turn)
{
	struct pipes pipes;
	pid_t pids[PROCESSES];
	bool ok;

	if (pipe(pipes.up) || pipe(pipes.ready) || pipe(pipes.go)) {
		bench_skip("eight processes", "pipe");
		return false;
	}
	fflush(stdout);
	for (unsigned int i = 0; i < PROCESSES; i++) {
		char path[PATH_LEN / 2];

		snprintf(path, sizeof(path), "%s/process%u", dir, i);
		pids[i] = fork();
		if (pids[i] == 0) {
			child(list, path, part, &pipes);
		}
	}
	ok = measure(list, part, &pipes, in_turn);
	for (unsigned int i = 0; i < PROCESSES; i++) {
		if (!ok && pids[i] > 0) {
			kill(pids[i], SIGKILL);
		}
		waitpid(pids[i], NULL, 0);
	}
	for (unsigned int i = 0; i < 2; i++) {
		close(pipes.up[i]);
		close(pipes.ready[i]);
		close(pipes.go[i]);
	}
	return ok;
}
