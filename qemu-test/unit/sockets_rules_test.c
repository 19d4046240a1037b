// SPDX-License-Identifier: MIT
/*
 * Sockets from one Linux to another: what agents may say, what is over with whom, and
 * frames that have no room for all of them at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/sockets_fixture.h"

static void seconds(unsigned n)
{
	for (; n > 0; n--) {
		ticking->deadline = 0;
		ticking->fn(ticking);
	}
}

static void test_agents_words(void **state)
{
	struct sockets_open open = offered(SOCKETS_STREAM, 0);
	struct sockets_node node = { .nodeid = NODE, .type = SOCKETS_STREAM };
	static char name[SOCKETS_NAME_MAX + 1];
	struct fuse_made made = { .nodeid = NODE + 1, .name = name };
	uint8_t watch[sizeof(node) + SOCKETS_NAME_MAX];

	(void)state;
	/* once is enough */
	say(agent[A], SOCKETS_LISTENS, &node, sizeof(node));
	expect_nothing(agent[B]);
	assert_int_equal(fuse->stands_for(NULL, &vs[B], open.node.number),
			 NODE);
	/* a name that fits, and one that does not */
	memset(name, 'n', sizeof(name));
	made.len = SOCKETS_NAME_MAX + 1;
	fuse->made(fuse->arg, &vs[A], &made);
	expect_nothing(agent[A]);
	made.len = SOCKETS_NAME_MAX;
	fuse->made(fuse->arg, &vs[A], &made);
	expect(agent[A], SOCKETS_WATCH, watch, sizeof(watch));
	assert_int_equal(linuxes[A]->names, 2);
	/* nobody connects to a datagram socket */
	node.type = 2;
	assert_false(agent[A]->reset);
	say(agent[A], SOCKETS_LISTENS, &node, sizeof(node));
	assert_true(agent[A]->reset);
}

/* C may do both, but not with itself. */
static void test_not_to_oneself(void **state)
{
	struct sockets_node node = { .nodeid = 5, .type = SOCKETS_STREAM };
	struct sockets_open open = { .node = node };
	struct vsock_conn *c = connect_from(C, 201);

	(void)state;
	make(C, 5, 0);
	agent[C]->len = 0;
	say(agent[C], SOCKETS_LISTENS, &node, sizeof(node));
	say(c, SOCKETS_OPEN, &open, sizeof(open));
	assert_true(c->shut && !c->reset);
	expect_nothing(agent[C]);
	assert_int_equal(linuxes[C]->begun + linuxes[C]->led, 0);
}

/* A few for each life. */
static void test_notices(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3 * SOCKETS_TOLD; i++) {
		struct vsock_conn *c = connect_from(B, 201);

		say(c, SOCKETS_DATA, "x", 1);
		assert_true(c->reset);
		close_conn(c);
	}
	assert_int_equal(notices, SOCKETS_TOLD);
	sockets_down(linuxes[B]);
	say(connect_from(B, 201), SOCKETS_DATA, "x", 1);
	assert_int_equal(notices, SOCKETS_TOLD + 1);
}

/* With the one Linux its connections at the other are over, who began or not. */
static void test_a_linux_ends(void **state)
{
	struct sockets_open open = offered(SOCKETS_STREAM, 0);
	struct vsock_conn *end[2];

	(void)state;
	connected(open, end);
	sockets_down(linuxes[B]);
	assert_true(end[1]->shut);
	assert_int_equal(linuxes[A]->led + linuxes[B]->begun, 0);
	connected(open, end);
	sockets_down(linuxes[A]);
	assert_true(end[0]->shut);
	assert_int_equal(linuxes[A]->led + linuxes[B]->begun, 0);
}

/* A connection from B, and one that B passes over it; its token. */
static uint64_t pass(struct vsock_conn *end[2], struct vsock_conn **given,
		     uint32_t flags)
{
	struct sockets_fd fd = { .kind = SOCKETS_FD_SOCKET, .flags = flags };
	struct sockets_token token;

	*given = connect_from(B, 203);
	say(*given, SOCKETS_PASS, NULL, 0);
	expect(*given, SOCKETS_TOKEN, &token, sizeof(token));
	fd.id = token.token;
	say(end[0], SOCKETS_FDS, &fd, sizeof(fd));
	return token.token;
}

static void test_what_is_passed(void **state)
{
	struct sockets_open open = offered(SOCKETS_STREAM, 0);
	struct vsock_conn *end[2], *given;

	(void)state;
	/* of what type it is */
	connected(open, end);
	(void)pass(end, &given, 77);
	assert_true(end[0]->reset && end[1]->shut);
	assert_false(given->reset || given->shut);
	close_conn(given);
	/* it waits as long as it is on its way, and not for ever after that */
	connected(open, end);
	(void)pass(end, &given, SOCKETS_STREAM);
	seconds(30);
	assert_false(given->shut);
	close_conn(end[0]);
	seconds(9);
	assert_false(given->shut);
	seconds(1);
	assert_true(given->shut);
}

/* A frame of which the other end takes a byte at a time. */
static void test_little_room(void **state)
{
	struct sockets_fd fd = { .id = 99, .kind = SOCKETS_FD_FILE,
				 .offset = 5 }, got;
	const size_t all = sizeof(struct sockets_head) + sizeof(fd);
	struct vsock_conn *end[2];

	(void)state;
	knows = true;
	connected(offered(SOCKETS_STREAM, 0), end);
	end[1]->room = 0;
	say(end[0], SOCKETS_FDS, &fd, sizeof(fd));
	say(end[0], SOCKETS_DATA, "x", 1);
	for (size_t n = 0; n < all; n++) {
		assert_int_equal(end[1]->len, n);
		end[1]->room = 1;
		ops->on_writable(end[1]);
	}
	end[1]->room = all;
	ops->on_writable(end[1]);
	expect(end[1], SOCKETS_FDS, &got, sizeof(got));
	assert_memory_equal(&got, &fd, sizeof(fd));
	expect(end[1], SOCKETS_DATA, &got, 1);
}

/* Both have said END; the one does not know it yet of the other. */
static void test_last_words(void **state)
{
	struct vsock_conn *end[2];

	(void)state;
	connected(offered(SOCKETS_STREAM, 0), end);
	end[1]->room = 0;
	say(end[0], SOCKETS_END, NULL, 0);
	say(end[1], SOCKETS_END, NULL, 0);
	expect(end[0], SOCKETS_END, NULL, 0);
	assert_false(end[0]->shut || end[1]->shut);
	end[1]->room = 100;
	ops->on_writable(end[1]);
	expect(end[1], SOCKETS_END, NULL, 0);
	assert_true(end[0]->shut && end[1]->shut);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_agents_words), TEST(test_not_to_oneself),
		TEST(test_notices), TEST(test_a_linux_ends),
		TEST(test_what_is_passed), TEST(test_little_room),
		TEST(test_last_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
