/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the disk drivers share: requests with data, and a medium.
 */
#ifndef DISK_FIXTURE_H
#define DISK_FIXTURE_H

#include "drivers/disk.h"
#include "fake/device.h"

#define MEDIUM_BYTES	(4u << 20)

/* A request of a test, and what became of it. */
struct io {
	struct block_req req;
	struct block_seg segs[64];
	uint8_t *data;			/* all of it, in one piece */
	unsigned ended;			/* how often */
};

extern uint8_t medium[MEDIUM_BYTES];

/* The medium has something else at each place, which this is. */
void fake_fill(void);
uint8_t fake_filled(uint32_t at);
/* The device: looked at in each millisecond of fake_run(). True: it has raised
 * its interrupt. */
extern bool (*fake_device)(void);
/* Time goes by. */
void fake_run(struct disk *disk, unsigned ms);
/* Until the disk is ready or has failed. */
void fake_start(struct disk *disk);
/* One that is ready may be written to from now on. */
void fake_open(struct disk *disk);
/* Of a test whose state is its disk: started, and ready. */
struct disk *fake_ready(void **state);
/* Its start fails, and says so. */
void fake_refuses(struct disk *disk, const char *why);
/* A request ends with an error, the disk has failed, and the next one ends, too. */
void fake_fails(struct disk *disk);

/* A request in pieces of "piece" bytes, which lie "gap" apart; writes have data
 * of their own. It is not yet submitted. */
struct io *io_new(struct disk *disk, enum block_op op, uint64_t sector,
		  uint32_t sectors, uint32_t piece, uint32_t gap);
void io_submit(struct disk *disk, struct io *io);
/* In one piece, submitted. */
struct io *io_now(struct disk *disk, enum block_op op, uint64_t sector,
		  uint32_t sectors);
/* Runs until it has ended; its error. It is freed. */
int io_wait(struct disk *disk, struct io *io);
/* Likewise, but it must end well, and its data be what the medium has there. */
void io_check(struct disk *disk, struct io *io);
/* Of a disk whose first sector is there in the medium. */
void io_check_at(struct disk *disk, struct io *io, uint32_t base);
/* io_new(), submitted and checked. */
void io_do(struct disk *disk, enum block_op op, uint64_t sector,
	   uint32_t sectors, uint32_t piece, uint32_t gap);
/* So many writes of 8 sectors at once, all checked. */
void io_writes(struct disk *disk, unsigned count);
/* Rounds of so many at once; as many as the disk takes end in the first ms, in
 * whatever order. */
void io_rounds(struct disk *disk, unsigned count);
bool io_is_medium(struct disk *disk, const struct io *io);
void io_free(struct io *io);
/* From now on the device's registers read as anything, and it writes anything to
 * any memory that the driver has set aside; requests go on for so many rounds.
 * Each ends, once. The device is of no more use. */
void fake_chaos(struct disk *disk, unsigned rounds);
/* The test that it reaches nothing, and holds up nobody. */
void fake_chaotic(struct disk *disk);
/* After a test: no request left over, no memory. */
void fake_over(void);

#endif
