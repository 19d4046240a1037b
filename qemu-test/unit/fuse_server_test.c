/* SPDX-License-Identifier: MIT */
/* The FUSE server's requests, one by one, on a volume in memory. Error numbers
 * are Linux's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/ext4/volume_int.h"
#include "qemu-test/unit/fuse_talk.h"

#define GO	assert_int_equal
#define O_RDWR	2u
#define O_EXCL	0200u

static const struct fuse_entry_out *entry(void)
{
	return (const void *)a.reply;
}

static struct fuse_attr attr_by(uint64_t node)
{
	struct fuse_attr attr;

	GO(getattr(&a, node, &attr), 0);
	return attr;
}

static void files_are_made_and_read(void **state)
{
	struct fuse_attr attr;
	uint64_t node, fh, again;

	(void)state;
	a.uid = 1000;
	a.gid = 100;
	GO(lookup_id(&a, ROOT_ID, "x"), 0);
	assert_true(entry()->entry_valid > 1000000);
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	assert_true(fh != 0);
	GO(write_file(&a, node, 0, "hello", 5, 0), 0);
	GO(((const struct fuse_write_out *)a.reply)->size, 5);
	GO(((const struct fuse_write_out *)a.reply)->padding, 8);
	GO(read_file(&a, node, 1, 100), 0);
	GO(a.reply_len, 4);
	assert_memory_equal(a.reply, "ello", 4);
	attr = attr_by(node);
	GO(attr.size, 5);
	GO(attr.blocks, 8);
	GO(attr.mode, 0100644);
	GO(attr.uid, 1000);
	GO(attr.gid, 100);
	GO(attr.nlink, 1);
	GO(lookup_id(&a, ROOT_ID, "x"), node);
	GO(open_file(&a, node, 0, &again), 0);
	assert_int_not_equal(again, fh);
	GO(release(&a, node, fh, 0, 0), 0);
	GO(release(&a, node, fh, 0, 0), 0);
	/* Removed, it lives until it is forgotten. */
	GO(unlink_name(&a, ROOT_ID, "x"), 0);
	GO(read_file(&a, node, 0, 100), 0);
	GO(a.reply_len, 5);
	forget(&a, node, 1);
	GO(attr_by(node).nlink, 0);
	forget(&a, node, 1);
	GO(getattr(&a, node, &attr), 116);
}

static void create_takes_no_file_that_is_there(void **state)
{
	struct fuse_create_in in = { .flags = O_RDWR, .mode = 0100644 };
	uint64_t node, fh;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	/* Linux shall look, and then check whether the caller may. */
	GO(ask(&a, FUSE_CREATE, ROOT_ID, &in, sizeof(in), "x", NULL), 116);
	in.flags |= O_EXCL;
	GO(ask(&a, FUSE_CREATE, ROOT_ID, &in, sizeof(in), "x", NULL), 17);
	GO(ask(&a, FUSE_CREATE, node, &in, sizeof(in), "y", NULL), 20);
	in.umask = 022;
	in.mode = 0100666;
	GO(ask(&a, FUSE_CREATE, ROOT_ID, &in, sizeof(in), "y", NULL), 0);
	GO(entry()->attr.mode, 0100644);
}

static void all_kinds_are_made(void **state)
{
	static const uint32_t modes[] = {
		0100600, 0010600, 0140600, 0020600, 0060600,
	};
	struct fuse_mknod_in in = { .rdev = 0x12345678 };
	uint64_t dir;
	char name[8];

	(void)state;
	GO(make_dir(&a, ROOT_ID, "d", &dir), 0);
	GO(entry()->attr.mode, 040755);
	GO(entry()->attr.nlink, 2);
	for (unsigned i = 0; i < 5; i++) {
		in.mode = modes[i];
		snprintf(name, sizeof(name), "n%u", i);
		GO(ask(&a, FUSE_MKNOD, dir, &in, sizeof(in), name, NULL), 0);
		GO(entry()->attr.mode, modes[i]);
		GO(entry()->attr.rdev, i >= 3 ? 0x12345678 : 0);
	}
	in.mode = 040755;
	GO(ask(&a, FUSE_MKNOD, dir, &in, sizeof(in), "m", NULL), 22);
	GO(ask(&a, FUSE_SYMLINK, dir, NULL, 0, "link", "/some/where"), 0);
	GO(entry()->attr.mode & 0170000, 0120000);
	GO(ask(&a, FUSE_READLINK, entry()->nodeid, NULL, 0, NULL, NULL), 0);
	GO(a.reply_len, 11);
	assert_memory_equal(a.reply, "/some/where", 11);
	GO(ask(&a, FUSE_READLINK, dir, NULL, 0, NULL, NULL), 22);
	GO(ask(&a, FUSE_RMDIR, ROOT_ID, NULL, 0, "d", NULL), 39);
	GO(unlink_name(&a, ROOT_ID, "d"), 21);
	GO(ask(&a, FUSE_RMDIR, dir, NULL, 0, "n0", NULL), 20);
	/* A socket's second name is one as well. */
	GO(lookup(&a, dir, "n2"), 0);
	GO(ask(&a, FUSE_LINK, ROOT_ID, &entry()->nodeid, 8, "s", NULL), 0);
	GO(entry()->attr.mode, 0140600);
	GO(entry()->attr.nlink, 2);
}

static void names_are_judged(void **state)
{
	char name[300];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	GO(lookup(&a, ROOT_ID, name), 36);
	name[255] = '\0';
	GO(lookup(&a, ROOT_ID, name), 0);
	assert_true(lookup(&a, ROOT_ID, "") != 0);
	assert_true(lookup(&a, ROOT_ID, "a/b") != 0);
	GO(lookup_id(&a, ROOT_ID, "."), ROOT_ID);
	GO(lookup_id(&a, ROOT_ID, ".."), ROOT_ID);
	/* No end, a second name, something behind it. */
	begin(&a, FUSE_LOOKUP, ROOT_ID);
	put_bytes(&a, "xyz", 3);
	GO(talk(&a), 22);
	GO(ask(&a, FUSE_LOOKUP, ROOT_ID, NULL, 0, "x", "y"), 22);
	begin(&a, FUSE_LOOKUP, ROOT_ID);
	GO(talk(&a), 22);
	GO(ask(&a, FUSE_SYMLINK, ROOT_ID, NULL, 0, "x", NULL), 22);
}

static void a_file_is_found_by_its_id(void **state)
{
	uint64_t node, fh;
	struct fuse_attr attr;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	release(&a, node, fh, 0, 0);
	forget(&a, node, 1);
	/* "." of what is no directory; and it is counted. */
	GO(lookup_id(&a, node, "."), node);
	forget(&a, node, 1);
	GO(getattr(&a, node, &attr), 0);
	GO(getattr(&a, node + (1ull << 32), &attr), 116);
	GO(getattr(&a, 2, &attr), 116);
	GO(getattr(&a, 0, &attr), 116);
	GO(getattr(&a, 8, &attr), 116);
	GO(getattr(&a, UINT64_MAX, &attr), 116);
}

static void only_files_are_opened(void **state)
{
	struct fuse_mknod_in in = { .mode = 010644 };
	uint64_t fh;

	(void)state;
	GO(open_file(&a, ROOT_ID, 0, &fh), 21);
	GO(ask(&a, FUSE_MKNOD, ROOT_ID, &in, sizeof(in), "p", NULL), 0);
	GO(open_file(&a, entry()->nodeid, 0, &fh), 6);
	GO(open_file(&a, 77, 0, &fh), 116);
}

/* One more than a user may have: then O_TRUNC has done nothing either. */
static void an_open_that_fails_does_nothing(void **state)
{
	struct fuse_attr attr;
	uint64_t node, fh;
	unsigned n = 1;
	int error;

	(void)state;
	a.uid = 1000;
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	GO(write_file(&a, node, 0, "text", 4, 0), 0);
	while ((error = open_file(&a, node, 1, &fh)) == 0) {
		n++;
	}
	GO(error, 23);
	GO(n, 32768);
	GO(open_file(&a, node, 1 | 01000, &fh), 23);
	GO(getattr(&a, node, &attr), 0);
	GO(attr.size, 4);
	GO(release(&a, node, fh, 0, 0), 0);
	GO(open_file(&a, node, 1 | 01000, &fh), 0);
	GO(getattr(&a, node, &attr), 0);
	GO(attr.size, 0);
}

static void renames_have_flags(void **state)
{
	struct fuse_rename2_in in = { .newdir = ROOT_ID, .flags = 1 };
	uint64_t x, y;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &x, NULL), 0);
	GO(make_file(&a, ROOT_ID, "y", &y, NULL), 0);
	GO(ask(&a, FUSE_RENAME2, ROOT_ID, &in, sizeof(in), "x", "y"), 17);
	in.flags = 2;
	GO(ask(&a, FUSE_RENAME2, ROOT_ID, &in, sizeof(in), "x", "y"), 0);
	GO(lookup_id(&a, ROOT_ID, "x"), y);
	in.flags = 3;
	GO(ask(&a, FUSE_RENAME2, ROOT_ID, &in, sizeof(in), "x", "y"), 22);
	in.flags = 4;			/* RENAME_WHITEOUT */
	GO(ask(&a, FUSE_RENAME2, ROOT_ID, &in, sizeof(in), "x", "y"), 22);
	GO(ask(&a, FUSE_RENAME, ROOT_ID, &in.newdir, 8, "x", "y"), 0);
	GO(lookup_id(&a, ROOT_ID, "y"), y);
	GO(lookup_id(&a, ROOT_ID, "x"), 0);
	in.flags = 0;
	in.newdir = 99;
	GO(ask(&a, FUSE_RENAME2, ROOT_ID, &in, sizeof(in), "y", "z"), 116);
}

static void a_file_without_a_name_may_get_one(void **state)
{
	struct fuse_create_in in = { .flags = O_RDWR, .mode = 0100600 };
	uint64_t node;

	(void)state;
	GO(ask(&a, FUSE_TMPFILE, ROOT_ID, &in, sizeof(in), "/", NULL), 0);
	GO(a.reply_len, sizeof(struct fuse_entry_out) +
			sizeof(struct fuse_open_out));
	node = entry()->nodeid;
	GO(entry()->attr.nlink, 0);
	GO(write_file(&a, node, 0, "text", 4, 0), 0);
	GO(ask(&a, FUSE_LINK, ROOT_ID, &node, 8, "t", NULL), 0);
	GO(entry()->attr.nlink, 1);
	GO(lookup_id(&a, ROOT_ID, "t"), node);
	/* One that gets none is gone when it is forgotten. */
	GO(ask(&a, FUSE_TMPFILE, ROOT_ID, &in, sizeof(in), "/", NULL), 0);
	node = entry()->nodeid;
	release(&a, node, ((const struct fuse_open_out *)(entry() + 1))->fh,
		0, 0);
	forget(&a, node, 1);
	GO(read_file(&a, node, 0, 1), 116);
}

/* Reads all of a directory's names, plus or not, so many bytes at a time. */
static unsigned list(uint64_t dir, bool plus, uint32_t size, unsigned *known)
{
	struct fuse_read_in in = { .size = size };
	size_t head = plus ? sizeof(struct fuse_entry_out) : 0;
	unsigned found = 0;

	*known = 0;
	for (;;) {
		GO(ask(&a, plus ? FUSE_READDIRPLUS : FUSE_READDIR, dir, &in,
		       sizeof(in), NULL, NULL), 0);
		assert_true(a.reply_len <= size);
		if (a.reply_len == 0) {
			return found;
		}
		for (uint32_t at = 0; at < a.reply_len; ) {
			const struct fuse_entry_out *e =
				(const void *)(a.reply + at);
			const struct fuse_dirent *d =
				(const void *)(a.reply + at + head);

			found++;
			*known += plus && e->nodeid != 0;
			in.offset = d->off;
			at += (uint32_t)(head + sizeof(*d) + d->namelen + 7) &
			      ~7u;
		}
	}
}

static void directories_are_listed(void **state)
{
	struct fuse_read_in in = { .size = 20 };
	uint64_t dir, node;
	unsigned known;
	char name[32];

	(void)state;
	GO(make_dir(&a, ROOT_ID, "d", &dir), 0);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "file-number-%u", i);
		GO(make_file(&a, dir, name, &node, NULL), 0);
	}
	GO(list(dir, false, 4096, &known), 102);
	GO(list(dir, false, 100, &known), 102);
	GO(list(dir, true, 4096, &known), 102);
	GO(known, 100);
	GO(list(dir, true, 131072, &known), 102);
	/* Each was counted: by CREATE, and twice here. */
	forget(&a, node, 2);
	GO(attr_by(node).nlink, 1);
	GO(ask(&a, FUSE_READDIR, dir, &in, sizeof(in), NULL, NULL), 22);
	in.size = 4096;
	in.offset = 0x123456789abcdefull;
	ask(&a, FUSE_READDIRPLUS, dir, &in, sizeof(in), NULL, NULL);
	in.offset = 0;
	GO(ask(&a, FUSE_READDIR, node, &in, sizeof(in), NULL, NULL), 20);
}

static void unknown_requests_are_refused_once(void **state)
{
	static const uint32_t opcodes[] = {
		FUSE_OPENDIR, FUSE_RELEASEDIR, FUSE_ACCESS, FUSE_BMAP,
		FUSE_POLL, FUSE_SETUPMAPPING, FUSE_REMOVEMAPPING, 0, 7, 19,
		FUSE_OPCODES, 4096, UINT32_MAX,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
		GO(ask(&a, opcodes[i], ROOT_ID, NULL, 0, "abc", NULL), 38);
	}
}

static void figures_are_told(void **state)
{
	const struct fuse_statfs_out *out = (const void *)a.reply;
	struct fuse_statx_in in = { 0 };
	const struct fuse_statx_out *sx = (const void *)a.reply;

	(void)state;
	GO(ask(&a, FUSE_STATFS, ROOT_ID, NULL, 0, NULL, NULL), 0);
	GO(out->st.bsize, 4096);
	assert_true(out->st.bfree > 0 && out->st.bfree < out->st.blocks);
	GO(ask(&a, FUSE_SYNCFS, ROOT_ID, &in, 8, NULL, NULL), 0);
	GO(ask(&a, FUSE_STATX, ROOT_ID, &in, sizeof(in), NULL, NULL), 0);
	GO(a.reply_len, sizeof(*sx));
	GO(sx->stat.mode, 040755);
	GO(sx->stat.mask, 0xfff);
	GO(sx->stat.ino, 2);
	assert_true(sx->stat.btime.tv_sec > 1600000000);
	GO(ask(&a, FUSE_FSYNC, ROOT_ID, (uint64_t[2]){ 0 }, 16, NULL, NULL),
	   0);
	GO(ask(&a, FUSE_FSYNCDIR, ROOT_ID, (uint64_t[2]){ 0 }, 16, NULL,
	       NULL), 0);
}

/* Two files in turns, so that no two of a file's blocks lie together. */
static void the_shortest_blocks_are_read(void **state)
{
	static uint8_t data[FUSE_CHANNEL_DATA_MAX];
	uint64_t x, y;

	(void)state;
	assert_int_equal(f.vol->block_size, 1024);
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i * 7 + (i >> 10));
	}
	GO(make_file(&a, ROOT_ID, "x", &x, NULL), 0);
	GO(make_file(&a, ROOT_ID, "y", &y, NULL), 0);
	for (unsigned at = 0; at < FUSE_CHANNEL_DATA_MAX; at += 1024) {
		GO(write_file(&a, x, at, data + at, 1024, 0), 0);
		GO(write_file(&a, y, at, data, 1024, 0), 0);
	}
	GO(read_file(&a, x, 3, FUSE_CHANNEL_DATA_MAX - 3), 0);
	GO(a.reply_len, FUSE_CHANNEL_DATA_MAX - 3);
	assert_memory_equal(a.reply, data + 3, FUSE_CHANNEL_DATA_MAX - 3);
}

static int setup_short(void **state)
{
	talk_options = "-b 1024";
	return setup(state);
}

static int teardown_short(void **state)
{
	talk_options = "";
	return teardown(state);
}

static void large_data_goes_through(void **state)
{
	static uint8_t data[FUSE_CHANNEL_DATA_MAX + 8];
	uint64_t node;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i * 7 + (i >> 12));
	}
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	for (a.piece = 1000; a.piece != 0; a.piece = a.piece == 1000 ? 33 : 0) {
		GO(write_file(&a, node, 3, data, FUSE_CHANNEL_DATA_MAX, 0), 0);
		GO(((const struct fuse_write_out *)a.reply)->size,
		   FUSE_CHANNEL_DATA_MAX);
		GO(read_file(&a, node, 3, FUSE_CHANNEL_DATA_MAX), 0);
		GO(a.reply_len, FUSE_CHANNEL_DATA_MAX);
		assert_memory_equal(a.reply, data, FUSE_CHANNEL_DATA_MAX);
	}
	GO(read_file(&a, node, 0, FUSE_CHANNEL_DATA_MAX + 1), 22);
	GO(read_file(&a, node, UINT64_MAX, 10), 0);
	GO(a.reply_len, 0);
	GO(write_file(&a, node, 0, data, FUSE_CHANNEL_DATA_MAX + 8, 0), 22);
	GO(write_file(&a, node, UINT64_MAX - 1, data, 8, 0), 22);
	GO(write_file(&a, 4711, 0, data, 8000, 0), 116);
	GO(write_file(&a, ROOT_ID, 0, data, 8000, 0), 21);
	GO(write_file(&a, node, 0, data, 0, 0), 0);
	/* What it says is not what follows. */
	begin(&a, FUSE_WRITE, node);
	put_bytes(&a, &(struct fuse_write_in){ .size = 10 }, 40);
	put_bytes(&a, data, 11);
	GO(talk(&a), 22);
	begin(&a, FUSE_WRITE, node);
	put_bytes(&a, data, 39);
	GO(talk(&a), 22);
	GO(read_file(&a, node, 3, 10), 0);
	assert_memory_equal(a.reply, data, 10);
}

static void a_full_volume_says_so(void **state)
{
	static const uint8_t data[FUSE_CHANNEL_DATA_MAX];
	const struct fuse_write_out *out = (const void *)a.reply;
	uint64_t node, at = 0;
	int error;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	do {
		error = write_file(&a, node, at, data, sizeof(data), 0);
		at += error == 0 ? out->size : 0;
	} while (error == 0 && at < 64 << 20);
	GO(error, 28);
	GO(attr_by(node).size, at);
	GO(unlink_name(&a, ROOT_ID, "x"), 0);
	forget(&a, node, 1);
}

/* Each way in which a file loses its last name; it lives as long as one mount
 * knows it, and no longer. */
static void removed_files_live_until_forgotten(void **state)
{
	struct fuse_rename_in to = { .newdir = ROOT_ID };
	uint64_t free_before, node[3], fh[3], dir;
	struct fuse_attr attr;
	struct volume_stat st;

	(void)state;
	mount_it(&b, 1002);
	GO(make_file(&a, ROOT_ID, "c", &dir, NULL), 0);
	GO(volume_statfs(f.vol, &st), 0);
	free_before = st.files_free;
	for (unsigned i = 0; i < 3; i++) {
		GO(make_file(&a, ROOT_ID, (char[]){ (char)('d' + i), 0 },
			     &node[i], &fh[i]), 0);
		GO(release(&a, node[i], fh[i], 0, 0), 0);
	}
	GO(lookup_id(&b, ROOT_ID, "d"), node[0]);
	GO(unlink_name(&a, ROOT_ID, "d"), 0);
	GO(ask(&a, FUSE_RENAME, ROOT_ID, &to, sizeof(to), "c", "e"), 0);
	/* The host's console does it too. */
	GO(volume_unlink(f.vol, VOLUME_ROOT, "f", 1), 0);
	for (unsigned i = 0; i < 3; i++) {
		GO(getattr(&a, node[i], &attr), 0);
		GO(attr.nlink, 0);
		GO(write_file(&a, node[i], 0, "x", 1, 0), 0);
		forget(&a, node[i], 1);
		GO(getattr(&a, node[i], &attr), i == 0 ? 0 : 116);
	}
	/* The other mount has it still; a's question adopted it again. */
	forget(&a, node[0], 1);
	GO(read_file(&b, node[0], 0, 1), 0);
	GO(a.reply_len, 0);
	forget(&b, node[0], 1);
	GO(getattr(&b, node[0], &attr), 116);
	GO(volume_statfs(f.vol, &st), 0);
	GO(st.files_free, free_before);
	/* And a session that ends forgets all. */
	GO(make_dir(&a, ROOT_ID, "dir", &dir), 0);
	GO(ask(&a, FUSE_RMDIR, ROOT_ID, NULL, 0, "dir", NULL), 0);
	GO(getattr(&a, dir, &attr), 0);
	GO(ask(&a, FUSE_DESTROY, 0, NULL, 0, NULL, NULL), 0);
	GO(fuse_server_end_some(server, FOREVER), false);
	GO(volume_statfs(f.vol, &st), 0);
	GO(st.files_free, free_before);
}

/* The same message on the next connection, while the console has changed what it
 * was about. */
static int again(void)
{
	unsigned replies = a.replies;

	disconnect(&a);
	connect_to(&a);
	GO(hello(&a, a.done), 0);
	replies = a.replies;
	GO(feed(&a, a.request, a.len), 0);
	GO(a.replies, replies + 1);
	return a.error;
}

static void what_the_console_changed_stays(void **state)
{
	struct fuse_setattr_in cut = { .valid = FATTR_SIZE, .size = 2 };
	const struct fuse_write_out *out = (const void *)a.reply;
	struct volume_attr attr;
	size_t done;
	uint64_t node, fh;
	uint32_t ino;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	ino = (uint32_t)node;
	GO(write_file(&a, node, 0, "from Linux", 10, 0), 0);
	GO(volume_write(f.vol, ino, 0, "from us", 7, &done), 0);
	GO(again(), 0);
	GO(out->size, 10);
	GO(read_file(&a, node, 0, 99), 0);
	assert_memory_equal(a.reply, "from usnux", 10);
	GO(ask(&a, FUSE_SETATTR, node, &cut, sizeof(cut), NULL, NULL), 0);
	GO(volume_write(f.vol, ino, 0, "from us", 7, &done), 0);
	GO(again(), 0);
	GO(volume_getattr(f.vol, ino, &attr), 0);
	GO(attr.size, 7);
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(files_are_made_and_read),
		T(create_takes_no_file_that_is_there),
		T(all_kinds_are_made),
		T(names_are_judged),
		T(a_file_is_found_by_its_id),
		T(only_files_are_opened),
		T(an_open_that_fails_does_nothing),
		T(what_the_console_changed_stays),
		T(renames_have_flags),
		T(a_file_without_a_name_may_get_one),
		T(directories_are_listed),
		T(unknown_requests_are_refused_once),
		T(figures_are_told),
		T(large_data_goes_through),
		cmocka_unit_test_setup_teardown(the_shortest_blocks_are_read,
						setup_short, teardown_short),
		T(a_full_volume_says_so),
		T(removed_files_live_until_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
