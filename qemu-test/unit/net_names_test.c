/* SPDX-License-Identifier: MIT */
/*
 * Names for a Linux, from its link to servers behind a card, by the numbers of the
 * RFCs. lwIP keeps state for ever, so all tests go on with the same machine.
 */
#include <stdio.h>

#include "lwip/dns.h"

#include "net_names_fixture.h"

#include "host-bridge/net/nat.h"
#include "host-bridge/net/stack_ports.h"

/* ---- The machine's own names ---- */

static void without_a_server_the_own_are_known(void **state)
{
	(void)state;
	names_begin();
	/* No card, so nobody to ask: that is said at once. */
	GO(ask("there.example", 1), 2);
	GO(ask("host.isthmus.internal", 1), 0);
	names_wire();
	GO(dns_getserver(0)->u_addr.ip4.addr, lwip_htonl(SERVER_IP));
}

static void own_names_have_addresses(void **state)
{
	const uint8_t *record = got.data + QUESTION + 23 + 4;

	(void)state;
	/* Whatever the case of its letters [RFC 1035 2.3.3]. */
	GO(ask("HOST.isthmus.Internal", 1), 0);
	GO(get16(got.data + 6), 1);
	GO(get16(record), 0xc00c);
	GO(get16(record + 2), 1);
	GO(get16(record + 10), 4);
	assert_memory_equal(record + 12, ends.host4, 4);
	GO(got.len, QUESTION + 27 + 16);
	GO(get16(got.data + 2), 0x8580);
	GO(ask("host.isthmus.internal", 28), 0);
	GO(get16(record + 10), 16);
	assert_memory_equal(record + 12, ends.host6, 16);
	GO(ask("linux.isthmus.internal", 1), 0);
	assert_memory_equal(record + 1 + 12, ends.linux4, 4);
	GO(ask("work.isthmus.internal", 1), 0);
	assert_memory_equal(record + 12, ends.linux4, 4);
	GO(ask("host.isthmus.internal", 255), 0);
	GO(get16(got.data + 6), 2);
	GO(asked.count, 0);
}

static void own_addresses_have_names(void **state)
{
	static const char six[] = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0."
				  "d.6.8.6.4.7.3.7.9.6.d.f.ip6.arpa";
	static const uint8_t host[] = "\4host\7isthmus\10internal";
	char name[100];

	(void)state;
	GO(ask("1.1.77.10.in-addr.arpa", 12), 0);
	GO(get16(got.data + 6), 1);
	assert_memory_equal(got.data + got.len - sizeof(host), host, sizeof(host));
	GO(ask("2.1.77.10.IN-ADDR.arpa", 12), 0);
	assert_memory_equal(got.data + got.len - sizeof(host) - 1, "\5linux\7", 7);
	snprintf(name, sizeof(name), "1.%s", six);
	GO(ask(name, 12), 0);
	assert_memory_equal(got.data + got.len - sizeof(host), host, sizeof(host));
	snprintf(name, sizeof(name), "2.%s", six);
	GO(ask(name, 12), 0);
	GO(get16(got.data + 6), 1);
	/* Others' have theirs elsewhere. */
	GO(ask("3.1.77.10.in-addr.arpa", 12), -1);
	GO(asked.count, 1);
	GO(ask("1.1.1.77.10.in-addr.arpa", 12), -1);
	GO(asked.count, 1);
}

/* [RFC 2308 2.1, 2.2] An SOA of the zone says how long. */
static void there_is_no_more_of_it(void **state)
{
	(void)state;
	GO(ask("nobody.isthmus.internal", 1), 3);
	GO(get16(got.data + 6), 0);
	GO(get16(got.data + 8), 1);
	GO(get16(got.data + QUESTION + 29), 0xc000 | (QUESTION + 7));
	GO(get16(got.data + QUESTION + 31), 6);
	GO(ask("deep.host.isthmus.internal", 1), 3);
	GO(ask("host.deep.isthmus.internal", 1), 3);
	GO(ask("host.isthmus.internal", 16), 0);
	GO(get16(got.data + 6), 0);
	GO(get16(got.data + 8), 1);
	GO(ask("isthmus.internal", 1), 0);
	GO(get16(got.data + 8), 1);
	GO(ask("isthmus.internal", 6), 0);
	GO(get16(got.data + 6), 1);
	GO(asked.count, 0);
	/* Not below it, though it ends so. */
	GO(ask("myisthmus.internal", 1), -1);
	GO(asked.count, 1);
}

/* [RFC 6891 6.1.1, 7] */
static void who_speaks_edns_is_answered_in_it(void **state)
{
	uint8_t query[100];
	size_t len = make(query, 1, "nobody.isthmus.internal", 1);

	(void)state;
	put16(query + 10, 1);
	memcpy(query + len, "\0\0\x29\x10\0\0\0\x80\0\0\0", 11);
	say(false, 2, 5000, query, len + 11);
	GO(got.count, 1);
	GO(get16(got.data + 10), 1);
	assert_memory_equal(got.data + got.len - 11, "\0\0\x29\x04\xd0", 5);
	/* Cut off it is none. */
	say(false, 2, 5000, query, len + 10);
	GO(get16(got.data + 10), 0);
}

/* ---- The relay ---- */

/* [RFC 5625 3, 4.1, 4.3, 4.4] All passes as it is, but for the id: flags, types, classes
 * and records that nobody here knows. */
static void all_passes_unchanged(void **state)
{
	uint8_t query[4096], reply[4200];
	size_t len = make(query, 0xabcd, "ThErE.eXaMpLe", 65399);

	(void)state;
	put16(query + 2, 0x0170);	/* RD, and bits that are new */
	put16(query + len - 2, 0xfe);
	put16(query + 10, 2);
	for (size_t i = len; i < sizeof(query); i++) {
		query[i] = (uint8_t)(i * 7);
	}
	/* As long as may be: in fragments on the wire, which the router of the
	 * test does not join; so shorter there. */
	say(false, 2, 5000, query, 1400);
	net_run(1);
	GO(asked.count, 1);
	GO(asked.server, SERVER_IP);
	GO(asked.len, 1400);
	assert_memory_equal(asked.data + 2, query + 2, 1398);
	memcpy(reply, query, 1400);
	put16(reply, get16(asked.data));
	put16(reply + 2, 0x87f5);	/* TC as well: who asked is told */
	answer(SERVER_IP, 53, asked.port, reply, 1400);
	GO(got.count, 1);
	GO(got.port, 5000);
	GO(got.len, 1400);
	GO(get16(got.data), 0xabcd);
	assert_memory_equal(got.data + 2, reply + 2, 1398);
	/* A second one is none any more. */
	answer(SERVER_IP, 53, asked.port, reply, 1400);
	GO(got.count, 1);
}

static void ipv6_is_answered_as_well(void **state)
{
	uint8_t query[100], reply[200];
	size_t len = make(query, 7, "there.example", 1);

	(void)state;
	say(true, 2, 6000, query, len);
	net_run(1);
	GO(asked.count, 1);
	answer(SERVER_IP, 53, asked.port, reply, make_answer(reply));
	GO(got.count, 1);
	GO(got.port, 6000);
	len = make(query, 8, "host.isthmus.internal", 28);
	say(true, 2, 6000, query, len);
	GO(got.count, 2);
}

/* [RFC 5452 4.2 to 4.5, 9.1] Who does not know address, ports, id and question is not
 * believed; the right one still is. */
static void answers_must_match(void **state)
{
	struct names_status before, after;
	uint8_t reply[200], bad[200];
	size_t len;

	(void)state;
	GO(ask("there.example", 1), -1);
	len = make_answer(reply);
	names_get_status(&before);
	answer(SECOND_IP, 53, asked.port, reply, len);
	answer(SERVER_IP, 54, asked.port, reply, len);
	answer(SERVER_IP, 53, asked.port ^ 1, reply, len);
	GO(got.count, 0);
	/* These have reached the relay. */
	for (unsigned i = 0; i < 10; i++) {
		size_t n = len;

		memcpy(bad, reply, len);
		switch (i) {
		case 0: bad[0] ^= 1; break;
		case 1: bad[2] ^= 0x80; break;
		case 2: bad[QUESTION + 1] ^= 2; break;
		case 3: bad[asked.len - 3] ^= 1; break;
		case 4: bad[asked.len - 1] ^= 2; break;
		case 5: bad[5] = 2; break;
		case 6: bad[5] = 0; break;	/* nothing asked, no error */
		case 7: n = 11; break;
		case 8: bad[2] ^= 0x08; break;	/* another opcode */
		case 9: n = QUESTION + 3; break;	/* in a label */
		}
		answer(SERVER_IP, 53, asked.port, bad, n);
	}
	GO(got.count, 0);
	names_get_status(&after);
	GO(after.refused - before.refused, 10);
	answer(SERVER_IP, 53, asked.port, reply, len);
	GO(got.count, 1);
	/* A question in other letters is the same. */
	GO(ask("there.example", 1), -1);
	len = make_answer(reply);
	reply[QUESTION + 1] = 'T';
	answer(SERVER_IP, 53, asked.port, reply, len);
	GO(got.count, 1);
}

/* That a server does not understand it, it may say without it. */
static void an_error_without_the_question_passes(void **state)
{
	uint8_t reply[12];

	(void)state;
	GO(ask("there.example", 1), -1);
	memset(reply, 0, sizeof(reply));
	memcpy(reply, asked.data, 2);
	put16(reply + 2, 0x8181);
	answer(SERVER_IP, 53, asked.port, reply, 12);
	GO(got.count, 1);
	GO(got.len, 12);
	GO(get16(got.data), 0x1234);
}

/* [RFC 5452 9.2] */
static void ports_and_ids_are_by_chance(void **state)
{
	uint16_t port[16], id[16];
	unsigned near = 0;

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		names_setup(NULL);
		GO(ask("there.example", 1), -1);
		GO(asked.count, 1);
		port[i] = asked.port;
		id[i] = get16(asked.data);
		assert_in_range(port[i], NAT_LAST + 1, 65535);
		near += i > 0 && (uint16_t)(port[i] - port[i - 1] + 2) < 5;
		near += i > 0 && (uint16_t)(id[i] - id[i - 1] + 2) < 5;
	}
	assert_true(near < 3);
}

static void the_next_server_is_asked(void **state)
{
	ip_addr_t second = { 0 }, first = *dns_getserver(0);
	uint8_t reply[200];
	uint16_t port, id;

	(void)state;
	ip_addr_set_ip4_u32_val(second, lwip_htonl(SECOND_IP));
	dns_setserver(1, &second);
	GO(ask("there.example", 1), -1);
	GO(asked.server, SERVER_IP);
	port = asked.port;
	id = get16(asked.data);
	net_run(2000);
	GO(asked.count, 2);
	GO(asked.server, SECOND_IP);
	assert_true(asked.port != port || get16(asked.data) != id);
	/* The one before has had its time. */
	net_udp(SERVER_IP, 53, asked.port, reply, make_answer(reply));
	net_run(1);
	GO(got.count, 0);
	answer(SECOND_IP, 53, asked.port, reply, make_answer(reply));
	GO(got.count, 1);
	/* Who answered is asked first; and servers change. */
	GO(ask("there.example", 1), -1);
	GO(asked.server, SECOND_IP);
	names_linux_down(names);
	dns_setserver(1, NULL);
	GO(ask("there.example", 1), -1);
	GO(asked.server, SERVER_IP);
	answer(SERVER_IP, 53, asked.port, reply, make_answer(reply));
	dns_setserver(0, NULL);
	GO(ask("there.example", 1), 2);
	dns_setserver(0, &first);
}

/* Nobody answers: that is said before Linux's resolver gives up, after 5 s. */
static void silence_ends_in_an_error(void **state)
{
	unsigned before = sockets();

	(void)state;
	GO(ask("silent.example", 1), -1);
	net_run(4000);
	GO(got.count, 0);
	GO(asked.count, 3);
	net_run(999);
	GO(got.count, 1);
	GO(got.data[3] & 15, 2);
	GO(sockets(), before);
	/* And nothing wakes for it any more. */
	net_run(60000);
	GO(asked.count, 3);
	/* Nor does a dead cable hang. */
	net_nic.link = false;
	net_nic.changed(net_nic.arg);
	(void)ask("silent.example", 1);
	net_run(5000);
	GO(got.count, 1);
	GO(got.data[3] & 15, 2);
	net_nic.link = true;
	net_nic.changed(net_nic.arg);
	net_run(60000);
}

/* ---- What Linux may not ---- */

static void malformed_is_said(void **state)
{
	static const struct { size_t len; const char *bytes; } t[] = {
		{ 12, "\0\1\1\0\0\1\0\0\0\0\0" },		/* no name */
		{ 16, "\0\1\1\0\0\1\0\0\0\0\0\0\3abc" },	/* no end */
		{ 13, "\0\1\1\0\0\1\0\0\0\0\0\0" },		/* no type */
		{ 16, "\0\1\1\0\0\1\0\0\0\0\0\0\0\0\1\0" },	/* no class */
		{ 18, "\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1" }, /* itself */
		{ 18, "\0\1\1\0\0\1\0\0\0\0\0\0\x41\0\0\1\0\1" },
		{ 17, "\0\1\1\0\0\2\0\0\0\0\0\0\0\0\1\0\1" },	/* RFC 9619 */
		{ 17, "\0\1\1\0\xff\xff\0\0\0\0\0\0\0\0\1\0\1" },
	};
	uint8_t query[400] = { 0, 1, 1, 0, 0, 1 };

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		got.count = 0;
		say(false, 2, 5000, t[i].bytes, t[i].len);
		GO(got.count, 1);
		GO(got.len, 12);
		GO(got.data[3] & 15, 1);
		GO(get16(got.data), 1);
	}
	/* Labels of 63 bytes: four are too many [RFC 1035 2.3.4]. */
	memset(query + 12, 63, 4 * 64);
	got.count = 0;
	say(false, 2, 5000, query, 12 + 4 * 64 + 5);
	GO(got.data[3] & 15, 1);
	/* And one of 64 is none. */
	memset(query + 12, 1, 80);
	query[12] = 64;
	query[12 + 65] = 0;
	got.count = 0;
	say(false, 2, 5000, query, 12 + 66 + 4);
	GO(got.data[3] & 15, 1);
	GO(got.count, 1);
	GO(asked.count, 0);
	/* No header, or an answer: nothing is said to that. */
	got.count = 0;
	for (size_t len = 0; len < 12; len++) {
		say(false, 2, 5000, query, len);
	}
	query[2] = 0x81;
	say(false, 2, 5000, query, 17);
	/* Too long. */
	query[2] = 1;
	say(false, 2, 5000, asked.data, 4097);
	GO(got.count + asked.count, 0);
}

/* [RFC 5625 6.2] Only the link's other end is served. */
static void others_are_not(void **state)
{
	uint8_t query[100], frame[200] = { 0 };
	size_t len = make(query, 7, "host.isthmus.internal", 1);

	(void)state;
	say(false, 3, 5000, query, len);
	say(true, 3, 5000, query, len);
	/* A neighbour on the wire, that knows the address, and Linux's. */
	put16(frame, 5000);
	put16(frame + 2, 53);
	put16(frame + 4, (uint16_t)(8 + len));
	memcpy(frame + 8, query, len);
	net_ip(17, ROUTER_IP, 0x0a4d0101, frame, 8 + len);
	net_ip(17, 0x0a4d0102, 0x0a4d0101, frame, 8 + len);
	net_ip(17, ROUTER_IP, HOST_IP, frame, 8 + len);
	net_run(10);
	GO(got.count + asked.count, 0);
}

/* Port 53 of the wire's address is nobody's, and may lead to a Linux; what servers
 * are asked from is taken. */
static void the_port_is_the_links_alone(void **state)
{
	(void)state;
	assert_false(stack_ports_used(17, 53));
	GO(ask("there.example", 1), -1);
	assert_true(stack_ports_used(17, asked.port));
	assert_false(stack_ports_used(6, asked.port));
	names_linux_down(names);
	assert_false(stack_ports_used(17, asked.port));
	assert_true(stack_ports_used(17, 68));
}

/* At once 32: the oldest goes. The same again is not asked again. */
static void no_more_than_so_many_are_open(void **state)
{
	unsigned before = sockets();
	uint8_t query[100], first[200];
	uint16_t port;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		len = make(query, (uint16_t)i, "there.example", 1);
		say(false, 2, 5000, query, len);
		say(false, 2, 5000, query, len);
		net_run(1);
		if (i == 0) {
			port = asked.port;
			len = make_answer(first);
		}
	}
	GO(asked.count, 40);
	GO(sockets(), before + 32);
	answer(SERVER_IP, 53, port, first, len);
	GO(got.count, 0);
	len = make_answer(first);
	answer(SERVER_IP, 53, asked.port, first, len);
	GO(got.count, 1);
	GO(get16(got.data), 39);
	names_linux_down(names);
	GO(sockets(), before);
	/* Linux is another one: nothing comes to it. */
	net_run(10000);
	GO(got.count, 1);
}

static void a_second_has_so_many(void **state)
{
	uint8_t query[100];
	size_t len = make(query, 7, "host.isthmus.internal", 1);

	(void)state;
	net_run(1000 - net_ms % 1000);
	for (unsigned i = 0; i < 5000; i++) {
		say(false, 2, 5000, query, len);
	}
	GO(got.count, 1000);
	net_run(1000);
	say(false, 2, 5000, query, len);
	GO(got.count, 1001);
}

#define TEST(f)	cmocka_unit_test_setup(f, names_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_server_the_own_are_known),
		TEST(own_names_have_addresses), TEST(own_addresses_have_names),
		TEST(there_is_no_more_of_it),
		TEST(who_speaks_edns_is_answered_in_it),
		TEST(all_passes_unchanged), TEST(ipv6_is_answered_as_well),
		TEST(answers_must_match),
		TEST(an_error_without_the_question_passes),
		TEST(ports_and_ids_are_by_chance), TEST(the_next_server_is_asked),
		TEST(silence_ends_in_an_error), TEST(malformed_is_said),
		TEST(others_are_not), TEST(the_port_is_the_links_alone),
		TEST(no_more_than_so_many_are_open),
		TEST(a_second_has_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
