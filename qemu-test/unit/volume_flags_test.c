/* SPDX-License-Identifier: MIT */
/*
 * Flags of files, and what immutable and append-only forbid.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_fixture.h"

#define EXTENTS		0x80000u	/* all files of ours have them */
#define DIRSYNC		0x10000u
#define IMMUTABLE	VOLUME_FL_IMMUTABLE
#define APPEND		VOLUME_FL_APPEND
#define NODUMP		VOLUME_FL_NODUMP

static int set(struct volume *vol, uint32_t ino, uint32_t flags)
{
	return volume_set_flags(vol, ino, flags | EXTENTS);
}

static uint32_t flags_of(struct volume *vol, uint32_t ino)
{
	uint32_t flags;

	assert_int_equal(volume_get_flags(vol, ino, &flags), 0);
	assert_int_equal(attr_of(vol, ino).flags, flags);
	return flags;
}

static void test_set_and_inherit(void **state)
{
	struct fixture f;
	uint32_t a, d, l;

	(void)state;
	fixture_open(&f, 16, "");
	a = new_file(f.vol, ROOT, "a");
	d = new_dir(f.vol, ROOT, "d");
	assert_int_equal(volume_symlink(f.vol, ROOT, NAME("l"), NAME("x"),
					&file_make, &l), 0);
	assert_int_equal(flags_of(f.vol, a), EXTENTS);
	assert_int_equal(set(f.vol, a, NODUMP | APPEND), 0);
	assert_int_equal(flags_of(f.vol, a), EXTENTS | NODUMP | APPEND);
	assert_int_equal(volume_set_flags(f.vol, a, NODUMP), EOPNOTSUPP);
	assert_int_equal(set(f.vol, a, 0x40000), EOPNOTSUPP);
	assert_int_equal(set(f.vol, a, 0x40000000), EOPNOTSUPP);
	assert_int_equal(set(f.vol, a, 0x02000000), EOPNOTSUPP);
	assert_int_equal(set(f.vol, a, DIRSYNC), EOPNOTSUPP);
	assert_int_equal(set(f.vol, l, NODUMP), EOPNOTSUPP);
	assert_int_equal(set(f.vol, a, 0x800), 0);	/* not set, no error */
	assert_int_equal(flags_of(f.vol, a), EXTENTS);
	assert_int_equal(set(f.vol, a, NODUMP), 0);
	assert_int_equal(set(f.vol, d, NODUMP | DIRSYNC | APPEND), 0);
	fixture_reopen(&f);
	assert_int_equal(flags_of(f.vol, a), EXTENTS | NODUMP);
	assert_int_equal(flags_of(f.vol, d), EXTENTS | NODUMP | DIRSYNC |
			 APPEND);
	assert_int_equal(flags_of(f.vol, new_file(f.vol, d, "a")),
			 EXTENTS | NODUMP);
	assert_int_equal(flags_of(f.vol, new_dir(f.vol, d, "d")),
			 EXTENTS | NODUMP | DIRSYNC);
	assert_int_equal(volume_symlink(f.vol, d, NAME("l"), NAME("x"),
					&file_make, &l), 0);
	assert_int_equal(flags_of(f.vol, l), NODUMP);
	fixture_close(&f);
}

/* Everything that would change a file or directory of its own. */
static void test_forbidden(void **state)
{
	const uint32_t flags[] = { IMMUTABLE, APPEND, IMMUTABLE | APPEND };
	struct fixture f;

	(void)state;
	fixture_open(&f, 16, "");
	for (size_t i = 0; i < 3; i++) {
		uint32_t a = new_file(f.vol, ROOT, "a"), ino;
		struct volume_attr attr = attr_of(f.vol, a);
		struct volume *vol = f.vol;
		size_t done;

		put(vol, a, 0, "content", 7);
		attr.size = 20;
		assert_int_equal(set(vol, a, flags[i]), 0);
		assert_int_equal(volume_unlink(vol, ROOT, NAME("a")), EPERM);
		assert_int_equal(move(vol, ROOT, "a", ROOT, "b"), EPERM);
		ino = new_file(vol, ROOT, "c");
		assert_int_equal(move(vol, ROOT, "c", ROOT, "a"), EPERM);
		assert_int_equal(volume_rename(vol, ROOT, NAME("c"), ROOT,
					       NAME("a"),
					       VOLUME_RENAME_EXCHANGE), EPERM);
		assert_int_equal(volume_link(vol, a, ROOT, NAME("b")), EPERM);
		assert_int_equal(volume_write(vol, a, 3, "x", 1, &done),
				 EPERM);
		for (unsigned what = 1; what <= VOLUME_SET_KILL_PRIV;
		     what *= 2) {
			/* What changes as it grows. */
			bool may = what == VOLUME_SET_ATIME ||
				   what == VOLUME_SET_MTIME ||
				   what == VOLUME_SET_CTIME ||
				   what == VOLUME_SET_KILL_PRIV;

			assert_int_equal(volume_setattr(vol, a, what, &attr),
					 may && flags[i] == APPEND ? 0
								   : EPERM);
		}
		assert_int_equal(volume_xattr_set(vol, a, "user.a", "", 0, 0),
				 EPERM);
		assert_int_equal(volume_xattr_remove(vol, a, "user.a"),
				 EPERM);
		assert_int_equal(volume_fallocate(vol, a, VOLUME_FALLOC_ZERO,
						  0, 1), EPERM);
		assert_int_equal(volume_fallocate(vol, a, 0, 0, 1),
				 flags[i] == APPEND ? 0 : EPERM);
		assert_int_equal(volume_copy(vol, ino, 0, a, 0, 5, &done),
				 EPERM);
		assert_int_equal(volume_write(vol, a, 7, "x", 1, &done),
				 flags[i] == APPEND ? 0 : EPERM);
		/* As a page is written back that has grown. */
		assert_int_equal(volume_write(vol, a, 0, "contentxy", 9,
					      &done),
				 flags[i] == APPEND ? 0 : EPERM);
		assert_int_equal(volume_write(vol, a, 0, "Contentxyz", 10,
					      &done), EPERM);
		assert_int_equal(attr_of(vol, a).size,
				 flags[i] == APPEND ? 9 : 7);
		fixture_reopen(&f);
		assert_int_equal(set(f.vol, a, 0), 0);
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("c")), 0);
	}
	fixture_close(&f);
}

/* In a directory: append-only takes new names, immutable nothing. */
static void test_directories(void **state)
{
	struct fixture f;
	uint32_t d, a, sub;

	(void)state;
	fixture_open(&f, 16, "");
	d = new_dir(f.vol, ROOT, "d");
	a = new_file(f.vol, d, "a");
	sub = new_dir(f.vol, d, "sub");
	new_file(f.vol, ROOT, "b");
	assert_int_equal(set(f.vol, d, APPEND), 0);
	new_file(f.vol, d, "c");
	assert_int_equal(move(f.vol, ROOT, "b", d, "b"), 0);
	assert_int_equal(move(f.vol, d, "b", ROOT, "b"), EPERM);
	assert_int_equal(move(f.vol, d, "b", d, "c"), EPERM);
	assert_int_equal(move(f.vol, d, "b", d, "b"), 0);
	assert_int_equal(volume_unlink(f.vol, d, NAME("b")), EPERM);
	assert_int_equal(volume_rmdir(f.vol, d, NAME("sub")), EPERM);
	put(f.vol, a, 0, "x", 1);		/* what is in it is free */
	assert_int_equal(set(f.vol, d, IMMUTABLE), 0);
	assert_int_equal(volume_create(f.vol, d, NAME("e"), &file_make, &a),
			 EPERM);
	assert_int_equal(volume_tmpfile(f.vol, d, &file_make, &a), EPERM);
	assert_int_equal(volume_symlink(f.vol, d, NAME("e"), NAME("x"),
					&file_make, &a), EPERM);
	assert_int_equal(volume_link(f.vol, find(f.vol, d, "a"), d,
				     NAME("e")), EPERM);
	new_file(f.vol, ROOT, "b");
	assert_int_equal(move(f.vol, ROOT, "b", d, "e"), EPERM);
	assert_int_equal(move(f.vol, d, "a", ROOT, "e"), EPERM);
	assert_int_equal(volume_unlink(f.vol, d, NAME("a")), EPERM);
	assert_int_equal(volume_rmdir(f.vol, d, NAME("sub")), EPERM);
	new_file(f.vol, sub, "x");
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_inherit),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
