/* SPDX-License-Identifier: MIT */
/*
 * The FUSE service over a vsock of this test's own, which takes as few bytes at a
 * time as it likes: a client that reads, one that does not, one that may not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/files/fuse_server.h"
#include "host-bridge/files/fuse_service.h"
#include "host-bridge/loop/loop.h"
#include "qemu-test/unit/fake/vsock.h"
#include "qemu-test/unit/volume_fixture.h"

#define GO	assert_int_equal
#define QUEUE	FAKE_QUEUE

static struct loop_work *work;
static struct fixture f;
static struct fuse_server *server;
static struct vsock_conn *const end = fake_vsock.end;
static uint64_t unique;

void loop_work_add(struct loop_work *added)
{
	work = added;
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	(void)delay_ms;
	timer->fn = fn;
	timer->deadline = 1;
}

/* The console waits for nobody here. */
void loop_step(uint64_t deadline)
{
	(void)deadline;
	fail();
}

/* The event loop's next round. */
static void step(void)
{
	fake_vsock_step();
	(void)work->fn(work, 0);
}

/* One message there and its answer back, piece by piece. Returns its error. */
static int32_t call(uint32_t opcode, uint64_t node, const void *body,
		    size_t len, uint8_t *reply, size_t *reply_len)
{
	static uint8_t message[QUEUE];
	struct fuse_in_header in = {
		.len = (uint32_t)(sizeof(in) + len), .opcode = opcode,
		.unique = opcode == FUSE_CHANNEL_HELLO ? UINT64_MAX
						       : (unique += 2),
		.nodeid = node,
	};
	struct fuse_out_header out = { .len = sizeof(out) };
	size_t sent = 0, got = 0;

	memcpy(message, &in, sizeof(in));
	memcpy(message + sizeof(in), body, len);
	for (int i = 0; got < out.len; i++) {
		assert_true(i < 100000);
		sent += fake_vsock_send(message + sent, in.len - sent);
		step();
		if (end->gone) {
			return -1;
		}
		got += fake_vsock_take(reply + got);
		if (got >= sizeof(out)) {
			memcpy(&out, reply, sizeof(out));
		}
	}
	GO(sent, in.len);
	GO(got, out.len);
	GO(out.unique, in.unique);
	*reply_len = out.len - sizeof(out);
	memmove(reply, reply + sizeof(out), *reply_len);
	return -out.error;
}

static uint8_t reply[QUEUE];
static size_t reply_len;

static int hello(uint64_t session)
{
	struct fuse_channel_hello in = { FUSE_CHANNEL_VERSION, 0, session, 0 };

	return call(FUSE_CHANNEL_HELLO, 0, &in, sizeof(in), reply, &reply_len);
}

static void mount_it(uint64_t session)
{
	struct fuse_init_in init = {
		.major = 7, .minor = 41, .flags = UINT32_MAX,
	};

	fake_vsock_open();
	GO(hello(session), 0);
	GO(call(FUSE_INIT, 0, &init, sizeof(init), reply, &reply_len), 0);
}

static struct fuse_service *service;

static int setup(void **state)
{
	(void)state;
	fixture_open(&f, 16, "");
	server = fuse_server_new(f.vol, NULL);
	GO(fuse_service_run(server), 0);
	service = fuse_service_start(NULL, server);
	assert_non_null(service);
	GO(fake_vsock.listens, FUSE_CHANNEL_PORT);
	fake_vsock_setup();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fuse_server_free(server);
	free(fake_vsock.service);
	free(work);
	fixture_check(&f);
	fixture_close(&f);
	return 0;
}

/* The same with whole messages, with few bytes at a time, without time. */
static void files_come_and_go(void **state)
{
	static uint8_t data[40 + 100000];
	struct fuse_write_in *write = (void *)data;
	struct {
		struct fuse_create_in in;
		char name[8];
	} create = { { .flags = 2, .mode = 0100644 }, "file-x" };
	struct fuse_read_in read = { .size = 131072 };
	uint64_t node;

	(void)state;
	for (size_t i = 40; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i * 13 >> 4);
	}
	write->size = sizeof(data) - 40;
	for (int how = 0; how < 3; how++) {
		fake_vsock.room = how == 1 ? 3000 : QUEUE;
		fake_vsock.chunk = how == 1 ? 1000 : QUEUE;
		fake_vsock.no_time = how == 2;
		mount_it(how + 1);
		create.name[5] = (char)('0' + how);
		GO(call(FUSE_CREATE, 1, &create, sizeof(create.in) + 7, reply,
			&reply_len), 0);
		memcpy(&node, reply, sizeof(node));
		GO(call(FUSE_WRITE, node, data, sizeof(data), reply,
			&reply_len), 0);
		GO(call(FUSE_READ, node, &read, sizeof(read), reply,
			&reply_len), 0);
		GO(reply_len, sizeof(data) - 40);
		assert_memory_equal(reply, data + 40, reply_len);
		GO(call(FUSE_DESTROY, 0, data, 0, reply, &reply_len), 0);
		fake_vsock_close();
	}
}

static void a_port_of_anybodys_is_refused(void **state)
{
	(void)state;
	fake_vsock.port = 1024;
	fake_vsock_open();
	assert_true(end->gone);
	fake_vsock_close();
	fake_vsock.port = 1023;
	mount_it(1);
	fake_vsock_close();
}

/* For a Linux that is not to have the files, whoever asks there. */
static void who_is_not_to_have_files_is_refused(void **state)
{
	(void)state;
	fuse_service_give(service, 0, true);
	fake_vsock.port = 1023;
	fake_vsock_open();
	assert_true(end->gone);
	fake_vsock_close();
	fuse_service_give(service, VOLUME_ROOT, false);
	mount_it(1);
	fake_vsock_close();
	fuse_service_give(NULL, 0, true);
}

static void a_session_outlives_its_connection(void **state)
{
	const struct fuse_channel_hello_out *out = (const void *)reply;

	(void)state;
	mount_it(5);
	fake_vsock_close();
	fake_vsock_open();
	GO(hello(5), 0);
	GO(out->flags, FUSE_CHANNEL_RESUMED);
	/* Linux is gone, and with it all that it had. */
	fuse_server_peer_gone(server, NULL);
	assert_true(end->gone);
	fake_vsock_close();
	fake_vsock_open();
	GO(hello(5), 0);
	GO(out->flags, 0);
	/* What makes no sense ends the connection. */
	GO(hello(6), -1);
	fake_vsock_close();
}

/* Many requests, each numbered; and their answers, which come in order. */
#define ONE	sizeof(struct fuse_in_header)
#define ANSWER	(sizeof(struct fuse_out_header) + sizeof(struct fuse_statfs_out))

static size_t flood_sent, flood_got;

static void flood_begin(size_t bytes)
{
	mount_it(1);
	fake_vsock.room = bytes;
	flood_sent = flood_got = 0;
}

/* Sends of the next request what is taken; returns how much. */
static size_t flood_send(void)
{
	struct fuse_in_header in = {
		.len = sizeof(in), .opcode = FUSE_STATFS, .nodeid = 1,
		.unique = 1000 + flood_sent / ONE,
	};
	size_t at = flood_sent % ONE;
	size_t n = fake_vsock_send((uint8_t *)&in + at, ONE - at);

	flood_sent += n;
	return n;
}

/* Reads what is there, or most of it: each of them, in order. */
static void flood_read(size_t most)
{
	size_t n = most < end->out_len ? most : end->out_len;

	for (size_t k = 0; k < n; k++, flood_got++) {
		uint64_t number = 1000 + flood_got / ANSWER;
		size_t at = flood_got % ANSWER;

		if (at >= 8 && at < 16) {
			GO(end->out[k], (uint8_t)(number >> (at - 8) * 8));
		}
	}
	end->out_len -= n;
	memmove(end->out, end->out + n, end->out_len);
}

static void flood_end(void)
{
	fake_vsock.chunk = QUEUE;
	while (flood_sent % ONE != 0 ||
	       flood_got < flood_sent / ONE * ANSWER) {
		if (flood_sent % ONE != 0) {
			flood_send();
		}
		flood_read(QUEUE);
		step();
	}
	GO(end->held, 0);
	fake_vsock_close();
}

/* Nothing is read: credit stops it, and nothing is lost. */
static void a_client_that_does_not_read_is_stopped(void **state)
{
	(void)state;
	flood_begin(5000);
	for (int i = 0; i < 1000; i++) {
		flood_send();
		if (i % 3 == 0) {
			step();
		}
	}
	assert_true(flood_sent < 20000);
	flood_end();
}

/* A thousand requests in one packet, and the time for one: each turn answers
 * one, in order, and the peer has no credit for what waits. */
static void time_is_shared_out(void **state)
{
	unsigned turns = 0;

	(void)state;
	flood_begin(QUEUE);
	for (unsigned i = 0; i < 1000; i++) {
		flood_send();
	}
	fake_vsock.no_time = true;
	step();				/* the packet, and the first turn */
	GO(end->out_len, 2 * ANSWER);
	for (; end->held > 0; turns++) {
		GO(end->out_len, (turns + 2) * ANSWER);
		GO(end->len, 0);
		step();
	}
	GO(turns, 998);
	flood_end();
	GO(flood_got, 1000 * ANSWER);
}

/* The queue of requests is never empty, for megabytes of them. */
static void a_queue_that_never_empties_does_not_grow(void **state)
{
	(void)state;
	flood_begin(5000);
	fake_vsock.chunk = 300;
	while (flood_sent < 3u << 20) {
		/* Twice as many as answers are read. */
		for (unsigned i = 0; i < 2; i++) {
			while (flood_send() > 0) {
			}
			step();
		}
		assert_false(end->gone);
		/* Once it has filled, it stays so. */
		assert_true(flood_sent < 20000 || end->held > 0);
		flood_read(fake_vsock.chunk);
	}
	flood_end();
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(files_come_and_go),
		T(a_port_of_anybodys_is_refused),
		T(who_is_not_to_have_files_is_refused),
		T(a_session_outlives_its_connection),
		T(a_client_that_does_not_read_is_stopped),
		T(time_is_shared_out),
		T(a_queue_that_never_empties_does_not_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
