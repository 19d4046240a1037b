/* SPDX-License-Identifier: MIT */
/*
 * Basic types. Addresses of different spaces are different types, so that a
 * guest-physical address cannot be used as a host-physical one by mistake.
 */
#ifndef ISTHMUS_TYPES_H
#define ISTHMUS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT32(n)	(1u << (n))
#define BIT64(n)	(1ull << (n))

#define PAGE_SIZE	4096ull
#define PAGE_MASK	(PAGE_SIZE - 1)
#define BIG_PAGE_SIZE	0x200000ull
#define BIG_PAGE_MASK	(BIG_PAGE_SIZE - 1)
#define BIG_PAGE_PAGES	512u

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define UNUSED		__attribute__((unused))
#define MUST_CHECK	__attribute__((warn_unused_result))
#define NOINLINE	__attribute__((noinline))
#define NORETURN	__attribute__((noreturn))
#define PRINTF(f, a)	__attribute__((format(printf, f, a)))

typedef struct { uint64_t v; } hpa_t;	/* host-physical */
typedef struct { uint64_t v; } gpa_t;	/* guest-physical */

#define HPA(x)		((hpa_t){ (x) })
#define GPA(x)		((gpa_t){ (x) })

/* HC_OK or a negative HC_E* code of abi/hypercall.h. */
typedef int hv_status_t;

static inline void clear_bit(uint8_t *map, uint32_t n)
{
	map[n / 8] &= (uint8_t)~(1u << n % 8);
}

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
