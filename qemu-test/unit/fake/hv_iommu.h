/* SPDX-License-Identifier: MIT */
/*
 * A machine for tests of the IOMMUs: page frames that are counted, and memory as
 * a unit sees it, which is not what the CPU has in its cache, unless the unit
 * snoops or the line was flushed. The units themselves are the tests'.
 */
#ifndef HV_IOMMU_H
#define HV_IOMMU_H

#include "hv_fakes.h"

#include "hypervisor/iommu/iommu_int.h"

#define IOMMU_MEMORY	(64ull << 20)
#define POOL_HPA	0x2000000ull
#define POOL_GPA	0xb8000000ull
#define POOL_SIZE	0x200000ull
#define NOTHING		(~0ull)		/* where a blocked access goes */

extern struct partition iommu_partition;	/* "host" */
extern const struct iommu_pool iommu_pool;

/* What the test's unit does. at: offset of the register. */
void unit_write(uint32_t unit, uint32_t at, uint64_t v, unsigned bytes);
uint64_t unit_read(uint32_t unit, uint32_t at);
void unit_works(void);			/* time passes */

/* What a unit keeps of what it has read, until it is told to forget it. */
#define KEPT		64
struct kept {
	bool valid;
	uint64_t key, low, high;
};

struct kept *kept_find(struct kept k[KEPT], uint64_t key);
struct kept *kept_add(struct kept k[KEPT], uint64_t key, uint64_t low,
		      uint64_t high);

/* The machine. */
extern bool iommu_snoops;		/* units see the CPU's cache */
extern uint32_t iommu_frames_used, iommu_frames_left;
extern char iommu_log[1 << 16];		/* all lines */
void iommu_machine(void);	/* as new; but the pool's tables stay as they are */
uint64_t unit_load(uint64_t pa);
void unit_store(uint64_t pa, uint64_t v, unsigned bytes);

#endif
