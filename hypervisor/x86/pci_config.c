/* SPDX-License-Identifier: MIT */
/*
 * Access to PCI's configuration space: as memory where boot_info names a window,
 * else by two ports. Ports and window are one for all, and CPU 0's; they are
 * in nobody's map. [PCI 3.0 "Configuration Mechanism #1"; PCIe "PCI Express Enhanced
 * Configuration Access Mechanism (ECAM)"]
 */
#include <hv.h>
#include <pci.h>
#include <x86.h>

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc
#define CONFIG_ENABLE	BIT32(31)
#define PORTS_SIZE	256u
#define ECAM_SIZE	4096u

/* Where the function's space is in memory; 0: it is in no window. */
static uint64_t space_of(uint32_t address)
{
	uint32_t i, bus = address >> 8 & 0xff;

	for (i = 0; i < boot.ecam_count; i++) {
		const struct boot_ecam *w = &boot.ecam[i];

		if (w->segment == address >> 16 && bus >= w->bus_first &&
		    bus <= w->bus_last) {
			return w->base + ((uint64_t)(address & 0xffff) << 12);
		}
	}
	return 0;
}

/** Bytes of the configuration space that can be reached of a function. */
uint32_t pci_config_size(uint32_t address)
{
	return space_of(address) ? ECAM_SIZE : PORTS_SIZE;
}

/** A register: a multiple of 4 below pci_config_size(). On CPU 0. */
uint32_t pci_config_read(uint32_t address, uint32_t reg)
{
	uint64_t space = space_of(address);

	if (space) {
		return *(volatile uint32_t *)paging_window(space + reg);
	}
	outl(CONFIG_ADDRESS, CONFIG_ENABLE | (address & 0xffff) << 8 | reg);
	return inl(CONFIG_DATA);
}

/** As pci_config_read(). */
void pci_config_write(uint32_t address, uint32_t reg, uint32_t value)
{
	uint64_t space = space_of(address);

	if (space) {
		*(volatile uint32_t *)paging_window(space + reg) = value;
		return;
	}
	outl(CONFIG_ADDRESS, CONFIG_ENABLE | (address & 0xffff) << 8 | reg);
	outl(CONFIG_DATA, value);
}
