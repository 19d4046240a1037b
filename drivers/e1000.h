/* SPDX-License-Identifier: MIT */
/*
 * Intel's gigabit network cards 82540EM (conventional PCI, and what emulators call
 * e1000) and 82574L (PCI Express; e1000e): one queue each way, with the descriptors
 * that both have.
 */
#ifndef ISTHMUS_E1000_H
#define ISTHMUS_E1000_H

#include "drivers/nic.h"

#define E1000_REGS_BYTES	0x5800u	/* of them we use no more */

struct e1000_regs {
	volatile void *base;		/* at least E1000_REGS_BYTES */
	bool express;			/* an 82574L */
	/* Takes the bus from the device, for good. */
	void (*cut)(void *arg);
	void *arg;
};

/* Its one interrupt is for nic_interrupt(): an input, MSI, or of an 82574L message 0
 * of MSI-X, if it has that ("msix"). NULL: no memory. */
struct nic *e1000_new(const struct e1000_regs *regs, bool msix);

#endif
