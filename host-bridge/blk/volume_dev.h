/* SPDX-License-Identifier: MIT */
/*
 * Room blk: block devices. Who uses blocks asks for them here and does not know
 * what they lie on. Trusts the device to give back what was written; what the
 * blocks mean is their user's to check. May include rt, loop and dev.
 *
 * The block device under a volume: blocks that are reached through memory, be it
 * all of the device (as in volume_mem.c) or a cache before a disk. How long they
 * are the file system says: its user asks for that first.
 *
 * A pointer stays good until its block is discarded; before a disk, until the
 * function of the volume that asked for it has returned, unless it is pinned.
 */
#ifndef ISTHMUS_VOLUME_DEV_H
#define ISTHMUS_VOLUME_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VOLUME_BLOCK_MAX	4096u	/* bytes; and 1024 at least */

struct volume_dev;

struct volume_dev_ops {
	/* The block for reading. NULL: it is on its way (dev->absent), or
	 * cannot be read (EIO); neither for one that was poked or changed
	 * since the last flush, or that this function has had already. */
	const uint8_t *(*peek)(struct volume_dev *dev, uint64_t block);
	/* The block for writing; whole: all of it will be overwritten, so
	 * what it holds need not be fetched. NULL: on its way (dev->absent),
	 * no memory (dev->full), or EIO; none of them for a block that was
	 * poked or changed since the last flush. */
	uint8_t *(*poke)(struct volume_dev *dev, uint64_t block, bool whole);
	/* As poke, for what is the file system's own: a journal keeps it whole
	 * over a power cut. */
	uint8_t *(*change)(struct volume_dev *dev, uint64_t block, bool whole);
	/* These will be wanted: those that are not there are fetched, as far as
	 * there is memory. NULL: all are there. */
	void (*ahead)(struct volume_dev *dev, uint64_t block, uint64_t count);
	/* The blocks' content is of no more use; they read as zeros or as
	 * before. */
	void (*discard)(struct volume_dev *dev, uint64_t block,
			uint64_t count);
	/* Blocks are 1 << shift bytes from now on (10, 11 or 12); nothing was
	 * poked yet. 0, or an errno value. */
	int (*set_block)(struct volume_dev *dev, uint32_t shift);
	/* Somebody waits for the running transaction to be on the disk. NULL:
	 * there are none. */
	void (*commit)(struct volume_dev *dev);
	/* The blocks are free, on the disk too: it may forget what they hold. Until
	 * dev->trimmed is what this returns, nobody may use them. 0: it will not.
	 * Only where dev->trim_least is not 0. */
	uint64_t (*trim)(struct volume_dev *dev, uint64_t block,
			 uint32_t count);
	/* Blocks never written, or discarded, for which there is room yet.
	 * NULL: for all. */
	uint64_t (*room)(struct volume_dev *dev);
	/* Makes all written blocks lasting; 0 or an errno value. NULL: the
	 * device lives no longer than we do. */
	int (*flush)(struct volume_dev *dev);
	void (*close)(struct volume_dev *dev);
};

struct volume_dev {
	const struct volume_dev_ops *ops;
	uint64_t blocks;		/* whole ones, of block_size bytes */
	uint32_t block_size, block_shift;
	/* Transactions of a journal: what is changed now belongs to running,
	 * all up to lasting are on the disk. Without a journal both stay 0. */
	uint64_t running, lasting;
	uint32_t transaction;		/* the running one's number in the log */
	bool orphans_stay;		/* somebody will say which are his */
	/* Blocks changed by the running one; how many of them there should be where
	 * a function ends, with those still to be changed by a flush (0: any). */
	uint32_t changed, most;
	uint64_t trimmed;		/* by that many calls of trim() */
	uint32_t trim_least;		/* blocks that are worth one; 0: none */
	bool read_only;
	bool instant;			/* no block is ever absent */
	/* Of the last peek, poke or change that gave NULL. */
	bool full;			/* it found no memory */
	bool absent;			/* the block is being read: try again */
};

int volume_mem_open(void *image, size_t size, struct volume_dev **out);
/* From now on at most that many bytes for blocks that the image does not have. */
void volume_mem_limit(struct volume_dev *dev, size_t bytes);

#endif
