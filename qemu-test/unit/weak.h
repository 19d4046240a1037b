/* SPDX-License-Identifier: MIT */
/*
 * Compiled code under a memory that is weaker than x86's: two threads that share
 * words, and all that they could see of each other. weak.c says how.
 */
#ifndef ISTHMUS_WEAK_H
#define ISTHMUS_WEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEAK_THREADS	2
#define WEAK_SITES	16

struct weak_test {
	void *shared;			/* words of 32 bits .. */
	size_t size;			/* .. so many bytes of them */
	void (*set_up)(void);		/* before each run, by nobody */
	void (*thread[WEAK_THREADS])(void);
	unsigned preemptions;		/* that one run has at most */
	unsigned long runs_max;		/* to be an error, not for ever */
};

struct weak_result {
	unsigned long runs;
	const char *wrong;		/* NULL: nothing was, in any run */
	const void *site[WEAK_SITES];	/* of fences that were met */
	unsigned sites;
};

/* All runs, or until one goes wrong. without: a site whose fence is left out, or
 * NULL. */
struct weak_result weak_explore(const struct weak_test *t, const void *without);

/* By a thread: what it found is not as it must be. It does not come back. */
void weak_wrong(const char *what) __attribute__((noreturn));

/* By a thread: sleeps until it is rung, if it has not been since the last time. */
void weak_sleep(void);

/* By a thread: rings the other. */
void weak_ring(void);

/* For bytes in and out of what is shared, of whole words. */
void *weak_copy(void *to, const void *from, size_t n);

#endif
