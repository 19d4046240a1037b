/* SPDX-License-Identifier: MIT */
/* SATA disks behind an AHCI controller [AHCI 1.3.1]: each port's is a disk of its
 * own, with native command queueing where both have it. */
#ifndef ISTHMUS_AHCI_H
#define ISTHMUS_AHCI_H

#include "drivers/disk.h"

#define AHCI_PORTS	32u

struct ahci_regs {
	volatile void *base;		/* BAR 5 */
	uint32_t size;
	/* Takes the bus from the controller, for good: from all its disks. */
	void (*cut)(void *arg);
	void *arg;
};

struct ahci;

/* NULL: no memory. */
struct ahci *ahci_new(const struct ahci_regs *regs);
/* The disk of a port, not started yet; NULL: it has no such port. One that has
 * no disk fails and is "absent". */
struct disk *ahci_disk(struct ahci *ahci, unsigned port);
/* The controller's interrupt. */
void ahci_interrupt(struct ahci *ahci);

#endif
