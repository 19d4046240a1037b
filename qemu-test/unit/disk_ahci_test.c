/* SPDX-License-Identifier: MIT */
/* The AHCI driver against a controller that does what AHCI 1.3.1 says, or
 * something else: port 0 has nothing, port 2 a disk. */
#include "fake/disk_ahci.h"

static struct ahci *ahci;

/* Interrupts are the controller's, which asks its ports. */
static bool step(void)
{
	if (fake_step()) {
		ahci_interrupt(ahci);
	}
	return false;
}

static int setup(void **state)
{
	struct ahci_regs regs = { .base = REGS, .size = SIZE,
				  .cut = fake_cut };

	memset(&dev, 0, sizeof(dev));
	memset(ports, 0, sizeof(ports));
	dev.cap = 1u << 31 | 1u << 30 | 31u << 8;
	dev.error_at = -1;
	ports[2].sig = 0x101;
	ports[2].cmd = 0xc011;		/* the firmware has used it */
	make(512);
	fake_device = step;
	fake_fill();
	ahci = ahci_new(&regs);
	*state = ahci_disk(ahci, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		free(ahci_disk(ahci, i));
	}
	free(ahci);
	fake_over();
	return 0;
}

static void says_what_it_is(void **state)
{
	char line[200];

	disk_describe(fake_ready(state), line, sizeof(line));
	assert_string_equal(line, "FAKE SATA, serial S9, 4 MiB in sectors of "
			    "512, flush, FUA, discard, 32 at a time");
	assert_null(ahci_disk(ahci, 1));
	assert_null(ahci_disk(ahci, 20));
	fake_start(ahci_disk(ahci, 0));
	assert_true(ahci_disk(ahci, 0)->absent);
	assert_int_equal(cuts, 0);
}

/* Its log of that is asked once, if it may have one. */
static void how_worn(void **state)
{
	struct disk *disk = *state;

	dev.identify[84] |= 1 << 5;
	dev.wear[0] = 7 << 16 | 1;
	dev.wear[1] = 3ull << 62 | 31;
	fake_ready(state);
	assert_int_equal(disk->wear, 31);
	assert_int_equal(dev.resets, 1);
	assert_int_equal(dev.commands[0x2f], 1);
	dev.hang_next = 1;
	io_writes(disk, 40);
	assert_int_equal(dev.commands[0x2f], 1);
	assert_int_equal(disk->wear, 31);
}

static void wear_unknown(void **state)
{
	struct disk *disk = *state;

	dev.identify[84] |= 1 << 5;
	dev.wear[0] = 7 << 16 | 1;
	dev.wear[1] = 1ull << 63 | 31;	/* it has it, and does not know it */
	fake_ready(state);
	assert_int_equal(disk->wear, -1);
	io_writes(disk, 40);
}

/* It says that it has logs, and not this one, or does not answer: all goes on. */
static void no_such_log(void **state)
{
	struct disk *disk = *state;

	dev.identify[84] |= 1 << 5;
	fake_ready(state);
	assert_int_equal(disk->wear, -1);
	assert_int_equal(dev.resets, 2);
	io_writes(disk, 40);
	assert_int_equal(dev.commands[0x2f], 1);
}

static void log_without_end(void **state)
{
	dev.wear_hangs = true;
	no_such_log(state);
}

/* One that turns is not asked. */
static void no_wear(void **state)
{
	dev.identify[84] |= 1 << 5;
	dev.identify[217] = 7200;
	fake_ready(state);
	assert_int_equal(((struct disk *)*state)->wear, -1);
	assert_int_equal(dev.commands[0x2f], 0);
}

static void reads_and_writes(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *io;

	io_do(disk, BLOCK_WRITE, 100, 400, 4096, 512);
	io_do(disk, BLOCK_READ, 99, 2048, 2048 * 512, 0);
	assert_int_equal(dev.commands[0x60], 1);
	assert_int_equal(dev.commands[0x61], 1);
	io = io_new(disk, BLOCK_WRITE, 7, 9, 512, 0);
	io->req.flags = BLOCK_FUA;
	io_submit(disk, io);
	io_check(disk, io);
	assert_int_equal(dev.last_device, 0xc0);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_FLUSH, 0, 0)), 0);
	assert_int_equal(dev.commands[0xea], 1);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_DISCARD, 8, 100)),
			 0);
	assert_int_equal(medium[107 * 512 + 511], 0);
}

/* Queued ones in any order, with others among them. */
static void many_in_any_order(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *ios[50], *flush = NULL;

	dev.reverse = true;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 50; i++) {
			ios[i] = io_now(disk, round % 2 ? BLOCK_READ :
					BLOCK_WRITE, i * 16, 16);
			if (i == 10) {
				flush = io_now(disk, BLOCK_FLUSH, 0, 0);
			}
		}
		for (unsigned i = 0; i < 50; i++) {
			io_check(disk, ios[i]);
		}
		assert_int_equal(io_wait(disk, flush), 0);
	}
	assert_int_equal(disk->nonsense, 0);
	assert_int_equal(disk->taken, 0);
	assert_int_equal(disk->resets, 0);
}

static void without_queueing(void **state)
{
	struct disk *disk;
	struct io *ios[10];

	dev.identify[76] = 0;
	disk = fake_ready(state);
	assert_int_equal(disk->dev.depth, 1);
	for (unsigned i = 0; i < 10; i++) {
		ios[i] = io_now(disk, i % 2 ? BLOCK_WRITE : BLOCK_READ,
				i * 300, 300);
	}
	for (unsigned i = 0; i < 10; i++) {
		io_check(disk, ios[i]);
	}
	assert_int_equal(dev.commands[0x25], 5);
	dev.short_read = true;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 8)), EIO);
	assert_int_equal(disk->nonsense, 1);
}

static void large_sectors(void **state)
{
	struct disk *disk;

	make(4096);
	disk = fake_ready(state);
	assert_int_equal(disk->dev.sector_size, 4096);
	assert_int_equal(disk->dev.max_sectors, 256);
	io_check(disk, io_now(disk, BLOCK_WRITE, 3, 256));
	io_check(disk, io_now(disk, BLOCK_READ, 2, 256));
}

/* One of many fails: the others are done all the same. */
static void errors_go_up(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *ios[32];

	for (unsigned kept = 0; kept < 2; kept++) {
		dev.keeps_ci = kept;
		dev.error_at = 100;
		for (unsigned i = 0; i < 32; i++) {
			ios[i] = io_now(disk, i % 2 ? BLOCK_READ : BLOCK_WRITE,
					i * 20, 20);
		}
		for (unsigned i = 0; i < 32; i++) {
			if (i == 5) {
				assert_int_equal(io_wait(disk, ios[i]), EIO);
			} else {
				io_check(disk, ios[i]);
			}
		}
		assert_int_equal(disk->errors, kept + 1);
	}
	assert_int_equal(disk->nonsense, 0);
	assert_int_equal(disk->hangs, 0);
	/* It queues again. */
	dev.error_at = -1;
	memset(dev.commands, 0, sizeof(dev.commands));
	io_check(disk, io_now(disk, BLOCK_READ, 0, 8));
	assert_int_equal(dev.commands[0x60], 1);
}

static void hangs_once(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hang_next = 1;
	io_writes(disk, 40);
	assert_int_equal(dev.resets, 2);
	assert_int_equal(disk->hangs, 32);
}

static void hangs_for_good(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hangs = true;
	fake_fails(disk);
	assert_int_equal(ports[2].cmd & 0xc011, 0);
	assert_int_equal(cuts, 0);
}

/* An engine that does not stop may write to memory: not before the controller has
 * lost the bus are its requests ended. */
static void engine_without_end(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *io;

	dev.hangs = dev.engine_stuck = true;
	io = io_now(disk, BLOCK_READ, 0, 1);
	while (cuts == 0) {
		assert_int_equal(io->ended, 0);
		fake_run(disk, 1);
	}
	assert_int_equal(io_wait(disk, io), EIO);
	assert_int_equal(disk->state, DISK_FAILED);
}

static void pulled_out(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hangs = true;
	dev.sector_size = 0;
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 1)), EIO);
	assert_string_equal(disk->why, "nothing is there");
}

static void another_after_a_reset(void **state)
{
	struct disk *disk = fake_ready(state);

	dev.hang_next = 1;
	set_text(dev.identify + 10, "S10", 10);
	assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 8)), EIO);
	assert_string_equal(disk->why, "it is another disk than before");
}

/* The firmware's driver is asked to leave. */
static void hand_off(void **state)
{
	dev.cap2 = dev.bohc = 1;
	dev.bohc_delay = 500;
	fake_ready(state);
	assert_int_equal(dev.bohc, 2);
	dev.bohc = 1;
	dev.bohc_delay = 0;
	fake_refuses(*state, "it does not answer");
}

/* Bits of slots that have nothing, and errors without a cause. */
static void nonsense(void **state)
{
	struct disk *disk = fake_ready(state);
	struct io *io;

	dev.hangs = true;
	io = io_now(disk, BLOCK_READ, 0, 8);
	cause(&ports[2], 0x0fffff00);
	ports[2].is = 8;
	ahci_interrupt(ahci);
	dev.is = 0xffffffff;
	ahci_interrupt(ahci);
	fake_run(disk, 200);
	assert_int_equal(io->ended, 0);
	cause(&ports[2], 1u << 29);
	fake_run(disk, 1);
	assert_int_equal(disk->state, DISK_STARTING);
	dev.hangs = false;
	io_check(disk, io);
	assert_int_equal(dev.is, 0);
}

static void not_a_disk(void **state)
{
	ports[2].sig = 0xeb140101;
	fake_start(*state);
	assert_true(((struct disk *)*state)->absent);
}

/* A device that is quite mad reaches nothing, and holds up nobody. */
static void chaotic(void **state)
{
	fake_chaotic(fake_ready(state));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_what_it_is), TEST(how_worn), TEST(wear_unknown),
		TEST(no_such_log), TEST(log_without_end), TEST(no_wear),
		TEST(reads_and_writes),
		TEST(many_in_any_order), TEST(without_queueing),
		TEST(large_sectors), TEST(errors_go_up), TEST(hangs_once),
		TEST(hangs_for_good), TEST(engine_without_end),
		TEST(pulled_out), TEST(another_after_a_reset),
		TEST(hand_off), TEST(nonsense), TEST(not_a_disk),
		TEST(chaotic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
