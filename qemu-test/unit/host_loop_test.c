/* SPDX-License-Identifier: MIT */
/* Several channels' work in one event loop: who is served when, and how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host-bridge/loop/loop.h"
#include "host_hc.h"

#define HZ	1000000000ull
#define MS	(HZ / 1000)
#define WORKS	4u
#define RUNS	50u
#define TURNS	4000u

static uint64_t deadline, events;	/* of the last wait, of the next */
static uint64_t now = 1;
static struct loop_work works[WORKS];
static unsigned calls[WORKS];
static bool is_due[WORKS];
static uint64_t left[WORKS], piece[WORKS], had[WORKS];
static unsigned order[16], ordered;
static uint32_t seed;

uint64_t tsc_now(void)
{
	return now;
}

__attribute__((target("general-regs-only")))
int64_t hypercall(enum hypercall nr, struct hc_regs *regs)
{
	(void)nr;
	deadline = regs->rdi;
	regs->rdi = events;
	events = 0;
	return HC_OK;
}

/* Work of left[i] ticks, in pieces. */
static bool fn(struct loop_work *work, uint64_t until)
{
	unsigned i = (unsigned)(work - works);

	calls[i]++;
	is_due[i] = false;
	if (ordered < sizeof(order) / sizeof(order[0])) {
		order[ordered++] = i;
	}
	do {
		uint64_t n = left[i] < piece[i] ? left[i] : piece[i];

		now += n;
		left[i] -= n;
		had[i] += n;
	} while (left[i] && now < until);
	return left[i] != 0;
}

static bool due(struct loop_work *work)
{
	return is_due[work - works];
}

static void has(unsigned i, uint64_t ticks)
{
	left[i] += ticks;
	works[i].more = true;
}

static void rung(void *arg)
{
	has(*(unsigned *)arg, 1000);
}

/* All have had as much, and nothing to do. */
static int setup(void **state)
{
	(void)state;
	if (!works[0].fn) {
		loop_init(HZ);
		for (unsigned i = 0; i < WORKS; i++) {
			works[i].fn = fn;
			works[i].due = due;
			loop_work_add(&works[i]);
		}
	}
	for (unsigned i = 0; i < WORKS; i++) {
		left[i] = 0;
		piece[i] = 1000;
		is_due[i] = false;
	}
	while (loop_busy()) {
		loop_step(0);
	}
	for (unsigned i = 0; i < WORKS; i++) {
		works[i].used = 0;
		calls[i] = 0;
		had[i] = 0;
	}
	/* virtual time goes on */
	has(0, 100 * MS);
	while (loop_busy()) {
		loop_step(0);
	}
	works[1].used = works[2].used = works[3].used = works[0].used;
	calls[0] = 0;
	had[0] = 0;
	ordered = 0;
	return 0;
}

/* What nobody has brought anything is not called. */
static void what_there_is(void **state)
{
	static unsigned one = 1;

	(void)state;
	loop_step(LOOP_FOREVER);
	assert_true(deadline == LOOP_FOREVER);
	for (unsigned i = 0; i < WORKS; i++) {
		assert_int_equal(calls[i], 0);
	}
	loop_on_event(4, rung, &one);
	events = 4;
	loop_step(LOOP_FOREVER);
	assert_int_equal(calls[1], 1);
	assert_int_equal(calls[0] + calls[2], 0);
	assert_false(loop_busy());
}

/* What one never finishes keeps the loop from blocking, and costs another nothing
 * but one turn; a turn is short, and events are looked at after it. */
static void one_without_end(void **state)
{
	static unsigned which;

	(void)state;
	loop_on_event(4, rung, &which);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t before;

		setup(NULL);
		which = 1 - i;
		has(i, 1000 * MS);
		loop_step(LOOP_FOREVER);
		loop_step(LOOP_FOREVER);
		assert_true(deadline == 0);
		assert_int_equal(calls[i], 2);
		assert_true(loop_busy());
		before = now;
		events = 4;
		loop_step(LOOP_FOREVER);
		assert_int_equal(calls[i], 2);
		assert_int_equal(calls[which], 1);
		assert_int_equal(now - before, 1000);
		loop_step(LOOP_FOREVER);
		assert_true(now - before <= MS / 4);
		assert_int_equal(calls[i], 3);
	}
}

/* Only whose it is works before the wait. */
static void what_a_command_left(void **state)
{
	(void)state;
	is_due[1] = true;
	loop_step(LOOP_FOREVER);
	assert_int_equal(calls[0], 0);
	assert_int_equal(calls[1], 1);
	assert_true(deadline == LOOP_FOREVER);
	is_due[1] = true;
	left[1] = MS;
	loop_step(LOOP_FOREVER);
	assert_true(deadline == 0);
}

/* Who has had least goes first; a turn that was interrupted, and took long for
 * that, counts as a millisecond; who comes after long is not before the others for
 * as long as he was away. */
static void least_first(void **state)
{
	(void)state;
	piece[2] = 8 * MS;
	has(2, 8 * MS);
	loop_step(0);
	has(0, 20 * MS);
	has(2, 20 * MS);
	while (had[2] == 8 * MS) {
		loop_step(0);
	}
	assert_true(had[0] >= 3 * MS / 4 && had[0] <= 5 * MS / 4);
	setup(NULL);
	has(0, 100 * MS);
	while (had[0] < 50 * MS) {
		loop_step(0);
	}
	has(1, 100 * MS);
	while (had[1] < 3 * MS) {
		loop_step(0);
	}
	/* one millisecond of three is what it was ahead */
	assert_true(had[0] >= 51 * MS && had[0] <= 53 * MS);
}

static uint64_t between(uint64_t least, uint64_t most)
{
	seed = seed * 1664525u + 1013904223u;
	return least + (seed >> 8) % (most - least + 1);
}

/* Seeded: whoever asks for less than his share of the time waits for no more than
 * a piece of each other's; and those that always have more get as much each. */
static void shares(void **state)
{
	(void)state;
	for (uint32_t run = 1; run <= RUNS; run++) {
		uint64_t waited = 0, longest = 0, request, pause, next;

		setup(NULL);
		seed = run;
		for (unsigned i = 1; i < WORKS; i++) {
			piece[i] = between(500, MS / 8);
			has(i, 1000000 * MS);
		}
		piece[0] = request = between(2000, MS / 20);
		pause = request * WORKS;
		next = now;
		for (unsigned n = 0; n < TURNS; n++) {
			if (now >= next) {
				has(0, request);
				waited = now;
				next = ~0ull;
			}
			loop_step(0);
			if (waited && !left[0]) {
				/* it begins with nothing saved */
				if (n > 100 && now - waited > longest) {
					longest = now - waited;
				}
				waited = 0;
				next = now + pause;
			}
		}
		assert_true(longest <= request + MS / 4);
		for (unsigned i = 2; i < WORKS; i++) {
			assert_true(had[i] <= had[1] + MS);
			assert_true(had[1] <= had[i] + MS);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_there_is, setup),
		cmocka_unit_test_setup(one_without_end, setup),
		cmocka_unit_test_setup(what_a_command_left, setup),
		cmocka_unit_test_setup(least_first, setup),
		cmocka_unit_test_setup(shares, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
