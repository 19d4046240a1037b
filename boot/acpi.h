/* SPDX-License-Identifier: MIT */
/*
 * The few facts wanted from ACPI tables: processors, interrupt controllers,
 * power-management timer.
 */
#ifndef ISTHMUS_BOOT_ACPI_H
#define ISTHMUS_BOOT_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/include/abi/boot_info.h"

#define ACPI_LAPIC_DEFAULT	0xfee00000ull
#define ACPI_IOAPIC_DEFAULT	0xfec00000ull

struct acpi_machine {
	uint32_t cpu_count;
	uint32_t cpus_left_out;		/* beyond BOOT_MAX_CPUS */
	uint32_t apic_id[BOOT_MAX_CPUS];
	uint64_t lapic;
	uint64_t ioapic;		/* the one that serves GSI 0 */
	uint32_t ioapic_id;		/* its number in other tables */
	uint32_t pm_timer;		/* I/O port; 0: none */
};

void acpi_init(struct acpi_machine *machine);
void acpi_add_cpu(struct acpi_machine *machine, uint32_t apic_id);
bool acpi_madt(const uint8_t *table, uint32_t size,
	       struct acpi_machine *machine);
uint32_t acpi_pm_timer(const uint8_t *table, uint32_t size);
uint32_t acpi_mcfg(const uint8_t *table, uint32_t size, struct boot_ecam *ecam,
		   uint32_t max);
const uint8_t *acpi_find(uint64_t rsdp, const char *signature, uint32_t *size);

#endif
