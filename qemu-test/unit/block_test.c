/* SPDX-License-Identifier: MIT */
/*
 * block.c before the recording disk: what is let through, what waits, what FUA
 * becomes; and the recording disk itself, on which the tests of the journal
 * rest: what a power cut may leave.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/fake/disk.h"

#define SIZE		(64u << 10)
#define CACHED		BLOCK_HAS_FLUSH
#define FUA		(BLOCK_HAS_FLUSH | BLOCK_HAS_FUA)

static uint8_t image[SIZE], data[128 << 10], out[SIZE];
static unsigned told;

static void done(struct block_req *req)
{
	(void)req;
	told++;
}

/* One request of a kind, over data. */
struct ask {
	struct block_req req;
	struct block_seg seg;
};

static void ask(struct block_dev *dev, struct ask *a, enum block_op op,
		uint64_t sector, uint32_t sectors, unsigned flags)
{
	a->seg = (struct block_seg){ data, sectors * dev->sector_size };
	a->req = (struct block_req){
		.op = op, .sector = sector, .sectors = sectors, .flags = flags,
		.segs = &a->seg, .seg_count = 1, .done = done,
	};
	block_submit(dev, &a->req);
}

static int answer(struct fake_disk *disk, struct ask *a)
{
	unsigned before = told;

	fake_disk_settle(disk);
	assert_int_equal(told, before + 1);
	return a->req.error;
}

static int once(struct fake_disk *disk, struct block_dev *dev,
		enum block_op op, uint64_t sector, uint32_t sectors)
{
	struct ask a;
	unsigned before = told;

	ask(dev, &a, op, sector, sectors, 0);
	assert_int_equal(told, before);	/* never from within */
	return answer(disk, &a);
}

static void test_limits(void **state)
{
	struct fake_disk disk;
	struct block_dev *dev = &disk.dev;
	struct ask a;

	(void)state;
	fake_disk_open(&disk, image, SIZE, 512, CACHED);
	assert_int_equal(once(&disk, dev, BLOCK_READ, 127, 1), 0);
	assert_int_equal(once(&disk, dev, BLOCK_READ, 127, 2), EINVAL);
	assert_int_equal(once(&disk, dev, BLOCK_READ, 128, 1), EINVAL);
	assert_int_equal(once(&disk, dev, BLOCK_READ, UINT64_MAX, 1), EINVAL);
	assert_int_equal(once(&disk, dev, BLOCK_READ, 0, 0), EINVAL);
	assert_int_equal(once(&disk, dev, BLOCK_READ, 0, 129), EINVAL);
	assert_int_equal(once(&disk, dev, BLOCK_DISCARD, 0, 1), ENOTSUP);
	assert_int_equal(once(&disk, dev, BLOCK_ZERO, 0, 1), ENOTSUP);
	/* Memory that does not fit the sectors. */
	ask(dev, &a, BLOCK_READ, 0, 2, 0);
	assert_int_equal(answer(&disk, &a), 0);
	a.seg.len = 512;
	block_submit(dev, &a.req);
	assert_int_equal(answer(&disk, &a), EINVAL);
	a.seg.len = 1023;
	block_submit(dev, &a.req);
	assert_int_equal(answer(&disk, &a), EINVAL);
	a.req.seg_count = 0;
	block_submit(dev, &a.req);
	assert_int_equal(answer(&disk, &a), EINVAL);
	assert_int_equal(dev->stats.reads, 2);
	assert_int_equal(dev->stats.sectors_read, 3);
	assert_int_equal(dev->stats.refused, 10);
	fake_disk_close(&disk);
}

static void test_write_is_for_the_named(void **state)
{
	struct fake_disk disk;
	struct block_dev part, other;

	(void)state;
	fake_disk_open(&disk, image, SIZE, 512, CACHED | BLOCK_HAS_DISCARD |
		       BLOCK_HAS_ZERO);
	disk.dev.writable = false;
	block_part(&part, &disk.dev, 8, 16);
	block_part(&other, &disk.dev, 24, 16);
	block_open_write(&part);
	for (enum block_op op = BLOCK_WRITE; op <= BLOCK_ZERO; op++) {
		int want = op == BLOCK_FLUSH ? 0 : EROFS;

		assert_int_equal(once(&disk, &disk.dev, op, 8, 1), want);
		assert_int_equal(once(&disk, &other, op, 0, 1), want);
		assert_int_equal(once(&disk, &part, op, 0, 1), 0);
		/* The part ends where it ends. */
		assert_int_equal(once(&disk, &part, op, 16, 1),
				 op == BLOCK_FLUSH ? 0 : EINVAL);
	}
	assert_int_equal(disk.dev.stats.writes + other.stats.writes, 0);
	assert_int_equal(part.stats.writes, 1);
	/* Where the part is, and nowhere else. */
	for (unsigned i = 0; i < disk.count; i++) {
		if (disk.log[i].op != BLOCK_FLUSH) {
			assert_int_equal(disk.log[i].sector, 8);
		}
	}
	/* Not what says that it cannot be written to. */
	disk.dev.features |= BLOCK_READ_ONLY;
	block_open_write(&disk.dev);
	assert_int_equal(once(&disk, &disk.dev, BLOCK_WRITE, 0, 1), EROFS);
	fake_disk_close(&disk);
}

static void test_queue(void **state)
{
	struct fake_disk disk;
	struct ask a[100];

	(void)state;
	fake_disk_open(&disk, image, SIZE, 512, CACHED);
	disk.dev.depth = 4;
	told = 0;
	for (unsigned i = 0; i < 100; i++) {
		ask(&disk.dev, &a[i], i % 3 ? BLOCK_WRITE : BLOCK_READ, i, 1,
		    0);
	}
	while (fake_disk_step(&disk)) {
		assert_true(disk.pending_count <= 4);
	}
	assert_int_equal(told, 100);
	assert_int_equal(disk.dev.in_flight, 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(a[i].req.error, 0);
		assert_int_equal(a[i].req.sector, i);
	}
	fake_disk_close(&disk);
}

static bool fails(struct fake_disk *disk, const struct block_req *req)
{
	return req->op == *(enum block_op *)disk->arg;
}

static void test_fua(void **state)
{
	enum block_op failing = BLOCK_FLUSH;
	struct fake_disk disk;
	struct ask a, b;

	(void)state;
	/* A flush follows the write, before it is done. */
	fake_disk_open(&disk, image, SIZE, 512, CACHED);
	ask(&disk.dev, &a, BLOCK_WRITE, 3, 1, BLOCK_FUA);
	assert_int_equal(answer(&disk, &a), 0);
	assert_int_equal(a.req.op, BLOCK_WRITE);
	assert_int_equal(disk.count, 2);
	assert_int_equal(disk.log[1].op, BLOCK_FLUSH);
	assert_true(disk.log[1].submitted > disk.log[0].done);
	assert_int_equal(disk.dev.stats.writes, 1);
	/* What fails then is the write. */
	disk.fails = fails;
	disk.arg = &failing;
	ask(&disk.dev, &a, BLOCK_WRITE, 3, 1, BLOCK_FUA);
	assert_int_equal(answer(&disk, &a), EIO);
	assert_int_equal(a.req.op, BLOCK_WRITE);
	/* A write that failed is not flushed. */
	failing = BLOCK_WRITE;
	ask(&disk.dev, &a, BLOCK_WRITE, 3, 1, BLOCK_FUA);
	assert_int_equal(answer(&disk, &a), EIO);
	assert_int_equal(disk.dev.stats.errors, 2);
	disk.fails = NULL;
	/* It goes before what waits. */
	disk.dev.depth = 1;
	ask(&disk.dev, &a, BLOCK_WRITE, 3, 1, BLOCK_FUA);
	ask(&disk.dev, &b, BLOCK_WRITE, 4, 1, 0);
	fake_disk_settle(&disk);
	assert_int_equal(disk.log[disk.count - 2].op, BLOCK_FLUSH);
	assert_int_equal(b.req.error, 0);
	fake_disk_close(&disk);

	fake_disk_open(&disk, image, SIZE, 512, FUA);
	ask(&disk.dev, &a, BLOCK_WRITE, 3, 1, BLOCK_FUA);
	assert_int_equal(answer(&disk, &a), 0);
	assert_int_equal(disk.count, 1);
	assert_true(disk.log[0].fua);
	fake_disk_close(&disk);

	/* Without a cache there is nothing to flush. */
	fake_disk_open(&disk, image, SIZE, 512, 0);
	ask(&disk.dev, &a, BLOCK_WRITE, 3, 1, BLOCK_FUA);
	assert_int_equal(answer(&disk, &a), 0);
	assert_int_equal(once(&disk, &disk.dev, BLOCK_FLUSH, 0, 0), 0);
	assert_int_equal(disk.count, 1);
	fake_disk_close(&disk);
}

/* A driver that has done before it returns. */
static void at_once(struct block_dev *dev, struct block_req *req)
{
	block_done(dev, req, 0);
}

static void test_done_at_once(void **state)
{
	static const struct block_ops ops = { .submit = at_once };
	struct block_dev dev = {
		.ops = &ops, .sector_size = 512, .sectors = 8, .depth = 1,
		.max_sectors = 8, .max_segs = 1,
	};
	struct ask a[8];

	(void)state;
	block_init(&dev);
	told = 0;
	for (unsigned i = 0; i < 8; i++) {
		ask(&dev, &a[i], BLOCK_READ, i, 1, 0);
	}
	assert_int_equal(told, 0);
	assert_true(block_due(&dev));
	block_run(&dev);
	assert_int_equal(told, 8);
	assert_false(block_due(&dev));
}

/* What sector 0 and 1 may be after a cut, as sets of bits. */
static void look(struct fake_disk *disk, unsigned time, unsigned *first,
		 unsigned *second)
{
	struct fake_cuts cuts;
	uint64_t seed = 7;

	*first = *second = 0;
	fake_cuts_begin(&cuts, disk);
	fake_cuts_to(&cuts, time);
	for (unsigned i = 0; i < 200; i++) {
		if (fake_cuts_make(&cuts, i % FAKE_CUTS, &seed, out)) {
			*first |= 1u << out[0];
			*second |= 1u << out[512];
		}
	}
	fake_cuts_end(&cuts);
}

static void test_cuts(void **state)
{
	struct fake_disk disk;
	unsigned first, second, before;
	struct ask a;

	(void)state;
	fake_disk_open(&disk, image, SIZE, 512, FUA);
	memset(data, 1, sizeof(data));
	once(&disk, &disk.dev, BLOCK_WRITE, 0, 2);
	before = disk.time;
	memset(data, 2, sizeof(data));
	once(&disk, &disk.dev, BLOCK_WRITE, 0, 1);
	look(&disk, 0, &first, &second);
	assert_int_equal(first, 1);
	look(&disk, before, &first, &second);
	assert_int_equal(first, 3);
	look(&disk, disk.time, &first, &second);
	assert_int_equal(first, 7);		/* nothing lasts */
	assert_int_equal(second, 3);
	/* While the flush is under way, too. */
	ask(&disk.dev, &a, BLOCK_FLUSH, 0, 0, 0);
	before = disk.time;
	fake_disk_settle(&disk);
	look(&disk, before, &first, &second);
	assert_int_equal(first, 7);
	look(&disk, disk.time, &first, &second);
	assert_int_equal(first, 4);
	assert_int_equal(second, 2);
	/* An older write never comes back over one that lasts. */
	memset(data, 3, sizeof(data));
	once(&disk, &disk.dev, BLOCK_WRITE, 0, 1);
	memset(data, 4, sizeof(data));
	ask(&disk.dev, &a, BLOCK_WRITE, 0, 1, BLOCK_FUA);
	fake_disk_settle(&disk);
	look(&disk, disk.time, &first, &second);
	assert_int_equal(first, 1 << 4);
	assert_int_equal(second, 2);
	/* A flush does not cover what is done while it is under way. */
	memset(data, 5, sizeof(data));
	ask(&disk.dev, &a, BLOCK_FLUSH, 0, 0, 0);
	{
		struct ask b;

		ask(&disk.dev, &b, BLOCK_WRITE, 0, 1, 0);
		fake_disk_settle(&disk);
	}
	look(&disk, disk.time, &first, &second);
	assert_int_equal(first, 1 << 4 | 1 << 5);
	fake_disk_close(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_write_is_for_the_named),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_fua),
		cmocka_unit_test(test_done_at_once),
		cmocka_unit_test(test_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
