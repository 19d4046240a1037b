/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the two ends of a channel agree on beside the hypervisor's abi/channel.h:
 * how its PCI device looks, and what their state words say. The hypervisor knows
 * of a state word only that 0, CHANNEL_STATE_DOWN, is one of its own.
 * docs/channel.md is the specification.
 */
#ifndef ISTHMUS_CHANNEL_DEVICE_H
#define ISTHMUS_CHANNEL_DEVICE_H

#define CHANNEL_STATE_INIT		1u	/* own section being prepared */
#define CHANNEL_STATE_READY		2u	/* ring valid, traffic may flow */

/* The device as host-bridge shows it to the Linux partition. */
#define CHANNEL_PCI_VENDOR		0x110a	/* Siemens, as ivshmem v2 */
#define CHANNEL_PCI_DEVICE		0x4106
#define CHANNEL_PCI_CLASS		0xff0100u /* protocol 01: see channel.md */
#define CHANNEL_PCI_CLASS_OTHER		0xff0000u /* not to the host: its ends' */
#define CHANNEL_MSIX_TABLE_OFFSET	0x000	/* within BAR 1 */
#define CHANNEL_MSIX_PBA_OFFSET		0x800

#endif
