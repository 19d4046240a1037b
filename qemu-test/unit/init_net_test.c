/* SPDX-License-Identifier: MIT */
/*
 * The network as the command line says it: what can be, and what cannot.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* With their state. */
#include "guest/init/net.c"
#include "guest/init/net_names.c"

void init_log(const char *format, ...)
{
	(void)format;
}

void net_reset(struct net_side old[2])
{
	(void)old;
}

int own_file(const char *path, const char *text)
{
	(void)path;
	(void)text;
	return 0;
}

static bool parse(const char *words)
{
	char copy[200];

	snprintf(copy, sizeof(copy), "%s", words);
	return net_parse(copy);
}

static void both_kinds(void **state)
{
	(void)state;
	assert_true(parse("10.77.1.2/24,10.77.1.1,"
			  "fd69:7374:686d:1::2/64,fd69:7374:686d:1::1"));
	assert_true(sides[0].there && sides[1].there);
	assert_int_equal(sides[0].bits, 24);
	assert_int_equal(sides[1].bits, 64);
	assert_memory_equal(sides[0].address, "\x0a\x4d\1\2", 4);
	assert_memory_equal(sides[0].gateway, "\x0a\x4d\1\1", 4);
	assert_int_equal(sides[1].address[15], 2);
	assert_int_equal(sides[1].gateway[15], 1);
	assert_string_equal(sides[0].gateway_text, "10.77.1.1");
	assert_string_equal(sides[1].address_text, "fd69:7374:686d:1::2");
	/* One alone, and with what is no IPv6. */
	assert_true(parse("10.77.1.2/0,10.77.1.1"));
	assert_false(sides[1].there);
	assert_true(parse("10.77.1.2/32,10.77.1.1,::/129,::1"));
	assert_false(sides[1].there);
}

static void what_cannot_be(void **state)
{
	static const char *const wrong[] = {
		"", "off", ",", "10.77.1.2,10.77.1.1", "10.77.1.2/24",
		"10.77.1.2/,10.77.1.1", "10.77.1.2/33,10.77.1.1",
		"10.77.1.2/24x,10.77.1.1", "10.77.1/24,10.77.1.1",
		"10.77.1.2/24,host", "fd00::2/64,fd00::1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_false(parse(wrong[i]));
		assert_false(sides[0].there);
	}
}

static void messages_are_whole(void **state)
{
	struct message m = make(RTM_NEWROUTE, sizeof(m.route));
	unsigned index = 7;
	const struct rtattr *a;

	(void)state;
	/* Linux refuses a change of an interface that is to replace it. */
	assert_int_equal(make(RTM_NEWLINK, 16).head.nlmsg_flags &
			 (NLM_F_REPLACE | NLM_F_CREATE), 0);
	assert_int_equal(m.head.nlmsg_flags & NLM_F_REPLACE, NLM_F_REPLACE);
	add(&m, RTA_OIF, &index, sizeof(index));
	add(&m, RTA_DST, "\1\2\3", 3);
	add(&m, RTA_GATEWAY, "\4\5\6\7", 4);
	a = RTM_RTA(&m.route);
	assert_int_equal(m.head.nlmsg_len, NLMSG_LENGTH(sizeof(m.route)) +
			 3 * RTA_SPACE(4));
	assert_int_equal(*(const unsigned *)RTA_DATA(a), 7);
	assert_int_equal(a->rta_type, RTA_OIF);
	a = (const void *)((const char *)a + RTA_ALIGN(a->rta_len));
	assert_int_equal(RTA_PAYLOAD(a), 3);
	a = (const void *)((const char *)a + RTA_ALIGN(a->rta_len));
	assert_memory_equal(RTA_DATA(a), "\4\5\6\7", 4);
	/* and what is to go is not made for it */
	assert_int_equal(make(RTM_DELADDR, 8).head.nlmsg_flags,
			 NLM_F_REQUEST | NLM_F_ACK);
	assert_int_equal(make(RTM_DELROUTE, 8).head.nlmsg_flags,
			 NLM_F_REQUEST | NLM_F_ACK);
}

static void files_have_both_addresses(void **state)
{
	char text[SIZE];

	(void)state;
	assert_true(parse("10.77.3.2/24,10.77.3.1,fd69::3:2/64,fd69::3:1"));
	resolv_conf(text, sides);
	assert_string_equal(text, "nameserver 10.77.3.1\n");
	hosts(text, sides);
	assert_string_equal(text, "127.0.0.1 localhost\n::1 localhost\n"
			    "10.77.3.1 host.isthmus.internal\n"
			    "10.77.3.2 linux.isthmus.internal linux\n"
			    "fd69::3:1 host.isthmus.internal\n"
			    "fd69::3:2 linux.isthmus.internal linux\n");
	assert_true(parse("10.77.3.2/24,10.77.3.1"));
	hosts(text, sides);
	assert_null(strstr(text, "fd69"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_kinds),
		cmocka_unit_test(what_cannot_be),
		cmocka_unit_test(messages_are_whole),
		cmocka_unit_test(files_have_both_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
