/* SPDX-License-Identifier: MIT */
/* What the agent has the kernel do about a clock that is not the machine's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "guest/init/agent.h"
#include "guest/init/init.h"

#define MS	1000000ll
#define S	1000000000ll

void init_log(const char *format, ...)
{
	(void)format;
}

static void far_behind_is_set(void **state)
{
	static const int64_t behind[] = {
		128 * MS + 1, S, 5 * 3600 * S + 7, 1800000000 * S + 999999999,
	};
	struct timex ask;

	(void)state;
	for (size_t i = 0; i < sizeof(behind) / sizeof(*behind); i++) {
		assert_true(agent_clock_ask(behind[i], STA_UNSYNC, &ask));
		assert_int_equal(ask.modes, ADJ_SETOFFSET | ADJ_NANO);
		assert_in_range(ask.time.tv_usec, 0, S - 1);
		assert_int_equal(ask.time.tv_sec * S + ask.time.tv_usec,
				 behind[i]);
	}
}

/* Never back: what is ahead is slewed, however far. */
static void all_else_is_slewed(void **state)
{
	static const int64_t behind[] = {
		128 * MS, MS, 0, -1000, -S, -5 * 3600 * S, -1800000000 * S,
	};
	struct timex ask;

	(void)state;
	for (size_t i = 0; i < sizeof(behind) / sizeof(*behind); i++) {
		assert_true(agent_clock_ask(behind[i], STA_UNSYNC | STA_NANO,
					    &ask));
		assert_int_equal(ask.modes, ADJ_OFFSET_SINGLESHOT);
		assert_int_equal(ask.offset * 1000, behind[i]);
	}
}

static void who_else_keeps_it_is_not_disturbed(void **state)
{
	struct timex ask;

	(void)state;
	assert_false(agent_clock_ask(5 * S, STA_PLL, &ask));
	assert_false(agent_clock_ask(-5 * S, 0, &ask));
	assert_int_equal(ask.modes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(far_behind_is_set),
		cmocka_unit_test(all_else_is_slewed),
		cmocka_unit_test(who_else_keeps_it_is_not_disturbed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
