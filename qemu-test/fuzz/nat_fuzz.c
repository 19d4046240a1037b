// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: the NAT between two Linuxes and a wire, with small tables.
 * The input is a list of steps: packets from each side, sound ones and others,
 * errors, fragments, time, ports, addresses. What must hold after each: no access
 * outside, the tables agree with each other and are within bounds; a checksum that
 * was right is right; nothing on the wire has a Linux's address; Linux gets what is
 * to it, and the host what is to it, as it came; who answers what Linux has sent
 * reaches it.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/net/nat_int.h"

/* Names of the fixture's that the NAT has too, with the same values. */
#undef TCP
#undef UDP
#include "qemu-test/unit/nat_fixture.h"

#define SESSIONS	6u
#define MUST(what)	do { if (!(what)) abort(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *at, *end;
static struct packet packet, before;

static unsigned take(void)
{
	return at < end ? *at++ : 0;
}

/* ---- What must hold ---- */

static void check_session(const struct nat_session *s, unsigned which)
{
	struct nat_key key = s->key;

	MUST(s->key.which == which && s->mapping->which == which);
	MUST(s->mapping->inside == key.inside && s->mapping->proto == key.proto);
	MUST(s->mapping->sessions > 0 && s->mapping->six == key.six);
	MUST(nat_by_outside(nat, key.six, key.proto, s->mapping->outside) ==
	     s->mapping);
	MUST(s->used <= nat->now);
	for (const struct nat_session *t = s->newer; t != NULL; t = t->newer) {
		MUST(memcmp(&t->key, &key, sizeof(key)) != 0);
		MUST(t->used >= s->used && t->class == s->class);
	}
}

static void check_tables(void)
{
	unsigned sessions = 0, mapped = 0, fixed = 0, listed = 0;

	for (size_t i = 0; i < (size_t)1 << nat->bits; i++) {
		for (struct nat_mapping *m = nat->outer[i]; m != NULL;
		     m = m->outer) {
			MUST(m->fixed || m->sessions > 0);
			MUST(nat_by_outside(nat, m->six, m->proto,
					    m->outside) == m);
			mapped += m->sessions;
			fixed += m->fixed;
		}
		for (struct nat_session *s = nat->sessions[i]; s != NULL;
		     s = s->next) {
			sessions++;
		}
	}
	for (unsigned i = 0; i <= NAT_LINUXES; i++) {
		const struct nat_part *part = &nat->part[i];
		size_t held = 0;

		MUST(part->count <= SESSIONS);
		for (unsigned class = 0; class < NAT_CLASSES; class++) {
			const struct nat_session *s = part->list[class].oldest;

			for (; s != NULL; s = s->newer) {
				check_session(s, i);
				listed++;
			}
		}
		for (unsigned j = 0; j < FRAGS; j++) {
			const struct nat_held *h = part->frag[j].held;

			for (; h != NULL; h = h->next) {
				held += sizeof(*h) + NET_HEADROOM + h->len;
			}
		}
		MUST(held == part->held && held <= HELD_BYTES);
		fixed -= part->fixed;
	}
	MUST(fixed == 0 && sessions == mapped && sessions == listed);
}

static bool is_whose(const uint8_t *ip, enum who who, bool dst)
{
	bool six = ip[0] >> 4 == 6;
	unsigned len = six ? 16 : 4;

	return memcmp(ip + (six ? 8 : 12) + (dst ? len : 0), whos[who][six].b,
		      len) == 0;
}

/* A packet that goes somewhere, changed or made. */
static void check_way(enum nat_way way, unsigned which, const uint8_t *ip)
{
	if (way == NAT_WIRE) {
		MUST(is_whose(ip, OUTSIDE, false));
		for (unsigned who = LINUX_0; who <= GATE_1; who++) {
			MUST(!is_whose(ip, who, true));
		}
	} else if (way == NAT_LINUX) {
		MUST(which < 2 && is_whose(ip, LINUX_0 + which, true));
		MUST(!is_whose(ip, LINUX_0, false) &&
		     !is_whose(ip, LINUX_1, false));
	} else {
		MUST(way == NAT_HOST && which >= NAT_LINUXES);
	}
}

static bool has_error(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 && ip[9] == ICMP &&
	       (ip[20] == 3 || ip[20] == 11 || ip[20] == 12);
}

/* The address within an error that is on the wire. */
static void check_inner(const uint8_t *ip, size_t len)
{
	if (has_error(ip) && (ip[0] & 15) == 5 && len >= 48) {
		MUST(!is_whose(ip + 28, LINUX_0, false) &&
		     !is_whose(ip + 28, LINUX_0, true));
	}
}

/* Fragments that were held, and errors, made here. */
static void check_deliveries(void)
{
	for (; deliveries > 0; deliveries--) {
		const struct delivered *d = &delivered[(deliveries - 1) % 64];
		const uint8_t *ip = d->data;

		if (d->way == NAT_HOST) {
			continue;
		}
		check_way(d->way, d->to, ip);
		if (ip[0] >> 4 == 6 ? ip[6] == ICMPV6 && ip[40] < 128
				    : has_error(ip) && !(net_get16(ip + 6) & 0x1fff)) {
			MUST(header_right(ip, d->len));
		}
	}
}

/* ---- Steps ---- */

static void note(void)
{
	memcpy(before.room + NET_HEADROOM, packet.p.data, packet.p.len);
	before.p = packet.p;
	before.p.data = before.room + NET_HEADROOM;
}

/* A packet goes through, from a Linux or, wire, from there. */
static enum nat_way go(unsigned which, bool wire)
{
	size_t len = packet.p.len;
	enum nat_way way;

	note();
	way = wire ? in(&packet) : out(which, &packet);
	MUST(packet.p.len <= len);
	MUST(packet.p.gso_size == before.p.gso_size &&
	     packet.p.flags == before.p.flags);
	if (way == NAT_HOST || way == NAT_DROP || way == NAT_HELD) {
		/* A hairpin is dropped when it has changed. */
		MUST(way != NAT_HOST || !wire || memcmp(packet.p.data,
				before.p.data, packet.p.len) == 0);
	} else {
		bool partial = (packet.p.flags & NET_NEEDS_CSUM) != 0;

		check_way(way, to, packet.p.data);
		before.p.len = packet.p.len;
		MUST(!sums_right(before.p.data, before.p.len, partial) ||
		     sums_right(packet.p.data, packet.p.len, partial));
		if (way == NAT_WIRE) {
			check_inner(packet.p.data, packet.p.len);
		}
	}
	check_deliveries();
	check_tables();
	return way;
}

static struct spec some(bool wire, unsigned which)
{
	static const uint8_t protos[] = { 17, 6, 1, 17, 6, 6, 17, 132 };
	static const uint8_t flags[] = { SYN, ACK, SYN | ACK, FIN | ACK, RST, 0,
					 SYN, ACK };
	static const uint8_t types[2][8] = {
		{ 8, 0, 8, 0, 13, 14, 5, 8 },
		{ 128, 129, 128, 129, 135, 3, 1, 128 },
	};
	static const enum who peers[] = { PEER, OTHER, PEER, OUTSIDE, GATE_0,
					  LINUX_1, GATE_1, PEER };
	static const unsigned ports[] = { 4000, 4001, 22, 65000 };
	unsigned a = take(), b = take(), c = take();
	struct spec s = {
		.six = a & 1, .proto = protos[a >> 1 & 7],
		.sport = (uint16_t)ports[a >> 4 & 3],
		.dport = (uint16_t)ports[a >> 6 & 3],
		.flags = flags[b & 7], .type = types[a & 1][b & 7],
		.from = LINUX_0 + which, .to = peers[b >> 3 & 7],
		.more = (b & 0xc0) == 0x40, .offset = (b & 0xc0) == 0x80 ? 16 : 0,
		.df = b & 0x80, .id = c & 3, .payload = c >> 2 & 31,
		.no_csum = (c & 0xe0) == 0xe0, .seq = 100, .ack = 101,
		.hops = (c & 0xf0) == 0xd0 ? 1 : 0,
		.partial = (c & 0xf0) == 0xc0 && (b & 0xc0) == 0 &&
			   protos[a >> 1 & 7] != 1 && protos[a >> 1 & 7] != 132,
		.options = (c & 0xff) == 0xb7,
	};

	if (s.six && s.proto == ICMP) {
		s.proto = ICMPV6;
	}
	if (wire) {
		s.from = s.to == OUTSIDE ? OTHER : s.to;
		s.to = OUTSIDE;
	}
	return s;
}

static void sound(bool wire, unsigned which)
{
	struct spec s = some(wire, which);
	unsigned to_port = s.dport;
	enum nat_way way;

	make(&packet, &s);
	if (s.partial && (s.flags & ACK) != 0) {
		packet.p.gso_type = s.proto == 17 ? NET_GSO_UDP_L4 :
				    s.six ? NET_GSO_TCPV6 : NET_GSO_TCPV4;
		packet.p.gso_size = 10;
	}
	way = go(which, wire);
	if (way != NAT_WIRE || s.more || s.offset != 0 ||
	    (s.proto != 17 && s.proto != 6) || s.options) {
		return;
	}
	/* Who got it answers. */
	struct spec answer = { .six = s.six, .proto = s.proto, .from = s.to,
			       .to = OUTSIDE, .sport = (uint16_t)to_port,
			       .dport = sport(&packet), .flags = ACK };

	make(&packet, &answer);
	MUST(go(which, true) == NAT_LINUX && to == which);
	MUST(dport(&packet) == s.sport);
}

/* A connection of Linux's is opened. */
static void open_one(unsigned which)
{
	unsigned a = take();
	struct spec s = { .six = a & 1, .proto = 6, .from = LINUX_0 + which,
			  .to = a & 2 ? OTHER : PEER, .dport = 80, .flags = SYN,
			  .sport = (uint16_t)(4000 + (a >> 2 & 7)), .seq = 100 };

	make(&packet, &s);
	if (go(which, false) == NAT_WIRE) {
		s.dport = sport(&packet);
		s.from = s.to;
		s.to = OUTSIDE;
		s.sport = 80;
		s.flags = SYN | ACK;
		s.ack = 101;
		make(&packet, &s);
		MUST(go(which, true) == NAT_LINUX && to == which);
	}
}

static void an_error(bool wire, unsigned which)
{
	static struct packet inner;
	struct spec s = some(!wire, which), error;
	unsigned cut = take();

	if (!wire) {
		s.from = s.to = OUTSIDE;
		s.from = PEER;
		s.to = cut & 0x80 ? LINUX_0 + which : OUTSIDE;
	} else if ((cut & 0x80) != 0) {
		s.from = OUTSIDE;
		s.to = PEER;
	}
	make(&inner, &s);
	error = (struct spec){ .six = s.six, .proto = s.six ? ICMPV6 : ICMP,
			       .type = s.six ? 1 : 3, .inner = inner.p.data };
	error.inner_len = (unsigned)inner.p.len - cut % 16;
	error.hops = cut & 0x10 ? 1 : 0;
	error.from = wire ? OTHER : LINUX_0 + which;
	error.to = wire ? OUTSIDE : cut & 0x40 ? OUTSIDE : PEER;
	make(&packet, &error);
	(void)go(which, wire);
}

/* Bytes as they come, or a sound packet with some changed. */
static void unsound(bool wire, unsigned which)
{
	unsigned how = take();

	if ((how & 3) == 0) {
		packet.p = (struct net_packet){
			.data = packet.room + NET_HEADROOM, .len = how >> 2,
			.space = 100,
		};
		for (unsigned i = 0; i < how >> 2; i++) {
			packet.p.data[i] = (uint8_t)take();
		}
	} else {
		struct spec s = some(wire, which);

		make(&packet, &s);
		for (unsigned i = 0; i < (how & 3); i++) {
			unsigned where = take();

			packet.p.data[where % packet.p.len] = (uint8_t)take();
		}
		packet.p.len -= how >> 2 & 3;
		if ((how & 0x10) != 0) {
			packet.p.flags = (uint8_t)take();
			packet.p.gso_type = (uint8_t)take();
			packet.p.gso_size = (uint16_t)take();
			packet.p.csum_start = (uint16_t)take();
			packet.p.csum_offset = (uint16_t)take();
		}
	}
	/* The exact size, for ASan. */
	uint8_t *copy = malloc(packet.p.len + 1), *room = packet.p.data;

	memcpy(copy, packet.p.data, packet.p.len);
	packet.p.data = copy;
	(void)go(which, wire);
	free(copy);
	packet.p.data = room;
}

static void ports(void)
{
	unsigned a = take();
	uint16_t port = (uint16_t)(4000 + (a >> 4 & 3));

	if (a & 1) {
		(void)nat_forward(nat, a >> 1 & 1, a >> 2 & 1, a & 8 ? 6 : 17,
				  port, a & 0x40 ? 22 : port);
	} else {
		nat_unforward(nat, a >> 2 & 1, a & 8 ? 6 : 17, port);
	}
}

static void life(void)
{
	struct nat_addr none[2] = { 0 };
	unsigned a = take(), which = a >> 3 & 1;
	const struct nat_addr *end = whos[LINUX_0 + which];
	const struct nat_addr *gate = whos[GATE_0 + which];
	struct nat_link link = { { end[0], end[1] }, { gate[0], gate[1] } };

	switch (a & 7) {
	case 0:
		nat_outside(nat, a & 8 ? none : whos[OUTSIDE],
			    a & 16 ? 1500 : 60);
		break;
	case 1:
		MUST(nat_linux_up(nat, which, &link) == 0);
		break;
	case 2:
		nat_linux_down(nat, which);
		break;
	case 3:
		host_proto = a & 8 ? 6 : 17;
		host_port = 22;
		break;
	case 4:
		taken_from = 4000;
		taken_to = a & 16 ? 65536 : a & 8 ? 4000 : 4002;
		break;
	case 5:
		down_by_delivery = which;
		break;
	default:
		nat_tick(nat, now);
	}
	check_tables();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned steps[] = { 1, 100, 5000, 30000, 60000, 120000,
					  240000, 7440000 };
	struct nat_config config = fixture_config(SESSIONS);
	unsigned op;

	at = data;
	end = data + size;
	op = take();
	config.open = op & 1;
	config.rate = op & 2 ? 4 : 1000;
	fixture_begin(&config);
	while (at < end) {
		op = take();
		unsigned which = op >> 7, wire = op >> 6 & 1;

		if ((op & 15) < 9) {
			sound(wire, which);
		} else if ((op & 15) == 9) {
			an_error(wire, which);
		} else if ((op & 15) == 10) {
			open_one(which);
		} else if ((op & 15) < 13) {
			unsound(wire, which);
		} else if ((op & 15) == 13) {
			now += steps[op >> 4 & 7];
		} else if ((op & 15) == 14) {
			ports();
			check_tables();
		} else {
			life();
		}
	}
	fixture_end();
	return 0;
}
