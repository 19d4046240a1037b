// SPDX-License-Identifier: MIT
/*
 * Files of FUSE mounts are closed, in a fake kernel: what the driver does without
 * the fuse module's requests, and what it leaves to that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse.h"

#define OWN	(1ull << 63)	/* opened by the driver */

static struct address_space mapping;
static struct fuse_inode fi;
static struct file file;
static struct fuse_file *ff;
static const struct file_operations *ops;
static u32 flushed, released;	/* by the fuse module */

static int fuse_flush(struct file *f, fl_owner_t id)
{
	flushed++;
	return -EDQUOT;
}

static int fuse_release(struct inode *inode, struct file *f)
{
	released++;
	return 0;
}

static const struct file_operations fuse_files = {
	.flush = fuse_flush, .release = fuse_release,
};

static const struct address_space_operations fuse_pages;

static void begin(void)
{
	start();
	mapping = (struct address_space){
		.host = &fi.inode, .a_ops = &fuse_pages,
	};
	fi = (struct fuse_inode){ .inode = {
		.nodeid = 7, .i_mode = 0100644, .i_sb = sb,
		.i_mapping = &mapping, .i_fop = &fuse_files,
	}, .i_time = ~0ull };
	INIT_LIST_HEAD(&fi.queued_writes);
	sb->inode = &fi.inode;
	fuse_stream_adopt(&fi.inode);
	ops = fi.inode.i_fop;
	flushed = released = 0;
}

static void end(void)
{
	sb->inode = NULL;
	stop();
}

/* A file is open, one of two. */
static void open_file(u64 fh)
{
	ff = calloc(1, sizeof(*ff));
	*ff = (struct fuse_file){
		.fm = fm, .args = calloc(1, 100), .fh = fh, .nodeid = 7,
		.count = 1, .iomode = IOM_CACHED,
	};
	INIT_LIST_HEAD(&ff->write_entry);
	fi.iocachectr = 2;
	fi.state = 1ul << FUSE_I_CACHE_IO_MODE;
	fi.inode.written = 0;
	file = (struct file){
		.f_inode = &fi.inode, .f_mapping = &mapping,
		.private_data = ff, .f_flags = 0100001,
	};
}

/* What the fuse module was left with is freed here. */
static void close_file(void)
{
	u32 before = released;

	assert_int_equal(ops->release(&fi.inode, &file), 0);
	if (released > before) {
		assert_int_equal(fi.iocachectr, 2);
		free(ff->args);
		free(ff);
	} else {
		assert_int_equal(fi.iocachectr, 1);
		assert_true(fi.state != 0);
	}
}

/* Read only: nothing is said, nothing is written, the last one leaves no mark. */
static void test_read(void **state)
{
	(void)state;
	begin();
	open_file(OWN | 1);
	assert_int_equal(ops->flush(&file, NULL), 0);
	close_file();
	assert_int_equal(fi.inode.written, 0);
	open_file(OWN | 2);
	ff->iomode = IOM_NONE;
	fi.iocachectr = 1;
	close_file();
	open_file(OWN | 3);
	fi.iocachectr = 1;
	assert_int_equal(ops->release(&fi.inode, &file), 0);
	assert_int_equal(fi.iocachectr, 0);
	assert_int_equal(fi.state, 0);
	assert_int_equal(flushed + released, 0);
	server_settle();
	assert_false(server_run());
	end();
}

/* For writing: its pages go first, then it is told, and nobody waits. */
static void test_written(void **state)
{
	const struct fuse_release_in *in = (const void *)got_body;
	unsigned int doorbells;

	(void)state;
	begin();
	open_file(5);
	assert_int_equal(ops->flush(&file, NULL), -EDQUOT);
	fi.inval_mask = STATX_BLOCKS;
	doorbells = host_doorbells;
	close_file();
	assert_int_equal(fi.inode.written, 1);
	assert_int_equal(fi.inval_mask, 0);
	assert_int_equal(released, 0);
	assert_int_equal(host_doorbells, doorbells);
	assert_true(fake_run_work());
	assert_true(server_run());
	assert_int_equal(got.opcode, FUSE_RELEASE);
	assert_int_equal(got.nodeid, 7);
	assert_int_equal(got.len, sizeof(got) + sizeof(*in));
	assert_int_equal(in->fh, 5);
	assert_int_equal(in->flags, 0100001);
	assert_int_equal(in->release_flags, 0);
	server_reply(got.unique, 0, NULL, 0);
	/* No memory: the fuse module has a request of its own. */
	open_file(6);
	fake.no_memory = true;
	close_file();
	fake.no_memory = false;
	assert_int_equal(released, 1);
	/* Nobody there any more. */
	open_file(7);
	fake_remove();
	close_file();
	assert_int_equal(released, 1);
	end();
}

/* What lets locks go, is polled, or has requests under way that name it, is the
 * fuse module's, whose request the host answers. */
static void test_left(void **state)
{
	struct ask lock = ask_of(FUSE_SETLK, sizeof(struct fuse_lk_in), 0);
	struct fuse_lk_in *in = (void *)lock.in;

	(void)state;
	begin();
	for (u32 i = 0; i < 8; i++) {
		open_file(i % 2 ? OWN | 1 : 5);
		ff->flock = i / 2 == 0;
		ff->polled_node = i / 2 == 1;
		ff->count = i / 2 == 2 ? 2 : 1;
		if (i == 6) {
			memset(in, 0, sizeof(*in));
			in->lk.type = F_WRLCK;
			ask_send(&lock);
			assert_true(server_run());
			server_reply(got.unique, 0, NULL, 0);
			assert_int_equal(fake_answered(lock.req), 0);
		}
		/* Of POSIX locks the host hears earlier. */
		assert_int_equal(ops->flush(&file, NULL),
				 i % 2 && i / 2 != 3 ? 0 : -EDQUOT);
		close_file();
		assert_int_equal(released, i + 1);
	}
	server_settle();
	assert_false(server_run());
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
