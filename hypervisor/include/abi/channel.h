/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The channel as the hypervisor lays it out and as its PCI device looks:
 * after ivshmem version 2 (state table, per-peer output sections, doorbell),
 * with the register region in I/O space so that no access needs an
 * instruction decoder. docs/channel.md is the specification. The ring inside
 * the output sections is ring.h's matter; the hypervisor never reads it.
 *
 * One region of guest-physical memory, the same layout in both partitions:
 *
 *   offset 0                      state table, 4 KiB, read-only to both
 *   CHANNEL_OUTPUT_OFFSET(0, s)   output section of peer 0, s bytes
 *   CHANNEL_OUTPUT_OFFSET(1, s)   output section of peer 1, s bytes
 *
 * Each peer may write only its own output section (second-level page tables
 * enforce it); all is readable to both. s = 4 KiB header + data area.
 */
#ifndef ISTHMUS_ABI_CHANNEL_H
#define ISTHMUS_ABI_CHANNEL_H

#define CHANNEL_PAGE			4096u
#define CHANNEL_OUTPUT_OFFSET(peer, s)	(CHANNEL_PAGE + (peer) * (s))
#define CHANNEL_REGION_SIZE(s)		(CHANNEL_PAGE + 2 * (s))

/* State table: 32-bit words, written only by the hypervisor. */
#define CHANNEL_ST_MAGIC		0	/* CHANNEL_MAGIC */
#define CHANNEL_ST_VERSION		1	/* CHANNEL_VERSION */
#define CHANNEL_ST_GENERATION		2	/* +1 each reset, starts at 1 */
#define CHANNEL_ST_OUTPUT_SIZE		3	/* s */
#define CHANNEL_ST_STATE(peer)		(4 + (peer))	/* state words */
#define CHANNEL_MAGIC			0x4e484349u	/* "ICHN" */
#define CHANNEL_VERSION			1u

/* State words: liveness as the hypervisor knows it. A partition that stops
 * or crashes has its word set to 0 and the peer gets a state event. Others
 * are the ends' matter. */
#define CHANNEL_STATE_DOWN		0u

/* What else the ends agree on is in proto/channel_device.h.
 * BARs: 0 = I/O registers, 1 = MSI-X table and PBA (one page of plain memory
 * that the hypervisor reads when it delivers), 2/3 = region, 64-bit. */
#define CHANNEL_IO_SIZE			32u
#define CHANNEL_IO_ID			0x00	/* RO: own peer number */
#define CHANNEL_IO_MAX_PEERS		0x04	/* RO: 2 */
#define CHANNEL_IO_INT_CONTROL		0x08	/* bit 0: interrupts enabled */
#define CHANNEL_IO_DOORBELL		0x0c	/* WO: any value: doorbell */
#define CHANNEL_IO_STATE		0x10	/* RW: own state word */
#define CHANNEL_MSIX_VECTORS		2u	/* 0 = state, 1 = doorbell */

/* Fixed places in the Linux partition. BARs keep these values: what a driver
 * writes to them is remembered for sizing only. A partition's i-th channel, from
 * 0 on in the manifest's order, adds i times the stride. Dword accesses only;
 * others read all ones and do nothing. */
#define CHANNEL_GUEST_MAX		4u	/* channels of one partition */
#define CHANNEL_GUEST_IO_PORT		0xc000u	/* stride 0x20 */
#define CHANNEL_GUEST_MSIX_GPA		0xe0000000u	/* stride 4 KiB */
#define CHANNEL_GUEST_REGION_GPA	0xe4000000u	/* stride 64 MiB */

#endif
