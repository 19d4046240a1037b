/* SPDX-License-Identifier: MIT */
/*
 * An IP packet, flat, with what virtio says of its checksum and its size. Numbers of
 * a packet are big-endian. [virtio 1.2 "Packet Transmission"; RFC 1624]
 */
#ifndef ISTHMUS_PACKET_H
#define ISTHMUS_PACKET_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "drivers/netsum.h"

#define NET_HEADROOM		64u	/* bytes that are there before data */

/* flags */
#define NET_NEEDS_CSUM		1u	/* the checksum is that of the pseudo-header */
#define NET_DATA_VALID		2u	/* it has been looked at */
/* gso_type */
#define NET_GSO_NONE		0u
#define NET_GSO_TCPV4		1u
#define NET_GSO_TCPV6		4u
#define NET_GSO_UDP_L4		5u
#define NET_GSO_ECN		0x80u	/* with one of TCP's */

struct net_packet {
	uint8_t *data;			/* the IP header; private and writable */
	size_t len;
	size_t space;			/* from data on */
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len, gso_size;
	uint16_t csum_start, csum_offset;	/* from data on */
};

static inline uint16_t net_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void net_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline uint32_t net_get32(const uint8_t *at)
{
	return (uint32_t)net_get16(at) << 16 | net_get16(at + 2);
}

/* The checksum after a word that it covers has changed. [RFC 1624] */
static inline uint16_t net_csum_change(uint16_t csum, uint16_t was, uint16_t is)
{
	return (uint16_t)~net_fold((uint64_t)(uint16_t)~csum +
				   (uint16_t)~was + is);
}

#endif
