/* SPDX-License-Identifier: MIT */
/*
 * Keys that a peer has chosen without the seed share few buckets, whatever the seed is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/rt/seed.h"

#define SEEDS	3000u
#define KEYS	4000u
#define BITS	8u

/* Many odd numbers, the same in each run; [Marsaglia, "Xorshift RNGs"] */
static uint64_t next_seed(void)
{
	static uint64_t x = 0x123456789abcdef;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x | 1;
}

/* The fullest bucket of those for KEYS keys. */
static unsigned fullest(uint64_t seed, uint64_t first, uint64_t step)
{
	unsigned in[1u << BITS] = { 0 }, most = 0;

	for (uint64_t n = 0; n < KEYS; n++) {
		uint32_t bucket = seed_bucket(seed, first + n * step, BITS);

		assert_true(bucket < 1u << BITS);
		if (++in[bucket] > most) {
			most = in[bucket];
		}
	}
	return most;
}

/* One after the other, by powers of two, by what is near one, in the upper half. Of each
 * bucket's sixteen a hundred are a heap. */
static void multiples_come_in_no_heaps(void **state)
{
	static const uint64_t steps[] = { 1, 2, 3, 64, 4096, 1u << 20, (1u << 20) + 1,
					  1ull << 32, 1ull << 44 };

	(void)state;
	for (unsigned n = 0; n < SEEDS; n++) {
		uint64_t seed = next_seed();

		for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			assert_in_range(fullest(seed, n, steps[i]), KEYS >> BITS, 100);
		}
	}
}

/* Another seed, other buckets: keys that share one share none with the next. */
static void a_seed_tells_nothing_of_another(void **state)
{
	uint64_t seed = next_seed(), key[64], n = 0, same;

	(void)state;
	for (uint64_t k = 1; n < 64; k++) {
		if (seed_bucket(seed, k, BITS) == 0) {
			key[n++] = k;
		}
	}
	for (unsigned i = 0; i < SEEDS; i++) {
		seed = next_seed();
		same = 0;
		for (n = 1; n < 64; n++) {
			same += seed_bucket(seed, key[n], BITS) ==
				seed_bucket(seed, key[0], BITS);
		}
		assert_in_range(same, 0, 12);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(multiples_come_in_no_heaps),
		cmocka_unit_test(a_seed_tells_nothing_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
