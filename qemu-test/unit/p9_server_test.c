/* SPDX-License-Identifier: MIT */
/*
 * The 9P server, driven message by message as Linux' v9fs does it, and as a
 * hostile client does it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/p9_server.h"
#include "qemu-test/unit/volume_fixture.h"

#define MSIZE	P9_MSIZE_MAX
#define ROOT	0u		/* the fid */
#define TAG	77u

struct client {
	struct fixture f;
	struct p9_server *server;
	struct p9_session *session;
	uint8_t request[P9_MSIZE_MAX + 4096];
	uint8_t reply[2 * P9_MSIZE_MAX];
	size_t reply_len;
	unsigned replies;
	unsigned stops;			/* replies after which to stop */
	size_t piece;			/* bytes given at a time; 0: all */
};

static struct client c;
static struct p9_writer w;
static struct p9_reader r;

static bool receive(void *arg, const struct volume_seg *segs, unsigned count)
{
	assert_ptr_equal(arg, &c);
	for (unsigned i = 0; i < count; i++) {
		assert_true(c.reply_len + segs[i].len <= sizeof(c.reply));
		memcpy(c.reply + c.reply_len, segs[i].data, segs[i].len);
		c.reply_len += segs[i].len;
	}
	c.replies++;
	return c.stops == 0 || --c.stops > 0;
}

static int feed(const uint8_t *data, size_t len)
{
	size_t piece = c.piece != 0 ? c.piece : len;
	int error = 0;

	while (error == 0 && len > 0) {
		size_t n = piece < len ? piece : len;
		size_t used;

		error = p9_session_input(c.session, data, n, &used);
		data += used;
		len -= used;
	}
	return error;
}

static void begin(uint8_t type)
{
	p9_begin(&w, c.request, sizeof(c.request), type, TAG);
}

static void put_name(const char *name)
{
	p9_putstr(&w, name, strlen(name));
}

/* Sends the request, reads the reply's head. Returns 0 or the error number. */
static uint32_t talk(void)
{
	uint8_t type = c.request[4];
	uint32_t size;
	uint8_t got;

	assert_int_not_equal(p9_end(&w, 0), 0);
	c.reply_len = 0;
	c.replies = 0;
	assert_int_equal(feed(w.start, (size_t)(w.at - w.start)), 0);
	assert_int_equal(c.replies, 1);
	r = (struct p9_reader){ c.reply, c.reply + c.reply_len, false };
	size = p9_get32(&r);
	assert_int_equal(size, c.reply_len);
	assert_true(size < MSIZE);
	got = p9_get8(&r);
	assert_int_equal(p9_get16(&r), TAG);
	if (got == P9_RLERROR) {
		return p9_get32(&r);
	}
	assert_int_equal(got, type + 1);
	return 0;
}

static uint32_t version(uint32_t msize, const char *name)
{
	begin(P9_TVERSION);
	p9_put32(&w, msize);
	put_name(name);
	return talk();
}

static uint32_t attach(uint32_t fid, uint32_t uid)
{
	begin(P9_TATTACH);
	p9_put32(&w, fid);
	p9_put32(&w, P9_NOFID);
	put_name("user");
	put_name("");
	p9_put32(&w, uid);
	return talk();
}

static uint32_t walk(uint32_t fid, uint32_t newfid, const char *path)
{
	uint16_t names = 0;
	uint8_t *count;

	begin(P9_TWALK);
	p9_put32(&w, fid);
	p9_put32(&w, newfid);
	count = w.at;
	p9_put16(&w, 0);
	while (*path != '\0') {
		size_t len = strcspn(path, "/");

		p9_putstr(&w, path, len);
		path += len + (path[len] == '/');
		names++;
	}
	memcpy(count, &names, sizeof(names));
	return talk();
}

static uint32_t by_fid(uint8_t type, uint32_t fid)
{
	begin(type);
	p9_put32(&w, fid);
	return talk();
}

static uint32_t clunk(uint32_t fid)
{
	return by_fid(P9_TCLUNK, fid);
}

static uint32_t lopen(uint32_t fid, uint32_t flags)
{
	begin(P9_TLOPEN);
	p9_put32(&w, fid);
	p9_put32(&w, flags);
	return talk();
}

static uint32_t lcreate(uint32_t fid, const char *name, uint32_t flags)
{
	begin(P9_TLCREATE);
	p9_put32(&w, fid);
	put_name(name);
	p9_put32(&w, flags);
	p9_put32(&w, 0100644);
	p9_put32(&w, 55);
	return talk();
}

static uint32_t write_at(uint32_t fid, uint64_t offset, const void *data,
			 uint32_t len)
{
	begin(P9_TWRITE);
	p9_put32(&w, fid);
	p9_put64(&w, offset);
	p9_put32(&w, len);
	p9_put(&w, data, len);
	return talk();
}

static uint32_t read_at(uint32_t fid, uint64_t offset, uint32_t count)
{
	begin(P9_TREAD);
	p9_put32(&w, fid);
	p9_put64(&w, offset);
	p9_put32(&w, count);
	return talk();
}

static uint32_t getattr(uint32_t fid, struct p9_attr *attr)
{
	uint32_t error;

	begin(P9_TGETATTR);
	p9_put32(&w, fid);
	p9_put64(&w, P9_GETATTR_BASIC);
	error = talk();
	if (error == 0) {
		p9_getattr(&r, attr);
		assert_true(p9_complete(&r));
	}
	return error;
}

static uint32_t unlinkat(uint32_t dir, const char *name, uint32_t flags)
{
	begin(P9_TUNLINKAT);
	p9_put32(&w, dir);
	put_name(name);
	p9_put32(&w, flags);
	return talk();
}

static uint32_t mkdir_at(uint32_t dir, const char *name)
{
	begin(P9_TMKDIR);
	p9_put32(&w, dir);
	put_name(name);
	p9_put32(&w, 0755);
	p9_put32(&w, 0);
	return talk();
}

static int setup(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	fixture_open(&c.f, 16, "");
	c.server = p9_server_new(c.f.vol);
	c.session = p9_session_new(c.server, receive, &c);
	assert_int_equal(version(MSIZE, P9_VERSION), 0);
	assert_int_equal(p9_get32(&r), MSIZE);
	assert_int_equal(attach(ROOT, 1000), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	p9_session_free(c.session);
	p9_server_free(c.server);
	fixture_close(&c.f);
	return 0;
}

static void test_version(void **state)
{
	(void)state;
	assert_int_equal(version(1u << 30, "9P2000.L"), 0);
	assert_int_equal(p9_get32(&r), P9_MSIZE_MAX);
	assert_int_equal(version(4095, "9P2000.L"), 90);
	/* Tversion ended the session's fids. */
	assert_int_equal(clunk(ROOT), EBADF);
	assert_int_equal(version(8192, "9P2000"), 0);
	p9_get32(&r);
	assert_int_equal(p9_getstr(&r).len, 7);
	assert_int_equal(attach(ROOT, 0), 71);		/* EPROTO */
}

static void test_attach(void **state)
{
	(void)state;
	assert_int_equal(attach(ROOT, 0), EINVAL);	/* in use */
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
	assert_int_equal(walk(ROOT, 1, ""), 0);
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
	assert_int_equal(walk(ROOT, 1, ""), 0);
	assert_int_equal(lcreate(1, "file", P9_O_RDWR | P9_O_EXCL), EEXIST);
	assert_int_equal(lcreate(1, "file", P9_O_RDWR | P9_O_TRUNC), 0);
	assert_int_equal(getattr(1, &attr), 0);
	assert_int_equal(attr.size, 0);
}

static void test_open_rules(void **state)
{
	(void)state;
	walk(ROOT, 1, "");
	assert_int_equal(lcreate(1, "f", P9_O_WRONLY), 0);
	assert_int_equal(read_at(1, 0, 10), EBADF);
	assert_int_equal(write_at(1, 0, "abc", 3), 0);
	assert_int_equal(lopen(1, 0), EINVAL);		/* open already */
	assert_int_equal(walk(1, 1, ""), EINVAL);
	walk(ROOT, 2, "f");
	assert_int_equal(write_at(2, 0, "abc", 3), EBADF);
	assert_int_equal(lopen(2, P9_O_DIRECTORY), ENOTDIR);
	assert_int_equal(lopen(2, 0), 0);
	assert_int_equal(write_at(2, 0, "abc", 3), EBADF);
	walk(ROOT, 3, "");
	assert_int_equal(lopen(3, P9_O_RDWR), EISDIR);
	assert_int_equal(lopen(3, P9_O_DIRECTORY), 0);
	assert_int_equal(read_at(3, 0, 10), EISDIR);
	/* Appending: the offset does not count. */
	walk(ROOT, 4, "f");
	assert_int_equal(lopen(4, P9_O_WRONLY | P9_O_APPEND), 0);
	assert_int_equal(write_at(4, 0, "def", 3), 0);
	assert_int_equal(read_at(2, 0, 10), 0);
	assert_int_equal(p9_get32(&r), 6);
	assert_memory_equal(r.at, "abcdef", 6);
	assert_int_equal(write_at(9, 0, "abc", 3), EBADF);
	assert_int_equal(write_at(1, UINT64_MAX - 1, "abc", 3), EINVAL);
	assert_int_equal(write_at(1, 1ull << 50, "abc", 3), EFBIG);
}

static void test_walk(void **state)
{
	struct p9_attr attr;
	struct p9_attr root;

	(void)state;
	assert_int_equal(getattr(ROOT, &root), 0);
	assert_int_equal(mkdir_at(ROOT, "a"), 0);
	walk(ROOT, 1, "a");
	assert_int_equal(mkdir_at(1, "b"), 0);
	assert_int_equal(walk(ROOT, 2, "a/b"), 0);
	assert_int_equal(p9_get16(&r), 2);
	/* As far as it goes, and then no new fid. */
	assert_int_equal(walk(ROOT, 3, "a/x/y"), 0);
	assert_int_equal(p9_get16(&r), 1);
	assert_int_equal(clunk(3), EBADF);
	assert_int_equal(walk(ROOT, 3, "x/y"), ENOENT);
	assert_int_equal(walk(ROOT, 2, "a"), EINVAL);	/* 2 is in use */
	assert_int_equal(walk(1, 1, "b"), 0);
	assert_int_equal(walk(1, 3, "../../../../../../.."), 0);
	assert_int_equal(getattr(3, &attr), 0);
	assert_int_equal(attr.qid.path, root.qid.path);
	assert_int_equal(walk(7, 8, "a"), EBADF);
	assert_int_equal(walk(ROOT, P9_NOFID, "a"), EINVAL);
	assert_int_equal(walk(ROOT, 8, "1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7"),
			 EINVAL);
}

static void test_names_stay_inside(void **state)
{
	static const struct {
		const char *name;
		size_t len;
	} bad[] = {
		{ "", 0 }, { "a/b", 3 }, { "/", 1 }, { "a\0b", 3 },
		{ "../x", 4 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin(P9_TMKDIR);
		p9_put32(&w, ROOT);
		p9_putstr(&w, bad[i].name, bad[i].len);
		p9_put32(&w, 0755);
		p9_put32(&w, 0);
		assert_int_equal(talk(), EINVAL);
		begin(P9_TWALK);
		p9_put32(&w, ROOT);
		p9_put32(&w, 1);
		p9_put16(&w, 1);
		p9_putstr(&w, bad[i].name, bad[i].len);
		assert_int_equal(talk(), EINVAL);
	}
	assert_int_equal(unlinkat(ROOT, "..", P9_AT_REMOVEDIR), 39);
	assert_int_equal(unlinkat(ROOT, ".", P9_AT_REMOVEDIR), EINVAL);
	assert_int_equal(by_fid(P9_TREMOVE, ROOT), ENOENT);
}

static uint32_t symlink_at(uint32_t dir, const char *name, const char *text)
{
	begin(P9_TSYMLINK);
	p9_put32(&w, dir);
	put_name(name);
	put_name(text);
	p9_put32(&w, 0);
	return talk();
}

static void test_symlinks_are_data(void **state)
{
	(void)state;
	assert_int_equal(symlink_at(ROOT, "l", "/etc/passwd"), 0);
	assert_int_equal(p9_get8(&r), P9_QTSYMLINK);
	assert_int_equal(symlink_at(ROOT, "up", ".."), 0);
	assert_int_equal(walk(ROOT, 1, "up/x"), 0);
	assert_int_equal(p9_get16(&r), 1);		/* not followed */
	assert_int_equal(walk(ROOT, 1, "l"), 0);
	assert_int_equal(lopen(1, 0), 40);		/* ELOOP */
	assert_int_equal(by_fid(P9_TREADLINK, 1), 0);
	assert_int_equal(p9_getstr(&r).len, 11);
	assert_int_equal(by_fid(P9_TREADLINK, ROOT), EINVAL);
}

static void test_special_files_are_inert(void **state)
{
	static const uint32_t types[] = { 0010000, 0020000, 0060000, 0140000 };
	struct p9_attr attr;

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		char name[2] = { (char)('a' + i), '\0' };

		begin(P9_TMKNOD);
		p9_put32(&w, ROOT);
		put_name(name);
		p9_put32(&w, types[i] | 0666);
		p9_put32(&w, 4);
		p9_put32(&w, 300);
		p9_put32(&w, 0);
		assert_int_equal(talk(), 0);
		assert_int_equal(walk(ROOT, 1, name), 0);
		assert_int_equal(lopen(1, P9_O_RDWR), ENXIO);
		assert_int_equal(getattr(1, &attr), 0);
		assert_int_equal(attr.mode, types[i] | 0666);
		assert_int_equal(attr.rdev, i == 1 || i == 2
				 ? (300 & 0xff) | 4 << 8 | 0x100 << 12 : 0);
		assert_int_equal(clunk(1), 0);
	}
	begin(P9_TMKNOD);
	p9_put32(&w, ROOT);
	put_name("dir");
	p9_put32(&w, 040755);
	p9_put64(&w, 0);
	p9_put32(&w, 0);
	assert_int_equal(talk(), EINVAL);
}

static void test_link_rename_remove(void **state)
{
	struct p9_attr attr;

	(void)state;
	mkdir_at(ROOT, "d");
	walk(ROOT, 1, "d");
	walk(ROOT, 2, "");
	lcreate(2, "f", P9_O_RDWR);
	write_at(2, 0, "x", 1);
	begin(P9_TLINK);
	p9_put32(&w, 1);
	p9_put32(&w, 2);
	put_name("g");
	assert_int_equal(talk(), 0);
	getattr(2, &attr);
	assert_int_equal(attr.nlink, 2);
	assert_int_equal(unlinkat(ROOT, "d", 0), EISDIR);
	assert_int_equal(unlinkat(ROOT, "d", P9_AT_REMOVEDIR), 39);
	assert_int_equal(unlinkat(1, "g", P9_AT_REMOVEDIR), ENOTDIR);
	assert_int_equal(unlinkat(1, "g", 1), EINVAL);
	begin(P9_TRENAMEAT);
	p9_put32(&w, ROOT);
	put_name("f");
	p9_put32(&w, 1);
	put_name("h");
	assert_int_equal(talk(), 0);
	assert_int_equal(walk(ROOT, 3, "f"), ENOENT);
	assert_int_equal(walk(1, 3, "h"), 0);
	assert_int_equal(unlinkat(1, "h", 0), 0);
	/* The old requests, that name the file by a fid. */
	begin(P9_TRENAME);
	p9_put32(&w, 3);
	p9_put32(&w, ROOT);
	put_name("i");
	assert_int_equal(talk(), 0);
	assert_int_equal(by_fid(P9_TREMOVE, 3), 0);
	assert_int_equal(clunk(3), EBADF);
	assert_int_equal(walk(ROOT, 3, "i"), ENOENT);
	/* The open file lives on. */
	getattr(2, &attr);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(write_at(2, 1, "yz", 2), 0);
	assert_int_equal(read_at(2, 0, 10), 0);
	assert_int_equal(p9_get32(&r), 3);
	assert_int_equal(unlinkat(ROOT, "d", P9_AT_REMOVEDIR), 0);
	assert_int_equal(mkdir_at(1, "late"), ENOENT);
}

static uint32_t setattr(uint32_t fid, uint32_t valid, uint32_t mode,
			uint64_t size, uint64_t ns)
{
	begin(P9_TSETATTR);
	p9_put32(&w, fid);
	p9_put32(&w, valid);
	p9_put32(&w, mode);
	p9_put32(&w, 12);
	p9_put32(&w, 34);
	p9_put64(&w, size);
	p9_put64(&w, 1000);
	p9_put64(&w, ns);
	p9_put64(&w, (uint64_t)-2);
	p9_put64(&w, ns);
	return talk();
}

static void test_setattr(void **state)
{
	struct p9_attr attr;

	(void)state;
	walk(ROOT, 1, "");
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
	assert_int_equal(setattr(ROOT, P9_SETATTR_SIZE, 0, 0, 0), EISDIR);
	assert_int_equal(setattr(1, 0, 0, 0, 1000000000), EINVAL);
	assert_int_equal(setattr(9, 0, 0, 0, 0), EBADF);
}

static uint32_t readdir(uint32_t fid, uint64_t offset, uint32_t count)
{
	begin(P9_TREADDIR);
	p9_put32(&w, fid);
	p9_put64(&w, offset);
	p9_put32(&w, count);
	return talk();
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
		assert_int_equal(symlink_at(ROOT, name, "x"), 0);
	}
	walk(ROOT, 1, "");
	assert_int_equal(readdir(1, 0, 4096), EBADF);
	assert_int_equal(lopen(1, 0), 0);
	assert_int_equal(readdir(1, 0, 10), EINVAL);
	for (uint32_t bytes = 1; bytes != 0; ) {
		assert_int_equal(readdir(1, offset, 300), 0);
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
	assert_int_equal(readdir(1, UINT64_MAX, 4096), 0);
	assert_int_equal(p9_get32(&r), 0);
}

static uint32_t xattrwalk(uint32_t fid, uint32_t newfid, const char *name)
{
	begin(P9_TXATTRWALK);
	p9_put32(&w, fid);
	p9_put32(&w, newfid);
	put_name(name);
	return talk();
}

static uint32_t xattrcreate(uint32_t fid, const char *name, uint64_t size,
			    uint32_t flags)
{
	begin(P9_TXATTRCREATE);
	p9_put32(&w, fid);
	put_name(name);
	p9_put64(&w, size);
	p9_put32(&w, flags);
	return talk();
}

static void test_xattr(void **state)
{
	(void)state;
	symlink_at(ROOT, "f", "x");
	walk(ROOT, 1, "f");
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

static uint32_t lock(uint32_t fid, uint8_t type, uint64_t start,
		     uint64_t length, uint32_t proc)
{
	uint32_t error;

	begin(P9_TLOCK);
	p9_put32(&w, fid);
	p9_put8(&w, type);
	p9_put32(&w, 0);
	p9_put64(&w, start);
	p9_put64(&w, length);
	p9_put32(&w, proc);
	put_name("linux");
	error = talk();
	return error != 0 ? error : p9_get8(&r);
}

static void test_locks(void **state)
{
	(void)state;
	walk(ROOT, 1, "");
	lcreate(1, "f", P9_O_RDWR);
	walk(ROOT, 2, "f");
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
	assert_int_equal(by_fid(P9_TSTATFS, ROOT), 0);
	p9_get32(&r);
	assert_int_equal(p9_get32(&r), 4096);
	assert_int_equal(p9_get64(&r), 4096);
	begin(P9_TFSYNC);
	p9_put32(&w, ROOT);
	p9_put32(&w, 0);
	assert_int_equal(talk(), 0);
	begin(P9_TFLUSH);
	p9_put16(&w, TAG);
	assert_int_equal(talk(), 0);
}

/* Each request cut short at each byte, and each with a byte too many. */
static void test_malformed(void **state)
{
	static const struct {
		uint8_t type;
		uint8_t len;		/* of a body of zeros that is right */
	} bodies[] = {
		{ P9_TSTATFS, 4 }, { P9_TLOPEN, 8 }, { P9_TLCREATE, 18 },
		{ P9_TSYMLINK, 12 }, { P9_TMKNOD, 22 }, { P9_TRENAME, 10 },
		{ P9_TREADLINK, 4 }, { P9_TGETATTR, 12 }, { P9_TSETATTR, 60 },
		{ P9_TXATTRWALK, 10 }, { P9_TXATTRCREATE, 18 },
		{ P9_TREADDIR, 16 }, { P9_TFSYNC, 8 }, { P9_TLOCK, 31 },
		{ P9_TGETLOCK, 27 }, { P9_TLINK, 10 }, { P9_TMKDIR, 14 },
		{ P9_TRENAMEAT, 12 }, { P9_TUNLINKAT, 10 },
		{ P9_TVERSION, 6 }, { P9_TATTACH, 16 }, { P9_TFLUSH, 2 },
		{ P9_TWALK, 10 }, { P9_TREAD, 16 }, { P9_TWRITE, 16 },
		{ P9_TCLUNK, 4 }, { P9_TREMOVE, 4 },
	};
	static const uint8_t zeros[64];
	struct p9_attr attr;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		for (size_t len = 0; len <= bodies[i].len + 1u; len++) {
			if (len == bodies[i].len) {
				continue;
			}
			begin(bodies[i].type);
			p9_put(&w, zeros, len);
			assert_int_equal(talk(), EINVAL);
		}
	}
	for (unsigned type = 0; type < 256; type++) {
		begin((uint8_t)type);
		talk();
		assert_int_equal(c.reply[4], P9_RLERROR);
	}
	assert_int_equal(getattr(ROOT, &attr), 0);
}

static void test_sizes(void **state)
{
	uint8_t short_size[7] = { 6, 0, 0, 0, P9_TCLUNK, 0, 0 };
	struct p9_attr attr;
	uint32_t big;

	(void)state;
	/* Too long for what it is: skipped, and the session lives. */
	begin(P9_TMKDIR);
	p9_put32(&w, ROOT);
	p9_put16(&w, 60000);
	p9_room(&w, 60000);
	p9_put64(&w, 0);
	assert_int_equal(talk(), 36);			/* ENAMETOOLONG */
	assert_int_equal(getattr(ROOT, &attr), 0);
	/* Longer than msize. */
	begin(P9_TWRITE);
	p9_room(&w, P9_MSIZE_MAX);
	assert_int_equal(talk(), 90);			/* EMSGSIZE */
	assert_int_equal(getattr(ROOT, &attr), 0);
	/* A Twrite whose count is not what comes. */
	walk(ROOT, 1, "");
	lcreate(1, "f", P9_O_RDWR);
	for (big = 0; big < 10; big++) {
		begin(P9_TWRITE);
		p9_put32(&w, 1);
		p9_put64(&w, 0);
		p9_put32(&w, big);
		p9_put(&w, "12345", 5);
		assert_int_equal(talk(), big == 5 ? 0 : EINVAL);
	}
	/* No way to go on after this. */
	assert_int_equal(feed(short_size, sizeof(short_size)), EPROTO);
}

static void test_fids_are_bounded(void **state)
{
	uint32_t n = 1;

	(void)state;
	while (walk(ROOT, n * 7, "") == 0) {
		n++;
		assert_true(n < 70000);
	}
	assert_int_equal(walk(ROOT, n * 7, ""), ENFILE);
	assert_int_equal(n, 65536);
	assert_int_equal(clunk(7 * 500), 0);
	assert_int_equal(walk(ROOT, 7 * 500, ""), 0);
	assert_int_equal(version(MSIZE, P9_VERSION), 0);
	assert_int_equal(clunk(7), EBADF);
}

/* A transport that is full stops the session, and it goes on later. */
static void test_back_pressure(void **state)
{
	uint8_t many[3 * 11];
	size_t used;

	(void)state;
	begin(P9_TCLUNK);
	p9_put32(&w, 99);
	p9_end(&w, 0);
	for (unsigned i = 0; i < 3; i++) {
		memcpy(many + 11 * i, c.request, 11);
	}
	c.replies = 0;
	c.stops = 1;
	assert_int_equal(p9_session_input(c.session, many, 33, &used), 0);
	assert_int_equal(used, 11);
	assert_int_equal(c.replies, 1);
	assert_int_equal(p9_session_input(c.session, many + 11, 22, &used), 0);
	assert_int_equal(used, 22);
	assert_int_equal(c.replies, 3);
}

static void test_full_volume(void **state)
{
	static uint8_t data[500000];
	uint64_t offset = 0;
	uint32_t error;

	(void)state;
	walk(ROOT, 1, "");
	lcreate(1, "f", P9_O_RDWR);
	for (;;) {
		uint32_t n;

		error = write_at(1, offset, data, sizeof(data));
		if (error != 0) {
			break;
		}
		n = p9_get32(&r);
		assert_true(n > 0 && n <= sizeof(data));
		offset += n;
	}
	assert_int_equal(error, ENOSPC);
	assert_int_equal(mkdir_at(ROOT, "d"), ENOSPC);
	assert_int_equal(unlinkat(ROOT, "f", 0), 0);
	assert_int_equal(mkdir_at(ROOT, "d"), ENOSPC);	/* f is open still */
	assert_int_equal(clunk(1), 0);
	assert_int_equal(mkdir_at(ROOT, "d"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_version),
		TEST(test_attach),
		TEST(test_create_write_read),
		TEST(test_open_rules),
		TEST(test_walk),
		TEST(test_names_stay_inside),
		TEST(test_symlinks_are_data),
		TEST(test_special_files_are_inert),
		TEST(test_link_rename_remove),
		TEST(test_setattr),
		TEST(test_readdir),
		TEST(test_xattr),
		TEST(test_locks),
		TEST(test_statfs_fsync_flush),
		TEST(test_malformed),
		TEST(test_sizes),
		TEST(test_fids_are_bounded),
		TEST(test_back_pressure),
		TEST(test_full_volume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
