/* SPDX-License-Identifier: MIT */
/* The driver of PCI IDE channels, against a channel with two disks that does
 * what ATA/ATAPI-6 and the bus-master interface say, or something else. */
#include "fake/disk_ata.h"

static struct ata_channel *channel;

static int setup(void **state)
{
	struct ata_ports ports = { COMMAND, CONTROL, BUS_MASTER };

	memset(&ch, 0, sizeof(ch));
	make(&drives[0], 512);
	make(&drives[1], 512);
	fake_fill();
	fake_device = fake_step;
	channel = ata_channel_new(&ports);
	*state = ata_disk(channel, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(channel);
	fake_over();
	return 0;
}

/* Both at once, as it is done at boot. */
static struct disk *ready(void **state)
{
	struct disk *other = ata_disk(channel, 1);

	disk_start(other);
	fake_ready(state);
	while (other->state == DISK_STARTING) {
		fake_run(other, 1);
	}
	fake_open(other);
	return *state;
}

static void says_what_it_is(void **state)
{
	char line[200];

	disk_describe(ready(state), line, sizeof(line));
	assert_string_equal(line, "FAKE disk, serial S-0001, 2 MiB in sectors "
			    "of 512, flush, FUA, discard, rotational, 1 at a "
			    "time");
	disk_describe(ata_disk(channel, 1), line, sizeof(line));
	assert_non_null(strstr(line, "Other ? disk,"));
}

/* The first disk keeps that statistic. */
static void wears(uint64_t value, bool hangs)
{
	drives[0].identify[84] |= 1 << 5;
	drives[0].identify[217] = 1;
	sum(drives[0].identify);
	drives[0].wear[0] = value == 0 ? 0 : 7 << 16 | 1;
	drives[0].wear[1] = value;
	drives[0].wear_hangs = hangs;
}

/* It is asked once, also when it is started again. */
static void how_worn(void **state)
{
	struct disk *disk;

	wears(3ull << 62 | 31, false);
	disk = ready(state);
	assert_int_equal(disk->wear, 31);
	assert_int_equal(ata_disk(channel, 1)->wear, -1);
	assert_int_equal(drives[0].commands[0x2f], 1);
	assert_int_equal(drives[1].commands[0x2f], 0);
	drives[0].hang_next = 1;
	io_writes(disk, 40);
	assert_int_equal(drives[0].commands[0x2f], 1);
	assert_int_equal(disk->wear, 31);
}

/* It does not know that log, does not know the figure, or does not answer: all goes
 * on. */
static void wear_unknown(void **state)
{
	wears(0, false);
	io_writes(ready(state), 40);
	assert_int_equal(ch.resets, 2);
	assert_int_equal(((struct disk *)*state)->wear, -1);
}

static void wear_not_kept(void **state)
{
	wears(1ull << 63 | 31, false);
	io_writes(ready(state), 40);
	assert_int_equal(((struct disk *)*state)->wear, -1);
}

static void wear_without_end(void **state)
{
	wears(3ull << 62 | 31, true);
	io_writes(ready(state), 40);
	assert_int_equal(ch.resets, 3);
	assert_int_equal(drives[0].commands[0x2f], 1);
	assert_int_equal(((struct disk *)*state)->wear, -1);
}

static void reads_and_writes(void **state)
{
	struct disk *disk = ready(state);
	struct io *io;

	/* The most, in pieces that cross 64 KiB somewhere. */
	io_do(disk, BLOCK_WRITE, 1000, 256, 4096, 512);
	io_do(disk, BLOCK_READ, 1001, 256, 256 * 512, 0);
	io_do(disk, BLOCK_READ, 3, 1, 512, 0);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_FLUSH, 0, 0)), 0);
	assert_int_equal(drives[0].commands[0xea], 1);
	io = io_new(disk, BLOCK_WRITE, 7, 9, 512, 0);
	io->req.flags = BLOCK_FUA;
	io_submit(disk, io);
	io_check(disk, io);
	assert_int_equal(drives[0].commands[0x3d], 1);
	assert_int_equal(drives[0].commands[0xca], 1);
	assert_int_equal(drives[0].commands[0xc8], 2);
	/* The engine does not run on: the memory is somebody else's now. */
	assert_int_equal(ch.bm_command & 1, 0);
}

/* Two disks on a channel take turns, whoever has more to do. */
static void both_disks(void **state)
{
	struct disk *a = ready(state), *b = ata_disk(channel, 1);

	for (unsigned i = 0; i < 100; i++) {
		struct io *x = io_now(a, BLOCK_WRITE, i * 8, 8);
		struct io *y = io_now(b, BLOCK_WRITE, i * 8 + 1, 8);

		for (unsigned ms = 0; !x->ended || !y->ended; ms++) {
			assert_true(ms < 300);
			fake_run(ms % 2 ? a : b, 1);
			ata_interrupt(channel);
		}
		io_check(a, x);
		io_check_at(b, y, MEDIUM_BYTES / 2);
	}
	assert_int_equal(a->nonsense + b->nonsense, 0);
}

/* Above 2^28 sectors two bytes go to each register. */
static void beyond_28_bits(void **state)
{
	struct disk *disk;
	struct io *io;

	drives[0].identify[102] = 1;
	sum(drives[0].identify);
	disk = ready(state);
	assert_int_equal(disk->dev.sectors >> 32, 1);
	drives[0].error_at = 0x0ffffff8;
	io = io_now(disk, BLOCK_READ, 0x0ffffff8, 8);
	assert_int_equal(io_wait(disk, io), EIO);
	assert_int_equal(drives[0].commands[0xc8], 1);
	drives[0].error_at = 0x0ffffff9;
	io = io_now(disk, BLOCK_READ, 0x0ffffff9, 8);
	assert_int_equal(io_wait(disk, io), EIO);
	assert_int_equal(drives[0].commands[0x25], 1);
}

static void trims(void **state)
{
	const uint64_t all = 64 * 65535ull + 100;
	struct disk *disk;

	drives[0].identify[102] = 1;
	sum(drives[0].identify);
	disk = ready(state);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_DISCARD, 8, 100)),
			 0);
	assert_int_equal(medium[8 * 512 + 99 * 512], 0);
	assert_int_equal(medium[108 * 512], fake_filled(108 * 512));
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_DISCARD, 0,
					      (uint32_t)all)), 0);
	assert_int_equal(drives[0].commands[0x06], 3);
}

static void large_sectors(void **state)
{
	struct disk *disk;

	make(&drives[0], 4096);
	disk = ready(state);
	assert_int_equal(disk->dev.sector_size, 4096);
	assert_int_equal(disk->dev.max_sectors, 32);
	io_do(disk, BLOCK_WRITE, 100, 32, 8192, 4096);
}

static void errors_go_up(void **state)
{
	struct disk *disk = ready(state);

	drives[0].error_at = 50;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 50, 8)), EIO);
	assert_int_equal(disk->errors, 1);
	drives[0].short_dma = true;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 8)), EIO);
	assert_int_equal(disk->nonsense, 1);
	drives[0].short_dma = false;
	drives[0].drq_stays = true;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 8)), EIO);
	assert_int_equal(disk->nonsense, 2);
	drives[0].drq_stays = false;
	ch.status = 0x50;
	drives[0].bm_error = true;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 8)), EIO);
	drives[0].bm_error = false;
	io_check(disk, io_now(disk, BLOCK_READ, 0, 8));
	assert_int_equal(ch.resets, 2);
}

static void hangs_once(void **state)
{
	struct disk *a = ready(state), *b = ata_disk(channel, 1);
	struct io *x, *y;

	drives[0].hang_next = 1;
	x = io_now(a, BLOCK_READ, 0, 8);
	y = io_now(b, BLOCK_READ, 0, 8);
	fake_run(a, 15000);
	io_check(a, x);
	io_check_at(b, y, MEDIUM_BYTES / 2);
	assert_int_equal(ch.resets, 3);
	assert_int_equal(a->hangs, 1);
	assert_int_equal(b->hangs, 0);
}

/* One disk is given up; the other goes on. */
static void hangs_for_good(void **state)
{
	struct disk *a = ready(state), *b = ata_disk(channel, 1);

	drives[0].hangs = true;
	fake_fails(a);
	assert_int_equal(ch.bm_status & 1, 0);
	ch.status = 0x50;		/* of the other, which is not busy */
	io_check_at(b, io_now(b, BLOCK_READ, 5, 8), MEDIUM_BYTES / 2);
	fake_fails(a);
}

static void reset_without_end(void **state)
{
	struct disk *disk = ready(state);

	drives[0].hangs = drives[0].no_reset = true;
	fake_fails(disk);
	assert_string_equal(disk->why, "it does not answer");
}

static void another_disk_after_a_reset(void **state)
{
	struct disk *disk = ready(state);

	drives[0].hang_next = 1;
	set_text(drives[0].identify + 10, "S-0002", 10);
	sum(drives[0].identify);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 8)), EIO);
	assert_string_equal(disk->why, "it is another disk than before");
}

static void nothing_there(void **state)
{
	drives[1].present = false;
	ready(state);
	assert_true(ata_disk(channel, 1)->absent);
	assert_int_equal(ata_disk(channel, 1)->state, DISK_FAILED);
	ch.floats = true;
	drives[0].present = false;
	fake_start(ata_disk(channel, 0));
	assert_true(ata_disk(channel, 0)->absent);
}

/* Whoever is started last, and is not there: the other one's requests end by
 * their interrupts. */
static void alone(void **state)
{
	struct disk *disk = *state;
	struct disk *other = ata_disk(channel, 1);

	fake_start(disk);
	drives[1].present = false;
	for (unsigned i = 0; i < 2; i++) {
		struct io *io;

		fake_start(other);
		assert_int_equal(other->state, DISK_FAILED);
		io = io_now(disk, BLOCK_READ, 8 * i, 8);
		for (unsigned ms = 0; !io->ended; ms++) {
			assert_true(ms < 50);
			fake_run(disk, 1);
		}
		io_check(disk, io);
		drives[1].present = drives[1].packet = true;
	}
	assert_int_equal(disk->hangs, 0);
}

static void not_a_disk(void **state)
{
	drives[1].packet = true;
	ready(state);
	assert_true(ata_disk(channel, 1)->absent);
}

static void odd_disks(void **state)
{
	drives[0].identify[60]++;
	fake_refuses(*state, "what it says of itself is damaged");
	make(&drives[0], 512);
	drives[0].identify[49] = 0x200;
	sum(drives[0].identify);
	fake_refuses(*state, "it has no LBA, or no DMA");
	make(&drives[0], 512);
	drives[0].identify[106] = 0x5000;
	drives[0].identify[117] = 520;
	sum(drives[0].identify);
	fake_refuses(*state, "its sectors are neither of 512 nor 4096 bytes");
}

/* Interrupts without a cause, before, with and after a request. */
static void stray_interrupts(void **state)
{
	struct disk *disk;
	struct io *io;

	ata_interrupt(channel);
	disk = ready(state);
	ata_interrupt(channel);
	io = io_now(disk, BLOCK_READ, 0, 8);
	for (unsigned i = 0; i < 10; i++) {
		ata_interrupt(channel);
	}
	assert_int_equal(io->ended, 0);
	/* The bit is set while the drive is busy. */
	ch.bm_status |= 4;
	ata_interrupt(channel);
	assert_int_equal(io->ended, 0);
	assert_int_equal(disk->nonsense, 1);
	io_check(disk, io);
}

/* A device that is quite mad reaches nothing, and holds up nobody. */
static void chaotic(void **state)
{
	fake_chaotic(ready(state));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_what_it_is), TEST(how_worn), TEST(wear_unknown),
		TEST(wear_not_kept), TEST(wear_without_end),
		TEST(reads_and_writes),
		TEST(both_disks), TEST(beyond_28_bits), TEST(trims),
		TEST(large_sectors), TEST(errors_go_up), TEST(hangs_once),
		TEST(hangs_for_good), TEST(reset_without_end),
		TEST(another_disk_after_a_reset), TEST(nothing_there), TEST(alone),
		TEST(not_a_disk), TEST(odd_disks), TEST(stray_interrupts),
		TEST(chaotic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
