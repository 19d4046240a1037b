/* SPDX-License-Identifier: MIT */
/*
 * The FUSE server when memory ends: each allocation of a group of requests fails
 * once. Who asked is told so, or loses his connection and goes on with the next;
 * nothing is lost by it that was there, and nothing stays behind.
 */
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

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static long left = -1;			/* allocations until one fails; <0: never */

static bool fails(void)
{
	return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

/* Connects, if it can. */
static void begin_again(struct mount *m)
{
	struct fuse_session *s;
	uint64_t done = 0;

	disconnect(m);
	for (s = server->sessions; s != NULL; s = s->next) {
		if (s->id == m->session) {
			done = s->notices.sent;
		}
	}
	left = -1;
	connect_to(m);
	GO(hello(m, done), 0);
	if (init(m, 41, UINT64_MAX) != 0) {
		GO(m->error, 71);	/* it was said before */
	}
}

/* Says a message; what it finds is a reply with a reason, or none. */
static int tell(struct mount *m, uint32_t opcode, uint64_t node,
		const void *arg, size_t len, const char *name,
		const char *name2)
{
	unsigned replies = m->replies;

	begin(m, opcode, node);
	put_bytes(m, arg, len);
	if (name != NULL) {
		put_text(m, name);
	}
	if (name2 != NULL) {
		put_text(m, name2);
	}
	if (say(m) == 0 && m->replies == replies) {
		obey();
	}
	if (m->ended) {
		begin_again(m);
		return ENOMEM;
	}
	return m->replies == replies ? -1 : m->error;
}

static void sets_lock(struct mount *m, uint32_t opcode, uint64_t node,
		      uint64_t owner, uint32_t type)
{
	struct fuse_lk_in in = {
		.owner = owner,
		.lk = { .start = 5, .end = 9, .type = type },
	};

	tell(m, opcode, node, &in, sizeof(in), NULL, NULL);
}

/* All that allocates: sessions, users, nodes, open files, locks, waits, answers
 * that are kept, notifications, messages that wait for room. */
static void requests(unsigned number)
{
	struct fuse_create_in create = { .flags = 2, .mode = 0100644 };
	struct fuse_mkdir_in mkdir = { .mode = 0755 };
	struct fuse_read_in list = { .size = 4096 };
	struct fuse_notify_inval_inode_out inval = { .ino = 1 };
	const struct fuse_entry_out *entry = (const void *)a.reply;
	static char value[9000];
	struct fuse_setxattr_in set = { .size = sizeof(value) };
	struct fuse_open_in open = { .flags = 1 };
	uint64_t node = FUSE_ROOT_ID;
	char name[32];

	a.uid = 5000 + number;
	snprintf(name, sizeof(name), "d%u", number);
	tell(&a, FUSE_MKDIR, FUSE_ROOT_ID, &mkdir, sizeof(mkdir), name, NULL);
	name[0] = 'f';
	if (tell(&a, FUSE_CREATE, FUSE_ROOT_ID, &create, sizeof(create), name,
		 NULL) == 0) {
		node = entry->nodeid;
	}
	tell(&a, FUSE_OPEN, node, &open, sizeof(open), NULL, NULL);
	tell(&a, FUSE_READDIRPLUS, FUSE_ROOT_ID, &list, sizeof(list), NULL,
	     NULL);
	begin(&a, FUSE_SETXATTR, node);
	put_bytes(&a, &set, sizeof(set));
	put_text(&a, "user.x");
	put_bytes(&a, value, sizeof(value));
	GO(say(&a), 0);
	sets_lock(&a, FUSE_SETLK, node, 1, 1);
	sets_lock(&a, FUSE_SETLK, node, 1, 0);
	sets_lock(&b, FUSE_SETLKW, node, 2, 1);
	sets_lock(&a, FUSE_SETLK, node, 1, 2);
	sets_lock(&b, FUSE_SETLK, node, 2, 2);
	for (struct fuse_session *s = server->sessions; s != NULL; s = s->next) {
		(void)fuse_notify(s, FUSE_NOTIFY_INVAL_INODE, &inval,
				  sizeof(inval), NULL, 0);
	}
	/* A lock is granted to one who does not read. */
	sets_lock(&a, FUSE_SETLK, node, 1, 1);
	sets_lock(&b, FUSE_SETLKW, node, 2, 1);
	b.stop = true;
	tell(&b, FUSE_STATFS, 1, NULL, 0, NULL, NULL);
	sets_lock(&a, FUSE_SETLK, node, 1, 2);
	b.stop = false;
	if (b.ended) {
		begin_again(&b);
	} else {
		fuse_conn_writable(b.conn);
	}
	sets_lock(&b, FUSE_SETLK, node, 2, 2);
	tell(&a, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, name, NULL);
	name[0] = 'd';
	tell(&a, FUSE_RMDIR, FUSE_ROOT_ID, NULL, 0, name, NULL);
}

static void each_allocation_may_fail(void **state)
{
	uint64_t node, fh;
	unsigned n;

	(void)state;
	mount_it(&b, 1002);
	for (n = 0; n < 2000; n++) {
		left = n;
		requests(n);
		if (left > 0) {
			break;		/* none has failed: that was all */
		}
		left = -1;
		/* Everything works, for those who are there. */
		if (a.ended) {
			begin_again(&a);
		}
		if (b.ended) {
			begin_again(&b);
		}
		fuse_server_tick(server);
		obey();
		a.uid = b.uid = 0;
		GO(make_file(&a, ROOT_ID, "after", &node, &fh), 0);
		GO(lookup_id(&b, ROOT_ID, "after"), node);
		GO(lock(&a, FUSE_SETLK, node, 1, 1, 0, END, 0), 0);
		GO(lock(&b, FUSE_SETLK, node, 1, 1, 0, END, 0), 11);
		GO(unlink_name(&a, ROOT_ID, "after"), 0);
		GO(lock(&a, FUSE_SETLK, node, 1, 2, 0, END, 0), 0);
		GO(release(&a, node, fh, 0, 0), 0);
		forget(&a, node, 1);
		forget(&b, node, 1);
	}
	left = -1;
	assert_true(n > 30 && n < 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_allocation_may_fail,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
