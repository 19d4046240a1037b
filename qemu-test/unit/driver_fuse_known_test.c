// SPDX-License-Identifier: MIT
/*
 * What the FUSE transport knows of files and directories without asking the
 * host, in a fake kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse.h"

/* Attributes that Linux has right, whatever its fuse module thinks of them, are
 * not asked for. */
static void test_attributes(void **state)
{
	static const struct {
		u32 inval, mode;
		u64 until;
		bool known;
	} cases[] = {
		{ STATX_BLOCKS | STATX_ATIME, 0100644, ~0ull, true },
		{ STATX_BLOCKS | STATX_MTIME, 0100644, ~0ull, false },
		{ STATX_BLOCKS, 0040755, ~0ull, false },
		{ STATX_BLOCKS, 0100644, 0, false },
	};
	struct fuse_inode fi = { .orig_ino = 9, .inode = {
		.nodeid = 7, .i_size = 5, .i_blocks = 8, .i_nlink = 2,
	} };
	struct ask ask = ask_of(FUSE_GETATTR, 16,
				sizeof(struct fuse_attr_out));
	const struct fuse_attr_out *out = (void *)ask.out;

	(void)state;
	start();
	sb->inode = &fi.inode;
	for (int i = 0; i < 4; i++) {
		fi.inval_mask = cases[i].inval;
		fi.inode.i_mode = cases[i].mode;
		fi.i_time = cases[i].until;
		ask_send(&ask);
		assert_int_equal(is_answered(&ask), cases[i].known);
		if (cases[i].known) {
			assert_int_equal(out->attr.ino, 9);
			assert_int_equal(out->attr.size, 5);
			assert_int_equal(out->attr.blocks, 8);
			assert_int_equal(out->attr.mode, 0100644);
			assert_int_equal(out->attr.nlink, 2);
			assert_true(out->attr_valid > 1000000);
		} else {
			assert_true(server_run());
			server_reply(got.unique, 0, ask.out, sizeof(*out));
		}
		assert_int_equal(fake_answered(ask.req), 0);
	}
	sb->inode = NULL;
	stop();
}

/* Times of a file that has no name any more are nothing to the host, but of one
 * that may get one. */
static void test_times_without_name(void **state)
{
	struct ask ask = ask_of(FUSE_SETATTR, sizeof(struct fuse_setattr_in),
				sizeof(struct fuse_attr_out));
	const struct fuse_attr_out *out = (void *)ask.out;
	struct fuse_inode fi = { .i_time = ~0ull, .inode = {
		.nodeid = 7, .i_mode = 0100644, .locked = true,
	} };

	(void)state;
	start();
	*(struct fuse_setattr_in *)ask.in = (struct fuse_setattr_in){
		.valid = FATTR_MTIME | FATTR_CTIME, .mtime = 5, .ctime = 6,
	};
	sb->inode = &fi.inode;
	for (int i = 0; i < 4; i++) {
		fi.inode.i_nlink = i == 1;
		fi.inode.i_state = i == 2 ? I_LINKABLE : 0;
		fi.inval_mask = i == 3 ? STATX_MODE : STATX_CTIME;
		ask_send(&ask);
		assert_int_equal(is_answered(&ask), i == 0);
		if (i == 0) {
			assert_int_equal(out->attr.mode, 0100644);
		} else {
			assert_true(server_run());
			server_reply(got.unique, 0, ask.out, sizeof(*out));
		}
		assert_int_equal(fake_answered(ask.req), 0);
	}
	sb->inode = NULL;
	stop();
}

static void tell(int error, u32 tails, u64 node, u64 second, u32 mode)
{
	struct {
		struct fuse_channel_dir dir[2];
	} out = { { { .nodeid = node }, { .nodeid = second } } };
	struct fuse_attr attr = { .mode = mode };

	memcpy(out.dir[0].attr, &attr, sizeof(attr));
	memcpy(out.dir[1].attr, &attr, sizeof(attr));
	assert_true(server_run());
	server_reply(got.unique, error, &out, tails * sizeof(out.dir[0]));
}

/* A request in node 7, and its answer. */
static void change(u32 opcode, int error, u32 tails, u64 node, u64 second,
		   u32 mode)
{
	struct ask ask = ask_of(opcode, 8, 0);

	ask_send(&ask);
	tell(error, tails, node, second, mode);
	assert_int_equal(fake_answered(ask.req), error);
}

/* The mode of a directory, if it is known; 0. */
static u32 known(u64 node)
{
	struct ask ask = ask_of(FUSE_GETATTR, 16,
				sizeof(struct fuse_attr_out));
	struct fuse_attr_out *out = (void *)ask.out;
	u32 mode = 0;

	ask.ap.args.nodeid = node;
	ask_send(&ask);
	if (is_answered(&ask)) {
		mode = out->attr.mode;
	} else {
		assert_true(server_run());
		server_reply(got.unique, 0, ask.out, sizeof(*out));
	}
	assert_int_equal(fake_answered(ask.req), 0);
	return mode;
}

/* A directory is known from when the host tells of it to when it may be
 * different. */
static void test_directories(void **state)
{
	u64 notice[2] = { 0 };

	(void)state;
	start();
	assert_int_equal(known(7), 0);
	change(FUSE_UNLINK, 0, 1, 7, 0, 040755);
	assert_int_equal(known(7), 040755);
	assert_int_equal(known(7 + FUSE_DIRS), 0);
	/* Two at once, and others are not known then. */
	change(FUSE_RENAME2, 0, 2, 8, 9, 040700);
	assert_int_equal(known(7), 0);
	assert_int_equal(known(8), 040700);
	assert_int_equal(known(9), 040700);
	/* Without a word, with an error, by another kind of change. */
	change(FUSE_UNLINK, 0, 1, 7, 0, 040755);
	assert_int_equal(known(8), 040700);
	change(FUSE_UNLINK, 0, 0, 0, 0, 0);
	assert_int_equal(known(7), 0);
	change(FUSE_UNLINK, 0, 1, 7, 0, 040755);
	change(FUSE_UNLINK, -ENOENT, 0, 0, 0, 0);
	assert_int_equal(known(7), 0);
	change(FUSE_UNLINK, 0, 1, 7, 0, 040755);
	change(FUSE_REMOVEXATTR, 0, 0, 0, 0, 0);
	assert_int_equal(known(7), 0);
	assert_int_equal(known(8), 040700);
	/* A notification; what changes nothing. */
	server_reply(0, 4098, notice, sizeof(notice));
	server_settle();
	assert_int_equal(known(8), 0);
	change(FUSE_UNLINK, 0, 1, 7, 0, 040755);
	change(FUSE_GETXATTR, -EIO, 0, 0, 0, 0);
	assert_int_equal(known(7), 040755);
	/* The connection's end. */
	*host_word(0) = CHANNEL_STATE_DOWN;
	fake_interrupt(0);
	server_settle();
	assert_int_equal(known(7), 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_times_without_name),
		cmocka_unit_test(test_directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
