/* SPDX-License-Identifier: MIT */
/*
 * For tests: a disk in memory that writes down all that it is asked to do, so
 * that what a power cut at any instant may leave can be made from it. Requests
 * are done when the test says so, in an order by chance.
 *
 * Time counts instants: each write, flush or other change has one when it is
 * submitted and one when it is done. A write lasts once a flush is done that was
 * submitted after the write was done, or when it is done if it was FUA. What does
 * not last yet may be on the disk or not after a cut, each sector by itself; a
 * newer write to a sector is never there with the older one over it.
 */
#ifndef ISTHMUS_FAKE_DISK_H
#define ISTHMUS_FAKE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/blk/block.h"

#define FAKE_DISK_DEPTH		32u

struct fake_write {
	enum block_op op;
	bool fua;
	uint64_t sector;
	uint32_t sectors;
	uint8_t *data;			/* as it was when it was submitted */
	unsigned submitted, done, lasting;	/* instants; 0: not yet */
};

struct fake_disk {
	struct block_dev dev;
	size_t size;
	uint8_t *first, *now;		/* before all writes, after those done */
	struct fake_write *log;
	unsigned count, space;
	unsigned time;
	struct block_req *pending[FAKE_DISK_DEPTH];
	unsigned pending_log[FAKE_DISK_DEPTH];
	unsigned pending_count;
	uint64_t seed;			/* what chance comes from */
	/* Of several one waits for long: 1: any, 2: the flush, or the write
	 * with FUA, that has waited longest. */
	unsigned unfair;
	/* Whether the request ends with EIO; NULL: none does. */
	bool (*fails)(struct fake_disk *disk, const struct block_req *req);
	void *arg;
};

/* A disk with that content, which is copied; features: BLOCK_HAS_*. It may be
 * written to. */
void fake_disk_open(struct fake_disk *disk, const void *image, size_t size,
		    uint32_t sector_size, unsigned features);
void fake_disk_close(struct fake_disk *disk);
/* Ends one request, any, or tells of those that block.c has ended. False: there
 * are none. */
bool fake_disk_step(struct fake_disk *disk);
void fake_disk_settle(struct fake_disk *disk);	/* until there are none */

uint64_t fake_chance(uint64_t *seed);

/* The cuts of one run, in the order of time. */
struct fake_cuts {
	const struct fake_disk *disk;
	uint8_t *lasting;		/* all that lasts at the instant */
	unsigned time;
	unsigned *order, next;		/* the log by lasting */
	unsigned low;			/* all before lasts */
	unsigned *open, open_count;	/* what may be there or not */
};

void fake_cuts_begin(struct fake_cuts *cuts, struct fake_disk *disk);
/* Goes to that instant, not back. */
void fake_cuts_to(struct fake_cuts *cuts, unsigned time);
/* How a cut treats what does not last yet. */
enum fake_cut {
	FAKE_NONE, FAKE_ALL, FAKE_SOME,	/* whole writes */
	FAKE_ALL_BUT_ONE, FAKE_ONLY_ONE,
	FAKE_TORN,			/* sectors */
	FAKE_CUTS
};
/* What a cut now may leave, into image. False: the same as FAKE_NONE's. */
bool fake_cuts_make(const struct fake_cuts *cuts, enum fake_cut how,
		    uint64_t *seed, uint8_t *image);
void fake_cuts_end(struct fake_cuts *cuts);

#endif
