// SPDX-License-Identifier: MIT
/*
 * FUSE mounts of the Linux driver that go on after the channel, or the host's
 * server, has gone and come back; and how they end. In a fake kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse_play.h"

/* Reset of the channel by the host, and up again. */
static void reset(void)
{
	*host_word(0) = CHANNEL_STATE_DOWN;
	host_table[CHANNEL_ST_GENERATION]++;
	fake_interrupt(0);
	server_settle();
}

static void expect(u32 opcode, u64 unique)
{
	assert_true(server_next());
	assert_int_equal(got.opcode, opcode);
	if (unique) {
		assert_int_equal(got.unique, unique);
	}
}

/* The channel goes and comes back: what has no answer goes again under its
 * number, after HELLO and before all new; so do FORGETs, as the host says, and
 * INTERRUPT. */
static void test_resume(void **state)
{
	struct ask a = ask_of(FUSE_MKDIR, 20, 10);
	struct ask b = ask_of(FUSE_SETLKW, sizeof(struct fuse_lk_in), 0);
	struct ask c = ask_of(FUSE_GETATTR, 10, 10);
	struct ask late = ask_of(FUSE_STATFS, 0, 0);
	struct ask end = ask_of(FUSE_RELEASE, sizeof(struct fuse_release_in),
				0);
	u64 one, two, three, four = 0;

	(void)state;
	start();
	memset(end.in, 0, sizeof(end.in));
	((struct fuse_release_in *)end.in)->fh = 9;
	((struct fuse_lk_in *)b.in)->lk_flags = FUSE_LK_FLOCK;
	fake_forget(fm, 40, 1);
	fake_forget(fm, 41, 2);
	fake_forget(fm, 42, 3);
	ask_send(&a);
	one = a.req->in.h.unique;
	ask_send(&b);
	two = b.req->in.h.unique;
	ask_send(&c);
	three = c.req->in.h.unique;
	assert_true(one < two && two < three);
	ask_send(&end);
	assert_int_equal(fake_answered(end.req), 0);
	fake_signal(b.req, false);
	while (server_next()) {
		four = got.opcode == FUSE_RELEASE ? got.unique : four;
	}
	/* c is answered; the host has carried out the first FORGET, it says. */
	server_reply(three, 0, c.out, 10);
	assert_int_equal(fake_answered(c.req), 0);
	server.forgets = 3;
	server.silent = true;
	host_polite = false;
	*host_word(0) = CHANNEL_STATE_DOWN;
	fake_interrupt(0);
	fake_run();
	assert_non_null(strstr(fake.said, "; 3 requests wait\n"));
	host_polite = true;
	reset();
	/* While it is down a request comes. */
	ask_send(&late);
	assert_false(is_answered(&late));
	server_packet(VIRTIO_VSOCK_OP_RESPONSE, NULL, 0);
	ring_linux();
	fake_run();
	expect(FUSE_CHANNEL_HELLO, FUSE_UNIQUE_NONE);
	assert_false(server_next());
	server_hello();
	ring_linux();
	fake_run();
	expect(FUSE_MKDIR, one);
	assert_int_equal(got_body[0], FUSE_MKDIR);
	expect(FUSE_SETLKW, two);
	expect(FUSE_RELEASE, four);
	expect(FUSE_STATFS, 0);
	assert_true(got.unique > four);
	expect(FUSE_INTERRUPT, two | 1);
	assert_false(server_next());
	server_reply(late.req->in.h.unique, 0, NULL, 0);
	server_reply(four, 0, NULL, 0);
	server_reply(two, -EINTR, NULL, 0);
	server_reply(one, 0, a.out, 10);
	assert_int_equal(fake_answered(late.req), 0);
	assert_int_equal(fake_answered(b.req), -EINTR);
	assert_int_equal(fake_answered(a.req), 0);

	/* FORGETs beyond what the host has carried out go again. */
	fake_forget(fm, 43, 1);
	fake_forget(fm, 44, 1);
	fake_run_work();
	server.forgets = 4;
	server.silent = false;
	reset();
	assert_int_equal(server.forgets, 5);
	stop();
}

/* A host that answers a request before it has come again, which was sent after
 * FORGETs that the host says not to have: these go again all the same. */
static void test_answered_early(void **state)
{
	struct ask a = ask_of(FUSE_GETATTR, 10, 10);

	(void)state;
	start();
	for (u64 node = 40; node < 43; node++) {
		fake_forget(fm, node, 1);
	}
	fake_run_work();
	server_settle();
	assert_int_equal(server.forgets, 3);
	ask_send(&a);
	server.forgets = 0;
	server.silent = true;
	reset();
	server_packet(VIRTIO_VSOCK_OP_RESPONSE, NULL, 0);
	ring_linux();
	fake_run();
	while (server_next() && got.opcode != FUSE_CHANNEL_HELLO) {
	}
	server_hello();
	server_reply(a.req->in.h.unique, 0, a.out, 10);
	assert_int_equal(fake_answered(a.req), 0);
	server.silent = false;
	server_settle();
	assert_int_equal(server.forgets, 3);
	stop();
}

/* The host ends the connection by itself: the next one is tried a little later,
 * and no request notices. */
static void test_server_restarts(void **state)
{
	struct ask a = ask_of(FUSE_GETATTR, 10, 10);

	(void)state;
	start();
	ask_send(&a);
	server_packet(VIRTIO_VSOCK_OP_RST, NULL, 0);
	ring_linux();
	server_settle();
	assert_int_equal(server.connects, 1);
	assert_true(fake_run_work());
	server_settle();
	assert_int_equal(server.connects, 2);
	assert_int_equal(got.opcode, FUSE_GETATTR);
	server_reply(got.unique, 0, a.out, 10);
	assert_int_equal(fake_answered(a.req), 0);
	/* What is not FUSE ends it too. */
	server_packet(VIRTIO_VSOCK_OP_RW, "0123456789abcdef", 16);
	ring_linux();
	fake_run_work();
	server_settle();
	assert_int_equal(server.rsts, 1);
	assert_int_equal(server.connects, 3);
	/* A host that knows the session no more: the mount is at its end, and
	 * a new one works. */
	ask_send(&a);
	server.forgetful = true;
	reset();
	assert_int_equal(fake_answered(a.req), -ENOTCONN);
	ask_send(&a);
	assert_int_equal(fake_answered(a.req), -ENOTCONN);
	server.forgetful = false;
	stop();
}

/* A process that waits is killed: it does not wait for the host, which gets to
 * know, and whose answer then finds nobody. */
static void test_killed(void **state)
{
	struct ask a = ask_of(FUSE_LOOKUP, 10, sizeof(struct fuse_entry_out));
	struct ask b = ask_of(FUSE_SETLKW, sizeof(struct fuse_lk_in), 0);
	struct ask c = ask_of(FUSE_GETATTR, 10, 10);
	struct fuse_entry_out entry = { .nodeid = 77 };
	u64 unique;

	(void)state;
	start();
	ask_send(&a);
	unique = a.req->in.h.unique;
	fake_signal(a.req, true);
	assert_int_equal(fake_answered(a.req), -EINTR);
	expect(FUSE_LOOKUP, unique);
	expect(FUSE_INTERRUPT, unique | 1);
	server_reply(unique, 0, &entry, sizeof(entry));
	/* The node that nobody wants is forgotten, before the next request. */
	ask_send(&c);
	assert_true(server_next());
	assert_int_equal(got.opcode, FUSE_FORGET);
	assert_int_equal(got.nodeid, 77);
	expect(FUSE_GETATTR, c.req->in.h.unique);
	server_reply(c.req->in.h.unique, 0, c.out, 10);
	assert_int_equal(fake_answered(c.req), 0);
	server_settle();

	/* First a signal that is not fatal, later one that is. */
	ask_send(&b);
	fake_signal(b.req, false);
	fake_run_work();
	assert_false(is_answered(&b));
	fake.killed = true;
	fake_run_work();
	fake.killed = false;
	assert_int_equal(fake_answered(b.req), -EINTR);

	/* While the channel is down. */
	host_polite = false;
	*host_word(0) = CHANNEL_STATE_DOWN;
	fake_interrupt(0);
	fake_run();
	ask_send(&a);
	ask_send(&c);
	fake_signal(a.req, true);
	assert_int_equal(fake_answered(a.req), -EINTR);
	assert_false(is_answered(&c));
	host_polite = true;
	server_settle();
	assert_int_equal(got.opcode, FUSE_GETATTR);
	server_reply(got.unique, 0, c.out, 10);
	assert_int_equal(fake_answered(c.req), 0);
	stop();
}

/* Credit as a packet of the host's tells it. */
static void credit(u32 bytes)
{
	server.credit = bytes;
	server_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	ring_linux();
	fake_run();
}

/* The same, while nothing can be sent: the host is told later. */
static void test_killed_without_credit(void **state)
{
	struct ask a = ask_of(FUSE_SETLKW, sizeof(struct fuse_lk_in), 0);
	struct ask b = ask_of(FUSE_FLUSH, sizeof(struct fuse_flush_in), 0);
	struct ask c = ask_of(FUSE_GETATTR, 10, 10);
	u64 unique;

	(void)state;
	start();
	memset(a.in, 0, sizeof(a.in));
	ask_send(&a);
	unique = a.req->in.h.unique;
	expect(FUSE_SETLKW, unique);
	credit(0);
	fake_signal(a.req, true);
	assert_int_equal(fake_answered(a.req), -EINTR);
	ask_send(&b);
	ask_send(&c);
	fake_signal(b.req, true);
	fake_signal(c.req, true);
	assert_int_equal(fake_answered(b.req), -EINTR);
	assert_int_equal(fake_answered(c.req), -EINTR);
	assert_false(server_next());
	credit(HOST_CREDIT);
	/* Else the locks would be somebody's who is no more. */
	expect(FUSE_FLUSH, 0);
	assert_int_equal(got.nodeid, 7);
	assert_memory_equal(got_body, b.in, sizeof(struct fuse_flush_in));
	server_reply(got.unique, 0, NULL, 0);
	expect(FUSE_INTERRUPT, unique | 1);
	assert_false(server_next());
	server_reply(unique, -EINTR, NULL, 0);
	stop();
}

static void kill_and_answer(struct ask *ask, const void *reply, u32 len)
{
	u64 unique;

	ask_send(ask);
	unique = ask->req->in.h.unique;
	expect(ask->ap.args.opcode, unique);
	fake_signal(ask->req, true);
	assert_int_equal(fake_answered(ask->req), -EINTR);
	expect(FUSE_INTERRUPT, unique | 1);
	server_reply(unique, 0, reply, len);
}

/* A process changes a file that it may not keep set-user-ID of, and is killed as it
 * waits: whether it was done or not, and also if no answer comes any more, the mode
 * that Linux has is not to be believed. */
static void test_killed_privileges(void **state)
{
	struct fuse_inode fi = { .inode = { .nodeid = 7, .i_mode = 0104777 } };
	struct ask ask = ask_of(FUSE_FALLOCATE,
				sizeof(struct fuse_fallocate_in), 0);

	(void)state;
	start();
	sb->inode = &fi.inode;
	kill_and_answer(&ask, NULL, 0);
	assert_int_equal(fi.inval_mask, STATX_MODE);
	fi.inval_mask = 0;
	ask_send(&ask);
	expect(FUSE_FALLOCATE, ask.req->in.h.unique);
	fake_signal(ask.req, true);
	assert_int_equal(fake_answered(ask.req), -EINTR);
	assert_int_equal(fi.inval_mask, 0);
	reset();
	assert_int_equal(fi.inval_mask, STATX_MODE);
	sb->inode = NULL;
	stop();
}

static void expect_release(u64 nodeid, u64 fh)
{
	expect(FUSE_RELEASE, 0);
	assert_int_equal(got.nodeid, nodeid);
	assert_int_equal(((struct fuse_release_in *)got_body)->fh, fh);
	server_reply(got.unique, 0, NULL, 0);
}

/* What was opened for a process that was killed is closed. */
static void test_killed_opens(void **state)
{
	struct ask a = ask_of(FUSE_OPEN, sizeof(struct fuse_open_in),
			      sizeof(struct fuse_open_out));
	struct ask b = ask_of(FUSE_CREATE, sizeof(struct fuse_create_in),
			      sizeof(struct fuse_found));
	struct fuse_open_out open = { .fh = 31 };
	struct fuse_found found = { .entry.nodeid = 77, .open.fh = 32 };
	struct fuse_out_header head = { .len = sizeof(head) + sizeof(found) };
	u8 message[sizeof(head) + sizeof(found)];
	u64 unique;

	(void)state;
	start();
	memset(a.in, 1, sizeof(a.in));		/* O_WRONLY, and more */
	kill_and_answer(&a, &open, sizeof(open));
	expect_release(7, 31);
	open.fh = 0;
	kill_and_answer(&a, &open, sizeof(open));
	assert_false(server_next());
	kill_and_answer(&b, &found, sizeof(found));
	expect_release(77, 32);
	expect(FUSE_FORGET, 0);
	assert_int_equal(got.nodeid, 77);
	/* Of one of which a part was there already, nothing is known: it is not
	 * taken for another. */
	ask_send(&b);
	unique = head.unique = b.req->in.h.unique;
	expect(FUSE_CREATE, unique);
	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), &found, sizeof(found));
	server_packet(VIRTIO_VSOCK_OP_RW, message, 60);
	ring_linux();
	fake_signal(b.req, true);
	assert_int_equal(fake_answered(b.req), -EINTR);
	server_packet(VIRTIO_VSOCK_OP_RW, message + 60, sizeof(message) - 60);
	ring_linux();
	fake_run();
	expect(FUSE_INTERRUPT, unique | 1);
	assert_false(server_next());
	stop();
}

/* The device is taken away: all fails, and unmounting does not wait. */
static void test_device_removed(void **state)
{
	struct ask a = ask_of(FUSE_LOOKUP, 10, 10);

	(void)state;
	start();
	ask_send(&a);
	fake_remove();
	assert_int_equal(fake_answered(a.req), -ENOTCONN);
	ask_send(&a);
	assert_int_equal(fake_answered(a.req), -ENOTCONN);
	fake_forget(fm, 5, 1);
	fake_umount(sb);
	/* With another device there is another session. */
	assert_int_equal(fake_probe(), 0);
	settle();
	server.session = 0;
	assert_int_equal(fuse_mounted(&sb), 0);
	stop();
}

/* Unmounting while the channel is down. */
static void test_unmount_down(void **state)
{
	(void)state;
	start();
	fake_forget(fm, 5, 1);
	host_polite = false;
	*host_word(0) = CHANNEL_STATE_DOWN;
	fake_interrupt(0);
	fake_run();
	fake_umount(sb);
	host_polite = true;
	server_settle();
	server.session = 0;
	assert_int_equal(fuse_mounted(&sb), 0);
	stop();
}

/* A host that does not answer DESTROY gets 5 s. */
static void silent_turn(void)
{
	server_take();
	fake.time += 3 * HZ;
	fake_run_work();
}

static void test_unmount_silent(void **state)
{
	(void)state;
	start();
	/* Half of a notification is there. */
	server_packet(VIRTIO_VSOCK_OP_RW,
		      &(struct fuse_out_header){ .len = 99, .error = 1 },
		      sizeof(struct fuse_out_header));
	ring_linux();
	fake.sleep = silent_turn;
	fake_umount(sb);
	fake.sleep = NULL;
	server_take();
	assert_int_equal(server.rsts, 1);
	driver_unload();
}

/* ---- Notifications ---- */

static int notice_codes[1000];
static u32 notices;

void isthmus_fuse_notify(struct fuse_session *s, int code, const void *body,
			 u32 len)
{
	(void)s;
	assert(len <= FUSE_NOTICE_MAX);
	assert(len == 0 || *(const u8 *)body == (u8)code ||
	       *(const u8 *)body == 1);
	notice_codes[notices++ % 1000] = code;
}

static void notice(int code, u32 len)
{
	u8 body[FUSE_NOTICE_MAX + 100];

	memset(body, code, sizeof(body));
	server_say(0, code, body, len);
}

static void test_notifications(void **state)
{
	(void)state;
	start();
	notices = 0;
	for (int i = 1; i <= 10; i++) {
		notice(i, (u32)i * 50);
	}
	ring_linux();
	assert_int_equal(notices, 0);
	fake_run_queues();
	assert_int_equal(notices, 10);
	for (int i = 1; i <= 10; i++) {
		assert_int_equal(notice_codes[i - 1], i);
	}
	expect(FUSE_NOTIFY_REPLY, 0);
	assert_int_equal(((struct fuse_channel_done *)got_body)->notified,
			 10);
	assert_false(server_next());

	/* Without credit they are acknowledged as soon as there is some. */
	credit(0);
	notice(11, 1);
	ring_linux();
	fake_run_queues();
	assert_false(server_next());
	credit(HOST_CREDIT);
	expect(FUSE_NOTIFY_REPLY, 0);

	/* Some have come but were not carried out as the channel goes: they
	 * stay, and the host need not send them again. */
	notice(12, 1);
	notice(13, 1);
	ring_linux();
	server.notified = 0;
	*host_word(0) = CHANNEL_STATE_DOWN;
	host_table[CHANNEL_ST_GENERATION]++;
	fake_interrupt(0);
	for (int i = 0; i < 3; i++) {
		settle();
		server_run();
		ring_linux();
	}
	assert_int_equal(server.notified, 13);
	server_settle();
	assert_int_equal(notices, 13);
	assert_int_equal(got.opcode, FUSE_NOTIFY_REPLY);
	assert_int_equal(((struct fuse_channel_done *)got_body)->notified,
			 13);

	stop();
}

/* More than may be under way; too long; no memory. */
static void test_notifications_refused(void **state)
{
	(void)state;
	start();
	for (u32 i = 0; i < FUSE_CHANNEL_NOTIFY_MAX; i++) {
		notice(1, 1);
	}
	ring_linux();
	fake_run();
	assert_int_equal(server.rsts, 0);
	notice(1, 1);
	ring_linux();
	fake_run();
	server_take();
	assert_int_equal(server.rsts, 1);
	fake_run_queues();
	fake_run_work();
	server_settle();
	notice(1, FUSE_NOTICE_MAX + 1);
	ring_linux();
	fake_run();
	server_take();
	assert_int_equal(server.rsts, 2);
	fake_run_work();
	server_settle();
	fake.no_memory = true;
	notice(1, 1);
	ring_linux();
	fake_run();
	fake.no_memory = false;
	server_take();
	assert_int_equal(server.rsts, 3);
	fake_run_work();
	server_settle();
	stop();
}

/* Hostile hosts by the thousand; qemu-test/fuzz/driver_fuse_fuzz.c goes on. */
static void test_hostile(void **state)
{
	u8 script[512];
	u32 x = 2463534242u;

	(void)state;
	for (int round = 0; round < 1000; round++) {
		for (size_t i = 0; i < sizeof(script); i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			script[i] = (u8)(x >> 8);
		}
		driver_fuse_play(script, sizeof(script));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_answered_early),
		cmocka_unit_test(test_server_restarts),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_killed_without_credit),
		cmocka_unit_test(test_killed_privileges),
		cmocka_unit_test(test_killed_opens),
		cmocka_unit_test(test_device_removed),
		cmocka_unit_test(test_unmount_down),
		cmocka_unit_test(test_unmount_silent),
		cmocka_unit_test(test_notifications),
		cmocka_unit_test(test_notifications_refused),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
