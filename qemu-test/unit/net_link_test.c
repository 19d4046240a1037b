/* SPDX-License-Identifier: MIT */
/*
 * The host's end of Linux' network interface: a Linux that sends packets, whole, in
 * pieces and many at a time, and gets answers to its pings; and one that says of
 * packets what is not so.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/net/link.h"
#include "proto/net_channel.h"
#include "qemu-test/unit/fake/vsock.h"

#define GO	assert_int_equal
#define HEAD	sizeof(struct net_channel_head)
#define MAX	NET_CHANNEL_PACKET_MAX

static struct vsock_conn *const end = fake_vsock.end;
static struct link *l;
static unsigned received, writable, ups, downs;
static struct net_packet last;
static bool answers;

/* What pings the host's address gets its packet back, as an answer. */
static void answer(struct net_packet *p)
{
	static const uint8_t host[4] = { 10, 77, 1, 1 };
	uint8_t *ip = p->data, from[4];

	if (ip[9] != 1 || memcmp(ip + 16, host, 4) != 0 || ip[20] != 8) {
		return;
	}
	memcpy(from, ip + 12, 4);
	memcpy(ip + 12, host, 4);
	memcpy(ip + 16, from, 4);
	ip[20] = 0;
	net_put16(ip + 22, net_csum_change(net_get16(ip + 22), 8 << 8, 0));
	(void)link_send(l, p);
}

static void receive(void *arg, struct net_packet *p)
{
	assert_ptr_equal(arg, &received);
	received++;
	last = *p;
	/* The whole of it, and of what is before and behind, is ours. */
	memset(p->data - NET_HEADROOM, 0xee, NET_HEADROOM);
	memset(p->data + p->len, 0xee, p->space - p->len);
	if (answers) {
		answer(p);
	}
}

static void on_room(void *arg)
{
	(void)arg;
	writable++;
}

static void changed(void *arg, bool up)
{
	(void)arg;
	ups += up;
	downs += !up;
}

static int setup(void **state)
{
	const struct link_user user = {
		.arg = &received, .receive = receive, .writable = on_room,
		.changed = changed,
	};

	(void)state;
	received = writable = ups = downs = 0;
	answers = false;
	GO(link_new(NULL, &user, &l), 0);
	GO(fake_vsock.listens, NET_CHANNEL_PORT);
	fake_vsock_setup();
	fake_vsock_open();
	assert_true(link_up(l) && ups == 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (link_up(l)) {
		fake_vsock_close();
		GO(downs, ups);
	}
	free(l);
	return 0;
}

/* A packet of IPv4 with that protocol, and its message. */
static size_t make(uint8_t *to, struct net_channel_head head, uint8_t proto,
		   size_t len)
{
	uint8_t *ip = to + HEAD;

	head.len = (uint32_t)(HEAD + len);
	memcpy(to, &head, HEAD);
	for (size_t i = 0; i < len; i++) {
		ip[i] = (uint8_t)(i * 2654435761u >> 9);
	}
	memset(ip, 0, len < 60 ? len : 60);
	ip[0] = 0x45;
	net_put16(ip + 2, (uint16_t)len);
	ip[9] = proto;
	ip[32] = 0x80;			/* TCP: 32 bytes of header */
	memcpy(ip + 12, (uint8_t[]){ 10, 77, 1, 2, 10, 77, 1, 1 }, 8);
	return HEAD + len;
}

static void say(const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n = fake_vsock_send(data, len);

		data += n;
		len -= n;
		fake_vsock_step();
		assert_true(n > 0 || end->held > 0);
	}
	for (int i = 0; i < 3000 && !end->gone; i++) {
		fake_vsock_step();
	}
}

static void packets_come_whole_and_in_pieces(void **state)
{
	static const size_t lens[] = { 20, 21, 60, 1500, 9000, 65519, MAX };
	static const size_t chunks[] = { FAKE_QUEUE, 65536, 1000, 17, 16, 1 };
	static uint8_t data[FAKE_QUEUE];
	struct link_status status;
	size_t at = 0;

	(void)state;
	for (unsigned c = 0; c < 6; c++) {
		fake_vsock.chunk = chunks[c];
		fake_vsock.no_time = c % 2 != 0;
		at = 0;
		for (unsigned i = 0; i < (c < 3 ? 7 : 4); i++) {
			at += make(data + at, (struct net_channel_head){ 0 },
				   17, lens[i]);
		}
		received = 0;
		for (size_t done = 0; done < at;) {
			size_t n = fake_vsock_send(data + done, at - done);

			done += n;
			fake_vsock_step();
		}
		while (end->len > 0 || end->want_room) {
			fake_vsock_step();
		}
		GO(received, c < 3 ? 7 : 4);
		GO(last.len, lens[received - 1]);
		assert_memory_equal(last.data, data + at - last.len,
				    last.len);
		GO(end->held, 0);
	}
	link_get_status(l, &status);
	assert_true(status.up && status.starts == 1);
	GO(status.rx_packets, 3 * 7 + 3 * 4);
	GO(status.rx_nonsense, 0);
}

static void a_ping_is_answered(void **state)
{
	uint8_t data[HEAD + 84], got[FAKE_QUEUE];
	size_t len = make(data, (struct net_channel_head){ 0 }, 1, 84);

	(void)state;
	answers = true;
	data[HEAD + 20] = 8;
	net_put16(data + HEAD + 22, (uint16_t)~net_sum(0, data + HEAD + 20, 64));
	say(data, len);
	GO(fake_vsock_take(got), len);
	GO(got[HEAD + 20], 0);
	GO(net_sum(0, got + HEAD + 20, 64), 0xffff);
	assert_memory_equal(got + HEAD + 12, data + HEAD + 16, 4);
	assert_memory_equal(got + HEAD + 16, data + HEAD + 12, 4);
	data[HEAD + 16]++;		/* another's address */
	say(data, len);
	GO(fake_vsock_take(got), 0);
}

/* Of a message that is as it should be, one thing is another. */
static bool passes(struct net_channel_head head, uint8_t proto, size_t len,
		   size_t at, uint8_t byte)
{
	static uint8_t data[HEAD + MAX];
	unsigned before = received;
	size_t size = make(data, head, proto, len);

	if (at < len) {
		data[HEAD + at] = byte;
	}
	say(data, size);
	assert_false(end->gone);
	return received > before;
}

static void what_is_said_of_a_packet_is_checked(void **state)
{
	const struct net_channel_head none = { 0 }, good = {
		.flags = 1, .gso_type = NET_CHANNEL_GSO_TCPV4, .gso_size = 1448,
		.csum_start = 20, .csum_offset = 16, .hdr_len = 9999,
	};
	struct net_channel_head h;
	struct link_status status;
	const size_t big = 30000, no = SIZE_MAX;

	(void)state;
	/* The IP header. */
	assert_true(passes(none, 6, 40, no, 0));
	assert_false(passes(none, 6, 19, no, 0));
	assert_false(passes(none, 6, 40, 0, 0x44));
	assert_false(passes(none, 6, 40, 0, 0x4f));
	assert_false(passes(none, 6, 40, 0, 0x55));
	assert_false(passes(none, 6, 40, 0, 0));
	assert_false(passes(none, 6, 40, 3, 39));
	assert_false(passes(none, 6, 40, 3, 41));
	assert_false(passes(none, 6, 39, 0, 0x60));
	assert_false(passes(none, 6, 60, 0, 0x60));
	assert_true(passes(none, 6, 40, 0, 0x4a));
	/* The checksum. */
	for (unsigned i = 0; i < 6; i++) {
		static const uint16_t at[6][3] = {
			{ 20, 6, 1 }, { 20, 18, 1 }, { 20, 19, 0 },
			{ 38, 0, 1 }, { 19, 6, 0 }, { 0xffff, 0xffff, 0 },
		};

		h = (struct net_channel_head){ .flags = 1,
			.csum_start = at[i][0], .csum_offset = at[i][1] };
		GO(passes(h, 17, 40, no, 0), at[i][2]);
	}
	h = (struct net_channel_head){ .csum_start = 999, .csum_offset = 999,
		.gso_size = 999, .hdr_len = 999 };
	assert_true(passes(h, 17, 40, no, 0));
	GO(last.csum_start | last.csum_offset | last.gso_size | last.hdr_len, 0);
	h = (struct net_channel_head){ .flags = 2 };
	assert_false(passes(h, 17, 40, no, 0));
	/* What is to be cut. */
	assert_true(passes(good, 6, big, no, 0));
	GO(last.hdr_len, 52);
	GO(last.gso_size, 1448);
	assert_true(passes(good, 6, 52 + 1448, no, 0));
	GO(last.gso_type, NET_CHANNEL_GSO_NONE);
	GO(last.gso_size, 0);
	assert_false(passes(good, 17, big, no, 0));
	assert_false(passes(good, 6, big, 32, 0x40));
	assert_false(passes(good, 6, 50, 32, 0xf0));
	assert_false(passes(good, 6, 39, no, 0));
	assert_false(passes(good, 6, big, 6, 0x20));
	assert_false(passes(good, 6, big, 7, 1));
	assert_true(passes(good, 6, big, 6, 0x40));
	for (unsigned i = 0; i < 7; i++) {
		h = good;
		h.flags = i != 0;
		h.gso_type = i == 1 ? 0x81 : i == 2 ? 4 : i == 3 ? 3 : 1;
		h.gso_size = i == 4 ? 35 : 1448;
		h.csum_start = i == 5 ? 24 : 20;
		h.csum_offset = i == 6 ? 6 : 16;
		assert_false(passes(h, 6, big, no, 0));
	}
	link_get_status(l, &status);
	GO(status.rx_packets, received);
	GO(status.rx_nonsense, 9 + 3 + 1 + 6 + 7);
}

static void ipv6_is_checked_likewise(void **state)
{
	struct net_channel_head head = {
		.flags = 1, .gso_type = NET_CHANNEL_GSO_TCPV6, .gso_size = 1428,
		.csum_start = 40, .csum_offset = 16,
	};
	static uint8_t data[HEAD + 30000];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		head.csum_start = i == 3 ? 48 : 40;
		make(data, head, 0, 30000);
		data[HEAD] = 0x60;
		net_put16(data + HEAD + 4, i == 1 ? 29961 : 29960);
		data[HEAD + 6] = i == 2 ? 17 : 6;
		data[HEAD + 52] = 0x80;
		say(data, sizeof(data));
		GO(received, 1);
	}
}

static void a_length_that_cannot_be_ends_it(void **state)
{
	const uint32_t wrong[] = { 0, 15, 16, HEAD + MAX + 1, 0xffffffffu };

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct net_channel_head head = { .len = wrong[i] };

		say((uint8_t *)&head, sizeof(head));
		assert_true(end->gone);
		GO(link_send(l, &(struct net_packet){
			.data = (uint8_t *)&head, .len = 16 }), ENETDOWN);
		fake_vsock_close();
		assert_false(link_up(l));
		fake_vsock_open();
		assert_true(link_up(l) && !end->gone);
	}
	GO(received, 0);
	GO(ups, 6);
}

/* The message that the client finds next. */
static size_t check_message(const uint8_t *at, const struct net_packet *p)
{
	struct net_channel_head head;

	memcpy(&head, at, HEAD);
	GO(head.len, HEAD + p->len);
	GO(head.flags, p->flags);
	GO(head.gso_size, p->gso_size);
	assert_memory_equal(at + HEAD, p->data, p->len);
	return head.len;
}

static void packets_go_out_as_there_is_room(void **state)
{
	static uint8_t data[MAX], got[FAKE_QUEUE * 4];
	struct net_packet p = { .data = data, .len = MAX,
				.flags = NET_NEEDS_CSUM, .gso_size = 1234 };
	struct link_status status;
	size_t have = 0, at = 0;
	unsigned sent = 0;

	(void)state;
	for (size_t i = 0; i < MAX; i++) {
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	}
	/* What there is no room for: the rest of one message, then no more. */
	fake_vsock.room = 100000;
	GO(link_send(l, &p), 0);
	GO(link_send(l, &p), 0);
	GO(link_send(l, &p), ENOBUFS);
	GO(writable, 0);
	have += fake_vsock_take(got);
	fake_vsock_step();
	GO(writable, 1);
	have += fake_vsock_take(got + have);
	GO(have, 2 * (HEAD + MAX));
	/* One byte at a time, from within the head on. */
	fake_vsock.room = 5;
	GO(link_send(l, &p), 0);
	while (end->out_len > 0 || end->want_room) {
		have += fake_vsock_take(got + have);
		fake_vsock_step();
	}
	GO(have, 3 * (HEAD + MAX));
	for (; at < have; sent++) {
		at += check_message(got + at, &p);
	}
	GO(sent, 3);
	p.len = MAX + 1;
	GO(link_send(l, &p), EMSGSIZE);
	p.len = 0;
	GO(link_send(l, &p), EMSGSIZE);
	link_get_status(l, &status);
	GO(status.tx_packets, 3);
	GO(status.tx_bytes, 3 * MAX);
	GO(status.tx_dropped, 3);
}

static void one_connection_of_the_kernels_only(void **state)
{
	(void)state;
	/* A second one, of whatever port, is refused, and the first stays. */
	fake_vsock_open();
	assert_true(end->gone && link_up(l));
	fake_vsock_close();
	assert_true(link_up(l) && downs == 0);
	/* The first one's end. */
	end->gone = false;
	end->arg = l;
	fake_vsock_close();
	assert_true(!link_up(l) && downs == 1);
	fake_vsock.port = 1024;
	fake_vsock_open();
	assert_true(end->gone && !link_up(l));
	fake_vsock_close();
	GO(downs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			packets_come_whole_and_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(a_ping_is_answered, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			what_is_said_of_a_packet_is_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(ipv6_is_checked_likewise,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_length_that_cannot_be_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			packets_go_out_as_there_is_room, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_connection_of_the_kernels_only, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
