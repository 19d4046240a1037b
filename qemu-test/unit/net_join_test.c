/* SPDX-License-Identifier: MIT */
/*
 * Segments joined: what comes out is what came in, in order, and no more is joined
 * than may be. A plain reckoning of sums is beside them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "host-bridge/net/join.h"

#define ACK	0x10u
#define PSH	0x08u
#define HEADER	(20u + 32u)	/* IPv4's and TCP's with 12 bytes of options */

struct out {
	struct net_packet packet;
	uint8_t data[JOIN_MAX];
};

static struct out outs[64];
static unsigned count;

static void out(struct net_packet *packet)
{
	assert_true(count < 64);
	outs[count].packet = *packet;
	memcpy(outs[count++].data, packet->data, packet->len);
	/* There is room before it, and it may be written to. */
	memset(packet->data - NET_HEADROOM, 0xaa, NET_HEADROOM);
}

static struct join join = { .out = out };

static uint16_t plain(const uint8_t *data, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

/* All that TCP sums up: 0xffff if it is right. */
static uint16_t tcp_sum(const uint8_t *ip, size_t len)
{
	bool six = ip[0] >> 4 == 6;
	size_t at = six ? 40 : 20;
	uint32_t sum = plain(six ? ip + 8 : ip + 12, six ? 32 : 8, 0);

	return plain(ip + at, len - at, sum + 6 + (uint32_t)(len - at));
}

static void seal(uint8_t *ip, size_t len)
{
	size_t at = ip[0] >> 4 == 6 ? 40 : 20;

	if (at == 20) {
		net_put16(ip + 10, 0);
		net_put16(ip + 10, (uint16_t)~plain(ip, 20, 0));
	}
	net_put16(ip + at + 16, 0);
	net_put16(ip + at + 16, (uint16_t)~tcp_sum(ip, len));
}

/* A segment of the flow, with bytes that go on with its numbers. */
static size_t make(uint8_t *ip, bool six, uint32_t seq, size_t bytes,
		   uint8_t flags)
{
	size_t at = six ? 40 : 20, len = at + 32 + bytes;
	static uint16_t number;

	memset(ip, 0, at + 32);
	if (six) {
		ip[0] = 0x60;
		net_put16(ip + 4, (uint16_t)(len - 40));
		ip[6] = 6;
		ip[7] = 64;
		ip[8] = ip[24] = 0xfd;
	} else {
		ip[0] = 0x45;
		net_put16(ip + 2, (uint16_t)len);
		net_put16(ip + 4, number++);
		ip[6] = 0x40;
		ip[8] = 64;
		ip[9] = 6;
		ip[12] = ip[16] = 10;
	}
	net_put16(ip + at, 80);
	net_put16(ip + at + 2, 40000);
	net_put16(ip + at + 4, (uint16_t)(seq >> 16));
	net_put16(ip + at + 6, (uint16_t)seq);
	net_put16(ip + at + 10, 7);	/* acknowledged */
	ip[at + 12] = 0x80;
	ip[at + 13] = flags;
	net_put16(ip + at + 14, 500);
	for (size_t i = 0; i < bytes; i++) {
		ip[at + 32 + i] = (uint8_t)((seq + i) * 7 >> 2);
	}
	seal(ip, len);
	return len;
}

static bool take(const uint8_t *ip, size_t len)
{
	size_t header = join_header(ip, len);

	return header && join_take(&join, ip, len, header, JOIN_UNKNOWN);
}

static bool comes(bool six, uint32_t seq, size_t bytes, uint8_t flags)
{
	uint8_t ip[1600];

	return take(ip, make(ip, six, seq, bytes, flags));
}

/* That one came out, with these bytes of the flow. */
static void is_out(unsigned i, uint32_t seq, size_t bytes)
{
	const struct net_packet *p = &outs[i].packet;
	const uint8_t *ip = outs[i].data;
	bool six = ip[0] >> 4 == 6;
	size_t at = six ? 40 : 20;

	assert_true(i < count);
	assert_int_equal(p->len, at + 32 + bytes);
	assert_int_equal(net_get32(ip + at + 4), seq);
	assert_int_equal(six ? net_get16(ip + 4) + 40u : net_get16(ip + 2),
			 p->len);
	assert_true(six || plain(ip, 20, 0) == 0xffff);
	for (size_t n = 0; n < bytes; n++) {
		assert_int_equal(ip[at + 32 + n], (uint8_t)((seq + n) * 7 >> 2));
	}
	if (p->gso_type == NET_GSO_NONE) {
		assert_int_equal(p->flags, NET_DATA_VALID);
		assert_int_equal(tcp_sum(ip, p->len), 0xffff);
		return;
	}
	assert_int_equal(p->gso_type, six ? NET_GSO_TCPV6 : NET_GSO_TCPV4);
	assert_int_equal(p->flags, NET_NEEDS_CSUM);
	assert_int_equal(p->csum_start, at);
	assert_int_equal(p->csum_offset, 16);
	assert_int_equal(p->hdr_len, at + 32);
	/* As it will be when it has been finished. */
	net_put16(outs[i].data + at + 16,
		  (uint16_t)~plain(ip + at, p->len - at, 0));
	assert_int_equal(tcp_sum(ip, p->len), 0xffff);
}

static int setup(void **state)
{
	(void)state;
	join.count = 0;
	count = 0;
	return 0;
}

static void segments_are_one(void **state)
{
	(void)state;
	for (unsigned six = 0; six < 2; six++) {
		setup(NULL);
		for (uint32_t i = 0; i < 10; i++) {
			/* round the end of the numbers */
			assert_true(comes(six, 0xffffff00 + 1000 * i, 1000,
					  ACK));
		}
		assert_int_equal(count, 0);
		assert_true(comes(six, 0xffffff00 + 10000, 300, ACK));
		assert_int_equal(count, 1);	/* a short one is the last */
		is_out(0, 0xffffff00, 10300);
		assert_int_equal(outs[0].packet.gso_size, 1000);
		join_flush(&join);
		assert_int_equal(count, 1);
	}
}

/* A push ends it, and is in it. */
static void a_push_is_kept(void **state)
{
	(void)state;
	assert_true(comes(false, 0, 1000, ACK));
	assert_true(comes(false, 1000, 1000, ACK | PSH));
	assert_int_equal(count, 1);
	is_out(0, 0, 2000);
	assert_int_equal(outs[0].data[33], ACK | PSH);
	assert_true(comes(false, 2000, 1000, ACK | PSH));
	assert_int_equal(count, 2);
	is_out(1, 2000, 1000);
}

/* It is never longer than a packet may be. */
static void there_is_an_end(void **state)
{
	uint32_t seq = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++, seq += 1448) {
		assert_true(comes(false, seq, 1448, ACK));
	}
	join_flush(&join);
	assert_int_equal(count, 3);
	is_out(0, 0, 45 * 1448);
	is_out(1, 45 * 1448, 45 * 1448);
	is_out(2, 90 * 1448, 10 * 1448);
}

/* What else differs is not joined, but both come, in order. */
static void others_are_not(void **state)
{
	static const struct { uint8_t at, with; } changed[] = {
		{ 1, 4 }, { 8, 1 }, { 12, 1 }, { 19, 1 }, { 20, 1 }, { 23, 1 },
		{ 31, 1 }, { 32, 0x01 }, { 34, 1 }, { 39, 1 }, { 51, 1 },
	};
	uint8_t ip[1600];
	size_t len;

	(void)state;
	for (unsigned i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
		setup(NULL);
		assert_true(comes(false, 0, 1000, ACK));
		len = make(ip, false, 1000, 1000, ACK);
		ip[changed[i].at] ^= changed[i].with;
		seal(ip, len);
		assert_true(take(ip, len));
		join_flush(&join);
		assert_int_equal(count, 2);
		is_out(0, 0, 1000);
		is_out(1, 1000, 1000);
	}
	setup(NULL);
	assert_true(comes(false, 0, 1000, ACK));
	assert_true(comes(false, 1001, 1000, ACK));	/* one is missing */
	assert_true(comes(false, 500, 1000, ACK));
	assert_true(comes(false, 1500, 1001, ACK));	/* longer */
	assert_true(comes(true, 2501, 1001, ACK));
	join_flush(&join);
	assert_int_equal(count, 5);
}

/* What is no plain data is not touched. */
static void most_is_refused(void **state)
{
	static const uint8_t flags[] = { 0, PSH, 0x12, 0x11, 0x14, 0x30, 0x50,
					 0x90, 2, 1, 4 };
	uint8_t ip[1600];
	size_t len;

	(void)state;
	for (unsigned i = 0; i < sizeof(flags); i++) {
		assert_false(comes(false, 0, 10, flags[i]));
		assert_false(comes(true, 0, 10, flags[i]));
	}
	assert_false(comes(false, 0, 0, ACK | PSH));
	len = make(ip, false, 0, 100, ACK);
	for (size_t i = 0; i < HEADER; i++) {
		assert_int_equal(join_header(ip, i), 0);
	}
	ip[0] = 0x46;
	assert_int_equal(join_header(ip, len), 0);
	ip[0] = 0x45;
	ip[6] |= 0x20;			/* a fragment, the first and a later */
	assert_int_equal(join_header(ip, len), 0);
	ip[6] = 0;
	ip[7] = 1;
	assert_int_equal(join_header(ip, len), 0);
	ip[7] = 0;
	ip[9] = 17;
	assert_int_equal(join_header(ip, len), 0);
	ip[9] = 6;
	ip[32] = 0x40;			/* a header of TCP's that is too short */
	assert_int_equal(join_header(ip, len), 0);
	assert_int_equal(count, 0);
}

/* Sums are reckoned, unless somebody has. */
static void wrong_sums_are_seen(void **state)
{
	uint8_t ip[1600];
	size_t len = make(ip, false, 0, 999, ACK);

	(void)state;
	for (size_t i = 20; i < len; i += 97) {
		ip[i] ^= 0x40;
		assert_false(join_header(ip, len) &&
			     join_take(&join, ip, len, HEADER, JOIN_UNKNOWN));
		ip[i] ^= 0x40;
	}
	ip[8]--;			/* IP's, of which no card says anything */
	assert_false(join_take(&join, ip, len, HEADER, JOIN_UNKNOWN));
	assert_false(join_take(&join, ip, len, HEADER, JOIN_RIGHT));
	ip[8]++;
	ip[60]++;
	assert_true(join_take(&join, ip, len, HEADER, JOIN_RIGHT));
	join_flush(&join);
	assert_int_equal(outs[0].packet.flags, NET_DATA_VALID);
}

/* One that was never finished stays so, alone, and is finished with others. */
static void open_sums(void **state)
{
	uint8_t ip[1600];
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		len = make(ip, false, i < 2 ? 1000 * i : 5000, 1000, ACK);
		net_put16(ip + 36, (uint16_t)plain(ip + 12, 8, 6 + 1032));
		assert_false(join_take(&join, ip, len, HEADER, JOIN_UNKNOWN));
		assert_true(join_take(&join, ip, len, HEADER, JOIN_OPEN));
	}
	join_flush(&join);
	assert_int_equal(count, 2);
	is_out(0, 0, 2000);
	assert_int_equal(outs[1].packet.flags, NET_NEEDS_CSUM);
	assert_int_equal(outs[1].packet.csum_start, 20);
	assert_int_equal(outs[1].packet.csum_offset, 16);
	assert_memory_equal(outs[1].data, ip, len);
	/* And the last acknowledgement says it. */
	len = make(ip, false, 6000, 0, ACK);
	assert_true(join_take(&join, ip, len, HEADER, JOIN_UNKNOWN));
	net_put16(ip + 30, 9);
	assert_true(join_take(&join, ip, len, HEADER, JOIN_OPEN));
	join_flush(&join);
	assert_int_equal(count, 3);
	assert_int_equal(outs[2].packet.flags, NET_NEEDS_CSUM);
}

static bool acknowledges(uint32_t ack, uint16_t window)
{
	uint8_t ip[1600];
	size_t len = make(ip, false, 15, 0, ACK);

	net_put16(ip + 28, (uint16_t)(ack >> 16));
	net_put16(ip + 30, (uint16_t)ack);
	net_put16(ip + 34, window);
	seal(ip, len);
	return take(ip, len);
}

/* The last of those that go on is enough; those that say the same again all come. */
static void acknowledgements(void **state)
{
	(void)state;
	assert_true(acknowledges(0xfffffff0, 100));
	assert_true(acknowledges(10, 90));
	assert_true(acknowledges(20, 80));
	assert_int_equal(count, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(acknowledges(20, 80));
		assert_int_equal(count, i + 1);
	}
	assert_true(acknowledges(15, 80));		/* an older one */
	assert_true(acknowledges(30, 80));
	assert_true(comes(false, 5, 10, ACK));		/* and data */
	assert_true(acknowledges(40, 80));
	join_flush(&join);
	assert_int_equal(count, 7);
	for (unsigned i = 0; i < 5; i++) {
		is_out(i, 15, 0);
		assert_int_equal(net_get32(outs[i].data + 28), i < 4 ? 20 : 30);
	}
	is_out(5, 5, 10);
	is_out(6, 15, 0);
}

/* Any segments of two flows: all bytes come, in order, in segments as they were;
 * of acknowledgements those are missing that one with a higher number followed. */
static void by_chance(void **state)
{
	struct { bool six; uint32_t seq, ack; size_t bytes; } in[40], *at;
	uint32_t next[2] = { 0, 0 };

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 3000; round++) {
		setup(NULL);
		for (unsigned i = 0; i < 40; i++) {
			uint8_t ip[1600];
			bool six = rand() % 8 == 0;
			size_t bytes = rand() % 4 ? rand() % 3 * 100u :
				       (unsigned)rand() % 150;
			uint32_t seq = next[six] - (rand() % 8 ? 0 : 50u);
			uint16_t ack = (uint16_t)(rand() % 6 ? 7 : rand() % 9);
			size_t len = make(ip, six, seq, bytes, ACK);

			net_put16(ip + (six ? 50 : 30), ack);
			seal(ip, len);
			assert_true(take(ip, len));
			in[i].six = six;
			in[i].seq = seq;
			in[i].ack = ack;
			in[i].bytes = bytes;
			next[six] = seq + (uint32_t)bytes;
		}
		join_flush(&join);
		at = in;
		for (unsigned i = 0; i < count; i++) {
			const uint8_t *ip = outs[i].data;
			bool six = ip[0] >> 4 == 6;
			size_t tcp = six ? 40 : 20, size = outs[i].packet.gso_size;
			size_t left = outs[i].packet.len - tcp - 32;
			uint32_t seq = net_get32(ip + tcp + 4);
			uint32_t ack = net_get32(ip + tcp + 8);

			is_out(i, seq, left);
			while (left == 0 && at->ack != ack) {
				assert_true(at->bytes == 0 && at->six == six &&
					    at->ack < ack);
				at++;
			}
			do {
				size_t part = size && left > size ? size : left;

				assert_true(at < in + 40 && at->six == six);
				assert_int_equal(at->seq, seq);
				assert_int_equal(at->ack, ack);
				assert_int_equal(at->bytes, part);
				seq += (uint32_t)part;
				left -= part;
				at++;
			} while (left > 0);
		}
		assert_ptr_equal(at, in + 40);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(segments_are_one), TEST(a_push_is_kept),
		TEST(there_is_an_end), TEST(others_are_not),
		TEST(most_is_refused), TEST(wrong_sums_are_seen),
		TEST(open_sums), TEST(acknowledgements), TEST(by_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
