/* SPDX-License-Identifier: MIT */
/* The instructions C has no words for; ports are drivers/portio.h's. */
#ifndef ISTHMUS_BOOT_IO_H
#define ISTHMUS_BOOT_IO_H

#include <stdint.h>

#include "drivers/portio.h"

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

/* Ordered on both sides: a time stamp taken here and not elsewhere. */
static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid_sub(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(sub));
	return r;
}

#define cpuid(leaf)	cpuid_sub(leaf, 0)

#endif
