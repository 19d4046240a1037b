/* SPDX-License-Identifier: MIT */
/*
 * Free blocks and inodes: found in libext2fs' bitmaps, blocks from a goal on
 * and then from the start, and taken in runs. The counts of groups and of the
 * superblock are kept here; the checksums of both the library sets when it
 * writes the bitmaps, once instead of at every change. Nothing is reserved for
 * root.
 *
 * Blocks that hold the file system's own tables are marked in the bitmap like
 * any others, also in groups that were never used (the library does that when
 * it reads the bitmaps), so they cannot be found here.
 */
#include <errno.h>

#include "host-bridge/fs/ext4/volume_int.h"

/**
 * Marks blocks as used or free in bitmap and counts, group by group. They were
 * the other before.
 */
void volume_count_blocks(struct volume *vol, uint64_t first, uint32_t count,
			 bool used)
{
	ext2_filsys fs = vol->fs;

	if (used) {
		ext2fs_mark_block_bitmap_range2(fs->block_map, first, count);
	} else {
		ext2fs_unmark_block_bitmap_range2(fs->block_map, first, count);
	}
	ext2fs_free_blocks_count_add(fs->super, used ? -(blk64_t)count
						     : count);
	while (count > 0) {
		dgrp_t group = ext2fs_group_of_blk2(fs, first);
		uint64_t n = ext2fs_group_last_block2(fs, group) - first + 1;
		uint32_t left = ext2fs_bg_free_blocks_count(fs, group);

		n = n < count ? n : count;
		ext2fs_bg_free_blocks_count_set(fs, group, used
						? left - (uint32_t)n
						: left + (uint32_t)n);
		ext2fs_bg_flags_clear(fs, group, EXT2_BG_BLOCK_UNINIT);
		first += n;
		count -= (uint32_t)n;
	}
	ext2fs_mark_super_dirty(fs);
	ext2fs_mark_bb_dirty(fs);
}

/**
 * Marks an inode as used or free in bitmap and counts; it was the other before.
 * Where a group counts the inodes at its table's end that were never used, it
 * has one of them less. [Linux "Documentation/filesystems/ext4/group_descr.rst"]
 */
void volume_count_inode(struct volume *vol, uint32_t ino, bool dir, bool used)
{
	ext2_filsys fs = vol->fs;
	uint32_t per_group = fs->super->s_inodes_per_group;
	dgrp_t group = (ino - 1) / per_group;
	uint32_t behind = per_group - 1 - (ino - 1) % per_group;
	int change = used ? 1 : -1;

	if (used) {
		ext2fs_mark_inode_bitmap2(fs->inode_map, ino);
	} else {
		ext2fs_unmark_inode_bitmap2(fs->inode_map, ino);
		if (ino >= vol->inode_from && ino < vol->inode_next) {
			vol->inode_next = ino;
		}
	}
	ext2fs_bg_free_inodes_count_set(
		fs, group, (uint32_t)((int)ext2fs_bg_free_inodes_count(
					fs, group) - change));
	if (dir) {
		ext2fs_bg_used_dirs_count_set(
			fs, group, (uint32_t)((int)ext2fs_bg_used_dirs_count(
						fs, group) + change));
	}
	ext2fs_bg_flags_clear(fs, group, EXT2_BG_INODE_UNINIT);
	if (ext2fs_has_group_desc_csum(fs) &&
	    ext2fs_bg_itable_unused(fs, group) > behind) {
		ext2fs_bg_itable_unused_set(fs, group, behind);
	}
	fs->super->s_free_inodes_count -= (uint32_t)change;
	ext2fs_mark_super_dirty(fs);
	ext2fs_mark_ib_dirty(fs);
}

/**
 * Takes a free inode: in the group of dir, or after it, or anywhere. Searches go
 * on where the last one of that group ended, or where one was freed since.
 * Returns 0 or ENOSPC.
 */
int volume_alloc_inode(struct volume *vol, uint32_t dir, bool is_dir,
		       uint32_t *ino)
{
	const struct ext2_super_block *sb = vol->fs->super;
	uint32_t first = EXT2_FIRST_INO(sb), last = sb->s_inodes_count;
	uint32_t from = dir - (dir - 1) % sb->s_inodes_per_group;
	ext2_ino_t found;

	from = from < first ? first : from;
	if (from != vol->inode_from) {
		vol->inode_from = vol->inode_next = from;
	}
	if (vol->inode_next <= last &&
	    ext2fs_find_first_zero_inode_bitmap2(vol->fs->inode_map,
						 vol->inode_next, last,
						 &found) == 0) {
		vol->inode_next = found + 1;
	} else {
		vol->inode_next = last + 1;
		if (from <= first || ext2fs_find_first_zero_inode_bitmap2(
			vol->fs->inode_map, first, from - 1, &found) != 0) {
			return ENOSPC;
		}
	}
	volume_count_inode(vol, found, is_dir, true);
	*ino = found;
	return 0;
}

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
	volume_count_blocks(vol, found, want, true);
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
	volume_count_blocks(vol, first, count, false);
	vol->dev->ops->discard(vol->dev, first, count);
	/* What was taken last and is free again is used next. */
	if (first < vol->goal && first + count == vol->goal) {
		vol->goal = first;
	}
}
