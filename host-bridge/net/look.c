// SPDX-License-Identifier: MIT
/*
 * Packets: taken apart, and changed in place with all checksums that cover what
 * changes. A checksum that was right stays so, one that was wrong stays wrong.
 * [RFC 791; RFC 8200 "IPv6 Extension Headers"; RFC 1624]
 */
#include "host-bridge/net/look.h"

#define EXT_HOP		0u
#define EXT_ROUTING	43u
#define EXT_FRAGMENT	44u
#define EXT_OPTIONS	60u
#define EXTENSIONS	8u		/* more of them are no packet of ours */

static bool look_v4(struct look *k)
{
	unsigned header = (k->ip[0] & 15u) * 4, total, frag;

	if (k->len < 20 || header < 20 || header > k->len) {
		return false;
	}
	total = net_get16(k->ip + 2);
	frag = net_get16(k->ip + 6);
	k->more = (frag & 0x2000) != 0;
	frag = (frag & 0x1fff) * 8;
	if (total < header || (total > k->len && k->outer == NULL) ||
	    frag + total > 0xffff) {
		return false;
	}
	k->len = total < k->len ? total : k->len;
	k->options = header > 20;
	k->proto = k->frag_proto = k->ip[9];
	k->id = net_get16(k->ip + 4);
	k->addr[FROM] = 12;
	k->addr[TO] = 16;
	k->addr_len = 4;
	k->l4 = header;
	k->kind = frag != 0 ? LOOK_LATER : LOOK_OTHER;
	/* What would lie over a TCP header. [RFC 3128] */
	return !(frag == 8 && k->proto == TCP);
}

/* A fragment header; false: no packet of ours. */
static bool look_fragment(struct look *k)
{
	unsigned frag = net_get16(k->ip + k->l4 + 2);

	if ((frag & 0xfff8) + k->len - k->l4 > 0xffff) {
		return false;
	}
	k->frag_proto = k->proto;
	k->id = net_get32(k->ip + k->l4 + 4);
	k->more = (frag & 1) != 0;
	k->kind = (frag & 0xfff8) != 0 ? LOOK_LATER : LOOK_OTHER;
	return !((frag & 0xfff8) == 8 && k->proto == TCP);
}

static bool look_v6(struct look *k)
{
	bool fragment = false;
	unsigned total;

	if (k->len < 40) {
		return false;
	}
	total = 40u + net_get16(k->ip + 4);
	if (total > k->len && k->outer == NULL) {
		return false;
	}
	k->len = total < k->len ? total : k->len;
	k->proto = k->ip[6];
	k->addr[FROM] = 8;
	k->addr[TO] = 24;
	k->addr_len = 16;
	k->l4 = 40;
	for (unsigned i = 0; i < EXTENSIONS; i++) {
		unsigned kind = k->proto;

		if (kind != EXT_HOP && kind != EXT_ROUTING &&
		    kind != EXT_FRAGMENT && kind != EXT_OPTIONS) {
			return true;
		}
		if (k->l4 + 8 > k->len) {
			return false;
		}
		k->proto = k->ip[k->l4];
		if (kind == EXT_FRAGMENT) {
			if (fragment || !look_fragment(k)) {
				return false;
			}
			fragment = true;
			k->l4 += 8;
		} else {
			k->options |= kind == EXT_ROUTING;
			k->l4 += 8 + 8u * k->ip[k->l4 + 1];
		}
		if (k->l4 > k->len) {
			return false;
		}
		if (k->kind == LOOK_LATER) {
			return true;
		}
	}
	return false;
}

/* [RFC 792; RFC 4443] */
static void look_icmp(struct look *k)
{
	uint8_t type = k->ip[k->l4];
	bool error = k->six ? type < 128 : (type == 3 || type == 11 || type == 12);
	bool query = k->six ? type == 128 : (type == 8 || type == 13);
	bool reply = k->six ? type == 129 : (type == 0 || type == 14);

	k->csum = k->l4 + 2;
	if (error) {
		k->kind = LOOK_ERROR;
	} else if (query || reply) {
		k->kind = query ? LOOK_QUERY : LOOK_REPLY;
		k->at[query ? FROM : TO] = k->l4 + 4;
	}
}

/**
 * Takes a packet apart. outer: it is in that ICMP error, and its end may be
 * missing. False: it is none, or its transport header is not whole.
 */
bool look_at(struct look *k, uint8_t *ip, size_t len, const struct look *outer)
{
	size_t least;

	*k = (struct look){ .ip = ip, .len = len, .outer = outer };
	if (len < 20 || (ip[0] >> 4 != 4 && ip[0] >> 4 != 6)) {
		return false;
	}
	k->six = ip[0] >> 4 == 6;
	if (!(k->six ? look_v6(k) : look_v4(k))) {
		return false;
	}
	if (k->kind == LOOK_LATER) {
		return true;
	}
	least = k->proto == TCP && outer == NULL ? 20 : 8;
	if (k->proto == TCP || k->proto == UDP) {
		k->kind = LOOK_PORTS;
		k->at[FROM] = k->l4;
		k->at[TO] = k->l4 + 2;
		k->csum = k->l4 + (k->proto == TCP ? 16 : 6);
	} else if (k->proto != (k->six ? ICMP6 : ICMP4)) {
		return true;
	}
	if (k->l4 + least > k->len) {
		return false;
	}
	if (k->kind != LOOK_PORTS) {
		look_icmp(k);
	}
	if (k->csum + 2 > k->len) {
		k->csum = 0;
	}
	for (unsigned side = FROM; side <= TO; side++) {
		k->port[side] = k->at[side] != 0 ?
				net_get16(ip + k->at[side]) : 0;
	}
	return true;
}

/** Whether what virtio says of the packet is so; notes that its checksum is
 * partial. */
bool look_offload(struct look *k, const struct net_packet *p)
{
	uint8_t gso = p->gso_type & (uint8_t)~NET_GSO_ECN;

	k->partial = (p->flags & NET_NEEDS_CSUM) != 0;
	if (k->partial && (k->kind != LOOK_PORTS || k->more ||
			   p->csum_start != k->l4 ||
			   p->csum_start + p->csum_offset != k->csum)) {
		return false;
	}
	if (p->gso_type == NET_GSO_NONE) {
		return true;
	}
	return k->partial && p->gso_size != 0 && k->len == p->len &&
	       (k->proto == TCP ? gso == (k->six ? NET_GSO_TCPV6 : NET_GSO_TCPV4)
				: p->gso_type == NET_GSO_UDP_L4);
}

/* A checksum follows a word; so does that of the error which both are in, whose
 * sum has the checksum's own change too. */
static void follow(struct look *k, unsigned at, uint16_t was, uint16_t is)
{
	uint8_t *sum = k->ip + at;
	uint16_t old = net_get16(sum), new;
	bool udp = at == k->csum && k->proto == UDP;

	if (at == k->csum && k->partial) {
		new = (uint16_t)~net_csum_change((uint16_t)~old, was, is);
	} else if (udp && old == 0) {
		return;				/* it has none */
	} else {
		new = net_csum_change(old, was, is);
		new = udp && new == 0 ? 0xffff : new;
	}
	net_put16(sum, new);
	if (k->outer != NULL) {
		uint8_t *all = k->outer->ip + k->outer->csum;

		net_put16(all, net_csum_change(net_get16(all), old, new));
	}
}

/* A word of the packet becomes another. header, transport: whose checksum has
 * it. */
static void put(struct look *k, unsigned at, uint16_t is, bool header,
		bool transport)
{
	uint16_t was = net_get16(k->ip + at);

	net_put16(k->ip + at, is);
	if (k->outer != NULL) {
		uint8_t *all = k->outer->ip + k->outer->csum;

		net_put16(all, net_csum_change(net_get16(all), was, is));
	}
	if (header && !k->six) {
		follow(k, 10, was, is);
	}
	if (transport && k->csum != 0) {
		follow(k, k->csum, was, is);
	}
}

/** Another address, and, where it has one, another port or id. */
void look_change(struct look *k, enum look_side side, const uint8_t *addr,
		 uint16_t port)
{
	for (unsigned i = 0; i < k->addr_len; i += 2) {
		put(k, k->addr[side] + i, net_get16(addr + i), true,
		    k->proto != ICMP4);
	}
	if (k->at[side] != 0) {
		put(k, k->at[side], port, false, !k->partial);
		k->port[side] = port;
	}
}

/** How many routers it may still pass, this one included. */
unsigned look_hops(const struct look *k)
{
	return k->ip[k->six ? 7 : 8];
}

/** One less. */
void look_hop(struct look *k)
{
	unsigned at = k->six ? 6 : 8;
	uint16_t word = net_get16(k->ip + at);

	put(k, at, (uint16_t)(word - (k->six ? 1 : 0x100)), true, false);
}

/** The checksum of an ICMP error, which is whole. [RFC 5508 REQ-3] */
bool look_error_valid(const struct look *k)
{
	size_t len = k->len - k->l4;
	uint16_t sum = 0;

	if (k->six) {
		sum = net_sum(net_fold(len + ICMP6), k->ip + 8, 32);
	}
	return net_sum(sum, k->ip + k->l4, len) == 0xffff;
}
