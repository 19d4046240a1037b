/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Packets over the channel: what Linux' network interface (guest/driver/net*.c)
 * and the host's end (host-bridge/net/link.c) say to each other. One vsock
 * connection, each way a stream of messages: a head, then an IP packet from its
 * first byte on. All integers little-endian.
 *
 * What follows the length is struct virtio_net_hdr of virtio 1, with its meaning
 * but for two points: offsets are from the IP header's first byte, and hdr_len is
 * a hint that nobody believes. [virtio 1.2 "Network Device: Device Operation"]
 *
 * So a packet may be a whole TCP segment of 64 KiB, of which whoever sends it on
 * makes packets of gso_size (GSO), and a checksum that nobody needs between the
 * two ends is not there yet.
 */
#ifndef ISTHMUS_PROTO_NET_CHANNEL_H
#define ISTHMUS_PROTO_NET_CHANNEL_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define NET_CHANNEL_PORT	566u	/* the host's */
/* With its head, the longest packet is one of the ring's (RING_PAYLOAD_MAX). It is
 * also the largest MTU that Linux lets a route have. */
#define NET_CHANNEL_PACKET_MAX	65520u

/* flags. NEEDS_CSUM: at csum_start + csum_offset is the sum over the pseudo
 * header only; the checksum from csum_start on is to be put there before the packet
 * leaves the machine. DATA_VALID, to Linux only: it has been looked at. */
#define NET_CHANNEL_NEEDS_CSUM	1u
#define NET_CHANNEL_DATA_VALID	2u

/* gso_type */
#define NET_CHANNEL_GSO_NONE	0u
#define NET_CHANNEL_GSO_TCPV4	1u
#define NET_CHANNEL_GSO_TCPV6	4u

struct net_channel_head {
	uint32_t len;		/* of all, this head included */
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;	/* payload of each of its packets */
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t buffers;	/* 0 */
};

_Static_assert(sizeof(struct net_channel_head) == 16, "head is 16 bytes");

#endif
