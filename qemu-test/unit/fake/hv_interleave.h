/* SPDX-License-Identifier: MIT */
/*
 * Two CPUs in one thread: what the other one does falls between two
 * instructions of what this one does, at any place that a test wants, by the
 * processor's single step. Needs -D_GNU_SOURCE.
 */
#ifndef HV_INTERLEAVE_H
#define HV_INTERLEAVE_H

#include <signal.h>
#include <ucontext.h>

#include "hv_fakes.h"

#define TRAP_FLAG	0x100

static void (*volatile interleave_other)(void);
static volatile uint32_t interleave_steps, interleave_at;
/* For what holds locks for long: a test that wraps lock_drop() (-Wl,--wrap) and calls
 * interleave_dropped() from there sets skips, and no step is taken under a lock. */
static volatile bool interleave_skips, interleave_skipped;

static void interleave_step(int number, siginfo_t *info, void *context)
{
	greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];

	(void)number;
	(void)info;
	*flags |= TRAP_FLAG;
	if (interleave_skips && fake.lock_depth) {
		interleave_skipped = true;
		*flags &= ~TRAP_FLAG;
		return;
	}
	if (++interleave_steps >= interleave_at && !fake.lock_depth) {
		if (interleave_other) {
			interleave_other();
		}
		interleave_other = NULL;
		*flags &= ~TRAP_FLAG;
	}
}

static inline void interleave_dropped(void)
{
	if (interleave_skipped && !fake.lock_depth) {
		interleave_skipped = false;
		(void)raise(SIGTRAP);
	}
}

/**
 * Does what mine does, and what other does after n instructions; both may take a
 * lock, so not while mine has one. false: there are not so many, and other was
 * not called.
 */
static bool interleave(void (*mine)(void), void (*other)(void), uint32_t n)
{
	const struct sigaction sa = { .sa_sigaction = interleave_step,
				      .sa_flags = SA_SIGINFO };
	bool come;

	interleave_at = n;
	interleave_steps = 0;
	interleave_other = other;
	sigaction(SIGTRAP, &sa, NULL);
	(void)raise(SIGTRAP);	/* the first step */
	mine();
	come = !interleave_other;
	interleave_other = NULL;
	interleave_skipped = false;
	interleave_at = 0;	/* and that is the last one */
	return come;
}

#endif
