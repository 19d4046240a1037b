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

int make_machine(void **state);
uint64_t owned(uint32_t who);
uint32_t owner_of(uint64_t pa);
bool all_zero(uint64_t pa, uint64_t bytes);
void check_accounts(void);
bool populate(struct partition *p, uint64_t gpa);
uint64_t stop_linux(void);

#endif
