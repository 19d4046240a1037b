/* SPDX-License-Identifier: MIT */
/* Functions of PCI: what partitions may do with them. On CPU 0. */
#ifndef ISTHMUS_PCI_H
#define ISTHMUS_PCI_H

#include <types.h>

struct vcpu;

/* core/pci.c */
hv_status_t pci_call(struct vcpu *v);
void pci_stop(void);

/* x86/pci_config.c */
uint32_t pci_config_size(uint32_t address);
uint32_t pci_config_read(uint32_t address, uint32_t reg);
void pci_config_write(uint32_t address, uint32_t reg, uint32_t value);

#endif
