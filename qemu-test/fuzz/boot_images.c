/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the ELF checker and loader, and the MADT, FADT, DMAR and IVRS readers. The
 * first byte chooses; the rest, in a buffer of its exact size, is the file
 * or table.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/acpi.h"
#include "boot/elf.h"
#include "boot/iommu.h"

#define LOW	0x200000ull
#define HIGH	0x280000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every function is a bridge, to itself and all buses after its own. */
static uint32_t bridges(uint32_t function, uint32_t reg)
{
	return reg == 0x0c ? 1u << 16 : 0xff0000u | (function & 0xff00u);
}

/* What the hypervisor relies on. */
static void check(const struct boot_iommus *iommus)
{
	for (uint32_t i = 0; i < iommus->scope_count; i++) {
		if (iommus->scopes[i].unit >= iommus->unit_count) {
			abort();
		}
	}
	for (uint32_t i = 0; i < iommus->reserved_count; i++) {
		if (iommus->reserved[i].size == 0 ||
		    (iommus->reserved[i].base + iommus->reserved[i].size - 1) >> 52 != 0) {
			abort();
		}
	}
	for (uint32_t i = 0; i < iommus->unit_count; i++) {
		if (iommus->units[i].base % 4096 != 0) {
			abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct acpi_machine machine;
	struct boot_ecam ecam[2];
	struct boot_iommus iommus;
	struct elf_image image;
	uint8_t *copy, *memory;

	if (size < 1) {
		return 0;
	}
	copy = malloc(size);
	memcpy(copy, data + 1, size - 1);
	if (data[0] % 2 == 0 && elf_check(copy, size - 1, LOW, HIGH, &image) == NULL) {
		memory = calloc(1, image.end - LOW);
		elf_load(copy, LOW, memory);
		free(memory);
	} else if (data[0] % 2 == 1) {
		acpi_init(&machine);
		if (acpi_madt(copy, (uint32_t)size - 1, &machine) &&
		    (machine.cpu_count == 0 || machine.cpu_count > BOOT_MAX_CPUS)) {
			abort();
		}
		if (acpi_mcfg(copy, (uint32_t)size - 1, ecam, 2) > 2) {
			abort();
		}
		memset(&iommus, 0, sizeof(iommus));
		if (iommu_dmar(copy, (uint32_t)size - 1, 0, bridges, &iommus) == NULL) {
			check(&iommus);
		}
		memset(&iommus, 0, sizeof(iommus));
		if (iommu_ivrs(copy, (uint32_t)size - 1, 0, &iommus) == NULL) {
			check(&iommus);
		}
		if (acpi_pm_timer(copy, (uint32_t)size - 1) > 0xfffc) {
			abort();
		}
	}
	free(copy);
	return 0;
}
