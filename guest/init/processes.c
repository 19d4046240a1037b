/* SPDX-License-Identifier: MIT */
/*
 * How all processes come to their end when PID 1 shuts down. Nobody is believed
 * to obey: what is still there after a while is killed.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>

#include "init.h"

#define PATIENCE_MS	2000u	/* after SIGTERM, and after SIGKILL */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Collects the dead until no child is left, or for that long. SIGCHLD, blocked,
 * ends each wait early. */
static void wait_children(uint64_t ms)
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
		if (pid < 0) {
			return;		/* ECHILD: all gone */
		}
		sigtimedwait(&chld, NULL, &tenth);
	}
}

/**
 * Ends every process but the caller, PID 1 with all signals blocked: asked to
 * first, killed after PATIENCE_MS. shell is the leader of the session on the
 * console, 0 or less: there is none.
 *
 * SIGHUP is not for all: to a service that ends in its own way at SIGTERM it
 * would be death in the middle of that. A shell at a terminal ignores SIGTERM;
 * but when the agent's processes end, the terminals of their sessions do, and
 * the kernel sends it. The shell on the console gets it from here.
 */
void processes_end(pid_t shell)
{
	kill(-1, SIGTERM);
	if (shell > 0) {
		kill(-shell, SIGHUP);
	}
	/* Stopped processes could not obey. */
	kill(-1, SIGCONT);
	wait_children(PATIENCE_MS);
	kill(-1, SIGKILL);
	wait_children(PATIENCE_MS);
}
