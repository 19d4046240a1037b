/* SPDX-License-Identifier: MIT */
/*
 * Looks whether the file system agrees with itself, while it is in use: what is
 * known of each group, and of each inode in it, against the bitmaps; blocks that two
 * have (volume_fsck_use.c); how many names each file has (volume_fsck_names.c). One
 * call looks at some inodes and sees all at one instant; of what needs all inodes as
 * much is remembered between calls as has room, and they are gone through again for
 * the rest, so memory does not grow with the volume.
 *
 * A call that has to wait has changed nothing: it first has all read, then counts.
 * Not looked at: blocks that nobody has.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_fsck.h"

#define INODES		128u		/* of one call */
#define DEPTH		5u		/* of an extent tree */

/* What the inodes are gone through for: each by itself, with the first window of
 * blocks; who has a block of the next; who else has what is suspect; names of a window
 * of inodes; those inodes. */
enum { LOOK, MARK, SEEK, NAMES, LINKS };

/** Says what is wrong with the inode, or the group. */
void fsck_bad(struct look *l, const char *format, ...)
{
	struct volume_fsck *check = l->check;
	size_t len = strlen(check->text), size = sizeof(check->text) - len;
	va_list args;
	int n;

	if (l->quiet) {
		return;
	}
	check->found++;
	n = snprintf(check->text + len, size, "%s %u: ",
		     l->ino != 0 ? "inode" : "group",
		     (unsigned)(l->ino != 0 ? l->ino : check->group));
	if ((size_t)n < size) {
		va_start(args, format);
		vsnprintf(check->text + len + n, size - (size_t)n, format,
			  args);
		va_end(args);
	}
	len = strlen(check->text);
	check->text[len < sizeof(check->text) - 1 ? len : len - 1] = '\n';
	check->text[len < sizeof(check->text) - 1 ? len + 1 : len] = '\0';
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
		fsck_bad(l, blocks ? "the bitmap of its blocks is damaged"
			      : "the bitmap of its inodes is damaged");
		return 0;
	}
	if (map != NULL && zeros(map, bits) != want) {
		fsck_bad(l, blocks ? "so many blocks are not free"
			      : "so many inodes are not free");
	}
	return error;
}

/* Whether these blocks are the volume's, and marked as used. */
static int look_blocks(struct look *l, uint64_t first, uint64_t count,
		       bool shared)
{
	struct volume *vol = l->vol;
	uint64_t base = vol->fs->super->s_first_data_block;
	uint64_t end = ext2fs_blocks_count(vol->fs->super);

	(void)shared;
	if (first < base || first >= end || count > end - first) {
		fsck_bad(l, "it has blocks that there are not");
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
			fsck_bad(l, "a block of it is marked as free");
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
		fsck_bad(l, "its extent tree is damaged");
		return 0;
	}
	for (unsigned i = 0; error == 0 && i < head->eh_entries; i++) {
		uint64_t block = (uint64_t)index[i].ei_leaf_hi << 32 |
				 index[i].ei_leaf;
		const uint8_t *data;

		if (depth == 0) {
			uint32_t len = leaf[i].ee_len;

			error = l->blocks(l, (uint64_t)leaf[i].ee_start_hi
					  << 32 | leaf[i].ee_start,
					  len <= RUN_MAX ? len : len - RUN_MAX,
					  false);
			continue;
		}
		error = l->blocks(l, block, 1, false);
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

/**
 * Calls l->blocks for all that an inode has. Returns 0, EAGAIN or EIO; what is damaged
 * is said.
 */
int fsck_walk(struct look *l, const struct ext2_inode_large *in)
{
	const struct ext3_extent_header *head = (const void *)in->i_block;
	uint64_t block = ext2fs_file_acl_block(l->vol->fs, (const void *)in);
	int error = block != 0 ? l->blocks(l, block, 1, true) : 0;

	if (error != 0 || (in->i_flags & EXT4_EXTENTS_FL) == 0) {
		return error;
	}
	if (head->eh_depth > DEPTH) {
		fsck_bad(l, "its extent tree is damaged");
		return 0;
	}
	return look_node(l, (const uint8_t *)in->i_block, sizeof(in->i_block),
			 head->eh_depth);
}

/* An inode by itself. */
static int look_inode(struct look *l, const struct ext2_inode_large *in)
{
	uint16_t type = in->i_mode & VOLUME_S_IFMT;

	l->check->inodes++;
	if (l->vol->csum && !ext2fs_inode_csum_verify(l->vol->fs, l->ino,
						      (void *)in)) {
		fsck_bad(l, "its checksum is wrong");
		return 0;
	}
	if (in->i_links_count == 0) {
		l->check->nameless++;	/* open still, or an orphan */
	}
	if ((in->i_flags & EXT4_EXTENTS_FL) == 0 &&
	    (type == VOLUME_S_IFREG || type == VOLUME_S_IFDIR)) {
		l->check->skipped++;
	}
	l->blocks = look_blocks;
	return fsck_walk(l, in);
}

/* An inode of which the bitmap says that it is used; without marking, and then, all
 * being there, marking what it has. Returns 0, EAGAIN or EIO. */
static int look_one(struct look *l, const struct ext2_inode_large *in,
		    bool marking)
{
	bool wrong = l->vol->csum &&
		     !ext2fs_inode_csum_verify(l->vol->fs, l->ino, (void *)in);

	if (l->check->phase == LOOK && !marking) {
		return look_inode(l, in);
	}
	if (l->check->phase == LINKS) {
		names_compare(l, in);
		return 0;
	}
	if (l->check->phase == SEEK) {
		return wrong ? 0 : use_seek(l, in);
	}
	l->quiet = true;
	l->blocks = marking ? use_mark : use_touch;
	return wrong ? 0 : fsck_walk(l, in);
}

/* Where an inode of the group is, for reading; NULL: see poke_error(). */
static const struct ext2_inode_large *inode_at(const struct volume *vol,
					       uint32_t group, uint32_t i)
{
	uint32_t at = i * VOLUME_INODE_SIZE;
	const uint8_t *data = vol->dev->ops->peek(vol->dev,
		group_inode_table(vol, group) + (at >> vol->shift));

	return data == NULL ? NULL
	       : (const void *)(data + (at & (vol->block_size - 1)));
}

/* Those before the first that files have are the file system's: of them the root and
 * the journal have blocks. */
static bool is_file(const struct volume *vol, uint32_t ino)
{
	return ino >= EXT2_FIRST_INO(vol->fs->super) || ino == VOLUME_ROOT ||
	       ino == EXT2_JOURNAL_INO;
}

static bool is_used(const uint8_t *map, uint32_t i)
{
	return map != NULL && (map[i / 8] >> i % 8 & 1) != 0;
}

/**
 * An inode, by its number; *in is NULL when it is not in use. Returns 0, EAGAIN or EIO.
 */
int fsck_inode(struct look *l, uint32_t ino, const struct ext2_inode_large **in)
{
	uint32_t group = (ino - 1) / l->vol->group_inodes;
	uint32_t i = (ino - 1) % l->vol->group_inodes;
	int error;
	const uint8_t *map = map_of(l, group, false, &error);

	*in = NULL;
	if (error != 0 || !is_used(map, i)) {
		return error == EUCLEAN ? 0 : error;
	}
	*in = inode_at(l->vol, group, i);
	return *in == NULL ? poke_error(l->vol) : 0;
}

/* The inodes of the group from check->next on, as many as one call looks at. */
static int look_inodes(struct look *l, const uint8_t *map, uint32_t end,
		       bool marking)
{
	const struct fsck_state *s = l->check->state;
	struct volume *vol = l->vol;

	for (uint32_t i = l->check->next; i < end; i++) {
		const struct ext2_inode_large *in;
		int error;

		l->ino = l->check->group * vol->group_inodes + i + 1;
		l->quiet = false;
		if (l->check->phase == LINKS && (l->ino < s->from ||
						 l->ino - s->from >= s->count)) {
			continue;
		}
		if (!is_used(map, i) && l->check->phase == LINKS) {
			names_compare(l, NULL);
		}
		if (!is_used(map, i) || !is_file(vol, l->ino)) {
			continue;
		}
		in = inode_at(vol, l->check->group, i);
		error = in == NULL ? poke_error(vol)
				   : look_one(l, in, marking);
		if (error != 0) {
			return error;
		}
	}
	return 0;
}

/* The next directory of the group, some of its names: *end is where to go on. */
static int look_names(struct look *l, const uint8_t *map, uint32_t *end)
{
	struct volume *vol = l->vol;
	bool more = false;
	int error;

	for (uint32_t i = l->check->next; i < *end; i++) {
		const struct ext2_inode_large *in;

		l->ino = l->check->group * vol->group_inodes + i + 1;
		if (!is_used(map, i) || !is_file(vol, l->ino)) {
			continue;
		}
		in = inode_at(vol, l->check->group, i);
		if (in == NULL) {
			return poke_error(vol);
		}
		if (!LINUX_S_ISDIR(in->i_mode) || in->i_links_count == 0) {
			continue;
		}
		error = names_read(l, &more);
		*end = more ? i : i + 1;
		return error;
	}
	return 0;
}

/* The group's numbers at first, then which of its inodes there are. */
static int look_group(struct look *l, const uint8_t **map, uint32_t *end)
{
	struct volume *vol = l->vol;
	uint32_t group = l->check->group, has = vol->group_inodes;
	int error = 0;

	if (l->check->next == 0 && l->check->phase == LOOK) {
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
	/* What has a name must be in use, wherever it is. */
	*end = l->check->phase == LINKS ? vol->group_inodes
	       : *map == NULL ? 0 : has;
	return error;
}

/* All inodes were gone through: what for, the next time. Returns 0 or ENOMEM. */
static int look_next(struct volume *vol, struct volume_fsck *check)
{
	struct fsck_state *s = check->state;
	uint64_t end = s->from + s->count;

	check->group = 0;
	if (check->phase <= MARK && s->suspect_count > 0) {
		check->phase = SEEK;
		return 0;
	}
	if (check->phase <= SEEK) {
		if (end < ext2fs_blocks_count(vol->fs->super)) {
			check->phase = MARK;
			return use_window(vol, check, end);
		}
		use_end(s);
		check->phase = NAMES;
		return names_window(vol, check, 1);
	}
	if (check->phase == NAMES) {
		check->phase = LINKS;
		return 0;
	}
	check->phase = NAMES;
	check->done = end > vol->fs->super->s_inodes_count;
	return check->done ? 0 : names_window(vol, check, (uint32_t)end);
}

/* Some inodes of the group. Returns 0, EAGAIN, EIO or ENOMEM. */
static int look_piece(struct look *l)
{
	struct volume_fsck *check = l->check;
	const uint8_t *map = NULL;
	uint32_t end = 0, to;
	int error = look_group(l, &map, &end);

	to = end > check->next && end - check->next > INODES
	     ? check->next + INODES : end;
	if (error == 0 && check->phase == NAMES) {
		error = look_names(l, map, &to);
	} else if (error == 0) {
		error = look_inodes(l, map, to, false);
		if (error == 0 && check->phase <= MARK) {
			error = look_inodes(l, map, to, true);
		}
	}
	check->next = to;
	if (error == 0 && to >= end) {
		check->next = 0;
		check->group++;
		check->groups += check->phase == LOOK;
		if (check->group == l->vol->fs->group_desc_count) {
			error = look_next(l->vol, check);
		}
	}
	return error;
}

/* What is remembered, for the first window. */
static int begin(struct volume *vol, struct volume_fsck *check)
{
	int error;

	check->state = calloc(1, sizeof(*check->state));
	if (check->state == NULL) {
		return ENOMEM;
	}
	error = use_window(vol, check, 0);
	if (error != 0) {
		volume_fsck_end(vol, check);
	}
	return error;
}

/**
 * Looks at a piece of the file system: begin with all of *check 0, and go on until
 * check->done; check->text then has what was found last, a line each. It writes
 * what the volume has in its own memory to blocks, nothing else. Returns 0, EAGAIN
 * (nothing has changed in *check: again), EIO, ENOSPC or ENOMEM. Whatever it
 * returned, volume_fsck_end() is due when no more is to be looked at.
 */
int volume_fsck(struct volume *vol, struct volume_fsck *check)
{
	struct volume_fsck now;
	struct look l = { .vol = vol, .check = &now };
	int error = check->state == NULL ? begin(vol, check) : 0;

	if (error == 0) {
		error = volume_flush(vol);
	}
	if (error != 0) {
		return error;
	}
	now = *check;
	now.text[0] = '\0';
	error = look_piece(&l);
	if (error == 0) {
		*check = now;
	}
	return error;
}

/** Frees what was remembered. */
void volume_fsck_end(struct volume *vol, struct volume_fsck *check)
{
	if (check->state != NULL) {
		use_end(check->state);
		names_end(vol, check->state);
	}
	free(check->state);
	check->state = NULL;
}
