// SPDX-License-Identifier: MIT
/*
 * The FUSE transport of the Linux driver in a fake kernel: mounts, requests and
 * replies, and what is answered without the host.
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

/* What needs no answer of the host's, and what waits for company. */
static void test_local(void **state)
{
	struct ask open = ask_of(FUSE_OPEN, sizeof(struct fuse_open_in),
				 sizeof(struct fuse_open_out));
	struct ask end = ask_of(FUSE_RELEASE, sizeof(struct fuse_release_in),
				0);
	struct ask flush = ask_of(FUSE_FLUSH, sizeof(struct fuse_flush_in),
				  0);
	struct fuse_open_in *in = (void *)open.in;
	struct fuse_release_in *release = (void *)end.in;
	unsigned int doorbells;

	(void)state;
	start();
	*in = (struct fuse_open_in){ .flags = 0100000 | 0x20 };
	ask_send(&open);
	assert_int_equal(fake_answered(open.req), 0);
	assert_int_equal(((struct fuse_open_out *)open.out)->open_flags,
			 FOPEN_KEEP_CACHE);
	memset(release, 0, sizeof(*release));
	release->fh = ((struct fuse_open_out *)open.out)->fh;
	assert_true(release->fh >> 63);
	ask_send(&end);
	assert_int_equal(fake_answered(end.req), 0);
	ask_send(&flush);
	assert_int_equal(fake_answered(flush.req), 0);
	assert_false(server_run());

	/* For writing: the host is asked; closing is told it later. */
	in->flags = 1;
	ask_send(&open);
	assert_true(server_run());
	server_reply(got.unique, 0, open.out, sizeof(struct fuse_open_out));
	assert_int_equal(fake_answered(open.req), 0);
	release->fh = 5;
	doorbells = host_doorbells;
	ask_send(&end);
	assert_int_equal(fake_answered(end.req), 0);
	assert_int_equal(host_doorbells, doorbells);
	assert_false(server_run());
	assert_true(fake_run_work());
	assert_true(host_doorbells > doorbells);
	assert_true(server_run());
	assert_int_equal(got.opcode, FUSE_RELEASE);
	assert_int_equal(((struct fuse_release_in *)got_body)->fh, 5);
	server_reply(got.unique, 0, NULL, 0);
	/* With flock: it is waited for. */
	release->release_flags = FUSE_RELEASE_FLOCK_UNLOCK;
	ask_send(&end);
	assert_false(is_answered(&end));
	assert_true(server_run());
	server_reply(got.unique, 0, NULL, 0);
	assert_int_equal(fake_answered(end.req), 0);
	stop();
}

/* A POSIX lock: from now on FLUSH is sent, for that node. And so is RELEASE, of
 * any kind: the lock may be the open file's. Until the node is forgotten. */
static void test_local_locks(void **state)
{
	struct ask end = ask_of(FUSE_RELEASE, sizeof(struct fuse_release_in),
				0);
	struct ask flush = ask_of(FUSE_FLUSH, sizeof(struct fuse_flush_in),
				  0);
	struct ask lock = ask_of(FUSE_SETLK, sizeof(struct fuse_lk_in), 0);
	struct fuse_release_in *release = (void *)end.in;
	struct fuse_lk_in *lk = (void *)lock.in;

	(void)state;
	start();
	*lk = (struct fuse_lk_in){ .lk.type = F_WRLCK };
	ask_send(&lock);
	assert_true(server_run());
	server_reply(got.unique, 0, NULL, 0);
	assert_int_equal(fake_answered(lock.req), 0);
	flush.ap.args.nodeid = 8;
	ask_send(&flush);
	assert_int_equal(fake_answered(flush.req), 0);
	flush.ap.args.nodeid = 7;
	ask_send(&flush);
	assert_false(is_answered(&flush));
	assert_true(server_run());
	server_reply(got.unique, 0, NULL, 0);
	assert_int_equal(fake_answered(flush.req), 0);
	for (int i = 0; i < 2; i++) {
		release->release_flags = 0;
		release->fh = i == 0 ? 5 : 1ull << 63 | 1;
		ask_send(&end);
		assert_false(is_answered(&end));
		assert_true(server_run());
		assert_int_equal(((struct fuse_release_in *)got_body)->fh,
				 release->fh);
		server_reply(got.unique, 0, NULL, 0);
		assert_int_equal(fake_answered(end.req), 0);
	}
	fake_forget(fm, 7, 1);
	ask_send(&flush);
	assert_int_equal(fake_answered(flush.req), 0);
	stop();
}

/* Times: the kernel's writing of them is told later, a process' setting is
 * not. */
static void test_times(void **state)
{
	struct ask ask = ask_of(FUSE_SETATTR, sizeof(struct fuse_setattr_in),
				sizeof(struct fuse_attr_out));
	struct fuse_setattr_in *in = (void *)ask.in;
	struct address_space mapping = { 0 };
	struct fuse_inode fi = { .inode = {
		.nodeid = 7, .i_state = I_SYNC, .i_mapping = &mapping,
	} };

	(void)state;
	start();
	*in = (struct fuse_setattr_in){
		.valid = FATTR_MTIME | FATTR_CTIME | FATTR_FH, .mtime = 5,
	};
	sb->inode = &fi.inode;
	ask_send(&ask);
	assert_int_equal(fake_answered(ask.req), 0);
	fi.inode.locked = true;
	ask_send(&ask);
	assert_false(is_answered(&ask));
	assert_true(server_run());
	assert_int_equal(((struct fuse_setattr_in *)got_body)->mtime, 5);
	server_reply(got.unique, 0, ask.out, sizeof(struct fuse_attr_out));
	assert_true(server_run());
	server_reply(got.unique, 0, ask.out, sizeof(struct fuse_attr_out));
	assert_int_equal(fake_answered(ask.req), 0);
	fi.inode.locked = false;
	in->valid |= FATTR_ATIME;
	ask_send(&ask);
	assert_false(is_answered(&ask));
	assert_true(server_run());
	server_reply(got.unique, 0, ask.out, sizeof(struct fuse_attr_out));
	assert_int_equal(fake_answered(ask.req), 0);
	stop();
}

/* What a written file's blocks are comes with the answers to WRITE: after closing
 * it they are known, unless something else is not. */
static void test_blocks(void **state)
{
	struct address_space mapping = { 0 };
	struct fuse_inode fi = { .inode = {
		.nodeid = 7, .i_mode = 0100644, .i_mapping = &mapping,
	} };
	struct ask end = ask_of(FUSE_RELEASE, sizeof(struct fuse_release_in),
				0);
	struct ask write = ask_of(FUSE_WRITE, 100, 8);
	struct fuse_write_out out = { .size = 60, .padding = 24 };

	(void)state;
	start();
	sb->inode = &fi.inode;
	INIT_LIST_HEAD(&fi.queued_writes);
	memset(end.in, 0, sizeof(end.in));
	((struct fuse_release_in *)end.in)->fh = 3;
	for (int i = 0; i < 6; i++) {
		out.padding = i == 5 ? U32_MAX : 24 + i;
		write.ended = false;
		write.ap.args.in_args[0].value = write.in;
		write.ap.args.out_args[0].value = write.out;
		fake_request(fm, &write.ap.args, true);
		fake_run_queues();
		while (server_run()) {
			server_reply(got.unique, 0, &out,
				     got.opcode == FUSE_WRITE ? sizeof(out) :
				     0);
		}
		fake_run_queues();
		assert_true(write.ended);
		assert_int_equal(fi.inode.i_blocks, i == 5 ? 28 : 24 + i);
		fi.inval_mask = STATX_BLOCKS | (i == 1 ? 1 : 0);
		mapping.dirty = i == 2;
		fi.writectr = i == 3;
		fi.inode.i_mode = i == 4 ? 0040755 : 0100644;
		ask_send(&end);
		assert_int_equal(fake_answered(end.req), 0);
		assert_int_equal(fi.inval_mask, i == 0 || i == 5 ? 0 :
				 STATX_BLOCKS | (i == 1 ? 1 : 0));
	}
	sb->inode = NULL;
	stop();
}

/* A write by another user takes set-user-ID bits away: the mode is asked for
 * anew. */
static void test_kill_suid(void **state)
{
	struct fuse_inode fi = { .inode = { .nodeid = 7 } };
	struct ask write = ask_of(FUSE_WRITE, sizeof(struct fuse_write_in),
				  8);
	struct fuse_write_in *in = (void *)write.in;

	(void)state;
	start();
	sb->inode = &fi.inode;
	for (int kill = 0; kill < 2; kill++) {
		*in = (struct fuse_write_in){
			.write_flags = kill ? FUSE_WRITE_KILL_SUIDGID : 0,
		};
		ask_send(&write);
		assert_true(server_run());
		server_reply(got.unique, 0, write.out, 8);
		assert_int_equal(fake_answered(write.req), 0);
		assert_int_equal(fi.inval_mask, kill ? STATX_MODE : 0);
	}
	sb->inode = NULL;
	stop();
}

/* A file that was just made has no capabilities, until somebody sets some. */
static void test_capability(void **state)
{
	struct ask make = ask_of(FUSE_CREATE, 16,
				 sizeof(struct fuse_entry_out));
	struct ask get = ask_of(FUSE_GETXATTR, 8, 8), set = get;
	struct fuse_entry_out entry = { .nodeid = 7 };

	(void)state;
	start();
	get.ap.args.in_numargs = 2;
	get.ap.args.in_args[1].size = 20;
	get.ap.args.in_args[1].value = "security.capability";
	set.ap.args.opcode = FUSE_SETXATTR;
	for (int i = 0; i < 4; i++) {
		if (i == 0) {
			/* Not known yet. */
		} else if (i == 1) {
			ask_send(&make);
			assert_true(server_run());
			server_reply(got.unique, 0, &entry, sizeof(entry));
			assert_int_equal(fake_answered(make.req), 0);
		} else if (i == 2) {
			get.ap.args.in_args[1].value = "security.capabilitz";
		} else {
			get.ap.args.in_args[1].value = "security.capability";
			ask_send(&set);
			assert_true(server_run());
			server_reply(got.unique, 0, set.out, 8);
			assert_int_equal(fake_answered(set.req), 0);
		}
		ask_send(&get);
		assert_int_equal(is_answered(&get), i == 1);
		if (i != 1) {
			assert_true(server_run());
			server_reply(got.unique, 0, get.out, 8);
		}
		assert_int_equal(fake_answered(get.req), i == 1 ? -ENODATA :
				 0);
	}
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
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_local_locks),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_capability),
		cmocka_unit_test(test_kill_suid),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
