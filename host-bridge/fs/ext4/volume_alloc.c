/* SPDX-License-Identifier: MIT */
/*
 * Free blocks: found in libext2fs' bitmap, from a goal on and then from the
 * start, and taken in runs. Counts of groups and superblock follow by
 * themselves, in ext2fs_block_alloc_stats_range(). Nothing is reserved for
 * root.
 *
 * Blocks that hold the file system's own tables are marked in the bitmap like
 * any others, also in groups that were never used (the library does that when
 * it reads the bitmaps), so they cannot be found here.
 */
#include <errno.h>

#include "host-bridge/fs/ext4/volume_int.h"

/* The first free block in [from, end); false if there is none. */
static bool alloc_search(struct volume *vol, uint64_t from, uint64_t end,
			 uint64_t *found)
{
	blk64_t block;

	if (from >= end ||
	    ext2fs_find_first_zero_block_bitmap2(vol->fs->block_map, from,
						 end - 1, &block) != 0) {
		return false;
	}
	*found = block;
	return true;
}

/**
 * Takes between 1 and want (at least 1) free blocks that lie together, near
 * goal (0: where the last search ended). Their content is undefined: what
 * another file left there is still in them, so each must be overwritten whole
 * before anybody can read it. Returns 0 or ENOSPC.
 */
int volume_alloc(struct volume *vol, uint64_t goal, uint32_t want,
		 uint64_t *first, uint32_t *got)
{
	ext2_filsys fs = vol->fs;
	uint64_t start = fs->super->s_first_data_block;
	uint64_t end = ext2fs_blocks_count(fs->super);
	uint64_t found;
	blk64_t used;

	/* A full volume is not searched again and again. */
	if (ext2fs_free_blocks_count(fs->super) == 0) {
		return ENOSPC;
	}
	if (goal == 0) {
		goal = vol->goal;
	}
	if (goal < start || goal >= end) {
		goal = start;
	}
	if (!alloc_search(vol, goal, end, &found) &&
	    !alloc_search(vol, start, goal, &found)) {
		return ENOSPC;
	}
	if (want > end - found) {
		want = (uint32_t)(end - found);
	}
	/* The run ends at the next block that is in use. */
	if (want > 1 &&
	    ext2fs_find_first_set_block_bitmap2(fs->block_map, found,
						found + want - 1,
						&used) == 0) {
		want = (uint32_t)(used - found);
	}
	ext2fs_block_alloc_stats_range(fs, found, want, +1);
	vol->goal = found + want;
	*first = found;
	*got = want;
	return 0;
}

/**
 * Gives blocks back, which were in use. Their memory on the device is given
 * back too: no pointer into them may be used any more.
 */
void volume_free(struct volume *vol, uint64_t first, uint32_t count)
{
	ext2fs_block_alloc_stats_range(vol->fs, first, count, -1);
	vol->dev->ops->discard(vol->dev, first, count);
	/* What was taken last and is free again is used next. */
	if (first < vol->goal && first + count == vol->goal) {
		vol->goal = first;
	}
}
