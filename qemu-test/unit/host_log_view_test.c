/* SPDX-License-Identifier: MIT */
/*
 * Showing a log that grows meanwhile. Its text is CR only, which is not
 * printed: what counts is how often the console is asked to go on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "host-bridge/ui/console.h"
#include "host-bridge/ui/log_view.h"

#define FOREVER	1000u

static uint64_t log_end;
static unsigned turns, turns_most;

static size_t read_log(void *arg, uint64_t *at, char *buf, size_t size)
{
	size_t n = log_end - *at < size ? (size_t)(log_end - *at) : size;

	(void)arg;
	memset(buf, '\r', n);
	*at += n;
	return n;
}

/* While the loop runs the log gets more than was printed. */
bool console_go_on(void)
{
	log_end += 1000;
	return ++turns < turns_most;
}

static int setup(void **state)
{
	(void)state;
	log_end = 2000;
	turns = 0;
	turns_most = FOREVER;
	return 0;
}

static void a_growing_log_ends(void **state)
{
	(void)state;
	assert_true(log_view(read_log, NULL, NULL));
	assert_in_range(turns, 1, 10);
	turns = 0;
	assert_true(log_view(read_log, NULL, "3"));
	assert_in_range(turns, 1, 40);
}

static void ctrl_c_ends_it(void **state)
{
	(void)state;
	turns_most = 2;
	assert_true(log_view(read_log, NULL, NULL));
	assert_int_equal(turns, 2);
}

static void numbers(void **state)
{
	(void)state;
	assert_false(log_view(read_log, NULL, "x"));
	assert_false(log_view(read_log, NULL, "-1"));
	assert_false(log_view(read_log, NULL, "1 "));
	assert_int_equal(turns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_growing_log_ends, setup),
		cmocka_unit_test_setup(ctrl_c_ends_it, setup),
		cmocka_unit_test_setup(numbers, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
