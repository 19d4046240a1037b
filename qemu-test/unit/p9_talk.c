/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/p9_talk.h"

struct client c;
struct p9_writer w;
struct p9_reader r;

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

int feed(const uint8_t *data, size_t len)
{
	size_t piece = c.piece != 0 ? c.piece : len;
	int error = 0;

	while (error == 0 && len > 0) {
		size_t n = piece < len ? piece : len;
		size_t used;

		error = p9_session_input(c.session, data, n, UINT64_MAX,
					 &used);
		data += used;
		len -= used;
	}
	return error;
}

void begin(uint8_t type)
{
	p9_begin(&w, c.request, sizeof(c.request), type, TAG);
}

void put_name(const char *name)
{
	p9_putstr(&w, name, strlen(name));
}

/* Sends the request, reads the reply's head. Returns 0 or the error number. */
uint32_t talk(void)
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

uint32_t version(uint32_t msize, const char *name)
{
	begin(P9_TVERSION);
	p9_put32(&w, msize);
	put_name(name);
	return talk();
}

uint32_t attach(uint32_t fid, uint32_t uid)
{
	begin(P9_TATTACH);
	p9_put32(&w, fid);
	p9_put32(&w, P9_NOFID);
	put_name("user");
	put_name("");
	p9_put32(&w, uid);
	return talk();
}

uint32_t walk(uint32_t fid, uint32_t newfid, const char *path)
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

uint32_t by_fid(uint8_t type, uint32_t fid)
{
	begin(type);
	p9_put32(&w, fid);
	return talk();
}

uint32_t clunk(uint32_t fid)
{
	return by_fid(P9_TCLUNK, fid);
}

uint32_t lopen(uint32_t fid, uint32_t flags)
{
	begin(P9_TLOPEN);
	p9_put32(&w, fid);
	p9_put32(&w, flags);
	return talk();
}

uint32_t lcreate(uint32_t fid, const char *name, uint32_t flags)
{
	begin(P9_TLCREATE);
	p9_put32(&w, fid);
	put_name(name);
	p9_put32(&w, flags);
	p9_put32(&w, 0100644);
	p9_put32(&w, 55);
	return talk();
}

uint32_t write_at(uint32_t fid, uint64_t offset, const void *data,
			 uint32_t len)
{
	begin(P9_TWRITE);
	p9_put32(&w, fid);
	p9_put64(&w, offset);
	p9_put32(&w, len);
	p9_put(&w, data, len);
	return talk();
}

uint32_t read_at(uint32_t fid, uint64_t offset, uint32_t count)
{
	begin(P9_TREAD);
	p9_put32(&w, fid);
	p9_put64(&w, offset);
	p9_put32(&w, count);
	return talk();
}

uint32_t getattr(uint32_t fid, struct p9_attr *attr)
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

uint32_t unlinkat(uint32_t dir, const char *name, uint32_t flags)
{
	begin(P9_TUNLINKAT);
	p9_put32(&w, dir);
	put_name(name);
	p9_put32(&w, flags);
	return talk();
}

uint32_t mkdir_at(uint32_t dir, const char *name)
{
	begin(P9_TMKDIR);
	p9_put32(&w, dir);
	put_name(name);
	p9_put32(&w, 0755);
	p9_put32(&w, 0);
	return talk();
}

uint32_t symlink_at(uint32_t dir, const char *name, const char *text)
{
	begin(P9_TSYMLINK);
	p9_put32(&w, dir);
	put_name(name);
	put_name(text);
	p9_put32(&w, 0);
	return talk();
}

uint32_t setattr(uint32_t fid, uint32_t valid, uint32_t mode,
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

uint32_t read_dir(uint32_t fid, uint64_t offset, uint32_t count)
{
	begin(P9_TREADDIR);
	p9_put32(&w, fid);
	p9_put64(&w, offset);
	p9_put32(&w, count);
	return talk();
}

uint32_t xattrwalk(uint32_t fid, uint32_t newfid, const char *name)
{
	begin(P9_TXATTRWALK);
	p9_put32(&w, fid);
	p9_put32(&w, newfid);
	put_name(name);
	return talk();
}

uint32_t xattrcreate(uint32_t fid, const char *name, uint64_t size,
			    uint32_t flags)
{
	begin(P9_TXATTRCREATE);
	p9_put32(&w, fid);
	put_name(name);
	p9_put64(&w, size);
	p9_put32(&w, flags);
	return talk();
}

uint32_t lock(uint32_t fid, uint8_t type, uint64_t start,
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

void begin_session(void)
{
	c.session = p9_session_new(c.server, receive, &c);
	assert_int_equal(version(MSIZE, P9_VERSION), 0);
}

int setup(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	fixture_open(&c.f, 16, "");
	c.server = p9_server_new(c.f.vol);
	begin_session();
	assert_int_equal(p9_get32(&r), MSIZE);
	assert_int_equal(attach(TOP, 1000), 0);
	return 0;
}

int teardown(void **state)
{
	(void)state;
	p9_session_free(c.session);
	p9_server_free(c.server);
	fixture_close(&c.f);
	return 0;
}
