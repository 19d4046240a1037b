/* SPDX-License-Identifier: MIT */
/*
 * The network of a Linux that ends, and of one in a sandbox: what stays, who hears
 * of it, and who is out of reach.
 */
#include <string.h>

#include "net_linux_fixture.h"

#include "host-bridge/net/link.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/packet.h"
#include "host-bridge/net/probe.h"

/* A Linux that has been started again has nothing of the one before. */
static void it_begins_anew(void **state)
{
	struct linux_net_status status;
	uint8_t ip[2000];
	uint16_t port;

	(void)state;
	from_linux(linux_ip, peer, UDP, 7000, 53);
	port = net_get16(fake_stack.packet + 20);
	fake_vsock_close();
	assert_false(from_wire(peer, outside, UDP, 53, port));
	fake_vsock_open();
	assert_false(from_wire(peer, outside, UDP, 53, port));
	GO(to_linux(ip), 0);
	linux_net_status(ln, &status);
	assert_true(status.link.up && status.link.starts > 1);
	assert_non_null(linux_net_nat());
}

/* A connection with the wire; open: its SYN has been acknowledged. */
static void connection(uint16_t port, bool open)
{
	tcp.flags = 2;
	tcp.seq = 0xfffffff0u;
	from_linux(linux_ip, peer, TCP, port, 80);
	tcp.flags = 0x12;
	tcp.ack = open ? 0xfffffff1u : 0x10000000;
	assert_true(from_wire(peer, outside, TCP, 80,
			      net_get16(fake_stack.packet + 20)));
	tcp.flags = 2;
	tcp.seq = tcp.ack = 0;
}

/* Who only waits for a Linux that is gone would do so for ever: he gets a segment
 * that he answers, which is the stack's to reset then. */
static void its_peers_hear_of_its_end(void **state)
{
	uint8_t pseudo[12] = { 0 };
	unsigned downs = fake_stack.downs;

	(void)state;
	connection(7000, true);
	connection(7001, false);
	from_linux(linux_ip, peer, UDP, 7002, 53);
	fake_stack.wire = 0;
	fake_vsock_close();
	GO(fake_stack.wire, 1);
	GO(fake_stack.downs, downs + 1);
	GO(fake_stack.len, 52);
	GO(net_sum(0, fake_stack.packet, 20), 0xffff);
	memcpy(pseudo, fake_stack.packet + 12, 8);
	pseudo[9] = TCP;
	pseudo[11] = 32;
	GO(net_sum(net_sum(0, pseudo, 12), fake_stack.packet + 20, 32), 0xffff);
	assert_memory_equal(fake_stack.packet + 12, outside, 4);
	assert_memory_equal(fake_stack.packet + 16, peer, 4);
	GO(net_get16(fake_stack.packet + 20), 7000);
	GO(net_get16(fake_stack.packet + 22), 80);
	/* the SYN's */
	GO(net_get32(fake_stack.packet + 24), 0xfffffff0u);
	GO(fake_stack.packet[33], 0x10);
	GO(net_get32(fake_stack.packet + 40), 0x0101080a);
	/* His answer is the stack'fake_stack. */
	tcp.flags = 0x10;
	assert_false(from_wire(peer, outside, TCP, 80, 7000));
	tcp.flags = 2;
	fake_vsock_open();
	GO(fake_stack.wire, 1);
}

static void a_probe_of_ipv6_is_whole(void **state)
{
	const struct nat_addr own = {{ 0x20, 1, [15] = 1 }};
	const struct nat_addr remote = {{ 0x20, 1, [15] = 2 }};
	const struct nat_line session = {
		.six = true, .proto = TCP, .outside = 7000, .port = 80,
		.remote = &remote, .isn = 0x12345678,
	};
	uint8_t ip[PROBE_MAX], pseudo[40] = { [35] = 32, [39] = TCP };

	(void)state;
	memset(ip, 0xee, sizeof(ip));
	GO(probe_make(ip, &session, &own), 72);
	GO(ip[0], 0x60);
	GO(net_get16(ip + 4), 32);
	GO(ip[6], TCP);
	assert_memory_equal(ip + 8, own.b, 16);
	assert_memory_equal(ip + 24, remote.b, 16);
	memcpy(pseudo, ip + 8, 32);
	GO(net_sum(net_sum(0, pseudo, 40), ip + 40, 32), 0xffff);
	GO(net_get32(ip + 44), 0x12345678);
}

/* A sandbox reaches nobody, and nobody reaches it, until it is one no more. */
static void shut_it_has_no_network(void **state)
{
	uint8_t ip[2000];
	uint16_t port;

	(void)state;
	from_linux(linux_ip, peer, UDP, 7000, 53);
	port = net_get16(fake_stack.packet + 20);
	fake_stack.wire = fake_stack.host = 0;
	linux_net_reach(ln, LINUX_NET_NONE);
	from_linux(linux_ip, peer, UDP, 7000, 53);
	from_linux(linux_ip, host_ip, TCP, 7000, 7);
	GO(fake_stack.wire + fake_stack.host, 0);
	assert_true(from_wire(peer, outside, UDP, 53, port));
	GO(to_linux(ip), 0);
	assert_string_equal(linux_net_words(ln), "isthmus.net=off");
	/* and when it asks for one, in a life that has just begun */
	fake_vsock_close();
	fake_vsock_open();
	assert_true(fake_vsock.end->gone);
	linux_net_reach(ln, LINUX_NET_ALL);
	fake_vsock_open();
	assert_false(fake_vsock.end->gone);
	from_linux(linux_ip, peer, UDP, 7000, 53);
	assert_true(from_wire(peer, outside, UDP, 53,
			      net_get16(fake_stack.packet + 20)));
	assert_true(to_linux(ip) > 0);
}

/* What is outside it reaches, and names; nothing else here, no other Linux, and no
 * port leads to it. */
static void out_it_reaches_what_is_outside_alone(void **state)
{
	const struct nat *nat = linux_net_nat();
	struct linux_net_status before, after;
	uint8_t ip[2000];

	(void)state;
	fake_vsock_close();
	linux_net_reach(ln, LINUX_NET_OUT);
	fake_vsock_open();
	assert_false(nat_uses(nat, false, TCP, PUBLISHED));
	from_linux(linux_ip, peer, UDP, 5000, 53);
	GO(fake_stack.wire, 1);
	assert_true(from_wire(peer, outside, UDP, 53,
			      net_get16(fake_stack.packet + 20)));
	GO(to_linux(ip), 40);
	from_linux(linux_ip, host_ip, UDP, 5000, 53);
	GO(fake_stack.host, 1);
	from_linux(linux_ip, host_ip, TCP, 5000, 7);
	GO(fake_stack.host, 1);
	assert_false(from_wire(peer, outside, TCP, 5000, PUBLISHED));
	/* another's port, from here; it may have it from the wire */
	GO(nat_linux_up((struct nat *)(uintptr_t)nat, 1, &(struct nat_link){
		.linux_end[0] = { { 10, 77, 2, 2 } },
		.host_end[0] = { { 10, 77, 2, 1 } } }), 0);
	GO(nat_forward((struct nat *)(uintptr_t)nat, 1, false, TCP, 52001, 22),
	   0);
	linux_net_status(other, &before);
	from_linux(linux_ip, outside, TCP, 5000, 52001);
	linux_net_status(other, &after);
	GO(after.link.tx_dropped, before.link.tx_dropped);
	assert_true(from_wire(peer, outside, TCP, 5000, 52001));
	linux_net_status(other, &after);
	GO(after.link.tx_dropped, before.link.tx_dropped + 1);
	/* and who is in no sandbox has all that again */
	fake_vsock_close();
	linux_net_reach(ln, LINUX_NET_ALL);
	fake_vsock_open();
	assert_true(nat_uses(nat, false, TCP, PUBLISHED));
	from_linux(linux_ip, outside, TCP, 5001, 52001);
	linux_net_status(other, &after);
	GO(after.link.tx_dropped, before.link.tx_dropped + 2);
	nat_linux_down((struct nat *)(uintptr_t)nat, 1);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, linux_net_setup, \
						linux_net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_begins_anew), TEST(its_peers_hear_of_its_end),
		TEST(a_probe_of_ipv6_is_whole),
		TEST(shut_it_has_no_network),
		TEST(out_it_reaches_what_is_outside_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
