/* SPDX-License-Identifier: MIT */
/*
 * Names that change places, and files that have none yet.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_fixture.h"

static int move_by(struct volume *vol, uint32_t od, const char *on,
		   uint32_t nd, const char *nn, unsigned flags)
{
	return volume_rename(vol, od, NAME(on), nd, NAME(nn), flags);
}

static void test_noreplace(void **state)
{
	const unsigned flags = VOLUME_RENAME_NOREPLACE;
	struct fixture f;
	uint32_t d, a, b;

	(void)state;
	fixture_open(&f, 16, "");
	d = new_dir(f.vol, ROOT, "d");
	a = new_file(f.vol, ROOT, "a");
	b = new_file(f.vol, d, "b");
	assert_int_equal(move_by(f.vol, ROOT, "a", d, "b", flags), EEXIST);
	assert_int_equal(move_by(f.vol, ROOT, "a", ROOT, "a", flags), EEXIST);
	assert_int_equal(find(f.vol, d, "b"), b);
	assert_int_equal(move_by(f.vol, ROOT, "a", d, "c", flags), 0);
	assert_int_equal(find(f.vol, d, "c"), a);
	assert_int_equal(find(f.vol, ROOT, "a"), 0);
	assert_int_equal(move_by(f.vol, d, "c", d, "b", 8), EINVAL);
	assert_int_equal(move_by(f.vol, d, "c", d, "b", flags |
				 VOLUME_RENAME_EXCHANGE), EINVAL);
	assert_int_equal(move_by(f.vol, d, "c", d, "b", VOLUME_RENAME_WHITEOUT
				 | VOLUME_RENAME_EXCHANGE), EINVAL);
	fixture_close(&f);
}

/* Of any two kinds, in one directory and in two. */
static void test_exchange(void **state)
{
	const unsigned flags = VOLUME_RENAME_EXCHANGE;
	struct fixture f;
	uint32_t d, e, sub, a, b;

	(void)state;
	fixture_open(&f, 16, "");
	d = new_dir(f.vol, ROOT, "d");
	e = new_dir(f.vol, ROOT, "e");
	a = new_file(f.vol, d, "a");
	b = new_file(f.vol, e, "b");
	sub = new_dir(f.vol, e, "sub");
	new_file(f.vol, sub, "inside");
	assert_int_equal(move_by(f.vol, d, "a", e, "none", flags), ENOENT);
	assert_int_equal(move_by(f.vol, d, "none", d, "a", flags), ENOENT);
	assert_int_equal(move_by(f.vol, d, "a", e, "b", flags), 0);
	assert_int_equal(find(f.vol, d, "a"), b);
	assert_int_equal(find(f.vol, e, "b"), a);
	/* A file and a full directory, to and fro. */
	assert_int_equal(move_by(f.vol, d, "a", e, "sub", flags), 0);
	assert_int_equal(find(f.vol, d, "a"), sub);
	assert_int_equal(find(f.vol, e, "sub"), b);
	assert_int_equal(find(f.vol, sub, ".."), d);
	assert_int_equal(attr_of(f.vol, d).nlink, 3);
	assert_int_equal(attr_of(f.vol, e).nlink, 2);
	fixture_reopen(&f);
	assert_int_equal(move_by(f.vol, d, "a", e, "sub", flags), 0);
	assert_int_equal(find(f.vol, sub, ".."), e);
	assert_int_equal(attr_of(f.vol, d).nlink, 2);
	assert_int_equal(attr_of(f.vol, e).nlink, 3);
	fixture_reopen(&f);
	/* Two directories of two, and of one. */
	new_dir(f.vol, d, "sub2");
	assert_int_equal(move_by(f.vol, d, "sub2", e, "sub", flags), 0);
	assert_int_equal(find(f.vol, sub, ".."), d);
	assert_int_equal(find(f.vol, find(f.vol, e, "sub"), ".."), e);
	assert_int_equal(attr_of(f.vol, d).nlink, 3);
	assert_int_equal(attr_of(f.vol, e).nlink, 3);
	assert_int_equal(move_by(f.vol, ROOT, "d", ROOT, "e", flags), 0);
	assert_int_equal(find(f.vol, ROOT, "e"), d);
	/* One file by two names; into itself; with what it is in. */
	assert_int_equal(volume_link(f.vol, a, d, NAME("a2")), 0);
	assert_int_equal(move_by(f.vol, e, "b", d, "a2", flags), 0);
	assert_int_equal(find(f.vol, d, "a2"), a);
	assert_int_equal(move_by(f.vol, ROOT, "e", d, "sub2", flags), EINVAL);
	assert_int_equal(move_by(f.vol, d, "sub2", ROOT, "e", flags), EINVAL);
	assert_int_equal(move_by(f.vol, sub, "inside", ROOT, "e", flags),
			 EINVAL);
	fixture_close(&f);
}

static void test_whiteout(void **state)
{
	const unsigned flags = VOLUME_RENAME_WHITEOUT;
	struct volume_attr attr;
	struct fixture f;
	uint32_t d, a, sub;

	(void)state;
	fixture_open(&f, 16, "");
	d = new_dir(f.vol, ROOT, "d");
	a = new_file(f.vol, ROOT, "a");
	sub = new_dir(f.vol, ROOT, "sub");
	assert_int_equal(move_by(f.vol, ROOT, "a", d, "a", flags), 0);
	assert_int_equal(find(f.vol, d, "a"), a);
	attr = attr_of(f.vol, find(f.vol, ROOT, "a"));
	assert_int_equal(attr.mode, VOLUME_S_IFCHR);
	assert_int_equal(attr.rdev_major, 0);
	assert_int_equal(attr.rdev_minor, 0);
	assert_int_equal(move_by(f.vol, ROOT, "sub", d, "sub", flags), 0);
	assert_int_equal(find(f.vol, sub, ".."), d);
	assert_int_equal(move_by(f.vol, d, "a", d, "a3", flags |
				 VOLUME_RENAME_NOREPLACE), 0);
	assert_int_equal(move_by(f.vol, d, "a3", d, "a", flags), 0);
	assert_int_equal(find(f.vol, d, "a"), a);
	fixture_close(&f);
}

static void test_tmpfile(void **state)
{
	struct fixture f;
	uint64_t free_before;
	struct volume_stat before, after;
	uint32_t a, b, d;
	void *value;
	size_t len;

	(void)state;
	fixture_open(&f, 16, "");
	free_before = blocks_free(f.vol);
	volume_statfs(f.vol, &before);
	assert_int_equal(volume_tmpfile(f.vol, ROOT, &file_make, &a), 0);
	assert_int_equal(attr_of(f.vol, a).nlink, 0);
	put(f.vol, a, 0, "content", 7);
	assert_int_equal(volume_flush(f.vol), 0);
	volume_release(f.vol, a);
	assert_int_equal(volume_getattr(f.vol, a, NULL), ESTALE);
	assert_int_equal(blocks_free(f.vol), free_before);
	volume_statfs(f.vol, &after);
	assert_int_equal(after.files_free, before.files_free);
	/* Named in time, with what was set before. */
	assert_int_equal(volume_tmpfile(f.vol, ROOT, &file_make, &b), 0);
	put(f.vol, b, 0, "content", 7);
	assert_int_equal(volume_xattr_set(f.vol, b, "user.a", "v", 1, 0), 0);
	assert_int_equal(volume_flush(f.vol), 0);
	assert_int_equal(volume_link(f.vol, b, ROOT, NAME("b")), 0);
	volume_release(f.vol, b);
	assert_int_equal(attr_of(f.vol, b).nlink, 1);
	fixture_reopen(&f);
	assert_int_equal(find(f.vol, ROOT, "b"), b);
	assert_int_equal(volume_xattr_get(f.vol, b, "user.a", &value, &len),
			 0);
	free(value);
	/* Once it had a name and has lost it, it gets no other. */
	assert_int_equal(volume_tmpfile(f.vol, ROOT, &file_make, &a), 0);
	assert_int_equal(volume_link(f.vol, a, ROOT, NAME("a")), 0);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
	assert_int_equal(volume_link(f.vol, a, ROOT, NAME("a")), ENOENT);
	volume_release(f.vol, a);
	/* Closed with one, and with one that is large in all ways. */
	assert_int_equal(volume_tmpfile(f.vol, ROOT, &file_make, &a), 0);
	for (uint64_t i = 0; i < 400; i++) {
		put(f.vol, a, i * 8192, "x", 1);
	}
	assert_int_equal(volume_flush(f.vol), 0);
	fixture_reopen(&f);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("b")), 0);
	assert_int_equal(blocks_free(f.vol), free_before);
	d = new_dir(f.vol, ROOT, "d");
	assert_int_equal(volume_hold(f.vol, d), 0);
	assert_int_equal(volume_rmdir(f.vol, ROOT, NAME("d")), 0);
	assert_int_equal(volume_tmpfile(f.vol, d, &file_make, &a), ENOENT);
	assert_int_equal(volume_tmpfile(f.vol, ROOT, &dir_make, &a), EINVAL);
	fixture_close(&f);
}

/* What is held without a name keeps its attributes, in a block too, and a lost
 * volume is sound. */
static void test_nameless_xattrs(void **state)
{
	char big[3000];
	struct fixture f;
	uint64_t free_before;
	uint32_t a;
	void *value;
	size_t len;

	(void)state;
	memset(big, 'b', sizeof(big));
	fixture_open(&f, 16, "");
	free_before = blocks_free(f.vol);
	for (int i = 0; i < 2; i++) {
		a = new_file(f.vol, ROOT, "a");
		assert_int_equal(volume_xattr_set(f.vol, a, "user.b", big,
						  sizeof(big), 0), 0);
		assert_int_equal(volume_hold(f.vol, a), 0);
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
		assert_int_equal(volume_flush(f.vol), 0);
		assert_int_equal(volume_xattr_get(f.vol, a, "user.b", &value,
						  &len), 0);
		assert_int_equal(len, sizeof(big));
		free(value);
		assert_int_equal(volume_xattr_set(f.vol, a, "user.c", "c", 1,
						  0), 0);
		assert_int_equal(volume_flush(f.vol), 0);
		if (i == 0) {
			volume_release(f.vol, a);
		} else {
			fixture_reopen(&f);
		}
		assert_int_equal(blocks_free(f.vol), free_before);
	}
	fixture_close(&f);
}

/* One number used again and again has another generation each time, never 0. */
static void test_generation(void **state)
{
	struct fixture f;
	uint32_t last = 0, a;

	(void)state;
	fixture_open(&f, 16, "");
	for (int i = 0; i < 5; i++) {
		a = new_file(f.vol, ROOT, "a");
		assert_int_not_equal(attr_of(f.vol, a).gen, 0);
		assert_int_not_equal(attr_of(f.vol, a).gen, last);
		last = attr_of(f.vol, a).gen;
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
		if (i == 2) {
			fixture_reopen(&f);
		}
	}
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_noreplace),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_whiteout),
		cmocka_unit_test(test_tmpfile),
		cmocka_unit_test(test_nameless_xattrs),
		cmocka_unit_test(test_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
