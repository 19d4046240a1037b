/* SPDX-License-Identifier: MIT */
/*
 * Names for a Linux over TCP, from its link to servers behind a card, by the numbers
 * of the RFCs. lwIP keeps state for ever, so all tests go on with the same machine.
 */
#include "lwip/dns.h"

#include "net_names_peers.h"

#include "host-bridge/net/lwip_port.h"
#include "host-bridge/net/stack_ports.h"

/* A query of that name, with its length before it; returns that of both. */
static size_t make_query(uint8_t *out, uint16_t id, const char *name)
{
	size_t len = make(out + 2, id, name, 1);

	put16(out, (uint16_t)len);
	return 2 + len;
}

static void ask_by(struct peer *p, uint16_t id, const char *name)
{
	uint8_t query[300];

	put(p, ACK, query, make_query(query, id, name));
	run(2);
}

/* The answer that has come: its code, -1: none that is whole. It is taken away. */
static int answer_to(struct peer *p, uint16_t id)
{
	size_t len = p->len >= 2 ? 2u + get16(p->data) : SIZE_MAX;
	int code;

	if (p->len < len) {
		return -1;
	}
	GO(get16(p->data + 2), id);
	assert_true(p->data[4] & 0x80);
	code = p->data[5] & 15;
	memmove(p->data, p->data + len, p->len - len);
	p->len -= len;
	return code;
}

/* The server answers with so many bytes. change: of its message, a byte that is not
 * as it should be; -1: none. */
static void serve(struct peer *p, size_t len, int change)
{
	static uint8_t out[2 + 65535];

	assert_true(p->len >= 2 && p->len == 2u + get16(p->data) &&
		    len >= p->len - 2);
	memcpy(out, p->data, p->len);
	put16(out, (uint16_t)len);
	put16(out + 4, 0x8180);
	for (size_t i = p->len; i < 2 + len; i++) {
		out[i] = (uint8_t)(i * 11);
	}
	if (change >= 0) {
		out[2 + change] ^= 1;
	}
	for (size_t at = 0; at < 2 + len && !p->reset; at += 1400) {
		put(p, ACK, out + at, 2 + len - at < 1400 ? 2 + len - at : 1400);
		run(1);
	}
	run(2);
}

static size_t heap_before;

static int setup(void **state)
{
	names_setup(state);
	peers_setup();
	if (names) {
		run(1000);
		heap_before = lwip_port_heap()->used;
	}
	return 0;
}

/* Whatever was done, when Linux is gone nothing stays. */
static int teardown(void **state)
{
	(void)state;
	names_linux_down(names);
	run(100000);
	GO(connections(), 0);
	GO(lwip_port_heap()->used, heap_before);
	return 0;
}

/* ---- The machine's own names ---- */

static void own_names_have_addresses(void **state)
{
	uint8_t query[300];
	struct peer *p;
	size_t len;

	(void)state;
	for (unsigned six = 0; six < 2; six++) {
		p = dial(six);
		assert_true(p->open);
		ask_by(p, 0x1234, "host.isthmus.internal");
		GO(get16(p->data + 2 + 6), 1);
		assert_memory_equal(p->data + p->len - 4, ends.host4, 4);
		GO(answer_to(p, 0x1234), 0);
		/* [RFC 7766 6.2.1.1] Several, in one piece. */
		len = make_query(query, 1, "nobody.isthmus.internal");
		len += make_query(query + len, 2, "linux.isthmus.internal");
		put(p, ACK, query, len);
		run(2);
		GO(answer_to(p, 1), 3);
		GO(answer_to(p, 2), 0);
		/* And one in many. */
		len = make_query(query, 3, "host.isthmus.internal");
		for (size_t i = 0; i < len; i++) {
			GO(p->len, 0);
			put(p, ACK, query + i, 1);
			run(1);
		}
		run(1);
		GO(answer_to(p, 3), 0);
		put(p, FIN | ACK, NULL, 0);
		run(1);
		assert_true(p->ended && !p->reset);
	}
	GO(calls, 0);
}

/* ---- The relay ---- */

/* [RFC 5625 4.4.1; RFC 7766 5] By TCP, and by nothing else; as long as may be. */
static void what_is_long_passes_whole(void **state)
{
	/* The second one's last byte comes by itself. */
	static const size_t lens[] = { 200, 1399, 4096, 65535 };
	uint8_t sent[300];
	struct peer *p, *s;

	(void)state;
	p = dial(false);
	for (unsigned i = 0; i < 4; i++) {
		size_t len = make_query(sent, (uint16_t)i, "ThErE.example");

		put(p, ACK, sent, len);
		run(3);
		s = server();
		assert_non_null(s);
		GO(s->address, SERVER_IP);
		GO(s->len, len);
		GO(get16(s->data), len - 2);
		assert_memory_equal(s->data + 4, sent + 4, len - 4);
		GO(p->len, 0);
		serve(s, lens[i], -1);
		/* Its connection is over. */
		assert_true(s->reset);
		GO(p->len, 2 + lens[i]);
		GO(get16(p->data), lens[i]);
		for (size_t at = len; at < 2 + lens[i]; at++) {
			GO(p->data[at], (uint8_t)(at * 11));
		}
		GO(answer_to(p, (uint16_t)i), 0);
	}
	GO(calls, 4);
	GO(asked.count, 0);
	/* The port is the link's alone, and may lead to a Linux from outside. */
	assert_false(stack_ports_used(6, 53));
	ask_by(p, 5, "there.example");
	assert_true(stack_ports_used(6, server()->to));
}

/* Queries wait for the answers of those before them. */
static void answers_come_in_order(void **state)
{
	uint8_t query[600];
	struct peer *p, *s;
	size_t len;

	(void)state;
	p = dial(false);
	len = make_query(query, 1, "there.example");
	len += make_query(query + len, 2, "host.isthmus.internal");
	len += make_query(query + len, 3, "other.example");
	put(p, ACK, query, len);
	run(3);
	GO(calls, 1);
	GO(p->len, 0);
	serve(server(), 500, -1);
	GO(answer_to(p, 1), 0);
	GO(answer_to(p, 2), 0);
	GO(calls, 2);
	s = server();
	assert_memory_equal(s->data + 2 + QUESTION, "\5other", 6);
	/* Linux says no more: it has its answer, and then it is over. */
	put(p, FIN | ACK, NULL, 0);
	run(3);
	assert_false(p->ended);
	serve(s, 100, -1);
	GO(answer_to(p, 3), 0);
	assert_true(p->ended && !p->reset);
	put(p, ACK, NULL, 0);
}

/* [RFC 5452 4.2, 4.4] */
static void answers_must_match(void **state)
{
	static const int bad[3] = { 0, QUESTION + 1, 2 };	/* id, name, QR */
	struct names_status before, after;
	struct peer *p;

	(void)state;
	names_get_status(&before);
	p = dial(false);
	ask_by(p, 7, "there.example");
	for (unsigned i = 0; i < 3; i++) {
		GO(calls, i + 1);
		GO(p->len, 0);
		/* 0x81 becomes 0x01: no answer any more. */
		if (bad[i] == 2) {
			uint8_t none[14] = { 0, 12 };

			put(server(), ACK, none, sizeof(none));
			run(3);
		} else {
			serve(server(), 100, bad[i]);
		}
	}
	GO(answer_to(p, 7), 2);
	names_get_status(&after);
	GO(after.refused - before.refused, 3);
	GO(after.failed - before.failed, 1);
	/* Too short to be a message. */
	ask_by(p, 8, "there.example");
	put(server(), ACK, "\0\0", 2);
	run(3);
	GO(calls, 5);
	serve(server(), 100, -1);
	GO(answer_to(p, 8), 0);
}

static void servers_that_are_gone(void **state)
{
	ip_addr_t second = { 0 }, first = *dns_getserver(0);
	uint32_t asked_first;
	struct peer *p;

	(void)state;
	p = dial(false);
	servers_do = REFUSE;
	ask_by(p, 1, "there.example");
	run(10);
	GO(calls, 3);
	GO(answer_to(p, 1), 2);
	/* Silence ends before a resolver's patience, after 5 s. */
	servers_do = SILENT;
	ask_by(p, 2, "there.example");
	run(4000);
	GO(p->len, 0);
	run(999);
	GO(calls, 6);
	GO(answer_to(p, 2), 2);
	/* One that hangs up, another that says nothing when it is asked, and
	 * one that stops in the midst of its answer. */
	servers_do = SERVE;
	ask_by(p, 3, "there.example");
	put(server(), FIN | ACK, NULL, 0);
	run(3);
	GO(calls, 8);
	run(1800);
	GO(calls, 9);
	put(server(), ACK, "\1\0half", 6);
	run(1800);
	GO(answer_to(p, 3), 2);
	GO(connections(), 1);
	/* There is another server; who answered is asked first. */
	ip_addr_set_ip4_u32_val(second, lwip_htonl(SECOND_IP));
	dns_setserver(1, &second);
	ask_by(p, 4, "there.example");
	asked_first = server()->address;
	put(server(), RST | ACK, NULL, 0);
	server()->reset = true;
	run(3);
	GO(server()->address, asked_first ^ SERVER_IP ^ SECOND_IP);
	serve(server(), 100, -1);
	GO(answer_to(p, 4), 0);
	ask_by(p, 5, "there.example");
	GO(server()->address, asked_first ^ SERVER_IP ^ SECOND_IP);
	serve(server(), 100, -1);
	GO(answer_to(p, 5), 0);
	dns_setserver(1, NULL);
	/* And none at all. */
	dns_setserver(0, NULL);
	ask_by(p, 6, "there.example");
	GO(answer_to(p, 6), 2);
	dns_setserver(0, &first);
}

/* ---- What Linux may not ---- */

static void malformed_ends_the_connection(void **state)
{
	static const struct { size_t len; const char *bytes; } t[] = {
		{ 2, "\0\0" }, { 3, "\0\1x" },
		{ 13, "\0\13\0\1\1\0\0\1\0\0\0\0\0" },
		{ 2, "\x10\x01" }, { 2, "\xff\xff" },
		{ 14, "\0\14\0\1\x81\0\0\1\0\0\0\0\0\0" },	/* an answer */
	};
	struct peer *p;

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		p = dial(false);
		assert_true(p->open);
		put(p, ACK, t[i].bytes, t[i].len);
		run(2);
		assert_true(p->reset);
		GO(p->len, 0);
		GO(connections(), 0);
	}
	/* A query that is one, and wrong, is told so. */
	p = dial(false);
	put(p, ACK, "\0\14\0\1\1\0\0\1\0\0\0\0\0\0", 14);
	run(2);
	GO(answer_to(p, 1), 1);
}

static void no_more_than_so_many_are_open(void **state)
{
	struct peer *p[9];

	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		p[i] = dial(i % 2);
		GO(p[i]->reset, i == 8);
	}
	GO(connections(), 8);
	/* Each has its query. */
	for (unsigned i = 0; i < 7; i++) {
		ask_by(p[i], 1, "there.example");
	}
	GO(connections(), 8 + 7);
	/* One that goes makes room, and takes with it what was asked for it. */
	put(p[0], RST | ACK, NULL, 0);
	run(3);
	GO(connections(), 7 + 6);
	p[0]->used = false;
	p[8]->used = false;
	assert_false(dial(false)->reset);
	GO(connections(), 8 + 6);
	/* Linux is another one. */
	names_linux_down(names);
	GO(connections(), 0);
}

/* When the link goes down, each end of Linux's ends what was asked for it, which is
 * the next of lwIP's list when Linux spoke last. */
static void a_link_takes_its_queries_along(void **state)
{
	struct peer *p[6], *s[4];

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		p[i] = dial(i % 2);
		servers_do = i < 4 ? SERVE : SILENT;
		if (i < 5) {
			ask_by(p[i], 1, "there.example");
			ask_by(p[i], 2, "other.example");	/* it waits */
		}
		if (i < 4) {
			s[i] = server();
			assert_true(s[i]->open && s[i]->len > 0);
		}
	}
	GO(calls, 5);
	GO(connections(), 6 + 5);
	stack_link_down(link_to_linux);
	GO(connections(), 0);
	run(3);
	for (unsigned i = 0; i < 6; i++) {
		assert_true(p[i]->reset && (i >= 4 || s[i]->reset));
		GO(p[i]->len, 0);
	}
	/* The next Linux has all of its own. */
	names_linux_down(names);
	memset(p[0], 0, sizeof(*p[0]));
	servers_do = SERVE;
	p[0] = dial(false);
	ask_by(p[0], 3, "there.example");
	GO(calls, 6);
	serve(server(), 100, -1);
	GO(answer_to(p[0], 3), 0);
}

/* Who says nothing, or a byte now and then, is sent away. */
static void silence_ends_the_connection(void **state)
{
	struct peer *quiet, *slow, *p;

	(void)state;
	quiet = dial(false);
	slow = dial(false);
	p = dial(false);
	for (unsigned i = 0; i < 12; i++) {
		assert_true(i >= 10 || (!quiet->reset && !slow->reset));
		if (!slow->reset) {
			put(slow, ACK, "\0x", i == 0 ? 2 : 1);
		}
		run(1000);
		ask_by(p, (uint16_t)i, "host.isthmus.internal");
		GO(answer_to(p, (uint16_t)i), 0);
	}
	assert_true(quiet->reset && slow->reset && !p->reset);
}

/* Linux asks, and takes no answers: some are made, no more, and then it is over. */
static void answers_that_nobody_takes_are_few(void **state)
{
	struct names_status before, after;
	size_t used = lwip_port_heap()->used;
	uint8_t query[300];
	struct peer *p;
	size_t len;

	(void)state;
	names_get_status(&before);
	p = dial(false);
	p->silent = true;
	len = make_query(query, 1, "host.isthmus.internal");
	for (unsigned i = 0; i < 400 && !p->reset; i++) {
		put(p, ACK, query, len);
		run(1);
	}
	names_get_status(&after);
	assert_in_range(after.own - before.own, 50, 100);
	assert_true(lwip_port_heap()->used - used < 65536);
	assert_true(p->reset);
	GO(connections(), 0);
	/* So it is with what comes in large pieces, of which nothing waits beyond
	 * the window; that ends with time. */
	p = dial(false);
	ask_by(p, 1, "there.example");
	for (unsigned i = 0; i < 100; i++) {
		static uint8_t many[1400];

		put(p, ACK, many, sizeof(many));
		run(1);
	}
	assert_false(p->reset);
	assert_true(lwip_port_heap()->used - used < 32768);
}

/* A server whose answer has no beginning: what comes after it is not kept for ever. */
static void a_server_is_not_given_all_memory(void **state)
{
	size_t used = lwip_port_heap()->used;
	static uint8_t many[1400];
	struct peer *s;

	(void)state;
	ask_by(dial(false), 1, "there.example");
	s = server();
	s->next++;
	for (unsigned i = 0; i < 300; i++) {
		put(s, ACK, many, sizeof(many));
		run(1);
	}
	assert_false(s->reset);
	assert_true(lwip_port_heap()->used - used < 131072);
}

static void a_second_has_so_many(void **state)
{
	struct names_status before, after;
	uint8_t query[300];
	struct peer *p;
	size_t len;

	(void)state;
	names_get_status(&before);
	p = dial(false);
	len = make_query(query, 1, "host.isthmus.internal");
	net_run(1000 - net_ms % 1000);
	for (unsigned i = 0; i < 1000; i++) {
		put(p, ACK, query, len);
		run(0);
		GO(answer_to(p, 1), 0);
	}
	assert_false(p->reset);
	put(p, ACK, query, len);
	run(0);
	assert_true(p->reset);
	names_get_status(&after);
	GO(after.own - before.own, 1000);
}

/* [RFC 5625 6.2] A neighbour on the wire, that knows the address. */
static void others_are_not_served(void **state)
{
	static const uint32_t to[] = { 0x0a4d0101, HOST_IP };
	uint8_t syn[20] = { 0x50, 0, 0, 53, [12] = 0x50, [13] = SYN };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint8_t pseudo[12] = { 0 };
		struct peer *p = make_peer(true, ROUTER_IP, 0x5000, 53);

		put32(pseudo, ROUTER_IP);
		put32(pseudo + 4, to[i]);
		pseudo[9] = 6;
		pseudo[11] = 20;
		put16(syn + 16, 0);
		put16(syn + 16, test_sum(syn, 20,
					 (uint16_t)~test_sum(pseudo, 12, 0)));
		net_ip(6, ROUTER_IP, to[i], syn, 20);
		run(5);
		assert_false(p->open);
		p->used = false;
	}
	GO(connections(), 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

static int begin(void **state)
{
	(void)state;
	names_begin();
	names_wire();
	/* The servers' addresses are known then. */
	GO(ask("there.example", 1), -1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(own_names_have_addresses), TEST(what_is_long_passes_whole),
		TEST(answers_come_in_order), TEST(answers_must_match),
		TEST(servers_that_are_gone),
		TEST(malformed_ends_the_connection),
		TEST(no_more_than_so_many_are_open),
		TEST(a_link_takes_its_queries_along),
		TEST(silence_ends_the_connection),
		TEST(answers_that_nobody_takes_are_few),
		TEST(a_server_is_not_given_all_memory),
		TEST(a_second_has_so_many), TEST(others_are_not_served),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
