/* SPDX-License-Identifier: MIT */
/*
 * Groups of blocks: their descriptors, and the bitmaps of their blocks and
 * inodes, which are read where they lie when somebody looks for room there, and
 * written where they lie. So memory and time do not grow with the volume. What
 * is due beside that is a group's descriptor and checksums: groups that were
 * changed are in a list until group_flush().
 *
 * Descriptors are in libext2fs' memory, all of them, since the volume was
 * opened. A group whose bitmap was never written has flags that say so; its
 * bitmap is made when it is first needed. One whose bitmap is damaged has no
 * room: nothing is taken from it or given back.
 * [Linux "Documentation/filesystems/ext4/group_descr.rst"]
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_group.h"

#define SUPER_OFFSET	1024u

/**
 * Learns how groups are laid out, when the volume is opened; vol->fs has their
 * descriptors. Returns 0, ENOMEM, or EIO for what no ext4 has.
 */
int group_open(struct volume *vol)
{
	struct ext2_super_block *sb = vol->fs->super;

	vol->group_blocks = sb->s_blocks_per_group;
	vol->group_inodes = sb->s_inodes_per_group;
	vol->desc_size = (uint32_t)EXT2_DESC_SIZE(sb);
	vol->desc_long = vol->desc_size >= EXT2_MIN_DESC_SIZE_64BIT;
	vol->uninit = ext2fs_has_group_desc_csum(vol->fs) != 0;
	vol->group_dirty = GROUP_NONE;
	vol->waiting_next = vol->waiting_trim = UINT64_MAX;
	if (vol->group_blocks == 0 || vol->group_blocks % 8 != 0 ||
	    vol->group_blocks > vol->block_size * 8 ||
	    vol->group_inodes == 0 || vol->group_inodes % 8 != 0 ||
	    vol->group_inodes > vol->block_size * 8) {
		return EIO;
	}
	vol->groups = calloc(vol->fs->group_desc_count, sizeof(*vol->groups));
	return vol->groups == NULL ? ENOMEM : 0;
}

/** Blocks that a group has: the last one may have fewer than the others. */
uint32_t group_size(const struct volume *vol, uint32_t group)
{
	uint64_t first = vol->fs->super->s_first_data_block;
	uint64_t left = ext2fs_blocks_count(vol->fs->super) - first -
			(uint64_t)group * vol->group_blocks;

	return left < vol->group_blocks ? (uint32_t)left : vol->group_blocks;
}

/** Enters a group among those that are due to be written. */
void group_dirty(struct volume *vol, uint32_t group, unsigned what)
{
	struct group *g = &vol->groups[group];

	if ((g->state & GROUP_DIRTY) == 0) {
		g->next = vol->group_dirty;
		vol->group_dirty = group;
		vol->group_due++;
	}
	g->state |= (uint8_t)(GROUP_DIRTY | what);
}

/* Marks bits from first to before end, all of which must be within size. */
static void map_set(uint8_t *map, uint32_t first, uint32_t end)
{
	for (; first < end; first++) {
		map[first / 8] |= (uint8_t)(1u << first % 8);
	}
}

/* Marks count blocks from first on, those of them that are in a group. */
static void map_own(struct volume *vol, uint32_t group, uint8_t *map,
		    uint64_t first, uint64_t count)
{
	uint64_t begin = ext2fs_group_first_block2(vol->fs, group);
	uint64_t end = begin + group_size(vol, group);
	uint64_t last = first + count;

	first = first < begin ? begin : first;
	last = last > end ? end : last;
	if (first < last) {
		map_set(map, (uint32_t)(first - begin),
			(uint32_t)(last - begin));
	}
}

/**
 * Where the file system's own blocks lie that a group's descriptor tells of, or that
 * are in the group: copies of superblock and descriptors, bitmaps, inodes. Returns how
 * many runs. [Linux "fs/ext4/balloc.c: ext4_init_block_bitmap"]
 */
unsigned group_own(struct volume *vol, uint32_t group,
		   struct group_run runs[GROUP_OWN])
{
	ext2_filsys fs = vol->fs;
	blk64_t super, old_desc, new_desc;
	uint32_t old = ext2fs_has_feature_meta_bg(fs->super)
		       ? fs->super->s_first_meta_bg
		       : fs->desc_blocks + fs->super->s_reserved_gdt_blocks;
	unsigned count = 0;

	ext2fs_super_and_bgd_loc2(fs, group, &super, &old_desc, &new_desc,
				  NULL);
	if (super != 0 || group == 0) {
		runs[count++] = (struct group_run){ super, 1 };
	}
	if (old_desc != 0) {
		runs[count++] = (struct group_run){ old_desc, old };
	}
	if (new_desc != 0) {
		runs[count++] = (struct group_run){ new_desc, 1 };
	}
	runs[count++] = (struct group_run){ group_block_map(vol, group), 1 };
	runs[count++] = (struct group_run){ group_inode_map(vol, group), 1 };
	runs[count++] = (struct group_run){
		group_inode_table(vol, group), fs->inode_blocks_per_group,
	};
	return count;
}

/* The bitmap of a group none of whose blocks was ever used but for the file
 * system's own. */
static void map_init_blocks(struct volume *vol, uint32_t group, uint8_t *map)
{
	struct group_run runs[GROUP_OWN];
	unsigned count = group_own(vol, group, runs);

	memset(map, 0, vol->block_size);
	map_set(map, group_size(vol, group), vol->block_size * 8);
	for (unsigned i = 0; i < count; i++) {
		map_own(vol, group, map, runs[i].first, runs[i].count);
	}
}

/* Whether descriptor and bitmap are as somebody wrote them: looked at once. */
static bool group_sound(struct volume *vol, uint32_t group, uint8_t *map,
			bool blocks)
{
	struct group *g = &vol->groups[group];
	unsigned seen = blocks ? GROUP_BLOCKS_SEEN : GROUP_INODES_SEEN;
	ext2_filsys fs = vol->fs;
	bool sound = true;

	if ((g->state & seen) != 0) {
		return true;
	}
	if ((g->state & (GROUP_BLOCKS_SEEN | GROUP_INODES_SEEN |
			 GROUP_DIRTY)) == 0) {
		sound = ext2fs_group_desc_csum_verify(fs, group) != 0;
	}
	if (sound && vol->csum) {
		sound = blocks
			? ext2fs_block_bitmap_csum_verify(
				fs, group, (char *)map,
				(int)vol->group_blocks / 8) != 0
			: ext2fs_inode_bitmap_csum_verify(
				fs, group, (char *)map,
				(int)vol->group_inodes / 8) != 0;
	}
	g->state |= (uint8_t)(sound ? seen : GROUP_BAD);
	return sound;
}

/**
 * The bitmap of a group's blocks, or of its inodes; write: it will be changed.
 * Returns 0, EAGAIN, ENOSPC, EIO, or EUCLEAN for what is damaged.
 */
int group_map(struct volume *vol, uint32_t group, bool blocks, bool write,
	      uint8_t **map)
{
	struct ext4_group_desc *gd = group_desc(vol, group);
	const struct volume_dev_ops *ops = vol->dev->ops;
	uint16_t flag = blocks ? EXT2_BG_BLOCK_UNINIT : EXT2_BG_INODE_UNINIT;
	bool fresh = vol->uninit && (gd->bg_flags & flag) != 0;
	uint64_t at = blocks ? group_block_map(vol, group)
			     : group_inode_map(vol, group);

	if ((vol->groups[group].state & GROUP_BAD) != 0) {
		return EUCLEAN;
	}
	*map = fresh || write ? ops->change(vol->dev, at, fresh)
			      : (uint8_t *)ops->peek(vol->dev, at);
	if (*map == NULL) {
		return poke_error(vol);
	}
	if (fresh) {
		if (blocks) {
			map_init_blocks(vol, group, *map);
		} else {
			memset(*map, 0, vol->block_size);
			map_set(*map, vol->group_inodes, vol->block_size * 8);
		}
		gd->bg_flags &= (uint16_t)~flag;
		vol->groups[group].state |= blocks ? GROUP_BLOCKS_SEEN
						   : GROUP_INODES_SEEN;
		write = true;
	} else if (!group_sound(vol, group, *map, blocks)) {
		return EUCLEAN;
	}
	if (write) {
		group_dirty(vol, group, blocks ? GROUP_BLOCKS_DUE
					       : GROUP_INODES_DUE);
	}
	return 0;
}

/* Sets what checksums are due, and writes the descriptor. */
static int group_write(struct volume *vol, uint32_t group)
{
	uint32_t per_block = vol->block_size / vol->desc_size;
	ext2_filsys fs = vol->fs;
	uint64_t block = ext2fs_descriptor_block_loc2(
		fs, fs->super->s_first_data_block, group / per_block);
	uint8_t *to, *map, state = vol->groups[group].state;
	int error = 0;

	if (vol->csum && (state & GROUP_BLOCKS_DUE) != 0) {
		error = group_map(vol, group, true, false, &map);
		if (error == 0) {
			ext2fs_block_bitmap_csum_set(
				fs, group, (char *)map,
				(int)vol->group_blocks / 8);
		}
	}
	if (error == 0 && vol->csum && (state & GROUP_INODES_DUE) != 0) {
		error = group_map(vol, group, false, false, &map);
		if (error == 0) {
			ext2fs_inode_bitmap_csum_set(
				fs, group, (char *)map,
				(int)vol->group_inodes / 8);
		}
	}
	to = error == 0 ? vol->dev->ops->change(vol->dev, block, false) : NULL;
	if (to == NULL) {
		return error != 0 ? error : poke_error(vol);
	}
	ext2fs_group_desc_csum_set(fs, group);
	memcpy(to + group % per_block * vol->desc_size, group_desc(vol, group),
	       vol->desc_size);
	return 0;
}

/* Writes the superblock, if it was changed. */
static int super_write(struct volume *vol)
{
	struct ext2_super_block *sb = vol->fs->super;
	uint8_t *to;

	if ((vol->fs->flags & EXT2_FLAG_DIRTY) == 0) {
		return 0;
	}
	to = vol->dev->ops->change(vol->dev, SUPER_OFFSET >> vol->shift,
				   false);
	if (to == NULL) {
		return poke_error(vol);
	}
	sb->s_wtime = (uint32_t)volume_now().sec;
	ext2fs_superblock_csum_set(vol->fs, sb);
	memcpy(to + (SUPER_OFFSET & (vol->block_size - 1)), sb, sizeof(*sb));
	vol->fs->flags &= ~(EXT2_FLAG_DIRTY | EXT2_FLAG_CHANGED);
	return 0;
}

/**
 * Writes descriptors, checksums and superblock where they differ from the
 * device's. Returns 0, EAGAIN, ENOSPC or EIO; then what is left is still due.
 */
int group_flush(struct volume *vol)
{
	while (vol->group_dirty != GROUP_NONE) {
		struct group *g = &vol->groups[vol->group_dirty];
		int error = group_write(vol, vol->group_dirty);

		if (error != 0) {
			return error;
		}
		vol->group_dirty = g->next;
		vol->group_due--;
		g->state &= (uint8_t)~(GROUP_DIRTY | GROUP_BLOCKS_DUE |
				       GROUP_INODES_DUE);
	}
	return super_write(vol);
}
