/* SPDX-License-Identifier: MIT */
/*
 * The network of a Linux, from its link to the wire and the host partition's stack:
 * link and NAT are the real ones, wire and stack the test's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/nic.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/net/link.h"
#include "host-bridge/net/linux_net.h"
#include "host-bridge/net/names.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/ports.h"
#include "host-bridge/net/probe.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/net/stack_ports.h"
#include "host-bridge/rt/seed.h"
#include "proto/net_channel.h"
#include "qemu-test/unit/fake/vsock.h"

#define GO	assert_int_equal
#define HEAD	sizeof(struct net_channel_head)
#define UDP	17
#define TCP	6
#define ICMP	1
#define ECHO_REQUEST	0x0800		/* as "ports"; with the id */
#define ECHO_REPLY	0
#define PUBLISHED	52022

static const uint8_t linux_ip[4] = { 10, 77, 1, 2 }, host_ip[4] = { 10, 77, 1, 1 };
static const uint8_t outside[4] = { 192, 0, 2, 1 }, peer[4] = { 198, 51, 100, 7 };

/* ---- The stack, the wire and the loop ---- */

static struct {
	struct stack_hooks hooks;
	const struct stack_link_user *user;
	bool there;			/* the wire's address */
	unsigned wire, host, room, downs;
	unsigned back;			/* of these: the wire's, given back */
	uint8_t packet[2000];		/* the last one, to either */
	size_t len;
	uint16_t taken;
} s;
static struct nic nic = { .mtu = 1500 };
static struct linux_net *ln, *other;	/* other: never up */

void stack_set_hooks(const struct stack_hooks *hooks)
{
	s.hooks = *hooks;
}

struct nic *stack_nic(void)
{
	return &nic;
}

bool stack_address4(uint32_t *address)
{
	memcpy(address, outside, 4);
	return s.there;
}

bool stack_address6(uint8_t address[16])
{
	(void)address;
	return false;
}

static void keep(const struct net_packet *p)
{
	s.len = p->len;
	memcpy(s.packet, p->data, p->len);
}

bool stack_to_wire(struct net_packet *packet)
{
	s.wire++;
	keep(packet);
	return true;
}

int stack_link_new(const struct stack_link_user *user, struct stack_link **out)
{
	s.user = user;
	*out = (struct stack_link *)&s;
	return 0;
}

static struct {
	const struct names_ends *ends;
	unsigned downs;
} names;

int names_new(struct stack_link *link, const struct names_ends *ends,
	      struct names **out)
{
	assert_ptr_equal(link, &s);
	names.ends = ends;
	*out = (struct names *)&names;
	return 0;
}

void names_linux_down(struct names *of)
{
	assert_ptr_equal(of, &names);
	names.downs++;
}

bool stack_to_host(struct stack_link *link, const struct net_packet *packet)
{
	assert_true(!link || link == (struct stack_link *)&s);
	s.host++;
	s.back += !link;
	keep(packet);
	return true;
}

void stack_link_down(struct stack_link *link)
{
	assert_ptr_equal(link, &s);
	s.downs++;
}

bool stack_ports_used(uint8_t proto, uint16_t port)
{
	return proto == UDP && port == s.taken;
}

void stack_ports_go_on(void)
{
	s.room++;
}

uint64_t seed_make(void)
{
	static uint64_t seed;

	return ++seed * 0x9e3779b97f4a7c15ull;
}

uint64_t loop_uptime_ms(void)
{
	return 1000;
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	(void)timer;
	GO(delay_ms, 1000);
	assert_non_null(fn);
}

/* ---- Packets ---- */

static void put32(uint8_t *at, uint32_t value)
{
	net_put16(at, (uint16_t)(value >> 16));
	net_put16(at + 2, (uint16_t)value);
}

/* TCP's flags, and the numbers that are not 0, in what is made next. */
static struct {
	uint8_t flags;
	uint32_t seq, ack;
} tcp = { .flags = 2 };

static size_t make(uint8_t *ip, const uint8_t *from, const uint8_t *to,
		   uint8_t proto, uint16_t from_port, uint16_t to_port)
{
	size_t len = proto == UDP ? 40 : 60;

	memset(ip, 0, len);
	ip[0] = 0x45;
	net_put16(ip + 2, (uint16_t)len);
	ip[8] = 64;
	ip[9] = proto;
	memcpy(ip + 12, from, 4);
	memcpy(ip + 16, to, 4);
	net_put16(ip + 10, (uint16_t)~net_sum(0, ip, 20));
	net_put16(ip + 20, from_port);
	net_put16(ip + 22, to_port);
	if (proto == UDP) {
		net_put16(ip + 24, (uint16_t)(len - 20));
	} else if (proto == ICMP) {
		net_put16(ip + 22, 0);
		net_put16(ip + 24, to_port);
	} else {
		ip[32] = 0x50;
		ip[33] = tcp.flags;
		put32(ip + 24, tcp.seq);
		put32(ip + 28, tcp.ack);
	}
	return len;
}

/* A packet becomes a fragment of one datagram; frag: as in the header. */
static void put_fragment(uint8_t *ip, uint16_t frag)
{
	net_put16(ip + 4, 77);
	net_put16(ip + 6, frag);
	net_put16(ip + 10, 0);
	net_put16(ip + 10, (uint16_t)~net_sum(0, ip, 20));
}

/* Linux sends a packet. */
static void say(const uint8_t *ip, size_t len)
{
	struct {
		struct net_channel_head head;
		uint8_t ip[60];
	} m = { .head.len = (uint32_t)(HEAD + len) };

	memcpy(m.ip, ip, len);
	GO(fake_vsock_send(&m, m.head.len), m.head.len);
	fake_vsock_step();
	assert_false(fake_vsock.end.gone);
}

static void from_linux(const uint8_t *from, const uint8_t *to, uint8_t proto,
		       uint16_t from_port, uint16_t to_port)
{
	uint8_t ip[60];

	say(ip, make(ip, from, to, proto, from_port, to_port));
}

/* What Linux gets; its length, 0: nothing. */
static size_t to_linux(uint8_t *ip)
{
	static uint8_t got[FAKE_QUEUE];
	size_t n = fake_vsock_take(got);

	if (n > 0) {
		memcpy(ip, got + HEAD, n - HEAD);
	}
	return n > 0 ? n - HEAD : 0;
}

static bool from_wire(const uint8_t *from, const uint8_t *to, uint8_t proto,
		      uint16_t from_port, uint16_t to_port)
{
	uint8_t data[NET_HEADROOM + 60];
	struct net_packet p = { .data = data + NET_HEADROOM, .space = 60 };

	p.len = make(p.data, from, to, proto, from_port, to_port);
	return s.hooks.from_wire(s.hooks.arg, &p);
}

static int setup(void **state)
{
	static struct ports_rules rules;
	static bool once;

	(void)state;
	if (!once) {
		static struct fake_vsock link;

		GO(linux_net_new(NULL, 1, &ln), EINVAL);
		GO(linux_net_start(&(struct linux_net_policy){ .echo = true }),
		   0);
		GO(linux_net_new(NULL, 0, &ln), EINVAL);
		GO(linux_net_new(NULL, NAT_LINUXES + 1, &ln), EINVAL);
		GO(linux_net_new(NULL, 2, &other), 0);
		assert_null(ports_rules_read(&rules, "tcp:52022:22", NULL));
		GO(linux_net_new(NULL, 1, &ln), 0);
		link = fake_vsock;
		GO(linux_net_ports(ln, NULL, "linux", &rules), 0);
		fake_vsock = link;
		GO(linux_net_new(NULL, 1, &ln), EINVAL);
		once = true;
	}
	fake_vsock_setup();
	fake_vsock_open();
	s.wire = s.host = s.room = s.back = 0;
	s.there = true;
	s.hooks.changed(s.hooks.arg);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vsock_close();
	return 0;
}

static void the_words_are_its_addresses(void **state)
{
	(void)state;
	assert_string_equal(linux_net_words(ln), "isthmus.net=10.77.1.2/24,"
			    "10.77.1.1,fd69:7374:686d:1::2/64,"
			    "fd69:7374:686d:1::1");
	assert_memory_equal(s.user->address4, host_ip, 4);
}

/* Names are for it alone, and end with it. */
static void it_has_names(void **state)
{
	unsigned downs = names.downs;

	(void)state;
	assert_memory_equal(names.ends->host4, host_ip, 4);
	assert_memory_equal(names.ends->linux4, linux_ip, 4);
	GO(names.ends->host6[15], 1);
	GO(names.ends->linux6[15], 2);
	assert_memory_equal(names.ends->linux6, s.user->address6, 15);
	fake_vsock_close();
	assert_true(names.downs > downs);
	fake_vsock_open();
}

static void out_and_back(void **state)
{
	uint8_t ip[2000];
	uint16_t port;

	(void)state;
	from_linux(linux_ip, peer, UDP, 5000, 53);
	GO(s.wire, 1);
	assert_memory_equal(s.packet + 12, outside, 4);
	assert_memory_equal(s.packet + 16, peer, 4);
	port = net_get16(s.packet + 20);
	assert_true(from_wire(peer, outside, UDP, 53, port));
	GO(to_linux(ip), 40);
	assert_memory_equal(ip + 16, linux_ip, 4);
	GO(net_get16(ip + 22), 5000);
	/* What nobody in Linux has asked for is the host's own. */
	assert_false(from_wire(peer, outside, UDP, 53, 4999));
	GO(to_linux(ip), 0);
}

static void without_a_wire_linux_is_told(void **state)
{
	uint8_t ip[2000];

	(void)state;
	s.there = false;
	s.hooks.changed(s.hooks.arg);
	from_linux(linux_ip, peer, UDP, 5000, 53);
	GO(s.wire, 0);
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
		GO(s.host, want);
	}
	GO(s.wire, 0);
	/* Another's name is nobody's way. */
	from_linux(host_ip, peer, UDP, 5000, 53);
	from_linux(peer, host_ip, TCP, 5000, 7);
	GO(s.wire + s.host, want);
}

static void the_stack_speaks_to_linux(void **state)
{
	uint8_t data[40], ip[2000];
	struct net_packet p = { .data = data, .len = 40, .space = 40 };

	(void)state;
	make(data, host_ip, linux_ip, UDP, 7, 5000);
	assert_true(s.user->send(s.user->arg, &p));
	GO(to_linux(ip), 40);
	assert_memory_equal(ip, data, 40);
	/* Without room it waits to be told; without Linux it is lost. */
	fake_vsock.room = 10;
	assert_true(s.user->send(s.user->arg, &p));
	assert_false(s.user->send(s.user->arg, &p));
	fake_vsock.room = 1000;
	fake_vsock_step();
	GO(s.room, 1);
	fake_vsock_close();
	assert_true(s.user->send(s.user->arg, &p));
	fake_vsock_open();
}

static void a_port_of_the_hosts_own_is_not_taken(void **state)
{
	(void)state;
	s.taken = 6000;
	from_linux(linux_ip, peer, UDP, 6000, 53);
	assert_int_not_equal(net_get16(s.packet + 20), 6000);
	s.taken = 0;
	from_linux(linux_ip, peer, UDP, 6001, 53);
	GO(net_get16(s.packet + 20), 6001);
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
	assert_in_range(net_get16(s.packet + 20), NAT_RANDOM, NAT_LAST);
}

/* Nor do the ids of its echo requests, though a Linux's may have the same. */
static void answers_to_the_hosts_pings_are_its_own(void **state)
{
	uint8_t ip[2000];
	uint16_t id;

	(void)state;
	from_linux(linux_ip, peer, ICMP, ECHO_REQUEST, 65000);
	id = net_get16(s.packet + 24);
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
		assert_true(s.hooks.from_wire(s.hooks.arg, &p));
	}
	GO(s.host, 0);
	make(ip, peer, outside, UDP, 5000, 7);
	put_fragment(ip, 0x2000);
	assert_false(s.hooks.from_wire(s.hooks.arg, &p));
	GO(s.host, 2);
	GO(s.back, 2);
	/* Whole, as they came. */
	GO(s.len, 40);
	GO(net_get16(s.packet + 6), net_get16(s.packet + 20));
	make(ip, peer, outside, UDP, 4, 0);
	put_fragment(ip, 4);
	assert_false(s.hooks.from_wire(s.hooks.arg, &p));
	GO(s.host, 2);
	make(ip, linux_ip, host_ip, UDP, 2, 0);
	put_fragment(ip, 2);
	say(ip, 40);
	GO(s.host, 2);
	make(ip, linux_ip, host_ip, UDP, 5000, 7);
	put_fragment(ip, 0x2000);
	say(ip, 40);
	GO(s.host, 4);
	GO(s.back, 2);
}

/* A Linux that has been started again has nothing of the one before. */
static void it_begins_anew(void **state)
{
	struct link_status status;
	uint8_t ip[2000];
	uint16_t port;

	(void)state;
	from_linux(linux_ip, peer, UDP, 7000, 53);
	port = net_get16(s.packet + 20);
	fake_vsock_close();
	assert_false(from_wire(peer, outside, UDP, 53, port));
	fake_vsock_open();
	assert_false(from_wire(peer, outside, UDP, 53, port));
	GO(to_linux(ip), 0);
	linux_net_status(ln, &status);
	assert_true(status.up && status.starts > 1);
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
			      net_get16(s.packet + 20)));
	tcp.flags = 2;
	tcp.seq = tcp.ack = 0;
}

/* Who only waits for a Linux that is gone would do so for ever: he gets a segment
 * that he answers, which is the stack's to reset then. */
static void its_peers_hear_of_its_end(void **state)
{
	uint8_t pseudo[12] = { 0 };
	unsigned downs = s.downs;

	(void)state;
	connection(7000, true);
	connection(7001, false);
	from_linux(linux_ip, peer, UDP, 7002, 53);
	s.wire = 0;
	fake_vsock_close();
	GO(s.wire, 1);
	GO(s.downs, downs + 1);
	GO(s.len, 52);
	GO(net_sum(0, s.packet, 20), 0xffff);
	memcpy(pseudo, s.packet + 12, 8);
	pseudo[9] = TCP;
	pseudo[11] = 32;
	GO(net_sum(net_sum(0, pseudo, 12), s.packet + 20, 32), 0xffff);
	assert_memory_equal(s.packet + 12, outside, 4);
	assert_memory_equal(s.packet + 16, peer, 4);
	GO(net_get16(s.packet + 20), 7000);
	GO(net_get16(s.packet + 22), 80);
	GO(net_get32(s.packet + 24), 0xfffffff0u);	/* the SYN's */
	GO(s.packet[33], 0x10);
	GO(net_get32(s.packet + 40), 0x0101080a);
	/* His answer is the stack's. */
	tcp.flags = 0x10;
	assert_false(from_wire(peer, outside, TCP, 80, 7000));
	tcp.flags = 2;
	fake_vsock_open();
	GO(s.wire, 1);
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
	port = net_get16(s.packet + 20);
	s.wire = s.host = 0;
	linux_net_reach(ln, LINUX_NET_NONE);
	from_linux(linux_ip, peer, UDP, 7000, 53);
	from_linux(linux_ip, host_ip, TCP, 7000, 7);
	GO(s.wire + s.host, 0);
	assert_true(from_wire(peer, outside, UDP, 53, port));
	GO(to_linux(ip), 0);
	linux_net_reach(ln, LINUX_NET_ALL);
	assert_true(from_wire(peer, outside, UDP, 53, port));
	assert_true(to_linux(ip) > 0);
}

/* What is outside it reaches, and names; nothing else here, no other Linux, and no
 * port leads to it. */
static void out_it_reaches_what_is_outside_alone(void **state)
{
	const struct nat *nat = linux_net_nat();
	struct link_status before, after;
	uint8_t ip[2000];

	(void)state;
	fake_vsock_close();
	linux_net_reach(ln, LINUX_NET_OUT);
	fake_vsock_open();
	assert_false(nat_uses(nat, false, TCP, PUBLISHED));
	from_linux(linux_ip, peer, UDP, 5000, 53);
	GO(s.wire, 1);
	assert_true(from_wire(peer, outside, UDP, 53,
			      net_get16(s.packet + 20)));
	GO(to_linux(ip), 40);
	from_linux(linux_ip, host_ip, UDP, 5000, 53);
	GO(s.host, 1);
	from_linux(linux_ip, host_ip, TCP, 5000, 7);
	GO(s.host, 1);
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
	GO(after.tx_dropped, before.tx_dropped);
	assert_true(from_wire(peer, outside, TCP, 5000, 52001));
	linux_net_status(other, &after);
	GO(after.tx_dropped, before.tx_dropped + 1);
	/* and who is in no sandbox has all that again */
	fake_vsock_close();
	linux_net_reach(ln, LINUX_NET_ALL);
	fake_vsock_open();
	assert_true(nat_uses(nat, false, TCP, PUBLISHED));
	from_linux(linux_ip, outside, TCP, 5001, 52001);
	linux_net_status(other, &after);
	GO(after.tx_dropped, before.tx_dropped + 2);
	nat_linux_down((struct nat *)(uintptr_t)nat, 1);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_words_are_its_addresses), TEST(it_has_names),
		TEST(out_and_back),
		TEST(without_a_wire_linux_is_told),
		TEST(what_of_the_host_linux_may_speak_to),
		TEST(the_stack_speaks_to_linux),
		TEST(a_port_of_the_hosts_own_is_not_taken),
		TEST(ports_of_the_hosts_calls_are_not_forwarded),
		TEST(answers_to_the_hosts_pings_are_its_own),
		TEST(the_host_gets_its_fragments),
		TEST(it_begins_anew), TEST(its_peers_hear_of_its_end),
		TEST(a_probe_of_ipv6_is_whole),
		TEST(shut_it_has_no_network),
		TEST(out_it_reaches_what_is_outside_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
