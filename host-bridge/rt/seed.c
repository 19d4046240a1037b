/* SPDX-License-Identifier: MIT */
/*
 * Seeds of hash tables whose keys a peer chooses: it must not be able to choose
 * them so that all share a bucket. From the processor's random numbers alone,
 * so that an emulator which repeats them repeats the run, whatever its disk took
 * until then. Without them, or where they are all alike, which some processors
 * do, from the TSC, whose low bits nobody knows. Not for secrets.
 */
#include <cpuid.h>
#include <stdbool.h>

#include "host-bridge/rt/seed.h"
#include "host-bridge/rt/tsc.h"

#define TRIES	10	/* [SDM1 "Random Number Generator Instructions"] */

static bool has_rdrand(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_RDRND) != 0;
}

static bool rdrand(uint64_t *value)
{
	bool ok = false;

	for (unsigned i = 0; i < TRIES && !ok; i++) {
		__asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(ok));
	}
	return ok;
}

/* False: the processor has no random numbers. */
static bool random_number(uint64_t *value)
{
	uint64_t next;

	return has_rdrand() && rdrand(value) && rdrand(&next) &&
	       next != *value;
}

/** See seed.h. Some hundred cycles, or an exit for CPUID: not for each key. */
uint64_t seed_make(void)
{
	static uint64_t count;
	uint64_t value = 0;

	if (!random_number(&value)) {
		value = tsc_now();
	}
	/* Mixed, for the few bits that change between two TSCs must reach all:
	 * [Steele and others, "Fast Splittable Pseudorandom Number
	 * Generators"] */
	value ^= ++count * 0x9e3779b97f4a7c15ull;
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return (value ^ value >> 31) | 1;
}
