/* SPDX-License-Identifier: MIT */
/*
 * Sockets in the volume: who relays connections is told of each, and a name that
 * stands in for one leads to the same inode, for root in the root only, and is no
 * file. Who knows a file may pass it.
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
#define NUMBER	42u

static struct fuse_made last;
static char last_name[256];
static unsigned made_count;
static uint64_t stands;

static void made(void *arg, const void *peer, const struct fuse_made *m)
{
	assert_ptr_equal(arg, &stands);
	assert_non_null(peer);
	last = *m;
	memcpy(last_name, m->name, m->len);
	made_count++;
}

static uint64_t stands_for(void *arg, const void *peer, uint32_t number)
{
	(void)arg;
	(void)peer;
	return number == NUMBER ? stands : 0;
}

static const struct fuse_sockets ops = {
	.made = made, .stands_for = stands_for, .arg = &stands,
};

/* MKNOD; *entry is the answer. */
static int make(struct mount *m, uint64_t dir, const char *name,
		uint32_t mode, struct fuse_entry_out *entry)
{
	const struct fuse_mknod_in in = { .mode = mode };
	int error = ask(m, FUSE_MKNOD, dir, &in, sizeof(in), name, NULL);

	if (error == 0) {
		memcpy(entry, m->reply, sizeof(*entry));
	}
	return error;
}

static int start(void **state)
{
	setup(state);
	made_count = 0;
	stands = 0;
	b.session = 2002;
	connect_to(&b);
	GO(hello(&b, 0), 0);
	GO(init(&b, 41, UINT64_MAX), 0);
	fuse_server_sockets(server, &ops);
	return 0;
}

static void stand_in_is_the_socket(void **state)
{
	struct fuse_entry_out real, got;

	(void)state;
	a.uid = 5;
	GO(make(&a, ROOT_ID, "f", VOLUME_S_IFREG | 0600, &real), 0);
	GO(made_count, 0);
	GO(make(&a, ROOT_ID, "s", VOLUME_S_IFSOCK | 0600, &real), 0);
	GO(made_count, 1);
	GO(last.nodeid, real.nodeid);
	GO(last.uid, 5);
	assert_string_equal(last_name, "s");
	stands = real.nodeid;
	obey();
	GO(make(&b, ROOT_ID, ".isthmus-socket-42", VOLUME_S_IFSOCK | 0755,
		&got), 0);
	GO(got.nodeid, real.nodeid);
	GO(got.attr.mode, VOLUME_S_IFSOCK | 0600);
	GO(got.attr.nlink, 1);
	GO(got.entry_valid, 0);
	GO(made_count, 1);
	GO(lookup_id(&b, ROOT_ID, ".isthmus-socket-42"), 0);
	/* It is counted as a lookup is: it lives without a name. */
	GO(unlink_name(&a, ROOT_ID, "s"), 0);
	obey();
	forget(&a, real.nodeid, 1);
	GO(getattr(&b, real.nodeid, &got.attr), 0);
	GO(got.attr.nlink, 0);
	forget(&b, real.nodeid, 1);
	/* What is gone is stood in for no more. */
	assert_int_not_equal(make(&b, ROOT_ID, ".isthmus-socket-42",
				  VOLUME_S_IFSOCK | 0755, &got), 0);
}

/* All these are names like any other. */
static void others_are_files(void **state)
{
	static const char *const names[] = {
		".isthmus-socket-", ".isthmus-socket-43", ".isthmus-socket-4x",
		".isthmus-socket-0000000042",
	};
	struct fuse_entry_out real, got;
	uint64_t dir;

	(void)state;
	GO(make(&a, ROOT_ID, "s", VOLUME_S_IFSOCK | 0600, &real), 0);
	stands = real.nodeid;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		GO(make(&b, ROOT_ID, names[i], VOLUME_S_IFSOCK, &got), 0);
		assert_int_not_equal(got.nodeid, real.nodeid);
		GO(lookup_id(&a, ROOT_ID, names[i]), got.nodeid);
	}
	GO(make_dir(&b, ROOT_ID, "dir", &dir), 0);
	GO(make(&b, dir, ".isthmus-socket-42", VOLUME_S_IFSOCK, &got), 0);
	assert_int_not_equal(got.nodeid, real.nodeid);
	b.uid = 1;
	GO(make(&b, ROOT_ID, ".isthmus-socket-42", VOLUME_S_IFSOCK, &got), 0);
	assert_int_not_equal(got.nodeid, real.nodeid);
	/* A number that is another file's by now. */
	b.uid = 0;
	GO(unlink_name(&b, ROOT_ID, ".isthmus-socket-42"), 0);
	GO(make(&a, ROOT_ID, "f", VOLUME_S_IFREG, &real), 0);
	stands = real.nodeid;
	GO(make(&b, ROOT_ID, ".isthmus-socket-42", VOLUME_S_IFSOCK, &got),
	   ESTALE);
}

static void who_knows_a_file(void **state)
{
	uint64_t node, fh;

	(void)state;
	GO(make_file(&a, ROOT_ID, "f", &node, &fh), 0);
	assert_true(fuse_server_knows(server, &a, node, true));
	assert_true(fuse_server_knows(server, &a, ROOT_ID, false));
	assert_false(fuse_server_knows(server, &b, node, false));
	assert_false(fuse_server_knows(server, &a, node + (1ull << 32), false));
	GO(lookup_id(&b, ROOT_ID, "f"), node);
	assert_true(fuse_server_knows(server, &b, node, true));
	assert_false(fuse_server_knows(server, &f, node, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stand_in_is_the_socket, start,
						teardown),
		cmocka_unit_test_setup_teardown(others_are_files, start,
						teardown),
		cmocka_unit_test_setup_teardown(who_knows_a_file, start,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
