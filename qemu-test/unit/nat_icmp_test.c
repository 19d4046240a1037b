// SPDX-License-Identifier: MIT
/* The NAT of ICMP, requirement by requirement of RFC 5508, and of ICMPv6. */
#include "qemu-test/unit/nat_talk.h"

static uint8_t proto(bool six)
{
	return six ? ICMPV6 : ICMP;
}

static struct spec echo(bool six, uint16_t id)
{
	return (struct spec){ .six = six, .proto = proto(six), .from = LINUX_0,
			      .to = PEER, .type = six ? 128 : 8, .sport = id,
			      .payload = 56 };
}

static struct spec reply(bool six, enum who from, uint16_t id)
{
	return (struct spec){ .six = six, .proto = proto(six), .from = from,
			      .to = OUTSIDE, .type = six ? 129 : 0, .sport = id,
			      .payload = 56 };
}

/* REQ-1: echo, with a mapping of the id. REQ-2: for 60 seconds. */
static void rfc5508_1_2_queries(void **state)
{
	(void)state;
	BOTH {
		struct spec s = echo(six, 500);
		uint16_t id;

		taken_from = 500;
		taken_to = 501;
		make(&packet, &s);
		GO(out(0, &packet), NAT_WIRE);
		assert_true(is_from(&packet, OUTSIDE));
		assert_true(sums_right(packet.p.data, packet.p.len, false));
		id = sport(&packet);
		assert_int_not_equal(id, 500);
		s.to = OTHER;
		make(&packet, &s);
		GO(out(0, &packet), NAT_WIRE);
		GO(sport(&packet), id);
		now += 59999;
		s = reply(six, PEER, id);
		make(&packet, &s);
		GO(in(&packet), NAT_LINUX);
		assert_true(is_to(&packet, LINUX_0) && is_from(&packet, PEER));
		assert_true(sums_right(packet.p.data, packet.p.len, false));
		GO(sport(&packet), 500);
		now += 60000;
		make(&packet, &s);
		GO(in(&packet), NAT_DROP);
		s.sport = 77;			/* the host's own */
		make(&packet, &s);
		GO(in(&packet), NAT_HOST);
		s.type = six ? 128 : 8;
		make(&packet, &s);
		GO(in(&packet), NAT_HOST);
	}
}

/* An error about a packet that was sent so. */
static void error(struct spec *s, struct spec *about, enum who from, enum who to,
		  unsigned cut)
{
	static struct packet inner;

	make(&inner, about);
	*s = (struct spec){ .six = about->six, .proto = proto(about->six),
			    .from = from, .to = to, .type = about->six ? 1 : 3,
			    .code = about->six ? 4 : 3, .inner = inner.p.data,
			    .inner_len = (unsigned)inner.p.len - cut };
}

static const uint8_t *within(bool six)
{
	return packet.p.data + (six ? 48 : 28);
}

/* REQ-4: from the wire, about what Linux has sent; what is within is as it was.
 * REQ-6, RFC 4787 REQ-12, RFC 5382 REQ-10: the session stays. */
static void rfc5508_4_6_errors_from_the_wire(void **state)
{
	static const uint8_t protos[] = { UDP, TCP, ICMP };

	(void)state;
	taken_from = 4000;
	taken_to = 4001;
	for (unsigned i = 0; i < 12; i++) {
		bool six = i % 2, whole = i < 6;
		struct spec s, about = { .six = six, .proto = protos[i / 2 % 3],
					 .from = LINUX_0, .to = PEER,
					 .sport = 4000, .dport = 9, .flags = SYN,
					 .payload = 9 };
		uint8_t was[200];
		uint16_t port;
		size_t len;

		if (about.proto == ICMP) {
			about = echo(six, 4000);
		}
		make(&packet, &about);
		len = packet.p.len;
		memcpy(was, packet.p.data, sizeof(was));
		GO(out(0, &packet), NAT_WIRE);
		port = sport(&packet);
		assert_int_not_equal(port, 4000);
		about.from = OUTSIDE;
		about.sport = port;
		error(&s, &about, OTHER, OUTSIDE,
		      whole ? 0 : (unsigned)len - (six ? 48 : 28));
		now += 50000;
		make(&packet, &s);
		GO(in(&packet), NAT_LINUX);
		assert_true(is_from(&packet, OTHER) && is_to(&packet, LINUX_0));
		GO(packet.p.data[six ? 40 : 20], six ? 1 : 3);
		assert_true(sums_right(packet.p.data, packet.p.len, false));
		if (whole) {
			assert_true(sums_right(within(six), len, false));
		}
		/* Only what the wire had changed of it is not as it was. */
		GO(memcmp(within(six), was, s.inner_len), 0);
		/* It did not make it last. */
		now += 10000;
		if (about.proto != TCP && about.proto != UDP) {
			make(&packet, &s);
			GO(in(&packet), NAT_DROP);
		}
	}
}

/* REQ-3: wrong checksums, of the error or of what is within. REQ-3b: options. */
static void rfc5508_3_checksums(void **state)
{
	(void)state;
	BOTH {
		struct spec s, about = { .six = six, .proto = UDP,
					 .from = OUTSIDE, .to = PEER,
					 .sport = 4000, .dport = 9 };

		GO(send_from(0, six, UDP, PEER, 4000, 9, 0), 4000);
		error(&s, &about, PEER, OUTSIDE, 0);
		make(&packet, &s);
		packet.p.data[six ? 43 : 23] ^= 1;
		GO(in(&packet), NAT_DROP);
		if (six) {
			continue;
		}
		error(&s, &about, PEER, OUTSIDE, 0);
		((uint8_t *)s.inner)[8] ^= 1;
		make(&packet, &s);
		GO(in(&packet), NAT_DROP);
		about.options = true;
		error(&s, &about, PEER, OUTSIDE, 0);
		make(&packet, &s);
		GO(in(&packet), NAT_LINUX);
		assert_true(sums_right(packet.p.data, packet.p.len, false));
		/* Their end is not there. */
		uint8_t *exact = malloc(56);

		about.payload = 60;
		error(&s, &about, PEER, OUTSIDE, 0);
		((uint8_t *)s.inner)[0] = 0x4f;
		((uint8_t *)s.inner)[9] = 47;
		s.inner_len = 28;
		make(&packet, &s);
		memcpy(exact, packet.p.data, 56);
		packet.p.data = exact;
		GO(in(&packet), NAT_DROP);
		free(exact);
	}
}

/* REQ-4: about what nobody has sent. */
static void errors_about_nothing(void **state)
{
	(void)state;
	BOTH {
		struct spec s, about = { .six = six, .proto = UDP,
					 .from = OUTSIDE, .to = PEER,
					 .sport = 4000, .dport = 9 };

		error(&s, &about, PEER, OUTSIDE, 0);
		make(&packet, &s);
		GO(in(&packet), NAT_HOST);	/* perhaps the host */
		GO(send_from(0, six, UDP, OTHER, 4000, 9, 0), 4000);
		make(&packet, &s);
		GO(in(&packet), NAT_DROP);
		/* An error within an error, and a piece of a fragment. */
		about.proto = proto(six);
		about.type = six ? 1 : 3;
		error(&s, &about, PEER, OUTSIDE, 0);
		make(&packet, &s);
		GO(in(&packet), NAT_HOST);
		about = (struct spec){ .six = six, .proto = UDP, .from = OUTSIDE,
				       .to = PEER, .offset = 80, .payload = 80 };
		error(&s, &about, PEER, OUTSIDE, 0);
		make(&packet, &s);
		GO(in(&packet), NAT_HOST);
		for (unsigned cut = 1; cut <= (six ? 128u : 100u); cut++) {
			error(&s, &about, PEER, OUTSIDE, cut);
			make(&packet, &s);
			assert_int_not_equal(in(&packet), NAT_LINUX);
		}
	}
}

/* REQ-5: from Linux, about what it got. */
static void rfc5508_5_errors_from_linux(void **state)
{
	(void)state;
	taken_from = 4000;
	taken_to = 4001;
	BOTH {
		uint16_t port = send_from(0, six, UDP, PEER, 4000, 9, 0);
		struct spec s, about = { .six = six, .proto = UDP, .from = PEER,
					 .to = LINUX_0, .sport = 9,
					 .dport = 4000, .payload = 30 };

		error(&s, &about, LINUX_0, PEER, 0);
		make(&packet, &s);
		GO(out(0, &packet), NAT_WIRE);
		assert_true(is_from(&packet, OUTSIDE) && is_to(&packet, PEER));
		assert_true(sums_right(packet.p.data, packet.p.len, false));
		assert_true(sums_right(within(six), six ? 78 : 58, false));
		about.to = OUTSIDE;
		about.dport = port;
		error(&s, &about, LINUX_0, PEER, 0);
		GO(memcmp(within(six), s.inner, s.inner_len), 0);
		/* What it did not get. */
		about.to = LINUX_0;
		about.dport = 4001;
		error(&s, &about, LINUX_0, PEER, 0);
		make(&packet, &s);
		GO(out(0, &packet), NAT_DROP);
		about.to = LINUX_1;
		about.dport = 4000;
		error(&s, &about, LINUX_0, PEER, 0);
		make(&packet, &s);
		GO(out(0, &packet), NAT_DROP);
	}
	GO(count(0, NAT_NO_SESSION), 4);
}

/* REQ-7: an error about a hairpin. */
static void rfc5508_7_hairpinned_errors(void **state)
{
	(void)state;
	BOTH {
		struct spec s, about = { .six = six, .proto = UDP,
					 .from = LINUX_1, .to = OUTSIDE,
					 .sport = 700, .dport = 600 };

		GO(nat_forward(nat, 0, six, UDP, 600, 600), 0);
		make(&packet, &about);
		GO(out(1, &packet), NAT_LINUX);
		about.from = OUTSIDE;
		about.to = LINUX_0;
		error(&s, &about, LINUX_0, OUTSIDE, 0);
		make(&packet, &s);
		GO(out(0, &packet), NAT_LINUX);
		GO(to, 1);
		assert_true(is_from(&packet, OUTSIDE) && is_to(&packet, LINUX_1));
		about.from = LINUX_1;
		about.to = OUTSIDE;
		error(&s, &about, LINUX_0, OUTSIDE, 0);
		GO(memcmp(within(six), s.inner, s.inner_len), 0);
		assert_true(sums_right(packet.p.data, packet.p.len, false));
	}
}

/* REQ-10: what a router says by itself. */
static void rfc5508_10_time_exceeded(void **state)
{
	(void)state;
	BOTH {
		struct spec s = { .six = six, .proto = UDP, .from = LINUX_0,
				  .to = PEER, .sport = 4000, .dport = 33434,
				  .payload = 32, .hops = 1 };

		make(&packet, &s);
		GO(out(0, &packet), NAT_DROP);
		GO(deliveries, 1 + 3 * six);
		GO(delivered[3 * six].way, NAT_LINUX);
		GO(delivered[3 * six].to, 0);
		memcpy(packet.p.data, delivered[3 * six].data, 200);
		assert_true(is_from(&packet, GATE_0) && is_to(&packet, LINUX_0));
		assert_true(sums_right(packet.p.data, delivered[3 * six].len, false));
		GO(packet.p.data[six ? 40 : 20], six ? 3 : 11);
		s.hops = 2;
		make(&packet, &s);
		GO(out(0, &packet), NAT_WIRE);
		GO(packet.p.data[six ? 7 : 8], 1);
		/* From the wire: one more router. */
		s = (struct spec){ .six = six, .proto = UDP, .from = PEER,
				   .to = OUTSIDE, .sport = 33434, .dport = 4000,
				   .payload = 32, .hops = 1 };
		make(&packet, &s);
		GO(in(&packet), NAT_DROP);
		GO(delivered[1 + 3 * six].way, NAT_WIRE);
		memcpy(packet.p.data, delivered[1 + 3 * six].data, 200);
		assert_true(is_from(&packet, OUTSIDE) && is_to(&packet, PEER));
		assert_true(sums_right(packet.p.data, delivered[1 + 3 * six].len,
				       false));
		s.hops = 9;
		make(&packet, &s);
		GO(in(&packet), NAT_LINUX);
		GO(packet.p.data[six ? 7 : 8], 8);
		/* To the host: it is not passed on. */
		s.dport = 53;
		s.hops = 1;
		make(&packet, &s);
		GO(in(&packet), NAT_HOST);
		/* Not about an error. */
		s = (struct spec){ .six = six, .proto = proto(six), .from = LINUX_0,
				   .to = PEER, .type = six ? 1 : 3, .hops = 1 };
		make(&packet, &s);
		GO(out(0, &packet), NAT_DROP);
		s = echo(six, 1);
		s.hops = 1;
		make(&packet, &s);
		GO(out(0, &packet), NAT_DROP);
		GO(deliveries, 3 + 3 * six);
	}
}

/* An error from the wire that has no hops left. */
static void errors_expire(void **state)
{
	(void)state;
	BOTH {
		struct spec s, about = { .six = six, .proto = UDP,
					 .from = OUTSIDE, .to = PEER,
					 .sport = 4000, .dport = 9 };

		GO(send_from(0, six, UDP, PEER, 4000, 9, 0), 4000);
		error(&s, &about, PEER, OUTSIDE, 0);
		s.hops = 1;
		make(&packet, &s);
		GO(in(&packet), NAT_DROP);
		s.hops = 2;
		make(&packet, &s);
		GO(in(&packet), NAT_LINUX);
	}
	GO(count(NAT_LINUXES, NAT_TTL), 2);
	GO(deliveries, 0);
}

/* REQ-11: the other kinds of ICMP do not pass. */
static void rfc5508_11_other_icmp(void **state)
{
	(void)state;
	BOTH {
		for (unsigned type = six ? 130 : 4; type < (six ? 160u : 20u); type++) {
			struct spec s = { .six = six, .proto = proto(six),
					  .from = LINUX_0, .to = PEER,
					  .type = (uint8_t)type };
			bool passes = !six && (type == 8 || type == 13);

			make(&packet, &s);
			GO(out(0, &packet), passes ? NAT_WIRE : NAT_DROP);
			s.from = PEER;
			s.to = OUTSIDE;
			if (six || (type != 11 && type != 12 && type != 14)) {
				make(&packet, &s);
				GO(in(&packet), NAT_HOST);
			}
		}
	}
}

/* Large pings, in fragments; their errors are none. */
static void queries_in_fragments(void **state)
{
	(void)state;
	BOTH {
		struct spec s = echo(six, 3), later = s;

		s.more = true;
		make(&packet, &s);
		GO(out(0, &packet), NAT_WIRE);
		later.offset = 64;
		make(&packet, &later);
		GO(out(0, &packet), NAT_WIRE);
		assert_true(is_from(&packet, OUTSIDE));
		/* One that would be right if it were whole. */
		GO(send_from(0, six, UDP, PEER, 4000, 9, 0), 4000);
		later = (struct spec){ .six = six, .proto = UDP, .from = OUTSIDE,
				       .to = PEER, .sport = 4000, .dport = 9 };
		error(&s, &later, PEER, OUTSIDE, 0);
		s.more = true;
		make(&packet, &s);
		GO(in(&packet), NAT_DROP);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(rfc5508_1_2_queries),
		TEST(rfc5508_3_checksums),
		TEST(rfc5508_4_6_errors_from_the_wire),
		TEST(errors_about_nothing),
		TEST(rfc5508_5_errors_from_linux),
		TEST(rfc5508_7_hairpinned_errors),
		TEST(rfc5508_10_time_exceeded),
		TEST(errors_expire),
		TEST(rfc5508_11_other_icmp),
		TEST(queries_in_fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
