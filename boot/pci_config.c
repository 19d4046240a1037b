/* SPDX-License-Identifier: MIT */
/*
 * Access to PCI's configuration space: as memory where the firmware names such
 * windows, else by two ports. Only with interrupts off, after the firmware, which
 * uses the same ports. [PCI 3.0 "Configuration Mechanism #1"; PCIe "PCI Express
 * Enhanced Configuration Access Mechanism (ECAM)"]
 */
#include <stddef.h>

#include "io.h"
#include "pci.h"

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc
#define CONFIG_ENABLE	0x80000000u

static const struct boot_info *machine;

/** From here on the windows of *info are used, and it must stay; before, the ports. */
void pci_config_set(const struct boot_info *info)
{
	machine = info;
}

/* Where the register lies in memory; NULL: the function is in no window that our
 * page tables reach. */
static volatile uint32_t *register_at(uint32_t address, uint32_t reg)
{
	for (uint32_t i = 0; machine != NULL && i < machine->ecam_count; i++) {
		const struct boot_ecam *w = &machine->ecam[i];
		uint64_t at = w->base + ((uint64_t)(address & 0xffff) << 12);
		uint32_t bus = address >> 8 & 0xff;

		if (w->segment == address >> 16 && bus >= w->bus_first && bus <= w->bus_last &&
		    at < machine->ident_end) {
			return (volatile uint32_t *)(at + reg);
		}
	}
	return NULL;
}

/** A register (a multiple of 4, below 256); all ones: nobody answers. */
uint32_t pci_config_read(uint32_t address, uint32_t reg)
{
	volatile uint32_t *at = register_at(address, reg);

	if (at != NULL) {
		return *at;
	}
	if (address >> 16 != 0) {
		return UINT32_MAX;
	}
	port_out32(CONFIG_ADDRESS, CONFIG_ENABLE | address << 8 | reg);
	return port_in32(CONFIG_DATA);
}

/** Writes a register of a function that has answered. */
void pci_config_write(uint32_t address, uint32_t reg, uint32_t value)
{
	volatile uint32_t *at = register_at(address, reg);

	if (at != NULL) {
		*at = value;
		return;
	}
	port_out32(CONFIG_ADDRESS, CONFIG_ENABLE | address << 8 | reg);
	port_out32(CONFIG_DATA, value);
}
