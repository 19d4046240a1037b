/* SPDX-License-Identifier: MIT */
/*
 * The stack and what is on it, from card to card: addresses, names, echo, time, and
 * a wire that is gone. lwIP keeps state for ever, so all tests go on with the same
 * machine, in order.
 */
#include <stdio.h>

#include "lwip/dns.h"

#include "net_fixture.h"

#include "host-bridge/net/echo.h"
#include "host-bridge/net/lwip_port.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/ntp.h"
#include "host-bridge/net/ping.h"
#include "host-bridge/net/resolve.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/wall.h"

static const struct config_network want = { .echo = true };

static void dhcp_gives_an_address(void **state)
{
	static uint8_t room[NET_HEADROOM + 20] = { [NET_HEADROOM] = 0x45 };
	struct net_packet early = { .data = room + NET_HEADROOM, .len = 20 };
	struct stack_status s;

	(void)state;
	net_begin();
	stack_init();
	assert_int_equal(stack_start(&net_nic, &want), 0);
	assert_int_equal(stack_start(&net_nic, &want), 16);
	assert_int_equal(echo_start(), 0);
	/* The card has not started yet. */
	net_run(1000);
	stack_get_status(&s);
	assert_string_equal(s.address, "");
	assert_false(stack_to_wire(0, &early));
	net_nic.known = net_nic.link = true;
	net_nic.changed(net_nic.arg);
	net_run(100);
	stack_get_status(&s);
	assert_string_equal(s.address, "10.0.2.15/24");
	assert_string_equal(s.gateway, "10.0.2.2");
	assert_string_equal(s.server, "10.0.2.2");
	assert_string_equal(s.dns[0], "10.0.2.3");
	assert_string_equal(s.dns[1], "");
	assert_string_equal(s.how, "DHCP");
	assert_int_equal(s.lease, 86400);
	assert_string_equal(net_said, "network: 10.0.2.15/24 by DHCP\n");
	assert_int_equal(router.discovers, 1);
	assert_int_equal(router.requests, 1);
}

/* Half of the lease is over: it is asked for again, and the address stays. */
static void a_lease_is_renewed(void **state)
{
	unsigned asked = router.requests;
	struct stack_status s;

	(void)state;
	router.names = 0x0a000207u;
	router.names2 = 0x0a000208u;
	net_run(43200 * 1000 + 61000);
	assert_true(router.requests > asked);
	stack_get_status(&s);
	assert_string_equal(s.address, "10.0.2.15/24");
	assert_string_equal(s.dns[0], "10.0.2.7");
	assert_string_equal(s.dns[1], "10.0.2.8");
	/* One that is named no more stays, with lwIP, until the link goes. */
	router.names = router.names2 = 0;
	dns_setserver(1, NULL);
	net_run(43200 * 1000 + 61000);
	stack_get_status(&s);
	assert_string_equal(s.dns[0], "10.0.2.3");
	assert_true(s.lease > 86000);
	assert_int_equal(router.discovers, 1);
}

/* Duplicates found, an address of the link's own and no other. */
static void a_link_has_ipv6(void **state)
{
	struct stack_status s;
	uint8_t address[16];

	(void)state;
	stack_get_status(&s);
	assert_string_equal(s.address6[0], "fe80::5054:ff:fe12:3456");
	assert_false(stack_address6(address));
}

/* A neighbour asks for our address, and the option that is to say his ends with
 * its length, 0, as the frame does: what is behind that is nobody's address. */
static void an_option_of_no_length_does_no_harm(void **state)
{
	uint8_t frame[14 + 40 + 24 + 2] = { 0 }, *ip = frame + 14;
	uint8_t *icmp = ip + 40;
	unsigned frames = router.frames;

	(void)state;
	memcpy(frame, net_nic.mac, 6);
	put16(frame + 12, 0x86dd);
	memcpy(ip, "\x60\0\0\0\0\x1a\x3a\xff", 8);
	memcpy(ip + 8, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\7", 16);
	memcpy(ip + 24, "\xfe\x80\0\0\0\0\0\0\x50\x54\0\xff\xfe\x12\x34\x56",
	       16);
	icmp[0] = 135;
	memcpy(icmp + 8, ip + 24, 16);
	icmp[24] = 1;
	put16(icmp + 2, test_sum(ip + 8, 32 + 26, 58 + 26));
	net_frame(frame, sizeof(frame));
	net_run(1);
	assert_int_equal(router.frames, frames + 1);
}

static void pings_are_answered(void **state)
{
	uint8_t echo[40] = { 8, 0, 0, 0, 0x12, 0x34, 0, 1 };

	(void)state;
	put16(echo + 2, test_sum(echo, sizeof(echo), 0));
	net_ip(1, ROUTER_IP, HOST_IP, echo, sizeof(echo));
	net_run(1);
	assert_int_equal(router.pongs, 1);
	/* To all of a net: not. */
	net_ip(1, ROUTER_IP, 0x0a0002ff, echo, sizeof(echo));
	net_run(1);
	assert_int_equal(router.pongs, 1);
}

/* A peer on TCP: what it sent, what it got. */
static struct {
	uint32_t next, got, window;
	bool open, reset, ended;
	uint8_t data[1 << 16];
	size_t len;
} tcp;

/* Where there is no wire they may end anywhere: nothing behind them is looked at. */
static void short_frames_do_no_harm(void **state)
{
	static const uint16_t types[] = { 0x0800, 0x0806, 0x86dd };
	uint8_t frame[60] = { 0 };
	unsigned frames = router.frames;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		memcpy(frame, net_nic.mac, 6);
		put16(frame + 12, types[i]);
		memcpy(frame + 14, i == 1 ? "\0\1\x08\0\6\4\0\1" :
		       i == 0 ? "\x4f\0\0\x40\0\0\0\0" :
				"\x60\0\0\0\0\4\x3a\xff", 8);
		for (size_t len = 0; len < sizeof(frame); len++) {
			net_frame(frame, len);
		}
	}
	net_run(1);
	assert_int_equal(router.frames, frames);
}

static void tcp_send(uint8_t flags, const void *data, size_t len)
{
	uint8_t segment[1500] = { 0 }, pseudo[12] = { 0 };

	put16(segment, 40000);
	put16(segment + 2, 7);
	put32(segment + 4, tcp.next);
	put32(segment + 8, tcp.got);
	segment[12] = 5 << 4;
	segment[13] = flags;
	put16(segment + 14, 65535);
	if (len > 0) {
		memcpy(segment + 20, data, len);
	}
	put32(pseudo, ROUTER_IP);
	put32(pseudo + 4, HOST_IP);
	pseudo[9] = 6;
	put16(pseudo + 10, (uint16_t)(20 + len));
	put16(segment + 16, test_sum(segment, 20 + len,
		(uint16_t)~test_sum(pseudo, 12, 0)));
	tcp.next += (uint32_t)len + ((flags & 3) != 0);
	net_ip(6, ROUTER_IP, HOST_IP, segment, 20 + len);
}

static void tcp_take(const uint8_t *ip, size_t len)
{
	const uint8_t *segment = ip + 20;
	size_t header = (size_t)(segment[12] >> 4) * 4;
	size_t data = len - 20 - header;

	if (ip[0] >> 4 != 4 || ip[9] != 6) {
		return;
	}
	if (segment[13] & 4) {
		tcp.reset = true;
		return;
	}
	if ((segment[13] & 0x12) == 0x12) {
		tcp.open = true;
		tcp.got = get32(segment + 4) + 1;
		tcp_send(0x10, NULL, 0);
		return;
	}
	if (get32(segment + 4) != tcp.got) {
		return;
	}
	assert_true(tcp.len + data <= sizeof(tcp.data));
	memcpy(tcp.data + tcp.len, segment + header, data);
	tcp.len += data;
	tcp.got += (uint32_t)data + (segment[13] & 1);
	tcp.ended |= segment[13] & 1;
	if (data > 0 || (segment[13] & 1)) {
		tcp_send(0x10, NULL, 0);
	}
}

static void echo_sends_all_back(void **state)
{
	uint8_t data[1000];

	(void)state;
	router.packet = tcp_take;
	tcp.next = 1000;
	tcp_send(2, NULL, 0);
	net_run(10);
	assert_true(tcp.open);
	for (unsigned i = 0; i < 60; i++) {
		memset(data, (int)i, sizeof(data));
		tcp_send(0x18, data, sizeof(data));
		net_run(1);
	}
	net_run(1000);
	assert_int_equal(tcp.len, 60000);
	for (unsigned i = 0; i < 60000; i++) {
		assert_int_equal(tcp.data[i], i / 1000);
	}
	tcp_send(0x11, NULL, 0);
	net_run(1000);
	assert_true(tcp.ended);
	assert_false(tcp.reset);
}

static void a_port_without_a_service_resets(void **state)
{
	uint8_t syn[20] = { 0x9c, 0x41, 0, 8 };

	(void)state;
	tcp.reset = false;
	syn[12] = 5 << 4;
	syn[13] = 2;
	put16(syn + 16, test_sum(syn, 20, (0x0a00 + 0x0202 + 0x0a00 + 0x020f +
					  6 + 20)));
	net_ip(6, ROUTER_IP, HOST_IP, syn, 20);
	net_run(1);
	assert_true(tcp.reset);
}

/* Half-open connections, more than there can be: others are served on. */
static void a_flood_of_beginnings_passes(void **state)
{
	size_t before = lwip_port_heap()->used;

	(void)state;
	router.packet = NULL;
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t syn[20] = { 0 }, pseudo[12] = { 0 };
		uint32_t from = 0x0a000300u + i;

		put16(syn, 1024);
		put16(syn + 2, 7);
		syn[12] = 5 << 4;
		syn[13] = 2;
		put32(pseudo, from);
		put32(pseudo + 4, HOST_IP);
		pseudo[9] = 6;
		pseudo[11] = 20;
		put16(syn + 16, test_sum(syn, 20,
			(uint16_t)~test_sum(pseudo, 12, 0)));
		net_ip(6, from, HOST_IP, syn, 20);
		if (i % 100 == 0) {
			net_run(1);
		}
	}
	assert_true(lwip_port_heap()->most < LWIP_PORT_HEAP / 4);
	net_run(300000);
	assert_true(lwip_port_heap()->used <= before + 1024);
	memset(&tcp, 0, sizeof(tcp));
	echo_sends_all_back(state);
}

/* The cable out, and another router at its end when it is back. */
static void a_link_goes_and_comes(void **state)
{
	struct stack_status s;

	(void)state;
	dns_setserver(1, dns_getserver(0));
	net_nic.link = false;
	net_nic.changed(net_nic.arg);
	net_run(5000);
	router.gives = 0x0a000221;
	net_nic.link = true;
	net_nic.changed(net_nic.arg);
	net_run(60000);
	stack_get_status(&s);
	assert_string_equal(s.address, "10.0.2.33/24");
	assert_string_equal(s.dns[0], "10.0.2.3");
	assert_string_equal(s.dns[1], "");
}

/* A card that takes nothing, and one whose router is silent, cost nothing. */
static void nothing_is_kept_for_a_dead_wire(void **state)
{
	size_t before;

	(void)state;
	net_run(400000);
	before = lwip_port_heap()->used;
	router.deaf = true;
	net_send_error = 105;
	net_run(200000);
	net_send_error = 0;
	net_run(400000);
	assert_true(lwip_port_heap()->used <= before + 4096);
	router.deaf = false;
}

static void names_have_addresses(void **state)
{
	char text[IPADDR_STRLEN_MAX];
	ip_addr_t address;

	(void)state;
	resolve_start("there.example", false);
	assert_int_equal(resolve_look(&address), RESOLVE_WAITS);
	net_run(10);
	assert_int_equal(resolve_look(&address), RESOLVE_FOUND);
	assert_string_equal(ipaddr_ntoa_r(&address, text, sizeof(text)),
			    "192.0.2.7");
	/* None that the NAT may have given to Linux. */
	assert_in_range(router.asked_from, NAT_LAST + 1, 65535);
	resolve_start("nowhere.example", false);
	net_run(10);
	assert_int_equal(resolve_look(&address), RESOLVE_NONE);
	resolve_start("FE80::1", false);
	assert_int_equal(resolve_look(&address), RESOLVE_FOUND);
	/* Answered late, when another is asked for. */
	router.deaf = true;
	resolve_start("late.example", false);
	net_run(10);
	router.deaf = false;
	resolve_start("192.0.2.9", false);
	net_run(20000);
	assert_int_equal(resolve_look(&address), RESOLVE_FOUND);
	assert_string_equal(ipaddr_ntoa_r(&address, text, sizeof(text)),
			    "192.0.2.9");
	/* Nobody answers: it ends by itself. */
	router.deaf = true;
	resolve_start("silent.example", false);
	net_run(60000);
	assert_int_equal(resolve_look(&address), RESOLVE_NONE);
	router.deaf = false;
}

static void others_can_be_pinged(void **state)
{
	struct ping_reply reply;
	ip_addr_t to;

	(void)state;
	assert_int_equal(ipaddr_aton("10.0.2.2", &to), 1);
	assert_int_equal(ping_open(&to), 0);
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(ping_send(), 0);
		assert_false(ping_look(&reply));
		net_run(3);
		assert_true(ping_look(&reply));
		assert_int_equal(reply.sequence, i);
		assert_false(ping_look(&reply));
	}
	router.deaf = true;
	assert_int_equal(ping_send(), 0);
	net_run(1000);
	assert_false(ping_look(&reply));
	router.deaf = false;
	ping_close();
	/* No id is one that the NAT may have given to Linux. */
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(ping_open(&to), 0);
		assert_int_equal(ping_send(), 0);
		net_run(3);
		assert_in_range(router.ping_id, NAT_LAST + 1, 65535);
		ping_close();
	}
}

static unsigned sets;

static void clock_set(void)
{
	sets++;
}

/* The machine's clock began in 1970. */
static void servers_know_the_time(void **state)
{
	struct ntp_status ntp;

	(void)state;
	wall_init(0, 0, 1000000000);
	router.ntp_ahead_ms = 1600000000000;
	ntp_start("10.0.2.2", clock_set);
	net_run(100);
	ntp_get_status(&ntp);
	assert_true(router.ntp_asked > 0);
	assert_in_range(router.ntp_from, NAT_LAST + 1, 65535);
	/* That was before this was written. */
	assert_int_equal(ntp.refused, 1);
	assert_true(wall_now_ns() < 1000000000000000000);
	assert_int_equal(sets, 0);
	router.ntp_ahead_ms = 1800000000000;
	net_run(1000000);
	ntp_get_status(&ntp);
	assert_true(ntp.answers > 0);
	assert_in_range(wall_now_ns() / 1000000 - (int64_t)net_ms + 10,
			1800000000000, 1800000000020);
	/* A little off: later it is right, and nothing jumps. */
	router.ntp_ahead_ms -= 500;
	net_run(1000000);
	assert_in_range(wall_now_ns() / 1000000 - (int64_t)net_ms + 10,
			1799999999500, 1799999999520);
	/* Who wants to know of it has been told of each. */
	ntp_get_status(&ntp);
	assert_int_equal(sets, ntp.answers);
	/* A year: that is not the time. */
	router.ntp_ahead_ms += 31536000000;
	net_run(1000000);
	assert_in_range(wall_now_ns() / 1000000 - (int64_t)net_ms + 10,
			1799999999500, 1799999999520);
}

/* How far our clock is from the server's, had there been no leap second. */
static int64_t off_by_ms(void)
{
	return wall_now_ns() / 1000000 - (int64_t)net_ms - router.ntp_ahead_ms;
}

/* The server's clock says 23:20 of the month's last day; from midnight on it is
 * another one's by a second, which we are told nothing of for minutes. */
static void leap(uint8_t indicator, int64_t by_ms, int64_t first_ms)
{
	int64_t midnight = 1801440000000;	/* 2027-02-01 */
	int64_t now = (int64_t)net_ms + router.ntp_ahead_ms;
	unsigned heard = sets;
	int64_t before;

	wall_init((uint64_t)(midnight / 1000 - 40 * 60), tsc_now(), 1000000000);
	router.ntp_ahead_ms += midnight - 40 * 60000 - now;
	router.ntp_leap = indicator;
	ntp_ask();
	net_run(40 * 60000 - 10000);
	before = off_by_ms();
	assert_in_range(before + 20, 0, 40);
	assert_true(sets >= heard + 3);
	/* it asks anew in a few minutes; before that it knows by itself */
	router.ntp_leap = 0;
	net_run(10000 + first_ms);
	assert_in_range(off_by_ms() - before + 1, 0, 2);
	net_run(64000);
	assert_in_range(off_by_ms() - before - by_ms / 2 + 3, 0, 6);
	net_run(70000);
	assert_in_range(off_by_ms() - before - by_ms + 3, 0, 6);
	router.ntp_ahead_ms += by_ms;
	net_run(3600000);
	assert_in_range(off_by_ms() + 20, 0, 40);
}

static void a_leap_second(void **state)
{
	(void)state;
	leap(1, -1000, 0);
	leap(2, 1000, -1000);
}

/* Whose own clock nobody has set. */
static void servers_do_not_know_the_time(void **state)
{
	struct ntp_status before, after;

	(void)state;
	router.ntp_leap = 3;
	router.ntp_ahead_ms += 500000;
	ntp_get_status(&before);
	ntp_ask();
	net_run(1000000);
	ntp_get_status(&after);
	assert_int_equal(after.answers, before.answers);
	assert_true(after.refused > before.refused);
	router.ntp_leap = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp_gives_an_address),
		cmocka_unit_test(a_lease_is_renewed),
		cmocka_unit_test(a_link_has_ipv6),
		cmocka_unit_test(an_option_of_no_length_does_no_harm),
		cmocka_unit_test(pings_are_answered),
		cmocka_unit_test(short_frames_do_no_harm),
		cmocka_unit_test(echo_sends_all_back),
		cmocka_unit_test(a_port_without_a_service_resets),
		cmocka_unit_test(a_flood_of_beginnings_passes),
		cmocka_unit_test(names_have_addresses),
		cmocka_unit_test(others_can_be_pinged),
		cmocka_unit_test(servers_know_the_time),
		cmocka_unit_test(a_leap_second),
		cmocka_unit_test(servers_do_not_know_the_time),
		cmocka_unit_test(a_link_goes_and_comes),
		cmocka_unit_test(nothing_is_kept_for_a_dead_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
