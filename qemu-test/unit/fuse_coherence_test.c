/* SPDX-License-Identifier: MIT */
/*
 * Coherence of the FUSE server: what a session is told of another's changes and of
 * the console's, when a reply goes, what waits; acknowledgements that come late,
 * twice, never.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/files/fuse_server_int.h"
#include "qemu-test/unit/fuse_peer.h"

/* A name that somebody looked for in vain is made by another: nobody knows that
 * it was before all have forgotten that it was not. */
static void names_are_told(void **state)
{
	uint64_t made;
	uint32_t cookie;

	(void)state;
	assert_int_equal(node_of(B, "new"), 0);
	made = make(A, "new");
	assert_int_equal(reply(A, made), NONE);
	assert_true(said_name(B, 0, "new"));
	assert_true(said_event(B, 0, EV_CREATE, "new", &cookie));
	assert_int_equal(A->count, 0);
	ack(B, B->count);
	assert_int_equal(reply(A, made), NONE);	/* C knows the root too */
	ack(C, 0);
	assert_int_equal(reply(A, made), NONE);
	ack(C, C->count);
	assert_int_equal(reply(A, made), 0);
	assert_true(node_of(B, "new") != 0);
}

/* The console's changes go to all; it waits for them. */
static void the_console_waits(void **state)
{
	struct fuse_channel_attr attr;
	uint64_t node;
	uint32_t ino, cookie, cookie2;
	unsigned at;

	(void)state;
	assert_true(fuse_server_settled(server));
	ino = new_file(f.vol, ROOT, "file");
	assert_true(said_name(A, 0, "file") && said_name(B, 0, "file"));
	assert_false(fuse_server_settled(server));
	ack_all(A);
	ack_all(B);
	assert_false(fuse_server_settled(server));
	ack_all(C);
	assert_true(fuse_server_settled(server));

	node = node_of(A, "file");
	at = A->count;
	put(f.vol, ino, 0, "12345", 5);
	assert_true(said_attr(A, at, node, &attr));
	assert_int_equal(attr.size, 5);
	assert_true(attr.offset == 0 && attr.length >= 5);
	assert_false(said_attr(B, 0, node, &attr));	/* does not know it */
	assert_true(settle());

	at = A->count;
	assert_int_equal(move(f.vol, ROOT, "file", ROOT, "moved"), 0);
	assert_true(said_name(A, at, "file") && said_name(A, at, "moved"));
	assert_true(said_event(A, at, EV_MOVED_FROM, "file", &cookie));
	assert_true(said_event(A, at, EV_MOVED_TO, "moved", &cookie2));
	assert_true(cookie == cookie2 && cookie != 0);
	assert_true(settle());
	at = A->count;
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("moved")), 0);
	assert_true(said_name(A, at, "moved"));
	assert_true(said_event(A, at, EV_DELETE, "moved", &cookie));
	assert_true(settle());
}

/* What the console changes Linux does not write meanwhile. */
static void files_are_locked(void **state)
{
	struct fuse_channel_attr attr;
	uint64_t node;
	uint32_t ino = new_file(f.vol, ROOT, "f"), cookie;
	unsigned at;

	(void)state;
	assert_true(settle());
	node = node_of(A, "f");
	at = A->count;
	fuse_server_lock(server, ino, ROOT, NAME("f"));
	assert_false(fuse_server_settled(server));
	assert_true(said_node(A, at, FUSE_CHANNEL_NOTIFY_LOCK, node));
	assert_false(said_node(B, 0, FUSE_CHANNEL_NOTIFY_LOCK, node));
	/* That is what it waits for. */
	assert_int_equal(reply(A, write_it(A, node, 0, "abc",
					   FUSE_WRITE_CACHE)), 0);
	assert_true(settle());
	at = A->count;
	put(f.vol, ino, 0, "d", 1);
	assert_true(said_attr(A, at, node, &attr));
	assert_true(attr.size == 3 && attr.length == 1);
	/* B, which does not know it, watches its directory. */
	assert_true(said_event(B, 0, EV_MODIFY, "f", &cookie));
	assert_false(said_node(A, at, FUSE_CHANNEL_NOTIFY_UNLOCK, node));
	fuse_server_unlock(server);
	assert_true(said_node(A, at, FUSE_CHANNEL_NOTIFY_UNLOCK, node));
	assert_true(settle());
	fuse_server_unlock(server);
	assert_true(fuse_server_settled(server));
}

/* Notifications that a connection took along come again on the next, and who
 * waited goes on waiting. */
static void acks_are_lost(void **state)
{
	uint64_t made;

	(void)state;
	ack_all(C);
	made = make(A, "x");
	ack_all(C);
	assert_true(said_name(B, 0, "x"));
	fuse_conn_free(B->conn);
	assert_int_equal(reply(A, made), NONE);
	B->count = 0;
	connect_peer(B);
	assert_true(said_name(B, 0, "x"));
	assert_int_equal(reply(A, made), NONE);
	ack_all(B);
	assert_int_equal(reply(A, made), 0);

	/* The one who waits loses his: his request comes again, and waits. */
	made = make(A, "y");
	ack_all(C);
	fuse_conn_free(A->conn);
	connect_peer(A);
	A->unique -= 2;
	assert_int_equal(made, make(A, "y"));
	assert_int_equal(reply(A, made), NONE);
	ack_all(B);
	assert_int_equal(reply(A, made), 0);
}

/* A session that does not carry out what it is told is cut off; all others go
 * on. */
static void the_deaf_are_cut_off(void **state)
{
	uint64_t made = make(A, "x");

	(void)state;
	ack_all(C);
	assert_true(fuse_server_waiting(server));
	for (unsigned i = 0; i < FUSE_PATIENCE; i++) {
		fuse_server_tick(server);
		assert_int_equal(reply(A, made), NONE);
	}
	fuse_server_tick(server);
	assert_true(B->ended && !C->ended);
	assert_int_equal(reply(A, made), 0);
	assert_false(fuse_server_waiting(server));
}

/* One that has much to write is not deaf; but all has an end. */
static void the_busy_are_waited_for(void **state)
{
	uint64_t made = make(A, "x");

	(void)state;
	ack_all(C);
	for (unsigned i = 0; i < FUSE_PATIENCE_MAX; i++) {
		fuse_server_tick(server);
		assert_int_equal(reply(A, made), NONE);
		(void)node_of(B, "nothing");
	}
	fuse_server_tick(server);
	assert_true(B->ended && !C->ended);
	assert_int_equal(reply(A, made), 0);
}

/* The console reads: what is open for writing is written first, by one session
 * after the other. */
static void the_console_recalls(void **state)
{
	uint64_t a, b;

	(void)state;
	(void)make(A, "a");
	(void)make(B, "b");
	assert_true(settle());
	a = node_of(A, "a");
	b = node_of(B, "b");
	fuse_server_recall(server);
	assert_true(fuse_server_recalled(server));
	(void)open_it(A, a);
	(void)open_it(B, b);
	fuse_server_recall(server);
	assert_false(fuse_server_recalled(server));
	assert_true(said_node(A, 0, FUSE_CHANNEL_NOTIFY_FLUSH, a) !=
		    said_node(B, 0, FUSE_CHANNEL_NOTIFY_FLUSH, b));
	ack_all(A);
	ack_all(B);
	assert_false(fuse_server_recalled(server));
	assert_true(said_node(A, 0, FUSE_CHANNEL_NOTIFY_FLUSH, a) &&
		    said_node(B, 0, FUSE_CHANNEL_NOTIFY_FLUSH, b));
	ack_all(A);
	ack_all(B);
	assert_true(fuse_server_recalled(server));
}

/* More changes than there is room for: one message for all, and none is
 * forgotten. */
static void many_changes_are_one(void **state)
{
	struct fuse_channel_attr attr;
	uint64_t node;
	uint32_t ino;
	unsigned at = 0;
	bool names = false;
	char name[32];

	(void)state;
	ino = new_file(f.vol, ROOT, "kept");
	assert_true(settle());
	node = node_of(A, "kept");
	at = A->count;
	for (unsigned i = 0; i < 30000; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		(void)new_file(f.vol, ROOT, name);
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME(name)), 0);
		put(f.vol, ino, i, "x", 1);
	}
	assert_true(A->count - at <= FUSE_CHANNEL_NOTIFY_MAX);
	while (A->acked < A->count || B->acked < B->count ||
	       C->acked < C->count) {
		assert_false(fuse_server_settled(server));
		ack(A, A->acked + (A->count - A->acked + 1) / 2);
		ack_all(B);
		ack_all(C);
	}
	assert_true(fuse_server_settled(server));
	assert_true(A->count < 40000);
	assert_true(said_attr(A, at, node, &attr));
	assert_int_equal(attr.size, 30000);
	while (at < A->count && !names) {
		const struct said *m = said(A, FUSE_CHANNEL_NOTIFY_ATTR, &at);

		assert_non_null(m);
		memcpy(&attr, m->body, sizeof(attr));
		names = attr.nodeid == FUSE_ROOT_ID &&
			(attr.flags & FUSE_CHANNEL_ATTR_NAMES);
	}
	assert_true(names);
}

/* A mark goes with its node, wherever it is among the others. */
static void what_is_forgotten_is_not_marked(void **state)
{
	struct fuse_session *s = server->sessions;
	const struct fuse_node *marked = NULL;
	struct fuse_channel_attr attr;
	uint32_t ino[5];
	uint64_t node[5];
	char name[2] = "0";
	unsigned at;

	(void)state;
	while (s->conn != A->conn) {
		s = s->next;
	}
	for (unsigned i = 0; i < 5; i++, name[0]++) {
		ino[i] = new_file(f.vol, ROOT, name);
		assert_true(settle());
		node[i] = node_of(A, name);
	}
	while (s->marked == NULL) {
		put(f.vol, ino[0], 0, "x", 1);
	}
	for (unsigned i = 1; i < 5; i++) {
		put(f.vol, ino[i], 0, "x", 1);
	}
	assert_ptr_equal(s->marked_last, fuse_node_find(s, ino[4]));
	fuse_node_forget(s, node[2], 1);
	fuse_node_forget(s, node[4], 1);
	fuse_node_forget(s, node[0], 1);
	assert_int_equal(s->marked->ino, ino[1]);
	marked = s->marked->marked_next;
	assert_true(marked == s->marked_last && marked->ino == ino[3]);
	at = A->count;
	assert_true(settle());
	assert_true(said_attr(A, at, node[1], &attr));
	assert_true(said_attr(A, at, node[3], &attr));
	assert_false(said_attr(A, at, node[2], &attr));
	assert_null(s->marked);
	assert_null(s->marked_last);
}

/* Who asks for attributes because they have changed is told of the size again:
 * when the change was told he may have been about to make the inode. */
static void sizes_are_answered(void **state)
{
	struct fuse_getattr_in in = { 0 };
	struct fuse_channel_attr attr;
	uint64_t node, asked;
	uint32_t ino = new_file(f.vol, ROOT, "f");
	unsigned at;

	(void)state;
	assert_true(settle());
	node = node_of(A, "f");
	put(f.vol, ino, 0, "1234567", 7);
	assert_true(settle());
	at = A->count;
	asked = ask(A, FUSE_GETATTR, node, &in, sizeof(in), NULL);
	assert_int_equal(reply(A, asked), 0);
	assert_true(said_attr(A, at, node, &attr));
	assert_int_equal(attr.size, 7);
	at = A->count;
	asked = ask(A, FUSE_GETATTR, node, &in, sizeof(in), NULL);
	assert_int_equal(reply(A, asked), 0);
	assert_false(said_attr(A, at, node, &attr));
}

/* What a mount has under way in any_order(): its request, and how much each of
 * the others has to carry out before the answer. */
struct under_way {
	uint64_t unique;		/* 0: nothing */
	unsigned need[PEERS];
};

static unsigned pick(unsigned count)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x % count);
}

/* The number of the last INVAL_ENTRY that p was told of that name. */
static unsigned last_told(const struct peer *p, unsigned from,
			  const char *name)
{
	unsigned last = 0;

	for (unsigned at = from; at < p->count; at++) {
		if (p->said[at].code == FUSE_NOTIFY_INVAL_ENTRY &&
		    said_name(p, at, name)) {
			last = at + 1;
		}
	}
	return last;
}

/* A mount makes or removes a file; all others are told at once. */
static void begin_one(struct peer *p, struct under_way *u)
{
	char name[2] = { (char)('a' + pick(4)), '\0' };
	unsigned from[PEERS];
	bool there = find(f.vol, ROOT, name) != 0;

	for (unsigned i = 0; i < PEERS; i++) {
		from[i] = peers[i].count;
	}
	u->unique = there ? ask(p, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, name) :
			    make(p, name);
	for (unsigned i = 0; i < PEERS; i++) {
		u->need[i] = &peers[i] == p ? 0 :
			     last_told(&peers[i], from[i], name);
		assert_true(&peers[i] == p || u->need[i] > 0 ||
			    peers[i].conn == NULL);
	}
}

/* It is not answered before it may be, and is when nothing is missing. */
static void look_at(const struct peer *p, struct under_way *u)
{
	bool may = true, must = true;

	for (unsigned i = 0; i < PEERS; i++) {
		may = may && peers[i].acked >= u->need[i];
		must = must && peers[i].acked == peers[i].count;
	}
	if (reply(p, u->unique) == 0) {
		assert_true(may);
		u->unique = 0;
	} else {
		assert_false(must);
	}
}

/* Requests of three mounts, the console's changes and acknowledgements in any
 * order: no answer goes before all have carried out what it means. */
static void any_order(void **state)
{
	struct under_way under_way[PEERS] = { 0 };

	(void)state;
	for (unsigned step = 0; step < 20000; step++) {
		unsigned n = pick(PEERS);
		struct peer *p = &peers[n];

		switch (pick(4)) {
		case 0:
			if (under_way[n].unique == 0) {
				begin_one(p, &under_way[n]);
			}
			break;
		case 1:
			if (find(f.vol, ROOT, "c") != 0) {
				assert_int_equal(volume_unlink(f.vol, ROOT,
							       NAME("c")), 0);
			} else {
				(void)new_file(f.vol, ROOT, "c");
			}
			break;
		default:
			/* More than there is room for would be marks. */
			ack(p, p->count - p->acked > 100 ? p->count : p->acked +
			    pick(p->count - p->acked + 1));
			break;
		}
		for (unsigned i = 0; i < PEERS; i++) {
			if (under_way[i].unique != 0) {
				look_at(&peers[i], &under_way[i]);
			}
		}
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(names_are_told),
		TEST(the_console_waits),
		TEST(files_are_locked),
		TEST(acks_are_lost),
		TEST(what_is_forgotten_is_not_marked),
		TEST(the_deaf_are_cut_off),
		TEST(the_busy_are_waited_for),
		TEST(any_order),
		TEST(the_console_recalls),
		TEST(many_changes_are_one),
		TEST(sizes_are_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
