// SPDX-License-Identifier: MIT
/*
 * Seeded sequences of packets for the NAT and for netfilter's, which nat_pair.c
 * compares. Time stands still: timeouts are the unit tests'.
 *
 *   nat_netfilter SEQUENCES [FIRST_SEED [show]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu-test/diff/nat_pair.h"

#define FLOWS	6u
#define STEPS	16u

static struct flow flows[FLOWS];
static uint64_t state;

static unsigned chance(unsigned of)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 11) % of);
}

/* A packet for both; from the wire, with ports of the outside address that each has
 * chosen, if not 0. */
static void give_spec(unsigned from, struct spec *s, uint16_t our_port,
		      uint16_t their_port)
{
	static struct packet ours, theirs;

	if (from == 2 && our_port != 0) {
		*(s->proto == ICMP || s->proto == ICMPV6 ? &s->sport : &s->dport) =
			our_port;
	}
	make(&ours, s);
	if (from == 2 && our_port != 0) {
		*(s->proto == ICMP || s->proto == ICMPV6 ? &s->sport : &s->dport) =
			their_port;
	}
	make(&theirs, s);
	pair_give(from, &ours, &theirs);
}

static uint8_t icmp(bool six)
{
	return six ? ICMPV6 : ICMP;
}

static bool is_query(const struct flow *f)
{
	return f->proto == ICMP || f->proto == ICMPV6;
}

/* What one end of a flow sends next. */
static struct spec says(const struct flow *f, bool wire)
{
	struct spec s = {
		.six = f->six, .proto = f->proto,
		.from = wire ? f->peer : LINUX_0 + f->which,
		.to = wire ? OUTSIDE : f->peer,
		.sport = wire ? f->peers : f->mine,
		.dport = wire ? f->mine : f->peers,
		.payload = chance(40), .id = chance(0xffff) + 1,
		.seq = wire ? 7001 : 1001, .ack = wire ? 1001 : 7001,
		.flags = ACK,
	};

	if (is_query(f)) {
		s.sport = f->mine;
		s.dport = 0;
		s.type = f->six ? (wire ? 129 : 128) : (wire ? 0 : 8);
	}
	return s;
}

/* Whether the flow, or one of the same ports, had TCP that fits no state: there, it
 * may have ended, and a port be another's. */
static bool is_odd(const struct flow *f)
{
	for (const struct flow *g = flows; g < flows + FLOWS; g++) {
		if (g->used && g->odd && g->six == f->six && g->peer == f->peer &&
		    g->mine == f->mine && g->peers == f->peers) {
			return true;
		}
	}
	return false;
}

/* The flags of a connection as it goes on; now and then others. Whether there may
 * be a difference. */
static bool tcp_flags(struct flow *f, struct spec *s, bool wire)
{
	static const uint8_t any[] = { SYN, SYN | ACK, ACK, FIN | ACK, RST, 0,
				       FIN, RST | ACK };
	bool first = wire == f->inward;		/* who has begun */

	if (f->proto != TCP) {
		return false;
	}
	if (chance(12) == 0) {
		s->flags = any[chance(8)];
		f->odd = true;
	} else if (f->stage == 0 && first) {
		s->flags = SYN;
		s->seq--;
		f->stage = 1;
	} else if (f->stage == 1 && !first) {
		s->flags = SYN | ACK;
		s->seq--;
		f->stage = 2;
	} else if (f->stage == 2 && first) {
		s->flags = ACK;
		f->stage = 3;
	} else if (f->stage >= 3 && chance(6) == 0) {
		s->flags = FIN | ACK;
		f->odd = true;
	} else if (f->stage < 3) {
		f->odd = true;
	}
	return is_odd(f);
}

static struct flow *some_flow(void)
{
	struct flow *f = &flows[chance(FLOWS)];

	return f->used ? f : NULL;
}

/* Linux sends: of a flow that is there, or of a new one. */
static void step_out(void)
{
	static const uint8_t protos[] = { TCP, TCP, UDP, UDP, ICMP };
	struct flow *f = &flows[chance(FLOWS)];
	struct spec s;
	bool odd;

	if (!f->used) {
		*f = (struct flow){
			.used = true, .six = chance(2), .which = chance(2),
			.proto = protos[chance(5)], .peer = PEER + chance(2),
			.mine = (uint16_t)(4000 + chance(3)),
			.peers = (uint16_t)(80 + chance(2)),
		};
		for (struct flow *g = flows; g < flows + FLOWS; g++) {
			if (g != f && g->used && g->six == f->six &&
			    g->which == f->which && g->peer == f->peer &&
			    g->mine == f->mine && g->peers == f->peers) {
				f->used = false;	/* there is one */
				return;
			}
		}
		f->proto = f->proto == ICMP ? icmp(f->six) : f->proto;
	}
	s = says(f, false);
	odd = tcp_flags(f, &s, false);
	current = is_odd(f) ? NULL : f;
	give_spec(f->which, &s, 0, 0);
	if (!pair_compare("from Linux", odd ? NO_STATE : SAME, NAT_WIRE, NAT_DROP) ||
	    pair_way(0) != NAT_WIRE) {
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *at = got[i].r[0].data + (f->six ? 40 : 20);
		uint16_t port = net_get16(at + (is_query(f) ? 4 : 0));

		if (f->seen[i] != 0 && f->seen[i] != port &&
		    (i == 0 || !is_odd(f))) {
			failures++;
			printf("the outside port has changed\n");
		}
		f->seen[i] = port;
	}
}

/* Whether neither NAT knows him at the flow's port; there, two Linuxes may have the
 * same one for different peers, which RFC 4787 REQ-3 forbids. */
static bool is_stranger(const struct flow *f, enum who peer)
{
	for (const struct flow *g = flows; g < flows + FLOWS; g++) {
		if (g->used && g->six == f->six && g->peer == peer &&
		    g->proto == f->proto && (g->seen[1] == f->seen[1] ||
		    (g->which == f->which && g->mine == f->mine))) {
			return false;
		}
	}
	return true;
}

/* He who got it answers, or one who looks like him. */
static void step_in(void)
{
	struct flow *f = some_flow();
	unsigned how = chance(8);
	enum difference may = SAME;
	enum nat_way ours = NAT_LINUX, theirs = NAT_DROP;
	struct spec s;

	if (f == NULL || f->seen[0] == 0 || f->seen[1] == 0) {
		return;
	}
	s = says(f, true);
	if (how == 0 && !f->inward) {		/* from another port */
		if (is_query(f)) {
			return;			/* it has none */
		}
		s.sport += 10;
		s.flags = SYN;
		may = f->proto == UDP ? OTHER_PORT : LINUXS_PORT;
		ours = f->proto == UDP ? NAT_LINUX : NAT_DROP;
		theirs = NAT_HOST;
	} else if (how == 1 && !f->inward) {	/* from a stranger */
		s.from = f->peer == PEER ? OTHER : PEER;
		s.sport = is_query(f) ? s.sport : 4444;
		s.flags = SYN;
		may = LINUXS_PORT;
		ours = NAT_DROP;
		theirs = NAT_HOST;
		if (!is_stranger(f, s.from)) {
			return;
		}
	} else if (tcp_flags(f, &s, true)) {
		may = NO_STATE;
	}
	give_spec(2, &s, f->seen[0], f->seen[1]);
	if (may == NO_STATE && pair_way(1) != NAT_DROP) {
		theirs = pair_way(1);
	}
	pair_compare("from the wire", may, ours, theirs);
}

/* To the port of nobody, or to one that is forwarded, which begins a flow. */
static void step_unsolicited(void)
{
	struct flow *f = &flows[chance(FLOWS)];
	struct spec s;

	if (f->used) {
		return;
	}
	*f = (struct flow){
		.six = chance(2), .inward = true, .proto = chance(2) ? TCP : UDP,
		.peer = PEER + chance(2), .mine = 22,
		.peers = (uint16_t)(5000 + chance(20)),
	};
	s = says(f, true);
	if (chance(3) == 0) {
		s.dport = 23;
		s.flags = SYN;
		give_spec(2, &s, 0, 0);
		pair_compare("to the host", SAME, 0, 0);
		return;
	}
	for (struct flow *g = flows; g < flows + FLOWS; g++) {
		if (g->used && g->inward && g->six == f->six &&
		    g->peer == f->peer && g->peers == f->peers) {
			return;
		}
	}
	f->used = true;
	f->seen[0] = f->seen[1] = 22;
	s.flags = SYN;
	s.seq--;
	f->stage = 1;
	give_spec(2, &s, 0, 0);
	pair_compare("to a forwarded port", SAME, 0, 0);
}

/* An error about what a flow has sent: of a router on the wire, or of Linux about
 * what it got. */
static void step_error(void)
{
	/* No port, no hops left, too big. [RFC 792, RFC 4443] */
	static const struct {
		uint8_t type, code;
	} kinds[2][3] = {
		{ { 3, 3 }, { 11, 0 }, { 3, 4 } },
		{ { 1, 4 }, { 3, 0 }, { 2, 0 } },
	};
	static struct packet about[2], errors[2];
	unsigned kind = chance(3);
	struct flow *f = some_flow();
	bool wire = chance(2);
	struct spec s, error;

	if (f == NULL || f->seen[0] == 0 || f->seen[1] == 0) {
		return;
	}
	if (!wire && is_query(f)) {
		return;
	}
	current = is_odd(f) ? NULL : f;
	s = says(f, !wire);
	s.from = wire ? OUTSIDE : f->peer;
	s.to = wire ? f->peer : LINUX_0 + f->which;
	s.payload = 8;
	error = (struct spec){
		.six = f->six, .proto = icmp(f->six),
		.from = wire ? OTHER : LINUX_0 + f->which,
		.to = wire ? OUTSIDE : f->peer,
		.type = kinds[f->six][kind].type,
		.code = kinds[f->six][kind].code, .id = 9,
	};
	for (unsigned i = 0; i < 2; i++) {
		if (wire) {
			s.sport = f->seen[i];
		}
		make(&about[i], &s);
		error.inner = about[i].p.data;
		error.inner_len = (unsigned)about[i].p.len;
		make(&errors[i], &error);
	}
	pair_give(wire ? 2 : f->which, &errors[0], &errors[1]);
	pair_compare(wire ? "an error from the wire" : "an error from Linux",
		is_odd(f) ? MORE_STATE : SAME, wire ? NAT_LINUX : NAT_WIRE,
		pair_way(1) == NAT_HOST ? NAT_HOST : NAT_DROP);
}

/* Linux to a port that another, or it, has outside; and the answer. */
static void step_hairpin(void)
{
	unsigned which = chance(2);
	uint8_t proto = chance(2) ? TCP : UDP;
	uint16_t port[2];
	struct spec s = { .six = chance(2), .proto = proto, .from = LINUX_0 + which,
			  .to = OUTSIDE, .sport = (uint16_t)(6000 + chance(50)),
			  .dport = 22, .flags = SYN, .payload = 4, .id = 5 };

	give_spec(which, &s, 0, 0);
	if (!pair_compare("a hairpin", SAME, 0, 0) || pair_way(0) != NAT_LINUX) {
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		port[i] = net_get16(got[i].r[0].data + (s.six ? 40 : 20));
	}
	got[0].count = got[1].count = 0;
	s.from = LINUX_0;
	s.sport = 22;
	s.flags = SYN | ACK;
	s.dport = port[0];
	static struct packet ours, theirs;

	make(&ours, &s);
	s.dport = port[1];
	make(&theirs, &s);
	pair_give(0, &ours, &theirs);
	pair_compare("the hairpin's answer", SAME, 0, 0);
}

/* What is refused: hops, size, source, destination. */
static void step_refused(void)
{
	unsigned how = chance(7), from = chance(2);
	struct spec s = { .six = chance(2), .proto = chance(2) ? TCP : UDP,
			  .from = LINUX_0 + from, .to = PEER, .sport = 4005,
			  .dport = 80, .flags = SYN, .payload = 20, .id = 7,
			  .df = true };

	switch (how) {
	case 0:
		s.hops = 1;
		break;
	case 1:
		s.payload = 1500;
		break;
	case 2:
		s.from = LINUX_0 + !from;
		break;
	case 3:
		s.to = GATE_0 + from;
		s.dport = chance(2) ? 7 : 8;
		break;
	case 4:
		s.to = OUTSIDE;
		s.dport = chance(2) ? 7 : 8;
		break;
	case 5:
		from = 2;
		s.from = LINUX_0;
		s.to = OUTSIDE;
		s.dport = 22;
		break;
	default:
		from = 2;
		s.from = PEER;
		s.sport = (uint16_t)(9000 + chance(100));
		s.to = OUTSIDE;
		s.dport = 22;
		s.hops = 1;
	}
	give_spec(from, &s, 0, 0);
	pair_compare("refused", SAME, 0, 0);
}

/* A datagram in three pieces, in any order, either way. */
static void step_fragments(void)
{
	static const uint8_t orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 },
		{ 2, 1, 0 },
	};
	static struct packet whole[2], part[2];
	const uint8_t *order = orders[chance(6)];
	struct flow *f = some_flow();
	bool wire = chance(2);
	struct spec s;

	if (f == NULL || f->seen[0] == 0 || f->seen[1] == 0 || f->proto == TCP) {
		return;
	}
	current = f;
	s = says(f, wire);
	s.payload = 1200 - 8;
	for (unsigned i = 0; i < 2; i++) {
		if (wire) {
			*(is_query(f) ? &s.sport : &s.dport) = f->seen[i];
		}
		make(&whole[i], &s);
	}
	s.more = true;
	for (unsigned j = 0; j < 3; j++) {
		unsigned offset = order[j] * 400u, head = s.six ? 48 : 20;

		s.more = order[j] < 2;
		s.offset = (uint16_t)offset;
		s.payload = offset == 0 ? 392 : 400;
		for (unsigned i = 0; i < 2; i++) {
			make(&part[i], &s);
			memcpy(part[i].p.data + head,
			       whole[i].p.data + (s.six ? 40 : 20) + offset, 400);
		}
		pair_give(wire ? 2 : f->which, &part[0], &part[1]);
	}
	pair_compare(wire ? "fragments from the wire" : "fragments from Linux", SAME, 0, 0);
}

static void sequence(uint64_t seed)
{
	static void (*const steps[])(void) = {
		step_out, step_out, step_out, step_out, step_in, step_in, step_in,
		step_in, step_unsolicited, step_error, step_error, step_hairpin,
		step_refused, step_fragments, step_fragments,
	};
	struct nat_config config = fixture_config(1024);

	state = (seed + 1) * 0x9e3779b97f4a7c15u;
	config.rate = 100000;
	config.seed[2] ^= seed * 2;
	memset(flows, 0, sizeof(flows));
	fixture_begin(&config);
	host_proto = TCP;
	host_port = 7;
	for (unsigned six = 0; six < 2; six++) {
		if (nat_forward(nat, 0, six, TCP, 22, 22) != 0 ||
		    nat_forward(nat, 0, six, UDP, 22, 22) != 0) {
			abort();
		}
	}
	pair_flush();
	for (unsigned i = 0; i < STEPS; i++) {
		got[0].count = got[1].count = 0;
		current = NULL;
		steps[chance(sizeof(steps) / sizeof(steps[0]))]();
	}
	fixture_end();
}

int main(int argc, char **argv)
{
	unsigned long wanted = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
	unsigned long first = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;

	show = argc > 3;
	pair_open();
	for (unsigned long i = first; i < first + wanted && failures < 5; i++) {
		unsigned before = failures;

		sequence(i);
		if (failures != before) {
			printf("(sequence %lu)\n", i);
		}
	}
	pair_summary(wanted);
	return failures != 0;
}
