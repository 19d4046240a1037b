/* SPDX-License-Identifier: MIT */
/*
 * The program ends, and another goes on with its sessions: what was answered is so,
 * what was not is done once, whatever had been done of it; locks and open files are
 * had as before. The volume here does not lose what was not lasting: a test that
 * wants that takes it back by itself.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/files/fuse_legacy.h"
#include "host-bridge/files/fuse_lock_int.h"
#include "host-bridge/fs/ext4/volume_int.h"
#include "host-bridge/rt/legacy.h"
#include "qemu-test/unit/fuse_talk.h"

#define GO	assert_int_equal
#define SIZE	0x800000u
#define CHANGE	7u		/* the transaction that is running */

static uint8_t *memory, *copy;
static bool lasts;		/* what is to be lasting becomes so */
static int sync_error;
static unsigned syncs;
static struct volume_wait *waiter;	/* who asked last */

static void look(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	(void)wait;
}

static int begin_change(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	(void)wait;
	return 0;
}

static int sync_all(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	syncs++;
	waiter = wait;
	/* that of what is waited for */
	GO(wait->number, f.vol->dev->running);
	if (lasts) {
		wait->number = 0;
		return sync_error;
	}
	return EAGAIN;
}

static struct volume_turns turns = { look, begin_change, sync_all, look };

static void inside(bool is)
{
	(void)is;
}

static void settle(void)
{
	while (fuse_server_ready(server)) {
		(void)fuse_server_go_on(server, FOREVER);
	}
}

static void peers(void)
{
	fuse_server_peer(server, &a, 1);
	fuse_server_peer(server, &b, 2);
	fuse_server_peers_known(server);
}

static int begin_all(void **state)
{
	memory = calloc(1, SIZE);
	copy = malloc(SIZE);
	legacy_init(memory, SIZE, 0);
	talk_turns = &turns;
	talk_inside = inside;
	talk_settle = settle;
	lasts = true;
	if (setup(state) != 0) {
		return -1;
	}
	f.vol->dev->transaction = CHANGE;
	f.vol->dev->running = 1;
	fuse_lasting_begin(server);
	assert_true(server->leaves);
	peers();
	disconnect(&a);
	mount_it(&a, 77);
	return 0;
}

static int end_all(void **state)
{
	int result;

	f.vol->dev->running = f.vol->dev->transaction = 0;
	result = teardown(state);
	legacy_init(NULL, 0, 0);
	talk_turns = NULL;
	talk_inside = NULL;
	talk_settle = NULL;
	free(memory);
	free(copy);
	return result;
}

/* The program ends here. Transactions from first_lost on have never been. */
static void crash(uint32_t first_lost)
{
	memcpy(copy, memory, SIZE);
	disconnect(&a);
	disconnect(&b);
	fuse_server_free(server);
	memcpy(memory, copy, SIZE);
	legacy_init(memory, SIZE, 1);
	legacy_settle(first_lost);
	server = fuse_server_new(f.vol, talk_turns);
	peers();
}

static int back(struct mount *m, uint64_t received)
{
	connect_to(m);
	GO(hello(m, received), 0);
	return (int)((const struct fuse_channel_hello_out *)
		     (const void *)m->reply)->flags;
}

static int resend(struct mount *m)
{
	unsigned replies = m->replies;

	GO(feed(m, m->request, m->len), 0);
	return m->replies == replies ? -1 : m->error;
}

static struct fuse_session *session(uint64_t id)
{
	struct fuse_session *s = server->sessions;

	while (s != NULL && s->id != id) {
		s = s->next;
	}
	return s;
}

static void answered_once(void **state)
{
	uint64_t node, fh, other;
	struct fuse_entry_out first;
	struct fuse_attr attr;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	memcpy(&first, a.reply, sizeof(first));
	assert_true(syncs > 0);
	crash(CHANGE + 1);
	GO(back(&a, 0), FUSE_CHANNEL_RESUMED);
	/* its answer was lost on the way */
	a.unique -= 2;
	GO(make_file(&a, ROOT_ID, "x", &other, &fh), 0);
	assert_memory_equal(&first, a.reply, sizeof(first));
	GO(session(77)->open_count, 1);
	GO(write_file(&a, node, 0, "abc", 3, 0), 0);
	GO(getattr(&a, node, &attr), 0);
	GO(attr.size, 3);
	crash(CHANGE + 1);
	assert_true(session(77)->kept_next >= 2);
	for (unsigned i = 1; i < session(77)->kept_next; i++) {
		assert_true(session(77)->kept[i - 1].unique <
			    session(77)->kept[i].unique);
	}
	GO(back(&a, 0), FUSE_CHANNEL_RESUMED);
	GO(session(77)->open_count, 1);
	GO(release(&a, node, fh, 0, 0), 0);
	GO(session(77)->open_count, 0);
	/* a number of an open file is had once */
	GO(open_file(&a, node, 2, &other), 0);
	assert_int_not_equal(other, fh);
	GO(unlink_name(&a, ROOT_ID, "x"), 0);
	crash(CHANGE + 1);
	GO(back(&a, 0), FUSE_CHANNEL_RESUMED);
	GO(resend(&a), 0);
	GO(lookup_id(&a, ROOT_ID, "x"), 0);
}

/* Nobody is told before it is lasting; and what never was is done anew. */
static void not_answered_before(void **state)
{
	struct fuse_create_in in = { .flags = 2, .mode = 0100644 };
	uint64_t node, fh;
	unsigned replies = a.replies;

	(void)state;
	lasts = false;
	begin(&a, FUSE_CREATE, ROOT_ID);
	put_bytes(&a, &in, sizeof(in));
	put_text(&a, "y");
	GO(say(&a), 0);
	GO(a.replies, replies);
	/* it comes again, by another connection, and waits */
	disconnect(&a);
	GO(back(&a, 0), FUSE_CHANNEL_RESUMED);
	GO(resend(&a), -1);
	crash(CHANGE);
	GO(session(77)->node_count, 0);
	GO(volume_unlink(f.vol, VOLUME_ROOT, "y", 1), 0);
	lasts = true;
	GO(back(&a, 0), FUSE_CHANNEL_RESUMED);
	GO(session(77)->open_count, 0);
	a.unique -= 2;
	GO(make_file(&a, ROOT_ID, "y", &node, &fh), 0);
	GO(session(77)->open_count, 1);
	GO(release(&a, node, fh, 0, 0), 0);
	GO(session(77)->open_count, 0);
	/* what reads only need not last */
	lasts = false;
	GO(lookup(&a, ROOT_ID, "y"), 0);
	/* and what cannot become lasting is no success */
	lasts = true;
	sync_error = EIO;
	GO(unlink_name(&a, ROOT_ID, "y"), EIO);
	sync_error = 0;
}

static void locks_stay(void **state)
{
	uint64_t node, fh, theirs;

	(void)state;
	mount_it(&b, 78);
	GO(make_file(&a, ROOT_ID, "l", &node, &fh), 0);
	theirs = lookup_id(&b, ROOT_ID, "l");
	GO(lock(&a, FUSE_SETLK, node, 5, FUSE_WRLCK, 0, 99, 0), 0);
	GO(lock(&a, FUSE_SETLK, node, 5, FUSE_UNLCK, 40, 49, 0), 0);
	GO(lock(&a, FUSE_SETLK, node, 6, FUSE_WRLCK, 0, 0, FUSE_LK_FLOCK), 0);
	crash(CHANGE + 1);
	GO(back(&a, a.done), FUSE_CHANNEL_RESUMED);
	GO(back(&b, b.done), FUSE_CHANNEL_RESUMED);
	GO(lock(&b, FUSE_SETLK, theirs, 5, FUSE_RDLCK, 39, 39, 0), EAGAIN);
	GO(lock(&b, FUSE_SETLK, theirs, 5, FUSE_RDLCK, 50, 50, 0), EAGAIN);
	GO(lock(&b, FUSE_SETLK, theirs, 5, FUSE_RDLCK, 40, 49, 0), 0);
	GO(lock(&b, FUSE_SETLK, theirs, 5, FUSE_RDLCK, 0, 0, FUSE_LK_FLOCK),
	   EAGAIN);
	GO(lock(&a, FUSE_SETLK, node, 5, FUSE_UNLCK, 0, 1000, 0), 0);
	GO(lock(&a, FUSE_SETLK, node, 6, FUSE_UNLCK, 0, 0, FUSE_LK_FLOCK), 0);
	GO(lock(&b, FUSE_SETLK, theirs, 5, FUSE_RDLCK, 0, 99, 0), 0);
	crash(CHANGE + 1);
	GO(back(&a, a.done), FUSE_CHANNEL_RESUMED);
	GO(lock(&a, FUSE_SETLK, node, 5, FUSE_WRLCK, 99, 99, 0), EAGAIN);
	GO(lock(&a, FUSE_SETLK, node, 5, FUSE_WRLCK, 100, 100, 0), 0);
	/* and a session's end is the end of all it has left */
	fuse_server_peer_gone(server, &b);
	crash(CHANGE + 1);
	GO(back(&a, a.done), FUSE_CHANNEL_RESUMED);
	GO(lock(&a, FUSE_SETLK, node, 5, FUSE_WRLCK, 0, 200, 0), 0);
	assert_null(session(78));
}

/* What a kernel has been told and may not have done, it is told to ask for. */
static void caches_are_told_again(void **state)
{
	uint64_t node, fh, theirs, told;

	(void)state;
	mount_it(&b, 78);
	GO(make_file(&a, ROOT_ID, "c", &node, &fh), 0);
	theirs = lookup_id(&b, ROOT_ID, "c");
	forget(&b, theirs, 1);
	theirs = lookup_id(&b, ROOT_ID, "c");
	told = b.told;
	/* heard, and not done when all ends */
	begin(&a, FUSE_WRITE, node);
	put_bytes(&a, &(struct fuse_write_in){ .size = 1 },
		  sizeof(struct fuse_write_in));
	put_bytes(&a, "x", 1);
	GO(say(&a), 0);
	assert_true(b.told > told);
	told = b.told;
	crash(CHANGE + 1);
	GO(back(&b, told), FUSE_CHANNEL_RESUMED);
	GO(((const struct fuse_channel_hello_out *)
	    (const void *)b.reply)->forgets, 1);
	assert_true(b.told > told);
	GO(b.code, FUSE_CHANNEL_NOTIFY_ATTR);
	obey();
	GO(session(78)->notices.done, b.told);
	GO(back(&a, a.done), FUSE_CHANNEL_RESUMED);
	GO(resend(&a), 0);
	/* what it has done it is not told once more, nor anything else */
	told = b.told;
	crash(CHANGE + 1);
	GO(back(&b, told), FUSE_CHANNEL_RESUMED);
	GO(b.told, told);
	GO(back(&a, a.done), FUSE_CHANNEL_RESUMED);
}

/* A WRITE finds the disk full in the middle; while the last of its data comes another
 * Linux asks for something. What it has written is as little there, if it never became
 * lasting, as any other change. */
static void a_short_write_is_done_anew(void **state)
{
	static uint8_t data[FUSE_CHANNEL_DATA_MAX];
	struct fuse_write_in in = { .size = sizeof(data) };
	uint32_t size = sizeof(data);
	struct fuse_attr attr;
	uint64_t node, fh;

	(void)state;
	mount_it(&b, 78);
	GO(make_file(&a, ROOT_ID, "w", &node, &fh), 0);
	f.vol->dev->transaction = CHANGE + 1;
	for (; size == sizeof(data); in.offset += size) {
		begin(&a, FUSE_WRITE, node);
		put_bytes(&a, &in, sizeof(in));
		put_bytes(&a, data, sizeof(data));
		memcpy(a.request, &a.len, sizeof(a.len));
		GO(feed(&a, a.request, a.len - 1), 0);
		GO(getattr(&b, ROOT_ID, &attr), 0);
		GO(feed(&a, a.request + a.len - 1, 1), 0);
		GO(a.reply_unique, a.unique);
		GO(a.error, 0);
		size = ((const struct fuse_write_out *)a.reply)->size;
	}
	assert_in_range(size, 1, sizeof(data) - 1);
	crash(CHANGE + 1);
	assert_true(session(77)->kept_next > 0);
	for (unsigned i = 0; i < FUSE_CHANNEL_OUT_MAX; i++) {
		assert_int_not_equal(session(77)->kept[i].unique, a.unique);
	}
}

/* As many answers as there may be are lost, and some are asked for again before another
 * Linux has heard what it was owed: none takes another one's place. */
static void answers_have_one_place_each(void **state)
{
	uint64_t node, fh, theirs, told, first;
	struct fuse_in_header in = { .opcode = FUSE_LOOKUP, .nodeid = ROOT_ID };
	bool there[FUSE_CHANNEL_OUT_MAX] = { false };

	(void)state;
	mount_it(&b, 78);
	GO(make_file(&a, ROOT_ID, "c", &node, &fh), 0);
	theirs = lookup_id(&b, ROOT_ID, "c");
	told = b.told;
	begin(&a, FUSE_WRITE, node);
	put_bytes(&a, &(struct fuse_write_in){ .size = 1 },
		  sizeof(struct fuse_write_in));
	put_bytes(&a, "x", 1);
	GO(say(&a), 0);
	assert_true(b.told > told && theirs != 0);
	told = b.told;
	obey();
	first = a.unique + 2;
	for (unsigned i = 0; i < FUSE_CHANNEL_OUT_MAX; i++) {
		GO(lookup_id(&a, ROOT_ID, "c"), node);
		GO(a.unique, first + 2 * i);
	}
	b.done = told - 1;		/* it has not done it, by what it said last */
	session(78)->notices.done = b.done;
	fuse_legacy_count(session(78));
	crash(CHANGE + 1);
	GO(back(&b, b.done), FUSE_CHANNEL_RESUMED);
	GO(back(&a, a.done), FUSE_CHANNEL_RESUMED);
	/* out of their order, and each but once, as Linux does */
	for (unsigned i = 0; i < 40; i++) {
		in.unique = first + 2 * ((i * 37) % FUSE_CHANNEL_OUT_MAX);
		assert_true(fuse_later_known(session(77), in.unique) ||
			    fuse_kept_send(session(77), &in));
	}
	if (session(77)->later == NULL) {
		fail_msg("b is owed nothing");
	}
	obey();
	assert_null(session(77)->later);
	for (unsigned i = 0; i < FUSE_CHANNEL_OUT_MAX; i++) {
		uint64_t at = (session(77)->kept[i].unique - first) / 2;

		assert_in_range(at, 0, FUSE_CHANNEL_OUT_MAX - 1);
		assert_false(there[at]);
		there[at] = true;
	}
}

/* A file that is forgotten and looked up again: the program that would have done both
 * ends, and they come to the next one in the other order. */
static void looked_up_before_forgotten(void **state)
{
	uint64_t node, fh;
	struct fuse_attr attr;

	(void)state;
	GO(make_file(&a, ROOT_ID, "f", &node, &fh), 0);
	GO(release(&a, node, fh, 0, 0), 0);
	GO(lookup_id(&a, ROOT_ID, "f"), node);
	crash(CHANGE + 1);
	GO(back(&a, 0), FUSE_CHANNEL_RESUMED);
	GO(lookup_id(&a, ROOT_ID, "f"), node);
	forget(&a, node, 2);
	/* Linux has it, by the second look, and has it open */
	GO(unlink_name(&a, ROOT_ID, "f"), 0);
	GO(getattr(&a, node, &attr), 0);
	crash(CHANGE + 1);
	GO(back(&a, 0), FUSE_CHANNEL_RESUMED);
	forget(&a, node, 1);
	GO(getattr(&a, node, &attr), ESTALE);
}

/* Sends a CREATE, and does not wait for its answer. */
static void ask_create(const char *name)
{
	struct fuse_create_in in = { .flags = 2, .mode = 0100644 };

	begin(&a, FUSE_CREATE, ROOT_ID);
	put_bytes(&a, &in, sizeof(in));
	put_text(&a, name);
	GO(say(&a), 0);
}

/* Who waits is answered when the disk has it, without asking again; and of what it
 * will never have an error is all that comes. */
static void waits_until_it_lasts(void **state)
{
	unsigned replies = a.replies;

	(void)state;
	lasts = false;
	ask_create("w");
	ask_create("v");
	settle();
	GO(a.replies, replies);
	assert_false(fuse_server_ready(server));
	lasts = true;
	waiter->ready(waiter);
	assert_true(fuse_server_ready(server));
	settle();
	GO(a.replies, replies + 2);
	GO(a.error, 0);
	sync_error = EIO;
	ask_create("u");
	settle();
	GO(a.replies, replies + 3);
	GO(a.error, EIO);
	GO(a.reply_len, 0);
	sync_error = 0;
	assert_true(lookup_id(&a, ROOT_ID, "w") != 0);
	GO(a.replies, replies + 4);
}

static unsigned records(void)
{
	unsigned n = 0;

	for (int kind = LEGACY_SESSION; kind <= LEGACY_LOCK; kind++) {
		for (void *r = NULL; (r = legacy_next(kind, r)) != NULL; n++) {
		}
	}
	return n;
}

/* A session of which not all could be left, one that had not begun, and what is of
 * no session: nothing is taken up of them, and nothing stays. */
static void what_is_not_whole_goes(void **state)
{
	struct fuse_left_node stray = { .head.owner = 999, .ino = 2 };
	uint64_t node, fh;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		if (i > 0) {
			mount_it(&a, 80 + i);
		}
		GO(make_file(&a, ROOT_ID, i == 0 ? "p" : i == 1 ? "q" : "r",
			     &node, &fh), 0);
		GO(lock(&a, FUSE_SETLK, node, 5, FUSE_WRLCK, 0, 9, 0), 0);
		if (i == 2) {
			fuse_server_peer_gone(server, &a);
			assert_non_null(legacy_add(LEGACY_NODE, &stray));
		} else if (i == 1) {
			session(80 + i)->left->minor = 0;
		} else {
			session(77)->left->partial = true;
		}
		assert_true(records() > 0);
		crash(CHANGE + 1);
		assert_null(server->sessions);
		GO(records(), 0);
	}
	connect_to(&a);
}

/* Locks of the one are no other's to take up, however often. */
static void each_has_its_own(void **state)
{
	uint64_t node, fh, theirs;

	(void)state;
	mount_it(&b, 78);
	GO(make_file(&a, ROOT_ID, "l", &node, &fh), 0);
	theirs = lookup_id(&b, ROOT_ID, "l");
	GO(lock(&a, FUSE_SETLK, node, 5, FUSE_WRLCK, 0, 99, 0), 0);
	GO(lock(&b, FUSE_SETLK, theirs, 5, FUSE_WRLCK, 100, 199, 0), 0);
	for (unsigned i = 0; i < 3; i++) {
		crash(CHANGE + 1);
	}
	GO(back(&a, a.done), FUSE_CHANNEL_RESUMED);
	GO(back(&b, b.done), FUSE_CHANNEL_RESUMED);
	GO(lock(&b, FUSE_SETLK, theirs, 5, FUSE_RDLCK, 99, 99, 0), EAGAIN);
	GO(lock(&a, FUSE_SETLK, node, 5, FUSE_RDLCK, 100, 100, 0), EAGAIN);
	/* nor is there one twice: what b gives back another of a's can have */
	GO(lock(&b, FUSE_SETLK, theirs, 5, FUSE_UNLCK, 100, 199, 0), 0);
	GO(lock(&a, FUSE_SETLK, node, 6, FUSE_WRLCK, 100, 199, 0), 0);
	session(78)->read_only = true;
	fuse_legacy_count(session(78));
	crash(CHANGE + 1);
	assert_true(session(78)->read_only);
	assert_false(session(77)->read_only);
	/* one that comes new has another number */
	disconnect(&b);
	mount_it(&b, 79);
	assert_true(session(79)->left->number > session(77)->left->number);
	assert_true(session(79)->left->number / LEGACY_SHARERS > 2);
	GO(session(79)->left->number % LEGACY_SHARERS, 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answered_once, begin_all,
						end_all),
		cmocka_unit_test_setup_teardown(not_answered_before, begin_all,
						end_all),
		cmocka_unit_test_setup_teardown(locks_stay, begin_all, end_all),
		cmocka_unit_test_setup_teardown(caches_are_told_again,
						begin_all, end_all),
		cmocka_unit_test_setup_teardown(a_short_write_is_done_anew,
						begin_all, end_all),
		cmocka_unit_test_setup_teardown(answers_have_one_place_each,
						begin_all, end_all),
		cmocka_unit_test_setup_teardown(looked_up_before_forgotten,
						begin_all, end_all),
		cmocka_unit_test_setup_teardown(waits_until_it_lasts,
						begin_all, end_all),
		cmocka_unit_test_setup_teardown(what_is_not_whole_goes,
						begin_all, end_all),
		cmocka_unit_test_setup_teardown(each_has_its_own, begin_all,
						end_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
