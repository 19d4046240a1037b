/* SPDX-License-Identifier: MIT */
/*
 * Virtual network cards of virtio 1 [virtio 1.2 "Network Device"], over PCI: one
 * queue each way, without a control queue.
 */
#ifndef ISTHMUS_VIRTIO_NET_H
#define ISTHMUS_VIRTIO_NET_H

#include "drivers/nic.h"
#include "drivers/virtio_pci.h"

/* Frames are the device's vector 0, for nic_interrupt(); changes of the link are
 * vector 1, for nic_link_interrupt(), if it is to use that, else 0, too. NULL: no
 * memory. */
struct nic *virtio_net_new(const struct virtio_regs *regs, bool link_vector);

#endif
