/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the ELF checker and loader, and the MADT and FADT readers. The
 * first byte chooses; the rest, in a buffer of its exact size, is the file
 * or table.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/acpi.h"
#include "boot/elf.h"

#define LOW	0x200000ull
#define HIGH	0x280000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct acpi_machine machine;
	struct boot_ecam ecam[2];
	uint64_t page[2];
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
		if (acpi_dmar(copy, (uint32_t)size - 1, page, 2) > 2 ||
		    acpi_mcfg(copy, (uint32_t)size - 1, ecam, 2) > 2) {
			abort();
		}
		if (acpi_pm_timer(copy, (uint32_t)size - 1) > 0xfffc) {
			abort();
		}
	}
	free(copy);
	return 0;
}
