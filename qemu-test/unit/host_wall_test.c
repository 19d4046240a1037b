/* SPDX-License-Identifier: MIT */
/* The time of day while it is put right: never back, at last right; and what others
 * are told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host-bridge/guest/linux_clock.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/wall.h"
#include "host_hc.h"

#define HZ	3000000000ull
#define S	1000000000ll

static uint64_t tsc;
/* By HC_CLOCK. */
static int64_t told_zero_ns;
static unsigned told;

uint64_t tsc_now(void)
{
	return tsc;
}

__attribute__((target("general-regs-only")))
int64_t hypercall(enum hypercall nr, struct hc_regs *regs)
{
	if (nr == HC_CLOCK) {
		told_zero_ns = (int64_t)regs->rdi;
		told++;
	} else if (nr == HC_WAIT) {
		tsc = regs->rdi;
		regs->rdi = 0;
	}
	return HC_OK;
}

static void begin(void)
{
	tsc = 5 * HZ;
	wall_init(1700000000, 4 * HZ, HZ);
	assert_int_equal(wall_now_ns(), 1700000001 * S);
}

static void a_little_behind_goes_faster(void **state)
{
	(void)state;
	begin();
	wall_adjust(S / 2);
	assert_int_equal(wall_now_ns(), 1700000001 * S);
	tsc += 32 * HZ;
	assert_int_equal(wall_now_ns(), 1700000033 * S + S / 4);
	assert_int_equal(wall_left_ns(), S / 4);
	tsc += 100 * HZ;
	assert_int_equal(wall_now_ns(), 1700000133 * S + S / 2);
	assert_int_equal(wall_left_ns(), 0);
}

static void far_behind_is_set(void **state)
{
	(void)state;
	begin();
	wall_adjust(86400 * S);
	assert_int_equal(wall_now_ns(), 1700086401 * S);
	assert_int_equal(wall_left_ns(), 0);
}

static void ahead_goes_slower(void **state)
{
	int64_t last;

	(void)state;
	begin();
	last = wall_now_ns();
	wall_adjust(-3600 * S);
	for (int i = 0; i < 1000; i++) {
		tsc += HZ / 7;
		assert_true(wall_now_ns() > last);
		last = wall_now_ns();
	}
	tsc += 3600 * 128 * HZ;
	last = wall_now_ns();
	assert_int_equal(wall_left_ns(), 0);
	/* Exactly an hour less than has passed. */
	assert_in_range(1700000001 * S + (int64_t)((tsc - 5 * HZ) / HZ) * S -
			3600 * S - last + S, 0, S);
}

/* Whatever is said of it and when. */
static void it_never_goes_back(void **state)
{
	int64_t last;

	(void)state;
	begin();
	srand(1);
	last = wall_now_ns();
	for (int i = 0; i < 100000; i++) {
		if (rand() % 10 == 0) {
			wall_adjust(((int64_t)rand() - RAND_MAX / 2) * 4);
		}
		tsc += (uint64_t)rand() % HZ;
		assert_true(wall_now_ns() >= last);
		last = wall_now_ns();
	}
}

/* What a partition takes the time to be: the TSC's way from what was told. */
static int64_t theirs(void)
{
	return told_zero_ns + (int64_t)(tsc / HZ * S + tsc % HZ * S / HZ);
}

static void others_are_told(void **state)
{
	(void)state;
	begin();
	loop_init(HZ);
	linux_clock_tell();
	assert_int_equal(told, 1);
	assert_int_equal(theirs(), wall_now_ns());
	tsc += 10 * HZ;
	assert_int_equal(theirs(), wall_now_ns());
	wall_adjust(86400 * S);
	linux_clock_tell();
	assert_int_equal(told, 2);
	assert_int_equal(theirs(), wall_now_ns());
	/* Nothing is left to be told. */
	loop_step(tsc + 100 * HZ);
	assert_int_equal(told, 2);
	/* It is again and again while it does not go as the TSC does. */
	wall_adjust(-S);
	linux_clock_tell();
	for (unsigned i = 3; wall_left_ns() != 0; i++) {
		assert_int_equal(told, i);
		assert_int_equal(theirs(), wall_now_ns());
		loop_step(LOOP_FOREVER);
		assert_in_range(i, 0, 2570);
	}
	tsc += 100 * HZ;
	assert_int_equal(theirs(), wall_now_ns());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_little_behind_goes_faster),
		cmocka_unit_test(far_behind_is_set),
		cmocka_unit_test(ahead_goes_slower),
		cmocka_unit_test(it_never_goes_back),
		cmocka_unit_test(others_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
