/* SPDX-License-Identifier: MIT */
/*
 * Virtual disks of virtio 1 [virtio 1.2 "Block Device"], over PCI, without the
 * transitional registers. One split queue.
 */
#ifndef ISTHMUS_VIRTIO_BLK_H
#define ISTHMUS_VIRTIO_BLK_H

#include "drivers/disk.h"
#include "drivers/virtio_pci.h"

struct virtio_blk;

/* Interrupts are disk_interrupt()'s: the device's vector 0. NULL: no memory. */
struct disk *virtio_blk_new(const struct virtio_regs *regs);

#endif
