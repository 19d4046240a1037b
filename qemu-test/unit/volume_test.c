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

#include "qemu-test/unit/volume_fixture.h"

#define ROOT	VOLUME_ROOT
#define NAME(s)	(s), strlen(s)

static const struct volume_make file_make = {
	.mode = VOLUME_S_IFREG | 0644, .uid = 100000, .gid = 70000,
};
static const struct volume_make dir_make = { .mode = VOLUME_S_IFDIR | 0755 };

static uint32_t new_file(struct volume *vol, uint32_t dir, const char *name)
{
	uint32_t ino;

	assert_int_equal(volume_create(vol, dir, NAME(name), &file_make, &ino),
			 0);
	return ino;
}

static uint32_t new_dir(struct volume *vol, uint32_t dir, const char *name)
{
	uint32_t ino;

	assert_int_equal(volume_create(vol, dir, NAME(name), &dir_make, &ino),
			 0);
	return ino;
}

static uint32_t find(struct volume *vol, uint32_t dir, const char *name)
{
	uint32_t ino;

	return volume_lookup(vol, dir, NAME(name), &ino) == 0 ? ino : 0;
}

static void put(struct volume *vol, uint32_t ino, uint64_t at,
		const void *data, size_t len)
{
	size_t done;

	assert_int_equal(volume_write(vol, ino, at, data, len, &done), 0);
	assert_int_equal(done, len);
}

static struct volume_attr attr_of(struct volume *vol, uint32_t ino)
{
	struct volume_attr attr;

	assert_int_equal(volume_getattr(vol, ino, &attr), 0);
	return attr;
}

static uint64_t blocks_free(struct volume *vol)
{
	struct volume_stat st;

	volume_statfs(vol, &st);
	return st.blocks_free;
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
	assert_true(attr.mtime > 1700000000000000000ll);
	attr.mode = 04751;
	attr.uid = 1;
	attr.atime = -1500000000ll;
	attr.mtime = 5000000000000000123ll;
	assert_int_equal(volume_setattr(f.vol, ino, VOLUME_SET_MODE |
					VOLUME_SET_UID | VOLUME_SET_ATIME |
					VOLUME_SET_MTIME, &attr), 0);
	fixture_reopen(&f);
	assert_int_equal(find(f.vol, ROOT, "a"), ino);
	attr = attr_of(f.vol, ino);
	assert_int_equal(attr.mode, VOLUME_S_IFREG | 04751);
	assert_int_equal(attr.uid, 1);
	assert_int_equal(attr.gid, 70000);
	assert_true(attr.atime == -1500000000ll);
	assert_true(attr.mtime == 5000000000000000123ll);
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

static int move(struct volume *vol, uint32_t od, const char *on, uint32_t nd,
		const char *nn)
{
	return volume_rename(vol, od, NAME(on), nd, NAME(nn));
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

struct count {
	unsigned n, stop;
	uint64_t cookie;
	uint8_t *seen;
};

static bool count_entry(void *arg, const struct volume_entry *entry)
{
	struct count *count = arg;
	char name[256];
	unsigned number;

	if (count->stop-- == 0) {
		return false;
	}
	memcpy(name, entry->name, entry->name_len);
	name[entry->name_len] = '\0';
	if (sscanf(name, "name-%u", &number) == 1) {
		assert_int_equal(count->seen[number]++, 0);
		count->n++;
	}
	count->cookie = entry->cookie;
	return true;
}

/* Reads in pieces, and removes names meanwhile. */
static void test_ten_thousand_names(void **state)
{
	struct fixture f;
	struct count count = { 0 };
	char name[32];
	uint32_t dir;
	uint64_t last;

	(void)state;
	fixture_open(&f, 64, "-N 20000");
	dir = new_dir(f.vol, ROOT, "many");
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		new_file(f.vol, dir, name);
	}
	fixture_reopen(&f);
	count.seen = calloc(10000, 1);
	do {
		last = count.cookie;
		count.stop = 77;
		assert_int_equal(volume_readdir(f.vol, dir, last, count_entry,
						&count), 0);
		for (unsigned i = 0; i < 10000; i += 3) {
			if (count.seen[i] == 1 && (i % 7) == 0) {
				snprintf(name, sizeof(name), "name-%u", i);
				assert_int_equal(volume_unlink(f.vol, dir,
							       NAME(name)), 0);
				count.seen[i]++;
			}
		}
	} while (count.cookie != last);
	assert_int_equal(count.n, 10000);
	free(count.seen);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		assert_int_equal(volume_unlink(f.vol, dir, NAME(name)),
				 i % 21 == 0 ? ENOENT : 0);
	}
	assert_int_equal(volume_rmdir(f.vol, ROOT, NAME("many")), 0);
	fixture_close(&f);
}

/* Directories that have a hash tree lose it, and nothing else. */
static void test_hashed_directory(void **state)
{
	struct fixture f;
	char name[64];
	uint32_t dir;

	(void)state;
	fixture_open(&f, 32, "-N 5000");
	dir = new_dir(f.vol, ROOT, "many");
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "name-%u-with-some-length", i);
		new_file(f.vol, dir, name);
	}
	fixture_command(&f, "(/sbin/e2fsck -fyD image || test $? = 1) && "
			"/sbin/debugfs -R 'stat /many' image | "
			"grep 'Flags: 0x81000'");
	dir = find(f.vol, ROOT, "many");
	assert_int_equal(volume_unlink(f.vol, dir,
				       NAME("name-5-with-some-length")), 0);
	fixture_reopen(&f);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "new-%u", i);
		new_file(f.vol, dir, name);
	}
	fixture_reopen(&f);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "name-%u-with-some-length", i);
		assert_int_equal(find(f.vol, dir, name) != 0, i != 5);
	}
	fixture_close(&f);
}

/* Every second block: far more extents than an inode or one block holds. */
static void test_many_extents(void **state)
{
	struct fixture f;
	uint64_t free_before;
	uint32_t ino;
	char back[4];
	size_t done;

	(void)state;
	fixture_open(&f, 64, "");
	free_before = blocks_free(f.vol);
	ino = new_file(f.vol, ROOT, "holes");
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t at = i * 7919 % 3000;

		put(f.vol, ino, at * 8192ull, &at, sizeof(at));
		if (i == 300 || i == 2000) {
			fixture_reopen(&f);
		}
	}
	fixture_reopen(&f);
	for (uint32_t i = 0; i < 3000; i++) {
		assert_int_equal(volume_read(f.vol, ino, i * 8192ull, back, 4,
					     &done), 0);
		assert_memory_equal(back, &i, 4);
	}
	for (uint64_t size = 2000 * 8192; size > 10; size /= 5) {
		struct volume_attr attr = { .size = size };

		assert_int_equal(volume_setattr(f.vol, ino, VOLUME_SET_SIZE,
						&attr), 0);
		fixture_reopen(&f);
	}
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("holes")), 0);
	assert_int_equal(blocks_free(f.vol), free_before);
	fixture_close(&f);
}

/* Random reads, writes and truncations against a copy in memory. */
static void test_random_file(void **state)
{
	enum { MAX = 300000 };
	uint8_t *model = calloc(1, MAX), *buf = malloc(MAX);
	uint64_t size = 0;
	struct fixture f;
	uint32_t ino;

	(void)state;
	srand(1);
	fixture_open(&f, 16, "");
	ino = new_file(f.vol, ROOT, "a");
	for (unsigned i = 0; i < 3000; i++) {
		size_t at = (size_t)rand() % MAX;
		size_t len = (size_t)rand() % (i % 2 ? 9000 : 90000) + 1;
		struct volume_attr attr = { .size = at };
		size_t done;

		len = len > MAX - at ? MAX - at : len;
		switch (rand() % 8) {
		case 0:
			assert_int_equal(volume_setattr(f.vol, ino,
							VOLUME_SET_SIZE,
							&attr), 0);
			if (at < size) {
				memset(model + at, 0, size - at);
			}
			size = at;
			break;
		case 1: case 2: case 3:
			for (size_t n = 0; n < len; n++) {
				model[at + n] = (uint8_t)rand();
			}
			put(f.vol, ino, at, model + at, len);
			size = at + len > size ? at + len : size;
			break;
		default:
			assert_int_equal(volume_read(f.vol, ino, at, buf, len,
						     &done), 0);
			assert_int_equal(done, at >= size ? 0
					 : len < size - at ? len : size - at);
			assert_memory_equal(buf, model + at, done);
		}
		assert_int_equal(attr_of(f.vol, ino).size, size);
		if (i % 500 == 0) {
			fixture_reopen(&f);
		}
	}
	free(model);
	free(buf);
	fixture_close(&f);
}

/* Fills blocks, inodes and a directory until nothing more goes in. */
static void test_full(void **state)
{
	struct fixture f;
	uint8_t block[4096] = { 1 };
	uint64_t free_before;
	uint32_t ino = 0, n;
	size_t done;
	int error = 0;
	char name[260];

	(void)state;
	fixture_open(&f, 8, "-N 1000 -O ^has_journal");
	free_before = blocks_free(f.vol);
	ino = new_file(f.vol, ROOT, "fill");
	for (uint64_t i = 0; error == 0; i++) {
		error = volume_write(f.vol, ino, i * 8192, block,
				     sizeof(block), &done);
	}
	assert_int_equal(error, ENOSPC);
	assert_int_equal(blocks_free(f.vol), 0);
	assert_int_equal(volume_create(f.vol, ROOT, "d", 1, &dir_make, &n),
			 ENOSPC);
	assert_int_equal(find(f.vol, ROOT, "d"), 0);
	fixture_reopen(&f);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("fill")), 0);
	assert_int_equal(blocks_free(f.vol), free_before);
	for (n = 0, error = 0; error == 0; n++) {
		snprintf(name, sizeof(name), "%0250u", n);
		error = volume_create(f.vol, ROOT, NAME(name), &file_make,
				      &ino);
	}
	assert_int_equal(error, ENOSPC);
	assert_in_range(n, 980, 1000);
	fixture_close(&f);
}

/* A write that finds room for a part says how much. */
static void test_short_write(void **state)
{
	size_t size = 9u << 20, done;
	uint8_t *data = malloc(size), *back = malloc(size);
	struct fixture f;
	uint32_t ino;

	(void)state;
	for (size_t i = 0; i < size; i++) {
		data[i] = (uint8_t)(i * 31 >> 5);
	}
	fixture_open(&f, 8, "-O ^has_journal");
	ino = new_file(f.vol, ROOT, "a");
	assert_int_equal(volume_write(f.vol, ino, 100, data, size, &done), 0);
	assert_in_range(done, 6u << 20, size - 1);
	assert_int_equal(attr_of(f.vol, ino).size, 100 + done);
	fixture_reopen(&f);
	assert_int_equal(volume_read(f.vol, ino, 100, back, size, &size), 0);
	assert_int_equal(size, done);
	assert_memory_equal(back, data, done);
	free(data);
	free(back);
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

/*
 * The device fails at the nth call, for every n up to many: errors come out,
 * and what could be written is a sound file system or can be made one by the
 * same calls once the device works again.
 */
static void test_device_errors(void **state)
{
	struct fixture f;
	uint8_t data[20000] = { 7 };

	(void)state;
	fixture_open(&f, 16, "-N 3000");
	for (long n = 0; n < 120; n++) {
		char name[32];
		uint32_t dir = 0, ino = 0, link;
		size_t done;

		snprintf(name, sizeof(name), "dir-%ld", n);
		f.fail_after = n;
		volume_create(f.vol, ROOT, NAME(name), &dir_make, &dir);
		if (dir != 0) {
			volume_create(f.vol, dir, NAME("file"), &file_make,
				      &ino);
			volume_symlink(f.vol, dir, NAME("link"),
				       (const char *)memset(data, 'x', 99), 99,
				       &file_make, &link);
			move(f.vol, dir, "link", ROOT, name + 3);
			move(f.vol, dir, "file", dir, "file2");
		}
		if (ino != 0) {
			volume_write(f.vol, ino, 1000, data, sizeof(data),
				     &done);
			volume_read(f.vol, ino, 0, data, sizeof(data), &done);
		}
		volume_flush(f.vol);
		if (dir != 0) {
			volume_unlink(f.vol, dir, NAME("file2"));
		}
		f.fail_after = -1;
		if (n % 8 == 7) {
			fixture_reopen(&f);
		}
	}
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_and_attributes),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_special_files),
		cmocka_unit_test(test_unlinked_file_lives_while_held),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_ten_thousand_names),
		cmocka_unit_test(test_hashed_directory),
		cmocka_unit_test(test_many_extents),
		cmocka_unit_test(test_random_file),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_short_write),
		cmocka_unit_test(test_xattr),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_device_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
