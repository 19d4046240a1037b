/* SPDX-License-Identifier: MIT */
/*
 * The network of a Linux: which packets go where, and whose the ports are.
 */
#include <errno.h>
#include <string.h>

#include "net_linux_fixture.h"

#include "host-bridge/net/names.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/packet.h"

#define ECHO_REQUEST	0x0800		/* as "ports"; with the id */
#define ECHO_REPLY	0

static void the_words_are_its_addresses(void **state)
{
	(void)state;
	assert_string_equal(linux_net_words(ln), "isthmus.net=10.77.1.2/24,"
			    "10.77.1.1,fd69:7374:686d:1::2/64,"
			    "fd69:7374:686d:1::1");
	assert_memory_equal(fake_stack.user->address4, host_ip, 4);
}

/* Names are for it alone, and end with it. */
static void it_has_names(void **state)
{
	unsigned downs = fake_names.downs;

	(void)state;
	assert_memory_equal(fake_names.ends->host4, host_ip, 4);
	assert_memory_equal(fake_names.ends->linux4, linux_ip, 4);
	GO(fake_names.ends->host6[15], 1);
	GO(fake_names.ends->linux6[15], 2);
	assert_memory_equal(fake_names.ends->linux6, fake_stack.user->address6,
			    15);
	assert_string_equal(fake_names.ends->title, "work");
	fake_vsock_close();
	assert_true(fake_names.downs > downs);
	fake_vsock_open();
}

/* At the host's own console too. */
static void the_host_knows_their_names(void **state)
{
	const uint8_t others[] = { 10, 77, 2, 2 };
	uint8_t address[16];

	(void)state;
	assert_true(linux_net_named("Work.isthmus.internal", false, address));
	assert_memory_equal(address, linux_ip, 4);
	assert_true(linux_net_named("linux.isthmus.internal.", false, address));
	assert_memory_equal(address, linux_ip, 4);
	assert_true(linux_net_named("host.isthmus.internal", false, address));
	assert_memory_equal(address, host_ip, 4);
	assert_true(linux_net_named("other.isthmus.internal", false, address));
	assert_memory_equal(address, others, 4);
	assert_true(linux_net_named("linux.isthmus.internal", true, address));
	assert_memory_equal(address, fake_names.ends->linux6, 16);
	assert_false(linux_net_named("nobody.isthmus.internal", false, address));
	assert_false(linux_net_named("a.linux.isthmus.internal", false, address));
	assert_false(linux_net_named("isthmus.internal", false, address));
	assert_false(linux_net_named("linux.example", false, address));
	assert_false(linux_net_named("", false, address));
}

/* Of UDP this one has a port: of TCP nobody has. */
static void joined_are_its_own(uint16_t udp)
{
	uint8_t ip[60] = { 0x45 };
	bool (*joins)(void *arg, const uint8_t *ip) = fake_stack.hooks.joins;

	memcpy(ip + 16, outside, 4);
	net_put16(ip + 22, udp);
	assert_false(joins(NULL, ip));
	from_linux(linux_ip, peer, TCP, 6000, 80);
	net_put16(ip + 22, net_get16(fake_stack.packet + 20));
	assert_true(joins(NULL, ip));
	ip[19] ^= 1;
	assert_false(joins(NULL, ip));
}

static void out_and_back(void **state)
{
	uint8_t ip[2000];
	uint16_t port;

	(void)state;
	from_linux(linux_ip, peer, UDP, 5000, 53);
	GO(fake_stack.wire, 1);
	GO(fake_stack.sender, 0);
	assert_memory_equal(fake_stack.packet + 12, outside, 4);
	assert_memory_equal(fake_stack.packet + 16, peer, 4);
	port = net_get16(fake_stack.packet + 20);
	assert_true(from_wire(peer, outside, UDP, 53, port));
	GO(to_linux(ip), 40);
	assert_memory_equal(ip + 16, linux_ip, 4);
	GO(net_get16(ip + 22), 5000);
	joined_are_its_own(port);
	/* What nobody in Linux has asked for is the host's own. */
	assert_false(from_wire(peer, outside, UDP, 53, 4999));
	GO(to_linux(ip), 0);
}

static void without_a_wire_linux_is_told(void **state)
{
	uint8_t ip[2000];

	(void)state;
	fake_stack.there = false;
	fake_stack.hooks.changed(fake_stack.hooks.arg);
	from_linux(linux_ip, peer, UDP, 5000, 53);
	GO(fake_stack.wire, 0);
	assert_true(to_linux(ip) > 0);
	GO(ip[9], 1);
	GO(ip[20], 3);
	assert_memory_equal(ip + 16, linux_ip, 4);
}

static void what_of_the_host_linux_may_speak_to(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t port;
		bool may;
	} t[] = {
		{ TCP, 7, true }, { TCP, 9, true }, { TCP, 19, true },
		{ UDP, 53, true }, { TCP, 53, true }, { UDP, 7, true },
		{ TCP, 22, false }, { UDP, 123, false }, { TCP, 8, false },
		{ UDP, 9, false }, { UDP, 19, false },
	};
	unsigned want = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		want += t[i].may;
		from_linux(linux_ip, host_ip, t[i].proto, 5000, t[i].port);
		GO(fake_stack.host, want);
	}
	GO(fake_stack.wire, 0);
	/* Another's name is nobody's way. */
	from_linux(host_ip, peer, UDP, 5000, 53);
	from_linux(peer, host_ip, TCP, 5000, 7);
	GO(fake_stack.wire + fake_stack.host, want);
}

static void the_stack_speaks_to_linux(void **state)
{
	uint8_t data[40], ip[2000];
	struct net_packet p = { .data = data, .len = 40, .space = 40 };

	(void)state;
	make(data, host_ip, linux_ip, UDP, 7, 5000);
	assert_true(fake_stack.user->send(fake_stack.user->arg, &p));
	GO(to_linux(ip), 40);
	assert_memory_equal(ip, data, 40);
	/* Without room it waits to be told; without Linux it is lost. */
	fake_vsock.room = 10;
	assert_true(fake_stack.user->send(fake_stack.user->arg, &p));
	assert_false(fake_stack.user->send(fake_stack.user->arg, &p));
	fake_vsock.room = 1000;
	fake_vsock_step();
	GO(fake_stack.room, 1);
	fake_vsock_close();
	assert_true(fake_stack.user->send(fake_stack.user->arg, &p));
	fake_vsock_open();
}

static void a_port_of_the_hosts_own_is_not_taken(void **state)
{
	(void)state;
	fake_stack.taken = 6000;
	from_linux(linux_ip, peer, UDP, 6000, 53);
	assert_int_not_equal(net_get16(fake_stack.packet + 20), 6000);
	fake_stack.taken = 0;
	from_linux(linux_ip, peer, UDP, 6001, 53);
	GO(net_get16(fake_stack.packet + 20), 6001);
}

/* The stack asks nobody for the ports of its calls, nor does its DHCP client when a
 * card comes: these lead to no Linux, whoever has them now. */
static void ports_of_the_hosts_calls_are_not_forwarded(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t port;
		int error;
	} t[] = {
		{ UDP, NAT_LAST, 0 }, { TCP, NAT_LAST, 0 }, { TCP, 68, 0 },
		{ UDP, NAT_LAST + 1, EADDRINUSE },
		{ TCP, NAT_LAST + 1, EADDRINUSE }, { UDP, 65535, EADDRINUSE },
		{ TCP, 65535, EADDRINUSE }, { UDP, 68, EADDRINUSE },
		{ ICMP, NAT_LAST, 0 }, { ICMP, NAT_LAST + 1, EADDRINUSE },
	};
	struct nat *nat = (struct nat *)(uintptr_t)linux_net_nat();

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		for (unsigned six = 0; six < 2; six++) {
			GO(nat_forward(nat, 0, six, t[i].proto, t[i].port, 80),
			   t[i].error);
			nat_unforward(nat, six, t[i].proto, t[i].port);
		}
	}
	from_linux(linux_ip, peer, UDP, 65000, 53);
	assert_in_range(net_get16(fake_stack.packet + 20), NAT_RANDOM,
			NAT_LAST);
}

/* Nor do the ids of its echo requests, though a Linux's may have the same. */
static void answers_to_the_hosts_pings_are_its_own(void **state)
{
	uint8_t ip[2000];
	uint16_t id;

	(void)state;
	from_linux(linux_ip, peer, ICMP, ECHO_REQUEST, 65000);
	id = net_get16(fake_stack.packet + 24);
	assert_in_range(id, NAT_RANDOM, NAT_LAST);
	assert_false(from_wire(peer, outside, ICMP, ECHO_REPLY, 65000));
	GO(to_linux(ip), 0);
	assert_true(from_wire(peer, outside, ICMP, ECHO_REPLY, id));
	GO(to_linux(ip), 60);
	GO(net_get16(ip + 24), 65000);
}

/* Fragments for the host that come before their first are its when that is there,
 * from the wire as from Linux. */
static void the_host_gets_its_fragments(void **state)
{
	uint8_t data[NET_HEADROOM + 40], *ip = data + NET_HEADROOM;
	struct net_packet p = { .data = ip, .len = 40, .space = 40 };

	(void)state;
	for (unsigned i = 2; i <= 3; i++) {
		make(ip, peer, outside, UDP, (uint16_t)i, 0);
		put_fragment(ip, (uint16_t)i);
		assert_true(fake_stack.hooks.from_wire(fake_stack.hooks.arg,
						       &p));
	}
	GO(fake_stack.host, 0);
	make(ip, peer, outside, UDP, 5000, 7);
	put_fragment(ip, 0x2000);
	assert_false(fake_stack.hooks.from_wire(fake_stack.hooks.arg, &p));
	GO(fake_stack.host, 2);
	GO(fake_stack.back, 2);
	/* Whole, as they came. */
	GO(fake_stack.len, 40);
	GO(net_get16(fake_stack.packet + 6), net_get16(fake_stack.packet + 20));
	make(ip, peer, outside, UDP, 4, 0);
	put_fragment(ip, 4);
	assert_false(fake_stack.hooks.from_wire(fake_stack.hooks.arg, &p));
	GO(fake_stack.host, 2);
	make(ip, linux_ip, host_ip, UDP, 2, 0);
	put_fragment(ip, 2);
	say(ip, 40);
	GO(fake_stack.host, 2);
	make(ip, linux_ip, host_ip, UDP, 5000, 7);
	put_fragment(ip, 0x2000);
	say(ip, 40);
	GO(fake_stack.host, 4);
	GO(fake_stack.back, 2);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, linux_net_setup, \
						linux_net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_words_are_its_addresses), TEST(it_has_names),
		TEST(the_host_knows_their_names),
		TEST(out_and_back),
		TEST(without_a_wire_linux_is_told),
		TEST(what_of_the_host_linux_may_speak_to),
		TEST(the_stack_speaks_to_linux),
		TEST(a_port_of_the_hosts_own_is_not_taken),
		TEST(ports_of_the_hosts_calls_are_not_forwarded),
		TEST(answers_to_the_hosts_pings_are_its_own),
		TEST(the_host_gets_its_fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
