/* SPDX-License-Identifier: MIT */
/*
 * The 9P server against a client that means harm: names, links and special
 * files, malformed messages, too much of everything.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/files/p9_server_int.h"
#include "host-bridge/fs/ext4/volume_int.h"
#include "qemu-test/unit/p9_talk.h"

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
	assert_int_equal(getattr(TOP, &attr), 0);
}

static void test_sizes(void **state)
{
	uint8_t short_size[7] = { 6, 0, 0, 0, P9_TCLUNK, 0, 0 };
	struct p9_attr attr;
	uint32_t big;

	(void)state;
	/* Too long for what it is: skipped, and the session lives. */
	begin(P9_TMKDIR);
	p9_put32(&w, TOP);
	p9_put16(&w, 60000);
	p9_room(&w, 60000);
	p9_put64(&w, 0);
	assert_int_equal(talk(), 36);			/* ENAMETOOLONG */
	assert_int_equal(getattr(TOP, &attr), 0);
	/* Longer than msize. */
	begin(P9_TWRITE);
	p9_room(&w, P9_MSIZE_MAX);
	assert_int_equal(talk(), 90);			/* EMSGSIZE */
	assert_int_equal(getattr(TOP, &attr), 0);
	/* A Twrite whose count is not what comes. */
	walk(TOP, 1, "");
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
	attach(1, 0);
	while (walk(1, n * 7, "") == 0) {
		n++;
		assert_true(n < 70000);
	}
	assert_int_equal(walk(1, n * 7, ""), ENFILE);
	assert_int_equal(n, 65536 - 1);
	assert_int_equal(clunk(7 * 500), 0);
	assert_int_equal(walk(1, 7 * 500, ""), 0);
	assert_int_equal(version(MSIZE, P9_VERSION), 0);
	assert_int_equal(clunk(7), EBADF);
}

/* A lock is cut in pieces, byte by byte, and then no more: 37 is ENOLCK. */
static void test_locks_are_bounded(void **state)
{
	uint32_t n = 1;

	(void)state;
	attach(9, 0);
	walk(9, 1, "");
	lcreate(1, "f", P9_O_RDWR);
	walk(9, 2, "f");
	lopen(2, P9_O_RDWR);
	assert_int_equal(lock(1, P9_LOCK_WRLCK, 0, 1000000, 1), 0);
	while (lock(1, P9_LOCK_UNLCK, 2 * n - 1, 1, 1) == 0) {
		n++;
		assert_true(n < 10000);
	}
	assert_int_equal(n, 4096);
	/* Refused, it left the lock as it was. */
	assert_int_equal(lock(1, P9_LOCK_UNLCK, 2 * n - 1, 1, 1), 37);
	assert_int_equal(lock(2, P9_LOCK_WRLCK, 2 * n - 1, 1, 2),
			 P9_LOCK_BLOCKED);
	assert_int_equal(c.server->lock_count, n);
	assert_int_equal(lock(1, P9_LOCK_WRLCK, 2 * n - 3, 1, 1), 37);
	/* Without one more to keep, it unlocks. */
	assert_int_equal(lock(1, P9_LOCK_UNLCK, 2 * n - 2, 10, 1), 0);
	assert_int_equal(lock(1, P9_LOCK_UNLCK, 0, 1, 1), 0);
	assert_int_equal(c.server->lock_count, n - 1);
	/* Two more are not to be had for one: the middle of a lock. */
	assert_int_equal(lock(1, P9_LOCK_RDLCK, 20000, 1, 1), 37);
	assert_int_equal(lock(1, P9_LOCK_UNLCK, 2, 1, 1), 0);
	assert_int_equal(lock(1, P9_LOCK_RDLCK, 20000, 1, 1), 0);
	assert_int_equal(c.server->lock_count, n);
	assert_int_equal(lock(1, P9_LOCK_UNLCK, 0, 0, 1), 0);
	assert_int_equal(c.server->lock_count, 0);
}

/* Users who take all they can get: the one who has the fid root, and those who
 * attach after him. All find something, root what is left. */
static void test_quotas(void **state)
{
	uint32_t fids[3], locks[3], next = 10;
	char value[P9_XATTR_MAX] = { 0 };
	unsigned values = 0;

	(void)state;
	walk(TOP, 1, "");
	assert_int_equal(lcreate(1, "f", P9_O_RDWR), 0);
	assert_int_equal(setattr(1, 1, 0100666, 0, 0), 0);
	for (uint32_t u = 0; u < 3; u++) {
		attach(3 + u, u == 2 ? 0 : 2000 + u);
		walk(3 + u, 6 + u, "f");
		assert_int_equal(lopen(6 + u, P9_O_RDWR), 0);
		for (locks[u] = 0; lock(6 + u, P9_LOCK_RDLCK, 2 * locks[u], 1,
					u) == 0; locks[u]++) {
		}
		for (fids[u] = 0; walk(3 + u, next, "") == 0; fids[u]++) {
			next++;
		}
		assert_int_equal(walk(3 + u, next, ""), ENFILE);
	}
	assert_int_equal(locks[0], 2048);
	assert_int_equal(locks[1], 1024);
	assert_int_equal(locks[2], 1024);
	assert_in_range(fids[0], 32700, 32768);
	assert_in_range(fids[1], 16350, 16384);
	assert_in_range(fids[2], 16350, 16384);
	/* Values that are gathered, and never set. */
	for (uint32_t id = 10; id < 10 + fids[0]; id++, values++) {
		if (xattrcreate(id, "user.x", sizeof(value), 0) != 0) {
			break;
		}
	}
	assert_in_range(values, 50, 64);
	assert_int_equal(xattrcreate(10 + fids[0], "user.x", 60000, 0), 0);
	/* What is given back is there again; the value was not complete. */
	assert_int_equal(clunk(10), EINVAL);
	assert_int_equal(xattrcreate(11 + values, "user.x", 60000, 0), 0);
	assert_int_equal(version(MSIZE, P9_VERSION), 0);
	assert_int_equal(c.server->lock_count, 0);
	assert_false(p9_server_end_some(c.server, UINT64_MAX));
	assert_int_equal(c.server->xattr_bytes, 0);
	attach(1, 2000);
	for (next = 2; walk(1, next, "") == 0; next++) {
	}
	assert_int_equal(next, 32769);
}

static uint32_t rename_fid(uint32_t fid, const char *name)
{
	begin(P9_TRENAME);
	p9_put32(&w, fid);
	p9_put32(&w, TOP);
	put_name(name);
	return talk();
}

/* A request that names a file by its fid costs the same in a directory of any
 * size: a device call that fails after some shows how many there were. */
static void test_rename_in_large_directory(void **state)
{
	char name[32];
	long calls;

	(void)state;
	assert_int_equal(walk(TOP, 1, ""), 0);
	assert_int_equal(lcreate(1, "seed", P9_O_RDWR), 0);
	assert_int_equal(walk(TOP, 2, "seed"), 0);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "a-name-of-some-length-%u", i);
		begin(P9_TLINK);
		p9_put32(&w, TOP);
		p9_put32(&w, 2);
		put_name(name);
		assert_int_equal(talk(), 0);
	}
	assert_int_equal(mkdir_at(TOP, "last"), 0);
	assert_int_equal(walk(TOP, 3, "last"), 0);
	assert_int_equal(walk(TOP, 4, "last"), 0);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "last", "new", "other" };

		c.f.fail_after = 100;
		assert_int_equal(rename_fid(3, names[i]), 0);
		calls = 100 - c.f.fail_after;
		c.f.fail_after = -1;
		assert_true(calls > 0 && calls < 50);
	}
	/* Renamed behind its back, and what is there now is another's. */
	assert_int_equal(mkdir_at(TOP, "new"), 0);
	assert_int_equal(rename_fid(4, "found"), 0);
	assert_int_equal(walk(TOP, 5, "found"), 0);
	assert_int_equal(by_fid(P9_TREMOVE, 5), 0);
	assert_int_equal(rename_fid(4, "gone"), ENOENT);
	assert_int_equal(walk(TOP, 5, "new"), 0);
	assert_int_equal(rename_fid(5, "newer"), 0);
	assert_int_equal(walk(TOP, 6, "newer"), 0);
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
	assert_int_equal(p9_session_input(c.session, many, 33, UINT64_MAX,
					  &used), 0);
	assert_int_equal(used, 11);
	assert_int_equal(c.replies, 1);
	assert_int_equal(p9_session_input(c.session, many + 11, 22,
					  UINT64_MAX, &used), 0);
	assert_int_equal(used, 22);
	assert_int_equal(c.replies, 3);
}

static void test_full_volume(void **state)
{
	static uint8_t data[500000];
	uint64_t offset = 0;
	uint32_t error;

	(void)state;
	walk(TOP, 1, "");
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
	assert_int_equal(mkdir_at(TOP, "d"), ENOSPC);
	assert_int_equal(unlinkat(TOP, "f", 0), 0);
	assert_int_equal(mkdir_at(TOP, "d"), ENOSPC);	/* f is open still */
	assert_int_equal(clunk(1), 0);
	assert_int_equal(mkdir_at(TOP, "d"), 0);
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
		p9_put32(&w, TOP);
		p9_putstr(&w, bad[i].name, bad[i].len);
		p9_put32(&w, 0755);
		p9_put32(&w, 0);
		assert_int_equal(talk(), EINVAL);
		begin(P9_TWALK);
		p9_put32(&w, TOP);
		p9_put32(&w, 1);
		p9_put16(&w, 1);
		p9_putstr(&w, bad[i].name, bad[i].len);
		assert_int_equal(talk(), EINVAL);
	}
	assert_int_equal(unlinkat(TOP, "..", P9_AT_REMOVEDIR), 39);
	assert_int_equal(unlinkat(TOP, ".", P9_AT_REMOVEDIR), EINVAL);
	assert_int_equal(by_fid(P9_TREMOVE, TOP), ENOENT);
}

static void test_symlinks_are_data(void **state)
{
	(void)state;
	assert_int_equal(symlink_at(TOP, "l", "/etc/passwd"), 0);
	assert_int_equal(p9_get8(&r), P9_QTSYMLINK);
	assert_int_equal(symlink_at(TOP, "up", ".."), 0);
	assert_int_equal(walk(TOP, 1, "up/x"), 0);
	assert_int_equal(p9_get16(&r), 1);		/* not followed */
	assert_int_equal(walk(TOP, 1, "l"), 0);
	assert_int_equal(lopen(1, 0), 40);		/* ELOOP */
	assert_int_equal(by_fid(P9_TREADLINK, 1), 0);
	assert_int_equal(p9_getstr(&r).len, 11);
	assert_int_equal(by_fid(P9_TREADLINK, TOP), EINVAL);
}

/* A damaged volume: a link that says it is longer than links can be. */
static void test_link_too_long(void **state)
{
	struct vnode *vn;
	uint32_t ino;

	(void)state;
	assert_int_equal(symlink_at(TOP, "l", "target"), 0);
	assert_int_equal(walk(TOP, 1, "l"), 0);
	ino = find(c.f.vol, ROOT, "l");
	assert_int_equal(vnode_get(c.f.vol, ino, &vn), 0);
	vnode_set_size(c.f.vol, vn, 60000);
	assert_int_equal(by_fid(P9_TREADLINK, 1), EIO);
	assert_int_equal(vnode_get(c.f.vol, ino, &vn), 0);
	vnode_set_size(c.f.vol, vn, 6);
	assert_int_equal(by_fid(P9_TREADLINK, 1), 0);
	assert_int_equal(p9_getstr(&r).len, 6);
}

static void test_special_files_are_inert(void **state)
{
	static const uint32_t types[] = { 0010000, 0020000, 0060000, 0140000 };
	struct p9_attr attr;

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		char name[2] = { (char)('a' + i), '\0' };

		begin(P9_TMKNOD);
		p9_put32(&w, TOP);
		put_name(name);
		p9_put32(&w, types[i] | 0666);
		p9_put32(&w, 4);
		p9_put32(&w, 300);
		p9_put32(&w, 0);
		assert_int_equal(talk(), 0);
		assert_int_equal(walk(TOP, 1, name), 0);
		assert_int_equal(lopen(1, P9_O_RDWR), ENXIO);
		assert_int_equal(getattr(1, &attr), 0);
		assert_int_equal(attr.mode, types[i] | 0666);
		assert_int_equal(attr.rdev, i == 1 || i == 2
				 ? (300 & 0xff) | 4 << 8 | 0x100 << 12 : 0);
		assert_int_equal(clunk(1), 0);
	}
	begin(P9_TMKNOD);
	p9_put32(&w, TOP);
	put_name("dir");
	p9_put32(&w, 040755);
	p9_put64(&w, 0);
	p9_put32(&w, 0);
	assert_int_equal(talk(), EINVAL);
}

/* The longest chain of the fids, and of the users. */
static unsigned longest_chain(void)
{
	unsigned longest = 0, n;

	for (uint32_t i = 0; i < 1u << c.session->fid_bits; i++) {
		n = 0;
		for (struct p9_fid *f = c.session->fids[i]; f; f = f->next) {
			n++;
		}
		longest = n > longest ? n : longest;
	}
	for (uint32_t i = 0; i < 1u << P9_USER_BITS; i++) {
		n = 0;
		for (struct p9_user *u = c.session->users[i]; u; u = u->next) {
			n++;
		}
		longest = n > longest ? n : longest;
	}
	return longest;
}

/* Numbers that agree in their low bits, in their high ones, or that come one
 * after the other: none makes a table a list. */
static void test_chosen_numbers(void **state)
{
	static const uint32_t steps[] = { 1, 64, 4096, 1u << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		for (uint32_t n = 1; n < 4000; n++) {
			assert_int_equal(attach(n * steps[i] + i, n * steps[i]),
					 0);
		}
		assert_in_range(longest_chain(), 2, 50);
		assert_int_equal(version(MSIZE, P9_VERSION), 0);
	}
}

/* A session with many fids and a lock ends, by Tversion or with its connection:
 * the lock at once, the fids piece by piece. */
static void test_end_in_pieces(void **state)
{
	unsigned pieces;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		attach(TOP, 0);		/* at first it is there */
		for (uint32_t i = 0; i < 5000; i++) {
			assert_int_equal(walk(TOP, 10 + i, ""), 0);
		}
		assert_int_equal(walk(TOP, 6000, ""), 0);
		assert_int_equal(lcreate(6000, round ? "b" : "a", P9_O_RDWR),
				 0);
		assert_int_equal(lock(6000, P9_LOCK_WRLCK, 0, 9, 1), 0);
		if (round == 0) {
			assert_int_equal(version(MSIZE, P9_VERSION), 0);
		} else {
			p9_session_free(c.session);
			begin_session();
		}
		assert_int_equal(c.server->lock_count, 0);
		assert_int_equal(c.session->fid_count, 0);
		assert_int_equal(p9_server_ending(c.server), 1);
		pieces = 1;
		while (p9_server_end_some(c.server, 0)) {
			pieces++;
		}
		assert_in_range(pieces, 2 * 5000 / 64, 2 * 5000 / 16);
		assert_int_equal(p9_server_ending(c.server), 0);
	}
}

/* Two sessions do not agree on it. */
static void test_seeds_differ(void **state)
{
	struct p9_session *other = p9_session_new(c.server, NULL, NULL);

	(void)state;
	assert_int_equal(c.session->seed & other->seed & 1, 1);
	assert_true(c.session->seed != other->seed);
	p9_session_free(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names_stay_inside),
		TEST(test_symlinks_are_data),
		TEST(test_link_too_long),
		TEST(test_special_files_are_inert),
		TEST(test_malformed),
		TEST(test_sizes),
		TEST(test_fids_are_bounded),
		TEST(test_locks_are_bounded),
		TEST(test_quotas),
		TEST(test_rename_in_large_directory),
		TEST(test_back_pressure),
		TEST(test_full_volume),
		TEST(test_chosen_numbers),
		TEST(test_seeds_differ),
		TEST(test_end_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
