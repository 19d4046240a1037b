/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables [ACPI 6.5 "ACPI Software Programming Model"]. The firmware's
 * pointers are followed as they are (physical = virtual here); lengths inside
 * a table are not trusted. Only static tables are read: nothing is interpreted
 * (AML), and what the manifest says of interrupts are GSIs, so overrides of
 * ISA lines are of no interest. The decoders take plain bytes and are tested
 * and fuzzed on the build machine.
 */
#include <stddef.h>
#include <string.h>

#include "acpi.h"

/* signature, length (at 4), revision, checksum, ids */
#define ACPI_HEADER		36u
#define ACPI_TABLE_MAX		(1u << 20)

/* Multiple APIC description table: structures from MADT_FIRST on. */
#define MADT_FIRST		44u
#define MADT_LOCAL_APIC		0
#define MADT_IO_APIC		1
#define MADT_LAPIC_ADDRESS	5
#define MADT_LOCAL_X2APIC	9
#define MADT_CPU_ENABLED	0x1u

/* Configuration space as memory: entries from MCFG_FIRST on. */
#define MCFG_FIRST		44u
#define MCFG_ENTRY		16u
#define MCFG_BUS_SHIFT		20u

/* Fixed ACPI description table. */
#define FADT_PM_TMR_BLK		76u
#define FADT_PM_TMR_LEN		91u
#define FADT_FLAGS		112u
#define FADT_HW_REDUCED		(1u << 20)

/* Fields lie at any alignment. */
static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* All bytes of a table add up to 0. */
static bool sum_ok(const uint8_t *p, uint32_t size)
{
	uint8_t sum = 0;

	for (uint32_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + p[i]);
	}
	return sum == 0;
}

/**
 * No processors yet, the architectural addresses of the interrupt controllers,
 * no timer: what holds where the tables say nothing.
 */
void acpi_init(struct acpi_machine *machine)
{
	*machine = (struct acpi_machine) {
		.lapic = ACPI_LAPIC_DEFAULT, .ioapic = ACPI_IOAPIC_DEFAULT };
}

/**
 * Adds a processor; one named twice (as APIC and as x2APIC) counts once. Those
 * beyond BOOT_MAX_CPUS are only counted.
 */
void acpi_add_cpu(struct acpi_machine *machine, uint32_t apic_id)
{
	for (uint32_t i = 0; i < machine->cpu_count; i++) {
		if (machine->apic_id[i] == apic_id) {
			return;
		}
	}
	if (machine->cpu_count == BOOT_MAX_CPUS) {
		machine->cpus_left_out++;
	} else {
		machine->apic_id[machine->cpu_count++] = apic_id;
	}
}

/**
 * Reads a MADT of size bytes into *machine (which acpi_init() prepared): the
 * processors that are enabled, not those that could be plugged in. Returns
 * false if the table is malformed or names no usable processor; *machine is
 * then of no use. [ACPI 6.5 "Multiple APIC Description Table (MADT)"]
 */
bool acpi_madt(const uint8_t *table, uint32_t size, struct acpi_machine *machine)
{
	uint32_t len;

	if (size < MADT_FIRST) {
		return false;
	}
	machine->lapic = get32(table + ACPI_HEADER);
	for (uint32_t at = MADT_FIRST; at < size; at += len) {
		const uint8_t *e = table + at;

		len = size - at < 2 ? 0 : e[1];
		/* a length of 0 would go on for ever */
		if (len < 2 || len > size - at) {
			return false;
		}
		if (e[0] == MADT_LOCAL_APIC && len >= 8 && (get32(e + 4) & MADT_CPU_ENABLED)) {
			acpi_add_cpu(machine, e[3]);
		} else if (e[0] == MADT_LOCAL_X2APIC && len >= 16 &&
			   (get32(e + 8) & MADT_CPU_ENABLED)) {
			acpi_add_cpu(machine, get32(e + 4));
		} else if (e[0] == MADT_IO_APIC && len >= 12 && get32(e + 8) == 0) {
			machine->ioapic = get32(e + 4);
			machine->ioapic_id = e[2];
		} else if (e[0] == MADT_LAPIC_ADDRESS && len >= 12) {
			machine->lapic = get64(e + 4);
		}
	}
	return machine->cpu_count > 0;
}

/**
 * The I/O port of the PM timer according to a FADT of size bytes; 0 if it has
 * none. [ACPI 6.5 "Fixed ACPI Description Table (FADT)"]
 */
uint32_t acpi_pm_timer(const uint8_t *table, uint32_t size)
{
	if (size < FADT_FLAGS + 4 || table[FADT_PM_TMR_LEN] != 4 ||
	    (get32(table + FADT_FLAGS) & FADT_HW_REDUCED) != 0 ||
	    get32(table + FADT_PM_TMR_BLK) > 0xfffc) {
		return 0;
	}
	return get32(table + FADT_PM_TMR_BLK);
}

/**
 * The windows of PCI's configuration space that a MCFG of size bytes describes,
 * at most max of them; returns how many there are. What makes no sense, or is of
 * a bus that there is already, is left out. [PCI Firmware 3.3 "MCFG Table
 * Description"]
 */
uint32_t acpi_mcfg(const uint8_t *table, uint32_t size, struct boot_ecam *ecam, uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t at = MCFG_FIRST; at + MCFG_ENTRY <= size && count < max; at += MCFG_ENTRY) {
		const uint8_t *e = table + at;
		struct boot_ecam w = { .base = get64(e), .bus_first = e[10], .bus_last = e[11],
				       .segment = (uint16_t)(e[8] | e[9] << 8) };
		bool sound = w.base != 0 && w.base % (1u << MCFG_BUS_SHIFT) == 0 &&
			     w.base < 1ull << 52 && w.bus_first <= w.bus_last;

		for (uint32_t i = 0; i < count; i++) {
			sound = sound && (ecam[i].segment != w.segment ||
					  ecam[i].bus_last < w.bus_first ||
					  w.bus_last < ecam[i].bus_first);
		}
		if (sound) {
			ecam[count++] = w;
		}
	}
	return count;
}

/* A whole table with its length, NULL: none there, or damaged. */
static const uint8_t *table_at(uint64_t address, uint32_t *size)
{
	const uint8_t *t = (const uint8_t *)(uintptr_t)address;

	if (t == NULL) {
		return NULL;
	}
	*size = get32(t + 4);
	return *size >= ACPI_HEADER && *size <= ACPI_TABLE_MAX && sum_ok(t, *size) ? t : NULL;
}

/**
 * Finds the table with the signature (4 letters) by way of the RSDP at that
 * address (0: none). Returns NULL if there is none whose checksum is right,
 * otherwise the table, and its length in *size. The firmware's memory must
 * still be mapped one to one. [ACPI 6.5 "Root System Description Pointer
 * (RSDP)"]
 */
const uint8_t *acpi_find(uint64_t rsdp, const char *signature, uint32_t *size)
{
	const uint8_t *root = (const uint8_t *)(uintptr_t)rsdp, *table;
	uint32_t width, root_size;

	if (root == NULL || memcmp(root, "RSD PTR ", 8) != 0 || !sum_ok(root, 20)) {
		return NULL;
	}
	/* from revision 2 on there is an XSDT, with 64-bit entries */
	width = root[15] >= 2 ? 8 : 4;
	root = table_at(width == 8 ? get64(root + 24) : get32(root + 16), &root_size);
	for (uint32_t at = ACPI_HEADER; root != NULL && at + width <= root_size; at += width) {
		table = table_at(width == 8 ? get64(root + at) : get32(root + at), size);
		if (table != NULL && memcmp(table, signature, 4) == 0) {
			return table;
		}
	}
	return NULL;
}
