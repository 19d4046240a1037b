/* SPDX-License-Identifier: MIT */
/* Sessions of the FUSE server: what outlives a connection, and what does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/files/fuse_server_int.h"
#include "qemu-test/unit/fuse_talk.h"

#define GO	assert_int_equal
#define END	(uint64_t)INT64_MAX

static const struct fuse_channel_hello_out *hello_out(void)
{
	return (const void *)a.reply;
}

static const struct fuse_entry_out *entry(void)
{
	return (const void *)a.reply;
}

static struct fuse_session *session(uint64_t id)
{
	struct fuse_session *s = server->sessions;

	while (s != NULL && s->id != id) {
		s = s->next;
	}
	return s;
}

/* A reset of the channel: both ends go on. */
static void again(struct mount *m)
{
	disconnect(m);
	connect_to(m);
	GO(hello(m, session(m->session)->notices.done), 0);
}

/* The same message once more. */
static int resend(struct mount *m)
{
	unsigned replies = m->replies;

	GO(feed(m, m->request, m->len), 0);
	return m->replies == replies ? -1 : m->error;
}

static void init_negotiates(void **state)
{
	const struct fuse_init_out *out = (const void *)a.reply;
	struct fuse_init_in in = { .major = 7, .minor = 36 };

	(void)state;
	GO(init(&a, 41, UINT64_MAX), 71);	/* it was said already */
	disconnect(&a);
	a.session = 7;
	connect_to(&a);
	GO(hello(&a, 0), 0);
	GO(hello_out()->flags, 0);
	GO(lookup(&a, ROOT_ID, "x"), 71);	/* nothing before it */
	GO(write_file(&a, ROOT_ID, 0, "x", 1, 0), 71);
	in.major = 8;
	GO(ask(&a, FUSE_INIT, 0, &in, sizeof(in), NULL, NULL), 0);
	GO(out->major, 7);
	GO(out->minor, 41);
	in.major = 6;
	GO(ask(&a, FUSE_INIT, 0, &in, sizeof(in), NULL, NULL), 71);
	in.major = 7;
	in.minor = 22;
	GO(ask(&a, FUSE_INIT, 0, &in, sizeof(in), NULL, NULL), 71);
	GO(ask(&a, FUSE_INIT, 0, &in, 24, NULL, NULL), 22);
	GO(ask(&a, FUSE_INIT, 0, &in, 12, NULL, NULL), 22);
	/* An older one, with the short form: its flags are all there are. */
	in.minor = 31;
	in.flags = UINT32_MAX & ~(1u << 30);
	GO(ask(&a, FUSE_INIT, 0, &in, 16, NULL, NULL), 0);
	GO(a.reply_len, sizeof(*out));
	GO(out->minor, 31);
	GO(out->flags2, 0);
	GO(out->flags & (1u << 30), 0);
	assert_true((out->flags & FUSE_WRITEBACK_CACHE) != 0);
	GO(out->max_write, 128 << 10);
	GO(out->max_pages, 32);
	GO(out->time_gran, 1);
	disconnect(&a);
	/* A newer one than we know. */
	a.session = 8;
	connect_to(&a);
	GO(hello(&a, 0), 0);
	GO(init(&a, 99, UINT64_MAX), 0);
	GO(out->minor, 41);
	assert_true((out->flags2 & (1u << 4)) != 0);
	GO(out->flags & 1, 0);			/* FUSE_ASYNC_READ */
}

static void without_ext_setxattr_is_short(void **state)
{
	uint64_t node;

	(void)state;
	disconnect(&a);
	a.session = 9;
	connect_to(&a);
	GO(hello(&a, 0), 0);
	GO(init(&a, 41, UINT64_MAX & ~FUSE_SETXATTR_EXT), 0);
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	begin(&a, FUSE_SETXATTR, node);
	put_bytes(&a, (uint32_t[2]){ 3, 0 }, 8);
	put_text(&a, "user.x");
	put_bytes(&a, "abc", 3);
	GO(talk(&a), 0);
}

/* What must not be done twice is not; its answer is the same. */
static void requests_that_come_again_are_not_done_twice(void **state)
{
	struct fuse_entry_out first;
	struct fuse_rename_in to = { .newdir = ROOT_ID };
	uint64_t node, dir, fh;
	struct fuse_attr attr;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	first = *entry();
	again(&a);
	GO(hello_out()->flags, FUSE_CHANNEL_RESUMED);
	a.unique -= 2;
	GO(make_file(&a, ROOT_ID, "x", &dir, &fh), 0);
	assert_memory_equal(&first, a.reply, sizeof(first));
	GO(fh, ((const struct fuse_open_out *)(entry() + 1))->fh);
	GO(session(a.session)->open_count, 1);
	/* Counted once: one FORGET, and it is unknown. */
	GO(unlink_name(&a, ROOT_ID, "x"), 0);
	again(&a);
	GO(resend(&a), 0);
	again(&a);
	GO(resend(&a), 0);
	GO(release(&a, node, fh, 0, 0), 0);
	again(&a);
	GO(resend(&a), 0);
	forget(&a, node, 1);
	GO(getattr(&a, node, &attr), 116);
	GO(make_dir(&a, ROOT_ID, "d", &dir), 0);
	again(&a);
	GO(resend(&a), 0);
	GO(entry()->nodeid, dir);
	GO(ask(&a, FUSE_RENAME, ROOT_ID, &to, sizeof(to), "d", "e"), 0);
	again(&a);
	GO(resend(&a), 0);
	GO(ask(&a, FUSE_RMDIR, ROOT_ID, NULL, 0, "e", NULL), 0);
	again(&a);
	GO(resend(&a), 0);
	/* Of room it says nothing any more: it may be less. */
	GO(make_file(&a, ROOT_ID, "w", &node, &fh), 0);
	GO(write_file(&a, node, 0, "x", 1, 0), 0);
	GO(a.reply_len, sizeof(struct fuse_write_out) +
			sizeof(struct fuse_channel_room));
	again(&a);
	GO(resend(&a), 0);
	GO(a.reply_len, sizeof(struct fuse_write_out));
	/* An error is one too. */
	GO(unlink_name(&a, ROOT_ID, "e"), 2);
	GO(make_dir(&a, ROOT_ID, "e", &dir), 0);
	again(&a);
	a.unique -= 4;
	GO(unlink_name(&a, ROOT_ID, "e"), 2);
}

/* The first answer may be lost as well. */
static void init_comes_again(void **state)
{
	struct fuse_init_out first;

	(void)state;
	disconnect(&a);
	a.session = 7;
	connect_to(&a);
	GO(hello(&a, 0), 0);
	GO(init(&a, 40, UINT64_MAX), 0);
	memcpy(&first, a.reply, sizeof(first));
	again(&a);
	GO(hello_out()->flags, FUSE_CHANNEL_RESUMED);
	GO(resend(&a), 0);
	assert_memory_equal(&first, a.reply, sizeof(first));
	GO(ask(&a, FUSE_STATFS, ROOT_ID, NULL, 0, NULL, NULL), 0);
}

static void the_last_128_answers_are_kept(void **state)
{
	uint64_t first = a.unique + 2;
	char name[16];
	uint64_t dir;

	(void)state;
	for (unsigned i = 0; i < FUSE_CHANNEL_OUT_MAX; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		GO(make_dir(&a, ROOT_ID, name, &dir), 0);
	}
	again(&a);
	a.unique = first - 2;
	for (unsigned i = 0; i < FUSE_CHANNEL_OUT_MAX; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		GO(make_dir(&a, ROOT_ID, name, &dir), 0);
	}
	/* Without a reset a number is nobody's business. */
	a.unique = first - 2;
	GO(hello(&a, 0), -1);
}

/* Requests that were put off go before it when all come again, and new ones take
 * their places before its answer arrives: it is the newest then. */
static void an_answer_given_again_is_kept_anew(void **state)
{
	uint64_t node, dir, number;
	char name[16];

	(void)state;
	mount_it(&b, 1002);
	GO(make_file(&b, ROOT_ID, "x", &node, NULL), 0);
	GO(lookup_id(&a, ROOT_ID, "x"), node);
	GO(lock(&b, FUSE_SETLK, node, 1, 1, 0, 9, 0), 0);
	number = a.unique;
	GO(lock(&a, FUSE_SETLKW, node, 1, 1, 0, 9, 0), -1);
	GO(make_dir(&a, ROOT_ID, "d", &dir), 0);
	again(&a);
	GO(lock(&b, FUSE_SETLK, node, 1, 2, 0, 9, 0), 0);
	a.unique = number;
	GO(lock(&a, FUSE_SETLKW, node, 1, 1, 0, 9, 0), 0);
	GO(make_dir(&a, ROOT_ID, "d", &dir), 0);
	for (unsigned i = 1; i < FUSE_CHANNEL_OUT_MAX; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		GO(make_dir(&a, ROOT_ID, name, &dir), 0);
	}
	again(&a);
	a.unique = number + 2;
	GO(make_dir(&a, ROOT_ID, "d", &dir), 0);
	GO(make_dir(&a, ROOT_ID, "d1", &dir), 0);
}

static void forgets_are_counted(void **state)
{
	uint64_t node;
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one one[2];
	} batch = { .in.count = 2 };
	struct fuse_attr attr;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	GO(make_file(&a, ROOT_ID, "y", &node, NULL), 0);
	GO(unlink_name(&a, ROOT_ID, "y"), 0);
	again(&a);
	GO(hello_out()->forgets, 0);
	forget(&a, 12345, 7);
	forget(&a, ROOT_ID, 7);
	batch.one[0] = (struct fuse_forget_one){ node, 1 };
	batch.one[1] = (struct fuse_forget_one){ node, UINT64_MAX };
	begin(&a, FUSE_BATCH_FORGET, 0);
	put_bytes(&a, &batch, sizeof(batch));
	GO(say(&a), 0);
	/* The open file needs it still. */
	GO(getattr(&a, node, &attr), 0);
	/* A wrong one does not count. */
	batch.in.count = 3;
	begin(&a, FUSE_BATCH_FORGET, 0);
	put_bytes(&a, &batch, sizeof(batch));
	GO(say(&a), 0);
	begin(&a, FUSE_FORGET, node);
	GO(say(&a), 0);
	again(&a);
	GO(hello_out()->forgets, 4);
	GO(getattr(&a, ROOT_ID, &attr), 0);
}

/* What is open, locked and without a name stays over resets. */
static void sessions_outlive_connections(void **state)
{
	uint64_t node, fh;
	unsigned replies;

	(void)state;
	mount_it(&b, 1002);
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	GO(lookup_id(&b, ROOT_ID, "x"), node);
	GO(write_file(&a, node, 0, "text", 4, 0), 0);
	GO(unlink_name(&a, ROOT_ID, "x"), 0);
	GO(lock(&a, FUSE_SETLK, node, 1, 1, 0, 9, 0), 0);
	GO(lock(&b, FUSE_SETLKW, node, 1, 1, 0, 9, 0), -1);
	for (int i = 0; i < 3; i++) {
		again(&a);
		GO(read_file(&a, node, 0, 10), 0);
		GO(a.reply_len, 4);
		/* It asks again, under the same number. */
		again(&b);
		GO(resend(&b), -1);
		GO(resend(&b), -1);	/* not after a reset: no second one */
	}
	replies = b.replies;
	GO(lock(&a, FUSE_SETLK, node, 1, 2, 0, 9, 0), 0);
	GO(b.replies, replies + 1);
	again(&b);
	GO(resend(&b), 0);
	GO(lock(&a, FUSE_SETLK, node, 1, 1, 0, 9, 0), 11);
}

static void a_write_cut_in_two_comes_again(void **state)
{
	static uint8_t data[5000];
	struct fuse_write_in in = { .size = sizeof(data) };
	uint64_t node;

	(void)state;
	memset(data, 'x', sizeof(data));
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	begin(&a, FUSE_WRITE, node);
	put_bytes(&a, &in, sizeof(in));
	put_bytes(&a, data, sizeof(data));
	memcpy(a.request, &a.len, sizeof(a.len));
	GO(feed(&a, a.request, 3000), 0);
	again(&a);
	GO(resend(&a), 0);
	GO(((const struct fuse_write_out *)a.reply)->size, sizeof(data));
	GO(read_file(&a, node, 0, 8000), 0);
	assert_memory_equal(a.reply, data, sizeof(data));
}

/* The second connection is the session's, and the first is told to end. */
static void a_session_has_one_connection(void **state)
{
	static struct mount c;

	(void)state;
	memset(&c, 0, sizeof(c));
	c.session = a.session;
	c.peer = &a;
	c.unique = 1000;
	connect_to(&c);
	GO(hello(&c, 0), 0);
	assert_true(a.ended);
	a.ended = false;
	begin(&a, FUSE_STATFS, ROOT_ID);
	GO(say(&a), EPROTO);
	GO(ask(&c, FUSE_STATFS, ROOT_ID, NULL, 0, NULL, NULL), 0);
	disconnect(&a);
	GO(ask(&c, FUSE_STATFS, ROOT_ID, NULL, 0, NULL, NULL), 0);
	disconnect(&c);
}

/* The one that waited longest ends for a 65th, if there is one that waits. */
static void the_oldest_makes_room(void **state)
{
	static struct mount many[FUSE_SESSIONS_MAX];

	(void)state;
	for (unsigned i = 0; i < FUSE_SESSIONS_MAX - 1; i++) {
		mount_it(&many[i], 5000 + i);
	}
	b.session = 9000;
	connect_to(&b);
	GO(hello(&b, 0), 24);
	disconnect(&b);
	disconnect(&many[7]);
	disconnect(&many[3]);
	mount_it(&b, 9000);
	assert_null(session(5007));
	assert_non_null(session(5003));
	for (unsigned i = 0; i < FUSE_SESSIONS_MAX - 1; i++) {
		disconnect(&many[i]);
	}
}

/* Only its own Linux finds a session, and has one. */
static void a_session_is_its_peers(void **state)
{
	(void)state;
	b.peer = &a;
	mount_it(&b, 1002);
	assert_null(session(a.session));
	assert_true(a.ended);
	fuse_server_peer_gone(server, "another");
	assert_non_null(session(1002));
	fuse_server_peer_gone(server, &a);
	assert_null(session(1002));
	assert_true(b.ended);
}

static void messages_without_sense_end_the_connection(void **state)
{
	static const struct {
		uint32_t len, opcode;
		uint64_t unique;
	} bad[] = {
		{ 39, FUSE_STATFS, 100 },
		{ 0, FUSE_STATFS, 100 },
		{ MESSAGE_MAX + 1, FUSE_WRITE, 100 },
		{ UINT32_MAX, FUSE_STATFS, 100 },
		{ 40, FUSE_STATFS, 0 },
		{ 64, FUSE_CHANNEL_HELLO, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fuse_in_header in = {
			.len = bad[i].len, .opcode = bad[i].opcode,
			.unique = bad[i].unique,
		};

		GO(feed(&a, &in, sizeof(in)), EPROTO);
		again(&a);
	}
	disconnect(&a);
	/* HELLO is first, whole, and names a session. */
	connect_to(&a);
	begin(&a, FUSE_STATFS, ROOT_ID);
	GO(say(&a), EPROTO);
	disconnect(&a);
	connect_to(&a);
	begin(&a, FUSE_CHANNEL_HELLO, 0);
	GO(say(&a), EPROTO);
	disconnect(&a);
	connect_to(&a);
	a.session = 0;
	GO(hello(&a, 0), -1);
	disconnect(&a);
	mount_it(&a, 77);
	disconnect(&a);
	connect_to(&a);
	GO(hello(&a, 1), -1);		/* nothing was sent yet */
}

/* A mount that has outlived its session is told so, each time it asks. */
static void a_session_that_is_over_is_not_resumed(void **state)
{
	struct fuse_session *s = session(a.session);

	(void)state;
	fuse_session_end(s);
	for (int i = 0; i < 2; i++) {
		disconnect(&a);
		connect_to(&a);
		GO(hello(&a, 57), 0);
		GO(hello_out()->flags, 0);
		fuse_session_end(session(a.session));
	}
}

/* Too long to be read: answered, and taken off the stream. */
static void long_messages_are_skipped(void **state)
{
	static char text[40000];

	(void)state;
	memset(text, 'n', sizeof(text));
	begin(&a, FUSE_LOOKUP, ROOT_ID);
	put_bytes(&a, text, sizeof(text));
	a.piece = 777;
	GO(talk(&a), 36);
	begin(&a, FUSE_FORGET, ROOT_ID);
	put_bytes(&a, text, sizeof(text));
	GO(say(&a), 0);
	GO(session(a.session)->forgets, 0);
	begin(&a, FUSE_SETXATTR, ROOT_ID);
	put_bytes(&a, text, sizeof(text));
	GO(talk(&a), 22);
	GO(ask(&a, FUSE_STATFS, ROOT_ID, NULL, 0, NULL, NULL), 0);
}

static void acknowledge(struct mount *m, uint64_t n)
{
	begin(m, FUSE_NOTIFY_REPLY, 0);
	put_bytes(m, &n, sizeof(n));
	GO(say(m), m->ended ? EPROTO : 0);
}

static void notifications_are_numbered_and_kept(void **state)
{
	struct fuse_notify_inval_inode_out body = { .ino = 5 };
	struct fuse_notify_inval_entry_out dir = { .parent = 1, .namelen = 3 };
	struct fuse_session *s = session(a.session);

	(void)state;
	GO(fuse_notify(s, FUSE_NOTIFY_INVAL_INODE, &body, sizeof(body), NULL,
		       0), 1);
	GO(a.notices, 1);
	GO(a.code, FUSE_NOTIFY_INVAL_INODE);
	GO(a.notice_len, sizeof(body));
	GO(fuse_notify(s, FUSE_NOTIFY_INVAL_ENTRY, &dir, sizeof(dir), "abcd",
		       3), 2);
	GO(a.notice_len, sizeof(dir) + 4);
	assert_string_equal((char *)a.notice + sizeof(dir), "abc");
	acknowledge(&a, 1);
	GO(s->notices.done, 1);
	/* The second one comes again, a third one was made meanwhile. */
	disconnect(&a);
	GO(fuse_notify(s, FUSE_NOTIFY_INVAL_INODE, &body, sizeof(body), NULL,
		       0), 3);
	GO(a.notices, 2);
	connect_to(&a);
	GO(hello(&a, 1), 0);
	GO(a.notices, 4);
	GO(a.code, FUSE_NOTIFY_INVAL_INODE);
	disconnect(&a);
	connect_to(&a);
	GO(hello(&a, 3), 0);
	/* They have come, and are not carried out yet. */
	GO(a.notices, 4);
	GO(s->notices.done, 1);
	acknowledge(&a, 3);
	GO(s->notices.done, 3);
	/* No more than the window. */
	for (unsigned i = 0; i < FUSE_CHANNEL_NOTIFY_MAX + 10; i++) {
		GO(fuse_notify(s, FUSE_NOTIFY_INVAL_INODE, &body, sizeof(body),
			       NULL, 0), 4 + i);
	}
	GO(a.notices, 4 + FUSE_CHANNEL_NOTIFY_MAX);
	acknowledge(&a, 8);
	GO(a.notices, 4 + FUSE_CHANNEL_NOTIFY_MAX + 5);
	/* One that was not sent cannot be done. */
	disconnect(&a);
	connect_to(&a);
	GO(hello(&a, 100000), -1);
	disconnect(&a);
	connect_to(&a);
	GO(hello(&a, 8), 0);
	begin(&a, FUSE_NOTIFY_REPLY, 0);
	put_bytes(&a, &(uint64_t){ 100000 }, 8);
	GO(say(&a), EPROTO);
	assert_true(a.ended);
	a.ended = false;
}

/* A peer that does not read: what has no room waits, in order. */
static void replies_wait_for_room(void **state)
{
	size_t used;
	struct fuse_session *s = session(a.session);
	struct fuse_notify_inval_inode_out body = { .ino = 5 };

	(void)state;
	a.stop = true;
	begin(&a, FUSE_STATFS, ROOT_ID);
	memcpy(a.request, &a.len, 4);
	put_bytes(&a, a.request, a.len);
	GO(fuse_conn_input(a.conn, a.request, a.len, FOREVER, &used), 0);
	GO(used, a.len / 2);
	GO(fuse_conn_input(a.conn, a.request, a.len, FOREVER, &used), 0);
	GO(used, 0);
	GO(fuse_notify(s, FUSE_NOTIFY_INVAL_INODE, &body, sizeof(body), NULL,
		       0), 1);
	GO(a.notices, 0);
	GO(fuse_conn_writable(a.conn), false);	/* the notification is sent */
	GO(a.notices, 1);
	a.stop = false;
	GO(fuse_conn_writable(a.conn), true);
	GO(ask(&a, FUSE_STATFS, ROOT_ID, NULL, 0, NULL, NULL), 0);
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(init_negotiates),
		T(without_ext_setxattr_is_short),
		T(requests_that_come_again_are_not_done_twice),
		T(init_comes_again),
		T(the_last_128_answers_are_kept),
		T(an_answer_given_again_is_kept_anew),
		T(forgets_are_counted),
		T(sessions_outlive_connections),
		T(a_write_cut_in_two_comes_again),
		T(a_session_has_one_connection),
		T(the_oldest_makes_room),
		T(a_session_is_its_peers),
		T(a_session_that_is_over_is_not_resumed),
		T(messages_without_sense_end_the_connection),
		T(long_messages_are_skipped),
		T(notifications_are_numbered_and_kept),
		T(replies_wait_for_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
