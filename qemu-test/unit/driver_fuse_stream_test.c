// SPDX-License-Identifier: MIT
/*
 * Large reads and writes of FUSE mounts past Linux's cache, in a fake kernel: when
 * they do, what goes to the host, and what becomes of the file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse.h"

#define CHUNK	65536u
#define PAGES	80u

static struct page memory[PAGES];
static struct folio cached;
static struct address_space mapping;
static struct fuse_inode fi;
static struct file file;
static struct kiocb iocb;
static struct iov_iter iter;

/* What the fuse module was asked for, and the host. */
static u32 direct, buffered, locked_buffered, syncs, count;
static struct {
	u64 offset;
	u32 size;
} writes[16];
static ssize_t read_answer;
static int error;
static u32 reply_size;

static ssize_t fuse_read(struct kiocb *k, struct iov_iter *to)
{
	bool is_direct = k->ki_flags & IOCB_DIRECT;

	*(is_direct ? &direct : &buffered) += 1;
	return is_direct && read_answer ? read_answer : (ssize_t)to->count;
}

static ssize_t fuse_write(struct kiocb *k, struct iov_iter *from)
{
	assert_false(fi.inode.locked);
	buffered++;
	return (ssize_t)from->count;
}

static const struct file_operations fuse_files = {
	.read_iter = fuse_read, .write_iter = fuse_write,
};
static const struct address_space_operations fuse_pages;

ssize_t generic_write_checks(struct kiocb *k, struct iov_iter *from)
{
	assert_true(fi.inode.locked);
	return (ssize_t)from->count;
}

int file_modified(struct file *f)
{
	assert_true(f->f_inode->locked);
	return 0;
}

ssize_t __generic_file_write_iter(struct kiocb *k, struct iov_iter *from)
{
	assert_true(fi.inode.locked);
	locked_buffered++;
	k->ki_pos += (loff_t)from->count;
	return (ssize_t)from->count;
}

ssize_t generic_write_sync(struct kiocb *k, ssize_t n)
{
	assert_false(fi.inode.locked);
	syncs++;
	return n;
}

/* While a write is out no page can be made, and the size stays. */
static void host_turn(void)
{
	settle();
	while (server_run()) {
		const struct fuse_write_in *in = (const void *)got_body;
		struct fuse_write_out out = { min(in->size, reply_size), 99 };
		u64 at = in->offset;

		assert_int_equal(got.opcode, FUSE_WRITE);
		assert_int_equal(got.nodeid, 7);
		assert_true(fi.inode.locked && mapping.no_new);
		assert_int_equal(fi.writectr, 1);
		for (u32 i = 0; i < in->size; i += 100) {
			u64 byte = iter.at - in->size + i;

			assert_int_equal(got_body[sizeof(*in) + i],
					 byte / PAGE_SIZE);
		}
		writes[count].offset = at;
		writes[count++].size = in->size;
		server_say(got.unique, error, &out, error ? 0 : sizeof(out));
		if (out.size < in->size) {
			error = -ENOSPC;
		}
	}
	ring_linux();
	fake_run();
}

static void rest(void)
{
	direct = buffered = locked_buffered = syncs = count = 0;
}

/* A file of `size` bytes, opened; CHUNK bytes of memory; at its beginning. */
static void begin(loff_t size)
{
	start();
	fi = (struct fuse_inode){ .inode = {
		.nodeid = 7, .i_mode = 0100644, .i_size = (u64)size, .i_sb = sb,
		.i_mapping = &mapping, .i_fop = &fuse_files,
	}, .i_time = ~0ull };
	mapping = (struct address_space){
		.host = &fi.inode, .a_ops = &fuse_pages,
	};
	cached.page.index = 3;
	mapping.folios = &cached;
	for (u32 i = 0; i < PAGES; i++) {
		memset(memory[i].bytes, (int)i, PAGE_SIZE);
	}
	file = (struct file){ .f_inode = &fi.inode, .f_mapping = &mapping };
	iocb = (struct kiocb){ .ki_filp = &file };
	iter = (struct iov_iter){
		.pages = memory, .count = CHUNK, .segment = CHUNK,
	};
	read_answer = 0;
	error = 0;
	reply_size = UINT32_MAX;
	rest();
	fuse_stream_adopt(&fi.inode);
	file.f_op = fi.inode.i_fop;
	fake.sleep = host_turn;
}

static void end(void)
{
	for (u32 i = 0; i < PAGES; i++) {
		assert_int_equal(memory[i].refs, 0);
	}
	assert_int_equal(fi.writectr, 0);
	assert_false(mapping.no_new || fi.inode.locked);
	fake.sleep = NULL;
	stop();
}

static ssize_t do_read(loff_t pos, size_t n)
{
	iocb.ki_pos = pos;
	iter.count = iter.segment = n;
	return file.f_op->read_iter(&iocb, &iter);
}

static ssize_t do_write(loff_t pos, size_t n)
{
	iocb.ki_pos = pos;
	iter.at = 0;
	iter.count = iter.segment = n;
	return file.f_op->write_iter(&iocb, &iter);
}

/* The first time past the cache, then through it. */
static void test_read(void **state)
{
	(void)state;
	begin(10 * CHUNK);
	for (u32 i = 0; i < 4; i++) {
		assert_int_equal(do_read(i * CHUNK, CHUNK), CHUNK);
	}
	assert_int_equal(direct, 4);
	assert_int_equal(iocb.ki_flags, 0);
	for (u32 i = 0; i < 4; i++) {
		assert_int_equal(do_read(i * CHUNK, CHUNK), CHUNK);
	}
	assert_int_equal(direct, 4);
	assert_int_equal(buffered, 4);
	assert_int_equal(do_read(4 * CHUNK, CHUNK), CHUNK);
	assert_int_equal(direct, 5);
	end();
}

/* What does not go past it, for reading and writing; none of it is remembered as
 * read. */
static void test_through(void **state)
{
	(void)state;
	begin(4 * CHUNK);
	for (u32 i = 0; i < 8; i++) {
		iocb.ki_flags = i < 3 ? 1u << i : 0;
		iocb.async = i == 3;
		iter.kernel = i == 4;
		mapping.count = i == 5;
		if (i == 6) {
			iter.segment = CHUNK - 1;
			iter.count = CHUNK;
			iocb.ki_pos = 0;
			file.f_op->read_iter(&iocb, &iter);
			file.f_op->write_iter(&iocb, &iter);
		} else {
			do_read(0, i == 7 ? CHUNK - 1 : CHUNK);
			do_write(0, i == 7 ? CHUNK - 1 : CHUNK);
		}
		assert_int_equal(direct, i == 0);
		assert_int_equal(buffered, i == 0 ? 1 : 2);
		rest();
	}
	/* The file ends before. */
	assert_int_equal(do_read(3 * CHUNK + 1, CHUNK), CHUNK);
	assert_int_equal(do_read(9 * CHUNK, CHUNK), CHUNK);
	assert_int_equal(buffered, 2);
	assert_int_equal(do_read(0, CHUNK), CHUNK);
	assert_int_equal(direct, 1);
	/* A mode that is not known, or takes bits away. */
	fi.inval_mask = STATX_MODE;
	do_write(0, CHUNK);
	fi.inval_mask = 0;
	fi.inode.i_mode |= S_ISUID;
	do_write(0, CHUNK);
	fi.inode.i_mode &= ~S_ISUID;
	assert_int_equal(buffered, 4);
	assert_int_equal(count, 0);
	/* Who can read it has the first megabyte kept. */
	file.f_mode = FMODE_READ;
	do_write((1 << 20) - 1, CHUNK);
	assert_int_equal(buffered, 5);
	do_write(1 << 20, CHUNK);
	assert_int_equal(buffered, 5);
	assert_int_equal(count, 1);
	end();
}

/* Memory without pages is copied to; other errors are the answer. */
static void test_read_errors(void **state)
{
	(void)state;
	begin(4 * CHUNK);
	read_answer = -EFAULT;
	assert_int_equal(do_read(0, CHUNK), CHUNK);
	assert_int_equal(buffered, 1);
	read_answer = -EIO;
	assert_int_equal(do_read(CHUNK, CHUNK), -EIO);
	assert_int_equal(direct, 2);
	assert_int_equal(buffered, 1);
	end();
}

/* One message each, and no page; the file grows with the answer. */
static void test_write(void **state)
{
	(void)state;
	begin(0);
	assert_int_equal(do_write(0, CHUNK), CHUNK);
	assert_int_equal(count, 1);
	assert_int_equal(fi.inode.i_size, CHUNK);
	assert_int_equal(fi.inode.i_blocks, 99);
	assert_int_equal(fi.inval_mask, 0);
	assert_int_equal(iocb.ki_pos, CHUNK);
	assert_int_equal(syncs, 1);
	/* Larger than a message, from the middle of a page. */
	iocb.ki_pos = 5;
	iter.at = 100;
	iter.count = iter.segment = 2 * FUSE_CHANNEL_DATA_MAX + 10;
	assert_int_equal(file.f_op->write_iter(&iocb, &iter),
			 2 * FUSE_CHANNEL_DATA_MAX + 10);
	assert_int_equal(count, 4);
	assert_int_equal(writes[1].offset, 5);
	assert_int_equal(writes[1].size, FUSE_CHANNEL_DATA_MAX - 100);
	assert_int_equal(writes[3].offset + writes[3].size,
			 2 * FUSE_CHANNEL_DATA_MAX + 15);
	assert_int_equal(fi.inode.i_size, 2 * FUSE_CHANNEL_DATA_MAX + 15);
	/* Inside: the size stays. */
	assert_int_equal(do_write(0, CHUNK), CHUNK);
	assert_int_equal(fi.inode.i_size, 2 * FUSE_CHANNEL_DATA_MAX + 15);
	assert_int_equal(buffered + locked_buffered, 0);
	end();
}

/* The host has no room: who writes is told, and how much there was. */
static void test_write_errors(void **state)
{
	(void)state;
	begin(0);
	reply_size = 1000;
	assert_int_equal(do_write(0, CHUNK), 1000);
	assert_int_equal(count, 2);
	assert_int_equal(writes[1].offset, 1000);
	assert_int_equal(fi.inode.i_size, 1000);
	assert_int_equal(iter.count, CHUNK - 1000);
	end();
	begin(10);
	error = -ENOSPC;
	assert_int_equal(do_write(0, CHUNK), -ENOSPC);
	assert_int_equal(fi.inode.i_size, 10);
	assert_int_equal(iter.count, CHUNK);
	assert_int_equal(mapping.error, 0);
	assert_int_equal(syncs, 0);
	/* The fuse module asks for what is not known now. */
	assert_int_equal(do_write(0, CHUNK), CHUNK);
	assert_int_equal(buffered, 1);
	/* The device's end. */
	fi.inval_mask = 0;
	fake_remove();
	assert_int_equal(do_write(0, CHUNK), -ENOTCONN);
	end();
}

static void page_comes(void)
{
	mapping.count = 1;
}

/* A page of the file that was made after the look; memory that has no pages; no
 * memory for a request: through the cache, without letting the lock go. */
static void test_write_falls_back(void **state)
{
	(void)state;
	for (u32 i = 0; i < 3; i++) {
		begin(0);
		iter.device = i == 0;
		fake.no_memory = i == 1;
		fake.unlocked = i == 2 ? page_comes : NULL;
		assert_int_equal(do_write(0, CHUNK), CHUNK);
		fake.unlocked = NULL;
		fake.no_memory = false;
		assert_int_equal(locked_buffered, 1);
		assert_int_equal(count, 0);
		assert_int_equal(iter.count, CHUNK);
		end();
	}
}

static void killed(void)
{
	fake.killed = true;
}

/* A process that is killed does not wait. What was sent belongs to the file. */
static void test_write_killed(void **state)
{
	(void)state;
	begin(0);
	fake.sleep = killed;
	assert_int_equal(do_write(0, CHUNK), CHUNK);
	fake.killed = false;
	assert_int_equal(fi.inode.i_size, CHUNK);
	assert_int_equal(fi.inval_mask, STATX_BASIC_STATS);
	end();
}

/* What goes past the cache takes no room from pages that wait to be written. */
static void test_write_room(void **state)
{
	(void)state;
	begin(4 * CHUNK);
	for (u32 i = 0; i < 4; i++) {
		sb->bdi.wb.stat[WB_RECLAIMABLE] = 8;
		((struct fuse_session *)fm->fc->iq.priv)->room =
			i & 1 ? 286 : 287;
		iocb.ki_flags = i & 2 ? IOCB_DIRECT : 0;
		assert_int_equal(do_write(0, CHUNK), CHUNK);
		assert_int_equal(sb->syncs, i & 1 ? i / 2 + 1 : i / 2);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_through),
		cmocka_unit_test(test_read_errors),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_errors),
		cmocka_unit_test(test_write_falls_back),
		cmocka_unit_test(test_write_killed),
		cmocka_unit_test(test_write_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
