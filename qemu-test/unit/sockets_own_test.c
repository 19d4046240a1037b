// SPDX-License-Identifier: MIT
/*
 * The host as a client of a Linux's socket, and with one of its own: what it says, what
 * it reads, how both ends end, what a Linux must not send it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/sockets_fixture.h"

/* A connection to a socket of A's, and A's end of it. */
static struct sockets_own *opened(uint32_t type, struct vsock_conn **end)
{
	struct sockets_accept accept = { .error = 0 };
	struct sockets_open ask;
	struct sockets_own *own;

	offered(type, 5);
	assert_int_equal(sockets_own_connect(NODE, &own), 0);
	assert_int_equal(sockets_own_is(own), SOCKETS_OWN_WAITS);
	expect(agent[A], SOCKETS_CONNECT, &ask, sizeof(ask));
	assert_int_equal(ask.node.nodeid, NODE);
	assert_int_equal(ask.node.type, type);
	assert_int_equal(ask.uid | ask.gid, 0);		/* the host is root */
	accept.token = ask.token;
	*end = connect_from(A, 202);
	say(*end, SOCKETS_ACCEPT, &accept, sizeof(accept));
	assert_int_equal(sockets_own_is(own), SOCKETS_OWN_OPEN);
	return own;
}

static void test_own_talks(void **state)
{
	struct vsock_conn *end;
	struct sockets_own *own = opened(SOCKETS_STREAM, &end);
	char got[100] = "";

	(void)state;
	assert_false(sockets_own_packets(own));
	assert_int_equal(sockets_own_write(own, "hello", 5), 5);
	expect(end, SOCKETS_DATA, got, 5);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(sockets_own_read(own, got, sizeof(got)), 0);
	say(end, SOCKETS_DATA, "and you", 7);
	say(end, SOCKETS_DATA, "", 0);
	say(end, SOCKETS_DATA, "!", 1);
	assert_true(end->held > 0);
	assert_int_equal(sockets_own_read(own, got, 4), 4);
	assert_int_equal(sockets_own_read(own, got + 4, 96), 3);
	assert_memory_equal(got, "and you", 7);
	assert_int_equal(sockets_own_read(own, got, sizeof(got)), 1);
	assert_int_equal(end->held, 0);
	/* It sends no more, and reads on; when both have ended it is over. */
	sockets_own_end(own);
	sockets_own_end(own);
	expect(end, SOCKETS_END, NULL, 0);
	expect_nothing(end);
	assert_int_equal(sockets_own_write(own, "x", 1), 0);
	say(end, SOCKETS_DATA, "bye", 3);
	say(end, SOCKETS_END, NULL, 0);
	assert_int_equal(sockets_own_is(own), SOCKETS_OWN_OPEN);
	assert_int_equal(sockets_own_read(own, got, sizeof(got)), 3);
	assert_int_equal(sockets_own_read(own, got, sizeof(got)), 0);
	assert_int_equal(sockets_own_is(own), SOCKETS_OWN_ENDED);
	assert_true(end->shut && !end->reset);
	sockets_own_close(own);
	assert_int_equal(notices, 0);
}

/* What there is no room for waits; a packet is whole. */
static void test_own_waits(void **state)
{
	struct vsock_conn *end;
	struct sockets_own *own = opened(SOCKETS_SEQPACKET, &end);
	static uint8_t data[3 * SOCKETS_OWN_MAX], got[sizeof(data)];

	(void)state;
	assert_true(sockets_own_packets(own));
	memset(data, 'x', sizeof(data));
	end->room = 10;
	assert_int_equal(sockets_own_write(own, data, sizeof(data)),
			 SOCKETS_OWN_MAX);
	assert_int_equal(sockets_own_write(own, data, 1), 0);
	sockets_own_end(own);
	assert_int_equal(end->len, 10);
	end->room = OUT;
	ops->on_writable(end);
	expect(end, SOCKETS_DATA, got, SOCKETS_OWN_MAX);
	assert_memory_equal(got, data, SOCKETS_OWN_MAX);
	expect(end, SOCKETS_END, NULL, 0);
	/* Two packets are not read as one, nor is half a frame. */
	raw(end, (const uint8_t[]){ SOCKETS_DATA, 0, 0, 0, 2, 0, 0, 0, 'a' }, 9);
	assert_int_equal(sockets_own_read(own, got, sizeof(got)), 1);
	raw(end, "b", 1);
	say(end, SOCKETS_DATA, "cd", 2);
	assert_int_equal(sockets_own_read(own, got, sizeof(got)), 1);
	assert_int_equal(sockets_own_read(own, got, sizeof(got)), 2);
	assert_memory_equal(got, "cd", 2);
	/* Who takes no more is sent no more. */
	say(end, SOCKETS_NOREAD, NULL, 0);
	assert_int_equal(sockets_own_read(own, got, sizeof(got)), 0);
	assert_int_equal(sockets_own_write(own, data, 7), 7);
	expect_nothing(end);
	sockets_own_close(own);
	assert_true(end->shut);
}

/* What a Linux must not send to the host ends the connection, and is a notice. */
static void test_own_refuses(void **state)
{
	static const struct sockets_fd fd = { .kind = SOCKETS_FD_FILE };
	static const struct sockets_head bad[] = {
		{ SOCKETS_DATA, SOCKETS_DATA_MAX + 1 }, { SOCKETS_OPEN, 40 },
		{ SOCKETS_END, 1 }, { 0, 0 },
	};
	struct vsock_conn *end;
	struct sockets_own *own;
	char got[10];

	(void)state;
	knows = true;
	for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
		own = opened(SOCKETS_STREAM, &end);
		if (i == 0) {
			say(end, SOCKETS_FDS, &fd, sizeof(fd));
		} else {
			raw(end, &bad[i - 1], sizeof(bad[0]));
		}
		assert_int_equal(sockets_own_read(own, got, sizeof(got)), 0);
		assert_true(end->reset);
		assert_int_equal(notices, i + 1);
		assert_int_equal(sockets_own_is(own), SOCKETS_OWN_OVER);
		sockets_own_close(own);
		sockets_down(linuxes[A]);
		agent[B]->len = agent[C]->len = 0;
		notices = (unsigned)i + 1;
	}
}

/* Nobody is there, or does not come, or goes. */
static void test_own_nobody(void **state)
{
	struct sockets_accept accept = { .error = ECONNREFUSED };
	struct sockets_own *own, *many[SOCKETS_BEGUN];
	struct sockets_open ask;
	struct vsock_conn *end;

	(void)state;
	assert_int_equal(sockets_own_connect(NODE, &own), ECONNREFUSED);
	make(A, NODE, 0);
	assert_int_equal(sockets_own_connect(NODE, &own), ECONNREFUSED);
	agent[A]->len = 0;
	sockets_down(linuxes[A]);
	own = opened(SOCKETS_STREAM, &end);
	close_conn(end);
	assert_int_equal(sockets_own_is(own), SOCKETS_OWN_OVER);
	assert_int_equal(sockets_own_write(own, "x", 1), 0);
	sockets_own_close(own);
	for (unsigned i = 0; i < SOCKETS_BEGUN; i++) {
		assert_int_equal(sockets_own_connect(NODE, &many[i]), 0);
		expect(agent[A], SOCKETS_CONNECT, &ask, sizeof(ask));
	}
	assert_int_equal(sockets_own_connect(NODE, &own), EAGAIN);
	accept.token = ask.token;
	end = connect_from(A, 203);
	say(end, SOCKETS_ACCEPT, &accept, sizeof(accept));
	assert_true(end->shut && !end->reset);
	assert_int_equal(sockets_own_is(many[SOCKETS_BEGUN - 1]),
			 SOCKETS_OWN_OVER);
	for (unsigned i = 0; i < 10; i++) {
		ticking->deadline = 0;
		ticking->fn(ticking);
	}
	for (unsigned i = 0; i < SOCKETS_BEGUN; i++) {
		assert_int_equal(sockets_own_is(many[i]), SOCKETS_OWN_OVER);
		sockets_own_close(many[i]);
	}
}

/* So many lead to one, of all together. */
static void test_own_too_many(void **state)
{
	struct sockets_open open = offered(SOCKETS_STREAM, 5);
	struct sockets_own *many[SOCKETS_LED], *own;

	(void)state;
	agent[A]->room = SIZE_MAX / 2;
	for (unsigned i = 0; i < 2 * SOCKETS_BEGUN; i++) {
		struct vsock_conn *c = connect_from(B + i % 2, 201);

		say(c, SOCKETS_OPEN, &open, sizeof(open));
		assert_false(c->reset || c->shut);
	}
	for (unsigned i = 2 * SOCKETS_BEGUN; i < SOCKETS_LED; i++) {
		assert_int_equal(sockets_own_connect(NODE, &many[i]), 0);
	}
	assert_int_equal(sockets_own_connect(NODE, &own), EAGAIN);
	assert_int_equal(linuxes[A]->led, SOCKETS_LED);
	for (unsigned i = 2 * SOCKETS_BEGUN; i < SOCKETS_LED; i++) {
		sockets_own_close(many[i]);
	}
}

/* ---- The host's own socket ---- */

#define HOST_NODE	0x100000009ull

static const struct vsock *whose;
static unsigned served;
static bool refuses;

static bool came(struct sockets_own *own, const struct vsock *of)
{
	whose = of;
	sockets_own_set_arg(own, &served);
	served += !refuses;
	return !refuses;
}

/* Says what it hears, until the client has ended. */
static bool event(struct sockets_own *own)
{
	char text[100];
	size_t n;

	assert_ptr_equal(sockets_own_arg(own), &served);
	while ((n = sockets_own_read(own, text, sizeof(text))) > 0) {
		assert_int_equal(sockets_own_write(own, text, n), n);
	}
	if (sockets_own_is(own) == SOCKETS_OWN_ENDED) {
		sockets_own_end(own);
	}
	served -= sockets_own_gone(own);
	return !sockets_own_gone(own);
}

static struct vsock_conn *client(void)
{
	struct sockets_open open = {
		.node = { .nodeid = HOST_NODE, .type = SOCKETS_STREAM },
	};
	struct vsock_conn *c = connect_from(B, 201);

	say(c, SOCKETS_OPEN, &open, sizeof(open));
	return c;
}

/* Last, for it is there for ever. */
static void test_own_serves(void **state)
{
	static const struct sockets_server server = { came, event };
	struct sockets_fd fd = { .kind = SOCKETS_FD_SOCKET,
				 .flags = SOCKETS_STREAM };
	struct vsock_conn *c, *end[2];
	struct sockets_own *own;
	struct sockets_open open;
	struct sockets_token token;
	char got[10];

	(void)state;
	assert_int_equal(sockets_own_listen(HOST_NODE, &server), 0);
	expect_nothing(agent[A]);
	expect(agent[B], SOCKETS_OFFER, &open, sizeof(open));
	expect(agent[C], SOCKETS_OFFER, &open, sizeof(open));
	assert_int_equal(open.node.nodeid, HOST_NODE);
	assert_int_equal(open.uid | open.gid, 0);
	assert_int_equal(fuse->stands_for(NULL, &vs[B], open.node.number),
			 HOST_NODE);
	assert_int_equal(sockets_own_connect(HOST_NODE, &own), ECONNREFUSED);
	c = client();
	assert_ptr_equal(whose, &vs[B]);
	say(c, SOCKETS_DATA, "hi", 2);
	expect(c, SOCKETS_DATA, got, 2);
	assert_memory_equal(got, "hi", 2);
	say(c, SOCKETS_END, NULL, 0);
	expect(c, SOCKETS_END, NULL, 0);
	assert_true(c->shut && !c->reset);
	assert_int_equal(served, 0);
	/* It is broken off, or is not taken, or breaks the rules. */
	c = client();
	assert_int_equal(served, 1);
	close_conn(c);
	assert_int_equal(served, 0);
	refuses = true;
	c = client();
	assert_true(c->shut);
	refuses = false;
	c = client();
	say(c, SOCKETS_FDS, &fd, sizeof(fd));
	assert_true(c->reset);
	assert_int_equal(served, 0);
	/* Nobody passes it on: its number can be guessed. */
	c = connect_from(B, 203);
	say(c, SOCKETS_PASS, NULL, 0);
	expect(c, SOCKETS_TOKEN, &token, sizeof(token));
	(void)client();
	connected(offered(SOCKETS_STREAM, 5), end);
	fd.id = token.token + 1;
	say(end[0], SOCKETS_FDS, &fd, sizeof(fd));
	assert_true(end[0]->reset && end[1]->shut);
	sockets_down(linuxes[B]);
	assert_int_equal(served, 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_own_talks), TEST(test_own_waits),
		TEST(test_own_refuses), TEST(test_own_nobody),
		TEST(test_own_too_many), TEST(test_own_serves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
