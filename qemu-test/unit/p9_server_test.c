/* SPDX-License-Identifier: MIT */
/*
 * The 9P server, driven message by message as Linux' v9fs does it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/p9_talk.h"

static void test_version(void **state)
{
	(void)state;
	assert_int_equal(version(1u << 30, "9P2000.L"), 0);
	assert_int_equal(p9_get32(&r), P9_MSIZE_MAX);
	assert_int_equal(version(4095, "9P2000.L"), 90);
	/* Tversion ended the session's fids. */
	assert_int_equal(clunk(TOP), EBADF);
	assert_int_equal(version(8192, "9P2000"), 0);
	p9_get32(&r);
	assert_int_equal(p9_getstr(&r).len, 7);
	assert_int_equal(attach(TOP, 0), 71);		/* EPROTO */
}

static void test_attach(void **state)
{
	(void)state;
	assert_int_equal(attach(TOP, 0), EINVAL);	/* in use */
	assert_int_equal(attach(P9_NOFID, 0), EINVAL);
	assert_int_equal(attach(5, 0), 0);
	assert_int_equal(p9_get8(&r), P9_QTDIR);
	assert_int_equal(by_fid(P9_TAUTH, 1), 95);
}

static void test_create_write_read(void **state)
{
	static uint8_t data[P9_MSIZE_MAX];
	struct p9_attr attr;
	struct p9_str none;

	(void)state;
	(void)none;
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i * 7 >> 3);
	}
	assert_int_equal(walk(TOP, 1, ""), 0);
	assert_int_equal(lcreate(1, "file", P9_O_RDWR | P9_O_EXCL), 0);
	assert_int_equal(p9_get8(&r), 0);
	assert_int_equal(write_at(1, 3, data, 512 * 1024), 0);
	assert_int_equal(p9_get32(&r), 512 * 1024);
	c.piece = 1000;		/* pieces as a transport may cut them */
	assert_int_equal(write_at(1, 3 + 512 * 1024, data, 100000), 0);
	c.piece = 1;
	assert_int_equal(write_at(1, 612 * 1024, data, 1000), 0);
	c.piece = 0;
	assert_int_equal(read_at(1, 0, MSIZE), 0);	/* cut to fit msize */
	assert_int_equal(p9_get32(&r), MSIZE - P9_IOHDR);
	assert_memory_equal(r.at + 3, data, MSIZE - P9_IOHDR - 3);
	assert_int_equal(read_at(1, 3 + 512 * 1024 + 50000, 500), 0);
	assert_int_equal(p9_get32(&r), 500);
	assert_memory_equal(r.at, data + 50000, 500);
	assert_int_equal(read_at(1, 612 * 1024 + 900, 500), 0);
	assert_int_equal(p9_get32(&r), 100);
	assert_int_equal(read_at(1, 1ull << 60, 500), 0);
	assert_int_equal(p9_get32(&r), 0);
	assert_int_equal(getattr(1, &attr), 0);
	assert_int_equal(attr.size, 612 * 1024 + 1000);
	assert_int_equal(attr.uid, 1000);
	assert_int_equal(attr.gid, 55);
	assert_int_equal(attr.mode, 0100644);
	assert_int_equal(attr.nlink, 1);
	assert_int_equal(clunk(1), 0);
	assert_int_equal(clunk(1), EBADF);
	assert_int_equal(walk(TOP, 1, ""), 0);
	assert_int_equal(lcreate(1, "file", P9_O_RDWR | P9_O_EXCL), EEXIST);
	assert_int_equal(lcreate(1, "file", P9_O_RDWR | P9_O_TRUNC), 0);
	assert_int_equal(getattr(1, &attr), 0);
	assert_int_equal(attr.size, 0);
}

static void test_open_rules(void **state)
{
	(void)state;
	walk(TOP, 1, "");
	assert_int_equal(lcreate(1, "f", P9_O_WRONLY), 0);
	assert_int_equal(read_at(1, 0, 10), EBADF);
	assert_int_equal(write_at(1, 0, "abc", 3), 0);
	assert_int_equal(lopen(1, 0), EINVAL);		/* open already */
	assert_int_equal(walk(1, 1, ""), EINVAL);
	walk(TOP, 2, "f");
	assert_int_equal(write_at(2, 0, "abc", 3), EBADF);
	assert_int_equal(lopen(2, P9_O_DIRECTORY), ENOTDIR);
	assert_int_equal(lopen(2, 0), 0);
	assert_int_equal(write_at(2, 0, "abc", 3), EBADF);
	walk(TOP, 3, "");
	assert_int_equal(lopen(3, P9_O_RDWR), EISDIR);
	assert_int_equal(lopen(3, P9_O_DIRECTORY), 0);
	assert_int_equal(read_at(3, 0, 10), EISDIR);
	/* Appending: the offset does not count. */
	walk(TOP, 4, "f");
	assert_int_equal(lopen(4, P9_O_WRONLY | P9_O_APPEND), 0);
	assert_int_equal(write_at(4, 0, "def", 3), 0);
	assert_int_equal(read_at(2, 0, 10), 0);
	assert_int_equal(p9_get32(&r), 6);
	assert_memory_equal(r.at, "abcdef", 6);
	assert_int_equal(write_at(9, 0, "abc", 3), EBADF);
	assert_int_equal(write_at(1, UINT64_MAX - 1, "abc", 3), EINVAL);
	assert_int_equal(write_at(1, 1ull << 50, "abc", 3), EFBIG);
}

/* What Tlcreate finds and cannot open leaves its fid where it was. */
static void test_create_fails_to_open(void **state)
{
	uint64_t free_before = blocks_free(c.f.vol);
	struct p9_attr attr, top;

	(void)state;
	assert_int_equal(mkdir_at(TOP, "d"), 0);
	assert_int_equal(symlink_at(TOP, "l", "d"), 0);
	walk(TOP, 1, "");
	assert_int_equal(lcreate(1, "d", P9_O_RDWR), EISDIR);
	assert_int_equal(lcreate(1, "l", P9_O_RDWR), 40);	/* ELOOP */
	assert_int_equal(lcreate(1, "x", P9_O_DIRECTORY), ENOTDIR);
	assert_int_equal(getattr(TOP, &top), 0);
	assert_int_equal(getattr(1, &attr), 0);
	assert_int_equal(attr.qid.path, top.qid.path);
	assert_int_equal(lcreate(1, "f", P9_O_RDWR), 0);
	assert_int_equal(walk(TOP, 2, "f"), 0);
	assert_int_equal(p9_get16(&r), 1);
	/* Nobody holds what could not be opened: removed, it is freed. */
	assert_int_equal(unlinkat(TOP, "d", P9_AT_REMOVEDIR), 0);
	assert_int_equal(blocks_free(c.f.vol), free_before);
}

static void test_walk(void **state)
{
	struct p9_attr attr;
	struct p9_attr root;

	(void)state;
	assert_int_equal(getattr(TOP, &root), 0);
	assert_int_equal(mkdir_at(TOP, "a"), 0);
	walk(TOP, 1, "a");
	assert_int_equal(mkdir_at(1, "b"), 0);
	assert_int_equal(walk(TOP, 2, "a/b"), 0);
	assert_int_equal(p9_get16(&r), 2);
	/* As far as it goes, and then no new fid. */
	assert_int_equal(walk(TOP, 3, "a/x/y"), 0);
	assert_int_equal(p9_get16(&r), 1);
	assert_int_equal(clunk(3), EBADF);
	assert_int_equal(walk(TOP, 3, "x/y"), ENOENT);
	assert_int_equal(walk(TOP, 2, "a"), EINVAL);	/* 2 is in use */
	assert_int_equal(walk(1, 1, "b"), 0);
	assert_int_equal(walk(1, 3, "../../../../../../.."), 0);
	assert_int_equal(getattr(3, &attr), 0);
	assert_int_equal(attr.qid.path, root.qid.path);
	assert_int_equal(walk(7, 8, "a"), EBADF);
	assert_int_equal(walk(TOP, P9_NOFID, "a"), EINVAL);
	assert_int_equal(walk(TOP, 8, "1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7"),
			 EINVAL);
}

static void test_link_rename_remove(void **state)
{
	struct p9_attr attr;

	(void)state;
	mkdir_at(TOP, "d");
	walk(TOP, 1, "d");
	walk(TOP, 2, "");
	lcreate(2, "f", P9_O_RDWR);
	write_at(2, 0, "x", 1);
	begin(P9_TLINK);
	p9_put32(&w, 1);
	p9_put32(&w, 2);
	put_name("g");
	assert_int_equal(talk(), 0);
	getattr(2, &attr);
	assert_int_equal(attr.nlink, 2);
	assert_int_equal(unlinkat(TOP, "d", 0), EISDIR);
	assert_int_equal(unlinkat(TOP, "d", P9_AT_REMOVEDIR), 39);
	assert_int_equal(unlinkat(1, "g", P9_AT_REMOVEDIR), ENOTDIR);
	assert_int_equal(unlinkat(1, "g", 1), EINVAL);
	begin(P9_TRENAMEAT);
	p9_put32(&w, TOP);
	put_name("f");
	p9_put32(&w, 1);
	put_name("h");
	assert_int_equal(talk(), 0);
	assert_int_equal(walk(TOP, 3, "f"), ENOENT);
	assert_int_equal(walk(1, 3, "h"), 0);
	assert_int_equal(unlinkat(1, "h", 0), 0);
	/* The old requests, that name the file by a fid. */
	begin(P9_TRENAME);
	p9_put32(&w, 3);
	p9_put32(&w, TOP);
	put_name("i");
	assert_int_equal(talk(), 0);
	assert_int_equal(by_fid(P9_TREMOVE, 3), 0);
	assert_int_equal(clunk(3), EBADF);
	assert_int_equal(walk(TOP, 3, "i"), ENOENT);
	/* The open file lives on. */
	getattr(2, &attr);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(write_at(2, 1, "yz", 2), 0);
	assert_int_equal(read_at(2, 0, 10), 0);
	assert_int_equal(p9_get32(&r), 3);
	assert_int_equal(unlinkat(TOP, "d", P9_AT_REMOVEDIR), 0);
	assert_int_equal(mkdir_at(1, "late"), ENOENT);
}

static void test_setattr(void **state)
{
	struct p9_attr attr;

	(void)state;
	walk(TOP, 1, "");
	lcreate(1, "f", P9_O_RDWR);
	write_at(1, 0, "0123456789", 10);
	assert_int_equal(setattr(1, 0x1ff, 06755, 4, 999999999), 0);
	getattr(1, &attr);
	assert_int_equal(attr.mode, 0106755);
	assert_int_equal(attr.uid, 12);
	assert_int_equal(attr.gid, 34);
	assert_int_equal(attr.size, 4);
	assert_true(attr.atime == 1000999999999ll);
	assert_true(attr.mtime == -1000000001ll);
	/* A write by somebody who is not root ends set-user-ID. */
	write_at(1, 0, "a", 1);
	getattr(1, &attr);
	assert_int_equal(attr.mode, 0100755);
	assert_int_equal(setattr(1, P9_SETATTR_MTIME, 0, 0, 0), 0);
	getattr(1, &attr);
	assert_true(attr.mtime > 1700000000000000000ll);
	assert_int_equal(setattr(1, P9_SETATTR_SIZE, 0, 1ull << 60, 0), EFBIG);
	assert_int_equal(setattr(TOP, P9_SETATTR_SIZE, 0, 0, 0), EISDIR);
	assert_int_equal(setattr(1, 0, 0, 0, 1000000000), EINVAL);
	assert_int_equal(setattr(9, 0, 0, 0, 0), EBADF);
}

static void test_readdir(void **state)
{
	bool seen[500] = { false };
	uint64_t offset = 0;
	unsigned found = 0;

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "name-%u", i);
		assert_int_equal(symlink_at(TOP, name, "x"), 0);
	}
	walk(TOP, 1, "");
	assert_int_equal(read_dir(1, 0, 4096), EBADF);
	assert_int_equal(lopen(1, 0), 0);
	assert_int_equal(read_dir(1, 0, 10), EINVAL);
	for (uint32_t bytes = 1; bytes != 0; ) {
		assert_int_equal(read_dir(1, offset, 300), 0);
		bytes = p9_get32(&r);
		assert_true(bytes <= 300);
		assert_int_equal(bytes, r.end - r.at);
		while (r.at < r.end) {
			struct p9_qid qid = p9_getqid(&r);
			struct p9_str name;
			unsigned number;
			uint8_t type;

			offset = p9_get64(&r);
			type = p9_get8(&r);
			name = p9_getstr(&r);
			assert_false(r.bad);
			if (sscanf(name.s, "name-%3u", &number) == 1) {
				assert_false(seen[number]);
				seen[number] = true;
				assert_int_equal(type, 10);
				assert_int_equal(qid.type, P9_QTSYMLINK);
				found++;
			}
		}
	}
	assert_int_equal(found, 500);
	assert_int_equal(read_dir(1, UINT64_MAX, 4096), 0);
	assert_int_equal(p9_get32(&r), 0);
}

static void test_xattr(void **state)
{
	(void)state;
	symlink_at(TOP, "f", "x");
	walk(TOP, 1, "f");
	assert_int_equal(xattrwalk(1, 2, "user.a"), 61);	/* ENODATA */
	assert_int_equal(xattrwalk(1, 2, ""), 0);
	assert_int_equal(p9_get64(&r), 0);
	clunk(2);
	walk(1, 2, "");
	assert_int_equal(xattrcreate(2, "user.a", 5, 0), 0);
	assert_int_equal(getattr(2, NULL), EBADF);
	assert_int_equal(write_at(2, 1, "alu", 3), ENOSPC);
	assert_int_equal(write_at(2, 0, "va", 2), 0);
	assert_int_equal(write_at(2, 2, "lues", 4), ENOSPC);
	assert_int_equal(write_at(2, 2, "lue", 3), 0);
	assert_int_equal(clunk(2), 0);
	assert_int_equal(xattrwalk(1, 2, "user.a"), 0);
	assert_int_equal(p9_get64(&r), 5);
	assert_int_equal(read_at(2, 1, 100), 0);
	assert_int_equal(p9_get32(&r), 4);
	assert_memory_equal(r.at, "alue", 4);
	assert_int_equal(read_at(2, 1ull << 40, 100), 0);
	assert_int_equal(p9_get32(&r), 0);
	assert_int_equal(xattrwalk(1, 2, "user.a"), EINVAL);	/* 2 in use */
	clunk(2);
	walk(1, 2, "");
	assert_int_equal(xattrcreate(2, "user.a", 3, 0), 0);
	assert_int_equal(clunk(2), EINVAL);		/* incomplete */
	walk(1, 2, "");
	assert_int_equal(xattrcreate(2, "user.a", 1u << 20, 0), E2BIG);
	assert_int_equal(xattrcreate(2, "user.a", 0, VOLUME_XATTR_REPLACE),
			 0);
	assert_int_equal(clunk(2), 0);			/* removes it */
	assert_int_equal(xattrwalk(1, 2, "user.a"), 61);
}

static void test_locks(void **state)
{
	(void)state;
	walk(TOP, 1, "");
	lcreate(1, "f", P9_O_RDWR);
	walk(TOP, 2, "f");
	assert_int_equal(lock(2, P9_LOCK_RDLCK, 0, 0, 1), EBADF);
	lopen(2, P9_O_RDWR);
	assert_int_equal(lock(1, P9_LOCK_WRLCK, 100, 100, 1), 0);
	assert_int_equal(lock(2, P9_LOCK_RDLCK, 0, 100, 2), 0);
	assert_int_equal(lock(2, P9_LOCK_RDLCK, 0, 101, 2),
			 P9_LOCK_BLOCKED);
	assert_int_equal(lock(2, P9_LOCK_RDLCK, 200, 0, 2), 0);
	/* Cut a hole: others may have that, and only that. */
	assert_int_equal(lock(1, P9_LOCK_UNLCK, 140, 20, 1), 0);
	assert_int_equal(lock(2, P9_LOCK_WRLCK, 140, 20, 2), 0);
	assert_int_equal(lock(2, P9_LOCK_WRLCK, 139, 1, 2), P9_LOCK_BLOCKED);
	assert_int_equal(lock(2, P9_LOCK_WRLCK, 160, 1, 2), P9_LOCK_BLOCKED);
	begin(P9_TGETLOCK);
	p9_put32(&w, 2);
	p9_put8(&w, P9_LOCK_WRLCK);
	p9_put64(&w, 100);
	p9_put64(&w, 10);
	p9_put32(&w, 2);
	put_name("other");
	assert_int_equal(talk(), 0);
	assert_int_equal(p9_get8(&r), P9_LOCK_WRLCK);
	assert_int_equal(p9_get64(&r), 100);
	assert_int_equal(p9_get64(&r), 40);
	assert_int_equal(p9_get32(&r), 1);
	assert_int_equal(p9_getstr(&r).len, 5);
	assert_true(p9_complete(&r));
	clunk(1);				/* its locks go with it */
	assert_int_equal(lock(2, P9_LOCK_WRLCK, 0, 0, 2), 0);
	assert_int_equal(lock(2, 3, 0, 0, 2), EINVAL);
	assert_int_equal(lock(2, 0, UINT64_MAX, 2, 2), EINVAL);
}

static void test_statfs_fsync_flush(void **state)
{
	(void)state;
	assert_int_equal(by_fid(P9_TSTATFS, TOP), 0);
	p9_get32(&r);
	assert_int_equal(p9_get32(&r), 4096);
	assert_int_equal(p9_get64(&r), 4096);
	begin(P9_TFSYNC);
	p9_put32(&w, TOP);
	p9_put32(&w, 0);
	assert_int_equal(talk(), 0);
	begin(P9_TFLUSH);
	p9_put16(&w, TAG);
	assert_int_equal(talk(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_version),
		TEST(test_attach),
		TEST(test_create_write_read),
		TEST(test_open_rules),
		TEST(test_create_fails_to_open),
		TEST(test_walk),
		TEST(test_link_rename_remove),
		TEST(test_setattr),
		TEST(test_readdir),
		TEST(test_xattr),
		TEST(test_locks),
		TEST(test_statfs_fsync_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
