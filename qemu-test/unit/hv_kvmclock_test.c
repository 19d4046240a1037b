/* SPDX-License-Identifier: MIT */
/* kvmclock's pages: what a guest reads of the time since its start, and of day. */
#include <x86.h>

#include "hv_fakes.h"

#define WALL	0x4b564d00u
#define TIME	0x4b564d01u
#define HZ	3000000000ull
#define S	1000000000ull
#define MS	1000000ull

static uint32_t guest[1024];		/* guest-physical from 0 */
static struct partition part;
static struct vcpu vcpu;

void *partition_memory(struct vcpu *v, gpa_t gpa, uint64_t len, bool write)
{
	assert_ptr_equal(v, &vcpu);
	assert_true(write);
	return gpa.v + len <= sizeof(guest) ? (char *)guest + gpa.v : NULL;
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(guest, 0xff, sizeof(guest));
	boot.tsc_hz = HZ;
	part = (struct partition){ .start_tsc = 100 * HZ + HZ / 2 };
	fake_vcpu_init(&vcpu, &part, 0);
	vcpu.tsc_offset = -part.start_tsc;
	fake.tsc = 200 * HZ;
	assert_int_equal(kvmclock_set_wall(0), HC_OK);
	return 0;
}

static void wall_is(uint64_t sec, uint64_t nsec)
{
	assert_true(kvmclock_msr_write(&vcpu, WALL, 64));
	assert_int_equal(guest[16] & 1, 0);
	assert_int_equal(guest[17], sec);
	assert_int_equal(guest[18], nsec);
	assert_int_equal(guest[15], ~0u);
	assert_int_equal(guest[19], ~0u);
}

/* The start of the partition, not now, and what was told last. */
static void time_of_day(void **state)
{
	(void)state;
	wall_is(100, 500 * MS + MS / 5);
	assert_int_equal(kvmclock_set_wall(1800000000 * S), HC_OK);
	wall_is(1800000100, 500 * MS + MS / 5);
	/* ahead by a tenth of a millisecond at least, two at most */
	assert_int_equal(kvmclock_set_wall(1800000000 * S + MS / 10 - 1), HC_OK);
	wall_is(1800000100, 500 * MS + MS / 5);
	/* before 1970: the TSC has run for longer than the clock */
	assert_int_equal(kvmclock_set_wall(-50 * S), HC_OK);
	wall_is(50, 500 * MS + MS / 5);
}

/* What a page cannot tell is refused, and nothing is changed. */
static void absurd_times(void **state)
{
	(void)state;
	assert_int_equal(kvmclock_set_wall(7 * S), HC_OK);
	assert_int_equal(kvmclock_set_wall((BIT64(32) - 200) * S), HC_EINVAL);
	assert_int_equal(kvmclock_set_wall(-201 * S), HC_EINVAL);
	wall_is(107, 500 * MS + MS / 5);
	assert_int_equal(kvmclock_set_wall((BIT64(32) - 200) * S - 1), HC_OK);
	wall_is(BIT64(32) - 100, 500 * MS + MS / 10);
	/* it began an hour before this machine's TSC was 0 */
	part.start_tsc = -(3600 * boot.tsc_hz);
	assert_int_equal(kvmclock_set_wall(10000 * S), HC_OK);
	wall_is(6400, MS / 5);
}

static void time_page(void **state)
{
	(void)state;
	assert_true(kvmclock_msr_write(&vcpu, TIME, 1));
	assert_int_equal(guest[0], 2);
	/* its TSC and its time are 0 at its start: 3 GHz are 1.5 GHz, which
	 * 2/3 makes ns of */
	assert_int_equal(guest[2] | guest[3] | guest[4] | guest[5], 0);
	assert_int_equal(guest[6], 0xaaaaaaaa);
	assert_int_equal(guest[7], 0xffff01ff);
	kvmclock_update(&vcpu, true);
	assert_int_equal(guest[0], 4);
	assert_int_equal(guest[7], 0xffff03ff);
	/* off */
	assert_true(kvmclock_msr_write(&vcpu, TIME, 0));
	kvmclock_update(&vcpu, false);
	assert_int_equal(guest[0], 4);
}

/* A timer that comes four seconds late: the machine stood still. */
static void late(void **state)
{
	(void)state;
	vlapic_reset(&vcpu, true);
	for (uint32_t i = 0; i < 2; i++) {
		vcpu.attention = 0;
		vcpu.lapic.lvt[0] = 0xec;
		vcpu.lapic.deadline = 300 * HZ;
		vlapic_timer_check(&vcpu, 304 * HZ + i);
		assert_int_equal(vcpu.attention, VCPU_ATT_INTR |
				 (i ? VCPU_ATT_LATE : 0));
	}
}

static void wrong_places(void **state)
{
	uint32_t before[1024];

	(void)state;
	memcpy(before, guest, sizeof(guest));
	for (uint32_t i = 1; i < 4; i++) {
		assert_false(kvmclock_msr_write(&vcpu, WALL, 64 + i));
	}
	assert_false(kvmclock_msr_write(&vcpu, TIME, 64 + 2));
	assert_false(kvmclock_msr_write(&vcpu, TIME, 64 + 3));
	assert_false(kvmclock_msr_write(&vcpu, WALL - 1, 64));
	assert_false(kvmclock_msr_write(&vcpu, TIME + 1, 65));
	/* no RAM of its own: its loss */
	assert_true(kvmclock_msr_write(&vcpu, WALL, sizeof(guest)));
	assert_true(kvmclock_msr_write(&vcpu, TIME, sizeof(guest) + 1));
	assert_memory_equal(before, guest, sizeof(guest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(time_of_day, make),
		cmocka_unit_test_setup(absurd_times, make),
		cmocka_unit_test_setup(time_page, make),
		cmocka_unit_test_setup(late, make),
		cmocka_unit_test_setup(wrong_places, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
