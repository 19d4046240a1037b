/* SPDX-License-Identifier: MIT */
/*
 * The network console, from the wire: who knows the password has it, one at a
 * time; all of its lines, and only those; nothing of one peer's to another.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net_fixture.h"
#include "net_peers.h"

#include "host-bridge/net/netconsole.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/hmac.h"

static const struct config_network want = { .gateway = "10.0.2.9" };

static struct peer *first = &peers[0];
static unsigned drained;

void serial_drained(enum serial_line line)
{
	(void)line;
	drained++;
}

static void only_the_password_opens(void **state)
{
	char line[64];

	(void)state;
	net_begin();
	stack_init();
	assert_int_equal(stack_start(&net_nic, &want), 0);
	netconsole_start("0", "long enough", NULL);
	netconsole_start("65536", "long enough", NULL);
	netconsole_start("42x", "long enough", NULL);
	assert_non_null(strstr(net_said, "\"42x\" cannot be had"));
	netconsole_start("4242", "long enough", NULL);
	net_nic.known = net_nic.link = true;
	net_nic.changed(net_nic.arg);
	net_run(100);
	assert_non_null(strstr(net_said, "gateway: it takes an address in the "
			       "manifest too\n"));
	router.packet = peers_take;
	for (unsigned i = 0; i < 4; i++) {
		static const char *const wrong[] = {
			"short\r\n", "long enougH\n", "long enough and more\n",
			"\n" };

		peer_connect(0, 4242);
		assert_string_equal(first->said, "isthmus, password: ");
		peer_say(first, wrong[i]);
		assert_string_equal(first->said, "wrong\r\n");
		assert_true(first->ended);
		assert_false(netconsole_line(line, sizeof(line)));
		peer_segment(first, 0x11, "");
		/* Nobody for a while, whatever he knows. */
		assert_true(peer_connect(1, 4242)->reset);
		net_run(5000);
	}
	peer_connect(0, 4242);
	peer_say(first, "long enough\r\n");
	assert_string_equal(first->said, "isthmus> ");
	assert_false(netconsole_line(line, sizeof(line)));
	assert_null(strstr(net_said, "long enough"));
}

static void lines_are_commands(void **state)
{
	char line[64];

	(void)state;
	peer_say(first, "status\r\nsecond li");
	assert_true(netconsole_line(line, sizeof(line)));
	assert_string_equal(line, "status");
	/* While it is done. */
	assert_false(netconsole_serial.typed(3));
	netconsole_serial.write("output\r\n", 8);
	net_run(300);
	assert_non_null(strstr(first->said, "output\r\n"));
	peer_say(first, "ne\n\xff\xfd\x03" "third\r");
	assert_string_equal(first->said, "");
	netconsole_done();
	net_run(300);
	assert_string_equal(first->said, "isthmus> ");
	assert_true(netconsole_line(line, sizeof(line)));
	assert_string_equal(line, "second line");
	netconsole_done();
	/* Options of telnet's are not typed. */
	assert_true(netconsole_line(line, sizeof(line)));
	assert_string_equal(line, "third");
	peer_say(first, "\n\xff\xf4");
	assert_true(netconsole_serial.typed(3));
	assert_false(netconsole_serial.typed(3));
	assert_int_equal(netconsole_serial.read(), -1);
	peer_say(first, "ab");
	assert_int_equal(netconsole_serial.read(), 'a');
	assert_int_equal(netconsole_serial.read(), 'b');
	netconsole_done();
	assert_non_null(strstr(net_said, "10.0.2.2: second line\n"));
}

static void there_is_one_place(void **state)
{
	char line[64];

	(void)state;
	assert_true(peer_connect(1, 4242)->reset);
	/* One goes while its command is at work: that ends, and nobody sees its
	 * output. */
	peer_say(first, "exec sleep 1000\n");
	assert_true(netconsole_line(line, sizeof(line)));
	drained = 0;
	peer_segment(first, 0x11, "");
	net_run(100);
	assert_int_equal(drained, 1);
	assert_true(netconsole_serial.typed(3));
	assert_int_equal(netconsole_serial.read(), 29);
	assert_true(peer_connect(1, 4242)->reset);
	netconsole_serial.write("secret", 6);
	netconsole_done();
	peer_connect(1, 4242);
	assert_string_equal(peers[1].said, "isthmus, password: ");
	/* Who says nothing goes, and makes room. */
	net_run(31000);
	assert_true(peers[1].ended);
	peer_segment(&peers[1], 0x11, "");
	peer_connect(2, 4242);
	/* More than a line can be. */
	for (unsigned i = 0; i < 3 && !peers[2].ended; i++) {
		char much[501];

		memset(much, 'x', 500);
		much[500] = '\0';
		peer_say(&peers[2], much);
	}
	assert_true(peers[2].ended || peers[2].reset);
	assert_false(netconsole_line(line, sizeof(line)));
}

static void much_output_waits(void **state)
{
	static char much[65536];
	char line[64];

	(void)state;
	peer_connect(3, 4242);
	peer_say(&peers[3], "long enough\n");
	peer_say(&peers[3], "log\n");
	assert_true(netconsole_line(line, sizeof(line)));
	assert_false(netconsole_serial.busy());
	router.deaf = true;
	memset(much, 'y', sizeof(much));
	netconsole_serial.write(much, sizeof(much));
	assert_true(netconsole_serial.busy());
	peer_segment(&peers[3], 4, "");
	/* Broken: nothing waits any more. */
	assert_false(netconsole_serial.busy());
	assert_true(netconsole_serial.typed(3));
	netconsole_done();
	router.deaf = false;
}

#define KEY	"4a65666500000000000000000000000000000000000000000000000000000000"

/* What the peer has been asked. */
static void answer_of(const char *said, char answer[66])
{
	static const uint8_t key[SHA256_SIZE] = "Jefe";
	uint8_t digest[SHA256_SIZE];

	assert_memory_equal(said, "isthmus, challenge ", 19);
	hmac(key, said + 19, 32, digest);
	for (unsigned i = 0; i < SHA256_SIZE; i++) {
		sprintf(answer + 2 * i, "%02x", digest[i]);
	}
	strcpy(answer + 64, "\n");
}

/* [RFC 4231 "Test Case 2"] */
static void an_hmac_is_as_others_have_it(void **state)
{
	static const uint8_t is[] = {
		0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
		0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
		0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
	};
	static const uint8_t key[SHA256_SIZE] = "Jefe";
	uint8_t digest[SHA256_SIZE];

	(void)state;
	hmac(key, "what do ya want for nothing?", 28, digest);
	assert_memory_equal(digest, is, sizeof(is));
}

/* An answer opens once; there is no password. */
static void a_key_opens(void **state)
{
	char answer[66], old[66], line[64];

	(void)state;
	netconsole_start("4243", NULL, KEY);
	peer_connect(1, 4242);
	assert_int_equal(strlen(peers[1].said), 19 + 32 + 2);
	answer_of(peers[1].said, old);
	peer_say(&peers[1], old);
	assert_string_equal(peers[1].said, "isthmus> ");
	peer_segment(&peers[1], 0x11, "");
	net_run(100);
	peer_connect(2, 4242);
	answer_of(peers[2].said, answer);
	assert_string_not_equal(answer, old);
	peer_say(&peers[2], old);
	assert_string_equal(peers[2].said, "wrong\r\n");
	peer_segment(&peers[2], 0x11, "");
	net_run(6000);
	peer_connect(3, 4242);
	peer_say(&peers[3], "long enough\n");
	assert_string_equal(peers[3].said, "wrong\r\n");
	peer_segment(&peers[3], 0x11, "");
	net_run(6000);
	/* Of two each opens. */
	netconsole_start("4244", "long enough", KEY);
	peer_connect(1, 4242);
	assert_string_equal(peers[1].said + 19 + 32, " or password: ");
	answer_of(peers[1].said, answer);
	peer_say(&peers[1], answer);
	assert_string_equal(peers[1].said, "isthmus> ");
	peer_segment(&peers[1], 0x11, "");
	net_run(100);
	peer_connect(2, 4242);
	peer_say(&peers[2], "long enough\n");
	assert_string_equal(peers[2].said, "isthmus> ");
	assert_false(netconsole_line(line, sizeof(line)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_password_opens),
		cmocka_unit_test(lines_are_commands),
		cmocka_unit_test(there_is_one_place),
		cmocka_unit_test(much_output_waits),
		cmocka_unit_test(an_hmac_is_as_others_have_it),
		cmocka_unit_test(a_key_opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
