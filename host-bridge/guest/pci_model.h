/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space as Linux sees it through ports 0xcf8/0xcfc: a host
 * bridge and one channel device (abi/channel.h) per channel. Pure: no state
 * but struct pci_model.
 */
#ifndef ISTHMUS_PCI_MODEL_H
#define ISTHMUS_PCI_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/channel.h"

#define PCI_MODEL_PORT		0xcf8u
#define PCI_MODEL_PORT_LAST	0xcffu

struct pci_function {
	uint8_t value[256];	/* what a read gives */
	uint8_t writable[256];	/* bits that a write changes */
	uint32_t bar[6];	/* fixed address and type bits */
	uint32_t bar_mask[6];	/* address bits that exist; 0: no such BAR */
};

struct pci_model {
	uint32_t address;	/* last value written to 0xcf8 */
	unsigned count;
	struct pci_function function[1 + CHANNEL_GUEST_MAX];
};

/* A host bridge and no channels yet. */
void pci_model_reset(struct pci_model *pci);
/* Adds the device of a channel (0, 1, ...) whose region is region_size
 * bytes; host: its other end is ours. Beyond CHANNEL_GUEST_MAX: ignored. */
void pci_model_add_channel(struct pci_model *pci, uint32_t region_size,
			   bool host);
/* The address register, and 5 bytes that can be written for each channel; and as such
 * say, which may be any, of functions that are there. */
void pci_model_save(const struct pci_model *pci, uint8_t saved[]);
void pci_model_restore(struct pci_model *pci, const uint8_t saved[]);
/* An access of 1, 2 or 4 bytes to one of the ports; in returns all ones
 * where there is nothing. */
uint32_t pci_model_in(struct pci_model *pci, unsigned port, unsigned size);
void pci_model_out(struct pci_model *pci, unsigned port, unsigned size,
		   uint32_t value);

#endif
