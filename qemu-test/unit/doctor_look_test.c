// SPDX-License-Identifier: MIT
/*
 * What the doctor reads of the board, from tables and a bus that are made up:
 * checksums, processors, I/O APICs, windows, IOMMUs; capabilities, BARs, bridges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "boot/pci.h"
#include "doctor/look.h"
#include "doctor/trial.h"

#define LOW_SIZE	0x10000u
#define IOAPIC_AT	0x8000u
#define WINDOW_AT	0x1000000000ull		/* nothing is there */

static uint8_t *low;			/* memory below 4 GiB */
static struct facts facts;
static struct memmap map;
static uint32_t window_says;		/* function 00:00.0, by memory */

/* A bus: words of functions; all others are not there. */
static struct word {
	uint32_t address, reg, value;
} words[64];
static unsigned word_count;

void pci_config_set(const struct boot_info *info)
{
	(void)info;
}

uint32_t pci_config_read(uint32_t address, uint32_t reg)
{
	uint32_t found = UINT32_MAX;

	for (unsigned i = 0; i < word_count; i++) {
		if (words[i].address == address) {
			found = found == UINT32_MAX ? 0 : found;
			found = words[i].reg == reg ? words[i].value : found;
		}
	}
	return found;
}

void trap_enter_world(void)
{
}

void trap_leave_world(void)
{
}

bool trap_read32(uint64_t at, uint32_t *value)
{
	if (at == WINDOW_AT) {
		*value = window_says;
		return true;
	}
	if (at < (uint64_t)low || at >= (uint64_t)low + LOW_SIZE) {
		return false;
	}
	memcpy(value, (const void *)at, 4);
	return true;
}

bool trap_read64(uint64_t at, uint64_t *value)
{
	if (at < (uint64_t)low || at >= (uint64_t)low + LOW_SIZE) {
		return false;
	}
	memcpy(value, (const void *)at, 8);
	return true;
}

static void put(uint32_t address, uint32_t reg, uint32_t value)
{
	words[word_count++] = (struct word) { address, reg, value };
}

/* A table at low + at: its head, its length, its checksum. */
static void table(uint32_t at, const char *name, uint32_t size)
{
	uint8_t sum = 0;

	memcpy(low + at, name, 4);
	memcpy(low + at + 4, &size, 4);
	low[at + 9] = 0;
	for (uint32_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + low[at + i]);
	}
	low[at + 9] = (uint8_t)-sum;
}

static void put32(uint32_t at, uint32_t v)
{
	memcpy(low + at, &v, 4);
}

/* An RSDP of revision 0 at 0x100, an RSDT at 0x200 with a MADT, a FADT and a MCFG. */
static void tables(void)
{
	const uint32_t at[] = { 0x1000, 0x2000, 0x3000 };
	uint8_t sum = 0;

	memset(low, 0, LOW_SIZE);
	memset(&facts, 0, sizeof(facts));
	memset(&map, 0, sizeof(map));
	word_count = 0;
	memcpy(low + 0x100, "RSD PTR ", 8);
	put32(0x110, (uint32_t)(uintptr_t)low + 0x200);
	for (uint32_t i = 0; i < 20; i++) {
		sum = (uint8_t)(sum + low[0x100 + i]);
	}
	low[0x108] = (uint8_t)-sum;
	for (uint32_t i = 0; i < 3; i++) {
		put32(0x200 + 36 + 4 * i, (uint32_t)(uintptr_t)low + at[i]);
	}
	table(0x200, "RSDT", 36 + 12);
	/* two CPUs, ids 0 and 2; two I/O APICs, GSI 0 and 24 */
	memcpy(low + 0x1000 + 44, (uint8_t[]) { 0, 8, 0, 0, 1 }, 5);
	memcpy(low + 0x1000 + 52, (uint8_t[]) { 0, 8, 1, 2, 1 }, 5);
	memcpy(low + 0x1000 + 60, (uint8_t[]) { 1, 12, 5, 0 }, 4);
	put32(0x1000 + 64, (uint32_t)(uintptr_t)low + IOAPIC_AT);
	memcpy(low + 0x1000 + 72, (uint8_t[]) { 1, 12, 6, 0, 0, 0, 0, 0xfe, 24, 0, 0, 0 }, 12);
	table(0x1000, "APIC", 84);
	put32(0x2000 + 76, 0x608);
	low[0x2000 + 91] = 4;
	table(0x2000, "FACP", 116);
	put32(0x3000 + 44 + 4, WINDOW_AT >> 32);
	low[0x3000 + 44 + 11] = 0xff;
	table(0x3000, "MCFG", 60);
	put32(IOAPIC_AT + 0x10, 0x170020);
	put(0, PCI_ID, 0x29c08086);
	window_says = 0x29c08086;
	facts.cpu_count = 2;
	facts.cpu[1].apic_id = 2;
}

static void look(void)
{
	look_board(&facts, (uint64_t)low + 0x100, &map);
}

static void good_tables(void **state)
{
	(void)state;
	tables();
	look();
	assert_true(facts.rsdp && facts.madt && facts.madt_sound && facts.fadt && facts.mcfg);
	assert_int_equal(facts.tables, 3);
	assert_int_equal(facts.tables_bad, 0);
	assert_int_equal(facts.madt_cpus, 2);
	assert_int_equal(facts.madt_unknown, 0);
	assert_int_equal(facts.ioapics, 2);
	assert_int_equal(facts.ioapic_at, (uint64_t)low + IOAPIC_AT);
	assert_int_equal(facts.ioapic_version, 0x170020);
	assert_int_equal(low[IOAPIC_AT], 1);	/* the index */
	assert_int_equal(facts.pm_timer, 0x608);
	assert_int_equal(facts.mcfg_windows, 1);
	assert_true(facts.mcfg_agrees);
	assert_false(facts.iommu_table);
}

static void wrong_tables(void **state)
{
	(void)state;
	tables();
	low[0x3000 + 20]++;
	facts.cpu[1].apic_id = 7;
	look();
	assert_int_equal(facts.tables_bad, 1);
	assert_string_equal(facts.table_bad, "MCFG");
	assert_false(facts.mcfg);
	assert_int_equal(facts.madt_unknown, 1);
	tables();
	window_says = 0x12378086;
	look();
	assert_false(facts.mcfg_agrees);
	tables();
	low[0x101]++;
	look();
	assert_false(facts.rsdp);
	assert_int_equal(facts.tables, 0);
	/* one that is longer than any table may be is not read at all */
	tables();
	put32(0x2004, 0x7fffffff);
	look();
	assert_int_equal(facts.tables_bad, 1);
	assert_string_equal(facts.table_bad, "FACP");
	assert_int_equal(facts.pm_timer, 0);
	/* a structure of no length ends the count */
	tables();
	low[0x1000 + 61] = 0;
	table(0x1000, "APIC", 84);
	look();
	assert_false(facts.madt_sound);
	assert_int_equal(facts.ioapics, 0);
	/* no ACPI at all */
	tables();
	look_board(&facts, 0, &map);
	assert_false(facts.rsdp || facts.madt || facts.iommu_table);
	assert_int_equal(facts.ioapic_version, 0);
}

/* Revision 2 of the RSDP: the XSDT is asked, whose entries are of 64 bits. */
static void newer_tables(void **state)
{
	(void)state;
	tables();
	low[0x108] = (uint8_t)(low[0x108] - 2);
	low[0x100 + 15] = 2;
	put32(0x100 + 24, (uint32_t)(uintptr_t)low + 0x300);
	put32(0x300 + 36, (uint32_t)(uintptr_t)low + 0x1000);
	put32(0x300 + 44, (uint32_t)(uintptr_t)low + 0x2000);
	table(0x300, "XSDT", 36 + 16);
	look();
	assert_int_equal(facts.tables, 2);
	assert_true(facts.madt && facts.fadt && !facts.mcfg);
}

/* A DMAR with a unit at that address. */
static void unit_at(uint64_t at)
{
	tables();
	put32(0x200 + 36 + 8, (uint32_t)(uintptr_t)low + 0x4000);
	table(0x200, "RSDT", 48);
	low[0x4000 + 36] = 38;
	low[0x4000 + 37] = 1;
	put32(0x4000 + 48, 16 << 16);
	low[0x4000 + 52] = 1;			/* all of PCI */
	memcpy(low + 0x4000 + 56, &at, 8);
	table(0x4000, "DMAR", 64);
}

static void units(void **state)
{
	uint64_t at = (uint64_t)low + 0x9000;

	(void)state;
	unit_at(at);
	put32(0x9000, 0x10);
	put32(0x9008, 0x600);
	put32(0x9010, 0xb);
	look();
	assert_null(facts.iommu_wrong);
	assert_int_equal(facts.iommu_units, 1);
	assert_int_equal(facts.iommu_dead, 0);
	assert_int_equal(facts.iommu_cap, 0x600);
	assert_int_equal(facts.iommu_ecap, 0xb);
	assert_true(facts.iommu_interrupts && !facts.iommu_opt_out);
	/* silent: zeros, ones, nothing mapped */
	unit_at(at);
	look();
	assert_int_equal(facts.iommu_dead, 1);
	unit_at(at);
	put32(0x9000, UINT32_MAX);
	look();
	assert_int_equal(facts.iommu_dead, 1);
	unit_at(0xfed90000);
	look();
	assert_int_equal(facts.iommu_dead, 1);
}

/* A DMAR that is not understood. */
static void iommu_tables(void **state)
{
	(void)state;
	tables();
	put32(0x200 + 36 + 8, (uint32_t)(uintptr_t)low + 0x4000);
	table(0x200, "RSDT", 48);
	low[0x4000 + 37] = 3;
	put32(0x4000 + 48, 0x00020000);		/* a unit of 2 bytes */
	table(0x4000, "DMAR", 52);
	look();
	assert_true(facts.iommu_table && facts.iommu_opt_out);
	assert_non_null(facts.iommu_wrong);
	assert_int_equal(facts.iommu_units, 0);
}

static void functions(void **state)
{
	(void)state;
	tables();
	/* AHCI with MSI behind another capability, all BARs placed */
	put(0xf8, PCI_ID, 0x29228086);
	put(0xf8, PCI_CLASS, 0x01060100);
	put(0xf8, PCI_COMMAND, PCI_STATUS_LIST);
	put(0xf8, PCI_CAPABILITIES, 0x40);
	put(0xf8, 0x40, 0x00005001);
	put(0xf8, 0x50, 0x00000005);
	put(0xf8, PCI_BAR, 0xfebf0000);
	/* a card with a BAR of 64 bits that has no address, and a list that leads in a
	 * circle */
	put(0x10, PCI_ID, 0x10d38086);
	put(0x10, PCI_COMMAND, PCI_STATUS_LIST);
	put(0x10, PCI_CAPABILITIES, 0x40);
	put(0x10, 0x40, 0x00004001);
	put(0x10, PCI_BAR, 4);
	/* a bridge to conventional PCI, and what is behind it */
	put(0x18, PCI_ID, 0x244e8086);
	put(0x18, PCI_HEADER, 0x00010000);
	put(0x18, PCI_BUSES, 0x00010100);
	put(0x100, PCI_ID, 0x100e8086);
	put(0x100, PCI_BAR, 0x0000000c);
	put(0x100, PCI_BAR + 4, 1);		/* above 4 GiB */
	look();
	look_devices(&facts);
	assert_int_equal(facts.pci_all, 5);
	assert_int_equal(facts.pci[1].address, 0x10);
	assert_true(facts.pci[1].unplaced && !facts.pci[1].msi && !facts.pci[1].shared);
	assert_int_equal(facts.pci[3].address, 0xf8);
	assert_true(facts.pci[3].msi && !facts.pci[3].unplaced);
	assert_int_equal(facts.pci[3].class, 0x01060100);
	assert_true(facts.pci[4].shared && !facts.pci[4].unplaced);
	/* function 1 of a device only where the first has several */
	put(0x11, PCI_ID, 0x10d38086);
	facts.pci_all = facts.pci_count = 0;
	look_devices(&facts);
	assert_int_equal(facts.pci_all, 5);
	put(0x10, PCI_HEADER, PCI_HEADER_MULTI);
	facts.pci_all = facts.pci_count = 0;
	look_devices(&facts);
	assert_int_equal(facts.pci_all, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_tables), cmocka_unit_test(wrong_tables),
		cmocka_unit_test(newer_tables), cmocka_unit_test(units),
		cmocka_unit_test(iommu_tables), cmocka_unit_test(functions),
	};

	low = mmap(NULL, LOW_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
