// SPDX-License-Identifier: MIT
/*
 * Sockets from one Linux to another: who may have which, what passes, how much waits,
 * what becomes of who breaks the rules; and Linuxes that send anything at all.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/sockets_fixture.h"

#define RANDOM_STEPS	200000u

static void test_names(void **state)
{
	struct sockets_open open = offered(SOCKETS_STREAM, 0);
	struct sockets_node node;

	(void)state;
	assert_int_equal(open.node.nodeid, NODE);
	assert_int_equal(open.node.type, SOCKETS_STREAM);
	assert_int_equal(open.uid, 65534);	/* A's root is nobody */
	assert_int_equal(open.gid, 7);
	assert_int_equal(fuse->stands_for(NULL, &vs[B], open.node.number),
			 NODE);
	assert_int_equal(fuse->stands_for(NULL, &vs[A], open.node.number), 0);
	assert_int_equal(fuse->stands_for(NULL, &vs[B],
					  open.node.number + 1), 0);
	make(B, NODE + 1, 0);			/* B has not the right */
	expect_nothing(agent[B]);
	/* Not C's to say. */
	node = (struct sockets_node){ .nodeid = NODE };
	say(agent[C], SOCKETS_GONE, &node, sizeof(node));
	expect_nothing(agent[B]);
	say(agent[A], SOCKETS_GONE, &node, sizeof(node));
	expect(agent[B], SOCKETS_WITHDRAW, &node, sizeof(node));
	assert_int_equal(node.nodeid, NODE);
	assert_int_equal(fuse->stands_for(NULL, &vs[B], open.node.number), 0);
	/* Nobody's own is offered to him. */
	make(C, 99, 1);
	node = (struct sockets_node){ .nodeid = 99, .type = SOCKETS_STREAM };
	agent[C]->len = 0;
	say(agent[C], SOCKETS_LISTENS, &node, sizeof(node));
	expect_nothing(agent[C]);
	expect(agent[B], SOCKETS_OFFER, &open, sizeof(open));
	assert_int_equal(fuse->stands_for(NULL, &vs[C], open.node.number), 0);
	/* One more than may be is no socket of ours. */
	for (unsigned i = 0; i < SOCKETS_NAMES + 5; i++) {
		make(C, 100 + i, 1);
	}
	assert_int_equal(linuxes[C]->names, SOCKETS_NAMES);
}

static void test_agent_again(void **state)
{
	struct sockets_open open = offered(SOCKETS_SEQPACKET, 5);
	struct sockets_node node;
	uint8_t watch[sizeof(node) + 1];

	(void)state;
	assert_int_equal(open.uid, 5);
	close_conn(agent[B]);
	agent[B] = connect_from(B, 203);
	say(agent[B], SOCKETS_CONTROL, NULL, 0);
	expect(agent[B], SOCKETS_OFFER, &open, sizeof(open));
	/* A's agent ends: nobody can connect until it says so again. */
	close_conn(agent[A]);
	expect(agent[B], SOCKETS_WITHDRAW, &node, sizeof(node));
	agent[A] = connect_from(A, 204);
	say(agent[A], SOCKETS_CONTROL, NULL, 0);
	expect(agent[A], SOCKETS_WATCH, watch, sizeof(watch));
	/* A Linux that is gone takes its sockets with it. */
	node = (struct sockets_node){ .nodeid = NODE,
				      .type = SOCKETS_STREAM };
	say(agent[A], SOCKETS_LISTENS, &node, sizeof(node));
	expect(agent[B], SOCKETS_OFFER, &open, sizeof(open));
	sockets_down(linuxes[A]);
	expect(agent[B], SOCKETS_WITHDRAW, &node, sizeof(node));
}

static void test_users(void **state)
{
	static const uint32_t is[][2] = {
		{ 0, 0 }, { 1000, 1000 }, { UINT32_MAX, 65534 },
	};
	struct sockets_open open = offered(SOCKETS_STREAM, 0), ask;
	struct vsock_conn *c;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		open.uid = open.gid = is[i][0];
		c = connect_from(B, 205);
		say(c, SOCKETS_OPEN, &open, sizeof(open));
		expect(agent[A], SOCKETS_CONNECT, &ask, sizeof(ask));
		assert_int_equal(ask.uid, is[i][1]);
		assert_int_equal(ask.gid, is[i][1]);
	}
	open.uid = 0;				/* C's root is nobody */
	c = connect_from(C, 206);
	say(c, SOCKETS_OPEN, &open, sizeof(open));
	expect(agent[A], SOCKETS_CONNECT, &ask, sizeof(ask));
	assert_int_equal(ask.uid, 65534);
}

static void test_bytes(void **state)
{
	struct vsock_conn *end[2];
	static uint8_t data[50000], got[sizeof(data)];
	struct sockets_head head;

	(void)state;
	connected(offered(SOCKETS_STREAM, 0), end);
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i * 7);
	}
	/* No more than the other end has room for, the rest keeps its
	 * credit; byte by byte at last. */
	end[1]->room = 3;
	say(end[0], SOCKETS_DATA, data, sizeof(data));
	assert_int_equal(end[1]->len, 3);
	assert_true(end[0]->held >= sizeof(data) - 3);
	say(end[0], SOCKETS_END, NULL, 0);
	while (end[1]->len < sizeof(head) + sizeof(data)) {
		end[1]->room = 10007;
		ops->on_writable(end[1]);
	}
	end[1]->room = OUT;
	ops->on_writable(end[1]);
	assert_int_equal(end[0]->held, 0);
	expect(end[1], SOCKETS_DATA, got, sizeof(got));
	assert_memory_equal(got, data, sizeof(data));
	expect(end[1], SOCKETS_END, NULL, 0);
	for (size_t i = 0; i < 12; i++) {
		static const uint8_t two[] = { 13, 0, 0, 0, 4, 0, 0, 0,
					       'a', 'b', 'c', 'd' };

		raw(end[1], two + i, 1);
	}
	expect(end[0], SOCKETS_DATA, got, 4);
	assert_memory_equal(got, "abcd", 4);
	assert_false(end[0]->shut || end[1]->shut);
	say(end[1], SOCKETS_END, NULL, 0);
	expect(end[0], SOCKETS_END, NULL, 0);
	assert_true(end[0]->shut && end[1]->shut);
	assert_false(end[0]->reset || end[1]->reset);
	assert_int_equal(notices, 0);
}

/* What a client sends before its server is there waits. */
static void test_before(void **state)
{
	struct sockets_open open = offered(SOCKETS_STREAM, 0), ask;
	struct sockets_accept accept = { .error = 0 };
	struct vsock_conn *end[2];
	char got[3];

	(void)state;
	end[0] = connect_from(B, 201);
	say(end[0], SOCKETS_OPEN, &open, sizeof(open));
	say(end[0], SOCKETS_DATA, "abc", 3);
	assert_int_equal(end[0]->held, 11);
	expect(agent[A], SOCKETS_CONNECT, &ask, sizeof(ask));
	accept.token = ask.token;
	end[1] = connect_from(A, 202);
	say(end[1], SOCKETS_ACCEPT, &accept, sizeof(accept));
	expect(end[1], SOCKETS_DATA, got, 3);
	/* A server that is not there ends the wait, and the name. */
	end[0] = connect_from(B, 203);
	say(end[0], SOCKETS_OPEN, &open, sizeof(open));
	expect(agent[A], SOCKETS_CONNECT, &ask, sizeof(ask));
	accept.token = ask.token;
	accept.error = 111;
	end[1] = connect_from(A, 204);
	say(end[1], SOCKETS_ACCEPT, &accept, sizeof(accept));
	assert_true(end[0]->shut && end[1]->shut);
	expect(agent[B], SOCKETS_WITHDRAW, &open.node, sizeof(open.node));
	assert_int_equal(notices, 0);
}

static void test_waits_end(void **state)
{
	struct sockets_open open = offered(SOCKETS_STREAM, 0);
	struct vsock_conn *c = connect_from(B, 201);

	(void)state;
	say(c, SOCKETS_OPEN, &open, sizeof(open));
	for (unsigned i = 0; i < 10; i++) {
		assert_false(c->shut);
		ticking->deadline = 0;
		ticking->fn(ticking);
	}
	assert_true(c->shut);
	assert_int_equal(linuxes[B]->begun, 0);
}

/* Who may have none hears of none; connections that say nothing are counted. */
static void test_bounds(void **state)
{
	struct sockets_node node = { .nodeid = NODE, .type = SOCKETS_STREAM };
	struct sockets_open open;
	struct vsock_conn *c;

	(void)state;
	sockets_reach(linuxes[C], false);
	make(A, NODE, 0);
	say(agent[A], SOCKETS_LISTENS, &node, sizeof(node));
	expect_nothing(agent[C]);
	expect(agent[B], SOCKETS_OFFER, &open, sizeof(open));
	assert_int_equal(fuse->stands_for(NULL, &vs[B], open.node.number),
			 NODE);
	assert_int_equal(fuse->stands_for(NULL, &vs[C], open.node.number), 0);
	sockets_reach(linuxes[C], true);
	for (unsigned i = 1; i < SOCKETS_LINKS; i++) {
		c = connect_from(B, 201);
		assert_false(c->reset);
	}
	c = connect_from(B, 201);
	assert_true(c->reset);
}

/* Who asks and goes before the answer is counted until that, or for 10 s. */
static void test_gone_early(void **state)
{
	struct sockets_open open = offered(SOCKETS_STREAM, 0), ask;
	struct sockets_accept accept = { .error = 0 };
	struct vsock_conn *c;

	(void)state;
	for (unsigned i = 0; i < SOCKETS_BEGUN; i++) {
		c = connect_from(B, 201);
		say(c, SOCKETS_OPEN, &open, sizeof(open));
		expect(agent[A], SOCKETS_CONNECT, &ask, sizeof(ask));
		if (i & 1) {
			ops->on_shutdown(c, VSOCK_SHUT_SEND);
		}
		close_conn(c);
	}
	c = connect_from(B, 201);
	say(c, SOCKETS_OPEN, &open, sizeof(open));
	assert_true(c->reset);
	expect_nothing(agent[A]);
	assert_int_equal(linuxes[B]->begun, SOCKETS_BEGUN);
	assert_int_equal(linuxes[A]->led, SOCKETS_BEGUN);
	c = connect_from(A, 202);
	accept.token = ask.token;
	say(c, SOCKETS_ACCEPT, &accept, sizeof(accept));
	assert_true(c->shut && !c->reset);
	assert_int_equal(linuxes[B]->begun, SOCKETS_BEGUN - 1);
	for (unsigned i = 0; i < 10; i++) {
		ticking->deadline = 0;
		ticking->fn(ticking);
	}
	assert_int_equal(linuxes[B]->begun + linuxes[A]->led, 0);
}

/* Heads that say too much, or come too late. */
static void test_heads(void **state)
{
	static const struct sockets_head bad[] = {
		{ SOCKETS_DATA, SOCKETS_DATA_MAX + 1 },
		{ SOCKETS_FDS, 33 * sizeof(struct sockets_fd) },
		{ SOCKETS_FDS, sizeof(struct sockets_fd) + 1 },
		{ SOCKETS_FDS, 0 },
		{ SOCKETS_NOREAD, 1 }, { SOCKETS_END, 1 }, { SOCKETS_OPEN, 40 },
		{ SOCKETS_LISTENS, sizeof(struct sockets_node) }, { 0, 0 },
	};
	const struct sockets_fd good = { .id = 99, .kind = SOCKETS_FD_FILE };
	struct sockets_open open = offered(SOCKETS_STREAM, 0);
	struct vsock_conn *end[2];

	(void)state;
	knows = true;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t data[1024] = { 0 };

		connected(open, end);
		memcpy(data, &bad[i], sizeof(bad[i]));
		memcpy(data + sizeof(bad[i]), &good, sizeof(good));
		/* With what it says it has, and nothing that is bad itself. */
		raw(end[0], data, sizeof(bad[i]) +
		    (bad[i].len < 900 ? bad[i].len : 0));
		assert_true(end[0]->reset && end[1]->shut);
	}
	connected(open, end);
	say(end[0], SOCKETS_END, NULL, 0);
	say(end[0], SOCKETS_NOREAD, NULL, 0);
	assert_false(end[0]->reset);
	say(end[0], SOCKETS_DATA, "x", 1);
	assert_true(end[0]->reset);
}

/* Each ends the connection that it comes on; none is of harm to others. */
static void test_refusals(void **state)
{
	struct sockets_open open = offered(SOCKETS_STREAM, 0), ask;
	struct sockets_accept accept = { .error = 0 };
	struct vsock_conn *c, *all[SOCKETS_BEGUN];
	struct sockets_status status, before;

	(void)state;
	sockets_get_status(linuxes[B], &before);
	c = connect_from(B, 1024);		/* anybody's port */
	assert_true(c->reset);
	c = connect_from(A, 201);		/* A may not connect */
	say(c, SOCKETS_OPEN, &open, sizeof(open));
	assert_true(c->reset);
	c = connect_from(B, 202);		/* another type, another name */
	open.node.type = SOCKETS_SEQPACKET;
	say(c, SOCKETS_OPEN, &open, sizeof(open));
	assert_true(c->shut);
	open.node.type = 0;
	c = connect_from(B, 202);
	say(c, SOCKETS_OPEN, &open, sizeof(open));
	assert_true(c->shut);
	open.node.type = SOCKETS_STREAM;
	for (unsigned i = 0; i < SOCKETS_BEGUN; i++) {
		all[i] = connect_from(B, 203);
		say(all[i], SOCKETS_OPEN, &open, sizeof(open));
		expect(agent[A], SOCKETS_CONNECT, &ask, sizeof(ask));
		assert_false(all[i]->reset || all[i]->shut);
	}
	c = connect_from(B, 204);		/* one too many */
	say(c, SOCKETS_OPEN, &open, sizeof(open));
	assert_true(c->reset);
	c = connect_from(C, 205);		/* but not for others */
	say(c, SOCKETS_OPEN, &open, sizeof(open));
	expect(agent[A], SOCKETS_CONNECT, &ask, sizeof(ask));
	accept.token = ask.token;
	c = connect_from(B, 206);		/* an answer for A */
	say(c, SOCKETS_ACCEPT, &accept, sizeof(accept));
	assert_true(c->reset);
	c = connect_from(A, 207);		/* that is no passed one */
	say(c, SOCKETS_TAKE, &accept.token, sizeof(accept.token));
	assert_true(c->reset);
	c = connect_from(A, 208);
	say(c, SOCKETS_DATA, "abc", 3);		/* of nothing */
	assert_true(c->reset);
	c = connect_from(A, 209);
	say(c, SOCKETS_OPEN, &open, sizeof(open) - 1);
	assert_true(c->reset);
	sockets_reach(linuxes[C], false);
	c = connect_from(C, 210);
	say(c, SOCKETS_OPEN, &open, sizeof(open));
	assert_true(c->reset);
	sockets_reach(linuxes[C], true);
	sockets_get_status(linuxes[B], &status);
	assert_int_equal(status.begun, SOCKETS_BEGUN);
	assert_int_equal(status.refused - before.refused, 2);
	sockets_get_status(linuxes[A], &status);
	assert_int_equal(status.made, 1);
	assert_int_equal(status.led, SOCKETS_BEGUN + 1);
}

static void test_files(void **state)
{
	struct sockets_fd fd[2] = {
		{ .id = 99, .kind = SOCKETS_FD_FILE, .offset = 5 },
		{ .id = 98, .kind = SOCKETS_FD_FILE, .flags = 02002 },
	};
	struct sockets_fd got[2];
	struct vsock_conn *end[2];
	struct sockets_open open = offered(SOCKETS_STREAM, 0);

	(void)state;
	knows = true;
	connected(open, end);
	say(end[0], SOCKETS_FDS, fd, sizeof(fd));
	expect(end[1], SOCKETS_FDS, got, sizeof(got));
	assert_memory_equal(got, fd, sizeof(fd));
	/* Who may only read passes nothing to write with. */
	read_only = true;
	say(end[0], SOCKETS_FDS, fd, sizeof(fd[0]));
	expect(end[1], SOCKETS_FDS, got, sizeof(got[0]));
	say(end[0], SOCKETS_FDS, fd, sizeof(fd));
	assert_true(end[0]->reset && end[1]->shut);
	expect_nothing(end[1]);
	/* What its mount does not know. */
	knows = false;
	connected(open, end);
	say(end[0], SOCKETS_FDS, fd, sizeof(fd[0]));
	assert_true(end[0]->reset && end[1]->shut);
	/* O_CREAT */
	knows = true;
	read_only = false;
	fd[0].flags = 0100;
	connected(open, end);
	say(end[0], SOCKETS_FDS, fd, sizeof(fd[0]));
	assert_true(end[0]->reset && end[1]->shut);
}

static void test_passed(void **state)
{
	struct vsock_conn *end[2], *given, *taken, *c;
	struct sockets_token token;
	struct sockets_fd fd = { .kind = SOCKETS_FD_SOCKET,
				 .flags = SOCKETS_STREAM }, got;
	char text[5];

	(void)state;
	connected(offered(SOCKETS_STREAM, 0), end);
	given = connect_from(B, 203);
	say(given, SOCKETS_PASS, NULL, 0);
	expect(given, SOCKETS_TOKEN, &token, sizeof(token));
	say(given, SOCKETS_DATA, "hello", 5);
	c = connect_from(A, 204);		/* before it was passed */
	say(c, SOCKETS_TAKE, &token, sizeof(token));
	assert_true(c->reset);
	fd.id = token.token;
	say(end[0], SOCKETS_FDS, &fd, sizeof(fd));
	expect(end[1], SOCKETS_FDS, &got, sizeof(got));
	c = connect_from(C, 205);		/* not to C */
	say(c, SOCKETS_TAKE, &token, sizeof(token));
	assert_true(c->reset);
	taken = connect_from(A, 206);
	say(taken, SOCKETS_TAKE, &token, sizeof(token));
	expect(taken, SOCKETS_DATA, text, 5);
	c = connect_from(A, 207);		/* twice */
	say(c, SOCKETS_TAKE, &token, sizeof(token));
	assert_true(c->reset);
	/* It outlives the one that it came on; it is passed once. */
	say(end[0], SOCKETS_FDS, &fd, sizeof(fd));
	assert_true(end[0]->reset && end[1]->shut);
	close_conn(end[0]);
	close_conn(end[1]);
	say(taken, SOCKETS_DATA, "hello", 5);
	expect(given, SOCKETS_DATA, text, 5);
	close_conn(given);
	assert_true(taken->shut);
}

/* What is not one's own to pass: another's, and the one that it would come on. */
static void test_not_to_pass(void **state)
{
	struct sockets_fd fd = { .kind = SOCKETS_FD_SOCKET,
				 .flags = SOCKETS_STREAM };
	struct sockets_open open = offered(SOCKETS_STREAM, 0);
	struct vsock_conn *end[2], *given;
	struct sockets_token token;

	(void)state;
	connected(open, end);
	given = connect_from(C, 203);
	say(given, SOCKETS_PASS, NULL, 0);
	expect(given, SOCKETS_TOKEN, &token, sizeof(token));
	fd.id = token.token;
	say(end[0], SOCKETS_FDS, &fd, sizeof(fd));
	assert_true(end[0]->reset && end[1]->shut);
	assert_false(given->reset || given->shut);
	connected(open, end);
	fd.id = ((struct sockets_link *)end[0]->arg)->pair->token;
	say(end[0], SOCKETS_FDS, &fd, sizeof(fd));
	assert_true(end[0]->reset && end[1]->shut);
}

static uint64_t seed = 1;

static uint32_t any(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

static void random_frame(struct vsock_conn *c)
{
	union {
		struct sockets_open open;
		struct sockets_accept accept;
		struct sockets_token token;
		struct sockets_fd fd[4];
		uint8_t bytes[300];
	} body = { .bytes = { 0 } };
	static const uint32_t sizes[17] = {
		0, 0, sizeof(body.open), sizeof(body.accept), 0,
		sizeof(body.token), sizeof(body.open.node),
		sizeof(body.open.node), 5, 5, 5, 5, 8, 100, 4 * 24, 0, 0,
	};
	uint32_t type = any(18), len = type < 17 ? sizes[type] : any(300);

	for (size_t i = 0; i < sizeof(body) / 8; i++) {
		uint64_t word = any(4) == 0 ? any(UINT32_MAX) : any(40);

		memcpy(body.bytes + 8 * i, &word, 8);
	}
	if (any(2) == 0 && (type == SOCKETS_OPEN || type == SOCKETS_LISTENS)) {
		body.open.node.nodeid = 100 + any(10);
		body.open.node.type = SOCKETS_STREAM;
	}
	if (any(50) == 0) {
		len = any(sizeof(body));
	}
	if (any(100) == 0) {
		raw(c, body.bytes, any(sizeof(body)) + 1);
	} else {
		say(c, type, &body, len);
	}
}

/* Anything, from all of them: counts and bounds hold, and in the end nothing is
 * left (teardown). The sanitizers look at the rest. */
static void test_anything(void **state)
{
	unsigned live = 0;

	(void)state;
	knows = true;
	for (unsigned i = 0; i < RANDOM_STEPS; i++) {
		struct vsock_conn *c = &conns[any(60)];

		if (!c->open) {
			connect_from(any(LINUXES), 1 + any(1030));
		} else if (c->reset || c->shut || any(200) == 0) {
			close_conn(c);
		} else if (any(8) == 0) {
			c->room = any(300);
			ops->on_writable(c);
			c->len = 0;
		} else if (any(300) == 0) {
			ops->on_shutdown(c, VSOCK_SHUT_SEND);
		} else if (any(100) == 0) {
			make(any(LINUXES), 100 + any(10), any(3));
		} else {
			random_frame(c);
		}
		if (ticking && ticking->deadline != 0 && any(500) == 0) {
			ticking->deadline = 0;
			ticking->fn(ticking);
		}
		for (unsigned j = 0; j < LINUXES; j++) {
			assert_true(linuxes[j]->begun <= SOCKETS_BEGUN &&
				    linuxes[j]->led <= SOCKETS_LED &&
				    linuxes[j]->names <= SOCKETS_NAMES &&
				    linuxes[j]->links <= SOCKETS_LINKS);
			live += linuxes[j]->led > 0;
		}
	}
	/* It was of some use. */
	assert_true(live > RANDOM_STEPS / 100);
}

static void test_words(void **state)
{
	struct sockets_linux *ln;
	struct vsock other;

	(void)state;
	assert_int_equal(sockets_new(NULL, &other, "offer all", "x", &ln),
			 EINVAL);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_words), TEST(test_names), TEST(test_agent_again),
		TEST(test_users), TEST(test_bytes), TEST(test_before),
		TEST(test_waits_end), TEST(test_bounds), TEST(test_gone_early),
		TEST(test_heads), TEST(test_refusals), TEST(test_files),
		TEST(test_passed), TEST(test_not_to_pass), TEST(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
