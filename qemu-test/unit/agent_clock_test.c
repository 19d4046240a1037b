/* SPDX-License-Identifier: MIT */
/* What the agent has the kernel do about a clock that is not the machine's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "guest/init/agent.h"
#include "guest/init/init.h"

#define MS	1000000ll
#define S	1000000000ll
#define TICK	10000

void init_log(const char *format, ...)
{
	(void)format;
}

static const struct timex free_clock = { .status = STA_UNSYNC | STA_NANO,
					 .tick = TICK };

static void far_behind_is_set(void **state)
{
	static const int64_t behind[] = {
		128 * MS + 1, S, 5 * 3600 * S + 7, 1800000000 * S + 999999999,
	};
	struct timex ask;

	(void)state;
	for (size_t i = 0; i < sizeof(behind) / sizeof(*behind); i++) {
		struct agent_clock c = { 0, true };

		assert_true(agent_clock_ask(&c, behind[i], &free_clock, &ask));
		assert_int_equal(ask.modes, ADJ_SETOFFSET | ADJ_NANO | ADJ_TICK);
		assert_in_range(ask.time.tv_usec, 0, S - 1);
		assert_int_equal(ask.time.tv_sec * S + ask.time.tv_usec,
				 behind[i]);
		/* and goes as it should from then on */
		assert_int_equal(ask.tick, TICK);
		assert_false(c.follows);
	}
}

/* Never back: what is ahead is slewed, however far. */
static void all_else_is_slewed(void **state)
{
	static const struct {
		int64_t behind;
		long tick;
	} of[] = {
		{ 128 * MS, 200 }, { MS, 200 }, { 100000, 20 }, { 49000, 0 },
		{ 0, 0 }, { -1000, 0 }, { -100000, -20 }, { -S, -200 },
		{ -5 * 3600 * S, -200 }, { -1800000000 * S, -200 },
	};
	struct timex ask;

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++) {
		struct agent_clock c = { 0, false };

		assert_true(agent_clock_ask(&c, of[i].behind, &free_clock, &ask));
		assert_int_equal(ask.modes, ADJ_TICK);
		assert_int_equal(ask.tick, TICK + of[i].tick);
		assert_int_equal(c.follows, of[i].tick != 0);
	}
}

/* A clock that was so much behind, beside one that goes faster by that share, for
 * that many looks; then the other goes right. Returns the most that it was wrong
 * from the third look on, and how many looks it took from then. */
static int64_t follow(int64_t behind, double faster, unsigned looks, unsigned *took)
{
	struct agent_clock c = { 0, false };
	struct timex now = free_clock, ask;
	int64_t most = 0;
	unsigned i;

	for (i = 0; i < looks || c.follows; i++) {
		double ms = AGENT_CLOCK_MS + rand() % 10;

		assert_true(i < looks + 10000);
		if (i > 2 && llabs(behind) > most) {
			most = llabs(behind);
		}
		/* it is a little off what it sees */
		assert_true(agent_clock_ask(&c, behind + rand() % 4000, &now,
					    &ask));
		assert_int_equal(ask.modes, ADJ_TICK);
		now.tick = ask.tick;
		behind += (int64_t)(ms * (double)MS * ((i < looks ? faster : 0) -
				    (double)(now.tick - TICK) / TICK));
	}
	assert_int_equal(now.tick, TICK);
	assert_in_range(behind + 60000, 0, 120000);
	*took = i - looks;
	return most;
}

/* As fast as the machine's own clock is put right, and both ways. */
static void it_keeps_up(void **state)
{
	unsigned took;

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 200; i++) {
		assert_in_range(follow(0, 1 / 128., 100 + i, &took), 0, MS);
		assert_in_range(took, 0, 200);
		assert_in_range(follow(0, -1 / 128., 100 + i, &took), 0, MS);
		assert_in_range(took, 0, 200);
	}
}

static void it_comes_to_an_end(void **state)
{
	unsigned took;

	(void)state;
	srand(1);
	(void)follow(127 * MS, 0, 1, &took);
	assert_in_range(took, 100, 400);
	(void)follow(-5 * S, 0, 1, &took);
	assert_in_range(took, 4000, 6000);
}

static void who_else_keeps_it_is_not_disturbed(void **state)
{
	struct timex now = free_clock, ask;
	struct agent_clock c = { 0, true };

	(void)state;
	now.status = STA_PLL;
	assert_false(agent_clock_ask(&c, 5 * S, &now, &ask));
	assert_false(c.follows);
	now.status = 0;
	assert_false(agent_clock_ask(&c, -5 * S, &now, &ask));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(far_behind_is_set),
		cmocka_unit_test(all_else_is_slewed),
		cmocka_unit_test(it_keeps_up),
		cmocka_unit_test(it_comes_to_an_end),
		cmocka_unit_test(who_else_keeps_it_is_not_disturbed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
