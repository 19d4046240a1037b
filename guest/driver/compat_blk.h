/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * isthmus: the part of compat.h that makes a block device.
 */
#ifndef ISTHMUS_COMPAT_BLK_H
#define ISTHMUS_COMPAT_BLK_H

#include <linux/blk-mq.h>

#include "compat.h"

/* What a disk can do. Sizes in bytes. */
struct compat_limits {
	u32 sector, preferred;
	u32 most;		/* of one request with data */
	u32 segments;
	bool flush, fua, trim, zeroes;
};

#define COMPAT_SECTORS_MAX	(1u << 30 >> SECTOR_SHIFT)

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
static inline struct gendisk *compat_blk_alloc(struct blk_mq_tag_set *set,
					       const struct compat_limits *l,
					       void *data)
{
	struct queue_limits limits = {
		.logical_block_size = l->sector,
		.physical_block_size = l->preferred,
		.io_min = l->preferred,
		.max_hw_sectors = l->most >> SECTOR_SHIFT,
		.max_segments = l->segments,
		.features = (l->flush ? BLK_FEAT_WRITE_CACHE : 0) |
			    (l->fua ? BLK_FEAT_FUA : 0),
	};

	if (l->trim) {
		limits.max_hw_discard_sectors = COMPAT_SECTORS_MAX;
		limits.discard_granularity = l->preferred;
	}
	if (l->zeroes) {
		limits.max_write_zeroes_sectors = COMPAT_SECTORS_MAX;
	}
	return blk_mq_alloc_disk(set, &limits, data);
}
#else
static inline struct gendisk *compat_blk_alloc(struct blk_mq_tag_set *set,
					       const struct compat_limits *l,
					       void *data)
{
	struct gendisk *disk = blk_mq_alloc_disk(set, data);
	struct request_queue *q;

	if (IS_ERR(disk)) {
		return disk;
	}
	q = disk->queue;
	blk_queue_logical_block_size(q, l->sector);
	blk_queue_physical_block_size(q, l->preferred);
	blk_queue_io_min(q, l->preferred);
	blk_queue_max_hw_sectors(q, l->most >> SECTOR_SHIFT);
	blk_queue_max_segments(q, l->segments);
	blk_queue_write_cache(q, l->flush, l->fua);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, q);
	if (l->trim) {
		blk_queue_max_discard_sectors(q, COMPAT_SECTORS_MAX);
		q->limits.discard_granularity = l->preferred;
	}
	if (l->zeroes) {
		blk_queue_max_write_zeroes_sectors(q, COMPAT_SECTORS_MAX);
	}
	return disk;
}
#endif

#endif
