// SPDX-License-Identifier: MIT
/* The NAT of UDP and TCP, requirement by requirement of RFC 4787 and RFC 5382,
 * for IPv4 and IPv6. */
#include "qemu-test/unit/nat_talk.h"

/* RFC 4787 REQ-1, RFC 5382 REQ-1: one mapping, whoever it is that Linux speaks
 * to. */
static void rfc4787_1_mapping_is_endpoint_independent(void **state)
{
	(void)state;
	taken_from = 5000;
	taken_to = 5001;
	BOTH {
		uint16_t port = udp(six, PEER, 5000, 53);

		assert_int_not_equal(port, 0);
		assert_int_not_equal(port, 5000);
		GO(udp(six, OTHER, 5000, 99), port);
		port = send_from(0, six, TCP, PEER, 5000, 80, SYN);
		assert_int_not_equal(port, 5000);
		GO(send_from(0, six, TCP, OTHER, 5000, 81, SYN), port);
	}
}

/* REQ-3: no port is given to two; what is free stays as it is, and 0 to 1023 stays
 * there. REQ-4: and parity. */
static void rfc4787_3_no_overloading_and_preservation(void **state)
{
	(void)state;
	BOTH {
		uint16_t port;

		GO(udp(six, PEER, 4321, 9), 4321);
		port = send_from(1, six, UDP, PEER, 4321, 9, 0);
		assert_in_range(port, NAT_RANDOM, NAT_LAST);
		GO(port % 2, 1);
		GO(come(six, UDP, PEER, 9, 4321, 0), 4321);
		GO(to, 0);
		GO(come(six, UDP, PEER, 9, port, 0), 4321);
		GO(to, 1);
		GO(udp(six, PEER, 123, 123), 123);
		port = send_from(1, six, UDP, PEER, 123, 123, 0);
		assert_in_range(port, 512, 1023);
		GO(port % 2, 1);
		/* Those are the host's. */
		port = udp(six, PEER, NAT_LAST + 1, 9);
		assert_in_range(port, NAT_RANDOM, NAT_LAST);
	}
}

static void all_ports_taken(void **state)
{
	(void)state;
	taken_to = 65536;
	GO(udp(false, PEER, 4321, 9), 0);
	GO(count(0, NAT_NO_PORT), 1);
	GO(deliveries, 1);		/* RFC 5508 REQ-8 */
	GO(nat_sessions(nat, 0), 0);
	/* Nothing is lost by that: a session finds room afterwards. */
	for (unsigned i = 0; i < 6000; i++) {
		now += 100;
		GO(udp(false, PEER, 4321, 9), 0);
	}
	taken_to = 0;
	GO(udp(false, PEER, 4321, 9), 4321);
}

/* REQ-5: 2 minutes at least, 5 of what is answered. REQ-6: what Linux sends makes
 * it last. */
static void rfc4787_5_6_udp_lasts(void **state)
{
	(void)state;
	BOTH {
		udp(six, PEER, 4000, 9);
		now += 119999;
		GO(come(six, UDP, PEER, 9, 4000, 0), 4000);
		now += 299999;
		GO(udp(six, PEER, 4000, 9), 4000);
		now += 299999;
		GO(come(six, UDP, PEER, 9, 4000, 0), 4000);
		now += 300000;
		GO(come(six, UDP, PEER, 9, 4000, 0), 0);
		udp(six, PEER, 4000, 9);
		now += 120000;
		GO(come(six, UDP, PEER, 9, 4000, 0), 0);
	}
	nat_tick(nat, now);
	GO(nat_sessions(nat, 0), 0);
	assert_false(nat_uses(nat, false, UDP, 4000));
}

/* REQ-8: of an address that Linux has sent to, any port may answer; no other. */
static void rfc4787_8_filtering_is_address_dependent(void **state)
{
	(void)state;
	BOTH {
		udp(six, PEER, 4000, 9);
		GO(come(six, UDP, PEER, 10, 4000, 0), 4000);
		GO(come(six, UDP, OTHER, 9, 4000, 0), 0);
	}
	GO(count(NAT_LINUXES, NAT_FILTERED), 2);
}

static void rfc4787_8_filtering_as_configured(void **state)
{
	struct nat_config config = fixture_config(64);

	(void)state;
	fixture_end();
	config.open = true;
	fixture_begin(&config);
	BOTH {
		udp(six, PEER, 4000, 9);
		GO(come(six, UDP, OTHER, 9, 4000, 0), 4000);
		send_from(0, six, TCP, PEER, 4000, 9, SYN);
		GO(come(six, TCP, OTHER, 9, 4000, SYN), 4000);
		GO(come(six, TCP, OTHER, 8, 4000, RST), 0);
	}
}

/* What Linux sends to the port that another of its has outside; by REQ-9a it has
 * the outside address and port. RFC 5382 REQ-8. */
static void rfc4787_9_hairpin(void **state)
{
	static const uint8_t protos[] = { UDP, TCP };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool six = i % 2;
		uint8_t proto = protos[i / 2];
		struct spec s = { .six = six, .proto = proto, .from = LINUX_1,
				  .to = OUTSIDE, .sport = 700, .dport = 600,
				  .flags = SYN, .payload = 3 };

		send_from(0, six, proto, PEER, 600, 9, SYN);
		make(&packet, &s);
		GO(out(1, &packet), NAT_DROP);		/* filtered */
		GO(nat_forward(nat, 0, six, proto, 600, 600), 0);
		make(&packet, &s);
		GO(out(1, &packet), NAT_LINUX);
		GO(to, 0);
		assert_true(is_from(&packet, OUTSIDE) && is_to(&packet, LINUX_0));
		GO(sport(&packet), 700);
		GO(dport(&packet), 600);
		assert_true(sums_right(packet.p.data, packet.p.len, false));
		/* And the answer. */
		s = (struct spec){ .six = six, .proto = proto, .from = LINUX_0,
				   .to = OUTSIDE, .sport = 600, .dport = 700,
				   .flags = SYN | ACK };
		make(&packet, &s);
		GO(out(0, &packet), NAT_LINUX);
		GO(to, 1);
		assert_true(is_from(&packet, OUTSIDE) && is_to(&packet, LINUX_1));
		assert_true(sums_right(packet.p.data, packet.p.len, false));
		nat_unforward(nat, six, proto, 600);
	}
	/* To itself. */
	GO(nat_forward(nat, 0, false, UDP, 80, 8080), 0);
	make(&packet, &(struct spec){ .proto = UDP, .from = LINUX_0, .to = OUTSIDE,
				      .sport = 4000, .dport = 80 });
	GO(out(0, &packet), NAT_LINUX);
	GO(to, 0);
	GO(dport(&packet), 8080);
	GO(count(0, NAT_HAIRPINS), 5);
}

/* REQ-11: what it does depends on no count or load. The same packets in the same
 * order have the same ports, with a seed. */
static void rfc4787_11_is_deterministic(void **state)
{
	uint16_t first[20];

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		taken_from = 1024;
		taken_to = 40000;
		for (unsigned i = 0; i < 20; i++) {
			uint16_t port = udp(false, PEER, (uint16_t)(2000 + i), 9);

			assert_in_range(port, 40000, NAT_LAST);
			GO(round == 0 ? port : first[i], port);
			first[i] = port;
		}
		end(state);
		begin(state);
	}
}

/* REQ-13: too long, and not to be cut. */
static void rfc4787_13_too_big(void **state)
{
	(void)state;
	BOTH {
		struct spec s = { .six = six, .proto = UDP, .from = LINUX_0,
				  .to = PEER, .sport = 4000, .dport = 9,
				  .payload = 1500 - (six ? 48 : 28), .df = true };

		make(&packet, &s);
		GO(out(0, &packet), NAT_WIRE);
		s.payload++;
		make(&packet, &s);
		deliveries = 0;
		GO(out(0, &packet), NAT_DROP);
		GO(deliveries, 1);
		GO(delivered[0].way, NAT_LINUX);
		assert_true(sums_right(delivered[0].data, delivered[0].len, false));
		if (six) {
			GO(delivered[0].data[40], 2);
			GO(net_get32(delivered[0].data + 44), 1500);
			GO(delivered[0].len, 1280);
		} else {
			GO(net_get16(delivered[0].data + 20), 3 << 8 | 4);
			GO(net_get16(delivered[0].data + 26), 1500);
			GO(delivered[0].len, 576);
			s.df = false;		/* who sends it cuts it */
			make(&packet, &s);
			GO(out(0, &packet), NAT_WIRE);
		}
		GO(memcmp(delivered[0].data + (six ? 48 : 28), packet.p.data, 6), 0);
	}
}

/* REQ-14: fragments in any order, each way. */
static void rfc4787_14_fragments(void **state)
{
	static const unsigned orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 } };
	struct packet part[3];

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		bool six = i % 2, wire = i / 2 % 2;
		unsigned seen = 0;

		udp(six, PEER, 4000, 9);
		for (unsigned j = 0; j < 3; j++) {
			make(&part[j], &(struct spec){
				.six = six, .proto = UDP,
				.from = wire ? PEER : LINUX_0,
				.to = wire ? OUTSIDE : PEER,
				.sport = wire ? 9 : 4000, .dport = wire ? 4000 : 9,
				.payload = j == 0 ? 792 : 800,
				.offset = (uint16_t)(j * 800),
				.more = j < 2, .id = 77 + i });
		}
		deliveries = 0;
		for (unsigned j = 0; j < 3; j++) {
			struct packet *p = &part[orders[i / 4][j]];
			enum nat_way way = wire ? in(p) : out(0, p);

			if (way == NAT_HELD) {
				continue;
			}
			GO(way, wire ? NAT_LINUX : NAT_WIRE);
			assert_true(is_from(p, wire ? PEER : OUTSIDE));
			assert_true(is_to(p, wire ? LINUX_0 : PEER));
			assert_true(sums_right(p->p.data, p->p.len, false));
			seen++;
		}
		for (unsigned j = 0; j < deliveries; j++) {
			struct packet *p = &part[j];

			memcpy(p->p.data, delivered[j].data, delivered[j].len);
			GO(delivered[j].way, wire ? NAT_LINUX : NAT_WIRE);
			assert_true(is_from(p, wire ? PEER : OUTSIDE));
			assert_true(is_to(p, wire ? LINUX_0 : PEER));
			assert_true(sums_right(p->p.data, delivered[j].len, false));
		}
		GO(seen + deliveries, 3);
	}
}

/* REQ-14a: fragments that never complete cost no more than so much, and those of
 * others pass. */
static void rfc4787_14a_fragments_are_bounded(void **state)
{
	struct spec s = { .proto = UDP, .from = OTHER, .to = OUTSIDE,
			  .payload = 1400, .offset = 1400 };
	uint64_t held = 0;

	(void)state;
	udp(false, PEER, 4000, 9);
	for (unsigned i = 0; i < 10000; i++) {
		s.id = i;
		make(&packet, &s);
		held += in(&packet) == NAT_HELD;
		if (i % 100 != 99) {
			continue;
		}
		make(&packet, &(struct spec){ .proto = UDP, .from = PEER,
			.to = OUTSIDE, .sport = 9, .dport = 4000, .more = true,
			.payload = 8, .id = i });
		GO(in(&packet), NAT_LINUX);
		make(&packet, &(struct spec){ .proto = UDP, .from = PEER,
			.to = OUTSIDE, .payload = 8, .offset = 16, .id = i });
		GO(in(&packet), NAT_LINUX);
	}
	make(&packet, &(struct spec){ .proto = UDP, .from = PEER, .to = OUTSIDE,
		.payload = 8, .offset = 16, .id = 9999, .hops = 1 });
	GO(in(&packet), NAT_DROP);
	GO(count(NAT_LINUXES, NAT_TTL), 1);
	GO(held, 10000);
	/* One datagram of many fragments. */
	for (unsigned i = 0; i < 1000; i++) {
		s.id = 60000;
		s.payload = 800;
		s.offset = (uint16_t)(8 + 8 * i);
		make(&packet, &s);
		held += in(&packet) == NAT_HELD;
	}
	assert_in_range(held, 10050, 10200);
	now += 30000;
	make(&packet, &s);
	GO(in(&packet), NAT_HELD);
	nat_tick(nat, now + 30000);
	GO(count(NAT_LINUXES, NAT_LOST_FRAGMENT), 11001);
}

/* A fragment with no ports that lies over those of the first; a datagram longer
 * than any. [RFC 3128] */
static void fragments_that_mean_harm(void **state)
{
	(void)state;
	BOTH {
		make(&packet, &(struct spec){ .six = six, .proto = TCP,
			.from = LINUX_0, .to = PEER, .offset = 8, .payload = 8 });
		GO(out(0, &packet), NAT_DROP);
		make(&packet, &(struct spec){ .six = six, .proto = UDP,
			.from = LINUX_0, .to = PEER, .offset = 65528,
			.payload = 100 });
		GO(out(0, &packet), NAT_DROP);
		make(&packet, &(struct spec){ .six = six, .proto = TCP,
			.from = LINUX_0, .to = PEER, .more = true });
		packet.p.len -= 4;
		net_put16(packet.p.data + (six ? 4 : 2),
			  (uint16_t)(packet.p.len - (six ? 40 : 0)));
		GO(out(0, &packet), NAT_DROP);
	}
	GO(count(0, NAT_MALFORMED), 6);
}

/* Those of a datagram for the host go to it; of one that is dropped, nowhere. */
static void fragments_follow_the_first(void **state)
{
	struct spec first = { .proto = UDP, .from = PEER, .to = OUTSIDE,
			      .sport = 9, .dport = 68, .payload = 16,
			      .more = true, .id = 5 };
	struct spec later = { .proto = UDP, .from = PEER, .to = OUTSIDE,
			      .offset = 24, .payload = 16, .id = 5 };

	(void)state;
	make(&packet, &later);
	GO(in(&packet), NAT_HELD);
	make(&packet, &first);
	GO(in(&packet), NAT_HOST);
	GO(deliveries, 1);
	GO(delivered[0].way, NAT_HOST);
	assert_true(is_to(&packet, OUTSIDE));
	udp(false, OTHER, 4000, 9);
	first.id = later.id = 6;
	first.dport = 4000;
	make(&packet, &first);
	GO(in(&packet), NAT_DROP);
	make(&packet, &later);
	GO(in(&packet), NAT_DROP);
	GO(deliveries, 1);
	GO(count(NAT_LINUXES, NAT_LOST_FRAGMENT), 1);
}

/* ---- TCP ---- */

/* RFC 5382 REQ-2: the three packets, and both at once. REQ-5: how long each
 * lasts. */
static void rfc5382_2_5_connection(void **state)
{
	(void)state;
	BOTH {
		now += 10000000;
		nat_tick(nat, now);
		GO(send_from(0, six, TCP, PEER, 4000, 80, SYN), 4000);
		now += 239999;
		GO(come(six, TCP, PEER, 80, 4000, SYN | ACK), 4000);
		GO(send_from(0, six, TCP, PEER, 4000, 80, ACK), 4000);
		now += 7439999;
		GO(come(six, TCP, PEER, 80, 4000, ACK), 4000);
		now += 7440000;
		GO(come(six, TCP, PEER, 80, 4000, ACK), 0);
		/* Closed by both: 4 minutes. */
		send_from(0, six, TCP, PEER, 4001, 80, SYN);
		come(six, TCP, PEER, 80, 4001, SYN | ACK);
		send_from(0, six, TCP, PEER, 4001, 80, ACK | FIN);
		now += 7000000;
		GO(come(six, TCP, PEER, 80, 4001, ACK | FIN), 4001);
		now += 239999;
		GO(send_from(0, six, TCP, PEER, 4001, 80, ACK), 4001);
		now += 240000;
		GO(come(six, TCP, PEER, 80, 4001, ACK), 0);
	}
}

static void rfc5382_2_simultaneous_open(void **state)
{
	(void)state;
	BOTH {
		GO(send_from(0, six, TCP, PEER, 4000, 5000, SYN), 4000);
		GO(come(six, TCP, PEER, 5000, 4000, SYN), 4000);
		GO(send_from(0, six, TCP, PEER, 4000, 5000, SYN | ACK), 4000);
		GO(come(six, TCP, PEER, 5000, 4000, SYN | ACK), 4000);
		now += 7000000;
		GO(come(six, TCP, PEER, 5000, 4000, ACK), 4000);
	}
}

/* REQ-3: who Linux has not called is not let in. REQ-4: and is not answered,
 * while the port is Linux's. */
static void rfc5382_3_4_unsolicited(void **state)
{
	(void)state;
	BOTH {
		send_from(0, six, TCP, PEER, 4000, 80, SYN);
		GO(come(six, TCP, OTHER, 80, 4000, SYN), 0);
		GO(come(six, TCP, PEER, 81, 4000, SYN), 0);
		GO(deliveries, 0);
		/* Linux calls him within 6 seconds. */
		now += 5000;
		GO(send_from(0, six, TCP, OTHER, 4000, 80, SYN), 4000);
		GO(come(six, TCP, OTHER, 80, 4000, SYN), 4000);
	}
}

/* RST: 4 minutes; it may have been anybody's, so what Linux sends undoes it. New
 * SYN: from the beginning. */
static void rst_ends_and_ports_are_used_again(void **state)
{
	(void)state;
	BOTH {
		now += 10000000;
		send_from(0, six, TCP, PEER, 4000, 80, SYN);
		come(six, TCP, PEER, 80, 4000, SYN | ACK);
		come(six, TCP, PEER, 80, 4000, RST);
		now += 239999;
		GO(send_from(0, six, TCP, PEER, 4000, 80, ACK), 4000);
		now += 7000000;
		GO(send_from(0, six, TCP, PEER, 4000, 80, RST), 4000);
		GO(send_from(0, six, TCP, PEER, 4000, 80, SYN), 4000);
		now += 240000;
		GO(come(six, TCP, PEER, 80, 4000, SYN | ACK), 0);
	}
}

/* After it was closed, a connection of the same ports is as good as the first. */
static void closed_ports_are_used_again(void **state)
{
	(void)state;
	BOTH {
		for (unsigned i = 0; i < 2; i++) {
			now += 100000;
			send_from(0, six, TCP, PEER, 4000, 80, SYN);
			come(six, TCP, PEER, 80, 4000, SYN | ACK);
			send_from(0, six, TCP, PEER, 4000, 80, ACK);
			now += 7000000;
			GO(come(six, TCP, PEER, 80, 4000, ACK), 4000);
			come(six, TCP, PEER, 80, 4000, FIN | ACK);
			send_from(0, six, TCP, PEER, 4000, 80, FIN | ACK);
		}
	}
}

/* Who cannot know the number of Linux's SYN has no connection, so that it is no
 * use to send SYNs from where one is not. */
static void open_is_who_knows_the_number(void **state)
{
	struct spec s = { .proto = TCP, .from = PEER, .to = OUTSIDE,
			  .sport = 1, .dport = 22, .flags = ACK, .ack = 0x20000 };

	(void)state;
	/* An ACK alone is no answer to a SYN. */
	send_from(0, false, TCP, PEER, 4000, 80, SYN);
	GO(come(false, TCP, PEER, 80, 4000, ACK), 4000);
	now += 240000;
	GO(come(false, TCP, PEER, 80, 4000, ACK), 0);
	GO(nat_forward(nat, 0, false, TCP, 22, 22), 0);
	GO(come(false, TCP, PEER, 1, 22, SYN), 22);
	GO(send_from(0, false, TCP, PEER, 22, 1, SYN | ACK), 22);
	make(&packet, &s);
	GO(in(&packet), NAT_LINUX);
	now += 240000;
	nat_tick(nat, now);
	GO(nat_sessions(nat, 0), 0);
	GO(come(false, TCP, PEER, 1, 22, SYN), 22);
	GO(send_from(0, false, TCP, PEER, 22, 1, SYN | ACK), 22);
	s.ack = 101;
	make(&packet, &s);
	GO(in(&packet), NAT_LINUX);
	now += 240000;
	nat_tick(nat, now);
	GO(nat_sessions(nat, 0), 1);
}

/* What is in the middle goes on, what is at the end does not begin. */
static void connections_that_nobody_knows(void **state)
{
	(void)state;
	GO(send_from(0, false, TCP, PEER, 4000, 80, ACK), 4000);
	GO(send_from(0, false, TCP, PEER, 4001, 80, RST), 0);
	GO(send_from(0, false, TCP, PEER, 4001, 80, ACK | FIN), 0);
	GO(send_from(0, false, TCP, PEER, 4001, 80, SYN | ACK), 0);
	GO(count(0, NAT_NO_SESSION), 3);
	GO(nat_sessions(nat, 0), 1);
}

/* ---- Bounds ---- */

/* What has been idle longest goes; no open connection, of which there may be no
 * more than there is room for. Linux is told. RFC 5508 REQ-8. */
static void the_table_is_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		send_from(0, false, TCP, PEER, (uint16_t)(2000 + i), 80, SYN);
		come(false, TCP, PEER, 80, (uint16_t)(2000 + i), SYN | ACK);
	}
	for (unsigned i = 0; i < 200; i++) {
		now += 10;
		GO(send_from(0, false, TCP, PEER, (uint16_t)(3000 + i), 80, SYN),
		   3000 + i);
		assert_in_range(nat_sessions(nat, 0), 60, 64);
	}
	GO(count(0, NAT_EVICTED), 196);
	GO(come(false, TCP, PEER, 80, 3195, SYN | ACK), 0);
	for (unsigned i = 3196; i < 3200; i++) {
		GO(come(false, TCP, PEER, 80, (uint16_t)i, SYN | ACK), i);
	}
	GO(deliveries, 0);
	GO(send_from(0, false, TCP, PEER, 5000, 80, SYN), 0);
	GO(count(0, NAT_FULL), 1);
	GO(deliveries, 1);
	GO(net_get16(delivered[0].data + 20), 3 << 8 | 13);
	GO(send_from(1, false, TCP, PEER, 5000, 80, SYN), 5000);
	/* Nor from the wire; a forwarded port is there as before. */
	GO(nat_forward(nat, 0, false, TCP, 22, 22), 0);
	GO(come(false, TCP, PEER, 9, 22, SYN), 0);
	GO(count(NAT_LINUXES, NAT_FULL), 1);
	assert_true(nat_uses(nat, false, TCP, 22));
	for (unsigned i = 2000; i < 2060; i++) {
		GO(come(false, TCP, PEER, 80, (uint16_t)i, ACK), i);
	}
}

/* A flood takes no more than its share of the time. */
static void new_ones_are_bounded_in_time(void **state)
{
	unsigned passed = 0;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		now += i % 100 == 0;
		passed += send_from(0, false, TCP, PEER, (uint16_t)(1024 + i % 30000),
				    (uint16_t)(i / 30000), SYN) != 0;
	}
	assert_in_range(passed, 1490, 1510);
	GO(count(0, NAT_TOO_FAST), 100000 - passed);
	assert_in_range(deliveries, 100, 160);
	GO(send_from(1, false, TCP, PEER, 5000, 80, SYN), 5000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(rfc4787_1_mapping_is_endpoint_independent),
		TEST(rfc4787_3_no_overloading_and_preservation),
		TEST(all_ports_taken),
		TEST(rfc4787_5_6_udp_lasts),
		TEST(rfc4787_8_filtering_is_address_dependent),
		TEST(rfc4787_8_filtering_as_configured),
		TEST(rfc4787_9_hairpin),
		TEST(rfc4787_11_is_deterministic),
		TEST(rfc4787_13_too_big),
		TEST(rfc4787_14_fragments),
		TEST(rfc4787_14a_fragments_are_bounded),
		TEST(fragments_that_mean_harm),
		TEST(fragments_follow_the_first),
		TEST(rfc5382_2_5_connection),
		TEST(rfc5382_2_simultaneous_open),
		TEST(rfc5382_3_4_unsolicited),
		TEST(rst_ends_and_ports_are_used_again),
		TEST(closed_ports_are_used_again),
		TEST(open_is_who_knows_the_number),
		TEST(connections_that_nobody_knows),
		TEST(the_table_is_bounded),
		TEST(new_ones_are_bounded_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
