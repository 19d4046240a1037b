/* SPDX-License-Identifier: MIT */
/*
 * NVMe controllers [NVMe 1.4], their first namespace. One queue for requests,
 * one for the controller itself.
 */
#ifndef ISTHMUS_NVME_H
#define ISTHMUS_NVME_H

#include "drivers/disk.h"

struct nvme_regs {
	volatile void *base;		/* BAR 0 */
	uint32_t size;
	/* Takes the bus from the device, for good. */
	void (*cut)(void *arg);
	void *arg;
};

/* Interrupts are disk_interrupt()'s: vector 0. NULL: no memory. */
struct disk *nvme_new(const struct nvme_regs *regs);

#endif
