/* SPDX-License-Identifier: MIT */
/*
 * A session that has one folder, to read: what it may have it has; anything else it
 * has by no way, whatever it knows of names, numbers and ids, and changes nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/fuse_talk.h"

#define GO	assert_int_equal
#define FOLDER	((uint32_t)folder)
#define F_WRLCK	1u

/* As the first mount knows them. */
static uint64_t folder, sub, in, out;

static int begin_all(void **state)
{
	uint64_t fh;

	setup(state);
	GO(make_dir(&a, ROOT_ID, "folder", &folder), 0);
	GO(make_dir(&a, folder, "sub", &sub), 0);
	GO(make_file(&a, sub, "in", &in, &fh), 0);
	GO(write_file(&a, in, 0, "text", 4, 0), 0);
	GO(release(&a, in, fh, 0, 0), 0);
	GO(make_file(&a, ROOT_ID, "out", &out, &fh), 0);
	GO(release(&a, out, fh, 0, 0), 0);
	b.session = 2002;
	connect_to(&b);
	fuse_conn_confine(b.conn, FOLDER, true);
	GO(hello(&b, 0), 0);
	GO(init(&b, 41, UINT64_MAX), 0);
	return 0;
}

static void what_is_below_is_there(void **state)
{
	struct fuse_attr attr;

	(void)state;
	GO(getattr(&b, ROOT_ID, &attr), 0);
	GO(attr.ino, FOLDER);
	GO(lookup_id(&b, ROOT_ID, "."), ROOT_ID);
	GO(lookup_id(&b, ROOT_ID, "sub"), sub);
	GO(lookup_id(&b, sub, "in"), in);
	GO(read_file(&b, in, 0, 10), 0);
	GO(b.reply_len, 4);
	assert_memory_equal(b.reply, "text", 4);
	/* what others change there it is told, by ids that it knows */
	GO(unlink_name(&a, sub, "in"), 0);
	obey();
	GO(lookup_id(&b, sub, "in"), 0);
}

static void nothing_else_is(void **state)
{
	const uint64_t ids[] = {
		out, folder, VOLUME_ROOT, 1ull << 32 | VOLUME_ROOT,
		sub, in,	/* there, but it has not been told so */
	};
	struct fuse_attr attr;

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		GO(getattr(&b, ids[i], &attr), ESTALE);
		GO(lookup(&b, ids[i], "."), ESTALE);
		GO(read_file(&b, ids[i], 0, 10), ESTALE);
	}
	GO(lookup_id(&b, ROOT_ID, "out"), 0);
	GO(lookup_id(&b, ROOT_ID, "folder"), 0);
	GO(lookup(&b, ROOT_ID, ".."), ESTALE);
	GO(lookup_id(&b, ROOT_ID, "sub"), sub);
	GO(lookup(&b, sub, ".."), ESTALE);
	assert_int_not_equal(lookup(&b, ROOT_ID, "../out"), 0);
	/* nor by a new connection of the session's */
	disconnect(&b);
	connect_to(&b);
	GO(hello(&b, 0), 0);
	GO(getattr(&b, ROOT_ID, &attr), 0);
	GO(attr.ino, FOLDER);
	GO(getattr(&b, out, &attr), ESTALE);
}

static void nothing_changes(void **state)
{
	struct fuse_setattr_in size = { .valid = FATTR_SIZE, .size = 1 };
	struct fuse_attr attr;
	uint64_t node, fh;

	(void)state;
	GO(lookup_id(&b, ROOT_ID, "sub"), sub);
	GO(lookup_id(&b, sub, "in"), in);
	GO(make_file(&b, sub, "new", &node, &fh), EROFS);
	GO(make_dir(&b, ROOT_ID, "new", &node), EROFS);
	GO(unlink_name(&b, sub, "in"), EROFS);
	GO(write_file(&b, in, 0, "x", 1, 0), EROFS);
	GO(open_file(&b, in, 1, &fh), EROFS);		/* O_WRONLY */
	GO(open_file(&b, in, 2, &fh), EROFS);
	GO(open_file(&b, in, 01000, &fh), EROFS);	/* O_TRUNC */
	GO(open_file(&b, in, 0, &fh), 0);
	GO(setxattr(&b, in, "user.a", "x", 1, 0), EROFS);
	GO(ask(&b, FUSE_SETATTR, in, &size, sizeof(size), NULL, NULL), EROFS);
	/* who waits for a lock that it had would wait for ever */
	GO(lock(&b, FUSE_SETLK, in, 7, F_WRLCK, 0, UINT64_MAX >> 1, 0), EROFS);
	GO(lock(&b, FUSE_SETLKW, in, 7, F_WRLCK, 0, UINT64_MAX >> 1, 0), EROFS);
	GO(getattr(&a, in, &attr), 0);
	GO(attr.size, 4);
	/* the other mount changes what it wants */
	GO(write_file(&a, in, 0, "y", 1, 0), 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, begin_all, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_below_is_there), T(nothing_else_is),
		T(nothing_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
