/* SPDX-License-Identifier: MIT */
/*
 * Block devices: disks, and parts of them. Who wants something of one hands a
 * request in and is told when it is done; many may be under way, and they are
 * done in any order. A driver stands behind each disk; block.c stands before it
 * and lets through only what may be: no write to what was not opened for
 * writing, nothing beyond the end, no more at a time than the driver takes.
 */
#ifndef ISTHMUS_BLOCK_H
#define ISTHMUS_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/rt/latency.h"

enum block_op {
	BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_ZERO,
};

/* Of a write: it is lasting before it is done. */
#define BLOCK_FUA		1u

/* What a device has. Without BLOCK_HAS_FLUSH it keeps no written data in a
 * cache that a power cut takes. */
#define BLOCK_HAS_FLUSH		1u
#define BLOCK_HAS_FUA		2u
#define BLOCK_HAS_DISCARD	4u
#define BLOCK_HAS_ZERO		8u
#define BLOCK_READ_ONLY		16u
#define BLOCK_ROTATIONAL	32u

/* In memory that devices reach; a multiple of the device's sector_size. */
struct block_seg {
	void *data;
	uint32_t len;
};

/* All of it is its owner's until block_submit(), and again from done() on. The
 * data of a write must not change between, if it matters what is written. */
struct block_req {
	enum block_op op;
	unsigned flags;			/* BLOCK_FUA */
	uint64_t sector;		/* of the device's sector_size */
	uint32_t sectors;		/* FLUSH: none */
	const struct block_seg *segs;	/* READ, WRITE: sectors in all */
	unsigned seg_count;
	/* From the loop, never from within block_submit(). */
	void (*done)(struct block_req *req);
	/* 0; EIO (media, hang, gone), ENOTSUP, EROFS, EINVAL. */
	int error;

	struct block_req *next;		/* whoever has it queues it by this */
	uint64_t deadline;		/* the driver's */
	void *priv;			/* the driver's */
	struct block_dev *dev;		/* block.c's: whom it was handed to */
	bool flushing;			/* block.c's: FUA's second half */
	uint64_t begun;			/* block.c's: TSC, of FLUSH and FUA */
};

struct block_ops {
	/* Begins it. It is whole, within the disk and within the limits. The
	 * driver tells block_done() once, be it at once. A FLUSH makes lasting
	 * all writes that were done before it was submitted. */
	void (*submit)(struct block_dev *dev, struct block_req *req);
};

struct block_stats {
	uint64_t reads, writes, flushes, discards;	/* requests done */
	uint64_t sectors_read, sectors_written;
	uint64_t errors;
	uint64_t refused;		/* never reached the driver */
};

struct block_dev {
	/* The driver's to fill in. */
	const struct block_ops *ops;
	char name[16], model[48], serial[24];
	uint32_t sector_size;		/* 512 or 4096 */
	uint64_t sectors;
	unsigned features;		/* BLOCK_HAS_* and the like */
	uint32_t max_sectors, max_segs;	/* of one request */
	uint32_t depth;			/* requests at a time, at least 1 */

	/* block.c's. */
	struct block_dev *disk;		/* whose part it is; NULL: a disk */
	uint64_t first;			/* where the part begins there */
	bool writable;			/* block_open_write() */
	const char *user;		/* who has it for himself: disks_claim() */
	struct block_req *queue, **queue_end;	/* beyond depth */
	struct block_req *finished, **finished_end;
	uint32_t in_flight;		/* with the driver */
	bool submitting;		/* the driver's submit() is running */
	struct block_stats stats;
	/* Of a disk, not of a part: how long FLUSH and FUA have taken, from
	 * block_submit() on; who wants to know sets it. NULL: nobody. */
	struct latency *lasting;
};

void block_init(struct block_dev *dev);
void block_part(struct block_dev *part, struct block_dev *disk,
		uint64_t first, uint64_t sectors);
void block_open_write(struct block_dev *dev);
void block_submit(struct block_dev *dev, struct block_req *req);
void block_on_finished(void (*fn)(void));
bool block_due(const struct block_dev *disk);
void block_run(struct block_dev *disk);

/* For drivers. */
void block_done(struct block_dev *disk, struct block_req *req, int error);

#endif
