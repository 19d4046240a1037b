/* SPDX-License-Identifier: MIT */
/* What the manifest says of the network, and cannot be: each is said, and is as if it
 * were not there, so the machine has an address all the same. */
#include <stdio.h>

#include "net_fixture.h"

#include "host-bridge/net/netconsole.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/net/syslog.h"

static const struct config_network want = {
	.hostname = "my box", .address = "192.0.2.1", .gateway = "1.2.3.4.5",
	.dns = "192.0.2.3 192.0.2.300", .address6 = "2001:db8::g",
};

void serial_drained(enum serial_line line)
{
	(void)line;
}

/* All that was said since the last time. */
static void is_said(const char *text)
{
	assert_string_equal(net_said, text);
	net_said[0] = '\0';
}

static void all_of_it_is_said(void **state)
{
	struct stack_status s;

	(void)state;
	net_begin();
	stack_init();
	assert_int_equal(stack_start(&net_nic, &want), 0);
	is_said("network: hostname: \"my box\" is not of letters, digits and "
		"hyphens\n");
	assert_string_equal(stack_hostname(), "isthmus");
	net_plug();
	net_run(5000);
	is_said("network: dns: \"192.0.2.300\" is no address, or one too many\n"
		"network: address6: \"2001:db8::g\" is no address, or it cannot "
		"be had\n"
		"network: gateway: \"1.2.3.4.5\" is no IPv4 address\n"
		"network: address: \"192.0.2.1\" is not as \"192.0.2.1/24\"; "
		"DHCP is asked\n"
		"network: 10.0.2.15/24 by DHCP\n");
	stack_get_status(&s);
	assert_string_equal(s.gateway, "10.0.2.2");
}

static void a_log_has_an_ipv4_address(void **state)
{
	static const char *const wrong[] = {
		"", "here", "192.0.2.9 0", "192.0.2.9 65536", "192.0.2.9:514",
		"192.0.2.9 514 too", "2001:db8::9",
	};
	char text[128];

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		syslog_start(wrong[i], NULL);
		snprintf(text, sizeof(text), "network: syslog: \"%s\" is not as "
			 "\"192.0.2.9 514\"\n", wrong[i]);
		is_said(text);
		assert_null(net_listener);
	}
}

static void a_console_has_a_port(void **state)
{
	static const char *const wrong[] = {
		"", "0", "65536", "99999", "-1", "x", "80x",
	};
	char text[128];

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		netconsole_start(wrong[i], "long enough", NULL);
		snprintf(text, sizeof(text), "network console: port \"%s\" "
			 "cannot be had\n", wrong[i]);
		is_said(text);
	}
	netconsole_start("4242", NULL, NULL);
	is_said("network console: it takes a password or a key in the "
		"manifest too\n");
	netconsole_start(NULL, "long enough", NULL);
	is_said("network console: it takes a port in the manifest too\n");
	netconsole_start("4242", "long enough",
			 "0123456789abcdef0123456789abcdef0123456789abcdef"
			 "0123456789abcde-");
	is_said("network console: key: it is not 64 hexadecimal digits\n");
	netconsole_start("4242", "long enough", NULL);
	is_said("network console: on TCP port 4242, not encrypted\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_is_said),
		cmocka_unit_test(a_log_has_an_ipv4_address),
		cmocka_unit_test(a_console_has_a_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
