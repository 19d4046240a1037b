/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes what the loader makes of PCI: up to six functions whose registers, and
 * which bits of them can be written, are the input's. Whatever they say, the host
 * partition gets no memory but theirs: no RAM, no interrupt controller, nothing of
 * a function that it does not own, and no table of messages.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/pci.h"
#include "proto/host_info.h"

#define FUNCTIONS	6u
#define REGS		64u
#define CHIPSET		0xfec00000ull
#define CHIPSET_END	0xff000000ull
#define REQUIRE(truth)	do { if (!(truth)) { abort(); } } while (0)

static const uint32_t addresses[FUNCTIONS] = {
	0x0008, 0x0009, 0x0010, 0x0100, 0x0208, 0x0300,
};
static uint32_t reg[FUNCTIONS][REGS], mask[FUNCTIONS][REGS];
static struct pci_machine m;
static struct boot_info info;
static struct memmap map;
static struct manifest manifest = {
	.pci_rule_count = 2,
	.pci_rule = { { PCI_BY_CLASS, 0xff000000, 0x01000000 },
		      { PCI_BY_ADDRESS, 0xffffffff, 0x0208 } },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned number(uint32_t address)
{
	unsigned i = 0;

	while (i < FUNCTIONS && addresses[i] != address) {
		i++;
	}
	return i;
}

uint32_t pci_config_read(uint32_t address, uint32_t at)
{
	unsigned i = number(address);

	REQUIRE(at % 4 == 0 && at < 4 * REGS);
	return i < FUNCTIONS ? reg[i][at / 4] : UINT32_MAX;
}

void pci_config_write(uint32_t address, uint32_t at, uint32_t value)
{
	unsigned i = number(address);

	REQUIRE(i < FUNCTIONS && at % 4 == 0 && at < 4 * REGS);
	reg[i][at / 4] = (reg[i][at / 4] & ~mask[i][at / 4]) | (value & mask[i][at / 4]);
}

/* Six sound functions, every other one the host partition's, with memory and
 * messages; then a register a time: which one, its value, its mask. */
static void configure(const uint8_t *data, size_t size)
{
	memset(reg, 0, sizeof(reg));
	memset(mask, 0, sizeof(mask));
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		reg[i][0] = 0x12348086;
		reg[i][1] = 0x00100007;
		reg[i][2] = i % 2 ? 0x01060100 : 0x03000000;
		mask[i][1] = 0x407;
		reg[i][4] = 0x81000000 + i * 0x4000;
		mask[i][4] = 0xffffc000;
		reg[i][13] = 0x40;
		reg[i][16] = 0x00030011;
		reg[i][17] = 0x2000;
		reg[i][18] = 0x3000;
	}
	for (; size >= 10; data += 10, size -= 10) {
		unsigned i = data[0] % FUNCTIONS, r = data[1] % REGS;

		memcpy(&reg[i][r], data + 2, 4);
		memcpy(&mask[i][r], data + 6, 4);
	}
}

static bool meet(const struct boot_region *r, uint64_t base, uint64_t size)
{
	return size != 0 && r->hpa < base + size && base < r->hpa + r->size;
}

static void memory_is_theirs(const struct boot_region *r)
{
	bool own = false;

	REQUIRE(r->size > 0 && (r->gpa | r->hpa | r->size) % 4096 == 0);
	REQUIRE(r->gpa >= HOST_BAR_GPA && r->gpa + r->size <= HOST_BAR_GPA + HOST_BAR_SIZE);
	REQUIRE(!memmap_overlaps(&map, r->hpa, r->hpa + r->size));
	REQUIRE(!meet(r, CHIPSET, CHIPSET_END - CHIPSET));
	for (unsigned i = 0; i < m.count; i++) {
		const struct pci_function *f = &m.function[i];

		for (unsigned b = 0; b < BOOT_PCI_BARS; b++) {
			const struct boot_pci_bar *bar = &f->is.bar[b];
			bool met = (bar->flags & BOOT_BAR_IO) == 0 &&
				   meet(r, bar->base, bar->size);

			REQUIRE(!met || f->wanted);
			own |= met;
		}
	}
	REQUIRE(own);
	for (uint32_t i = 0; i < info.pci_count; i++) {
		REQUIRE(info.pci[i].msix == 0 ||
			!meet(r, info.pci[i].msix_table, info.pci[i].msix_count * 16ull));
	}
}

/* boot_info as the hypervisor trusts it. */
static void function_is_sound(const struct boot_pci *is, uint32_t at)
{
	REQUIRE(is->parent == BOOT_PCI_ROOT || is->parent < info.pci_count);
	REQUIRE(is->parent == BOOT_PCI_ROOT ||
		(info.pci[is->parent].address >> 8) < (is->address >> 8));
	REQUIRE(is->msix == 0 || is->msix_count > 0);
	for (unsigned b = 0; is->msix != 0 && b <= BOOT_PCI_BARS; b++) {
		REQUIRE(b < BOOT_PCI_BARS);
		if (is->msix_table >= is->bar[b].base && is->msix_table + is->msix_count * 16 <=
		    is->bar[b].base + is->bar[b].size) {
			break;
		}
	}
	for (uint32_t k = 0; k < at; k++) {
		REQUIRE(info.pci[k].address != is->address);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct boot_partition *p = &info.partitions[0];

	configure(data, size);
	memset(&m, 0, sizeof(m));
	memset(&info, 0, sizeof(info));
	map.inputs = 0;
	REQUIRE(memmap_add(&map, 0, 0x80000000, BOOT_MEM_FREE) &&
		memmap_add(&map, 0x100000000, 0x80000000, BOOT_MEM_FREE) && memmap_make(&map));
	info.partition_count = 1;
	m.map = &map;
	m.address_end = 1ull << 40;
	pci_scan(&m, &info, &manifest);
	pci_stop(&m);
	pci_take(&m, CHIPSET, CHIPSET_END);
	pci_bars_read(&m);
	pci_give(&m, &info);
	for (uint32_t i = 0; i < p->mmio_count; i++) {
		memory_is_theirs(&p->mmio[i]);
		REQUIRE(i == 0 || p->mmio[i].gpa >= p->mmio[i - 1].gpa + p->mmio[i - 1].size);
	}
	for (uint32_t i = 0; i < info.pci_count; i++) {
		function_is_sound(&info.pci[i], i);
	}
	for (uint32_t i = 0; i < p->port_count; i++) {
		uint32_t first = p->ports[i].first;

		REQUIRE(first <= p->ports[i].last && (first >= 0x1000 || first == 0x1f0 ||
			first == 0x3f6 || first == 0x170 || first == 0x376));
	}
	return 0;
}
