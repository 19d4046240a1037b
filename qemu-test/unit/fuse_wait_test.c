/* SPDX-License-Identifier: MIT */
/*
 * Requests that wait for a disk: others pass them by; INTERRUPT, the connection's
 * end and the session's end take them away, and nothing of them is done; too many
 * hold the input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/blk/cache.h"
#include "host-bridge/files/fuse_limits.h"
#include "qemu-test/unit/fuse_talk.h"

#define EINTR_LINUX	4
#define EAGAIN_HERE	11

static struct volume_wait *waits[FUSE_AGAIN_MAX + 1];
static unsigned count;
static bool blocked;

static void look(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	(void)wait;
}

static int begin_change(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	for (unsigned i = 0; blocked && i < count; i++) {
		if (waits[i] == wait) {
			return EAGAIN_HERE;
		}
	}
	if (blocked) {
		assert_true(count < FUSE_AGAIN_MAX + 1);
		waits[count++] = wait;
	}
	return blocked ? EAGAIN_HERE : 0;
}

static bool not_lasting;
static unsigned syncs;

static int sync_all(struct volume_turns *turns, struct volume_wait *wait)
{
	syncs++;
	if (not_lasting) {
		blocked = true;
		begin_change(turns, wait);
		blocked = false;
		return EAGAIN_HERE;
	}
	return begin_change(turns, wait);
}

static void end(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	for (unsigned i = 0; i < count; i++) {
		if (waits[i] == wait) {
			waits[i] = waits[--count];
		}
	}
}

static struct volume_turns turns = { look, begin_change, sync_all, end };

static void go(void)
{
	blocked = false;
	for (unsigned i = 0; i < count; i++) {
		waits[i]->ready(waits[i]);
	}
	while (fuse_server_go_on(server, FOREVER)) {
	}
}

/* Says MKDIR, and has no answer. */
static void make_waiting(struct mount *m, const char *name)
{
	struct fuse_mkdir_in in = { .mode = 0755 };
	unsigned replies = m->replies;

	blocked = true;
	begin(m, FUSE_MKDIR, ROOT_ID);
	put_bytes(m, &in, sizeof(in));
	put_text(m, name);
	assert_int_equal(say(m), 0);
	assert_int_equal(m->replies, replies);
	assert_true(count > 0);
}

static void others_pass_by(void **state)
{
	struct fuse_attr attr;
	unsigned replies;

	(void)state;
	make_waiting(&a, "d");
	assert_int_equal(getattr(&a, ROOT_ID, &attr), 0);
	assert_int_equal(find(f.vol, ROOT, "d"), 0);
	replies = a.replies;
	go();
	assert_int_equal(a.replies, replies + 1);
	assert_int_equal(a.error, 0);
	assert_int_equal(a.reply_unique, a.unique - 2);
	assert_int_not_equal(find(f.vol, ROOT, "d"), 0);
	assert_int_equal(count, 0);
}

static void an_interrupted_one_is_not_done(void **state)
{
	struct fuse_interrupt_in in;
	unsigned replies = a.replies;

	(void)state;
	make_waiting(&a, "d");
	in.unique = a.unique;
	begin(&a, FUSE_INTERRUPT, 0);
	put_bytes(&a, &in, sizeof(in));
	assert_int_equal(say(&a), 0);
	assert_int_equal(a.replies, replies + 1);
	assert_int_equal(a.error, EINTR_LINUX);
	assert_int_equal(count, 0);
	go();
	assert_int_equal(a.replies, replies + 1);
	assert_int_equal(find(f.vol, ROOT, "d"), 0);
}

/* It comes again, and is done once. */
static void a_lost_connection_drops_it(void **state)
{
	unsigned replies;

	(void)state;
	make_waiting(&a, "d");
	disconnect(&a);
	assert_int_equal(count, 0);
	go();
	assert_int_equal(find(f.vol, ROOT, "d"), 0);
	connect_to(&a);
	assert_int_equal(hello(&a, 0), 0);
	replies = a.replies;
	assert_int_equal(feed(&a, a.request, a.len), 0);
	assert_int_equal(a.replies, replies + 1);
	assert_int_equal(a.error, 0);
}

static void a_sessions_end_drops_it(void **state)
{
	(void)state;
	make_waiting(&a, "d");
	blocked = false;
	assert_int_equal(ask(&a, FUSE_DESTROY, 0, NULL, 0, NULL, NULL), 0);
	assert_int_equal(count, 0);
	go();
	assert_int_equal(find(f.vol, ROOT, "d"), 0);
}

static void a_write_waits_with_its_data(void **state)
{
	static const char text[] = "all of it, in pieces";
	struct fuse_write_in in = { .size = sizeof(text) };
	struct fuse_attr attr;
	char back[sizeof(text)];
	uint64_t node;
	size_t done;

	(void)state;
	assert_int_equal(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	for (unsigned taken = 0; taken < 3; taken++) {
		unsigned replies = a.replies;

		a.piece = taken == 0 ? 0 : taken * 3;
		in.offset = taken * 100;
		blocked = true;
		begin(&a, FUSE_WRITE, node);
		put_bytes(&a, &in, sizeof(in));
		put_bytes(&a, text, sizeof(text));
		assert_int_equal(say(&a), 0);
		assert_int_equal(a.replies, replies);
		a.piece = 0;
		assert_int_equal(getattr(&a, node, &attr), 0);
		go();
		assert_int_equal(a.replies, replies + 2);
		assert_int_equal(a.error, 0);
		assert_int_equal(((struct fuse_write_out *)a.reply)->size,
				 sizeof(text));
		assert_int_equal(volume_read(f.vol, find(f.vol, ROOT, "x"),
					     in.offset, back, sizeof(back),
					     &done), 0);
		assert_memory_equal(back, text, sizeof(text));
	}
	/* One whose data never come. */
	blocked = true;
	begin(&a, FUSE_WRITE, node);
	put_bytes(&a, &in, sizeof(in));
	put_bytes(&a, text, sizeof(text));
	memcpy(a.request, &a.len, sizeof(a.len));
	assert_int_equal(feed(&a, a.request, a.len - 3), 0);
	disconnect(&a);
	assert_int_equal(count, 0);
	blocked = false;
}

static void too_many_hold_the_input(void **state)
{
	struct fuse_getattr_in in = { 0 };
	unsigned replies = a.replies;
	size_t used;

	(void)state;
	for (unsigned i = 0; i < FUSE_AGAIN_MAX; i++) {
		char name[16];

		assert_false(fuse_conn_held(a.conn));
		snprintf(name, sizeof(name), "d%u", i);
		make_waiting(&a, name);
	}
	assert_true(fuse_conn_held(a.conn));
	begin(&a, FUSE_GETATTR, ROOT_ID);
	put_bytes(&a, &in, sizeof(in));
	memcpy(a.request, &a.len, sizeof(a.len));
	assert_int_equal(fuse_conn_input(a.conn, a.request, a.len, FOREVER,
					 &used), 0);
	assert_int_equal(used, 0);
	go();
	assert_false(fuse_conn_held(a.conn));
	assert_int_equal(a.replies, replies + FUSE_AGAIN_MAX);
	assert_int_equal(feed(&a, a.request, a.len), 0);
	assert_int_equal(a.replies, replies + FUSE_AGAIN_MAX + 1);
}

/* O_DIRECT and O_SYNC together: Linux asks for nothing more. */
static void a_lasting_write_waits(void **state)
{
	struct fuse_write_in in = { .size = 5, .flags = 04050001 };
	const struct fuse_write_out *out = (const void *)a.reply;
	unsigned replies;
	uint64_t node;

	(void)state;
	assert_int_equal(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	syncs = 0;
	assert_int_equal(write_file(&a, node, 0, "first", 5, 0), 0);
	assert_int_equal(syncs, 0);
	replies = a.replies;
	not_lasting = true;
	begin(&a, FUSE_WRITE, node);
	put_bytes(&a, &in, 40);
	put_bytes(&a, "hello", 5);
	assert_int_equal(say(&a), 0);
	assert_int_equal(a.replies, replies);
	assert_int_equal(syncs, 1);
	waits[0]->ready(waits[0]);
	while (fuse_server_go_on(server, FOREVER)) {
	}
	assert_int_equal(a.replies, replies);
	assert_int_equal(syncs, 2);
	not_lasting = false;
	go();
	assert_int_equal(a.replies, replies + 1);
	assert_int_equal(a.error, 0);
	assert_int_equal(out->size, 5);
	assert_int_equal(read_file(&a, node, 0, 10), 0);
	assert_memory_equal(a.reply, "hello", 5);
}

static int set_up(void **state)
{
	talk_turns = &turns;
	count = 0;
	blocked = false;
	return setup(state);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, set_up, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(others_pass_by),
		T(an_interrupted_one_is_not_done),
		T(a_lost_connection_drops_it),
		T(a_sessions_end_drops_it),
		T(a_write_waits_with_its_data),
		T(a_lasting_write_waits),
		T(too_many_hold_the_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
