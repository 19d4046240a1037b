/* SPDX-License-Identifier: MIT */
/*
 * Four-level page tables of 2 MiB pages, writable and executable: used for
 * a few instructions, by the hypervisor's entry and by the host partition's,
 * which both make their own at once.
 * [SDM3 "4-Level Paging and 5-Level Paging"]
 */
#include <string.h>

#include "hypervisor/include/abi/boot_info.h"
#include "paging.h"

#define ENTRIES		512u
#define PTE_TABLE	0x3ull		/* present, writable */
#define PTE_PAGE_2M	0x83ull		/* the same, 2 MiB page */

/**
 * Maps 0..gib GiB (at most 512) one to one. tables has PAGING_TABLES(gib)
 * pages, the root first, and will be at that physical address when used.
 */
void paging_identity(uint64_t *tables, uint64_t address, uint32_t gib)
{
	memset(tables, 0, PAGING_TABLES(gib) * 4096ull);
	tables[0] = (address + 4096) | PTE_TABLE;
	for (uint64_t i = 0; i < gib; i++) {
		tables[ENTRIES + i] = (address + (2 + i) * 4096) | PTE_TABLE;
	}
	for (uint64_t i = 0; i < gib * (uint64_t)ENTRIES; i++) {
		tables[2 * ENTRIES + i] = i << 21 | PTE_PAGE_2M;
	}
}

/**
 * Maps size bytes (whole 2 MiB pages, at most 1 GiB) of an image at phys to
 * HV_IMAGE_BASE, below the root given; tables has two pages at address.
 */
void paging_map_image(uint64_t *root, uint64_t *tables, uint64_t address, uint64_t phys,
		      uint64_t size)
{
	memset(tables, 0, 2 * 4096);
	root[HV_IMAGE_BASE >> 39 & (ENTRIES - 1)] = address | PTE_TABLE;
	tables[HV_IMAGE_BASE >> 30 & (ENTRIES - 1)] = (address + 4096) | PTE_TABLE;
	for (uint64_t i = 0; i < size >> 21; i++) {
		tables[ENTRIES + i] = (phys + (i << 21)) | PTE_PAGE_2M;
	}
}
