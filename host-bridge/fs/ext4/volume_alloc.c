/* SPDX-License-Identifier: MIT */
/*
 * Free blocks and inodes: found in the groups' bitmaps, blocks from a goal on
 * and then from the start, and taken in runs. Groups that have none are passed
 * over by their counts, so that their bitmaps are not read. Nothing is reserved
 * for root.
 *
 * Blocks that hold the file system's own tables are marked in the bitmaps like
 * any others, so they cannot be found here.
 */
#include <string.h>

#include "host-bridge/fs/ext4/volume_group.h"

/* The first bit in [from, end) that is set, or that is not; end if there is
 * none. The bitmap has whole words, aligned to 4 bytes only. */
static uint32_t find_bit(const uint8_t *map, uint32_t from, uint32_t end,
			 bool set)
{
	uint64_t skip = ~0ull << from % 64;

	for (uint32_t at = from & ~63u; at < end; at += 64, skip = ~0ull) {
		uint64_t word;

		memcpy(&word, map + at / 8, sizeof(word));
		word = (set ? word : ~word) & skip;
		if (word != 0) {
			at += (uint32_t)__builtin_ctzll(word);
			return at < end ? at : end;
		}
	}
	return end;
}

/* The first block of a group. */
static uint64_t group_begin(const struct volume *vol, uint32_t group)
{
	return vol->fs->super->s_first_data_block +
	       (uint64_t)group * vol->group_blocks;
}

/* Marks free blocks of a group as used, in the bitmap and all counts. */
static void take_blocks(struct volume *vol, uint32_t group, uint8_t *map,
			uint32_t bit, uint32_t count)
{
	uint32_t left = group_free_blocks(vol, group) - count;

	for (uint32_t i = bit; i < bit + count; i++) {
		map[i / 8] |= (uint8_t)(1u << i % 8);
	}
	group_free_blocks_set(vol, group, left);
	ext2fs_free_blocks_count_add(vol->fs->super, -(blk64_t)count);
	ext2fs_mark_super_dirty(vol->fs);
}

/* Takes up to *count blocks of a group, from bit on. Returns 0 and which, ENOSPC
 * when it has none there, EAGAIN or EIO. */
static int alloc_in(struct volume *vol, uint32_t group, uint32_t bit,
		    uint64_t *block, uint32_t *count)
{
	uint64_t begin = group_begin(vol, group);
	uint32_t size = group_size(vol, group), end, want = *count;
	uint8_t *map;
	bool sure;
	int error;

	if (group_free_blocks(vol, group) == 0) {
		return ENOSPC;
	}
	/* What waits for a transaction is not taken: it is looked at first, so
	 * that the bitmaps of all groups on the way need not change. */
	sure = vol->waiting.count == 0 && vol->waiting_all == 0;
	error = group_map(vol, group, true, sure, &map);
	if (error != 0) {
		return error == EUCLEAN ? ENOSPC : error;
	}
	for (;;) {
		bit = find_bit(map, bit, size, false);
		if (bit == size) {
			return ENOSPC;
		}
		end = want < size - bit ? bit + want : size;
		*count = find_bit(map, bit, end, true) - bit;
		*block = begin + bit;
		end = bit + *count;
		if (free_usable(vol, block, count)) {
			break;
		}
		bit = end;
	}
	error = sure ? 0 : group_map(vol, group, true, true, &map);
	if (error != 0) {
		return error;
	}
	take_blocks(vol, group, map, (uint32_t)(*block - begin), *count);
	return 0;
}

/* Looks through all groups, beginning at a goal and ending before it. */
static int alloc_search(struct volume *vol, uint64_t goal, uint64_t *block,
			uint32_t *count)
{
	uint32_t want = *count, groups = vol->fs->group_desc_count;
	uint32_t bit, group;

	goal -= vol->fs->super->s_first_data_block;
	group = (uint32_t)(goal / vol->group_blocks);
	bit = (uint32_t)(goal % vol->group_blocks);
	for (uint32_t n = 0; n <= groups; n++) {
		int error;

		*count = want;
		error = alloc_in(vol, group, bit, block, count);
		if (error != ENOSPC) {
			return error;
		}
		bit = 0;
		group = group + 1 < groups ? group + 1 : 0;
	}
	return ENOSPC;
}

/**
 * Takes between 1 and want (at least 1) free blocks that lie together, near
 * goal (0: where the last search ended). Their content is undefined: what
 * another file left there is still in them, so each must be overwritten whole
 * before anybody can read it. Returns 0, ENOSPC, EAGAIN or EIO.
 */
int volume_alloc(struct volume *vol, uint64_t goal, uint32_t want,
		 uint64_t *first, uint32_t *got)
{
	struct ext2_super_block *sb = vol->fs->super;
	int error;

	/* A full volume is not searched again and again. */
	if (ext2fs_free_blocks_count(sb) == 0) {
		return ENOSPC;
	}
	if (goal == 0) {
		goal = vol->goal;
	}
	if (goal < sb->s_first_data_block ||
	    goal >= ext2fs_blocks_count(sb)) {
		goal = sb->s_first_data_block;
	}
	do {
		*got = want;
		error = alloc_search(vol, goal, first, got);
	} while (error == ENOSPC && (error = free_soon(vol)) == 0);
	if (error == 0) {
		vol->goal = *first + *got;
	}
	return error;
}

/* Whether the search for blocks in a group, from bit on, finds as many in a row, so
 * that no other group is looked at. */
static bool alloc_here(struct volume *vol, uint32_t group, uint32_t bit,
		       uint64_t count, const uint8_t *map)
{
	uint32_t size = group_size(vol, group), want = (uint32_t)count;
	uint64_t block, first;

	bit = find_bit(map, bit, size, false);
	if (count > size - bit ||
	    find_bit(map, bit, bit + want, true) - bit != want) {
		return false;
	}
	block = first = group_begin(vol, group) + bit;
	return free_usable(vol, &block, &want) && block == first &&
	       want == count;
}

/**
 * Has the bitmaps read that count blocks will be taken from, near goal as
 * volume_alloc() has it, so that taking them need not wait. Returns 0 or EAGAIN:
 * all else is found out by who takes them.
 */
int alloc_ready(struct volume *vol, uint64_t goal, uint64_t count)
{
	uint32_t groups = vol->fs->group_desc_count, group, bit;
	uint64_t start = vol->fs->super->s_first_data_block, found = 0;
	bool again = false;
	uint8_t *map;

	if (vol->dev->instant) {
		return 0;
	}
	/* It begins only when it will not have to wait for them half way. */
	if ((vol->freed.count > 0 || vol->waiting.count > 0) &&
	    count + free_pending(vol) >
	    ext2fs_free_blocks_count(vol->fs->super) &&
	    free_soon(vol) == EAGAIN) {
		return EAGAIN;
	}
	goal = goal == 0 ? vol->goal : goal;
	if (goal < start || goal >= ext2fs_blocks_count(vol->fs->super)) {
		goal = start;
	}
	group = (uint32_t)((goal - start) / vol->group_blocks);
	bit = (uint32_t)((goal - start) % vol->group_blocks);
	/* Of the first what is free may lie before the goal. */
	for (uint32_t n = 0; n <= groups && found < count; n++) {
		uint32_t left = group_free_blocks(vol, group);
		int error = left > 0 ? group_map(vol, group, true, false, &map)
				     : ENOSPC;

		if (n == 0 && error == 0 &&
		    alloc_here(vol, group, bit, count, map)) {
			break;
		}
		again |= error == EAGAIN;
		found += n > 0 ? left : 0;
		group = group + 1 < groups ? group + 1 : 0;
	}
	return again ? EAGAIN : 0;
}

/* Marks a free inode as used, in the bitmap and all counts. Where a group counts
 * the inodes at its table's end that were never used, it has fewer of them;
 * fresh: nor was any in this one's block of the table.
 * [Linux "Documentation/filesystems/ext4/group_descr.rst"] */
static void take_inode(struct volume *vol, uint32_t group, uint8_t *map,
		       uint32_t bit, bool dir, bool *fresh)
{
	uint32_t left = group_free_inodes(vol, group) - 1;
	uint32_t behind = vol->group_inodes - 1 - bit;
	uint32_t in_block = vol->block_size / VOLUME_INODE_SIZE;
	ext2_filsys fs = vol->fs;

	map[bit / 8] |= (uint8_t)(1u << bit % 8);
	group_free_inodes_set(vol, group, left);
	if (dir) {
		group_dirs_set(vol, group, group_dirs(vol, group) + 1);
	}
	*fresh = false;
	if (vol->uninit && group_unused(vol, group) > behind) {
		uint32_t unused = group_unused(vol, group);

		*fresh = bit - bit % in_block >= vol->group_inodes - unused;
		group_unused_set(vol, group, behind);
	}
	fs->super->s_free_inodes_count--;
	ext2fs_mark_super_dirty(fs);
}

/* Takes an inode of a group, from bit on. Returns as alloc_in(). */
static int alloc_inode_in(struct volume *vol, uint32_t group, uint32_t bit,
			  bool is_dir, uint32_t *ino, bool *fresh)
{
	uint32_t size = vol->group_inodes;
	uint8_t *map;
	int error;

	if (group_free_inodes(vol, group) == 0) {
		return ENOSPC;
	}
	error = group_map(vol, group, false, true, &map);
	if (error != 0) {
		return error == EUCLEAN ? ENOSPC : error;
	}
	bit = find_bit(map, bit, size, false);
	if (bit == size) {
		return ENOSPC;
	}
	take_inode(vol, group, map, bit, is_dir, fresh);
	*ino = group * size + bit + 1;
	return 0;
}

/* Where the search for an inode of a new file in dir begins: *from is its group's,
 * see volume.inode_from. */
static uint32_t inode_search(const struct volume *vol, uint32_t dir,
			     uint32_t *from)
{
	uint32_t first = EXT2_FIRST_INO(vol->fs->super);

	*from = dir - (dir - 1) % vol->group_inodes;
	*from = *from < first ? first : *from;
	return *from == vol->inode_from ? vol->inode_next : *from;
}

/**
 * Takes a free inode: in the group of dir, or after it, or anywhere. Searches go
 * on where the last one of that group ended, or where one was freed since.
 * fresh: see inode_ready(). Returns 0, ENOSPC, EAGAIN or EIO.
 */
int volume_alloc_inode(struct volume *vol, uint32_t dir, bool is_dir,
		       uint32_t *ino, bool *fresh)
{
	const struct ext2_super_block *sb = vol->fs->super;
	uint32_t first = EXT2_FIRST_INO(sb), groups = vol->fs->group_desc_count;
	uint32_t from, group, bit;

	vol->inode_next = inode_search(vol, dir, &from);
	vol->inode_from = from;
	if (sb->s_free_inodes_count == 0) {
		return ENOSPC;
	}
	group = (vol->inode_next - 1) / vol->group_inodes;
	bit = (vol->inode_next - 1) % vol->group_inodes;
	for (uint32_t n = 0; n <= groups; n++) {
		int error;

		/* Before that are the file system's own. */
		if (group >= groups) {
			group = 0;
			bit = first - 1;
		}
		error = alloc_inode_in(vol, group, bit, is_dir, ino, fresh);
		if (error == 0 && *ino >= vol->inode_next) {
			vol->inode_next = *ino + 1;
		}
		if (error != ENOSPC) {
			return error;
		}
		bit = 0;
		group++;
	}
	return ENOSPC;
}

/**
 * The same for an inode of a new file in dir, and its place in the table.
 */
int alloc_inode_ready(struct volume *vol, uint32_t dir)
{
	uint32_t first = EXT2_FIRST_INO(vol->fs->super);
	uint32_t from, next = inode_search(vol, dir, &from);
	uint32_t group = (next - 1) / vol->group_inodes;
	uint32_t bit = (next - 1) % vol->group_inodes;
	uint32_t groups = vol->fs->group_desc_count;
	uint8_t *map;
	int error;

	if (vol->dev->instant) {
		return 0;
	}
	for (uint32_t n = 0; n <= groups; n++, group++, bit = 0) {
		if (group >= groups) {
			group = 0;
			bit = first - 1;
		}
		if (group_free_inodes(vol, group) == 0) {
			continue;
		}
		error = group_map(vol, group, false, false, &map);
		if (error != 0 && error != EUCLEAN) {
			return error;
		}
		if (error == 0) {
			bit = find_bit(map, bit, vol->group_inodes, false);
			if (bit < vol->group_inodes) {
				return inode_touch(vol, group *
						   vol->group_inodes + 1 + bit);
			}
		}
	}
	return 0;
}

/* libext2fs' way to a block, for extended attributes: which one. It is taken at
 * once; that the library then counts it too is undone by hook_stats(). */
static errcode_t hook_block(ext2_filsys fs, blk64_t goal, blk64_t *block)
{
	struct volume *vol = fs->priv_data;
	uint64_t found = 0;
	uint32_t got;
	int error = volume_alloc(vol, goal, 1, &found, &got);

	/* The library would not give it back if it could not be written. */
	if (error == 0 &&
	    vol->dev->ops->change(vol->dev, found, true) == NULL) {
		error = poke_error(vol);
		volume_untake(vol, found, 1);
	}
	*block = found;
	return error;
}

/* The library has counted a block as used or free, wrongly: it is counted
 * here. */
static void hook_stats(ext2_filsys fs, blk64_t block, int used)
{
	struct volume *vol = fs->priv_data;
	uint32_t group = ext2fs_group_of_blk2(fs, block);
	uint32_t left = group_free_blocks(vol, group);

	group_free_blocks_set(vol, group, used > 0 ? left + 1 : left - 1);
	ext2fs_free_blocks_count_add(fs->super, used > 0 ? 1 : -(blk64_t)1);
	if (used < 0) {
		volume_free(vol, block, 1);
	}
}

/** Has libext2fs take and give blocks here. */
void volume_alloc_hooks(struct volume *vol)
{
	vol->fs->priv_data = vol;
	ext2fs_set_alloc_block_callback(vol->fs, hook_block, NULL);
	ext2fs_set_block_alloc_stats_callback(vol->fs, hook_stats, NULL);
}
