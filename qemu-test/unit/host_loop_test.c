/* SPDX-License-Identifier: MIT */
/* Two channels' work in one event loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host-bridge/loop/loop.h"
#include "host_hc.h"

static uint64_t deadline;		/* of the last wait */
static struct loop_work works[2];
static unsigned calls[2];
static bool more[2], is_due[2];

__attribute__((target("general-regs-only")))
int64_t hypercall(enum hypercall nr, struct hc_regs *regs)
{
	(void)nr;
	deadline = regs->rdi;
	regs->rdi = 0;
	return HC_OK;
}

static bool fn(struct loop_work *work, uint64_t until)
{
	unsigned i = (unsigned)(work - works);

	(void)until;
	calls[i]++;
	is_due[i] = false;
	return more[i];
}

static bool due(struct loop_work *work)
{
	return is_due[work - works];
}

static int setup(void **state)
{
	(void)state;
	if (!works[0].fn) {
		loop_init(1000000000);
		for (unsigned i = 0; i < 2; i++) {
			works[i].fn = fn;
			works[i].due = due;
			loop_work_add(&works[i]);
		}
	}
	more[0] = more[1] = is_due[0] = is_due[1] = false;
	loop_step(0);
	calls[0] = calls[1] = 0;
	return 0;
}

static void both_are_looked_at(void **state)
{
	(void)state;
	loop_step(LOOP_FOREVER);
	assert_int_equal(calls[0], 1);
	assert_int_equal(calls[1], 1);
	assert_true(deadline == LOOP_FOREVER);
}

/* What one never finishes keeps the loop from blocking, and costs the other
 * nothing but its share. */
static void one_without_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		more[i] = true;
		loop_step(LOOP_FOREVER);
		assert_int_equal(calls[1 - i], 1);
		assert_true(calls[i] > 1);
		loop_step(LOOP_FOREVER);
		assert_true(deadline == 0);
		assert_int_equal(calls[1 - i], 2);
		assert_true(loop_busy());
		setup(NULL);
		assert_false(loop_busy());
	}
}

/* Only whose it is works before the wait. */
static void what_a_command_left(void **state)
{
	(void)state;
	is_due[1] = true;
	loop_step(LOOP_FOREVER);
	assert_int_equal(calls[0], 1);
	assert_int_equal(calls[1], 2);
}

/* What events bring none of is looked at when it is due, and goes on then. */
static void rare_work(void **state)
{
	(void)state;
	works[1].rare = true;
	loop_step(LOOP_FOREVER);
	assert_int_equal(calls[0], 1);
	assert_int_equal(calls[1], 0);
	is_due[1] = true;
	loop_step(LOOP_FOREVER);
	assert_int_equal(calls[1], 1);
	is_due[1] = more[1] = true;
	loop_step(LOOP_FOREVER);
	assert_true(deadline == 0);
	more[1] = false;
	loop_step(LOOP_FOREVER);
	assert_false(loop_busy());
	works[1].rare = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(both_are_looked_at, setup),
		cmocka_unit_test_setup(one_without_end, setup),
		cmocka_unit_test_setup(what_a_command_left, setup),
		cmocka_unit_test_setup(rare_work, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
