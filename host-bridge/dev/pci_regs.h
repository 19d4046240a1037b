/* SPDX-License-Identifier: MIT */
/*
 * Where a PCI function's registers are, as drivers want to know it. What the
 * function says of that is checked here: the drivers trust what they are given.
 */
#ifndef ISTHMUS_PCI_REGS_H
#define ISTHMUS_PCI_REGS_H

#include "drivers/virtio_pci.h"
#include "host-bridge/dev/pci.h"

/* Memory of a function, from offset on, and how much of it is ours to touch: the
 * pages of an MSI-X table are not. NULL: less than "least". */
volatile void *pci_regs_memory(const struct pci_dev *dev, unsigned number,
			       uint32_t offset, uint32_t least, uint32_t *size);
/* The structures of a virtio 1 device. ENOENT: it lacks one. */
int pci_regs_virtio(struct pci_dev *dev, struct virtio_regs *regs);
/* Takes the bus from a function: for drivers, arg is its struct pci_dev. */
void pci_regs_cut(void *arg);
/* One line: what is not used, and why. */
void pci_regs_no_use(const struct pci_dev *dev, const char *what, int error);

#endif
