/* SPDX-License-Identifier: MIT */
/*
 * Page tables for the way between two worlds.
 */
#ifndef ISTHMUS_BOOT_PAGING_H
#define ISTHMUS_BOOT_PAGING_H

#include <stdint.h>

/* Tables needed for an identity map of that many GiB. */
#define PAGING_TABLES(gib)	(2 + (gib))

void paging_identity(uint64_t *tables, uint64_t address, uint32_t gib);
void paging_map_image(uint64_t *root, uint64_t *tables, uint64_t address,
		      uint64_t phys, uint64_t size);

#endif
