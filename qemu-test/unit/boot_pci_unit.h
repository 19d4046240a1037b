/* SPDX-License-Identifier: MIT */
/*
 * A configuration space of our own, for tests of the loader's PCI: functions that
 * say of themselves what a test wants, and what must hold whatever they say.
 */
#ifndef BOOT_PCI_UNIT_H
#define BOOT_PCI_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/pci.h"
#include "proto/host_info.h"

#define MAX		24
#define MIB		(1ull << 20)
#define AHCI		0x0106u
#define NVME		0x0108u
#define NETWORK		0x0200u
#define DISPLAY		0x0300u
#define HOST_BRIDGE	0x0600u
#define PCI_BRIDGE	0x0604u

static struct fake {
	uint32_t address;
	uint32_t reg[64], mask[64];	/* bits that can be written */
} fakes[MAX];
static unsigned fake_count, writes;
static bool crowded;		/* the first function is everywhere */

static struct pci_machine m;
static struct boot_info info;
static struct manifest manifest;
static struct memmap map;

static inline struct fake *find(uint32_t address)
{
	for (unsigned i = 0; i < fake_count; i++) {
		if (fakes[i].address == address || crowded) {
			return &fakes[i];
		}
	}
	return NULL;
}

uint32_t pci_config_read(uint32_t address, uint32_t reg)
{
	struct fake *f = find(address);

	assert_true(reg % 4 == 0 && reg < 256);
	return f ? f->reg[reg / 4] : UINT32_MAX;
}

void pci_config_write(uint32_t address, uint32_t reg, uint32_t value)
{
	struct fake *f = find(address);

	assert_true(reg % 4 == 0 && reg < 256);
	assert_non_null(f);
	writes++;
	/* nothing behind the last BAR, a bridge's numbers of buses for one */
	assert_true(reg < PCI_BAR + 4 * (f->reg[3] >> 16 & 1 ? 2 : 6) || reg >= 0x40);
	/* what a BAR would decode while its length is found out */
	if (reg >= PCI_BAR && reg < PCI_BAR + 24) {
		assert_int_equal(f->reg[1] & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY), 0);
	}
	f->reg[reg / 4] = (f->reg[reg / 4] & ~f->mask[reg / 4]) | (value & f->mask[reg / 4]);
}

/* A function that is on, and bus master. */
static inline struct fake *add(uint32_t address, uint32_t class)
{
	struct fake *f = &fakes[fake_count++];

	assert_true(fake_count <= MAX);
	f->address = address;
	f->reg[0] = 0x12348086;
	f->reg[1] = 0x7;
	f->mask[1] = 0x407;
	f->reg[2] = class << 16;
	f->reg[3] = class == PCI_BRIDGE ? 0x10000 : 0;
	return f;
}

static inline void bar(struct fake *f, unsigned n, uint64_t base, uint64_t size, uint32_t kind)
{
	f->reg[4 + n] = (uint32_t)base | kind;
	f->mask[4 + n] = (uint32_t)-size;
	if ((kind & 7) == 4) {
		f->reg[5 + n] = (uint32_t)(base >> 32);
		f->mask[5 + n] = (uint32_t)(-size >> 32);
	}
}

static inline void capability(struct fake *f, unsigned at, uint32_t head)
{
	f->reg[1] |= PCI_STATUS_LIST;
	f->reg[PCI_CAPABILITIES / 4] = f->reg[PCI_CAPABILITIES / 4] ?
				       f->reg[PCI_CAPABILITIES / 4] : at;
	f->reg[at / 4] = head;
	f->mask[at / 4] = PCI_MSIX_ENABLE | PCI_MSI_ENABLE;
}

static inline void bridge(struct fake *f, uint8_t secondary)
{
	f->reg[PCI_BUSES / 4] = (uint32_t)secondary << 16 | (uint32_t)secondary << 8 |
				(f->address >> 8 & 0xff);
}

static inline int fresh(void **state)
{
	(void)state;
	memset(fakes, 0, sizeof(fakes));
	fake_count = writes = 0;
	memset(&info, 0, sizeof(info));
	memset(&m, 0, sizeof(m));
	info.partition_count = 2;
	map.inputs = 0;
	assert_true(memmap_add(&map, 0, 0x80000000, BOOT_MEM_FREE));
	assert_true(memmap_make(&map));
	manifest.pci_rule_count = 2;
	manifest.pci_rule[0] = (struct pci_rule) { PCI_BY_CLASS, 0xff000000, 0x01000000 };
	manifest.pci_rule[1] = (struct pci_rule) { PCI_BY_CLASS, 0xff000000, 0x02000000 };
	return 0;
}

static inline void run(void)
{
	m.map = &map;
	m.address_end = 1ull << 40;
	pci_scan(&m, &info, &manifest);
	assert_int_equal(writes, 0);
	pci_stop(&m);
	pci_take(&m, 0xfec00000, 0xff000000);
	pci_bars_read(&m);
	pci_give(&m, &info);
	for (unsigned i = 0; i < fake_count; i++) {
		assert_int_equal(fakes[i].reg[1] & PCI_COMMAND_MASTER, 0);
	}
	/* nor does anything interrupt by messages */
	for (unsigned i = 0; i < m.count; i++) {
		const struct boot_pci *is = &m.function[i].is;

		assert_false(is->msi && (find(is->address)->reg[is->msi / 4] & PCI_MSI_ENABLE));
		assert_false(is->msix &&
			     (find(is->address)->reg[is->msix / 4] & PCI_MSIX_ENABLE));
	}
	/* whatever was given: nothing of it twice, nothing of RAM */
	for (uint32_t i = 0; i < info.partitions[0].mmio_count; i++) {
		const struct boot_region *r = &info.partitions[0].mmio[i];

		assert_true(r->hpa >= 0x80000000 && r->hpa + r->size <= 1ull << 40);
		assert_true(r->hpa + r->size <= 0xfec00000 || r->hpa >= 0xff000000);
		assert_true(r->gpa >= HOST_BAR_GPA &&
			    r->gpa + r->size <= HOST_BAR_GPA + HOST_BAR_SIZE);
		assert_true(i == 0 || r->gpa >= r[-1].gpa + r[-1].size);
		assert_int_equal((r->gpa | r->hpa | r->size) % 4096, 0);
		assert_int_equal(r->flags, BOOT_MAP_WRITE | BOOT_MAP_UNCACHED);
	}
}

static inline const struct boot_pci *given(uint32_t address)
{
	for (uint32_t i = 0; i < info.pci_count; i++) {
		if (info.pci[i].address == address && (info.pci[i].flags & BOOT_PCI_OWNED) != 0) {
			return &info.pci[i];
		}
	}
	return NULL;
}

#endif
