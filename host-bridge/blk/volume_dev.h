/* SPDX-License-Identifier: MIT */
/*
 * Room blk: block devices. Who uses blocks asks for them here and does not know
 * what they lie on. Trusts the device to give back what was written; what the
 * blocks mean is their user's to check. May include rt, loop and dev.
 *
 * The block device under a volume: blocks of VOLUME_BLOCK bytes that are
 * reached through memory, be it all of the device (as here) or a cache before
 * a disk. A pointer stays good until the block is discarded.
 */
#ifndef ISTHMUS_VOLUME_DEV_H
#define ISTHMUS_VOLUME_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VOLUME_BLOCK		4096u
#define VOLUME_BLOCK_SHIFT	12u

struct volume_dev;

struct volume_dev_ops {
	/* The block for reading. NULL: it cannot be read (EIO). */
	const uint8_t *(*peek)(struct volume_dev *dev, uint64_t block);
	/* The block for writing; whole: all of it will be overwritten, so
	 * what it holds need not be fetched. NULL: no memory, or EIO; never
	 * for a block that was poked since the last flush. */
	uint8_t *(*poke)(struct volume_dev *dev, uint64_t block, bool whole);
	/* The blocks' content is of no more use; they read as zeros or as
	 * before. */
	void (*discard)(struct volume_dev *dev, uint64_t block,
			uint64_t count);
	/* Makes all written blocks lasting; 0 or an errno value. NULL: the
	 * device lives no longer than we do. */
	int (*flush)(struct volume_dev *dev);
	void (*close)(struct volume_dev *dev);
};

struct volume_dev {
	const struct volume_dev_ops *ops;
	uint64_t blocks;
	bool read_only;
	bool full;		/* the last poke found no memory */
};

int volume_mem_open(void *image, size_t size, struct volume_dev **out);
/* From now on at most that many bytes for blocks that the image does not have. */
void volume_mem_limit(struct volume_dev *dev, size_t bytes);

#endif
