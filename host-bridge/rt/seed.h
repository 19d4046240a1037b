/* SPDX-License-Identifier: MIT */
/* Numbers that a peer cannot foresee: see seed.c. */
#ifndef ISTHMUS_SEED_H
#define ISTHMUS_SEED_H

#include <stdint.h>

/* Another one each time; odd. */
uint64_t seed_make(void);

/* The bucket of 2^bits, at least 2 and at most 2^32, for a key that a peer has
 * chosen: whatever keys it chooses, few share one, unless it knows the seed.
 * Multiplied by an odd number twice, the upper bits of the product. Once is not enough:
 * of one seed in some hundreds the multiples of a number come in heaps. What is
 * folded in between breaks the even steps. */
static inline uint32_t seed_bucket(uint64_t seed, uint64_t key, unsigned bits)
{
	uint64_t product = key * seed;

	return (uint32_t)((product ^ product >> 32) * seed >> (64 - bits));
}

#endif
