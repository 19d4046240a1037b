/* SPDX-License-Identifier: MIT */
/* See disk_fixture.h. */
#include "disk_fixture.h"

uint8_t medium[MEDIUM_BYTES];
bool (*fake_device)(void);

void fake_fill(void)
{
	for (uint32_t i = 0; i < MEDIUM_BYTES; i++) {
		medium[i] = fake_filled(i);
	}
}

uint8_t fake_filled(uint32_t at)
{
	return (uint8_t)(at * 13 + at / 509);
}

void fake_run(struct disk *disk, unsigned ms)
{
	while (ms-- > 0) {
		fake_tick();
		if (fake_device()) {
			disk_interrupt(disk);
		}
		block_run(&disk->dev);
	}
}

void fake_start(struct disk *disk)
{
	disk_start(disk);
	for (unsigned i = 0; disk->state == DISK_STARTING ||
	     disk->state == DISK_STOPPING; i++) {
		assert_true(i < 200000);
		fake_run(disk, 1);
	}
	fake_open(disk);
}

void fake_open(struct disk *disk)
{
	if (disk->state == DISK_READY && !disk->dev.queue_end) {
		block_init(&disk->dev);
		block_open_write(&disk->dev);
	}
}

struct disk *fake_ready(void **state)
{
	struct disk *disk = *state;

	fake_start(disk);
	assert_int_equal(disk->state, DISK_READY);
	return disk;
}

void fake_refuses(struct disk *disk, const char *why)
{
	disk->why = NULL;
	fake_start(disk);
	assert_int_equal(disk->state, DISK_FAILED);
	assert_string_equal(disk->why, why);
}

void fake_fails(struct disk *disk)
{
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(io_wait(disk, io_now(disk, BLOCK_READ, 0, 8)),
				 EIO);
		assert_int_equal(disk->state, DISK_FAILED);
	}
}

static void on_done(struct block_req *req)
{
	struct io *io = (struct io *)req;

	io->ended++;
}

struct io *io_new(struct disk *disk, enum block_op op, uint64_t sector,
		  uint32_t sectors, uint32_t piece, uint32_t gap)
{
	static uint32_t seed;
	struct io *io = calloc(1, sizeof(*io));
	uint32_t bytes = sectors * disk->dev.sector_size;

	assert_non_null(io);
	io->req = (struct block_req) {
		.op = op, .sector = sector, .sectors = sectors,
		.segs = io->segs, .done = on_done, .error = -1,
	};
	if (op > BLOCK_WRITE) {
		io->req.seg_count = 64;		/* nobody may look at them */
		return io;
	}
	io->data = dma_alloc((bytes / piece + 1) * (piece + gap), 4096);
	for (uint32_t at = 0; at < bytes; at += piece) {
		uint8_t *data = io->data + at / piece * (piece + gap);
		uint32_t len = bytes - at < piece ? bytes - at : piece;

		for (uint32_t i = 0; i < len; i++) {
			seed = seed * 1103515245 + 12345;
			data[i] = (uint8_t)(seed >> 16);
		}
		assert_true(io->req.seg_count < 64);
		io->segs[io->req.seg_count++] = (struct block_seg) { data, len };
	}
	return io;
}

void io_submit(struct disk *disk, struct io *io)
{
	block_submit(&disk->dev, &io->req);
	assert_int_equal(io->ended, 0);		/* never from within */
}

struct io *io_now(struct disk *disk, enum block_op op, uint64_t sector,
		  uint32_t sectors)
{
	struct io *io = io_new(disk, op, sector, sectors,
			       sectors * disk->dev.sector_size + 1, 0);

	io_submit(disk, io);
	return io;
}

static void run_to_end(struct disk *disk, struct io *io)
{
	for (unsigned i = 0; !io->ended; i++) {
		assert_true(i < 200000);
		fake_run(disk, 1);
	}
	assert_int_equal(io->ended, 1);
}

int io_wait(struct disk *disk, struct io *io)
{
	int error;

	run_to_end(disk, io);
	error = io->req.error;
	io_free(io);
	return error;
}

void io_check(struct disk *disk, struct io *io)
{
	io_check_at(disk, io, 0);
}

void io_check_at(struct disk *disk, struct io *io, uint32_t base)
{
	run_to_end(disk, io);
	assert_int_equal(io->req.error, 0);
	io->req.sector += base / disk->dev.sector_size;
	assert_true(io_is_medium(disk, io));
	io_free(io);
}

void io_do(struct disk *disk, enum block_op op, uint64_t sector,
	   uint32_t sectors, uint32_t piece, uint32_t gap)
{
	struct io *io = io_new(disk, op, sector, sectors, piece, gap);

	io_submit(disk, io);
	io_check(disk, io);
}

void io_writes(struct disk *disk, unsigned count)
{
	struct io *ios[100];

	assert_true(count <= 100);
	for (unsigned i = 0; i < count; i++) {
		ios[i] = io_now(disk, BLOCK_WRITE, i * 8, 8);
	}
	for (unsigned i = 0; i < count; i++) {
		io_check(disk, ios[i]);
	}
}

void io_rounds(struct disk *disk, unsigned count)
{
	struct io *ios[100];

	assert_true(count <= 100);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < count; i++) {
			ios[i] = io_now(disk, round % 2 ? BLOCK_READ :
					BLOCK_WRITE, i * 16, 16);
		}
		fake_run(disk, 1);
		for (unsigned i = 0; i < count; i++) {
			assert_true(ios[i]->ended || i >= disk->dev.depth);
			io_check(disk, ios[i]);
		}
	}
	assert_int_equal(disk->nonsense, 0);
	assert_int_equal(disk->taken, 0);
}

bool io_is_medium(struct disk *disk, const struct io *io)
{
	const uint8_t *at = medium + io->req.sector * disk->dev.sector_size;

	for (unsigned i = 0; i < io->req.seg_count; i++) {
		if (memcmp(at, io->segs[i].data, io->segs[i].len) != 0) {
			return false;
		}
		at += io->segs[i].len;
	}
	return true;
}

void io_free(struct io *io)
{
	dma_free(io->data, 0);
	free(io);
}

void fake_chaos(struct disk *disk, unsigned rounds)
{
	struct io *ios[40] = { NULL };
	bool (*device)(void) = fake_device;

	chaos = true;
	fake_device = chaos_step;
	for (unsigned round = 0; round < rounds; round++) {
		struct io **io = &ios[rand() % 40];

		if (*io && (*io)->ended) {
			assert_int_equal((*io)->ended, 1);
			io_free(*io);
			*io = NULL;
		}
		if (!*io) {
			*io = io_now(disk, (enum block_op)(rand() % 5),
				     (unsigned)rand() % 500,
				     (unsigned)rand() % 32 + 1);
		}
		fake_run(disk, rand() % 100 ? 3 : 3000);
	}
	for (unsigned i = 0; i < 40; i++) {
		if (ios[i]) {
			(void)io_wait(disk, ios[i]);
		}
	}
	chaos = false;
	fake_device = device;
}

void fake_chaotic(struct disk *disk)
{
	for (unsigned seed = 1; seed < 30; seed++) {
		srand(seed);
		fake_chaos(disk, 300);
		fake_start(disk);
		assert_int_equal(disk->state, DISK_READY);
	}
}

void fake_over(void)
{
	fake_none();
}
