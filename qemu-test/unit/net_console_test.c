/* SPDX-License-Identifier: MIT */
/*
 * The network console, from the wire: who knows the password has it, one at a
 * time; all of its lines, and only those; nothing of one peer's to another.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net_fixture.h"

#include "host-bridge/net/netconsole.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/hmac.h"

static const struct config_network want = { .gateway = "10.0.2.9" };

/* A peer on TCP. */
struct peer {
	uint16_t port;
	uint32_t next, got;
	bool open, reset, ended;
	char said[4096];
};

static struct peer peers[4], *first = &peers[0];
static unsigned drained;

void serial_drained(enum serial_line line)
{
	(void)line;
	drained++;
}

static void segment(struct peer *p, uint8_t flags, const char *data)
{
	uint8_t s[1500] = { 0 }, pseudo[12] = { 0 };
	size_t len = strlen(data);

	put16(s, p->port);
	put16(s + 2, 4242);
	put32(s + 4, p->next);
	put32(s + 8, p->got);
	s[12] = 5 << 4;
	s[13] = flags;
	put16(s + 14, 65535);
	memcpy(s + 20, data, len);
	put32(pseudo, ROUTER_IP);
	put32(pseudo + 4, HOST_IP);
	pseudo[9] = 6;
	put16(pseudo + 10, (uint16_t)(20 + len));
	put16(s + 16, test_sum(s, 20 + len,
			       (uint16_t)~test_sum(pseudo, 12, 0)));
	p->next += (uint32_t)len + ((flags & 3) != 0);
	net_ip(6, ROUTER_IP, HOST_IP, s, 20 + len);
}

static void take(const uint8_t *ip, size_t len)
{
	const uint8_t *s = ip + 20;
	size_t header = (size_t)(s[12] >> 4) * 4, data = len - 20 - header;
	struct peer *p = peers;

	if (ip[0] >> 4 != 4 || ip[9] != 6) {
		return;
	}
	while (p < peers + 4 && p->port != get16(s + 2)) {
		p++;
	}
	assert_true(p < peers + 4);
	if (s[13] & 4) {
		p->reset = true;
		return;
	}
	if ((s[13] & 0x12) == 0x12) {
		p->open = true;
		p->got = get32(s + 4) + 1;
		segment(p, 0x10, "");
		return;
	}
	if (get32(s + 4) != p->got) {
		return;
	}
	strncat(p->said, (const char *)s + header, data);
	p->got += (uint32_t)data + (s[13] & 1);
	p->ended |= s[13] & 1;
	if (data > 0 || (s[13] & 1)) {
		segment(p, 0x10, "");
	}
}

static struct peer *connect_peer(unsigned i)
{
	static uint16_t port = 40000;
	struct peer *p = &peers[i];

	*p = (struct peer){ .port = ++port, .next = 1000 };
	segment(p, 2, "");
	net_run(50);
	return p;
}

static void say(struct peer *p, const char *text)
{
	p->said[0] = '\0';
	segment(p, 0x18, text);
	net_run(300);
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
	router.packet = take;
	for (unsigned i = 0; i < 4; i++) {
		static const char *const wrong[] = {
			"short\r\n", "long enougH\n", "long enough and more\n",
			"\n" };

		connect_peer(0);
		assert_string_equal(first->said, "isthmus, password: ");
		say(first, wrong[i]);
		assert_string_equal(first->said, "wrong\r\n");
		assert_true(first->ended);
		assert_false(netconsole_line(line, sizeof(line)));
		segment(first, 0x11, "");
		/* Nobody for a while, whatever he knows. */
		assert_true(connect_peer(1)->reset);
		net_run(5000);
	}
	connect_peer(0);
	say(first, "long enough\r\n");
	assert_string_equal(first->said, "isthmus> ");
	assert_false(netconsole_line(line, sizeof(line)));
	assert_null(strstr(net_said, "long enough"));
}

static void lines_are_commands(void **state)
{
	char line[64];

	(void)state;
	say(first, "status\r\nsecond li");
	assert_true(netconsole_line(line, sizeof(line)));
	assert_string_equal(line, "status");
	/* While it is done. */
	assert_false(netconsole_serial.typed(3));
	netconsole_serial.write("output\r\n", 8);
	net_run(300);
	assert_non_null(strstr(first->said, "output\r\n"));
	say(first, "ne\n\xff\xfd\x03" "third\r");
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
	say(first, "\n\xff\xf4");
	assert_true(netconsole_serial.typed(3));
	assert_false(netconsole_serial.typed(3));
	assert_int_equal(netconsole_serial.read(), -1);
	say(first, "ab");
	assert_int_equal(netconsole_serial.read(), 'a');
	assert_int_equal(netconsole_serial.read(), 'b');
	netconsole_done();
	assert_non_null(strstr(net_said, "10.0.2.2: second line\n"));
}

static void there_is_one_place(void **state)
{
	char line[64];

	(void)state;
	assert_true(connect_peer(1)->reset);
	/* One goes while its command is at work: that ends, and nobody sees its
	 * output. */
	say(first, "exec sleep 1000\n");
	assert_true(netconsole_line(line, sizeof(line)));
	drained = 0;
	segment(first, 0x11, "");
	net_run(100);
	assert_int_equal(drained, 1);
	assert_true(netconsole_serial.typed(3));
	assert_int_equal(netconsole_serial.read(), 29);
	assert_true(connect_peer(1)->reset);
	netconsole_serial.write("secret", 6);
	netconsole_done();
	connect_peer(1);
	assert_string_equal(peers[1].said, "isthmus, password: ");
	/* Who says nothing goes, and makes room. */
	net_run(31000);
	assert_true(peers[1].ended);
	segment(&peers[1], 0x11, "");
	connect_peer(2);
	/* More than a line can be. */
	for (unsigned i = 0; i < 3 && !peers[2].ended; i++) {
		char much[501];

		memset(much, 'x', 500);
		much[500] = '\0';
		say(&peers[2], much);
	}
	assert_true(peers[2].ended || peers[2].reset);
	assert_false(netconsole_line(line, sizeof(line)));
}

static void much_output_waits(void **state)
{
	static char much[65536];
	char line[64];

	(void)state;
	connect_peer(3);
	say(&peers[3], "long enough\n");
	say(&peers[3], "log\n");
	assert_true(netconsole_line(line, sizeof(line)));
	assert_false(netconsole_serial.busy());
	router.deaf = true;
	memset(much, 'y', sizeof(much));
	netconsole_serial.write(much, sizeof(much));
	assert_true(netconsole_serial.busy());
	segment(&peers[3], 4, "");
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
	connect_peer(1);
	assert_int_equal(strlen(peers[1].said), 19 + 32 + 2);
	answer_of(peers[1].said, old);
	say(&peers[1], old);
	assert_string_equal(peers[1].said, "isthmus> ");
	segment(&peers[1], 0x11, "");
	net_run(100);
	connect_peer(2);
	answer_of(peers[2].said, answer);
	assert_string_not_equal(answer, old);
	say(&peers[2], old);
	assert_string_equal(peers[2].said, "wrong\r\n");
	segment(&peers[2], 0x11, "");
	net_run(6000);
	connect_peer(3);
	say(&peers[3], "long enough\n");
	assert_string_equal(peers[3].said, "wrong\r\n");
	segment(&peers[3], 0x11, "");
	net_run(6000);
	/* Of two each opens. */
	netconsole_start("4244", "long enough", KEY);
	connect_peer(1);
	assert_string_equal(peers[1].said + 19 + 32, " or password: ");
	answer_of(peers[1].said, answer);
	say(&peers[1], answer);
	assert_string_equal(peers[1].said, "isthmus> ");
	segment(&peers[1], 0x11, "");
	net_run(100);
	connect_peer(2);
	say(&peers[2], "long enough\n");
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
