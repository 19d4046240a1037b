// SPDX-License-Identifier: MIT
/*
 * What Linux says of a packet, held against the packet: afterwards everybody may
 * believe it. Pure. Addresses and what is in the packet are not looked at here.
 * [virtio 1.2 "Network Device: Device Operation"; RFC 791; RFC 8200; RFC 9293]
 */
#include "host-bridge/net/link.h"
#include "proto/net_channel.h"

#define IP4_HEADER	20u
#define IP6_HEADER	40u
#define IP4_FRAGMENT	0x3fffu		/* more follow, or not the first */
#define TCP		6u
#define TCP_HEADER	20u
#define TCP_CSUM	16u		/* offset of its checksum */
/* The least payload of a packet that a long one is cut to: Linux' smallest segment
 * (tcp_min_snd_mss) without a time stamp. */
#define GSO_SIZE_MIN	36u

/* The length of the IP header, without IPv6's extensions; 0: it is no IP packet, or
 * not as long as it says. */
static size_t header_of(const struct net_packet *p)
{
	const uint8_t *ip = p->data;
	size_t size;

	if (p->len >= IP4_HEADER && ip[0] >> 4 == 4) {
		size = (ip[0] & 15u) * 4u;
		return size >= IP4_HEADER && size <= p->len &&
		       net_get16(ip + 2) == p->len ? size : 0;
	}
	if (p->len >= IP6_HEADER && ip[0] >> 4 == 6) {
		return net_get16(ip + 4) + IP6_HEADER == p->len ? IP6_HEADER
								: 0;
	}
	return 0;
}

/* Is it a TCP segment that can be cut? ip: the IP header's length. */
static bool check_gso(struct net_packet *p, size_t ip)
{
	const uint8_t *data = p->data;
	bool six = p->gso_type == NET_CHANNEL_GSO_TCPV6;
	size_t tcp;

	if ((p->gso_type != NET_CHANNEL_GSO_TCPV4 && !six) ||
	    data[0] >> 4 != (six ? 6 : 4) || data[six ? 6 : 9] != TCP ||
	    (!six && (net_get16(data + 6) & IP4_FRAGMENT) != 0) ||
	    (p->flags & NET_CHANNEL_NEEDS_CSUM) == 0 ||
	    p->csum_start != ip || p->csum_offset != TCP_CSUM ||
	    p->gso_size < GSO_SIZE_MIN || p->len < ip + TCP_HEADER) {
		return false;
	}
	tcp = (data[ip + 12] >> 4) * 4u;
	p->hdr_len = (uint16_t)(ip + tcp);
	return tcp >= TCP_HEADER && p->hdr_len <= p->len;
}

/**
 * Whether a packet is what is said of it. What does not count is 0 afterwards, and
 * hdr_len of one that is to be cut is the length of all its headers. One that need
 * not be cut is not to be.
 */
bool link_check(struct net_packet *p)
{
	size_t ip = header_of(p);

	if (ip == 0 || (p->flags & ~NET_CHANNEL_NEEDS_CSUM) != 0) {
		return false;
	}
	if ((p->flags & NET_CHANNEL_NEEDS_CSUM) == 0) {
		p->csum_start = p->csum_offset = 0;
	} else if (p->csum_start < ip ||
		   p->csum_start + p->csum_offset + 2u > p->len) {
		return false;
	}
	if (p->gso_type == NET_CHANNEL_GSO_NONE) {
		p->hdr_len = p->gso_size = 0;
		return true;
	}
	if (!check_gso(p, ip)) {
		return false;
	}
	if (p->len - p->hdr_len <= p->gso_size) {
		p->gso_type = NET_CHANNEL_GSO_NONE;
		p->hdr_len = p->gso_size = 0;
	}
	return true;
}
