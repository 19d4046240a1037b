/* SPDX-License-Identifier: MIT */
/* Instructions that C has no words for, for the payload and the canary. Those with a
 * pointer are for guarded(). */
#ifndef GUEST_PAYLOAD_CPU_H
#define GUEST_PAYLOAD_CPU_H

#include <stdint.h>

struct msr {
	uint32_t number;
	uint64_t value;
};

static inline uint64_t rdmsr(uint32_t number)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	return low | (uint64_t)high << 32;
}

static inline void wrmsr(uint32_t number, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "a"((uint32_t)v),
			 "d"((uint32_t)(v >> 32)), "c"(number) : "memory");
}

static inline void do_rdmsr(void *arg)
{
	struct msr *m = arg;

	m->value = rdmsr(m->number);
}

static inline void do_wrmsr(void *arg)
{
	const struct msr *m = arg;

	wrmsr(m->number, m->value);
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (uint64_t)high << 32;
}

/* Into eax, ebx, ecx, edx. */
static inline void get_cpuid(uint32_t leaf, uint32_t sub, uint32_t *r)
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]),
			 "=d"(r[3]) : "a"(leaf), "c"(sub));
}

#define CONTROL(name) \
	static inline uint64_t name##_get(void) \
	{ \
		uint64_t v; \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(v)); \
		return v; \
	} \
	static inline void name##_set(uint64_t v) \
	{ \
		__asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory"); \
	} \
	static inline void do_##name(void *arg) \
	{ \
		name##_set(*(uint64_t *)arg); \
	}

CONTROL(cr0)
CONTROL(cr2)
CONTROL(cr3)
CONTROL(cr4)
CONTROL(cr8)
CONTROL(dr0)
CONTROL(dr1)
CONTROL(dr2)
CONTROL(dr3)
CONTROL(dr6)
CONTROL(dr7)

/* A number that looks like none: of a seed. [Steele and others 2014, "Fast
 * Splittable Pseudorandom Number Generators"] */
static inline uint64_t mixed(uint64_t seed)
{
	seed *= 0x9e3779b97f4a7c15ull;
	seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
	seed = (seed ^ seed >> 27) * 0x94d049bb133111ebull;
	return seed ^ seed >> 31;
}

static inline uint64_t next_random(uint64_t *seed)
{
	return mixed((*seed)++);
}

#endif
