// SPDX-License-Identifier: MIT
/* The NAT: who may send what where, forwarded ports, offloads, its life. */
#include <errno.h>

#include "qemu-test/unit/nat_talk.h"

static void linux_is_nobody_else(void **state)
{
	(void)state;
	BOTH {
		for (unsigned from = LINUX_1; from < WHOS; from++) {
			make(&packet, &(struct spec){ .six = six, .proto = UDP,
				.from = from, .to = PEER, .sport = 1, .dport = 2 });
			GO(out(0, &packet), NAT_DROP);
		}
	}
	GO(count(0, NAT_SPOOFED), 2 * (WHOS - 1));
}

static void the_wire_is_no_linux(void **state)
{
	(void)state;
	BOTH {
		static const enum who froms[] = { LINUX_0, GATE_0, LINUX_1 };

		GO(nat_forward(nat, 0, six, UDP, 2, 2), 0);
		for (unsigned i = 0; i < 3; i++) {
			make(&packet, &(struct spec){ .six = six, .proto = UDP,
				.from = froms[i], .to = OUTSIDE, .dport = 2 });
			GO(in(&packet), NAT_DROP);
			make(&packet, &(struct spec){ .six = six, .proto = UDP,
				.from = PEER, .to = froms[i], .dport = 2 });
			GO(in(&packet), NAT_DROP);
		}
		make(&packet, &(struct spec){ .six = six, .proto = UDP,
			.from = OUTSIDE, .to = OUTSIDE, .dport = 2 });
		GO(in(&packet), six ? NAT_HOST : NAT_DROP);
		make(&packet, &(struct spec){ .six = six, .proto = UDP,
			.from = PEER, .to = OTHER, .dport = 2 });
		GO(in(&packet), NAT_HOST);
	}
}

static void the_host_is_open_where_it_says(void **state)
{
	struct spec s = { .proto = TCP, .from = LINUX_0, .sport = 4000,
			  .dport = 7, .flags = SYN };

	(void)state;
	BOTH {
		s.six = six;
		for (unsigned i = 0; i < 2; i++) {
			s.to = i == 0 ? GATE_0 : OUTSIDE;
			host_proto = 0;
			make(&packet, &s);
			GO(out(0, &packet), NAT_DROP);
			host_proto = TCP;
			host_port = 7;
			make(&packet, &s);
			GO(out(0, &packet), NAT_HOST);
			assert_true(is_from(&packet, LINUX_0));
			assert_true(sums_right(packet.p.data, packet.p.len, false));
			s.to = GATE_1;		/* another's */
			make(&packet, &s);
			GO(out(0, &packet), NAT_DROP);
		}
	}
	GO(nat_sessions(nat, 0), 0);
}

static void nowhere(void **state)
{
	static const uint8_t tos[][4] = { { 0 }, { 127, 0, 0, 1 }, { 224, 0, 0, 251 },
		{ 255, 255, 255, 255 }, { 169, 254, 1, 1 }, { 10, 77, 1, 2 } };
	static const uint8_t tos6[][2] = { { 0 }, { 0xff, 2 }, { 0xfe, 0x80 } };

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		make(&packet, &(struct spec){ .proto = UDP, .from = LINUX_0,
					      .to = PEER });
		memcpy(packet.p.data + 16, tos[i], 4);
		GO(out(0, &packet), NAT_DROP);
	}
	for (unsigned i = 0; i < 3; i++) {
		make(&packet, &(struct spec){ .six = true, .proto = UDP,
					      .from = LINUX_0, .to = PEER });
		memcpy(packet.p.data + 24, tos6[i], 2);
		GO(out(0, &packet), NAT_DROP);
	}
	GO(count(0, NAT_FORBIDDEN), 9);
	make(&packet, &(struct spec){ .proto = 47, .from = LINUX_0, .to = PEER });
	GO(out(0, &packet), NAT_DROP);
	GO(count(0, NAT_PROTOCOL), 1);
	make(&packet, &(struct spec){ .proto = UDP, .from = LINUX_0, .to = PEER,
				      .options = true });
	GO(out(0, &packet), NAT_DROP);
	GO(count(0, NAT_OPTIONS), 1);
}

/* ---- Ports that are forwarded ---- */

static void forwarded(void **state)
{
	(void)state;
	taken_from = 23;
	taken_to = 24;
	BOTH {
		GO(nat_forward(nat, 0, six, TCP, 23, 23), EADDRINUSE);
		GO(nat_forward(nat, 0, six, TCP, 8080, 80), 0);
		GO(nat_forward(nat, 0, six, TCP, 8080, 80), 0);
		GO(nat_forward(nat, 0, six, TCP, 8080, 81), EADDRINUSE);
		GO(nat_forward(nat, 1, six, TCP, 8080, 80), EADDRINUSE);
		GO(nat_forward(nat, 0, six, TCP, 80, 80), 0);
		GO(come(six, TCP, PEER, 5, 8080, SYN), 80);
		GO(send_from(0, six, TCP, PEER, 80, 5, SYN | ACK), 8080);
		GO(come(six, TCP, PEER, 6, 80, SYN), 80);
		GO(send_from(0, six, TCP, PEER, 80, 6, SYN | ACK), 80);
		GO(come(six, TCP, PEER, 5, 8080, ACK), 80);
		/* The same peer's port to both: not while the first is open. */
		GO(come(six, TCP, PEER, 5, 80, SYN), 0);
		nat_unforward(nat, six, TCP, 8080);
		GO(come(six, TCP, PEER, 5, 8080, ACK), 80);	/* goes on */
		GO(come(six, TCP, PEER, 7, 8080, SYN), 0);
		GO(come(six, TCP, PEER, 5, 8080, RST), 80);
		GO(come(six, TCP, PEER, 5, 80, SYN), 80);
		assert_false(nat_uses(nat, six, TCP, 8080));
	}
	GO(come(false, TCP, PEER, 5, 81, SYN), 0);
	GO(nat_forward(nat, 9, false, TCP, 81, 81), ENOSPC);
	for (unsigned i = 0; i < NAT_FIXED - 2; i++) {
		GO(nat_forward(nat, 0, false, UDP, (uint16_t)(1024 + i), 9), 0);
	}
	GO(nat_forward(nat, 0, false, UDP, 60000, 9), ENOSPC);
	GO(nat_forward(nat, 0, false, UDP, 1024, 9), 0);
}

/* The same port of another family, protocol or Linux is another port, also where
 * both are in one bucket, as they are with some seeds. */
static void ports_are_not_mixed_up(void **state)
{
	struct nat_config config = fixture_config(4);

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		fixture_end();
		config.seed[0] = config.seed[0] * 0xda942042e4dd58b5u | 1;
		fixture_begin(&config);
		GO(nat_forward(nat, 0, false, UDP, 1024, 9), 0);
		assert_false(nat_uses(nat, true, UDP, 1024));
		assert_false(nat_uses(nat, false, TCP, 1024));
		GO(send_from(0, false, TCP, PEER, 4000, 9, SYN), 4000);
		assert_in_range(send_from(1, false, TCP, PEER, 4000, 9, SYN),
				NAT_RANDOM, NAT_LAST);
	}
}

/* ---- Offloads ---- */

static void partial_checksums_and_large_segments(void **state)
{
	(void)state;
	BOTH {
		struct spec s = { .six = six, .proto = TCP, .from = LINUX_0,
				  .to = PEER, .sport = NAT_LAST + 9, .dport = 80,
				  .flags = SYN, .partial = true, .df = true };

		make(&packet, &s);
		GO(out(0, &packet), NAT_WIRE);
		assert_true(sums_right(packet.p.data, packet.p.len, true));
		assert_int_not_equal(sport(&packet), NAT_LAST + 9);
		s.flags = ACK;
		s.payload = 60000;
		make(&packet, &s);
		packet.p.gso_type = six ? NET_GSO_TCPV6 : NET_GSO_TCPV4;
		packet.p.gso_size = six ? 1440 : 1460;
		GO(out(0, &packet), NAT_WIRE);
		GO(packet.p.len, 60000 + (six ? 60 : 40));
		assert_true(sums_right(packet.p.data, packet.p.len, true));
		packet.p.gso_size++;
		make(&packet, &s);
		packet.p.gso_type = six ? NET_GSO_TCPV6 : NET_GSO_TCPV4;
		packet.p.gso_size = six ? 1441 : 1461;
		GO(out(0, &packet), NAT_DROP);
		GO(count(0, NAT_TOO_BIG), 1 + six);
		s.proto = UDP;
		make(&packet, &s);
		packet.p.gso_type = NET_GSO_UDP_L4;
		packet.p.gso_size = 1400;
		GO(out(0, &packet), NAT_WIRE);
		assert_true(sums_right(packet.p.data, packet.p.len, true));
	}
}

static void offloads_that_mean_harm(void **state)
{
	struct spec s = { .proto = TCP, .from = LINUX_0, .to = PEER, .sport = 4000,
			  .dport = 80, .flags = SYN, .partial = true,
			  .payload = 9 };

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		make(&packet, &s);
		switch (i) {
		case 0:
			packet.p.csum_start += 2;
			break;
		case 1:
			packet.p.csum_offset = 0xfff0;
			break;
		case 2:
			packet.p.gso_type = NET_GSO_TCPV4;
			break;
		case 3:
			packet.p.gso_type = NET_GSO_TCPV6;
			packet.p.gso_size = 4;
			break;
		case 4:
			packet.p.gso_type = NET_GSO_UDP_L4;
			packet.p.gso_size = 4;
			break;
		case 5:
			packet.p.gso_type = NET_GSO_TCPV4;
			packet.p.gso_size = 4;
			packet.p.flags = 0;
			break;
		case 6:
			packet.p.gso_type = NET_GSO_TCPV4;
			packet.p.gso_size = 4;
			packet.p.len++;
			break;
		case 7:
			packet.p.data[6] = 0x20;	/* a fragment */
			break;
		case 8:
			packet.p.csum_start -= 2;
			packet.p.csum_offset += 2;
			break;
		default:
			s.proto = ICMP;
			s.type = 8;
			make(&packet, &s);
		}
		GO(out(0, &packet), NAT_DROP);
		GO(count(0, NAT_MALFORMED), i + 1);
	}
}

/* No checksum stays none, and one that is wrong stays wrong. */
static void checksums_are_as_before(void **state)
{
	struct spec s = { .proto = UDP, .from = LINUX_0, .to = PEER,
			  .sport = NAT_LAST + 9, .dport = 9, .no_csum = true,
			  .payload = 3 };
	unsigned zeros = 0;

	(void)state;
	make(&packet, &s);
	GO(out(0, &packet), NAT_WIRE);
	GO(net_get16(packet.p.data + 26), 0);
	s.no_csum = false;
	make(&packet, &s);
	packet.p.data[30] ^= 1;
	GO(out(0, &packet), NAT_WIRE);
	assert_false(sums_right(packet.p.data, packet.p.len, false));
	for (unsigned i = 0; i < 0x10000; i++) {
		s.dport = (uint16_t)i;
		make(&packet, &s);
		GO(out(0, &packet), NAT_WIRE);
		assert_true(sums_right(packet.p.data, packet.p.len, false));
		assert_int_not_equal(net_get16(packet.p.data + 26), 0);
		zeros += net_get16(packet.p.data + 26) == 0xffff;
	}
	assert_in_range(zeros, 1, 3);
}

/* A million SYNs of a Linux's, a hundred thousand to a forwarded port of its from
 * nowhere, as many packets that are not its own, or are fragments: its open
 * connection goes on, another Linux's begin. */
static void floods(void **state)
{
	struct nat_config config = fixture_config(256);
	struct spec s = { .proto = TCP, .from = LINUX_0, .to = PEER, .dport = 80,
			  .flags = SYN };
	unsigned opened = 0;

	(void)state;
	fixture_end();
	fixture_begin(&config);
	GO(nat_forward(nat, 0, false, TCP, 22, 22), 0);
	send_from(0, false, TCP, PEER, 4000, 80, SYN);
	come(false, TCP, PEER, 80, 4000, SYN | ACK);
	for (unsigned i = 0; i < 1000000; i++) {
		now += i % 100 == 0;
		make(&packet, &s);
		net_put16(packet.p.data + 20, (uint16_t)(i % 60000 + 1024));
		packet.p.data[19] = (uint8_t)(i / 60000);
		(void)out(0, &packet);
		if (i % 10 == 0) {
			(void)come(false, TCP, i & 16 ? PEER : OTHER,
				   (uint16_t)(i / 10), 22, SYN);
			make(&packet, &(struct spec){ .proto = UDP,
				.from = LINUX_1, .to = PEER });
			GO(out(0, &packet), NAT_DROP);
			make(&packet, &(struct spec){ .proto = UDP,
				.from = LINUX_0, .to = PEER, .id = i / 10,
				.offset = 800, .payload = 800 });
			(void)out(0, &packet);
		}
		if (i % 10000 == 0) {
			opened += send_from(1, false, TCP, PEER,
					    (uint16_t)(2000 + i / 10000), 80,
					    SYN) != 0;
			opened += come(false, TCP, PEER, 80, 4000, ACK) == 4000;
		}
	}
	GO(opened, 200);
	assert_in_range(nat_sessions(nat, 0), 250, 256);
	assert_in_range(deliveries, 900, 1200);
}

/* IPv6 headers between: those that may be there are passed over, with routing
 * none goes on, and there is an end to their number. From the wire, IPv4 options
 * and routing do not come in. */
static void headers_between(void **state)
{
	static const struct { uint8_t kind, count; enum nat_way way; } cases[] = {
		{ 0, 1, NAT_WIRE }, { 60, 1, NAT_WIRE }, { 60, 7, NAT_WIRE },
		{ 60, 8, NAT_DROP }, { 43, 1, NAT_DROP }, { 44, 1, NAT_WIRE },
		{ 44, 2, NAT_DROP },
	};
	struct spec s = { .six = true, .proto = UDP, .from = LINUX_0, .to = PEER,
			  .sport = 4000, .dport = 9, .payload = 4 };

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t kind = cases[i / 2].kind, *ip = packet.room + NET_HEADROOM;
		unsigned count = cases[i / 2].count;

		s.from = i % 2 == 0 ? LINUX_0 : PEER;
		s.to = i % 2 == 0 ? PEER : OUTSIDE;
		s.sport = i % 2 == 0 ? 4000 : 9;
		s.dport = i % 2 == 0 ? 9 : 4000;
		make(&packet, &s);
		memmove(ip + 40 + 8 * count, ip + 40, 12);
		memset(ip + 40, 0, 8 * count);
		ip[6] = kind;
		for (unsigned j = 0; j < count; j++) {
			ip[40 + 8 * j] = j == count - 1 ? UDP : kind;
		}
		net_put16(ip + 4, (uint16_t)(12 + 8 * count));
		packet.p.len += 8 * count;
		if (i % 2 == 0) {
			GO(out(0, &packet), cases[i / 2].way);
			continue;
		}
		GO(in(&packet), cases[i / 2].way == NAT_WIRE ? NAT_LINUX : NAT_DROP);
		packet.p.len -= 8;		/* its end is missing */
		GO(in(&packet), NAT_DROP);
	}
	/* A header that is longer than the packet. */
	make(&packet, &s);
	packet.p.data[6] = 60;
	packet.p.data[41] = 200;
	GO(in(&packet), NAT_DROP);
	send_from(0, false, UDP, PEER, 4000, 9, 0);
	make(&packet, &(struct spec){ .proto = UDP, .from = PEER, .to = OUTSIDE,
				      .sport = 9, .dport = 4000, .options = true });
	GO(in(&packet), NAT_DROP);
	GO(count(NAT_LINUXES, NAT_OPTIONS), 2);
}

/* ---- Life ---- */

static bool no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return no_memory && count > 100 ? NULL : __real_calloc(count, size);
}

static void without_memory(void **state)
{
	struct nat_config config = fixture_config(64);
	struct nat_link link = { { whos[LINUX_0][0] }, { whos[GATE_0][0] } };

	(void)state;
	no_memory = true;
	assert_null(nat_new(&config));
	GO(nat_linux_up(nat, 0, &link), ENOMEM);
	no_memory = false;
	GO(send_from(0, false, UDP, PEER, 4000, 9, 0), 0);
	GO(nat_linux_up(nat, 0, &link), 0);
	GO(send_from(0, false, UDP, PEER, 4000, 9, 0), 4000);
}

static void lines(void *arg, const struct nat_line *line)
{
	unsigned *seen = arg;

	seen[line->fixed]++;
	assert_int_equal(line->outside, line->fixed ? 22 : 4000);
	assert_true(line->fixed || memcmp(line->remote, &whos[PEER][line->six],
					  16) == 0);
}

static void another_address_and_another_linux(void **state)
{
	struct nat_addr none[2] = { 0 };
	struct nat_link link = { { whos[LINUX_0][0] }, { whos[GATE_0][0] } };

	(void)state;
	BOTH {
		unsigned seen[2] = { 0 };

		udp(six, PEER, 4000, 9);
		GO(nat_forward(nat, 0, six, TCP, 22, 22), 0);
		nat_each(nat, lines, seen);
		GO(seen[0], 1 + six);
		GO(seen[1], 1 + six);
	}
	nat_outside(nat, whos[OUTSIDE], 1400);
	GO(nat_sessions(nat, 0), 2);
	nat_outside(nat, none, 1500);
	GO(nat_sessions(nat, 0), 0);
	GO(udp(false, PEER, 4000, 9), 0);
	GO(net_get16(delivered[0].data + 20), 3 << 8);
	GO(udp(true, PEER, 4000, 9), 0);
	GO(net_get16(delivered[1].data + 40), 1 << 8);
	nat_outside(nat, whos[OUTSIDE], 1500);
	GO(come(false, TCP, PEER, 9, 22, SYN), 22);
	assert_true(nat_uses(nat, true, TCP, 22));
	GO(nat_linux_up(nat, 0, &link), 0);
	assert_false(nat_uses(nat, true, TCP, 22));
	GO(nat_sessions(nat, 0), 0);
	GO(udp(false, PEER, 4000, 9), 4000);
	GO(udp(true, PEER, 4000, 9), 0);		/* it has no IPv6 */
	for (unsigned i = 0; i < NAT_COUNTS; i++) {
		assert_non_null(nat_count_name(i));
	}
}

/* A mapping ends with its last session, found too old by who comes from the
 * wire. (Found by the fuzzer.) */
static void a_mapping_ends_under_who_comes(void **state)
{
	struct nat_config config = fixture_config(64);

	fixture_end();
	config.open = true;
	fixture_begin(&config);
	(void)state;
	BOTH {
		send_from(0, six, UDP, PEER, 4000, 9, 0);
		now += 10000000;
		GO(come(six, UDP, PEER, 9, 4000, 0), 0);
		assert_false(nat_uses(nat, six, UDP, 4000));
		GO(nat_sessions(nat, 0), 0);
	}
}

/* A packet that cannot be delivered may be the end of the Linux that it is to. */
static void a_link_goes_down_in_the_middle(void **state)
{
	struct nat_config config = fixture_config(64);
	struct nat_link link = { { whos[LINUX_0][0] }, { whos[GATE_0][0] } };
	struct spec s = { .proto = UDP, .from = LINUX_0, .to = PEER,
			  .sport = 4000, .dport = 9, .payload = 16, .id = 3 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		fixture_end();
		fixture_begin(&config);
		down_by_delivery = true;
		s.more = i == 0;
		s.hops = i == 1 ? 1 : 0;
		taken_to = i == 2 ? 65536 : 0;
		for (unsigned j = 3; i == 0 && j > 0; j--) {
			s.offset = (uint16_t)(16 + 8 * j);
			make(&packet, &s);
			GO(out(0, &packet), NAT_HELD);
		}
		s.offset = 0;
		make(&packet, &s);
		GO(out(0, &packet), i == 0 ? NAT_WIRE : NAT_DROP);
		GO(deliveries, 1);
		make(&packet, &s);
		GO(out(0, &packet), NAT_DROP);
		down_by_delivery = false;
		taken_to = 0;
		GO(nat_linux_up(nat, 0, &link), 0);
		s.offset = 64;			/* there is room for it */
		s.more = false;
		make(&packet, &s);
		GO(out(0, &packet), NAT_HELD);
	}
}

/* What was a Linux's is nobody's on the wire when it has ended. */
static void a_link_that_is_down(void **state)
{
	(void)state;
	nat_linux_down(nat, 1);
	BOTH {
		for (unsigned i = 0; i < 2; i++) {
			make(&packet, &(struct spec){ .six = six, .proto = UDP,
				.from = LINUX_0, .sport = 4000, .dport = 9,
				.to = i == 0 ? LINUX_1 : GATE_1 });
			GO(out(0, &packet), NAT_DROP);
			make(&packet, &(struct spec){ .six = six, .proto = UDP,
				.from = LINUX_1, .to = PEER });
			GO(out(1, &packet), NAT_DROP);
		}
	}
	GO(count(0, NAT_FORBIDDEN), 4);
}

/* Each length and each cut of a packet, both ways. */
static void short_packets(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		bool six = i & 1, wire = i & 2;
		struct spec s = { .six = six, .proto = i & 4 ? UDP : TCP,
				  .from = wire ? PEER : LINUX_0,
				  .to = wire ? OUTSIDE : PEER, .flags = SYN,
				  .sport = 4000, .dport = 4000 };
		size_t len;

		make(&packet, &s);
		len = packet.p.len;
		for (size_t cut = 0; cut < len; cut++) {
			uint8_t *copy = malloc(cut + 1);

			make(&packet, &s);
			memcpy(copy, packet.p.data, cut);
			packet.p.data = copy;
			packet.p.len = cut;
			GO(wire ? in(&packet) : out(0, &packet), NAT_DROP);
			if (cut > 20 && !(six && cut < 40)) {
				net_put16(copy + (six ? 4 : 2),
					  (uint16_t)(cut - (six ? 40 : 0)));
				GO(wire ? in(&packet) : out(0, &packet), NAT_DROP);
			}
			free(copy);
		}
		s.payload = 10;
		make(&packet, &s);
		packet.p.len -= 5;
		GO(wire ? in(&packet) : out(0, &packet), NAT_DROP);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(linux_is_nobody_else),
		TEST(the_wire_is_no_linux),
		TEST(the_host_is_open_where_it_says),
		TEST(nowhere),
		TEST(forwarded),
		TEST(ports_are_not_mixed_up),
		TEST(partial_checksums_and_large_segments),
		TEST(offloads_that_mean_harm),
		TEST(checksums_are_as_before),
		TEST(floods),
		TEST(headers_between),
		TEST(without_memory),
		TEST(another_address_and_another_linux),
		TEST(a_mapping_ends_under_who_comes),
		TEST(a_link_that_is_down),
		TEST(a_link_goes_down_in_the_middle),
		TEST(short_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
