/* SPDX-License-Identifier: MIT */
/*
 * The volume against what a file system must do, and against e2fsck.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/ext4/volume_dir.h"
#include "qemu-test/unit/volume_fixture.h"

#define BLOCK	4096u			/* of the fixture's volumes */

static void assert_same_time(struct volume_time time, int64_t sec,
			     uint32_t nsec)
{
	assert_true(time.sec == sec);
	assert_int_equal(time.nsec, nsec);
}

static void test_create_and_attributes(void **state)
{
	struct volume_attr attr;
	struct fixture f;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 16, "");
	ino = new_file(f.vol, ROOT, "a");
	put(f.vol, ino, 0, "hello", 5);
	attr = attr_of(f.vol, ino);
	assert_int_equal(attr.mode, VOLUME_S_IFREG | 0644);
	assert_int_equal(attr.uid, 100000);
	assert_int_equal(attr.gid, 70000);
	assert_int_equal(attr.size, 5);
	assert_int_equal(attr.blocks, 8);
	assert_int_equal(attr.nlink, 1);
	assert_true(attr.mtime.sec >= 1700000000);
	attr.mode = 04751;
	attr.uid = 1;
	attr.atime = (struct volume_time){ -2, 500000000 };
	attr.mtime = (struct volume_time){ 5000000000, 123 };
	assert_int_equal(volume_setattr(f.vol, ino, VOLUME_SET_MODE |
					VOLUME_SET_UID | VOLUME_SET_ATIME |
					VOLUME_SET_MTIME, &attr), 0);
	fixture_reopen(&f);
	assert_int_equal(find(f.vol, ROOT, "a"), ino);
	attr = attr_of(f.vol, ino);
	assert_int_equal(attr.mode, VOLUME_S_IFREG | 04751);
	assert_int_equal(attr.uid, 1);
	assert_int_equal(attr.gid, 70000);
	assert_same_time(attr.atime, -2, 500000000);
	assert_same_time(attr.mtime, 5000000000, 123);
	fixture_close(&f);
}

/* The ends of what an inode holds, and beyond, as Linux's ext4 clamps. */
static void test_times(void **state)
{
	static const struct {
		struct volume_time set, got;
	} cases[] = {
		{ { 0, 999999999 }, { 0, 999999999 } },
		{ { -1, 1 }, { -1, 1 } },
		{ { -0x7fffffffll, 5 }, { -0x7fffffffll, 5 } },
		{ { -0x80000000ll, 5 }, { -0x80000000ll, 0 } },
		{ { -0x80000001ll, 5 }, { -0x80000000ll, 0 } },
		{ { INT64_MIN, 5 }, { -0x80000000ll, 0 } },
		{ { 0x7fffffff, 5 }, { 0x7fffffff, 5 } },
		{ { 0x80000000ll, 5 }, { 0x80000000ll, 5 } },
		{ { 0x17fffffffll, 5 }, { 0x17fffffffll, 5 } },
		{ { 0x180000000ll, 5 }, { 0x180000000ll, 5 } },
		{ { 0x37ffffffell, 5 }, { 0x37ffffffell, 5 } },
		{ { 0x37fffffffll, 5 }, { 0x37fffffffll, 0 } },
		{ { 0x380000000ll, 5 }, { 0x37fffffffll, 0 } },
		{ { INT64_MAX, 5 }, { 0x37fffffffll, 0 } },
	};
	struct volume_attr attr;
	struct fixture f;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 16, "");
	ino = new_file(f.vol, ROOT, "a");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct volume_time got = cases[i].got;

		attr.atime = attr.mtime = attr.ctime = cases[i].set;
		assert_int_equal(volume_setattr(f.vol, ino, VOLUME_SET_ATIME |
						VOLUME_SET_MTIME |
						VOLUME_SET_CTIME, &attr), 0);
		fixture_reopen(&f);
		attr = attr_of(f.vol, ino);
		assert_same_time(attr.atime, got.sec, got.nsec);
		assert_same_time(attr.mtime, got.sec, got.nsec);
		assert_same_time(attr.ctime, got.sec, got.nsec);
		assert_true(attr.btime.sec >= 1700000000);
	}
	fixture_close(&f);
}

static void test_bad_names(void **state)
{
	struct fixture f;
	char longname[300];
	uint32_t ino, file;

	(void)state;
	memset(longname, 'x', sizeof(longname));
	fixture_open(&f, 16, "");
	file = new_file(f.vol, ROOT, "file");
	assert_int_equal(volume_create(f.vol, ROOT, longname, 255, &file_make,
				       &ino), 0);
	assert_int_equal(volume_create(f.vol, ROOT, longname, 256, &file_make,
				       &ino), ENAMETOOLONG);
	assert_int_equal(volume_create(f.vol, ROOT, "", 0, &file_make, &ino),
			 EINVAL);
	assert_int_equal(volume_create(f.vol, ROOT, "a/b", 3, &file_make,
				       &ino), EINVAL);
	assert_int_equal(volume_create(f.vol, ROOT, "a\0b", 3, &file_make,
				       &ino), EINVAL);
	assert_int_equal(volume_create(f.vol, ROOT, "..", 2, &file_make, &ino),
			 EEXIST);
	assert_int_equal(volume_create(f.vol, file, "a", 1, &file_make, &ino),
			 ENOTDIR);
	assert_int_equal(volume_lookup(f.vol, ROOT, "a/b", 3, &ino), EINVAL);
	assert_int_equal(find(f.vol, ROOT, ".."), ROOT);
	assert_int_equal(volume_unlink(f.vol, ROOT, ".", 1), EISDIR);
	assert_int_equal(volume_rmdir(f.vol, ROOT, ".", 1), EINVAL);
	assert_int_equal(volume_rmdir(f.vol, ROOT, "..", 2), ENOTEMPTY);
	assert_int_equal(volume_rmdir(f.vol, ROOT, NAME("file")), ENOTDIR);
	assert_int_equal(volume_getattr(f.vol, 8, NULL), ESTALE);
	assert_int_equal(volume_getattr(f.vol, 4000000000u, NULL), ESTALE);
	fixture_close(&f);
}

static void test_links(void **state)
{
	char text[5000], back[4096];
	struct fixture f;
	uint32_t ino, link, dir;
	size_t len;

	(void)state;
	memset(text, 't', sizeof(text));
	fixture_open(&f, 16, "");
	dir = new_dir(f.vol, ROOT, "d");
	ino = new_file(f.vol, ROOT, "a");
	assert_int_equal(volume_link(f.vol, ino, dir, NAME("b")), 0);
	assert_int_equal(volume_link(f.vol, ino, dir, NAME("b")), EEXIST);
	assert_int_equal(volume_link(f.vol, dir, ROOT, NAME("e")), EPERM);
	assert_int_equal(attr_of(f.vol, ino).nlink, 2);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
	assert_int_equal(find(f.vol, dir, "b"), ino);
	for (size_t n = 1; n <= 4095; n = n == 58 || n == 59 ? n + 1 : n * 58) {
		n = n > 4095 ? 4095 : n;
		assert_int_equal(volume_symlink(f.vol, ROOT, NAME("l"), text,
						n, &file_make, &link), 0);
		assert_int_equal(volume_readlink(f.vol, link, back,
						 sizeof(back), &len), 0);
		assert_int_equal(len, n);
		assert_memory_equal(back, text, n);
		assert_int_equal(attr_of(f.vol, link).size, n);
		fixture_reopen(&f);
		assert_int_equal(volume_readlink(f.vol, link, back,
						 sizeof(back), &len), 0);
		assert_int_equal(len, n);
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("l")), 0);
	}
	assert_int_equal(volume_symlink(f.vol, ROOT, NAME("l"), text, 4096,
					&file_make, &link), ENAMETOOLONG);
	assert_int_equal(volume_symlink(f.vol, ROOT, NAME("l"), text, 0,
					&file_make, &link), EINVAL);
	fixture_close(&f);
}

static void test_special_files(void **state)
{
	static const uint32_t types[] = {
		VOLUME_S_IFCHR, VOLUME_S_IFBLK, VOLUME_S_IFIFO,
		VOLUME_S_IFSOCK,
	};
	struct fixture f;
	size_t done;
	char byte;

	(void)state;
	fixture_open(&f, 16, "");
	for (size_t i = 0; i < 8; i++) {
		struct volume_make make = {
			.mode = types[i % 4] | 0600,
			.rdev_major = i < 4 ? 7 : 300, .rdev_minor = i < 4 ? 255
							: 0x12345,
		};
		char name[2] = { (char)('a' + i), '\0' };
		struct volume_attr attr;
		uint32_t ino;

		assert_int_equal(volume_create(f.vol, ROOT, name, 1, &make,
					       &ino), 0);
		fixture_reopen(&f);
		attr = attr_of(f.vol, ino);
		assert_int_equal(attr.mode, make.mode);
		if (i % 4 < 2) {
			assert_int_equal(attr.rdev_major, make.rdev_major);
			assert_int_equal(attr.rdev_minor, make.rdev_minor);
		}
		assert_int_equal(volume_read(f.vol, ino, 0, &byte, 1, &done),
				 EINVAL);
		assert_int_equal(volume_write(f.vol, ino, 0, "", 1, &done),
				 EINVAL);
	}
	fixture_close(&f);
}

static void test_unlinked_file_lives_while_held(void **state)
{
	struct fixture f;
	uint64_t free_before;
	uint32_t ino, other;
	char back[8];
	size_t done;

	(void)state;
	fixture_open(&f, 16, "");
	free_before = blocks_free(f.vol);
	ino = new_file(f.vol, ROOT, "a");
	put(f.vol, ino, 0, "content", 7);
	assert_int_equal(volume_hold(f.vol, ino), 0);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
	other = new_file(f.vol, ROOT, "a");
	assert_int_not_equal(other, ino);
	assert_int_equal(volume_flush(f.vol), 0);
	assert_int_equal(volume_read(f.vol, ino, 0, back, 8, &done), 0);
	assert_int_equal(done, 7);
	assert_memory_equal(back, "content", 7);
	put(f.vol, ino, 5000, "more", 4);
	assert_int_equal(volume_link(f.vol, ino, ROOT, NAME("x")), ENOENT);
	volume_release(f.vol, ino);
	assert_int_equal(volume_getattr(f.vol, ino, NULL), ESTALE);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
	assert_int_equal(blocks_free(f.vol), free_before);
	/* A volume closed, or lost, with such a file in it is sound. */
	ino = new_file(f.vol, ROOT, "b");
	put(f.vol, ino, 0, "content", 7);
	assert_int_equal(volume_hold(f.vol, ino), 0);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("b")), 0);
	assert_int_equal(volume_flush(f.vol), 0);
	fixture_reopen(&f);
	assert_int_equal(blocks_free(f.vol), free_before);
	fixture_close(&f);
}

static void test_directories(void **state)
{
	struct fixture f;
	uint32_t a, b, ino;

	(void)state;
	fixture_open(&f, 16, "");
	assert_int_equal(attr_of(f.vol, ROOT).nlink, 3);	/* lost+found */
	a = new_dir(f.vol, ROOT, "a");
	b = new_dir(f.vol, a, "b");
	assert_int_equal(attr_of(f.vol, ROOT).nlink, 4);
	assert_int_equal(attr_of(f.vol, a).nlink, 3);
	assert_int_equal(find(f.vol, b, ".."), a);
	assert_int_equal(volume_rmdir(f.vol, ROOT, NAME("a")), ENOTEMPTY);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), EISDIR);
	assert_int_equal(volume_hold(f.vol, b), 0);
	assert_int_equal(volume_rmdir(f.vol, a, NAME("b")), 0);
	assert_int_equal(volume_create(f.vol, b, "x", 1, &file_make, &ino),
			 ENOENT);
	volume_release(f.vol, b);
	assert_int_equal(volume_rmdir(f.vol, ROOT, NAME("a")), 0);
	assert_int_equal(attr_of(f.vol, ROOT).nlink, 3);
	fixture_close(&f);
}

static void test_rename(void **state)
{
	struct fixture f;
	uint32_t a, b, c, x, y;

	(void)state;
	fixture_open(&f, 16, "");
	a = new_dir(f.vol, ROOT, "a");
	b = new_dir(f.vol, a, "b");
	c = new_dir(f.vol, ROOT, "c");
	x = new_file(f.vol, a, "x");
	y = new_file(f.vol, c, "y");
	assert_int_equal(move(f.vol, ROOT, "a", a, "z"), EINVAL);
	assert_int_equal(move(f.vol, ROOT, "a", b, "z"), EINVAL);
	assert_int_equal(move(f.vol, ROOT, "a", ROOT, "a"), 0);
	assert_int_equal(move(f.vol, ROOT, "c", ROOT, "a"), ENOTEMPTY);
	assert_int_equal(move(f.vol, ROOT, "c", a, "x"), ENOTDIR);
	assert_int_equal(move(f.vol, a, "x", ROOT, "c"), EISDIR);
	assert_int_equal(move(f.vol, a, ".", ROOT, "q"), EBUSY);
	assert_int_equal(move(f.vol, a, "none", ROOT, "q"), ENOENT);
	assert_int_equal(move(f.vol, a, "x", a, "x2"), 0);
	assert_int_equal(find(f.vol, a, "x"), 0);
	assert_int_equal(find(f.vol, a, "x2"), x);
	/* A directory to another one: ".." and links follow. */
	assert_int_equal(move(f.vol, a, "b", c, "b"), 0);
	assert_int_equal(find(f.vol, b, ".."), c);
	assert_int_equal(attr_of(f.vol, a).nlink, 2);
	assert_int_equal(attr_of(f.vol, c).nlink, 3);
	/* Over a file, which is held and lives on. */
	assert_int_equal(volume_hold(f.vol, y), 0);
	assert_int_equal(move(f.vol, a, "x2", c, "y"), 0);
	assert_int_equal(find(f.vol, c, "y"), x);
	assert_int_equal(attr_of(f.vol, y).nlink, 0);
	volume_release(f.vol, y);
	/* Over an empty directory. */
	assert_int_equal(move(f.vol, c, "b", ROOT, "a"), 0);
	assert_int_equal(find(f.vol, ROOT, "a"), b);
	assert_int_equal(attr_of(f.vol, ROOT).nlink, 5);
	/* Two names of one file stay. */
	assert_int_equal(volume_link(f.vol, x, ROOT, NAME("x")), 0);
	assert_int_equal(move(f.vol, ROOT, "x", c, "y"), 0);
	assert_int_equal(find(f.vol, ROOT, "x"), x);
	fixture_close(&f);
}

static void test_xattr(void **state)
{
	char big[3000];
	struct fixture f;
	uint64_t free_before;
	uint32_t ino;
	void *value;
	size_t len;

	(void)state;
	memset(big, 'b', sizeof(big));
	fixture_open(&f, 16, "");
	free_before = blocks_free(f.vol);
	ino = new_file(f.vol, ROOT, "a");
	assert_int_equal(volume_xattr_get(f.vol, ino, "user.a", &value, &len),
			 ENODATA);
	assert_int_equal(volume_xattr_set(f.vol, ino, "user.a", "val", 3,
					  VOLUME_XATTR_REPLACE), ENODATA);
	assert_int_equal(volume_xattr_set(f.vol, ino, "user.a", "val", 3, 0),
			 0);
	assert_int_equal(volume_xattr_set(f.vol, ino, "user.a", "val", 3,
					  VOLUME_XATTR_CREATE), EEXIST);
	assert_int_equal(volume_xattr_set(f.vol, ino, "user.big", big,
					  sizeof(big), 0), 0);
	assert_int_equal(volume_xattr_set(f.vol, ino, "weird.a", "", 0, 0),
			 EOPNOTSUPP);
	assert_int_equal(volume_xattr_set(f.vol, ino, "user.big2", big,
					  sizeof(big), 0), ENOSPC);
	put(f.vol, ino, 0, "data", 4);
	fixture_reopen(&f);
	assert_int_equal(volume_xattr_get(f.vol, ino, "user.big", &value,
					  &len), 0);
	assert_int_equal(len, sizeof(big));
	assert_memory_equal(value, big, len);
	free(value);
	assert_int_equal(volume_xattr_list(f.vol, ino, &value, &len), 0);
	assert_int_equal(len, sizeof("user.a") + sizeof("user.big"));
	free(value);
	assert_int_equal(volume_xattr_remove(f.vol, ino, "user.a"), 0);
	assert_int_equal(volume_xattr_remove(f.vol, ino, "user.a"), ENODATA);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
	assert_int_equal(blocks_free(f.vol), free_before);
	fixture_close(&f);
}

static void test_paths(void **state)
{
	struct fixture f;
	uint32_t a, b, link, ino;
	const char *name;
	size_t len;

	(void)state;
	fixture_open(&f, 16, "");
	a = new_dir(f.vol, ROOT, "a");
	b = new_file(f.vol, a, "b");
	assert_int_equal(volume_symlink(f.vol, ROOT, NAME("l"), NAME("a/./b"),
					&file_make, &link), 0);
	assert_int_equal(volume_symlink(f.vol, a, NAME("up"), NAME("/../a"),
					&file_make, &ino), 0);
	assert_int_equal(volume_symlink(f.vol, a, NAME("loop"), NAME("loop"),
					&file_make, &ino), 0);
	assert_int_equal(volume_path(f.vol, "/../..//a/b", true, &ino), 0);
	assert_int_equal(ino, b);
	assert_int_equal(volume_path(f.vol, "l", true, &ino), 0);
	assert_int_equal(ino, b);
	assert_int_equal(volume_path(f.vol, "l", false, &ino), 0);
	assert_int_equal(ino, link);
	assert_int_equal(volume_path(f.vol, "a/up/up/b", false, &ino), 0);
	assert_int_equal(ino, b);
	assert_int_equal(volume_path(f.vol, "a/loop", true, &ino), ELOOP);
	assert_int_equal(volume_path(f.vol, "a/b/c", true, &ino), ENOTDIR);
	assert_int_equal(volume_path(f.vol, "a/none", true, &ino), ENOENT);
	assert_int_equal(volume_path_parent(f.vol, "a/up/new/", &ino, &name,
					    &len), 0);
	assert_int_equal(ino, a);
	assert_memory_equal(name, "new", len);
	assert_int_equal(volume_path_parent(f.vol, "//", &ino, &name, &len),
			 EINVAL);
	fixture_close(&f);
}

/* Of a block's last bytes, too few for an entry, nothing behind is read. */
static void test_entry_at_end_of_block(void **state)
{
	const struct volume vol = { .block_size = BLOCK };
	uint8_t *block = malloc(BLOCK);
	struct fixture f;
	struct vnode *vn;
	struct ext2_dir_entry_2 *entry;
	uint32_t dir, ino;

	(void)state;
	fixture_waits = false;		/* blocks are looked at here */
	assert_non_null(block);
	memset(block, 0, BLOCK);
	for (uint32_t at = BLOCK - 8; at < BLOCK; at += 4) {
		assert_false(index_sound(&vol, (void *)(block + at), at));
	}
	free(block);
	fixture_open(&f, 16, "-O ^metadata_csum");
	dir = new_dir(f.vol, ROOT, "d");
	fixture_reopen(&f);
	assert_int_equal(vnode_get(f.vol, dir, &vn), 0);
	assert_int_equal(tree_load(f.vol, vn), 0);
	entry = dir_entry(f.vol, vn, 12, true);		/* ".." */
	assert_non_null(entry);
	entry->rec_len -= 4;
	assert_int_equal(volume_lookup(f.vol, dir, NAME("x"), &ino), EIO);
	entry->rec_len += 4;
	assert_int_equal(volume_lookup(f.vol, dir, NAME("x"), &ino), ENOENT);
	fixture_close(&f);
}

/* The one before a name is found by where each ends; if none ends there, nothing is
 * changed. */
static void test_none_ends_before(void **state)
{
	static const int wrong[] = { -12, -4, 4, 12, 24, BLOCK };
	struct ext2_dir_entry_2 *entry;
	struct fixture f;
	struct vnode *vn;
	uint32_t dir;

	(void)state;
	fixture_waits = false;		/* blocks are looked at here */
	fixture_open(&f, 16, "");
	dir = new_dir(f.vol, ROOT, "d");
	new_file(f.vol, dir, "a");	/* at 24 */
	new_file(f.vol, dir, "b");
	new_file(f.vol, dir, "c");
	assert_int_equal(vnode_get(f.vol, dir, &vn), 0);
	entry = dir_entry(f.vol, vn, 24, true);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		entry->rec_len = (uint16_t)(12 + wrong[i]);
		assert_int_equal(volume_unlink(f.vol, dir, NAME("b")), EIO);
		assert_int_equal(entry->rec_len, 12 + wrong[i]);
	}
	entry->rec_len = 12;
	assert_int_equal(volume_unlink(f.vol, dir, NAME("b")), 0);
	assert_int_equal(entry->rec_len, 24);
	fixture_close(&f);
}

/* In a hashed directory an entry may reach over the checksum's room, as long as
 * its name does not: a plain directory is made of it later. */
static void test_name_over_checksum(void **state)
{
	struct ext2_dir_entry_2 *up, *last;
	struct fixture f;
	struct vnode *vn;
	uint32_t dir, ino;

	(void)state;
	fixture_waits = false;		/* blocks are looked at here */
	fixture_open(&f, 16, "-O metadata_csum");
	dir = new_dir(f.vol, ROOT, "d");
	assert_int_equal(vnode_get(f.vol, dir, &vn), 0);
	up = dir_entry(f.vol, vn, 12, true);
	last = dir_entry(f.vol, vn, BLOCK - 24, true);
	vn->in.i_flags |= EXT2_INDEX_FL;
	up->rec_len = BLOCK - 24 - 12;
	last->rec_len = 24;
	for (last->name_len = 16; last->name_len > 4; last->name_len--) {
		index_free(vn);
		assert_int_equal(volume_lookup(f.vol, dir, NAME("x"), &ino),
				 EIO);
	}
	index_free(vn);
	assert_int_equal(volume_lookup(f.vol, dir, NAME("x"), &ino), ENOENT);
	new_file(f.vol, dir, "x");
	fixture_close(&f);
}

/* A directory that says it has so many blocks, all full, grows no further. */
static void test_directory_below_2_gib(void **state)
{
	struct fixture f;
	struct vnode *vn;
	uint32_t dir, blocks, ino;

	(void)state;
	fixture_waits = false;		/* blocks are looked at here */
	fixture_open(&f, 16, "");
	dir = new_dir(f.vol, ROOT, "d");
	new_file(f.vol, dir, "a");
	assert_int_equal(vnode_get(f.vol, dir, &vn), 0);
	blocks = vn->index->block_count;
	assert_int_equal(index_blocks(vn->index, 1u << 19), 0);
	memset(vn->index->blocks + blocks, 0,
	       ((1u << 19) - blocks) * sizeof(*vn->index->blocks));
	vn->index->block_count = (1u << 19) - 1;
	vn->index->blocks[0].slack = 0;
	vn->index->slack_place = DIR_NOWHERE;
	assert_int_equal(volume_create(f.vol, dir, NAME("b"), &file_make,
				       &ino), ENOSPC);
	assert_int_equal(vnode_size(vn), BLOCK);
	vn->index->block_count = blocks;
	new_file(f.vol, dir, "b");
	fixture_reopen(&f);
	assert_int_not_equal(find(f.vol, dir, "b"), 0);
	fixture_close(&f);
}

/* Every slot is some name's first choice; 0 is no name's hash. */
static void test_hash_uses_all_slots(void **state)
{
	/* For this seed "a" would have the hash 0. */
	struct volume vol = { .seed = 0x77afc7f0dcf70490 };
	uint32_t homes = 0;

	(void)state;
	assert_int_equal(index_hash(&vol, "a", 1), 1);
	for (uint32_t i = 0; i < 1000; i++) {
		homes |= 1u << (index_hash(&vol, (char *)&i, 4) & 31);
	}
	assert_int_equal(homes, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_and_attributes),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_special_files),
		cmocka_unit_test(test_unlinked_file_lives_while_held),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_xattr),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_entry_at_end_of_block),
		cmocka_unit_test(test_none_ends_before),
		cmocka_unit_test(test_name_over_checksum),
		cmocka_unit_test(test_directory_below_2_gib),
		cmocka_unit_test(test_hash_uses_all_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
