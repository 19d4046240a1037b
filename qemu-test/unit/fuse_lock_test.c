/* SPDX-License-Identifier: MIT */
/* Locks of the FUSE server: two kinds, two mounts, waiting. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/fuse_talk.h"

#define GO	assert_int_equal
#define RD	0u
#define WR	1u
#define UN	2u
#define FLOCK	FUSE_LK_FLOCK
#define END	(uint64_t)INT64_MAX
#define WAITS	-1

static uint64_t node;

static int both(void **state)
{
	uint64_t fh;

	setup(state);
	mount_it(&b, 1002);
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	GO(lookup_id(&b, ROOT_ID, "x"), node);
	return 0;
}

static int set(struct mount *m, uint64_t owner, uint32_t type, uint64_t start,
	       uint64_t end)
{
	return lock(m, FUSE_SETLK, node, owner, type, start, end, 0);
}

static int setw(struct mount *m, uint64_t owner, uint32_t type, uint64_t start,
		uint64_t end)
{
	return lock(m, FUSE_SETLKW, node, owner, type, start, end, 0);
}

static int flock(struct mount *m, uint64_t owner, uint32_t type)
{
	return lock(m, FUSE_SETLK, node, owner, type, 0, END, FLOCK);
}

static int flockw(struct mount *m, uint64_t owner, uint32_t type)
{
	return lock(m, FUSE_SETLKW, node, owner, type, 0, END, FLOCK);
}

/* What is in owner's way; UN: nothing. */
static struct fuse_file_lock get(struct mount *m, uint64_t owner,
				 uint32_t type, uint64_t start, uint64_t end)
{
	GO(lock(m, FUSE_GETLK, node, owner, type, start, end, 0), 0);
	GO(m->reply_len, sizeof(struct fuse_lk_out));
	return ((const struct fuse_lk_out *)m->reply)->lk;
}

static void flush(struct mount *m, uint64_t owner)
{
	struct fuse_flush_in in = { .lock_owner = owner };

	GO(ask(m, FUSE_FLUSH, node, &in, sizeof(in), NULL, NULL), 0);
}

static void ranges_split_and_join(void **state)
{
	struct fuse_file_lock l;

	(void)state;
	GO(set(&a, 1, WR, 0, 99), 0);
	GO(set(&a, 1, UN, 40, 49), 0);
	GO(get(&b, 1, WR, 40, 49).type, UN);
	l = get(&b, 1, WR, 0, END);
	GO(l.type, WR);
	GO(get(&b, 1, RD, 39, 39).end, 39);
	GO(get(&b, 1, RD, 50, 50).start, 50);
	GO(get(&a, 2, RD, 50, 50).pid, 42);
	GO(get(&b, 1, RD, 50, 50).pid, 0);	/* of another Linux */
	/* The gap closes, and it is one again. */
	GO(set(&a, 1, WR, 40, 49), 0);
	l = get(&b, 1, WR, 45, 45);
	GO(l.start, 0);
	GO(l.end, 99);
	/* Another type in the middle. */
	GO(set(&a, 1, RD, 10, 19), 0);
	GO(get(&b, 1, RD, 10, 19).type, UN);
	GO(get(&b, 1, WR, 10, 19).type, RD);
	GO(get(&b, 1, RD, 9, 9).end, 9);
	GO(get(&b, 1, RD, 20, 20).start, 20);
	/* Neighbours join. */
	GO(set(&a, 1, WR, 100, END), 0);
	GO(get(&b, 1, RD, 200, 200).start, 20);
	GO(set(&a, 1, UN, 0, END), 0);
	GO(get(&b, 1, WR, 0, END).type, UN);
}

/* Of several in the way GETLK names the one that begins first. */
static void the_first_is_told(void **state)
{
	(void)state;
	GO(set(&a, 1, WR, 100, 149), 0);
	GO(set(&a, 1, RD, 300, 399), 0);
	GO(set(&a, 2, WR, 160, 199), 0);
	GO(get(&b, 1, WR, 0, END).start, 100);
	GO(get(&b, 1, RD, 0, END).start, 100);
	GO(get(&b, 1, WR, 150, END).start, 160);
	GO(get(&b, 1, WR, 200, END).start, 300);
	GO(get(&b, 1, RD, 200, END).type, UN);
}

static void readers_share_writers_do_not(void **state)
{
	(void)state;
	GO(set(&a, 1, RD, 0, 9), 0);
	GO(set(&a, 2, RD, 5, 15), 0);
	GO(set(&b, 1, RD, 0, END), 0);
	GO(set(&b, 1, WR, 12, 12), 11);
	GO(set(&a, 1, WR, 0, 4), 11);
	GO(set(&b, 1, UN, 0, END), 0);
	GO(set(&a, 1, WR, 0, 4), 0);
	GO(set(&a, 1, WR, 0, 5), 11);
	GO(get(&a, 1, WR, 0, END).start, 5);
	/* The other kind does not see them. */
	GO(flock(&b, 7, WR), 0);
	GO(flock(&a, 8, RD), 11);
	GO(set(&b, 7, RD, 20, 30), 0);
}

static void bad_ones_are_refused(void **state)
{
	(void)state;
	GO(set(&a, 1, 3, 0, 9), 22);
	GO(set(&a, 1, RD, 9, 8), 22);
	GO(set(&a, 1, RD, 0, END + 1), 22);
	GO(lock(&a, FUSE_SETLK, node, 1, RD, 0, 1, 2), 22);
	GO(lock(&a, FUSE_GETLK, node, 1, UINT32_MAX, 0, 1, 0), 22);
	GO(lock(&a, FUSE_SETLK, 4711, 1, RD, 0, 1, 0), 116);
}

static void who_waits_is_woken(void **state)
{
	unsigned replies;

	(void)state;
	GO(set(&a, 1, WR, 0, 9), 0);
	replies = b.replies;
	GO(setw(&b, 1, WR, 5, 20), WAITS);
	GO(setw(&b, 2, RD, 8, 8), WAITS);
	GO(set(&a, 1, UN, 6, END), 0);
	/* Only the second one: byte 5 is locked still; and it is answered in
	 * that call. */
	GO(b.replies, replies + 1);
	GO(b.error, 0);
	flush(&a, 1);
	GO(b.replies, replies + 1);
	GO(set(&b, 2, UN, 0, END), 0);
	GO(b.replies, replies + 3);
	GO(get(&a, 1, RD, 20, 20).start, 5);
}

static void flocks_wait_and_end(void **state)
{
	unsigned replies;

	(void)state;
	GO(flock(&a, 1, RD), 0);
	GO(flock(&b, 2, RD), 0);
	/* To another type: the old one goes first, as in Linux. */
	GO(flock(&b, 2, WR), 11);
	replies = b.replies;
	GO(flockw(&b, 2, WR), WAITS);
	GO(release(&a, node, 0, 1, FUSE_RELEASE_FLOCK_UNLOCK), 0);
	GO(b.replies, replies + 1);
	GO(b.error, 0);
	GO(flock(&a, 1, RD), 11);
	GO(release(&b, node, 99, 2, 0), 0);
	GO(flock(&a, 1, RD), 11);
	GO(flock(&b, 2, UN), 0);
	GO(flock(&a, 1, RD), 0);
}

static void waiting_can_be_interrupted(void **state)
{
	uint64_t waiting;
	struct fuse_interrupt_in in;
	unsigned replies;

	(void)state;
	GO(set(&a, 1, WR, 0, 9), 0);
	GO(setw(&b, 1, WR, 5, 20), WAITS);
	waiting = b.unique;
	replies = b.replies;
	in.unique = waiting + 2;
	begin(&b, FUSE_INTERRUPT, 0);
	put_bytes(&b, &in, sizeof(in));
	GO(say(&b), 0);
	GO(b.replies, replies);
	in.unique = waiting;
	begin(&b, FUSE_INTERRUPT, 0);
	put_bytes(&b, &in, sizeof(in));
	GO(say(&b), 0);
	GO(b.replies, replies + 1);
	GO(b.reply_unique, waiting);
	GO(b.error, 4);
	GO(set(&a, 1, UN, 0, END), 0);
	GO(b.replies, replies + 1);
	GO(get(&a, 1, WR, 0, END).type, UN);
}

static void circles_are_seen(void **state)
{
	(void)state;
	GO(set(&a, 1, WR, 1, 1), 0);
	GO(set(&b, 2, WR, 2, 2), 0);
	GO(set(&a, 3, WR, 3, 3), 0);
	GO(setw(&a, 1, WR, 2, 2), WAITS);
	GO(setw(&b, 2, WR, 3, 3), WAITS);
	GO(setw(&a, 3, WR, 1, 1), 35);
	/* The same number at another mount is somebody else. */
	GO(setw(&b, 3, WR, 1, 1), WAITS);
	GO(set(&a, 3, UN, 0, END), 0);
	GO(b.error, 0);
	/* flock(2) has no such promise, and is not in the circle. */
	GO(flock(&a, 1, WR), 0);
	GO(flockw(&b, 2, WR), WAITS);
}

/* What a session has ends with it; who waits at another one gets it. */
static void locks_end_with_their_session(void **state)
{
	unsigned replies;

	(void)state;
	GO(set(&a, 1, WR, 0, 9), 0);
	GO(flock(&a, 9, WR), 0);
	GO(setw(&b, 1, WR, 5, 20), WAITS);
	GO(flockw(&b, 2, WR), WAITS);
	replies = b.replies;
	/* The connection alone changes nothing. */
	disconnect(&a);
	GO(b.replies, replies);
	fuse_server_peer_gone(server, NULL);
	GO(b.replies, replies);
	connect_to(&a);
	GO(hello(&a, a.done), 0);
	GO(ask(&a, FUSE_DESTROY, 0, NULL, 0, NULL, NULL), 0);
	GO(b.replies, replies + 2);
	GO(b.error, 0);
	disconnect(&b);
	fuse_server_peer_gone(server, &f);
	mount_it(&b, 5);
	GO(flock(&b, 4, WR), 0);
	GO(set(&b, 4, WR, 0, END), 0);
}

/* A node that is forgotten while it has locks keeps them. */
static void a_lock_outlives_its_node(void **state)
{
	(void)state;
	GO(set(&a, 1, WR, 0, 9), 0);
	forget(&a, node, 1);
	GO(release(&a, node, 1, 0, 0), 0);
	GO(set(&b, 1, WR, 0, 9), 11);
	flush(&a, 1);
	GO(set(&b, 1, WR, 0, 9), 0);
}

/* A user who has nothing else keeps his name while one lock takes the place of
 * another. */
static void a_users_only_lock_is_replaced(void **state)
{
	(void)state;
	b.uid = 500;
	GO(set(&b, 1, WR, 0, 9), 0);
	GO(set(&b, 1, RD, 0, 9), 0);
	GO(set(&b, 1, RD, 5, 20), 0);
	GO(set(&b, 1, UN, 0, END), 0);
	b.uid = 501;
	GO(flock(&b, 1, RD), 0);
	GO(flock(&b, 1, WR), 0);
	GO(flock(&a, 1, RD), 11);
	b.uid = 0;
	GO(flock(&b, 1, UN), 0);
	/* One that goes and is not replaced. */
	b.uid = 502;
	GO(flock(&b, 1, RD), 0);
	GO(flock(&a, 1, RD), 0);
	GO(flock(&b, 1, WR), 11);
}

/* Nobody can have all locks, or wait for all. */
static void there_is_something_left_for_others(void **state)
{
	unsigned had = 0, waits = 0;

	(void)state;
	a.uid = 1000;
	while (set(&a, 1, had % 2 == 0 ? RD : WR, had, had) == 0) {
		had++;
		assert_true(had < 10000);
	}
	GO(a.error, 37);
	assert_true(had > 1000);
	/* What needs no more goes on; so does root, and another. */
	GO(set(&a, 1, UN, 0, 0), 0);
	a.uid = 1001;
	GO(set(&a, 2, RD, 20000, 20000), 0);
	while (setw(&a, 3 + waits, WR, 20000, 20000) == WAITS) {
		waits++;
		assert_true(waits < 200);
	}
	GO(a.error, 37);
	assert_true(waits > 30);
	a.uid = 1002;
	GO(setw(&a, 900, WR, 20000, 20000), WAITS);
	a.uid = 0;
	GO(set(&a, 1000, RD, 30000, 30000), 0);
	GO(setw(&a, 901, WR, 20000, 20000), WAITS);
}

/* Whoever unlocks may answer more requests than there are answers kept. */
static void locks_push_no_answer_out(void **state)
{
	uint64_t dir, number = a.unique;

	(void)state;
	GO(set(&b, 1, WR, 0, 9), 0);
	GO(make_dir(&a, ROOT_ID, "d", &dir), 0);
	for (unsigned i = 0; i < FUSE_CHANNEL_WAITS_MAX; i++) {
		GO(setw(&a, i, RD, 0, 9), WAITS);
	}
	GO(flockw(&a, 1, RD), 0);
	GO(setw(&a, 9999, RD, 0, 9), 37);
	GO(set(&b, 1, UN, 0, 9), 0);
	disconnect(&a);
	connect_to(&a);
	GO(hello(&a, a.done), 0);
	a.unique = number;
	GO(make_dir(&a, ROOT_ID, "d", &dir), 0);
	/* A lock that is asked for again is had once. */
	GO(setw(&a, 0, RD, 0, 9), 0);
	GO(set(&b, 1, WR, 0, 9), 11);
	GO(set(&a, 0, UN, 0, 9), 0);
	GO(get(&b, 1, WR, 0, 9).type, RD);
}

/* Of a lock of an open file's own Linux says nothing when that is closed: it
 * ends with the number through which it was set, and so does the wait for one. A
 * file that is open for reading has such a number, too. */
static void what_is_closed_has_no_locks(void **state)
{
	uint64_t one, two;
	unsigned replies;

	(void)state;
	GO(open_file(&a, node, 01000, &one), 0);
	GO(open_file(&a, node, 01000, &two), 0);
	assert_int_not_equal(one, two);
	a.fh = one;
	GO(set(&a, 11, WR, 0, 9), 0);
	GO(set(&a, 11, RD, 20, 29), 0);
	a.fh = two;
	GO(set(&a, 12, WR, 100, 109), 0);
	GO(flock(&a, 12, RD), 0);
	/* Another session's of the same number is another. */
	b.fh = two;
	GO(set(&b, 1, WR, 200, 209), 0);
	GO(setw(&b, 1, WR, 5, 25), WAITS);
	replies = a.replies;
	GO(setw(&a, 13, WR, 200, 200), WAITS);
	GO(release(&a, node, one, 0, 0), 0);
	GO(b.error, 0);
	GO(get(&a, 12, WR, 0, 99).end, 25);
	GO(a.replies, replies + 2);
	/* It comes a second time. */
	GO(release(&a, node, one, 0, 0), 0);
	GO(get(&b, 1, RD, 100, 100).type, WR);
	GO(flock(&b, 1, WR), 11);
	replies = a.replies;
	begin(&a, FUSE_RELEASE, node);
	put_bytes(&a, &(struct fuse_release_in){ .fh = two },
		  sizeof(struct fuse_release_in));
	GO(say(&a), 0);
	/* The wait's, EINTR, and its own. */
	GO(a.replies, replies + 2);
	GO(get(&b, 1, WR, 100, 109).type, UN);
	GO(flock(&b, 1, WR), 0);
	GO(set(&b, 1, UN, 0, END), 0);
	GO(get(&b, 1, WR, 0, END).type, UN);
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, both, teardown)
	const struct CMUnitTest tests[] = {
		T(ranges_split_and_join),
		T(the_first_is_told),
		T(readers_share_writers_do_not),
		T(bad_ones_are_refused),
		T(who_waits_is_woken),
		T(flocks_wait_and_end),
		T(waiting_can_be_interrupted),
		T(circles_are_seen),
		T(locks_end_with_their_session),
		T(a_lock_outlives_its_node),
		T(a_users_only_lock_is_replaced),
		T(there_is_something_left_for_others),
		T(locks_push_no_answer_out),
		T(what_is_closed_has_no_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
