// SPDX-License-Identifier: MIT
/*
 * The FUSE transport of the Linux driver in a fake kernel: mounts, requests and
 * replies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse.h"

static void test_mount(void **state)
{
	struct super_block *second;

	(void)state;
	start();
	assert_true(fm->fc->conn_init);
	assert_true(fm->fc->sync_fs);
	assert_int_equal(sb->s_time_max, 15032385535);
	assert_int_equal(sb->bdi.capabilities, BDI_CAP_WRITEBACK_ACCT);
	/* A second mount is of the same superblock, without a message. */
	assert_int_equal(fake_mount("allow_other", &second), 0);
	assert_ptr_equal(second, sb);
	fuse_unmounted(second);
	assert_int_equal(server.rsts, 0);
	assert_int_equal(fake_mount("noperm", &second), -EINVAL);
	stop();
	assert_int_equal(server.rsts, 1);
	/* And again. */
	start();
	stop();
}

static void no_server(void)
{
	struct ring_packet packet;

	settle();
	while (host_take(&packet)) {
		if (packet.op == VIRTIO_VSOCK_OP_REQUEST) {
			server.port = packet.src_port;
			server_packet(VIRTIO_VSOCK_OP_RST, NULL, 0);
		}
	}
	ring_linux();
	fake_run();
}

static void test_mount_fails(void **state)
{
	(void)state;
	driver_load();
	memset(&server, 0, sizeof(server));
	server.credit = HOST_CREDIT;
	assert_int_equal(fuse_mounted(&sb), -ENODEV);
	assert_int_equal(fake_probe(), 0);
	settle();
	/* Nobody answers. */
	server.silent = true;
	assert_int_equal(fuse_mounted(&sb), -ETIMEDOUT);
	server_settle();
	fake.sleep = no_server;
	assert_int_equal(fake_mount(NULL, &sb), -ECONNREFUSED);
	fake.sleep = NULL;
	/* The channel is down. */
	host_polite = false;
	*host_word(0) = CHANNEL_STATE_DOWN;
	fake_interrupt(0);
	fake_run();
	assert_int_equal(fuse_mounted(&sb), -ENOTCONN);
	fake.killed = true;
	assert_int_equal(fuse_mounted(&sb), -ERESTARTSYS);
	fake.killed = false;
	host_polite = true;
	server.silent = false;
	settle();
	assert_int_equal(fuse_mounted(&sb), 0);
	stop();
}

/* The answer is there before the process waits, in whatever pieces it comes. */
static void test_request_and_reply(void **state)
{
	u8 body[100], message[sizeof(struct fuse_out_header) + 100];
	struct fuse_out_header head = { .len = sizeof(message) };

	(void)state;
	start();
	memset(body, 0x77, sizeof(body));
	for (u32 cut = 1; cut < sizeof(message); cut++) {
		struct ask ask = ask_of(FUSE_LOOKUP, 20, 100);

		ask_send(&ask);
		assert_true(server_run());
		assert_int_equal(got.opcode, FUSE_LOOKUP);
		assert_int_equal(got.nodeid, 7);
		assert_int_equal(got.len, sizeof(got) + 20);
		assert_memory_equal(got_body, ask.in, 20);
		head.unique = got.unique;
		memcpy(message, &head, sizeof(head));
		memcpy(message + sizeof(head), body, sizeof(body));
		server_packet(VIRTIO_VSOCK_OP_RW, message, cut);
		ring_linux();
		assert_false(is_answered(&ask));
		server_packet(VIRTIO_VSOCK_OP_RW, message + cut,
			      (u32)sizeof(message) - cut);
		ring_linux();
		assert_true(is_answered(&ask));
		assert_int_equal(fake_answered(ask.req), 0);
		assert_memory_equal(ask.out, body, sizeof(body));
	}
	stop();
}

/* Replies that do not fit end the request with EIO, and harm nothing else. */
static void test_reply_sizes(void **state)
{
	static const struct {
		int error;
		u32 len;
		bool argvar;
		int want;
	} cases[] = {
		{ 0, 10, false, 0 }, { 0, 9, false, -EIO },
		{ 0, 11, false, -EIO }, { 0, 0, false, -EIO },
		{ 0, 9, true, 0 }, { 0, 0, true, 0 }, { 0, 11, true, -EIO },
		{ -ENOENT, 0, false, -ENOENT }, { -ENOENT, 10, false, -EIO },
		{ 5, 0, false, -EIO }, { -512, 0, false, -EIO },
		{ -511, 0, false, -511 }, { INT32_MIN, 0, false, -EIO },
		{ 0, 2000, false, -EIO }, { 0, 60000, true, -EIO },
	};
	static u8 body[60000];

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ask ask = ask_of(FUSE_READLINK, 0, 10);

		ask.ap.args.out_argvar = cases[i].argvar;
		memset(ask.out, 0xee, sizeof(ask.out));
		ask_send(&ask);
		assert_true(server_run());
		server_reply(got.unique, cases[i].error, body, cases[i].len);
		assert_true(is_answered(&ask));
		assert_int_equal(fake_answered(ask.req), cases[i].want);
		assert_int_equal(ask.out[10], 0xee);
		if (cases[i].want == 0 && cases[i].argvar) {
			assert_int_equal(ask.ap.args.out_args[0].size,
					 cases[i].len);
		}
	}
	/* Numbers of nobody, and one twice. */
	server_reply(got.unique, 0, body, 10);
	server_reply(1234567, 0, body, 100);
	server_reply(got.unique | 1, -EAGAIN, NULL, 0);
	assert_int_equal(server.rsts, 0);
	stop();
}

/* Of several parts only the last may be short: what is missing before it is not
 * taken for a length. */
static void test_reply_parts(void **state)
{
	static const struct {
		u32 len;
		int want;
	} cases[] = { { 18, 0 }, { 17, 0 }, { 8, 0 }, { 7, -EIO },
		      { 0, -EIO }, { 19, -EIO } };
	static const u8 body[32];

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ask ask = ask_of(FUSE_GETXATTR, 0, 8);
		struct fuse_args *args = &ask.ap.args;

		args->out_numargs = 2;
		args->out_argvar = true;
		args->out_args[1].size = 10;
		args->out_args[1].value = ask.out + 8;
		ask_send(&ask);
		assert_true(server_run());
		server_reply(got.unique, 0, body, cases[i].len);
		assert_true(is_answered(&ask));
		assert_int_equal(fake_answered(ask.req), cases[i].want);
		assert_int_equal(args->out_args[1].size,
				 cases[i].want ? 10 : cases[i].len - 8);
	}
	assert_int_equal(server.rsts, 0);
	stop();
}

/* A message that says it is shorter than its head, or longer than any, is none. */
static void test_message_lengths(void **state)
{
	static const u32 lens[] = { 0, 15, FUSE_MESSAGE_MAX + 1, U32_MAX };

	(void)state;
	start();
	for (u32 i = 0; i < 4; i++) {
		struct fuse_out_header head = { .len = lens[i],
						.unique = 0x7777777 };

		server_packet(VIRTIO_VSOCK_OP_RW, &head, sizeof(head));
		ring_linux();
		fake_run();
		server_take();
		assert_int_equal(server.rsts, i + 1);
		assert_true(fake_run_work());
		server_settle();
		assert_int_equal(server.hellos, i + 2);
	}
	stop();
}

/* Pages: read into, with the rest cleared where that is asked for; and written
 * from, in more packets than one. */
static void test_pages(void **state)
{
	static struct page pages[33];
	static u8 data[3 * PAGE_SIZE];
	struct page *list[33];
	struct fuse_page_desc descs[33];
	struct ask ask = ask_of(FUSE_READ, 40, 0);

	(void)state;
	for (u32 i = 0; i < 33; i++) {
		list[i] = &pages[i];
		descs[i] = (struct fuse_page_desc){ PAGE_SIZE, 0 };
		memset(&pages[i], (int)i + 1, sizeof(pages[i]));
	}
	start();
	memset(data, 0x55, sizeof(data));
	ask.ap.pages = list;
	ask.ap.descs = descs;
	ask.ap.num_pages = 3;
	ask.ap.args.out_numargs = 1;
	ask.ap.args.out_pages = ask.ap.args.out_argvar =
		ask.ap.args.page_zeroing = true;
	ask.ap.args.out_args[0].size = 3 * PAGE_SIZE;
	ask_send(&ask);
	assert_true(server_run());
	server_reply(got.unique, 0, data, PAGE_SIZE + 5);
	assert_int_equal(fake_answered(ask.req), 0);
	assert_int_equal(ask.ap.args.out_args[0].size, PAGE_SIZE + 5);
	assert_memory_equal(&pages[0], data, PAGE_SIZE);
	assert_memory_equal(&pages[1], data, 5);
	for (u32 i = 5; i < PAGE_SIZE; i++) {
		assert_int_equal(pages[1].bytes[i], 0);
		assert_int_equal(pages[2].bytes[i], 0);
	}
	/* More than the pages hold, though not more than was asked for. */
	ask.ap.num_pages = 2;
	ask.ap.args.out_args[0].size = 3 * PAGE_SIZE;
	ask_send(&ask);
	assert_true(server_run());
	server_reply(got.unique, 0, data, 3 * PAGE_SIZE);
	assert_int_equal(fake_answered(ask.req), 0);
	assert_int_equal(pages[2].bytes[0], 0);

	ask = ask_of(FUSE_WRITE, 40, 8);
	ask.ap.pages = list;
	ask.ap.descs = descs;
	ask.ap.num_pages = 32;
	ask.ap.args.in_pages = true;
	ask.ap.args.in_numargs = 2;
	ask.ap.args.in_args[1].size = 32 * PAGE_SIZE - 6;
	descs[0] = (struct fuse_page_desc){ PAGE_SIZE - 6, 6 };
	memset(&pages[1], 0x21, PAGE_SIZE);
	ask_send(&ask);
	assert_true(server_run());
	assert_int_equal(got.len, sizeof(got) + 40 + 32 * PAGE_SIZE - 6);
	assert_memory_equal(got_body + 40, data, PAGE_SIZE - 6);
	assert_memory_equal(got_body + 40 + PAGE_SIZE - 6, &pages[1],
			    PAGE_SIZE);
	assert_memory_equal(got_body + 40 + 31 * PAGE_SIZE - 6, &pages[31],
			    PAGE_SIZE);
	server_reply(got.unique, 0, data, 8);
	assert_int_equal(fake_answered(ask.req), 0);
	stop();
}

/* Requests of the background: sent by the work queue, many with one doorbell,
 * and ended where no lock is held. */
static void test_background(void **state)
{
	static struct ask asks[8];
	unsigned int doorbells;

	(void)state;
	start();
	doorbells = host_doorbells;
	for (u32 i = 0; i < 8; i++) {
		asks[i] = ask_of(FUSE_WRITE, 100, 0);
		asks[i].ap.args.in_args[0].value = asks[i].in;
		asks[i].ap.args.may_block = i & 1;
		fake_request(fm, &asks[i].ap.args, true);
	}
	assert_int_equal(host_doorbells, doorbells);
	fake_run_queues();
	assert_int_equal(host_doorbells, doorbells + 1);
	for (u32 i = 0; i < 8; i++) {
		assert_true(server_run());
		server_say(got.unique, i == 5 ? -ENOSPC : 0, NULL, 0);
	}
	ring_linux();
	assert_false(asks[0].ended);
	fake_run_queues();
	for (u32 i = 0; i < 8; i++) {
		assert_true(asks[i].ended);
		assert_int_equal(asks[i].error, i == 5 ? -ENOSPC : 0);
	}
	stop();
}

/* Without credit requests wait, in their order; so do more than the host keeps
 * answers for; but locks that wait keep nobody else. */
static void test_queue(void **state)
{
	static struct ask asks[FUSE_CHANNEL_OUT_MAX + 5];
	static struct ask locks[FUSE_SLOTS];
	const u32 n = FUSE_CHANNEL_OUT_MAX + 5;
	u32 waiting = 0;

	(void)state;
	start();
	server.credit = 3 * (sizeof(got) + 100);
	server_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	ring_linux();
	for (u32 i = 0; i < n; i++) {
		asks[i] = ask_of(FUSE_GETATTR, 100, 0);
		asks[i].in[0] = (u8)i;
		ask_send(&asks[i]);
	}
	for (u32 i = 0; i < n; i++) {
		if (!server_run()) {
			/* As many as are allowed; or no credit. */
			server_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
			ring_linux();
			fake_run();
			if (!server_run()) {
				assert_int_equal(i - waiting,
						 FUSE_CHANNEL_OUT_MAX);
				break;
			}
		}
		assert_int_equal(got_body[0], (u8)i);
	}
	server.credit = HOST_CREDIT;
	for (u32 i = 0; i < n; i++) {
		server_say(asks[i].req->in.h.unique, 0, NULL, 0);
		ring_linux();
		fake_run();
		server_take();
		assert_int_equal(fake_answered(asks[i].req), 0);
	}
	while (server_run()) {
	}
	for (u32 i = 0; i < FUSE_SLOTS; i++) {
		locks[i] = ask_of(FUSE_SETLKW, sizeof(struct fuse_lk_in), 0);
		((struct fuse_lk_in *)locks[i].in)->lk_flags = FUSE_LK_FLOCK;
		ask_send(&locks[i]);
		waiting += !is_answered(&locks[i]);
	}
	assert_int_equal(waiting, FUSE_SLOTS - FUSE_CHANNEL_OUT_MAX);
	asks[0] = ask_of(FUSE_GETATTR, 0, 0);
	ask_send(&asks[0]);
	while (server_run()) {
		server_reply(got.unique, 0, NULL, 0);
	}
	assert_int_equal(fake_answered(asks[0].req), 0);
	for (u32 i = 0; i < FUSE_SLOTS; i++) {
		assert_int_equal(fake_answered(locks[i].req), i < waiting ?
				 0 : -ENOLCK);
	}
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mount),
		cmocka_unit_test(test_mount_fails),
		cmocka_unit_test(test_request_and_reply),
		cmocka_unit_test(test_reply_sizes),
		cmocka_unit_test(test_reply_parts),
		cmocka_unit_test(test_message_lengths),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
