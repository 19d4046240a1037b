/* SPDX-License-Identifier: MIT */
/*
 * The stack's part in the network of Linuxes: who sees packets of the wire first, what
 * others send to it, and a Linux's link. lwIP keeps state for ever, so all tests go
 * on with the same machine, in order.
 */
#include "net_fixture.h"

#include "host-bridge/net/echo.h"
#include "host-bridge/net/stack.h"

static struct net_packet last;
static bool eat;

static bool from_wire(void *arg, struct net_packet *packet)
{
	(void)arg;
	last = *packet;
	/* There is room before it, and it may be written to. */
	memset(packet->data - NET_HEADROOM, 0xaa, NET_HEADROOM);
	packet->data[packet->len - 1] ^= 1;
	packet->data[packet->len - 1] ^= 1;
	return eat;
}

static void the_hook_sees_packets_first(void **state)
{
	uint8_t echo[16] = { 8, 0, 0, 0, 0x12, 0x34, 0, 1 };

	(void)state;
	stack_set_hooks(&(struct stack_hooks){ .from_wire = from_wire });
	router.pongs = 0;
	put16(echo + 2, test_sum(echo, sizeof(echo), 0));
	eat = true;
	net_ip(1, ROUTER_IP, HOST_IP, echo, sizeof(echo));
	net_run(1);
	assert_int_equal(last.len, 36);
	assert_int_equal(router.pongs, 0);
	eat = false;
	net_ip(1, ROUTER_IP, HOST_IP, echo, sizeof(echo));
	net_run(1);
	assert_int_equal(router.pongs, 1);
	stack_set_hooks(&(struct stack_hooks){ 0 });
}

static bool is_ours(void *arg, const uint8_t *ip)
{
	(void)arg;
	return get16(ip + 22) == 40000;
}

static unsigned packets;
static size_t lens[8];

static bool keep(void *arg, struct net_packet *packet)
{
	(void)arg;
	lens[packets++ % 8] = packet->len;
	last = *packet;
	return true;
}

static void tcp(uint16_t port, uint32_t seq, size_t len)
{
	uint8_t data[1480] = { 0, 80 }, pseudo[12] = { 0 };

	put16(data + 2, port);
	put32(data + 4, seq);
	data[12] = 5 << 4;
	data[13] = 0x10;
	put32(pseudo, ROUTER_IP);
	put32(pseudo + 4, HOST_IP);
	pseudo[9] = 6;
	put16(pseudo + 10, (uint16_t)(20 + len));
	put16(data + 16, test_sum(data, 20 + len,
				  (uint16_t)~test_sum(pseudo, 12, 0)));
	net_ip(6, ROUTER_IP, HOST_IP, data, 20 + len);
}

/* Those of one flow are one packet when the card's turn ends, or before anything
 * else comes. */
static void segments_are_joined(void **state)
{
	(void)state;
	stack_set_hooks(&(struct stack_hooks){ .from_wire = keep,
					       .joins = is_ours });
	for (unsigned round = 0; round < 2; round++) {
		packets = 0;
		for (uint32_t i = 0; i < 5; i++) {
			tcp(40000, 1000 * i, 1000);
		}
		assert_int_equal(packets, 0);
		if (round) {
			tcp(40001, 0, 10);
		} else {
			net_nic.received(net_nic.arg);
		}
		assert_int_equal(packets, 1 + round);
		assert_int_equal(lens[0], 5040);
	}
	assert_int_equal(lens[1], 50);
	net_nic.received(net_nic.arg);
	assert_int_equal(packets, 2);
	stack_set_hooks(&(struct stack_hooks){ 0 });
}

static uint16_t whole;		/* the sum of all that TCP sums up */

static bool sum_up(void *arg, struct net_packet *packet)
{
	uint8_t pseudo[12] = { 0 };

	(void)arg;
	memcpy(pseudo, packet->data + 12, 8);
	pseudo[9] = 6;
	put16(pseudo + 10, (uint16_t)(packet->len - 20));
	whole = (uint16_t)~test_sum(packet->data + 20, packet->len - 20,
				    (uint16_t)~test_sum(pseudo, 12, 0));
	last = *packet;
	return true;
}

/* A segment whose sum is of the addresses only. */
static void open_tcp(uint16_t port, uint16_t offset)
{
	uint8_t data[120] = { 0, 80 }, pseudo[12] = { 0 };

	net_nic.open = (struct nic_offload){
		.csum = true, .csum_start = 34, .csum_offset = offset,
	};
	net_flags = NIC_RX_CSUM_OPEN;
	put16(data + 2, port);
	data[12] = 5 << 4;
	data[13] = 0x10;
	put32(pseudo, ROUTER_IP);
	put32(pseudo + 4, HOST_IP);
	pseudo[9] = 6;
	put16(pseudo + 10, sizeof(data));
	put16(data + 16, (uint16_t)~test_sum(pseudo, 12, 0));
	memset(data + 20, 0x5a, sizeof(data) - 20);
	net_ip(6, ROUTER_IP, HOST_IP, data, sizeof(data));
	net_flags = 0;
}

/* Of a card whose frames have not left its computer: it is finished for lwIP, and for
 * a Linux left as it is. */
static void open_sums_are_finished(void **state)
{
	(void)state;
	stack_set_hooks(&(struct stack_hooks){ .from_wire = sum_up,
					       .joins = is_ours });
	open_tcp(40001, 16);
	assert_int_equal(whole, 0xffff);
	assert_int_equal(last.flags, 0);
	whole = 0;
	open_tcp(40000, 16);
	assert_int_equal(whole, 0);
	net_nic.received(net_nic.arg);
	assert_int_not_equal(whole, 0xffff);
	assert_int_equal(last.flags, NET_NEEDS_CSUM);
	assert_int_equal(last.csum_start, 20);
	/* what is said is not of TCP's sum: it is no segment with one */
	last.flags = 7;
	open_tcp(40000, 18);
	assert_int_equal(last.flags, 0);
	stack_set_hooks(&(struct stack_hooks){ 0 });
}

static uint8_t seen[1600];
static size_t seen_len;

static void see(const uint8_t *ip, size_t len)
{
	if (ip[0] >> 4 == 4 && ip[9] == 6) {
		memcpy(seen, ip, len);
		seen_len = len;
	}
}

/* A packet of others, whose checksum is not whole yet: to a neighbour whose
 * address is not known, then known; never torn, and the memory stays whose it is. */
static void packets_of_others_go_out(void **state)
{
	(void)state;
	router.packet = see;
	for (unsigned round = 0; round < 2; round++) {
		uint8_t room[NET_HEADROOM + 60 + 1] = { 0 };
		struct net_packet p = { .data = room + NET_HEADROOM + round,
			.len = 60, .space = 60, .flags = 1, .csum_start = 20,
			.csum_offset = 16 };
		uint8_t pseudo[12] = { 0 };

		p.data[0] = 0x45;
		put16(p.data + 2, 60);
		p.data[8] = 64;
		p.data[9] = 6;
		put32(p.data + 12, HOST_IP);
		put32(p.data + 16, 0x0a000277);
		put16(p.data + 10, test_sum(p.data, 20, 0));
		p.data[20 + 12] = 5 << 4;
		memcpy(p.data + 45, "others", 6);
		put32(pseudo, HOST_IP);
		put32(pseudo + 4, 0x0a000277);
		pseudo[9] = 6;
		pseudo[11] = 40;
		put16(p.data + 36, (uint16_t)~test_sum(pseudo, 12, 0));
		seen_len = 0;
		assert_true(stack_to_wire(0, &p));
		memset(room, 0xee, sizeof(room));
		net_run(10);
		assert_int_equal(seen_len, 60);
		assert_memory_equal(seen + 45, "others", 6);
		assert_int_equal(test_sum(seen + 20, 40,
			(uint16_t)~test_sum(pseudo, 12, 0)), 0);
	}
	router.packet = NULL;
}

/* What is said of a packet and cannot be is refused. */
static void nonsense_of_others_does_not(void **state)
{
	uint8_t room[NET_HEADROOM + 60] = { 0 };
	struct net_packet p = { .data = room + NET_HEADROOM, .len = 60 };
	struct net_packet bad;

	(void)state;
	p.data[0] = 0x45;
	bad = p;
	bad.flags = 1;
	bad.csum_start = 59;
	assert_false(stack_to_wire(0, &bad));
	bad.csum_start = 20;
	bad.csum_offset = 39;
	assert_false(stack_to_wire(0, &bad));
	bad = p;
	bad.gso_type = 1;
	assert_false(stack_to_wire(0, &bad));
	bad = p;
	bad.len = 19;
	assert_false(stack_to_wire(0, &bad));
	p.data[0] = 0x65;
	p.len = 39;
	assert_false(stack_to_wire(0, &p));
	p.data[0] = 0x15;
	assert_false(stack_to_wire(0, &p));
}

static struct net_packet to_linux;
static uint8_t to_linux_data[65536];

static bool link_send(void *arg, const struct net_packet *packet)
{
	(void)arg;
	to_linux = *packet;
	memcpy(to_linux_data, packet->data, packet->len);
	return true;
}

static struct stack_link *link_to_linux;

/* What a Linux says to us, from 10.77.1.2. */
static void from_linux(uint8_t proto, const void *payload, size_t len)
{
	static uint8_t data[65536];
	struct net_packet p = { .data = data, .len = 20 + len };

	memset(data, 0, 20);
	data[0] = 0x45;
	put16(data + 2, (uint16_t)p.len);
	data[8] = 64;
	data[9] = proto;
	put32(data + 12, 0x0a4d0102);
	put32(data + 16, 0x0a4d0101);
	put16(data + 10, test_sum(data, 20, 0));
	memcpy(data + 20, payload, len);
	to_linux.len = 0;
	assert_true(stack_to_host(link_to_linux, &p));
}

/* A packet of 64 KiB, at once, there and back; a connection whose sums nobody has
 * reckoned; and as they must be if a card does. */
static void a_linux_talks_to_the_host(void **state)
{
	static const struct stack_link_user user = {
		.send = link_send, .address4 = { 10, 77, 1, 1 },
		.address6 = { 0xfd, 1, [15] = 1 },
	};
	static uint8_t echo[65000] = { 8 };
	uint8_t syn[20] = { 0x80, 0, 0, 7 }, pseudo[12] = { 0 };

	(void)state;
	assert_int_equal(stack_link_new(&user, &link_to_linux), 0);
	/* None of these is a packet. */
	for (size_t len = 0; len < 20; len++) {
		assert_false(stack_to_host(link_to_linux,
			&(struct net_packet){ .data = echo, .len = len }));
	}
	put16(echo + 2, test_sum(echo, sizeof(echo), 0));
	from_linux(1, echo, sizeof(echo));
	assert_int_equal(to_linux.len, 65020);
	assert_int_equal(to_linux.flags, 0);
	assert_int_equal(to_linux_data[20], 0);
	assert_int_equal(test_sum(to_linux_data, 20, 0), 0);
	syn[12] = 5 << 4;
	syn[13] = 2;
	from_linux(6, syn, 20);
	assert_true(to_linux.len >= 40);
	assert_int_equal(to_linux_data[33], 0x12);
	assert_int_equal(to_linux.flags, NET_NEEDS_CSUM);
	assert_int_equal(to_linux.csum_start, 20);
	assert_int_equal(to_linux.csum_offset, 16);
	memcpy(pseudo, to_linux_data + 12, 8);
	pseudo[9] = 6;
	put16(pseudo + 10, (uint16_t)(to_linux.len - 20));
	assert_int_equal(get16(to_linux_data + 36),
			 (uint16_t)~test_sum(pseudo, 12, 0));
	/* Its MSS: as long as a packet. */
	assert_int_equal(to_linux_data[40], 2);
	assert_int_equal(get16(to_linux_data + 42), 65460);
}

/* Of a Linux that is gone nothing is open here; of others it is. */
static void a_linux_that_is_gone_has_nothing_open(void **state)
{
	uint8_t syn[20] = { 0x80, 0, 0, 7 };
	struct stack_status status;
	unsigned before;

	(void)state;
	stack_get_status(&status);
	before = status.connections;
	syn[12] = 5 << 4;
	syn[13] = 2;
	syn[1] = 1;
	from_linux(6, syn, 20);
	put32(syn + 8, get32(to_linux_data + 24) + 1);
	put32(syn + 4, 1);
	syn[13] = 0x10;
	from_linux(6, syn, 20);
	stack_get_status(&status);
	assert_true(status.connections > before);
	stack_link_down(link_to_linux);
	stack_get_status(&status);
	assert_int_equal(status.connections, 0);
}

static int begin(void **state)
{
	static const struct config_network want = { .echo = true };

	(void)state;
	net_begin();
	stack_init();
	assert_int_equal(stack_start(&net_nic, &want), 0);
	assert_int_equal(echo_start(), 0);
	net_plug();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hook_sees_packets_first),
		cmocka_unit_test(segments_are_joined),
		cmocka_unit_test(open_sums_are_finished),
		cmocka_unit_test(packets_of_others_go_out),
		cmocka_unit_test(nonsense_of_others_does_not),
		cmocka_unit_test(a_linux_talks_to_the_host),
		cmocka_unit_test(a_linux_that_is_gone_has_nothing_open),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
