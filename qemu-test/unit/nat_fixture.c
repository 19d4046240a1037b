// SPDX-License-Identifier: MIT
/* See nat_fixture.h. Checksums are computed here word by word, not as the code
 * under test does it. */
#include <stdlib.h>
#include <string.h>

#include "nat_fixture.h"

#define FD	0xfd, 0x10, 0, 0, 0, 0, 0

const struct nat_addr whos[WHOS][2] = {
	[LINUX_0] = { { { 10, 77, 0, 2 } }, { { FD, 0, 0, 0, 0, 0, 0, 0, 0, 2 } } },
	[LINUX_1] = { { { 10, 77, 1, 2 } }, { { FD, 1, 0, 0, 0, 0, 0, 0, 0, 2 } } },
	[GATE_0] = { { { 10, 77, 0, 1 } }, { { FD, 0, 0, 0, 0, 0, 0, 0, 0, 1 } } },
	[GATE_1] = { { { 10, 77, 1, 1 } }, { { FD, 1, 0, 0, 0, 0, 0, 0, 0, 1 } } },
	[OUTSIDE] = { { { 192, 0, 2, 15 } }, { { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1,
						 0, 0, 0, 0, 0, 0, 0, 15 } } },
	[PEER] = { { { 198, 51, 100, 7 } }, { { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 2,
						0, 0, 0, 0, 0, 0, 0, 7 } } },
	[OTHER] = { { { 203, 0, 113, 9 } }, { { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 3,
						0, 0, 0, 0, 0, 0, 0, 9 } } },
};

struct nat *nat;
struct delivered delivered[64];
unsigned deliveries, to, host_proto, host_port, taken_from, taken_to;
uint64_t now;
bool down_by_delivery;

static uint16_t add(const uint8_t *at, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

/* Of the pseudo-header. */
static uint16_t pseudo(const uint8_t *ip, uint8_t proto, size_t len)
{
	uint16_t sum = ip[0] >> 4 == 6 ? add(ip + 8, 32, 0) : add(ip + 12, 8, 0);
	uint8_t rest[4] = { (uint8_t)(len >> 8), (uint8_t)len, 0, proto };

	return add(rest, 4, sum);
}

static unsigned csum_at(uint8_t proto)
{
	return proto == TCP ? 16 : proto == UDP ? 6 : 2;
}

static size_t transport(uint8_t *at, const struct spec *s)
{
	size_t len = s->proto == TCP ? 20 : 8;

	memset(at, 0, len + s->payload);
	if (s->proto == TCP || s->proto == UDP) {
		net_put16(at, s->sport);
		net_put16(at + 2, s->dport);
	} else {
		at[0] = s->type;
		at[1] = s->code;
		net_put16(at + 4, s->sport);
	}
	if (s->proto == TCP) {
		for (unsigned i = 0; i < 4; i++) {
			at[4 + i] = (uint8_t)(s->seq >> (24 - 8 * i));
			at[8 + i] = (uint8_t)(s->ack >> (24 - 8 * i));
		}
		at[12] = 5 << 4;
		at[13] = s->flags;
		at[14] = 0x40;
	} else if (s->proto == UDP) {
		net_put16(at + 4, (uint16_t)(8 + s->payload));
	}
	if (s->inner != NULL) {
		memcpy(at + 8, s->inner, s->inner_len);
		return len + s->inner_len;
	}
	for (unsigned i = 0; i < s->payload; i++) {
		at[len + i] = (uint8_t)(i * 7 + 3);
	}
	return len + s->payload;
}

/* The header, and a fragment header where IPv6 needs one; returns their
 * length. */
static size_t network(uint8_t *ip, const struct spec *s)
{
	bool fragment = s->more || s->offset != 0;
	size_t at = s->six ? 40 : s->options ? 24 : 20;

	memset(ip, 0, 48);
	if (s->six) {
		ip[0] = 0x60;
		ip[6] = s->proto;
		ip[7] = s->hops != 0 ? s->hops : 64;
		memcpy(ip + 8, whos[s->from][1].b, 16);
		memcpy(ip + 24, whos[s->to][1].b, 16);
		if (fragment) {
			ip[6] = 44;
			ip[40] = s->proto;
			net_put16(ip + 42, (uint16_t)(s->offset | s->more));
			net_put16(ip + 46, (uint16_t)s->id);
			at += 8;
		}
		return at;
	}
	ip[0] = (uint8_t)(0x40 | at / 4);
	net_put16(ip + 4, (uint16_t)s->id);
	net_put16(ip + 6, (uint16_t)(s->offset / 8 | (s->more ? 0x2000 : 0) |
				     (s->df ? 0x4000 : 0)));
	ip[8] = s->hops != 0 ? s->hops : 64;
	ip[9] = s->proto;
	memcpy(ip + 12, whos[s->from][0].b, 4);
	memcpy(ip + 16, whos[s->to][0].b, 4);
	return at;
}

void make(struct packet *packet, const struct spec *s)
{
	uint8_t *ip = packet->room + NET_HEADROOM;
	size_t at = network(ip, s), len = s->payload;
	unsigned csum = csum_at(s->proto);

	if (s->offset == 0) {
		len = transport(ip + at, s);
		uint16_t sum = s->proto == ICMP ? 0 : pseudo(ip, s->proto, len);

		if (!s->partial) {
			sum = (uint16_t)~add(ip + at, len, sum);
			sum = sum == 0 && s->proto == UDP ? 0xffff : sum;
		}
		net_put16(ip + at + csum, s->no_csum ? 0 : sum);
	} else {
		memset(ip + at, 0x5a, len);
	}
	packet->p = (struct net_packet){
		.data = ip, .len = at + len,
		.space = sizeof(packet->room) - NET_HEADROOM,
		.flags = s->partial ? NET_NEEDS_CSUM : 0,
		.csum_start = (uint16_t)(s->partial ? at : 0),
		.csum_offset = (uint16_t)(s->partial ? csum : 0),
	};
	if (s->six) {
		net_put16(ip + 4, (uint16_t)(packet->p.len - 40));
	} else {
		net_put16(ip + 2, (uint16_t)packet->p.len);
		net_put16(ip + 10, (uint16_t)~add(ip, s->options ? 24 : 20, 0));
	}
}

/* [RFC 1071]; depth 1: its end may be missing, then only the header is judged. 2: not
 * what is within. */
static bool judge(const uint8_t *ip, size_t len, bool partial, unsigned depth)
{
	bool six = ip[0] >> 4 == 6, fragment;
	size_t at = six ? 40 : (ip[0] & 15u) * 4, total;
	uint8_t proto = six ? ip[6] : ip[9];
	uint16_t sum, field;

	if (!six && add(ip, at, 0) != 0xffff) {
		return false;
	}
	fragment = six ? proto == 44 : (net_get16(ip + 6) & 0x3fff) != 0;
	total = six ? 40u + net_get16(ip + 4) : net_get16(ip + 2);
	if (fragment || (proto != TCP && proto != UDP &&
			 proto != (six ? ICMPV6 : ICMP)) || total > len) {
		return depth == 1 || total <= len;
	}
	if (at + csum_at(proto) + 2 > total) {
		return true;
	}
	field = net_get16(ip + at + csum_at(proto));
	if (proto == UDP && field == 0 && !partial) {
		return true;
	}
	sum = proto == ICMP ? 0 : pseudo(ip, proto, total - at);
	if (partial) {
		return field == sum;
	}
	if (add(ip + at, total - at, sum) != 0xffff) {
		return false;
	}
	if (depth == 2) {
		return true;
	}
	if ((proto == ICMP && (ip[at] == 3 || ip[at] == 11 || ip[at] == 12)) ||
	    (proto == ICMPV6 && ip[at] < 128)) {
		return judge(ip + at + 8, total - at - 8, false, 1);
	}
	return true;
}

bool sums_right(const uint8_t *ip, size_t len, bool partial)
{
	return judge(ip, len, partial, 0);
}

bool header_right(const uint8_t *ip, size_t len)
{
	return judge(ip, len, false, 2);
}

static bool is_open(void *arg, unsigned which, uint8_t proto, uint16_t port)
{
	(void)arg;
	(void)which;
	return proto == host_proto && port == host_port;
}

static bool is_taken(void *arg, bool six, uint8_t proto, uint16_t port)
{
	(void)arg;
	(void)six;
	(void)proto;
	return port >= taken_from && port < taken_to;
}

static void deliver(void *arg, enum nat_way way, unsigned which,
		    struct net_packet *p)
{
	struct delivered *d = &delivered[deliveries++ % 64];

	(void)arg;
	*d = (struct delivered){ .way = way, .to = which, .len = p->len };
	memcpy(d->data, p->data, p->len < sizeof(d->data) ? p->len
							  : sizeof(d->data));
	if (down_by_delivery) {
		nat_linux_down(nat, 0);
	}
}

struct nat_config fixture_config(unsigned sessions)
{
	return (struct nat_config){
		.sessions = sessions, .rate = 1000,
		.seed = { 0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu,
			  0x165667b19e3779f9u, 0xd6e8feb86659fd93u },
		.host_port = is_open, .taken = is_taken, .deliver = deliver,
	};
}

void fixture_begin(const struct nat_config *config)
{
	deliveries = host_proto = host_port = taken_from = taken_to = 0;
	now = 1000;
	down_by_delivery = false;
	nat = nat_new(config);
	for (unsigned i = 0; i < 2; i++) {
		struct nat_link link = {
			{ whos[LINUX_0 + i][0], whos[LINUX_0 + i][1] },
			{ whos[GATE_0 + i][0], whos[GATE_0 + i][1] },
		};

		if (nat == NULL || nat_linux_up(nat, i, &link) != 0) {
			abort();
		}
	}
	nat_outside(nat, whos[OUTSIDE], 1500);
}

void fixture_end(void)
{
	nat_free(nat);
	nat = NULL;
}

enum nat_way out(unsigned which, struct packet *packet)
{
	return nat_from_linux(nat, which, &packet->p, now, &to);
}

enum nat_way in(struct packet *packet)
{
	return nat_from_wire(nat, &packet->p, now, &to);
}

static const uint8_t *l4(const struct packet *packet)
{
	const uint8_t *ip = packet->p.data;

	return ip[0] >> 4 == 6 ? ip + (ip[6] == 44 ? 48 : 40)
			       : ip + (ip[0] & 15u) * 4;
}

static bool is_icmp(const struct packet *packet)
{
	const uint8_t *ip = packet->p.data;

	return ip[0] >> 4 == 6 ? ip[6] == ICMPV6 : ip[9] == ICMP;
}

uint16_t sport(const struct packet *packet)
{
	return net_get16(l4(packet) + (is_icmp(packet) ? 4 : 0));
}

uint16_t dport(const struct packet *packet)
{
	return net_get16(l4(packet) + (is_icmp(packet) ? 4 : 2));
}

static bool has(const struct packet *packet, enum who who, bool dst)
{
	const uint8_t *ip = packet->p.data;
	bool six = ip[0] >> 4 == 6;
	unsigned len = six ? 16 : 4;

	return memcmp(ip + (six ? 8 : 12) + (dst ? len : 0), whos[who][six].b,
		      len) == 0;
}

bool is_from(const struct packet *packet, enum who who)
{
	return has(packet, who, false);
}

bool is_to(const struct packet *packet, enum who who)
{
	return has(packet, who, true);
}
