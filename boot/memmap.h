/* SPDX-License-Identifier: MIT */
/*
 * The physical memory map as the hypervisor wants it, made from what the
 * firmware says and what the loader keeps.
 */
#ifndef ISTHMUS_BOOT_MEMMAP_H
#define ISTHMUS_BOOT_MEMMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/include/abi/boot_info.h"

/* Memory from here on is not offered: the hypervisor's map has room for it. */
#define MEMMAP_LIMIT		(64ull << 40)
#define MEMMAP_MAX_INPUT	1536

/* Ranges in any order, overlapping as they like; where they do, the highest
 * type holds: enum boot_mem_type, or MEMMAP_NOTHING. */
#define MEMMAP_NOTHING		5u

struct memmap {
	uint32_t inputs;
	uint32_t count;
	struct {
		uint64_t base, end;
		uint32_t type;
	} input[MEMMAP_MAX_INPUT];
	struct boot_mem mem[BOOT_MAX_MEM];
};

bool memmap_add(struct memmap *map, uint64_t base, uint64_t size, uint32_t type);
bool memmap_add_efi(struct memmap *map, const void *desc, uint64_t size, uint64_t stride);
bool memmap_make(struct memmap *map);
uint64_t memmap_total(const struct memmap *map, uint32_t type);
bool memmap_overlaps(const struct memmap *map, uint64_t base, uint64_t end);
bool memmap_in_use(const struct memmap *map, uint64_t base, uint64_t end);

#endif
