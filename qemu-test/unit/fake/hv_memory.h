/* SPDX-License-Identifier: MIT */
/*
 * A fake machine of 64 MiB, if a test says nothing else, with a host and a Linux
 * partition, for tests of who owns which page; and the accounts against the
 * tables, page by page.
 */
#ifndef HV_MEMORY_H
#define HV_MEMORY_H

#include "hv_fakes.h"

#define MIB		0x100000ull
#ifndef MACHINE_MIB
#define MACHINE_MIB	64
#endif
#define MACHINE		(MACHINE_MIB * MIB)
#define PAGES		(MACHINE / PAGE_SIZE)
#define HOST_REGION	0x200000ull	/* preloaded, host-physical */
#define HOST_RAM	(MACHINE / 2)
#define LINUX_CAP	(MACHINE / 4)
#define LINUX_RAM	0x40000000ull	/* guest-physical */
#define LINUX_RAM_SIZE	(MACHINE * 3 / 8)

extern struct partition *host, *linux_p;
extern uint32_t more_linux;	/* as many more as linux_p: partitions[2] on */
extern uint32_t host_restarts;
extern uint64_t section_size;	/* of the channels that the host then has to each */

int make_machine(void **state);
uint64_t owned(uint32_t who);
uint32_t owner_of(uint64_t pa);
bool all_zero(uint64_t pa, uint64_t bytes);
void check_accounts(void);
bool populate(struct partition *p, uint64_t gpa);
uint64_t stop_linux(void);
hpa_t alloc_big(uint8_t who, bool *zeroed);
void free_pages(uint8_t who, hpa_t pa, uint64_t bytes);

/* What is called with p's lock held. */
#define LOCKED(p, call) ({						\
	struct lock *locked_ = &(p)->lock;				\
									\
	lock_take(locked_);						\
	__auto_type result_ = (call);					\
	lock_drop(locked_);						\
	result_;							\
})
/* vCPU 0 writes. */
#define partition_populate(p, gpa, why)					\
	LOCKED(p, partition_populate((p)->vcpus[0], gpa, true, why))
#define partition_memory(p, gpa, len)					\
	partition_memory((p)->vcpus[0], gpa, len, true)
#define release_memory(v, ...)						\
	LOCKED((v)->partition, release_memory(v, __VA_ARGS__))
#define gpm_lookup(p, ...)	LOCKED(p, gpm_lookup(p, __VA_ARGS__))
#define gpm_map(p, ...)		LOCKED(p, gpm_map(p, __VA_ARGS__))
#define gpm_split(p, ...)	LOCKED(p, gpm_split(p, __VA_ARGS__))
#define gpm_execute(p, ...)	LOCKED(p, gpm_execute(p, __VA_ARGS__))
#define gpm_range_empty(p, ...)	LOCKED(p, gpm_range_empty(p, __VA_ARGS__))

#endif
