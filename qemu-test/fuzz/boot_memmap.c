/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the memory map: whatever the firmware says, the result is sorted,
 * apart, page granular, and nothing is free that any descriptor calls
 * otherwise.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/memmap.h"

#define REQUIRE(x) do {			\
	if (!(x)) {			\
		abort();		\
	}				\
} while (0)

struct descriptor {
	uint32_t type, pad;
	uint64_t physical, virtual, pages, attribute;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_free_type(uint32_t type)
{
	return (type >= 1 && type <= 4) || type == 7;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memmap map;
	size_t stride = sizeof(struct descriptor) + (size > 0 ? data[0] % 16 : 0);

	size = size / stride * stride;
	map.inputs = 0;
	if (!memmap_add_efi(&map, data, size, stride) || !memmap_make(&map)) {
		return 0;
	}
	for (uint32_t i = 0; i < map.count; i++) {
		const struct boot_mem *m = &map.mem[i];

		REQUIRE(m->size > 0 && (m->base | m->size) % 4096 == 0);
		REQUIRE(m->base + m->size <= MEMMAP_LIMIT);
		REQUIRE(m->type >= BOOT_MEM_FREE && m->type <= BOOT_MEM_FIRMWARE);
		REQUIRE(i == 0 || m[-1].base + m[-1].size <= m->base);
		REQUIRE(i == 0 || m[-1].base + m[-1].size < m->base || m[-1].type != m->type);
		for (size_t at = 0; at < size; at += stride) {
			struct descriptor d;

			memcpy(&d, data + at, sizeof(d));
			REQUIRE(m->type != BOOT_MEM_FREE || is_free_type(d.type) || d.pages == 0 ||
				d.physical >= m->base + m->size ||
				d.physical + d.pages * 4096 <= m->base);
		}
	}
	return 0;
}
