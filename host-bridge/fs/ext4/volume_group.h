/* SPDX-License-Identifier: MIT */
/*
 * Groups (volume_group.c) as volume_alloc.c and volume_free.c use them.
 */
#ifndef ISTHMUS_VOLUME_GROUP_H
#define ISTHMUS_VOLUME_GROUP_H

#include "host-bridge/fs/ext4/volume_int.h"

#define GROUP_NONE		UINT32_MAX	/* ends the list */
#define GROUP_DIRTY		0x01u	/* in the list of those to be written */
#define GROUP_BLOCKS_SEEN	0x02u	/* the bitmap's checksum was right */
#define GROUP_INODES_SEEN	0x04u
#define GROUP_BLOCKS_DUE	0x08u	/* the bitmap's checksum is old */
#define GROUP_INODES_DUE	0x10u
#define GROUP_BAD		0x20u	/* damaged: left alone */
#define GROUP_FREED		0x40u	/* counted in vol->group_due for what was
					 * freed */

struct group {
	uint32_t next;			/* in the list, if it is DIRTY */
	uint8_t state;
};

static inline struct ext4_group_desc *group_desc(const struct volume *vol,
						 uint32_t group)
{
	return (void *)((uint8_t *)vol->fs->group_desc +
			(size_t)group * vol->desc_size);
}

/* Descriptors of 64 bytes have another half of each count and place. */
#define GROUP_COUNT(name, field) \
static inline uint32_t name(const struct volume *vol, uint32_t group) \
{ \
	const struct ext4_group_desc *gd = group_desc(vol, group); \
\
	return gd->field | \
	       (vol->desc_long ? (uint32_t)gd->field##_hi << 16 : 0); \
} \
\
static inline void name##_set(const struct volume *vol, uint32_t group, \
			      uint32_t count) \
{ \
	struct ext4_group_desc *gd = group_desc(vol, group); \
\
	gd->field = (uint16_t)count; \
	if (vol->desc_long) { \
		gd->field##_hi = (uint16_t)(count >> 16); \
	} \
}

GROUP_COUNT(group_free_blocks, bg_free_blocks_count)
GROUP_COUNT(group_free_inodes, bg_free_inodes_count)
GROUP_COUNT(group_dirs, bg_used_dirs_count)
GROUP_COUNT(group_unused, bg_itable_unused)

#define GROUP_PLACE(name, field) \
static inline uint64_t name(const struct volume *vol, uint32_t group) \
{ \
	const struct ext4_group_desc *gd = group_desc(vol, group); \
\
	return gd->field | \
	       (vol->desc_long ? (uint64_t)gd->field##_hi << 32 : 0); \
}

GROUP_PLACE(group_block_map, bg_block_bitmap)
GROUP_PLACE(group_inode_map, bg_inode_bitmap)
GROUP_PLACE(group_inode_table, bg_inode_table)

/* Blocks that lie together. */
struct group_run {
	uint64_t first, count;
};

#define GROUP_OWN	6u		/* runs at most */
unsigned group_own(struct volume *vol, uint32_t group,
		   struct group_run runs[GROUP_OWN]);
uint32_t group_size(const struct volume *vol, uint32_t group);
void group_dirty(struct volume *vol, uint32_t group, unsigned what);
int group_map(struct volume *vol, uint32_t group, bool blocks, bool write,
	      uint8_t **map);

/* volume_free.c */
bool free_usable(struct volume *vol, uint64_t *first, uint32_t *count);
uint64_t free_pending(const struct volume *vol);
int free_soon(struct volume *vol);

#endif
