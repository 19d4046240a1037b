/* SPDX-License-Identifier: MIT */
/*
 * ACPI's tables, IOMMUs and PCI functions, by the loader's own decoders (boot/).
 * Nothing is written but the address port of PCI and the index of the I/O APIC.
 */
#include <string.h>

#include "boot/acpi.h"
#include "boot/iommu.h"
#include "boot/memmap.h"
#include "boot/pci.h"
#include "look.h"
#include "trial.h"

#define HEADER		36u
#define TABLE_MAX	(1u << 20)
#define IOAPIC_INDEX	0x00u
#define IOAPIC_WINDOW	0x10u
#define IOAPIC_VERSION	1u
#define MADT_FIRST	44u
#define MADT_IO_APIC	1u
#define DMAR_FLAGS	37u
#define DMAR_OPT_OUT	0x2u
#define VTD_VERSION	0x00u
#define VTD_CAP		0x08u
#define VTD_ECAP	0x10u
#define AMDVI_CONTROL	0x18u
#define BAR_COUNT	6u
#define CAPS_MAX	48u
#define CAP_MSI		0x05u
#define CAP_EXPRESS	0x10u
#define CAP_MSIX	0x11u

static struct boot_info info;		/* for the loader's functions */
static struct acpi_machine machine;

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

static bool sum_ok(const uint8_t *p, uint32_t size)
{
	uint8_t sum = 0;

	for (uint32_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + p[i]);
	}
	return sum == 0;
}

/* Each table that the root names: is it whole? acpi_find() passes over others. */
static void tables(struct facts *f, uint64_t rsdp)
{
	const uint8_t *p = (const uint8_t *)rsdp, *root;
	uint32_t width, size;

	f->rsdp = p != NULL && memcmp(p, "RSD PTR ", 8) == 0 && sum_ok(p, 20);
	if (!f->rsdp) {
		return;
	}
	width = p[15] >= 2 ? 8 : 4;
	root = (const uint8_t *)(width == 8 ? get64(p + 24) : get32(p + 16));
	size = root != NULL ? get32(root + 4) : 0;
	if (size < HEADER || size > TABLE_MAX) {
		return;
	}
	for (uint32_t at = HEADER; at + width <= size; at += width) {
		const uint8_t *t = (const uint8_t *)(width == 8 ? get64(root + at)
								: get32(root + at));
		uint32_t length = t != NULL ? get32(t + 4) : 0;

		f->tables++;
		if (length < HEADER || length > TABLE_MAX || !sum_ok(t, length)) {
			if (f->tables_bad++ == 0 && t != NULL) {
				memcpy(f->table_bad, t, 4);
			}
		}
	}
}

static uint32_t ioapics(const uint8_t *table, uint32_t size)
{
	uint32_t count = 0;

	for (uint32_t at = MADT_FIRST; at + 2 <= size && table[at + 1] >= 2; at += table[at + 1]) {
		count += table[at] == MADT_IO_APIC;
	}
	return count;
}

static void interrupts(struct facts *f, uint64_t rsdp)
{
	uint32_t size;
	const uint8_t *table = acpi_find(rsdp, "APIC", &size);

	acpi_init(&machine);
	f->madt = table != NULL;
	f->madt_sound = f->madt && acpi_madt(table, size, &machine);
	f->ioapics = f->madt ? ioapics(table, size) : 0;
	f->madt_cpus = machine.cpu_count;
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		bool found = false;

		for (uint32_t k = 0; k < machine.cpu_count; k++) {
			found |= machine.apic_id[k] == f->cpu[i].apic_id;
		}
		f->madt_unknown += !found;
	}
	f->lapic_at = machine.lapic;
	f->ioapic_at = machine.ioapic;
	trap_enter_world();
	if (trap_read32(machine.ioapic + IOAPIC_INDEX, &size)) {
		*(volatile uint32_t *)(machine.ioapic + IOAPIC_INDEX) = IOAPIC_VERSION;
		trap_read32(machine.ioapic + IOAPIC_WINDOW, &f->ioapic_version);
	}
	trap_leave_world();
}

/* Is the window where it is said to be? Ports know function 00:00.0, too. */
static void config(struct facts *f, uint64_t rsdp)
{
	uint32_t size, seen = 0;
	const uint8_t *table = acpi_find(rsdp, "MCFG", &size);

	f->mcfg = table != NULL;
	f->mcfg_windows = f->mcfg ? acpi_mcfg(table, size, info.ecam, BOOT_MAX_ECAM) : 0;
	info.ecam_count = 0;		/* ports, for all that is looked at */
	pci_config_set(&info);
	for (uint32_t i = 0; i < f->mcfg_windows; i++) {
		if (info.ecam[i].segment == 0 && info.ecam[i].bus_first == 0) {
			trap_enter_world();
			trap_read32(info.ecam[i].base, &seen);
			trap_leave_world();
			f->mcfg_agrees = seen == pci_config_read(0, PCI_ID);
		}
	}
}

/* Of VT-d, what all units have; of both, which do not answer. In our world. */
static void units(struct facts *f)
{
	f->iommu_cap = f->iommu_ecap = ~0ull;
	for (uint32_t i = 0; i < f->iommu_units; i++) {
		uint64_t at = info.iommus.units[i].base, cap = 0, ecap = 0;
		uint32_t first = 0;
		bool vtd = f->iommu_kind == BOOT_IOMMU_INTEL;

		if (!trap_read32(at + (vtd ? VTD_VERSION : AMDVI_CONTROL), &first) ||
		    first == UINT32_MAX || (vtd && first == 0)) {
			f->iommu_dead++;
		} else if (vtd && trap_read64(at + VTD_CAP, &cap) &&
			   trap_read64(at + VTD_ECAP, &ecap)) {
			f->iommu_cap &= cap;
			f->iommu_ecap &= ecap;
		}
	}
}

static void iommus(struct facts *f, uint64_t rsdp, const struct memmap *map)
{
	uint32_t size;
	const uint8_t *table = acpi_find(rsdp, "DMAR", &size);

	memset(&info.iommus, 0, sizeof(info.iommus));
	if (table != NULL) {
		f->iommu_opt_out = size > DMAR_FLAGS && (table[DMAR_FLAGS] & DMAR_OPT_OUT) != 0;
		f->iommu_wrong = iommu_dmar(table, size, machine.ioapic_id, pci_config_read,
					    &info.iommus);
	} else {
		table = acpi_find(rsdp, "IVRS", &size);
		if (table != NULL) {
			f->iommu_wrong = iommu_ivrs(table, size, machine.ioapic_id, &info.iommus);
		}
	}
	f->iommu_table = table != NULL;
	if (f->iommu_wrong != NULL || table == NULL) {
		return;
	}
	f->iommu_kind = info.iommus.kind;
	f->iommu_units = info.iommus.unit_count;
	f->iommu_interrupts = (info.iommus.flags & BOOT_IOMMUS_INTERRUPTS) != 0;
	trap_enter_world();
	units(f);
	trap_leave_world();
	for (uint32_t i = 0; i < info.iommus.reserved_count; i++) {
		const struct boot_reserved *r = &info.iommus.reserved[i];

		f->iommu_reserved_bad += memmap_in_use(map, r->base, r->base + r->size);
	}
}

/** ACPI's tables and what they lead to. After the CPUs and the memory. */
void look_board(struct facts *f, uint64_t rsdp, const struct memmap *map)
{
	uint32_t size;
	const uint8_t *table;

	tables(f, rsdp);
	interrupts(f, rsdp);
	config(f, rsdp);
	table = acpi_find(rsdp, "FACP", &size);
	f->fadt = table != NULL;
	f->pm_timer = table != NULL ? acpi_pm_timer(table, size) : 0;
	iommus(f, rsdp, map);
}

/* The capability of that kind, or 0. */
static uint32_t capability(uint32_t address, uint32_t id)
{
	uint32_t at = 0;

	if ((pci_config_read(address, PCI_COMMAND) & PCI_STATUS_LIST) != 0) {
		at = pci_config_read(address, PCI_CAPABILITIES) & 0xfc;
	}
	for (uint32_t i = 0; i < CAPS_MAX && at >= 0x40; i++) {
		uint32_t head = pci_config_read(address, at);

		if ((head & 0xff) == id) {
			return at;
		}
		at = head >> 8 & 0xfc;
	}
	return 0;
}

/* A memory BAR that reads as address 0: the firmware has placed none. Whether it
 * has a size only a write would tell: one of 64 bits, or with flags, has. */
static bool is_unplaced(uint32_t address)
{
	for (uint32_t i = 0; i < BAR_COUNT; i++) {
		uint32_t bar = pci_config_read(address, PCI_BAR + 4 * i);
		bool wide = (bar & 7) == 4;

		if ((bar & 1) == 0 && (bar & 0xf) != 0 && (bar & ~0xfu) == 0 &&
		    (!wide || i + 1 == BAR_COUNT ||
		     pci_config_read(address, PCI_BAR + 4 * i + 4) == 0)) {
			return true;
		}
		i += wide;
	}
	return false;
}

/* Buses behind bridges from PCI Express to conventional PCI, or that have no
 * express capability. */
static bool conventional[256];

static void bridge(uint32_t address)
{
	uint32_t buses = pci_config_read(address, PCI_BUSES);
	uint32_t express = capability(address, CAP_EXPRESS);
	uint32_t type = express != 0 ? pci_config_read(address, express) >> 20 & 0xf : 7;

	for (uint32_t b = buses >> 8 & 0xff; type == 7 && b <= (buses >> 16 & 0xff); b++) {
		conventional[b] = b != 0;
	}
}

static void function(struct facts *f, uint32_t address)
{
	struct pci_facts *p = &f->pci[f->pci_count];
	uint32_t kind = pci_config_read(address, PCI_HEADER) >> 16 & 0x7f;

	f->pci_all++;
	if (kind == 1) {
		bridge(address);
	}
	if (f->pci_count == FACTS_PCI) {
		return;
	}
	f->pci_count++;
	*p = (struct pci_facts) {
		.address = address, .id = pci_config_read(address, PCI_ID),
		.class = pci_config_read(address, PCI_CLASS),
		.msi = capability(address, CAP_MSI) != 0 || capability(address, CAP_MSIX) != 0,
		.unplaced = kind == 0 && is_unplaced(address),
		.shared = conventional[address >> 8],
	};
}

/** The functions of segment 0, by ports: buses in rising order, so that a bridge
 * comes before what is behind it. After look_board(). */
void look_devices(struct facts *f)
{
	for (uint32_t a = 0; a < 1u << 16; a++) {
		bool there = (pci_config_read(a, PCI_ID) & 0xffff) != 0xffff;

		if (there) {
			function(f, a);
		}
		if (a % 8 == 0 &&
		    (!there || (pci_config_read(a, PCI_HEADER) & PCI_HEADER_MULTI) == 0)) {
			a += 7;
		}
	}
}
