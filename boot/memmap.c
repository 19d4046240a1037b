/* SPDX-License-Identifier: MIT */
/*
 * Memory map without EFI calls. Descriptors may come unsorted, overlapping,
 * empty or absurd: a contradiction always ends as less free memory. The
 * result is sorted, merged and 4 KiB granular.
 */
#include <string.h>

#include "memmap.h"

#define PAGE	4096ull

/* [UEFI 2.10 "EFI_BOOT_SERVICES.GetMemoryMap()"]; the firmware's stride may
 * be larger than this. */
struct efi_descriptor {
	uint32_t type, pad;
	uint64_t physical, virtual, pages, attribute;
};

/* Memory types by EFI number; what is not here is firmware's for ever. */
static const uint8_t efi_types[] = {
	[1] = BOOT_MEM_FREE,		/* loader code */
	[2] = BOOT_MEM_FREE,		/* loader data */
	[3] = BOOT_MEM_FREE,		/* boot services code */
	[4] = BOOT_MEM_FREE,		/* boot services data */
	[7] = BOOT_MEM_FREE,		/* conventional */
	[8] = MEMMAP_NOTHING,		/* unusable */
	[11] = MEMMAP_NOTHING,		/* device memory */
	[12] = MEMMAP_NOTHING,		/* device ports */
};

/**
 * Adds a range. Free memory shrinks to whole pages, anything else grows to
 * them. Returns false if it wraps around or there are too many.
 */
bool memmap_add(struct memmap *map, uint64_t base, uint64_t size, uint32_t type)
{
	uint64_t end = base + size;
	bool is_free = type == BOOT_MEM_FREE;

	if (end < base || map->inputs == MEMMAP_MAX_INPUT) {
		return false;
	}
	base = base < MEMMAP_LIMIT ? base : MEMMAP_LIMIT;
	end = end < MEMMAP_LIMIT ? end : MEMMAP_LIMIT;
	/* no sum can wrap: both are at most MEMMAP_LIMIT by now */
	base = (base + (is_free ? PAGE - 1 : 0)) & ~(PAGE - 1);
	end = (end + (is_free ? 0 : PAGE - 1)) & ~(PAGE - 1);
	if (base < end) {
		map->input[map->inputs].base = base;
		map->input[map->inputs].end = end;
		map->input[map->inputs++].type = type;
	}
	return true;
}

/**
 * Adds the firmware's descriptors: size bytes in all, stride bytes each.
 * Returns false if they are malformed or too many.
 */
bool memmap_add_efi(struct memmap *map, const void *desc, uint64_t size, uint64_t stride)
{
	struct efi_descriptor d;

	if (stride < sizeof(d) || size % stride != 0) {
		return false;
	}
	for (uint64_t at = 0; at < size; at += stride) {
		uint32_t type = 0;

		memcpy(&d, (const uint8_t *)desc + at, sizeof(d));
		/* types that nobody knew when this was written are the
		 * firmware's */
		type = d.type < sizeof(efi_types) ? efi_types[d.type] : 0;
		if (d.pages > UINT64_MAX / PAGE ||
		    !memmap_add(map, d.physical, d.pages * PAGE, type ? type : BOOT_MEM_FIRMWARE)) {
			return false;
		}
	}
	return true;
}

/**
 * Makes map->mem from the inputs: walks from boundary to boundary, each time
 * looking for the highest type at that place and the next boundary. Returns
 * false if there are more than BOOT_MAX_MEM ranges.
 */
bool memmap_make(struct memmap *map)
{
	uint64_t at = 0, next;

	for (map->count = 0; at < MEMMAP_LIMIT; at = next) {
		struct boot_mem *last = map->mem + map->count - (map->count > 0);
		uint32_t type = 0;

		next = MEMMAP_LIMIT;
		for (uint32_t i = 0; i < map->inputs; i++) {
			uint64_t base = map->input[i].base, end = map->input[i].end;

			if (base > at) {
				next = base < next ? base : next;
			} else if (end > at) {
				next = end < next ? end : next;
				type = map->input[i].type > type ? map->input[i].type : type;
			}
		}
		if (type == 0 || type == MEMMAP_NOTHING) {
			continue;
		}
		if (map->count > 0 && last->type == type && last->base + last->size == at) {
			last->size += next - at;
			continue;
		}
		if (map->count == BOOT_MAX_MEM) {
			return false;
		}
		map->mem[map->count++] = (struct boot_mem) {
			.base = at, .size = next - at, .type = type };
	}
	return true;
}

/**
 * Bytes of a type. 0: of all but the firmware's, among which are ranges that it
 * reserves and that are no memory at all, such as PCI's configuration space.
 */
uint64_t memmap_total(const struct memmap *map, uint32_t type)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < map->count; i++) {
		uint32_t t = map->mem[i].type;

		total += type == 0 ? (t != BOOT_MEM_FIRMWARE) * map->mem[i].size :
			 t == type ? map->mem[i].size : 0;
	}
	return total;
}

/** Whether any part of [base, end) is memory. */
bool memmap_overlaps(const struct memmap *map, uint64_t base, uint64_t end)
{
	bool overlaps = false;

	for (uint32_t i = 0; i < map->count; i++) {
		overlaps |= map->mem[i].base < end && map->mem[i].base + map->mem[i].size > base;
	}
	return overlaps;
}

/** Whether any part of [base, end) is memory, but for the firmware's. */
bool memmap_in_use(const struct memmap *map, uint64_t base, uint64_t end)
{
	bool used = false;

	for (uint32_t i = 0; i < map->count; i++) {
		used |= map->mem[i].base < end && map->mem[i].base + map->mem[i].size > base &&
			map->mem[i].type != BOOT_MEM_FIRMWARE;
	}
	return used;
}
