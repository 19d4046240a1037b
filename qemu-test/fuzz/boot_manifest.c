/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the manifest decoder. A blob that passes the structure check must
 * be safe for libfdt; one that is accepted must keep its promises.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/manifest.h"

#define REQUIRE(x) do {			\
	if (!(x)) {			\
		abort();		\
	}				\
} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct manifest m;
	char error[MANIFEST_ERROR_LEN];
	/* A copy of its own: aligned, and with guarded ends. */
	uint8_t *blob = malloc(size ? size : 1);

	memcpy(blob, data, size);
	if (!manifest_decode(blob, size, &m, error)) {
		REQUIRE(strlen(error) > 0 && strlen(error) < MANIFEST_ERROR_LEN);
		free(blob);
		return 0;
	}
	REQUIRE(m.hypervisor < m.module_count && m.host_image < m.module_count);
	for (uint32_t i = 0; i < m.module_count; i++) {
		REQUIRE(strlen(m.module[i].name) <= 31 && m.module[i].path[0] == '\\');
		REQUIRE(m.module[i].sha256 + 32 <= blob + size);
	}
	REQUIRE(m.pci_rule_count <= MANIFEST_MAX_PCI_RULES);
	REQUIRE(m.partition_count >= 1 && m.partition_count <= BOOT_MAX_PARTITIONS);
	for (uint32_t i = 0; i < m.partition_count; i++) {
		const struct boot_partition *p = &m.partition[i];

		REQUIRE(p->id == i && p->name[0] != '\0');
		REQUIRE(p->port_count <= BOOT_MAX_PORTS && p->irq_count <= BOOT_MAX_IRQS);
		REQUIRE(p->mmio_count < BOOT_MAX_MMIO && p->region_count == 0);
		REQUIRE(((p->flags & BOOT_PARTITION_HOST) != 0) == (i == 0));
	}
	for (uint32_t i = 0; i < m.channel_count; i++) {
		REQUIRE(m.channel[i].peer[0] < m.partition_count);
		REQUIRE(m.channel[i].peer[1] < m.partition_count);
		REQUIRE(m.channel[i].output_size % 4096 == 0);
	}
	free(blob);
	return 0;
}
