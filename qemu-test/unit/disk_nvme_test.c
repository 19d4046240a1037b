/* SPDX-License-Identifier: MIT */
/* The NVMe driver against a controller that does what NVMe 1.4 says, or something
 * else. */
#include "fake/disk_nvme.h"

static int setup(void **state)
{
	struct nvme_regs regs = { .base = REGS, .size = SIZE,
				  .cut = fake_cut };

	memset(&dev, 0, sizeof(dev));
	dev.mqes = 1023;
	dev.nsid = 5;
	dev.shift = 9;
	dev.mdts = 7;
	dev.vwc = 1;
	dev.oncs = 12;
	dev.used = 3;
	dev.error_at = UINT64_MAX;
	dev.csts = dev.cc = 1;		/* the firmware has used it */
	fake_device = fake_step;
	fake_fill();
	*state = nvme_new(&regs);
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	fake_over();
	return 0;
}

static void says_what_it_is(void **state)
{
	struct disk *disk = fake_ready(state);
	char line[200];

	disk_describe(disk, line, sizeof(line));
	assert_string_equal(line, "FAKE NVMe, serial SERIAL 7, 4 MiB in "
			    "sectors of 512, flush, FUA, discard, write "
			    "zeroes, 63 at a time");
	assert_int_equal(disk->dev.max_sectors, 1024);
	assert_int_equal(disk->wear, 3);
}

static void reads_and_writes(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *io;

	/* Whole pages go in one command; 1024 sectors are 128 pages. */
	io_do(disk, BLOCK_WRITE, 100, 480, 4096, 4096);
	assert_int_equal(dev.opcodes[1], 1);
	io_do(disk, BLOCK_READ, 99, 1024, 1024 * 512, 0);
	assert_int_equal(dev.opcodes[2], 1);
	/* One, two, and two that begin within a page. */
	for (unsigned sectors = 1; sectors < 20; sectors++) {
		io_check(disk, io_now(disk, BLOCK_READ, sectors, sectors));
	}
	io = io_new(disk, BLOCK_WRITE, 0, 8, 4096, 0);
	io->req.flags = BLOCK_FUA;
	io_submit(disk, io);
	io_check(disk, io);
	assert_int_equal(dev.last_cdw12, 1 << 30 | 7);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_FLUSH, 0, 0)), 0);
	assert_int_equal(dev.opcodes[0], 1);
}

/* Of a controller that ignores it a write is made lasting by a flush. */
static void ignores_fua(void **state)
{
	struct disk *disk;
	struct io *io;

	dev.model = "QEMU NVMe Ctrl";
	disk = fake_ready(state);
	io = io_new(disk, BLOCK_WRITE, 0, 8, 4096, 0);
	io->req.flags = BLOCK_FUA;
	io_submit(disk, io);
	io_check(disk, io);
	assert_int_equal(dev.opcodes[1], 1);
	assert_int_equal(dev.opcodes[0], 1);
	assert_int_equal(dev.held_count, 0);
}

/* Pieces of memory that pages cannot name together are commands of their own. */
static void in_pieces(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *io;

	io_do(disk, BLOCK_WRITE, 7, 60, 1024, 1024);
	assert_int_equal(dev.opcodes[1], 30);
	io_do(disk, BLOCK_READ, 7, 60, 1024, 1024);
	/* One behind the other they are one. */
	io_do(disk, BLOCK_WRITE, 9, 60, 1024, 0);
	assert_int_equal(dev.opcodes[1], 31);
	/* From within a page to its end, whole ones, and the beginning of
	 * one. */
	io = io_new(disk, BLOCK_READ, 50, 20, 4096, 0);
	io->segs[0].data = io->data + 3072;
	io->segs[0].len = 1024;
	io->segs[1] = (struct block_seg) { io->data + 4096, 4096 };
	io->segs[2] = (struct block_seg) { io->data + 8192, 512 };
	io->req.seg_count = 3;
	io->req.sectors = 11;
	io_submit(disk, io);
	io_check(disk, io);
}

static void many_in_any_order(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.reverse = true;
	io_rounds(disk, 100);
}

static void ranges(void **state)
{
	struct disk *disk = fake_ready(state);

	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_ZERO, 8, 5000)), 0);
	assert_int_equal(medium[8 * 512 + 4999 * 512 + 511], 0);
	assert_int_equal(medium[5008 * 512 + 1], fake_filled(5008 * 512 + 1));
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_DISCARD, 5008,
					      100)), 0);
	assert_int_equal(medium[5008 * 512 + 1], 0);
}

/* More than a command's 16 bits can say. */
static void many_zeroes(void **state)
{
	struct disk *disk;

	dev.sectors = 1 << 20;
	disk = fake_ready(state);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_ZERO, 8, 70000)), 0);
	assert_int_equal(dev.opcodes[8], 2);
	assert_int_equal(dev.zeroed, 70000);
}

static void large_sectors(void **state)
{
	struct disk *disk;

	dev.shift = 12;
	disk = fake_ready(state);
	assert_int_equal(disk->dev.sector_size, 4096);
	assert_int_equal(disk->dev.max_sectors, 128);
	io_check(disk, io_now(disk, BLOCK_WRITE, 3, 128));
	io_check(disk, io_now(disk, BLOCK_READ, 2, 128));
}

static void small_controller(void **state)
{
	struct disk *disk;

	dev.mqes = 2;
	dev.mdts = 1;
	dev.vwc = dev.oncs = 0;
	dev.no_log = true;
	disk = fake_ready(state);
	assert_int_equal(disk->dev.depth, 2);
	assert_int_equal(disk->dev.max_sectors, 16);
	assert_int_equal(disk->dev.features, BLOCK_HAS_FUA);
	assert_int_equal(disk->wear, -1);
	io_rounds(disk, 10);
}

static void errors_go_up(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.error_at = 50;
	dev.status = 2 << 8 | 0x81;	/* unrecovered read error */
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 50, 8)), EIO);
	dev.status = 1;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_ZERO, 50, 8)),
			 ENOTSUP);
	io_check(disk, io_now(disk, BLOCK_READ, 51, 8));
	assert_int_equal(disk->errors, 2);
	assert_int_equal(dev.starts, 1);
}

/* Each answer that the driver takes brings another: others have their turn. */
static void answers_without_end(void **state)
{
	struct disk *disk = fake_ready(state);
	unsigned before = disk->nonsense;

	complete(1, 0xffff, 0);
	dev.endless = true;
	fake_run(disk, 1);
	assert_in_range(disk->nonsense - before, 1, 64);
	dev.endless = false;
}

static void hangs_once(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hang_next = 3;
	io_writes(disk, 70);
	assert_int_equal(dev.starts, 2);
	assert_int_equal(disk->hangs, 3);
}

static void hangs_for_good(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hangs = true;
	fake_fails(disk);
	assert_int_equal(dev.cc & 1, 0);
	assert_int_equal(cuts, 1);
}

/* What it says itself to be fatal, and one that is not there any more. */
static void fatal(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *io;

	dev.hangs = true;
	io = io_now(disk, BLOCK_READ, 0, 1);
	dev.csts |= 2;
	fake_run(disk, 200);
	dev.hangs = false;
	io_check(disk, io);
	assert_int_equal(dev.starts, 2);
	dev.hangs = true;
	io = io_now(disk, BLOCK_READ, 0, 1);
	dev.csts = 0xffffffff;
	dev.no_off = true;
	assert_int_equal(io_wait(disk, io), EIO);
	assert_string_equal(disk->why, "it is gone");
	assert_int_equal(cuts, 1);
}

static void never_off_or_on(void **state)
{
	struct disk *disk = *state;

	dev.no_off = true;
	fake_start(disk);
	assert_string_equal(disk->why, "it does not answer");
	dev.no_off = false;
	dev.no_on = true;
	disk->why = NULL;
	fake_start(disk);
	assert_string_equal(disk->why, "it does not answer");
	assert_int_equal(cuts, 2);
}

/* Completions of what nobody asked for. */
static void nonsense(void **state)
{
	static const uint16_t cids[] = { 1, 62, 63, 64, 0x1000, 0xffff };
	struct disk *disk;
	struct io *io;

	dev.wrong_cid = true;
	disk = *state;
	fake_start(disk);
	assert_string_equal(disk->why, "it does not answer");
	assert_int_equal(disk->nonsense, 1);
	disk->why = NULL;
	disk = fake_ready(state);
	dev.hangs = true;
	io = io_now(disk, BLOCK_READ, 0, 8);
	for (unsigned i = 0; i < sizeof(cids) / sizeof(*cids); i++) {
		complete(1, cids[i], 0);
		fake_run(disk, 1);
		assert_int_equal(disk->nonsense, i + 2);
		assert_int_equal(io->ended, 0);
	}
	dev.hangs = false;
	io_check(disk, io);
	/* Twice the same. */
	complete(1, 0, 0);
	fake_run(disk, 1);
	assert_int_equal(disk->nonsense, 8);
	assert_int_equal(disk->taken, 0);
}

static void odd_controllers(void **state)
{
	dev.shift = 11;
	fake_refuses(*state, "its sectors are neither of 512 nor 4096 bytes");
	dev.shift = 9;
	dev.metadata = 8;
	fake_refuses(*state, "it is formatted with metadata");
	dev.metadata = 0;
	dev.mps_min = 1;
	fake_refuses(*state, "its pages are larger than 4 KiB");
	dev.mps_min = 0;
	dev.mqes = 0;
	fake_refuses(*state, "its queues are not usable");
	dev.mqes = 100;
	dev.refuses = true;
	fake_refuses(*state, "it refuses a command of its start");
	dev.refuses = false;
	dev.nsid = 0;
	fake_refuses(*state, "it has no namespace");
	assert_true(((struct disk *)*state)->absent);
}

static void another_after_a_reset(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hang_next = 1;
	dev.shift = 12;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 8)), EIO);
	assert_string_equal(disk->why, "it is another disk than before");
}

/* A device that is quite mad reaches nothing, and holds up nobody. */
static void chaotic(void **state)
{
	fake_chaotic(fake_ready(state));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_what_it_is), TEST(reads_and_writes),
		TEST(ignores_fua),
		TEST(in_pieces), TEST(many_in_any_order), TEST(ranges),
		TEST(many_zeroes), TEST(answers_without_end),
		TEST(large_sectors), TEST(small_controller),
		TEST(errors_go_up), TEST(hangs_once), TEST(hangs_for_good),
		TEST(fatal), TEST(never_off_or_on), TEST(nonsense),
		TEST(odd_controllers), TEST(another_after_a_reset),
		TEST(chaotic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
