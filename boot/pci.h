/* SPDX-License-Identifier: MIT */
/*
 * PCI: what is there, made quiet, and what of it becomes the host partition's.
 */
#ifndef ISTHMUS_BOOT_PCI_H
#define ISTHMUS_BOOT_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/include/abi/boot_info.h"
#include "manifest.h"
#include "memmap.h"

#define PCI_MAX		512	/* functions; with more nobody is given one */
#define PCI_TAKEN_MAX	40

/* Registers of configuration space [PCI 3.0 "Configuration Space"] */
#define PCI_ID			0x00
#define PCI_COMMAND		0x04
#define PCI_COMMAND_IO		0x1u
#define PCI_COMMAND_MEMORY	0x2u
#define PCI_COMMAND_MASTER	0x4u
#define PCI_COMMAND_NO_INTX	0x400u
#define PCI_STATUS_LIST		0x100000u	/* there are capabilities */
#define PCI_CLASS		0x08
#define PCI_HEADER		0x0c
#define PCI_HEADER_MULTI	0x800000u
#define PCI_BAR			0x10
#define PCI_BUSES		0x18		/* of a bridge */
#define PCI_INTERRUPT		0x3c
#define PCI_INTERRUPT_PIN	0xff00u
#define PCI_CAPABILITIES	0x34

/* In the first register of the capability */
#define PCI_MSI_ENABLE		0x10000u
#define PCI_MSIX_ENABLE		0x80000000u

/* Class codes [PCI Code and ID Assignment] */
#define PCI_CLASS_IDE		0x0101u
#define PCI_CLASS_AHCI		0x010601u
#define PCI_CLASS_BRIDGE	0x06u
#define PCI_CLASS_HOST_BRIDGE	0x0600u
#define PCI_CLASS_IOMMU		0x0806u
#define PCI_CLASS_XHCI		0x0c0330u

struct pci_range {
	uint64_t base, end;
};

struct pci_function {
	struct boot_pci is;
	uint8_t header;			/* its kind, 0 or 1 (a bridge) */
	uint8_t secondary;		/* the bus behind a bridge */
	bool wanted;			/* by a rule of the manifest */
	uint16_t place;			/* in boot_info's pci[] */
};

/* All functions of the machine, and where no BAR of one may lie besides. */
struct pci_machine {
	unsigned count;
	unsigned stopped;		/* bus masters, so far */
	bool too_many;
	struct pci_function function[PCI_MAX];
	unsigned taken_count;
	struct pci_range taken[PCI_TAKEN_MAX];
	unsigned hidden_count;		/* pages with MSI-X tables */
	struct pci_range hidden[2 * BOOT_MAX_PCI];
	struct boot_uart console;	/* nobody's function, whoever has its place */
	const struct memmap *map;
	uint64_t address_end;		/* of the physical address space */
	uint64_t next_gpa;
	unsigned refused;		/* BARs; and the first of them */
	uint32_t refused_address, refused_bar;
	unsigned shared;		/* functions that an IOMMU cannot tell
					 * from others; and the first of them */
	uint32_t shared_address, shared_bridge;
};

/* pci_config.c */
void pci_config_set(const struct boot_info *info);
uint32_t pci_config_read(uint32_t address, uint32_t reg);
void pci_config_write(uint32_t address, uint32_t reg, uint32_t value);

/* pci.c */
void pci_scan(struct pci_machine *m, const struct boot_info *info,
	      const struct manifest *manifest);
void pci_stop(struct pci_machine *m);
void pci_take(struct pci_machine *m, uint64_t base, uint64_t end);

/* pci_bars.c */
void pci_bars_read(struct pci_machine *m);
void pci_give(struct pci_machine *m, struct boot_info *info);

/* pci_handoff.c */
void pci_handoff(const struct pci_machine *m, uint64_t mapped_end, uint64_t tsc_hz);

#endif
