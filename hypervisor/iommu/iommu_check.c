/* SPDX-License-Identifier: MIT */
/*
 * What the IOMMUs' tables let devices do: reach the DMA pool and what the firmware
 * has reserved for them, and interrupt CPU 0 by vectors of devices. [VT-d "Root
 * Entry", "Context Entry", "Interrupt Remapping Table Entry"; AMD-Vi "Device Table
 * Entry Format", "Interrupt Virtualization Table Entry"]
 */
#include "../check/check.h"
#include "iommu_int.h"

#define VECTORS		0x40u	/* of devices, so many */
#define ROOTS		32u

/* [VT-d "Global Status Register", "Root Table Address Register"; AMD-Vi "IOMMU
 * Control Register", "Device Table Base Address Register"] */
#define INTEL_STATUS	0x1cu
#define INTEL_ON	BIT32(31)
#define INTEL_REMAPS	BIT32(25)
#define INTEL_OLD	BIT32(23)	/* format of interrupts, not remapped */
#define INTEL_ROOT	0x20u
#define INTEL_TABLE	0xb8u		/* of interrupts */
#define AMD_TABLE	0x00u
#define AMD_CONTROL	0x18u
#define AMD_EXCLUSION	0x20u

/* [AMD-Vi "Device Table Entry Format"]: what there is to be, but for addresses; of the
 * first word, rights; of the third, with and without interrupts. */
#define AMD_FIRST	(3 | IOMMU_LEVELS << 9)
#define AMD_RIGHTS	(3ull << 61)
#define AMD_INTERRUPTS	0x000fffffffffffc0ull
#define AMD_NONE	1ull
#define AMD_SOME	(1 | 8 << 1 | 2ull << 60)

/** Do two ranges have a byte in common? */
bool check_overlap(uint64_t a, uint64_t size, uint64_t b, uint64_t bytes)
{
	return a < b + bytes && b < a + size;
}

/** Is some of it the machine's own: registers of interrupts and IOMMUs, configuration
 * space, tables of messages? It is no partition's. */
bool check_machine(uint64_t pa, uint64_t size)
{
	const struct boot_ecam *e = boot.ecam;
	const struct boot_pci *f = boot.pci;
	bool is = check_overlap(pa, size, boot.lapic_phys, PAGE_SIZE) ||
		  check_overlap(pa, size, boot.ioapic_phys, 1);
	uint32_t i;

	for (i = 0; i < boot.iommus.unit_count; i++) {
		is |= check_overlap(pa, size, boot.iommus.units[i].base, BOOT_IOMMU_REGISTERS);
	}
	for (; e < boot.ecam + boot.ecam_count; e++) {
		is |= check_overlap(pa, size, e->base + ((uint64_t)e->bus_first << 20),
			      (e->bus_last - e->bus_first + 1ull) << 20);
	}
	for (; f < boot.pci + boot.pci_count; f++) {
		is |= f->msix && check_overlap(pa, size, f->msix_table, f->msix_count * 16u);
	}
	return is;
}

/** A page that is nobody's memory must be a device's: as the manifest gives it to p alone, and
 * not memory of ours. */
bool check_device_memory(const struct partition *p, uint64_t at, uint64_t pa, uint64_t size,
			 uint32_t rights)
{
	uint64_t owners = 0;
	uint32_t i, k;
	bool given = false;

	for (i = 0; i < partition_count; i++) {
		const struct boot_region *r = partitions[i]->config->mmio;

		for (k = partitions[i]->config->mmio_count; k--; r++) {
			owners |= check_overlap(pa, size, r->hpa, r->size) ? BIT64(i) : 0;
			given |= i == p->id && check_within(at, size, r->gpa, r->size) &&
				 pa - r->hpa == at - r->gpa &&
				 !(rights & ~(check_rights(r->flags) | CHECK_UC));
		}
	}
	return given && (rights & CHECK_UC) && owners == BIT64(p->id) && !check_machine(pa, size) &&
	       (pa / PAGE_SIZE >= check_pages || check_owned(FRAME_NONE, pa, size));
}

/* Is it a function that the host partition has? */
static bool is_owned(uint32_t function)
{
	const struct boot_pci *f = boot.pci;

	while (f < boot.pci + boot.pci_count &&
	       (f->address != function || !(f->flags & BOOT_PCI_OWNED))) {
		f++;
	}
	return f < boot.pci + boot.pci_count;
}

static bool only_pool;		/* the tables that are looked through reach */

/** A device reaches a page, at a bus address. */
void check_device_page(uint32_t function, uint64_t at, uint64_t pa, uint64_t size,
		       uint32_t rights)
{
	const struct boot_region *d = &boot.dma;
	const struct boot_reserved *r = boot.iommus.reserved, *end = r + boot.iommus.reserved_count;

	if (at >= d->gpa && at + size <= d->gpa + d->size && pa - d->hpa == at - d->gpa &&
	    check_owned(partition_frames(partition_host()), pa, size)) {
		return;
	}
	only_pool = false;
	while (r < end && !(function >= r->first && function <= r->last && at == pa &&
			    at >= r->base && at + size <= r->base + r->size &&
			    (!(rights & CHECK_W) || (r->flags & BOOT_MAP_WRITE)))) {
		r++;
	}
	if (r == end) {
		check_found("a device reaches what is not the pool", NULL, at, pa);
	}
}

/* Tables of a function. Many have the same, which are looked through once, if they reach
 * nothing that only some may. */
static void scan(uint32_t function, enum check_user user, uint64_t root, uint32_t level,
		 uint64_t *seen)
{
	const struct check_scan s = { .user = user, .owner = FRAME_HYPERVISOR,
				      .function = function };
	uint32_t i = 0;

	if (!is_owned(function)) {
		check_found("a function that nobody has reaches memory", NULL, function, root);
	}
	while (i < ROOTS && seen[i] && seen[i] != root) {
		i++;
	}
	if (i == ROOTS || !seen[i]) {
		only_pool = true;
		check_scan(&s, root, level, 0, CHECK_RWX);
		if (i < ROOTS && only_pool) {
			seen[i] = root;
		}
	}
}

/* An interrupt that may come: from where, as what, to whom. */
static void interrupt(uint32_t function, uint32_t index, uint32_t vector, uint32_t to, bool fixed)
{
	if ((!is_owned(function) && function != boot.iommus.ioapic_function) || !fixed ||
	    vector != index || vector - VECTORS >= VECTORS || to != cpus[0]->apic_id) {
		check_found("a device can send an interrupt that is not its own", NULL, function,
			    vector);
	}
}

static void intel_unit(const struct iommu_unit *u)
{
	const struct check_rule on[] = {
		{ read_device32(u->regs + INTEL_STATUS), INTEL_ON |
		  (u->interrupts ? INTEL_REMAPS : 0), ~(u->interrupts ? INTEL_OLD : 0),
		  "an IOMMU is off" },
		{ read_device64(u->regs + INTEL_ROOT), ptr_hpa(u->table).v, 0, "root table" },
		{ u->interrupts ? read_device64(u->regs + INTEL_TABLE) : 0, u->interrupts ?
		  ptr_hpa(u->remap).v | 7 | (u->wide ? BIT64(11) : 0) : 0, 0,
		  "table of interrupts" },
	};
	uint64_t seen[ROOTS] = { 0 }, table, *e;
	uint32_t i, at = u->boot->segment << 16;

	check_rules(on, ARRAY_SIZE(on), NULL, u->boot->base);
	for (i = 0; i < 0x10000; i++) {
		table = u->table[(i >> 8) * 2];
		if (!(table & 1)) {
			i |= 0xff;
			continue;
		}
		if (!check_owned(FRAME_HYPERVISOR, table & CHECK_ADDR, PAGE_SIZE)) {
			check_found("an IOMMU's table is nobody's", NULL, at + i, table);
			return;
		}
		e = (uint64_t *)hpa_ptr(HPA(table & CHECK_ADDR)) + (i & 0xff) * 2;
		if ((e[0] & 0xd) == 1 && (e[1] & 7) + 2 == u->levels) {
			scan(at + i, CHECK_INTEL, e[0] & CHECK_ADDR, u->levels - 1, seen);
		} else if (e[0] & 1) {
			check_found("a device is not translated", NULL, at + i, e[0]);
		}
	}
	for (i = 0; u->interrupts && i < 256; i++) {
		e = &u->remap[i * 2];
		if (e[0] & 1) {
			interrupt(at + (uint16_t)e[1], i, (uint8_t)(e[0] >> 16),
				  (uint32_t)(e[0] >> 32) >> (u->wide ? 0 : 8),
				  !(e[0] & 0x80ec) && (e[1] >> 16 & 0xf) == 4);
		}
	}
}

/* A function's interrupts: entries of 32 bits, or of 128. */
static void amd_interrupts(const struct iommu_unit *u, uint32_t function, uint64_t table)
{
	const uint32_t *e = hpa_ptr(HPA(table)), *w = e;
	uint32_t i;

	if (!check_owned(FRAME_HYPERVISOR, table, PAGE_SIZE)) {
		check_found("an IOMMU's table is nobody's", NULL, function, table);
		return;
	}
	for (i = 0; i < 256; i++, w = &e[u->wide ? i * 4 : i]) {
		if (*w & 1) {
			interrupt(function, i, u->wide ? (uint8_t)w[2] : (uint8_t)(*w >> 16),
				  u->wide ? *w >> 8 | (w[3] & 0xff000000) : (uint8_t)(*w >> 8),
				  !(*w & 0xfc));
		}
	}
}

/* What is not valid is let through, so all must be. */
static void amd_unit(const struct iommu_unit *u)
{
	const struct check_rule on[] = {
		{ read_device32(u->regs + AMD_CONTROL), 1, ~0u, "an IOMMU is off" },
		{ read_device64(u->regs + AMD_TABLE) & CHECK_ADDR, ptr_hpa(u->table).v, 0,
		  "device table" },
		{ read_device64(u->regs + AMD_EXCLUSION) & 3, 0, 0, "exclusion range" },
	};
	uint64_t seen[ROOTS] = { 0 };
	uint32_t i;

	check_rules(on, ARRAY_SIZE(on), NULL, u->boot->base);
	for (i = 0; i < 0x10000; i++) {
		const uint64_t *e = &u->table[i * 4];
		uint64_t to = e[2] & ~AMD_INTERRUPTS;
		uint32_t function = u->boot->segment << 16 | i;

		if ((e[0] & ~(CHECK_ADDR | AMD_RIGHTS)) != AMD_FIRST || e[1] >> 16 || e[3] ||
		    (u->interrupts && to != AMD_NONE && to != AMD_SOME)) {
			check_found("a device is not translated", NULL, function, e[0]);
		} else if (e[0] & AMD_RIGHTS) {
			scan(function, CHECK_AMD, e[0] & CHECK_ADDR, IOMMU_LEVELS - 1, seen);
		}
		if (to == AMD_SOME) {
			amd_interrupts(u, function, e[2] & AMD_INTERRUPTS);
		}
	}
}

/** What all units use. On CPU 0. One that does not answer any more is not asked. */
void check_iommus(void)
{
	const struct iommu_unit *u = iommu_units;

	for (; u < iommu_units + iommu_unit_count; u++) {
		if (!u->failed && iommu_ops == &iommu_vtd) {
			intel_unit(u);
		} else if (!u->failed) {
			amd_unit(u);
		}
	}
}
