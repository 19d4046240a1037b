/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's instructions counted, by the processor's single step, and its
 * locks with a watch: how long each is held, and when. A string instruction counts
 * one for each 8 bytes, as on Bochs. For tests whose code is compiled as the
 * hypervisor's is. Needs -D_GNU_SOURCE.
 */
#ifndef HV_STEPS_H
#define HV_STEPS_H

#include <signal.h>
#include <ucontext.h>

#include "hv_fakes.h"

#define TRAP_FLAG	0x100
#define LOCK_COST	12u	/* lock_take() and lock_drop(), nobody waits */

#define HOLD_MOST	20000u

static volatile sig_atomic_t counting;
static volatile uint64_t steps;

static void step(int number, siginfo_t *si, void *context)
{
	greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];

	(void)number;
	(void)si;
	steps += (uint64_t)counting;
	*flags = counting ? *flags | TRAP_FLAG : *flags & ~TRAP_FLAG;
}

static inline __attribute__((always_inline)) void count(bool on)
{
	counting = on;
	if (on) {
		__asm__ volatile("pushfq; orq %0, (%%rsp); popfq" : :
				 "i"(TRAP_FLAG) : "memory", "cc");
	}
}

/* --- locks, with a watch ----------------------------------------------- */

static struct {
	const struct lock *l;
	uint64_t since;
} held[BOOT_MAX_PARTITIONS + 2];
static uint32_t held_count;
static uint64_t longest[2];		/* a partition's, frame_lock */
static bool watched, whole;

/* What was taken (or dropped) when. */
static struct step_event {
	const struct lock *l;
	bool take;
	uint64_t at;
} step_trace[64];
static uint32_t step_events;

static void step_event(const struct lock *l, bool take)
{
	if (whole && step_events < ARRAY_SIZE(step_trace)) {
		step_trace[step_events++] =
			(struct step_event){ l, take, steps };
	}
}

void lock_take(struct lock *l)
{

	counting = 0;
	assert_true(held_count < ARRAY_SIZE(held));
	held[held_count].l = l;
	held[held_count++].since = steps;
	step_event(l, true);
	steps += LOCK_COST;
	if (watched) {
		count(true);
	}
}

bool lock_try(struct lock *l)
{
	lock_take(l);
	return true;
}

void lock_drop(struct lock *l)
{
	uint64_t *most = &longest[l == &frame_lock];

	counting = 0;
	held_count--;
	assert_ptr_equal(held[held_count].l, l);
	*most = u64_max(*most, steps - held[held_count].since);
	step_event(l, false);
	if (watched && (held_count || whole)) {
		count(true);
	}
}

void fake_lock_held(const struct lock *l)
{
	(void)l;
}

/* All that code does: locks' holds, and in whole how long it took. */
#define WATCH(what, code) ({						\
	longest[0] = longest[1] = 0;					\
	steps = 0;							\
	watched = true;							\
	code;								\
	watched = false;						\
	report(what);							\
})

#define WHOLE(what, code) ({						\
	longest[0] = longest[1] = 0;					\
	steps = step_events = 0;					\
	watched = whole = true;						\
	count(true);							\
	code;								\
	counting = 0;							\
	watched = whole = false;					\
	report(what);							\
	steps;								\
})

static void report(const char *what)
{
	counting = 0;
	print_message("%-36s %6llu partition, %6llu pool", what,
		      (unsigned long long)longest[0],
		      (unsigned long long)longest[1]);
	print_message(", %6llu steps\n", (unsigned long long)steps);
	assert_in_range(longest[0], 0, HOLD_MOST);
	assert_in_range(longest[1], 0, HOLD_MOST);
}

static void steps_start(void)
{
	const struct sigaction sa = { .sa_sigaction = step,
				      .sa_flags = SA_SIGINFO };

	sigaction(SIGTRAP, &sa, NULL);
}

#endif
