/* SPDX-License-Identifier: MIT */
/* The virtio block driver against a device that does what the specification
 * says, or something else. */
#include "fake/disk_virtio.h"

static struct disk *new(bool translated)
{
	struct virtio_regs regs = {
		.common = REGS_COMMON, .device = REGS_DEVICE,
		.device_size = 60, .notify = REGS_NOTIFY, .notify_size = 4096,
		.notify_multiplier = 4, .translated = translated,
		.cut = fake_cut,
	};

	return virtio_blk_new(&regs);
}

static int setup(void **state)
{
	memset(&dev, 0, sizeof(dev));
	dev.features = F_USUAL;
	dev.size_max = 256;
	dev.blk_size = 512;
	dev.discard_max = 1000;
	dev.hang_sector = -1;
	fake_device = fake_step;
	fake_fill();
	*state = new(true);
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
	assert_string_equal(line, "virtio disk, serial 0123456789abcdefghij, "
			    "4 MiB in sectors of 512, flush, discard, write zeroes, 64 at a time");
	assert_int_equal(disk->dev.sectors, 8192);
	assert_int_equal(disk->dev.max_segs, 64);
	assert_true(dev.accepted == F_USUAL);
}

static void reads_and_writes(void **state)
{
	struct disk *disk = fake_ready(state);

	io_do(disk, BLOCK_WRITE, 100, 60, 1024, 512);
	io_do(disk, BLOCK_READ, 99, 62, 4096, 0);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_FLUSH, 0, 0)), 0);
	assert_int_equal(dev.types[4], 1);
}

/* All that it takes at once, ended in the other order, for many rounds. */
static void many_in_any_order(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.reverse = true;
	io_rounds(disk, 64);
}

/* More than the device takes in one request becomes several. */
static void ranges_in_pieces(void **state)
{
	struct disk *disk = fake_ready(state);

	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_ZERO, 8, 2500)), 0);
	assert_int_equal(dev.types[13], 3);
	for (unsigned i = 8 * 512; i < 2508 * 512; i++) {
		assert_int_equal(medium[i], 0);
	}
	assert_int_equal(medium[2508 * 512 + 3], fake_filled(2508 * 512 + 3));
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_DISCARD, 0, 1000)),
			 0);
	assert_int_equal(dev.types[11], 1);
}

static void large_sectors(void **state)
{
	struct disk *disk = *state;

	dev.blk_size = 4096;
	fake_start(disk);
	assert_int_equal(disk->dev.sector_size, 4096);
	assert_int_equal(disk->dev.sectors, 1024);
	io_check(disk, io_now(disk, BLOCK_WRITE, 1020, 4));
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_ZERO, 1, 250)), 0);
	assert_int_equal(dev.types[13], 2);
	assert_int_equal(medium[4096 * 250 + 4095], 0);
}

static void errors_go_up(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.answer = 1;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 8)), EIO);
	dev.answer = 2;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_ZERO, 0, 8)),
			 ENOTSUP);
	assert_int_equal(disk->nonsense, 0);
	dev.answer = 77;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_WRITE, 0, 8)), EIO);
	assert_int_equal(disk->nonsense, 1);
	dev.answer = 0;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_WRITE, 0, 8)), 0);
	assert_int_equal(disk->errors, 3);
	/* the status that is there is not the one of before */
	dev.silent = true;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_WRITE, 0, 8)), EIO);
	assert_int_equal(disk->nonsense, 2);
	assert_int_equal(dev.resets, 1);
}

static void short_reads(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.short_read = true;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 8)), EIO);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_WRITE, 0, 8)), 0);
	assert_int_equal(disk->nonsense, 1);
}

/* What the device lost it gets again, after a reset. */
static void hangs_once(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hang_next = 3;
	io_writes(disk, 8);
	assert_int_equal(dev.resets, 2);
	assert_int_equal(disk->resets, 1);
	assert_int_equal(disk->hangs, 3);
	assert_int_equal(cuts, 0);
}

/* One request that makes the device hang each time costs only itself. */
static void a_request_that_hangs(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *bad;

	dev.hang_sector = 640;
	bad = io_now(disk, BLOCK_READ, 640, 8);
	for (unsigned i = 0; i < 50 && !bad->ended; i++) {
		assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, i, 1)),
				 0);
		fake_run(disk, 1000);
	}
	assert_int_equal(io_wait(disk, bad), EIO);
	assert_int_equal(disk->state, DISK_READY);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 1)), 0);
}

static void hangs_for_good(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *ios[64];

	dev.hangs = true;
	for (unsigned i = 0; i < 64; i++) {
		ios[i] = io_now(disk, BLOCK_READ, i, 1);
	}
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(io_wait(disk, ios[i]), EIO);
	}
	assert_int_equal(disk->state, DISK_FAILED);
	assert_int_equal(cuts, 1);
	assert_int_equal(dev.status, 0);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 1)), EIO);
	assert_int_equal(cuts, 1);
}

/* After each reset it is as good as new, and does nothing. */
static void hangs_again(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hang_sector = 7;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 7, 1)), EIO);
	assert_int_equal(disk->state, DISK_FAILED);
	assert_int_equal(dev.resets, 3);
	assert_int_equal(cuts, 1);
}

static void reset_without_end(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hangs = dev.stuck_reset = true;
	fake_fails(disk);
	assert_string_equal(disk->why, "it does not answer");
	assert_int_equal(cuts, 1);
}

static void asks_for_a_reset(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *io;

	dev.hangs = true;
	io = io_now(disk, BLOCK_READ, 0, 1);
	dev.status |= 64;
	dev.interrupt = true;
	fake_run(disk, 50);
	dev.hangs = false;
	assert_int_equal(io_wait(disk, io), 0);
	assert_int_equal(dev.resets, 2);
}

/* Answers to what nobody asked: counted, and nothing else. */
static void nonsense(void **state)
{
	static const uint32_t ids[] = { 5, 63, 64, 255, 256, 0x80000001,
					0xffffffff };
	struct disk *disk = fake_ready(state);
	struct io *io;

	dev.hangs = true;
	io = io_now(disk, BLOCK_READ, 0, 1);
	for (unsigned i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		use(ids[i], 512);
		fake_run(disk, 1);
		assert_int_equal(disk->nonsense, i + 1);
	}
	assert_int_equal(io->ended, 0);
	/* Further ahead than the queue is long: it is lost. */
	*word(dev.used + 2) = (uint16_t)(dev.used_idx + 300);
	dev.interrupt = true;
	fake_run(disk, 50);
	dev.hangs = false;
	assert_int_equal(io_wait(disk, io), 0);
	assert_int_equal(dev.resets, 2);
	assert_int_equal(disk->taken, 0);
}

/* Without indirect descriptors a request is a run in the table. */
static void plain_descriptors(void **state)
{
	struct disk *disk = *state;
	struct io *ios[2];

	dev.features &= ~(1ull << 28);
	dev.no_id = true;
	dev.size_max = 32;
	fake_start(disk);
	assert_int_equal(disk->dev.depth, 2);
	assert_int_equal(disk->dev.max_segs, 14);
	assert_string_equal(disk->dev.serial, "");
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 2; i++) {
			ios[i] = io_new(disk, BLOCK_WRITE, 8 * i + round, 7,
					512, 64);
			io_submit(disk, ios[i]);
		}
		dev.reverse = round % 2;
		fake_run(disk, 1);
		assert_true(io_is_medium(disk, ios[0]));
		assert_int_equal(io_wait(disk, ios[0]), 0);
		assert_int_equal(io_wait(disk, ios[1]), 0);
	}
	/* Not the beginning of a run. */
	dev.hangs = true;
	ios[0] = io_now(disk, BLOCK_READ, 0, 1);
	use(1, 1);
	fake_run(disk, 1);
	assert_int_equal(disk->nonsense, 1);
	dev.hangs = false;
	assert_int_equal(io_wait(disk, ios[0]), 0);
}

static void refuses(void **state, const char *why)
{
	fake_refuses(*state, why);
	assert_int_equal(cuts, 1);
}

static void not_of_virtio_1(void **state)
{
	dev.features &= ~(1ull << 32);
	refuses(state, "it is not of virtio 1");
}

static void past_the_iommu(void **state)
{
	struct disk *disk;

	dev.features &= ~(1ull << 33);
	refuses(state, "it bypasses the IOMMU (no ACCESS_PLATFORM)");
	/* Without one it does as well as any. */
	disk = new(false);
	fake_start(disk);
	assert_int_equal(disk->state, DISK_READY);
	free(disk);
}

static void odd_devices(void **state)
{
	static const uint16_t sizes[] = { 0, 3, 48 };

	dev.blk_size = 520;
	refuses(state, "its sectors are neither of 512 nor 4096 bytes");
	dev.blk_size = 512;
	for (unsigned i = 0; i < 3; i++) {
		struct disk *disk = new(true);

		dev.size_max = sizes[i];
		dev.size = 0;
		fake_start(disk);
		assert_string_equal(disk->why, "its queue is not usable");
		free(disk);
	}
	dev.no_features_ok = true;
	cuts = 0;
	free(*state);
	*state = new(true);
	refuses(state, "it refuses its own features");
}

/* A disk that is another one after its reset is not used any more. */
static void changes_at_a_reset(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hang_next = 1;
	dev.features &= ~F_FLUSH;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 1)), EIO);
	assert_int_equal(disk->state, DISK_FAILED);
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
		TEST(many_in_any_order), TEST(ranges_in_pieces),
		TEST(large_sectors), TEST(errors_go_up), TEST(short_reads),
		TEST(hangs_once), TEST(a_request_that_hangs),
		TEST(hangs_for_good), TEST(hangs_again), TEST(reset_without_end),
		TEST(asks_for_a_reset), TEST(nonsense),
		TEST(plain_descriptors), TEST(not_of_virtio_1),
		TEST(past_the_iommu), TEST(odd_devices),
		TEST(changes_at_a_reset),
		TEST(chaotic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
