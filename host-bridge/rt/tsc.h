/* SPDX-License-Identifier: MIT */
/* The time stamp counter: this program's only clock. */
#ifndef ISTHMUS_TSC_H
#define ISTHMUS_TSC_H

#include <stdint.h>

static inline uint64_t tsc_now(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

#endif
