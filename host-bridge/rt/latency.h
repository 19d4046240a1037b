/* SPDX-License-Identifier: MIT */
/*
 * How long things took: a fixed histogram, four buckets to each doubling, so that a
 * percentile is told at most a quarter too large. Adding to it is some ten
 * instructions. Pure: ticks come from the caller.
 */
#ifndef ISTHMUS_LATENCY_H
#define ISTHMUS_LATENCY_H

#include <stdint.h>

/* Up to 2^41 ticks, a quarter of an hour at 2 GHz; what took longer is in the
 * last one. */
#define LATENCY_BUCKETS	160u

struct latency {
	uint64_t count, most;			/* most: ticks */
	uint32_t bucket[LATENCY_BUCKETS];
};

/** The bucket of so many ticks: below 4 each has one of its own. */
static inline unsigned latency_bucket(uint64_t ticks)
{
	unsigned top, bucket;

	if (ticks < 4) {
		return (unsigned)ticks;
	}
	top = 63u - (unsigned)__builtin_clzll(ticks);
	bucket = 4 * (top - 1) + (unsigned)(ticks >> (top - 2) & 3);
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/** One more, which took so many ticks. */
static inline void latency_add(struct latency *l, uint64_t ticks)
{
	l->count++;
	l->most = ticks > l->most ? ticks : l->most;
	l->bucket[latency_bucket(ticks)]++;
}

/**
 * Of 1,000 the share has taken no longer than this, in ticks: the end of a bucket,
 * and not more than the longest. 0 of none.
 */
static inline uint64_t latency_of(const struct latency *l, unsigned share)
{
	uint64_t wanted = (l->count * share + 999) / 1000, seen = 0;
	unsigned i = 0;

	if (l->count == 0) {
		return 0;
	}
	while (i < LATENCY_BUCKETS - 1 && (seen += l->bucket[i]) < wanted) {
		i++;
	}
	if (i >= 4 && i < LATENCY_BUCKETS - 1) {
		uint64_t end = ((uint64_t)(i % 4 + 5) << (i / 4 - 1)) - 1;

		return end < l->most ? end : l->most;
	}
	return i < 4 ? i : l->most;
}

#endif
