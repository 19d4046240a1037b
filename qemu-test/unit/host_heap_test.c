/* SPDX-License-Identifier: MIT */
/*
 * Where the heap ends, on machines of several sizes: what can be touched below
 * it, with tables, is never more than what the hypervisor is sure to give.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host-bridge/rt/heap.h"

#define MIB	0x100000ull
#define START	(8 * MIB)

/* The most that the partition owns once the heap has been touched to its end:
 * whole units from 0 on, and the tables. */
static uint64_t owned_at_end(uint64_t owned)
{
	uint64_t units = (START + heap_used() + heap_room() + 2 * MIB - 1) /
			 (2 * MIB);

	return owned + units * (2 * MIB + 4096);
}

static void test_sizes(void **state)
{
	static const struct { uint64_t ram, sure, owned, least; } t[] = {
		{ 512, 320, 30, 276 },		/* the promise */
		{ 512, 320, 200, 106 },		/* large modules */
		{ 512, 540, 30, 496 },		/* the cap */
		{ 512, 2000, 30, 504 },		/* the RAM */
		{ 16, 64, 2, 8 },
		{ 512, 33, 20, 0 },
		{ 512, 30, 20, 0 },		/* nothing left */
		{ 512, 20, 30, 0 },
		{ 512, 0, 0, 0 },		/* no answer */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		heap_init(START, t[i].ram * MIB, t[i].sure * MIB,
			  t[i].owned * MIB);
		assert_int_equal(heap_used(), 0);
		assert_true(heap_room() >= t[i].least * MIB);
		assert_true(heap_room() <= t[i].ram * MIB - START);
		assert_true(heap_room() == 0 ||
			    owned_at_end(t[i].owned * MIB) + 5 * 4096 <=
			    t[i].sure * MIB);
	}
}

/* Each figure of a range: nothing wraps, and no page too many. */
static void test_all_sizes(void **state)
{
	(void)state;
	for (uint64_t sure = 0; sure < 600 * MIB; sure += 0x7000) {
		heap_init(START, 512 * MIB, sure, 3 * MIB);
		assert_true(heap_room() <= 504 * MIB);
		assert_true(heap_room() == 0 ||
			    owned_at_end(3 * MIB) + 5 * 4096 <= sure);
	}
	assert_int_equal(heap_room(), 504 * MIB);
}

static void *end(void)
{
	return sbrk(0);
}

static void refused(ptrdiff_t by)
{
	void *before = end();

	errno = 0;
	assert_ptr_equal(sbrk(by), (void *)-1);
	assert_int_equal(errno, ENOMEM);
	assert_ptr_equal(end(), before);
}

static void test_sbrk(void **state)
{
	size_t room;

	(void)state;
	heap_init(START, 64 * MIB, 40 * MIB, MIB);
	room = heap_room();
	assert_ptr_equal(sbrk(0x1000), (void *)START);
	assert_ptr_equal(end(), (void *)(START + 0x1000));
	refused((ptrdiff_t)room);
	refused(-0x1001);
	refused(PTRDIFF_MAX);
	refused(PTRDIFF_MIN);
	assert_ptr_equal(sbrk((ptrdiff_t)room - 0x1000),
			 (void *)(START + 0x1000));
	assert_int_equal(heap_room(), 0);
	assert_int_equal(heap_used(), room);
	refused(1);
	assert_ptr_equal(sbrk(-(ptrdiff_t)room), (void *)(START + room));
	assert_int_equal(heap_room(), room);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_all_sizes),
		cmocka_unit_test(test_sbrk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
