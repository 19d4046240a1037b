/* SPDX-License-Identifier: MIT */
/*
 * Looks whether the file system agrees with itself, while it is in use: what is
 * known of each group, and of each inode in it, against the bitmaps. One call looks
 * at some inodes and sees all at one instant; nothing is remembered from one to the
 * next, so memory does not grow with the volume. So what needs all inodes at once
 * is not looked at: blocks that nobody has, or two files; names, and how many each
 * file has.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_group.h"

#define INODES		128u		/* of one call */
#define DEPTH		5u		/* of an extent tree */

struct look {
	struct volume *vol;
	struct volume_fsck *check;
	uint32_t ino;			/* 0: the group */
};

static void bad(struct look *l, const char *what)
{
	struct volume_fsck *check = l->check;
	size_t len = strlen(check->text);

	check->found++;
	snprintf(check->text + len, sizeof(check->text) - len,
		 "%s %u: %s\n", l->ino != 0 ? "inode" : "group",
		 (unsigned)(l->ino != 0 ? l->ino : check->group), what);
}

static uint32_t zeros(const uint8_t *map, uint32_t bits)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < bits; i++) {
		count += (map[i / 8] >> i % 8 & 1) == 0;
	}
	return count;
}

/* A bitmap for reading. NULL and 0: it was never written, and *error if it cannot
 * be looked at. */
static const uint8_t *map_of(struct look *l, uint32_t group, bool blocks,
			     int *error)
{
	uint16_t flag = blocks ? EXT2_BG_BLOCK_UNINIT : EXT2_BG_INODE_UNINIT;
	uint8_t *map;

	*error = 0;
	if (l->vol->uninit &&
	    (group_desc(l->vol, group)->bg_flags & flag) != 0) {
		return NULL;
	}
	*error = group_map(l->vol, group, blocks, false, &map);
	return *error == 0 ? map : NULL;
}

/* One bitmap of the group and the number that its descriptor has. */
static int look_map(struct look *l, bool blocks)
{
	uint32_t group = l->check->group;
	uint32_t bits = blocks ? group_size(l->vol, group)
			       : l->vol->group_inodes;
	uint32_t want = blocks ? group_free_blocks(l->vol, group)
			       : group_free_inodes(l->vol, group);
	int error;
	const uint8_t *map = map_of(l, group, blocks, &error);

	if (error == EUCLEAN) {
		bad(l, blocks ? "the bitmap of its blocks is damaged"
			      : "the bitmap of its inodes is damaged");
		return 0;
	}
	if (map != NULL && zeros(map, bits) != want) {
		bad(l, blocks ? "so many blocks are not free"
			      : "so many inodes are not free");
	}
	return error;
}

/* Whether these blocks are the volume's, and marked as used. */
static int look_blocks(struct look *l, uint64_t first, uint64_t count)
{
	struct volume *vol = l->vol;
	uint64_t base = vol->fs->super->s_first_data_block;
	uint64_t end = ext2fs_blocks_count(vol->fs->super);

	if (first < base || first >= end || count > end - first) {
		bad(l, "it has blocks that there are not");
		return 0;
	}
	for (uint64_t at = first - base; at < first - base + count; at++) {
		uint32_t bit = (uint32_t)(at % vol->group_blocks);
		int error;
		const uint8_t *map = map_of(l, (uint32_t)(at /
					    vol->group_blocks), true, &error);

		if (error == EUCLEAN) {
			return 0;		/* said by its group */
		}
		if (error != 0) {
			return error;
		}
		if (map == NULL || (map[bit / 8] >> bit % 8 & 1) == 0) {
			bad(l, "a block of it is marked as free");
			return 0;
		}
	}
	l->check->blocks += count;
	return 0;
}

/* The extents in a node of the tree, of `room` bytes, and below it. */
static int look_node(struct look *l, const uint8_t *node, size_t room,
		     unsigned depth)
{
	const struct ext3_extent_header *head = (const void *)node;
	const struct ext3_extent *leaf = (const void *)(head + 1);
	const struct ext3_extent_idx *index = (const void *)(head + 1);
	int error = 0;

	if (head->eh_magic != EXT3_EXT_MAGIC || head->eh_depth != depth ||
	    head->eh_entries > room / sizeof(*leaf) - 1) {
		bad(l, "its extent tree is damaged");
		return 0;
	}
	for (unsigned i = 0; error == 0 && i < head->eh_entries; i++) {
		uint64_t block = (uint64_t)index[i].ei_leaf_hi << 32 |
				 index[i].ei_leaf;
		const uint8_t *data;

		if (depth == 0) {
			uint32_t len = leaf[i].ee_len;

			error = look_blocks(l, (uint64_t)leaf[i].ee_start_hi
					    << 32 | leaf[i].ee_start,
					    len <= RUN_MAX ? len
							   : len - RUN_MAX);
			continue;
		}
		error = look_blocks(l, block, 1);
		data = l->vol->dev->ops->peek(l->vol->dev, block);
		if (error == 0 && data == NULL) {
			error = poke_error(l->vol);
		}
		if (error == 0) {
			error = look_node(l, data, l->vol->block_size,
					  depth - 1);
		}
	}
	return error;
}

static int look_inode(struct look *l, const struct ext2_inode_large *in)
{
	const struct ext3_extent_header *head = (const void *)in->i_block;
	uint16_t type = in->i_mode & VOLUME_S_IFMT;

	l->check->inodes++;
	if (l->vol->csum && !ext2fs_inode_csum_verify(l->vol->fs, l->ino,
						      (void *)in)) {
		bad(l, "its checksum is wrong");
		return 0;
	}
	if (in->i_links_count == 0) {
		l->check->nameless++;	/* open still, or an orphan */
	}
	if ((in->i_flags & EXT4_EXTENTS_FL) == 0) {
		if (type == VOLUME_S_IFREG || type == VOLUME_S_IFDIR) {
			l->check->skipped++;
		}
		return 0;
	}
	if (head->eh_depth > DEPTH) {
		bad(l, "its extent tree is damaged");
		return 0;
	}
	return look_node(l, (const uint8_t *)in->i_block, sizeof(in->i_block),
			 head->eh_depth);
}

/* The inodes of the group from check->next on, as many as one call looks at. */
static int look_inodes(struct look *l, const uint8_t *map, uint32_t end)
{
	struct volume *vol = l->vol;
	uint64_t table = group_inode_table(vol, l->check->group);

	for (uint32_t i = l->check->next; i < end; i++) {
		uint32_t at = i * VOLUME_INODE_SIZE;
		const uint8_t *data;
		int error;

		l->ino = l->check->group * vol->group_inodes + i + 1;
		/* Those before the first that files have are the file system's:
		 * of them the root and the journal have blocks. */
		if ((map[i / 8] >> i % 8 & 1) == 0 ||
		    (l->ino < EXT2_FIRST_INO(vol->fs->super) &&
		     l->ino != VOLUME_ROOT && l->ino != EXT2_JOURNAL_INO)) {
			continue;
		}
		data = vol->dev->ops->peek(vol->dev, table + (at >> vol->shift));
		if (data == NULL) {
			return poke_error(vol);
		}
		error = look_inode(l, (const void *)(data +
				   (at & (vol->block_size - 1))));
		if (error != 0) {
			return error;
		}
	}
	return 0;
}

/* The group's numbers at first, then its inodes. */
static int look_group(struct look *l, const uint8_t **map, uint32_t *end)
{
	struct volume *vol = l->vol;
	uint32_t group = l->check->group, has = vol->group_inodes;
	int error = 0;

	if (l->check->next == 0) {
		error = look_map(l, true);
		error = error != 0 ? error : look_map(l, false);
	}
	if (error == 0) {
		*map = map_of(l, group, false, &error);
		error = error == EUCLEAN ? 0 : error;
	}
	if (vol->uninit && group_unused(vol, group) <= has) {
		has -= group_unused(vol, group);
	}
	*end = *map == NULL ? 0 : has;
	return error;
}

/**
 * Looks at a piece of the file system: begin with all of *check 0, and go on until
 * check->done; check->text then has what was found last, a line each. It writes
 * what the volume has in its own memory to blocks, nothing else. Returns 0, EAGAIN
 * (nothing has changed in *check: again), EIO or ENOSPC.
 */
int volume_fsck(struct volume *vol, struct volume_fsck *check)
{
	struct volume_fsck now = *check;
	struct look l = { .vol = vol, .check = &now };
	const uint8_t *map = NULL;
	uint32_t end = 0;
	int error = volume_flush(vol);

	now.text[0] = '\0';
	if (error == 0) {
		error = look_group(&l, &map, &end);
	}
	if (error == 0 && end > now.next) {
		uint32_t to = end - now.next > INODES ? now.next + INODES
						      : end;

		error = look_inodes(&l, map, to);
		now.next = to;
	}
	if (error != 0) {
		return error;
	}
	if (now.next >= end) {
		now.next = 0;
		now.group++;
		now.done = now.group == vol->fs->group_desc_count;
	}
	*check = now;
	return 0;
}
