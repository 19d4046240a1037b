/* SPDX-License-Identifier: MIT */
/*
 * Neighbours of the wire, for those whose packets go there: each waits for his own.
 * First what one may have waiting, then the stack, in which lwIP's tables are.
 */
#include "net_fixture.h"

#include "host-bridge/net/neighbours.h"
#include "host-bridge/net/stack.h"

#define KNOWN4	0x0a0002f0u	/* a neighbour that sender 1 knows */
#define NEW4	0x0a0002f1u	/* and one that he does not yet */
#define FAR4	0xc0000201u

static bool answered;

static bool is_known(const uint8_t address[16])
{
	return answered && address[0] == 0;
}

static bool wait_for(unsigned sender, uint8_t which, size_t len, uint64_t ms)
{
	const uint8_t address[16] = { [15] = which };

	return neighbours_wait(sender, address, len, ms, is_known);
}

/* So many; those that do not answer keep their place, but get nothing any more. */
static void places_are_counted(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < NEIGHBOURS_ASKED; i++) {
		assert_true(wait_for(0, i, 100, 1000));
	}
	assert_false(wait_for(0, 100, 100, 1001));
	assert_true(wait_for(1, 100, 100, 1001));
	assert_true(wait_for(0, 3, 100, 2999));
	assert_false(wait_for(0, 3, 100, 3000));
	assert_false(wait_for(0, 100, 100, 5999));
	assert_true(wait_for(0, 3, 100, 6000));
	assert_true(wait_for(0, 100, 100, 6000));
}

/* Who has answered makes room a quarter of a second after he was asked. */
static void answers_make_room(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < NEIGHBOURS_ASKED; i++) {
		assert_true(wait_for(2, i, 100, 1000));
	}
	answered = true;
	assert_false(wait_for(2, 100, 100, 1249));
	assert_true(wait_for(2, 100, 100, 1250));
	answered = false;
}

/* In packets and in bytes; what is refused takes no place. */
static void what_waits_is_counted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NEIGHBOURS_PACKETS; i++) {
		assert_true(wait_for(3, i % 2, 100, 1000));
	}
	assert_false(wait_for(3, 0, 100, 1000));
	assert_true(wait_for(4, 0, UINT16_MAX, 1000));
	assert_true(wait_for(4, 0, UINT16_MAX, 1000));
	assert_false(wait_for(4, 1, 3, 1000));
	answered = true;		/* nothing waits any more */
	assert_true(wait_for(3, 0, 100, 1001));
	assert_true(wait_for(4, 0, UINT16_MAX, 1001));
	answered = false;
}

/* ---- In the stack ---- */

static bool sent(unsigned sender, const uint8_t *ip, size_t len)
{
	uint8_t room[NET_HEADROOM + 64] = { 0 };
	struct net_packet p = { .data = room + NET_HEADROOM, .len = len,
				.space = len };

	memcpy(p.data, ip, len);
	return stack_to_wire(sender, &p);
}

/* Whether a packet to that address is taken. */
static bool four(unsigned sender, uint32_t to)
{
	uint8_t ip[28] = { 0x45, [3] = 28, [8] = 64, [9] = 17 };

	put32(ip + 12, HOST_IP);
	put32(ip + 16, to);
	put16(ip + 22, 0x100 | (to & 0xff));	/* the port */
	put16(ip + 10, test_sum(ip, 20, 0));
	return sent(sender, ip, sizeof(ip));
}

/* The same to fd00:9::which, or far away. */
static bool six(unsigned sender, bool far, uint16_t which)
{
	uint8_t ip[48] = { 0x60, [5] = 8, [6] = 17, [7] = 64, [8] = 0xfd };

	memcpy(ip + 24, far ? "\x20\1\x0d\xb8" : "\xfd\0\0\x09", 4);
	put16(ip + 38, which);
	return sent(sender, ip, sizeof(ip));
}

/* From fe80::2, to the one there is. */
static void icmp6(uint8_t *frame, size_t len)
{
	uint8_t pseudo[40] = { [39] = 58 }, *ip = frame + 14;

	memcpy(frame, net_nic.mac, 6);
	memcpy(frame + 6, "\x52\x55\x0a\0\2\2\x86\xdd", 8);
	ip[0] = 0x60;
	put16(ip + 4, (uint16_t)(len - 54));
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, "\xfe\x80", 2);
	ip[23] = 2;
	memcpy(ip + 24, "\xfe\x80", 2);
	memcpy(ip + 32, "\x50\x54\0\xff\xfe\x12\x34\x56", 8);
	memcpy(pseudo, ip + 8, 32);
	put16(pseudo + 34, (uint16_t)(len - 54));
	put16(ip + 42, test_sum(ip + 40, len - 54,
				(uint16_t)~test_sum(pseudo, 40, 0)));
	net_frame(frame, len);
}

/* A router, and that fd00:9::/64 is here. [RFC 4861 "Message Formats"] */
static void advertise(void)
{
	uint8_t frame[14 + 40 + 16 + 8 + 32] = { 0 }, *ra = frame + 54;

	ra[0] = 134;
	put16(ra + 6, 1800);
	memcpy(ra + 16, "\1\1\x52\x55\x0a\0\2\2", 8);
	memcpy(ra + 24, "\3\4\x40\xc0\0\1\0\0\0\1\0\0\0\0\0\0\xfd\0\0\x09", 20);
	icmp6(frame, sizeof(frame));
}

/* Neighbours from ::100 on answer when they are asked. */
static void answer(const uint8_t *ip, size_t len)
{
	uint8_t frame[14 + 40 + 32] = { 0 }, *na = frame + 54;

	if (ip[0] >> 4 != 6 || len < 72 || ip[6] != 58 || ip[40] != 135 ||
	    ip[48] != 0xfd || ip[62] != 1) {
		return;
	}
	na[0] = 136;
	na[4] = 0x60;
	memcpy(na + 8, ip + 48, 16);
	memcpy(na + 24, "\2\1\x52\x55\x0a\0\2\2", 8);
	icmp6(frame, sizeof(frame));
}

static unsigned came;		/* to NEW4, or to fd00:9::101 */

static void come(const uint8_t *ip, size_t len)
{
	answer(ip, len);
	came += ip[0] >> 4 == 6 && ip[6] == 17 && ip[38] == 1 && ip[39] == 1;
}

static void come4(uint16_t port, const uint8_t *data, size_t len)
{
	(void)data;
	(void)len;
	came += port == (0x100 | (NEW4 & 0xff));
}

/* One floods addresses that nobody has. Another's neighbour and the router are not
 * forgotten meanwhile, and a new one gets what is for it. */
static void a_flood_waits_alone(void **state)
{
	unsigned many = 0, many6 = 0;

	(void)state;
	router.packet = come;
	router.datagram = come4;
	net_run(3000);		/* it has an address of IPv6's */
	advertise();
	net_run(3000);
	assert_true(four(1, FAR4) && four(1, KNOWN4));
	assert_true(six(1, true, 1) && six(1, false, 0x100));
	net_run(1000);
	router.deaf = true;
	for (unsigned ms = 0; ms < 20000; ms += 10) {
		many += four(5, 0x0a000210 + ms / 10 % 200);
		many6 += six(6, false, (uint16_t)(0x200 + ms));
		assert_true(four(5, FAR4) && six(6, true, 1));
		assert_true(four(1, FAR4) && six(1, true, 2));
		net_run(10);
	}
	assert_int_equal(many, 4 * NEIGHBOURS_ASKED);
	assert_int_equal(many6, 4 * NEIGHBOURS_ASKED);
	router.deaf = false;
	assert_true(four(1, KNOWN4) && six(1, false, 0x100));
	came = 0;
	assert_true(four(1, NEW4) && six(1, false, 0x101));
	net_run(10);
	assert_int_equal(came, 2);
}

static int begin(void **state)
{
	static const struct config_network want = { 0 };

	(void)state;
	net_begin();
	stack_init();
	assert_int_equal(stack_start(&net_nic, &want), 0);
	net_plug();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_are_counted),
		cmocka_unit_test(answers_make_room),
		cmocka_unit_test(what_waits_is_counted),
		cmocka_unit_test(a_flood_waits_alone),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
