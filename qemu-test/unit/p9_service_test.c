/* SPDX-License-Identifier: MIT */
/*
 * The 9P client against the 9P service, over a vsock of this test's own that
 * takes as few bytes at a time as it likes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/files/p9_client.h"
#include "host-bridge/files/p9_service.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/vsock/vsock.h"
#include "proto/agent.h"
#include "qemu-test/unit/volume_fixture.h"

#define QUEUE	(256u * 1024)

/* One end of a connection; its queue holds what the other end sent. */
struct vsock_conn {
	struct vsock_conn *peer;
	const struct vsock_ops *ops;
	void *arg;
	size_t len, held;
	bool want_room, opened, gone;
	uint8_t queue[QUEUE];
};

static bool no_time;			/* a slice is over at once */
static struct vsock_conn ends[2];	/* client, service */
static const struct vsock_ops *service_ops;
static void *service;			/* the listener's argument */
static size_t room;			/* bytes a queue takes */
static size_t chunk;			/* bytes delivered at a time */
static size_t most_held;
static uint32_t client_port = 600;

int vsock_listen(struct vsock *vs, uint32_t port, const struct vsock_ops *ops,
		 void *arg)
{
	assert_null(vs);
	assert_non_null(arg);
	assert_int_equal(port, VSOCK_PORT_9P);
	service_ops = ops;
	service = arg;
	return 0;
}

struct vsock_conn *vsock_connect(struct vsock *vs, uint32_t port,
				 const struct vsock_ops *ops, void *arg)
{
	assert_null(vs);
	assert_int_equal(port, AGENT_PORT_9P);
	for (int i = 0; i < 2; i++) {
		memset(&ends[i], 0, offsetof(struct vsock_conn, queue));
		ends[i].peer = &ends[1 - i];
	}
	ends[0].ops = ops;
	ends[0].arg = arg;
	ends[1].ops = service_ops;
	ends[1].arg = service;
	return &ends[0];
}

size_t vsock_send(struct vsock_conn *conn, const void *data, size_t len)
{
	struct vsock_conn *to = conn->peer;
	size_t used = to->len + to->held;
	size_t n = used < room ? room - used : 0;

	assert_false(conn->gone);
	n = n < len ? n : len;
	memcpy(to->queue + to->len, data, n);
	to->len += n;
	conn->want_room = n < len;
	return n;
}

void vsock_hold(struct vsock_conn *conn, size_t bytes)
{
	conn->held += bytes;
	most_held = conn->held > most_held ? conn->held : most_held;
	assert_true(conn->held <= room);
}

void vsock_release(struct vsock_conn *conn, size_t bytes)
{
	assert_true(bytes <= conn->held);
	conn->held -= bytes;
}

void vsock_shutdown(struct vsock_conn *conn, unsigned flags)
{
	(void)flags;
	vsock_reset(conn);
}

void vsock_reset(struct vsock_conn *conn)
{
	conn->gone = true;
}

uint64_t vsock_slice_end(const struct vsock_conn *conn)
{
	assert_ptr_equal(conn, &ends[1]);
	return no_time ? 0 : UINT64_MAX;
}

void vsock_again(struct vsock_conn *conn)
{
	assert_false(conn->gone);
	conn->want_room = true;
}

uint32_t vsock_peer_port(const struct vsock_conn *conn)
{
	assert_ptr_equal(conn, &ends[1]);
	return client_port;
}

void *vsock_arg(const struct vsock_conn *conn)
{
	return conn->arg;
}

void vsock_set_arg(struct vsock_conn *conn, void *arg)
{
	conn->arg = arg;
}

static void end_step(struct vsock_conn *conn)
{
	static uint8_t data[QUEUE];
	size_t n = conn->len < chunk ? conn->len : chunk;

	if (!conn->opened) {
		conn->opened = true;
		conn->ops->on_open(conn);
	}
	if (n > 0 && !conn->gone) {
		memcpy(data, conn->queue, n);
		conn->len -= n;
		memmove(conn->queue, conn->queue + n, conn->len);
		conn->ops->on_data(conn, data, n);
	}
	if (conn->want_room && !conn->gone &&
	    conn->peer->len + conn->peer->held < room) {
		conn->want_room = false;
		if (conn->ops->on_writable != NULL) {
			conn->ops->on_writable(conn);
		}
	}
}

static struct loop_work *work;

void loop_work_add(struct loop_work *added)
{
	work = added;
}

static bool stop_waiting;

/* The event loop's next round. */
static bool wait_step(void *arg)
{
	assert_ptr_equal(arg, &room);
	end_step(&ends[1]);
	end_step(&ends[0]);
	(void)work->fn(work, 0);
	if (ends[0].gone || ends[1].gone) {
		ends[1].ops->on_close(&ends[1], 0);
		ends[0].ops->on_close(&ends[0], ECONNRESET);
	}
	return !stop_waiting;
}

static struct fixture f;
static struct p9_client *client;

static int setup(void **state)
{
	(void)state;
	fixture_open(&f, 16, "");
	if (service_ops == NULL) {
		assert_int_equal(p9_service_start(NULL, f.vol), 0);
	}
	room = QUEUE;
	chunk = QUEUE;
	stop_waiting = false;
	return 0;
}

/* A group of calls over a transport that takes so many bytes at a time. */
static void use_files(void)
{
	static uint8_t data[150000], back[150000];
	struct p9_attr attr;
	uint32_t fid;
	size_t at, n;

	for (at = 0; at < sizeof(data); at++) {
		data[at] = (uint8_t)(at * 13 >> 4);
	}
	assert_int_equal(p9_client_mkdir(client, "/dir"), 0);
	assert_int_equal(p9_client_mkdir(client, "dir/"), EEXIST);
	assert_int_equal(p9_client_open(client, "dir/file", false, &fid),
			 ENOENT);
	assert_int_equal(p9_client_open(client, "dir/file", true, &fid), 0);
	for (at = 0; at < sizeof(data); at += n) {
		assert_int_equal(p9_client_write(client, fid, at, data + at,
						 sizeof(data) - at, &n), 0);
		assert_true(n > 0);
	}
	p9_client_close(client, fid);
	assert_int_equal(p9_client_stat(client, "dir/../dir/file", true,
					&attr), 0);
	assert_int_equal(attr.size, sizeof(data));
	assert_int_equal(p9_client_open(client, "dir/file", false, &fid), 0);
	for (at = 0; at < sizeof(data); at += n) {
		assert_int_equal(p9_client_read(client, fid, at, back + at,
						sizeof(back) - at, &n), 0);
		assert_true(n > 0);
	}
	assert_memory_equal(data, back, sizeof(data));
	assert_int_equal(p9_client_read(client, fid, at, back, 1, &n), 0);
	assert_int_equal(n, 0);
	p9_client_close(client, fid);
	assert_int_equal(p9_client_remove(client, "dir"), 39);
	assert_int_equal(p9_client_remove(client, "dir/file"), 0);
	assert_int_equal(p9_client_remove(client, "dir"), 0);
	assert_int_equal(p9_client_stat(client, "dir", true, &attr), ENOENT);
}

static void drop_client(void)
{
	p9_client_free(client);
	if (!ends[1].gone) {
		ends[1].ops->on_close(&ends[1], 0);
	}
}

static void test_whole_pieces(void **state)
{
	(void)state;
	client = p9_client_new(NULL, AGENT_PORT_9P, wait_step, &room);
	use_files();
	drop_client();
}

static void test_small_pieces(void **state)
{
	(void)state;
	client = p9_client_new(NULL, AGENT_PORT_9P, wait_step, &room);
	chunk = 1000;
	room = 3000;
	use_files();
	drop_client();
}

static bool count_names(void *arg, const char *name, size_t len)
{
	unsigned *count = arg;

	assert_true(len > 0 && name[0] != '\0');
	return ++*count < 900;
}

static void test_list_and_links(void **state)
{
	static const struct volume_make make = { .mode = VOLUME_S_IFREG };
	struct p9_attr attr;
	unsigned count = 0;
	char name[16];
	uint32_t ino;

	(void)state;
	for (unsigned i = 0; i < 800; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		volume_create(f.vol, VOLUME_ROOT, name, strlen(name), &make,
			      &ino);
	}
	volume_symlink(f.vol, VOLUME_ROOT, "one", 3, "./two", 5, &make, &ino);
	volume_symlink(f.vol, VOLUME_ROOT, "two", 3, "/../name-7", 10, &make,
		       &ino);
	volume_symlink(f.vol, VOLUME_ROOT, "loop", 4, "loop", 4, &make, &ino);
	client = p9_client_new(NULL, AGENT_PORT_9P, wait_step, &room);
	assert_int_equal(p9_client_list(client, "/", count_names, &count), 0);
	assert_int_equal(count, 800 + 6);	/* . .. lost+found, 3 links */
	assert_int_equal(p9_client_stat(client, "one", true, &attr), 0);
	assert_int_equal(attr.mode, VOLUME_S_IFREG);
	assert_int_equal(p9_client_stat(client, "one", false, &attr), 0);
	assert_int_equal(attr.mode & VOLUME_S_IFMT, VOLUME_S_IFLNK);
	assert_int_equal(p9_client_stat(client, "loop", true, &attr), 40);
	assert_int_equal(p9_client_list(client, "one", count_names, &count),
			 ENOTDIR);
	drop_client();
}

/* A port that any process in Linux can have gets no session. */
static void test_unreserved_port(void **state)
{
	struct p9_attr attr;

	(void)state;
	client_port = 1024;
	client = p9_client_new(NULL, AGENT_PORT_9P, wait_step, &room);
	assert_int_equal(p9_client_stat(client, "/", true, &attr), ECONNRESET);
	p9_client_free(client);
	client_port = 1023;
	client = p9_client_new(NULL, AGENT_PORT_9P, wait_step, &room);
	assert_int_equal(p9_client_stat(client, "/", true, &attr), 0);
	drop_client();
	client_port = 600;
}

/* The user gives up, and comes back. */
static void test_interrupted(void **state)
{
	struct p9_attr attr;
	uint32_t fid;
	size_t n;

	(void)state;
	client = p9_client_new(NULL, AGENT_PORT_9P, wait_step, &room);
	assert_int_equal(p9_client_open(client, "file", true, &fid), 0);
	stop_waiting = true;
	assert_int_equal(p9_client_stat(client, "/", true, &attr), EINTR);
	ends[1].ops->on_close(&ends[1], 0);
	stop_waiting = false;
	assert_int_equal(p9_client_write(client, fid, 0, "x", 1, &n), EBADF);
	assert_int_equal(p9_client_stat(client, "file", true, &attr), 0);
	/* The server goes away in the middle. */
	ends[1].gone = true;
	assert_int_equal(p9_client_stat(client, "/", true, &attr), ECONNRESET);
	p9_client_free(client);
}

/* Requests sent without reading replies: both queues fill, nothing is lost
 * and nothing grows without bound. Each is a Tclunk of no fid, with its number
 * as its tag, and gets an Rlerror of the same length. */
#define FLOOD_LEN	11u
#define TAG_AT		5u

static unsigned requests, replies;	/* bytes of them, sent and received */

static uint8_t flood_tag(unsigned at)
{
	return (uint8_t)(at / FLOOD_LEN >> (at % FLOOD_LEN - TAG_AT) * 8);
}

static void flood_data(struct vsock_conn *conn, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	(void)conn;
	for (size_t i = 0; i < len; i++, replies++) {
		unsigned at = replies % FLOOD_LEN;

		if (at == TAG_AT || at == TAG_AT + 1) {
			assert_int_equal(bytes[i], flood_tag(replies));
		}
	}
}

static void flood_open(struct vsock_conn *conn)
{
	(void)conn;
}

static void flood_close(struct vsock_conn *conn, int error)
{
	(void)conn;
	(void)error;
}

/* Sends of the next request what is taken; returns how much. */
static size_t flood_send(void)
{
	uint8_t request[FLOOD_LEN] = {
		FLOOD_LEN, 0, 0, 0, 120, flood_tag(TAG_AT + requests -
						   requests % FLOOD_LEN),
		flood_tag(TAG_AT + 1 + requests - requests % FLOOD_LEN), 1,
	};
	size_t done = requests % FLOOD_LEN;
	size_t n = vsock_send(&ends[0], request + done, FLOOD_LEN - done);

	requests += (unsigned)n;
	return n;
}

static void flood_begin(void)
{
	static const struct vsock_ops ops = {
		.on_open = flood_open,
		.on_data = flood_data,
		.on_close = flood_close,
	};

	room = 5000;
	most_held = 0;
	requests = replies = 0;
	vsock_connect(NULL, AGENT_PORT_9P, &ops, NULL);
}

static void flood_end(void)
{
	chunk = QUEUE;
	while (ends[0].len > 0 || ends[1].len > 0 || ends[1].held > 0) {
		end_step(&ends[0]);
		end_step(&ends[1]);
	}
	assert_int_equal(replies, requests / FLOOD_LEN * FLOOD_LEN);
	ends[1].ops->on_close(&ends[1], 0);
}

static void test_flood(void **state)
{
	(void)state;
	flood_begin();
	for (unsigned i = 0; i < 20000; i++) {
		flood_send();
		end_step(&ends[1]);
	}
	assert_true(most_held > 4000);
	assert_in_range(requests, 5000, 15000);
	flood_end();
}

/* A thousand requests in one packet, and the time for one: each turn answers
 * one, in order, and the peer has no credit for what waits. */
static void test_time_is_up(void **state)
{
	unsigned turns = 0;

	(void)state;
	flood_begin();
	room = QUEUE;
	for (unsigned i = 0; i < 1000; i++) {
		flood_send();
	}
	no_time = true;
	end_step(&ends[1]);		/* the packet, and the first turn */
	assert_int_equal(ends[0].len, 2 * FLOOD_LEN);
	for (; ends[1].held > 0; turns++) {
		assert_int_equal(ends[0].len, (turns + 2) * FLOOD_LEN);
		assert_int_equal(ends[1].len, 0);
		end_step(&ends[1]);
	}
	assert_int_equal(turns, 998);
	no_time = false;
	flood_end();
	assert_int_equal(replies, 1000 * FLOOD_LEN);
}

/* The queue of requests is never empty, for megabytes of them. */
static void test_queue_never_empty(void **state)
{
	(void)state;
	flood_begin();
	chunk = 300;
	while (requests < 3u << 20) {
		/* Twice as many as replies are read. */
		for (unsigned i = 0; i < 2; i++) {
			while (flood_send() > 0) {
			}
			end_step(&ends[1]);
		}
		assert_false(ends[1].gone);
		/* Once it has filled, it stays so. */
		assert_true(requests < 20000 || ends[1].held > 0);
		end_step(&ends[0]);
	}
	flood_end();
}

static int teardown(void **state)
{
	(void)state;
	(void)work->fn(work, UINT64_MAX);
	assert_int_equal(volume_flush(f.vol), 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

static int group_teardown(void **state)
{
	(void)state;
	fixture_close(&f);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole_pieces),
		TEST(test_small_pieces),
		TEST(test_list_and_links),
		TEST(test_unreserved_port),
		TEST(test_interrupted),
		TEST(test_flood),
		TEST(test_time_is_up),
		TEST(test_queue_never_empty),
	};

	return cmocka_run_group_tests(tests, setup, group_teardown);
}
