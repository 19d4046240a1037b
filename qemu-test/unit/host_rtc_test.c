/* SPDX-License-Identifier: MIT */
/* What the battery-backed clock says, and what it says of a machine that stood
 * still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host-bridge/dev/rtc.h"
#include "host-bridge/loop/loop.h"

#define S	1000000000ll
#define MS	1000000ll
#define BCD	0x02u	/* and 24 hours */
#define BINARY	0x06u

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	(void)timer;
	(void)delay_ms;
	(void)fn;
}

uint64_t loop_ticks_to_ms(uint64_t ticks)
{
	return ticks;
}

static int64_t said(uint8_t year, uint8_t month, uint8_t day, uint8_t hour,
		    uint8_t minute, uint8_t second, uint8_t mode)
{
	const uint8_t bytes[RTC_BYTES] = { second, 0xff, minute, 0xff, hour, 0xff,
					   0xff, day, month, year };

	return rtc_decode(bytes, mode);
}

static void times(void **state)
{
	(void)state;
	assert_int_equal(said(0, 1, 1, 0, 0, 0, BCD), 0);
	/* date -u -d 2024-02-29T23:59:58 +%s, less that of 2000 */
	assert_int_equal(said(0x24, 2, 0x29, 0x23, 0x59, 0x58, BCD),
			 1709251198 - 946684800);
	assert_int_equal(said(24, 2, 29, 23, 59, 58, BINARY),
			 1709251198 - 946684800);
	assert_int_equal(said(0x24, 3, 1, 0, 0, 0, BCD), 1709251200 - 946684800);
	assert_int_equal(said(0x26, 0x12, 0x31, 0x12, 0, 0, BCD),
			 1798718400 - 946684800);
	/* twelve hours: midnight, one in the morning, noon, eleven at night */
	assert_int_equal(said(0, 1, 1, 0x12, 0, 0, 0), 0);
	assert_int_equal(said(0, 1, 1, 1, 0, 0, 0), 3600);
	assert_int_equal(said(0, 1, 1, 0x92, 0, 0, 0), 12 * 3600);
	assert_int_equal(said(0, 1, 1, 0x91, 0, 0, 0), 23 * 3600);
}

static void no_times(void **state)
{
	(void)state;
	assert_int_equal(said(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), -1);
	assert_int_equal(said(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, BCD), -1);
	assert_int_equal(said(0, 0, 0, 0, 0, 0, BCD), -1);
	assert_int_equal(said(0, 0x13, 1, 0, 0, 0, BCD), -1);
	assert_int_equal(said(0, 1, 0x32, 0, 0, 0, BCD), -1);
	assert_int_equal(said(0, 1, 1, 0x24, 0, 0, BCD), -1);
	assert_int_equal(said(0, 1, 1, 0x0a, 0, 0, BCD), -1);
	assert_int_equal(said(0, 1, 1, 0, 0x60, 0, BCD), -1);
	assert_int_equal(said(0, 1, 1, 0, 0, 0x60, BCD), -1);
	assert_int_equal(said(0, 1, 1, 0x13, 0, 0, 0), -1);
	assert_int_equal(said(0, 1, 1, 0, 0, 0, 0), -1);
}

/* A machine whose TSC goes otherwise than its clock by ppm, looked at for a while;
 * then it stands still, and is looked at again. */
static int64_t after(struct rtc_lead *lead, int64_t *passed, int64_t *clock,
		     unsigned looks, int ppm, int64_t pause)
{
	int64_t found = 0;

	for (unsigned i = 0; i < looks; i++) {
		int64_t step = (7310 + rand() % 40) * MS;

		assert_int_equal(found, 0);
		*passed += step;
		*clock += step + step / 1000000 * ppm + (i == looks - 1 ? pause : 0);
		found = rtc_stood_still(lead, *clock / S, *passed);
	}
	return found;
}

static void a_machine_that_goes_on(void **state)
{
	static const int ppm[] = { 0, 100, -100, 400, -400 };

	(void)state;
	srand(1);
	for (unsigned i = 0; i < sizeof(ppm) / sizeof(*ppm); i++) {
		struct rtc_lead lead = RTC_LEAD_NONE;
		int64_t passed = 3 * S + i, clock = 800000000 * S + rand();

		assert_int_equal(after(&lead, &passed, &clock, 10000, ppm[i], 0), 0);
	}
}

static void one_that_stood_still(void **state)
{
	static const int64_t pauses[] = { 4 * S, 61 * S + 5, 3600 * S,
					  100 * 86400 * S + S / 3 };

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 4000; i++) {
		struct rtc_lead lead = RTC_LEAD_NONE;
		int64_t passed = rand(), clock = 800000000 * S + rand();
		int64_t pause = pauses[i % 4];
		unsigned looks = 2 + (unsigned)rand() % 300;
		int64_t found = after(&lead, &passed, &clock, looks,
				      rand() % 200 - 100, pause);
		int64_t most = looks > 20 ? S * 3 / 4 : S;

		assert_in_range(found - pause + most, 0, 2 * most);
		/* and that was all */
		assert_int_equal(after(&lead, &passed, &clock, 20, 0, 0), 0);
	}
}

/* Of what is short nothing can be said; a clock that was set back is believed
 * from then on. */
static void what_is_none(void **state)
{
	struct rtc_lead lead = RTC_LEAD_NONE;
	int64_t passed = 0, clock = 800000000 * S;

	(void)state;
	srand(1);
	assert_int_equal(after(&lead, &passed, &clock, 10, 0, S), 0);
	assert_int_equal(after(&lead, &passed, &clock, 10, 0, -3600 * S), 0);
	assert_int_equal(after(&lead, &passed, &clock, 10, 0, 0), 0);
	assert_in_range(after(&lead, &passed, &clock, 10, 0, 3600 * S),
			3599 * S, 3601 * S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(no_times),
		cmocka_unit_test(a_machine_that_goes_on),
		cmocka_unit_test(one_that_stood_still),
		cmocka_unit_test(what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
