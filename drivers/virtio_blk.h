/* SPDX-License-Identifier: MIT */
/*
 * Virtual disks of virtio 1 [virtio 1.2 "Block Device"], over PCI, without the
 * transitional registers. One split queue.
 */
#ifndef ISTHMUS_VIRTIO_BLK_H
#define ISTHMUS_VIRTIO_BLK_H

#include "drivers/disk.h"

/* Where the device has its structures [virtio 1.2 "Virtio Structure PCI
 * Capabilities"]; whoever fills this in has seen to it that they lie in mapped
 * memory. */
struct virtio_blk_regs {
	volatile void *common;		/* at least 56 bytes */
	volatile void *device;
	uint32_t device_size;
	volatile void *notify;
	uint32_t notify_size;
	uint32_t notify_multiplier;
	/* Addresses on the bus are not the machine's: the device must know. */
	bool translated;
	/* Takes the bus from the device, for good. */
	void (*cut)(void *arg);
	void *arg;
};

struct virtio_blk;

/* Interrupts are disk_interrupt()'s: the device's vector 0. NULL: no memory. */
struct disk *virtio_blk_new(const struct virtio_blk_regs *regs);

#endif
