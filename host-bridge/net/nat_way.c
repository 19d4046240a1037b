// SPDX-License-Identifier: MIT
/*
 * The way of each packet: whose it is, whether it may pass, and where it goes.
 *
 *   from Linux   its own source only -> to the host's addresses: policy, or hairpin
 *                                    -> elsewhere: a session, translated, the wire
 *   from wire    to the outside address and a mapped port: filter, translated, Linux
 *                anything else: the host's own stack
 */
#include "host-bridge/net/nat_int.h"

static bool is(const struct look *k, enum look_side side,
	       const struct nat_addr addr[2])
{
	const uint8_t *at = k->ip + k->addr[side];

	return k->six ? memcmp(at, addr[1].b, 16) == 0
		      : memcmp(at, addr[0].b, 4) == 0;
}

/* Whether it is an address of a link to a Linux, there or gone. */
static bool is_link(const struct nat *n, const struct look *k,
		    enum look_side side)
{
	for (unsigned i = 0; i < n->links; i++) {
		const struct nat_part *part = &n->part[i];

		if (part->known && (is(k, side, part->link.linux_end) ||
				    is(k, side, part->link.host_end))) {
			return true;
		}
	}
	return false;
}

/* Whether it is nobody's, or many's, or means another machine on each wire. */
static bool is_odd(const struct look *k, enum look_side side)
{
	const uint8_t *a = k->ip + k->addr[side];

	return k->six ? a[0] == 0xff || a[0] == 0 ||
			(a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
		      : a[0] == 0 || a[0] == 127 || a[0] >= 224 ||
			(a[0] == 169 && a[1] == 254);
}

/* Whether the wire does not take it as it is: it must not be cut, or a segment of
 * it is too long. [RFC 4787 REQ-13] */
static bool is_too_big(const struct nat *n, const struct look *k,
		       const struct net_packet *p)
{
	size_t len = k->len;

	if (p->gso_type != NET_GSO_NONE) {
		len = k->l4 + p->gso_size +
		      (k->proto == TCP ? (k->ip[k->l4 + 12] >> 4) * 4u : 8u);
	}
	return len > n->mtu && (k->six || (k->ip[6] & 0x40) != 0);
}

/* TCP begins with a SYN, or goes on: of a connection that was open before its
 * session was lost. */
static bool may_begin(const struct look *k)
{
	uint8_t flags = k->proto == TCP ? k->ip[k->l4 + 13] : TCP_SYN;

	flags &= TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST;
	return flags == TCP_SYN || flags == TCP_ACK;
}

/** The key of a session: remote is the side that is not Linux's. */
struct nat_key nat_key(const struct look *k, unsigned which,
		       enum look_side remote, uint16_t inside)
{
	struct nat_key key = {
		.port = k->proto == TCP ? k->port[remote] : 0,
		.inside = inside, .proto = k->proto, .six = k->six,
		.which = (uint8_t)which,
	};

	memcpy(key.remote, k->ip + k->addr[remote], k->addr_len);
	return key;
}

/* To the outside address, from the wire or, a hairpin, from a Linux. */
static enum nat_way come_in(struct nat *n, struct look *k, unsigned from,
			    unsigned *to)
{
	enum nat_count why = NAT_FILTERED;
	struct nat_session *s;
	struct nat_mapping *m;
	struct nat_key key;

	if (k->kind == LOOK_ERROR) {
		return nat_error_in(n, k, from, to);
	}
	m = k->at[TO] == 0 ? NULL :
	    nat_by_outside(n, k->six, k->proto, k->port[TO]);
	if (m == NULL) {
		return NAT_HOST;
	}
	key = nat_key(k, m->which, FROM, m->inside);
	s = nat_find(n, &key);
	if (s != NULL && s->mapping != m) {
		/* He speaks to the same port of Linux's in two ways. */
		if (s->class == NAT_TCP || !m->fixed) {
			return nat_drop(n, from, NAT_FILTERED);
		}
		nat_session_free(n, s);
		s = NULL;
	}
	if (s == NULL) {		/* its mapping may have ended with it */
		m = nat_by_outside(n, k->six, k->proto, k->port[TO]);
	}
	if (m != NULL && s == NULL && (m->fixed || n->config.open) &&
	    may_begin(k)) {
		s = nat_begin(n, &key, m, &why);
	}
	if (s == NULL) {
		return nat_drop(n, from, why);
	}
	nat_track(n, s, k, true);
	look_change(k, TO, nat_inside(n, key.which, k->six), key.inside);
	*to = key.which;
	return NAT_LINUX;
}

/* The session of what Linux sends; NULL: it is dropped. */
static struct nat_session *session_out(struct nat *n, unsigned which,
				       struct look *k)
{
	struct nat_key key = nat_key(k, which, TO, k->port[FROM]);
	struct nat_session *s = nat_find(n, &key);
	enum nat_count why = NAT_NO_SESSION;

	if (s == NULL && may_begin(k)) {
		s = nat_begin(n, &key, NULL, &why);
	}
	if (s == NULL) {
		n->part[which].counts[why]++;
		if (why != NAT_NO_SESSION) {
			nat_refuse(n, which, k, ERROR_REFUSED);
		}
		return NULL;
	}
	nat_track(n, s, k, false);
	return s;
}

/* Refused, with an ICMP error to who sent it. */
static enum nat_way refuse(struct nat *n, unsigned from, const struct look *k,
			   enum nat_refusal error, enum nat_count why)
{
	nat_refuse(n, from, k, error);
	return nat_drop(n, from, why);
}

/* From Linux to the wire, or to the outside address if back. */
static enum nat_way go_out(struct nat *n, unsigned which, struct look *k,
			   const struct net_packet *p, bool back, unsigned *to)
{
	struct nat_session *s;

	if (k->options) {
		return nat_drop(n, which, NAT_OPTIONS);
	}
	if (!n->has[k->six]) {
		return refuse(n, which, k, ERROR_NO_ROUTE, NAT_NO_ADDRESS);
	}
	if (look_hops(k) <= 1) {
		return refuse(n, which, k, ERROR_TTL, NAT_TTL);
	}
	if (!back && is_too_big(n, k, p)) {
		return refuse(n, which, k, ERROR_TOO_BIG, NAT_TOO_BIG);
	}
	switch (k->kind) {
	case LOOK_PORTS:
	case LOOK_QUERY:
		s = session_out(n, which, k);
		if (s == NULL) {
			return NAT_DROP;
		}
		look_change(k, FROM, n->outside[k->six].b, s->mapping->outside);
		break;
	case LOOK_ERROR:
		if (!nat_error_out(n, which, k)) {
			return nat_drop(n, which, NAT_NO_SESSION);
		}
		break;
	default:
		return nat_drop(n, which, NAT_PROTOCOL);
	}
	look_hop(k);
	if (!back) {
		return NAT_WIRE;
	}
	n->part[which].counts[NAT_HAIRPINS]++;
	return come_in(n, k, which, to);
}

/* What is no later fragment, of Linux's. */
static enum nat_way from_linux(struct nat *n, unsigned which, struct look *k,
			       const struct net_packet *p, unsigned *to)
{
	const struct nat_link *link = &n->part[which].link;
	bool outside = n->has[k->six] && is(k, TO, n->outside);
	bool back = outside && (k->kind == LOOK_ERROR || (k->at[TO] != 0 &&
		    nat_uses(n, k->six, k->proto, k->port[TO])));

	if (back) {
		return go_out(n, which, k, p, true, to);
	}
	if (outside || is(k, TO, link->host_end)) {
		return n->config.host_port(n->config.arg, which, k->proto,
					   k->port[TO]) ?
		       NAT_HOST : nat_drop(n, which, NAT_POLICY);
	}
	return is_link(n, k, TO) || is_odd(k, TO) ?
	       nat_drop(n, which, NAT_FORBIDDEN) :
	       go_out(n, which, k, p, false, to);
}

/* What is no later fragment, to the outside address. */
static enum nat_way from_wire(struct nat *n, struct look *k, unsigned *to)
{
	enum nat_way way;

	if (k->at[TO] != 0 && nat_uses(n, k->six, k->proto, k->port[TO])) {
		if (k->options) {
			return nat_drop(n, NAT_LINUXES, NAT_OPTIONS);
		}
		if (look_hops(k) <= 1) {
			return refuse(n, NAT_LINUXES, k, ERROR_TTL, NAT_TTL);
		}
	}
	way = come_in(n, k, NAT_LINUXES, to);
	if (way == NAT_LINUX && look_hops(k) <= 1) {	/* an ICMP error */
		return nat_drop(n, NAT_LINUXES, NAT_TTL);
	}
	if (way == NAT_LINUX) {
		look_hop(k);
	}
	return way;
}

/* A packet taken apart goes its way; what is in fragments goes with the first. */
static enum nat_way pass(struct nat *n, unsigned from, struct look *k,
			 struct net_packet *p, unsigned *to)
{
	uint8_t key[40];
	enum nat_way way;

	if (k->kind == LOOK_LATER) {
		way = nat_frag_later(n, from, k, to);
	} else {
		if (k->more) {
			nat_frag_key(k, key);
		}
		way = from == NAT_LINUXES ? from_wire(n, k, to)
					  : from_linux(n, from, k, p, to);
		if (k->more) {
			nat_frag_first(n, from, key, k, way, *to);
		}
	}
	n->part[from].counts[NAT_PASSED] += way != NAT_DROP && way != NAT_HELD;
	return way;
}

/**
 * A packet of a Linux's: says where it goes, which is NAT_LINUX when it comes
 * back to *to, and makes it what it is there.
 */
enum nat_way nat_from_linux(struct nat *n, unsigned which,
			    struct net_packet *p, uint64_t now_ms, unsigned *to)
{
	struct look k;

	*to = which;
	n->now = now_ms > n->now ? now_ms : n->now;
	if (!n->part[which].up || !look_at(&k, p->data, p->len, NULL) ||
	    !look_offload(&k, p)) {
		return nat_drop(n, which, NAT_MALFORMED);
	}
	if (!is(&k, FROM, n->part[which].link.linux_end) || is_odd(&k, FROM)) {
		return nat_drop(n, which, NAT_SPOOFED);
	}
	p->len = k.len;
	return pass(n, which, &k, p, to);
}

/** A packet from the wire, of whoever it is. */
enum nat_way nat_from_wire(struct nat *n, struct net_packet *p, uint64_t now_ms,
			   unsigned *to)
{
	struct look k;

	*to = NAT_LINUXES;
	n->now = now_ms > n->now ? now_ms : n->now;
	if (!look_at(&k, p->data, p->len, NULL) || !look_offload(&k, p)) {
		return nat_drop(n, NAT_LINUXES, NAT_MALFORMED);
	}
	if (is_link(n, &k, FROM) || is_link(n, &k, TO)) {
		return nat_drop(n, NAT_LINUXES, NAT_SPOOFED);
	}
	p->len = k.len;
	if (!n->has[k.six] || !is(&k, TO, n->outside)) {
		return NAT_HOST;
	}
	if (is_odd(&k, FROM) || is(&k, FROM, n->outside)) {
		/* Neighbours of IPv6 look so. */
		return k.six ? NAT_HOST : nat_drop(n, NAT_LINUXES, NAT_SPOOFED);
	}
	return pass(n, NAT_LINUXES, &k, p, to);
}
