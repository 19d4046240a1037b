// SPDX-License-Identifier: MIT
/*
 * ICMP errors: those that pass, with the packet that is in them, and those that
 * are made here. None touches the session that it speaks of: who can guess one
 * cannot end a connection. [RFC 5508 REQ-3 to REQ-6, REQ-8; RFC 4787 REQ-12]
 */
#include "host-bridge/net/nat_int.h"

#define ERROR_HEADER	8u
#define ERROR_RATE	100u		/* a second, and to each */
#define ERROR_HOPS	64u

/* The packet in an error; false: none that can be translated. */
static bool open_error(const struct look *k, struct look *in)
{
	unsigned at = k->l4 + ERROR_HEADER;

	return !k->more && k->csum != 0 && at < k->len && look_error_valid(k) &&
	       look_at(in, k->ip + at, k->len - at, k) && in->six == k->six &&
	       (in->six || net_sum(0, in->ip, in->l4) == 0xffff);
}

/** An error of Linux's about a packet that it got: false if it got none such. */
bool nat_error_out(struct nat *n, unsigned which, struct look *k)
{
	const uint8_t *outside = n->outside[k->six].b;
	struct nat_session *s;
	struct nat_key key;
	struct look in;

	if (!open_error(k, &in) || in.at[TO] == 0 ||
	    memcmp(in.ip + in.addr[TO], nat_inside(n, which, k->six),
		   in.addr_len) != 0) {
		return false;
	}
	key = nat_key(&in, which, FROM, in.port[TO]);
	s = nat_find(n, &key);
	if (s == NULL) {
		return false;
	}
	look_change(&in, TO, outside, s->mapping->outside);
	look_change(k, FROM, outside, 0);
	return true;
}

/** An error from the wire, about a packet of Linux's or of the host's own. */
enum nat_way nat_error_in(struct nat *n, struct look *k, unsigned from,
			  unsigned *to)
{
	struct nat_mapping *m;
	struct nat_key key;
	struct look in;

	if (!open_error(k, &in)) {
		return nat_drop(n, from, NAT_MALFORMED);
	}
	m = in.at[FROM] == 0 ? NULL :
	    nat_by_outside(n, k->six, in.proto, in.port[FROM]);
	if (m == NULL || memcmp(in.ip + in.addr[FROM], n->outside[k->six].b,
				in.addr_len) != 0) {
		return NAT_HOST;
	}
	key = nat_key(&in, m->which, TO, m->inside);
	if (nat_find(n, &key) == NULL) {
		return nat_drop(n, from, NAT_FILTERED);
	}
	look_change(&in, FROM, nat_inside(n, m->which, k->six), m->inside);
	look_change(k, TO, nat_inside(n, m->which, k->six), 0);
	*to = m->which;
	return NAT_LINUX;
}

/* The error's own header, in front of what it is about. */
static void fill(uint8_t *ip, size_t len, const struct look *k,
		 const uint8_t *from, const uint8_t kind[2], unsigned mtu)
{
	unsigned header = k->six ? 40 : 20;
	uint8_t *icmp = ip + header;
	uint16_t sum = 0;

	memset(ip, 0, header + ERROR_HEADER);
	memcpy(ip + k->addr[FROM], from, k->addr_len);
	memcpy(ip + k->addr[TO], k->ip + k->addr[FROM], k->addr_len);
	if (k->six) {
		ip[0] = 0x60;
		net_put16(ip + 4, (uint16_t)(len - header));
		ip[6] = ICMP6;
		ip[7] = ERROR_HOPS;
		sum = net_sum(net_fold(len - header + ICMP6), ip + 8, 32);
	} else {
		ip[0] = 0x45;
		net_put16(ip + 2, (uint16_t)len);
		ip[8] = ERROR_HOPS;
		ip[9] = ICMP4;
		net_put16(ip + 10, (uint16_t)~net_sum(0, ip, header));
	}
	memcpy(icmp, kind, 2);
	net_put16(icmp + 6, (uint16_t)mtu);	/* of both, where it matters */
	net_put16(icmp + 2, (uint16_t)~net_sum(sum, icmp, len - header));
}

/**
 * Tells the sender, Linux or one on the wire, what cannot be done with its packet,
 * which is as it came. Not about errors, and not more than so many a second.
 * [RFC 1812 "ICMP Error Messages"; RFC 4443 "Message Processing Rules"]
 */
void nat_refuse(struct nat *n, unsigned which, const struct look *k,
		enum nat_refusal why)
{
	static const uint8_t kinds[][2][2] = {	/* IPv4, IPv6 */
		[ERROR_TTL] = { { 11, 0 }, { 3, 0 } },
		[ERROR_TOO_BIG] = { { 3, 4 }, { 2, 0 } },
		[ERROR_NO_ROUTE] = { { 3, 0 }, { 1, 0 } },
		[ERROR_REFUSED] = { { 3, 13 }, { 1, 1 } },
	};
	static uint8_t room[NET_HEADROOM + 1280];
	bool wire = which == NAT_LINUXES;
	const uint8_t *from = wire ? n->outside[k->six].b :
			      n->part[which].link.host_end[k->six].b;
	unsigned header = (k->six ? 40 : 20) + ERROR_HEADER;
	size_t most = (k->six ? 1280 : 576) - header, len = k->len;
	struct net_packet p = {
		.data = room + NET_HEADROOM, .space = sizeof(room) - NET_HEADROOM,
	};

	if (k->kind == LOOK_ERROR || k->kind == LOOK_LATER ||
	    !nat_pass(&n->part[which].errors, n->now, ERROR_RATE)) {
		return;
	}
	len = len < most ? len : most;
	p.len = header + len;
	memcpy(p.data + header, k->ip, len);
	fill(p.data, p.len, k, from, kinds[why][k->six],
	     why == ERROR_TOO_BIG ? n->mtu : 0);
	n->part[which].counts[NAT_ERRORS_MADE]++;
	n->config.deliver(n->config.arg, wire ? NAT_WIRE : NAT_LINUX, which, &p);
}
