/* SPDX-License-Identifier: MIT */
/* A machine whose addresses are the manifest's: nobody is asked for them, and they
 * stay when the cable goes. */
#include "net_fixture.h"

#include "host-bridge/net/ping.h"
#include "host-bridge/net/stack.h"

static const struct config_network want = {
	.address = "192.0.2.1/24", .gateway = "192.0.2.254",
	.dns = "192.0.2.3 2001:db8::53 fe80::53", .address6 = "fd00:9::1",
};

static void plug(bool in)
{
	net_nic.known = true;
	net_nic.link = in;
	net_nic.changed(net_nic.arg);
	net_run(10000);
}

static void addresses_are_as_the_manifest_says(void **state)
{
	struct stack_status s;
	uint8_t six[16];

	(void)state;
	net_begin();
	stack_init();
	assert_int_equal(stack_start(&net_nic, &want), 0);
	plug(true);
	stack_get_status(&s);
	assert_string_equal(s.address, "192.0.2.1/24");
	assert_string_equal(s.gateway, "192.0.2.254");
	assert_string_equal(s.how, "the manifest");
	assert_int_equal(s.lease, 0);
	assert_string_equal(s.dns[0], "192.0.2.3");
	assert_string_equal(s.dns[1], "2001:db8::53");
	assert_true(strncmp(s.dns[2], "fe80::53", 8) == 0);
	assert_string_equal(s.address6[1], "fd00:9::1");
	assert_true(stack_address6(six));
	assert_int_equal(six[15], 1);
	assert_string_equal(net_said, "network: 192.0.2.1/24 by the manifest\n");
}

static void they_stay_without_a_link(void **state)
{
	struct stack_status s;

	(void)state;
	plug(false);
	plug(true);
	stack_get_status(&s);
	assert_string_equal(s.address, "192.0.2.1/24");
	assert_string_equal(s.address6[1], "fd00:9::1");
	assert_int_equal(router.discovers + router.requests, 0);
	assert_string_equal(net_said, "network: 192.0.2.1/24 by the manifest\n");
}

static uint8_t asked[16];	/* whose Ethernet address was asked for last */

static void see(const uint8_t *ip, size_t len)
{
	if (ip[0] >> 4 == 6 && len >= 64 && ip[6] == 58 && ip[40] == 135) {
		memcpy(asked, ip + 48, 16);
	}
}

static void ask(const char *who)
{
	ip_addr_t to, of;

	assert_int_equal(ipaddr_aton(who, &of), 1);
	to = of;
	assert_int_equal(ping_open(&to), 0);
	assert_int_equal(ping_send(), 0);
	net_run(10);
	assert_memory_equal(asked, ip_2_ip6(&of)->addr, 16);
	ping_close();
}

/* Of the wire's link, as there is no other that has any; and of its prefix. */
static void neighbours_are_on_the_wire(void **state)
{
	(void)state;
	router.packet = see;
	ask("fe80::7");
	ask("fd00:9::7");
	router.packet = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_as_the_manifest_says),
		cmocka_unit_test(they_stay_without_a_link),
		cmocka_unit_test(neighbours_are_on_the_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
