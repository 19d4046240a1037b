/* SPDX-License-Identifier: MIT */
/*
 * A directory's names in memory (volume_index.c) as volume_dir.c uses them.
 */
#ifndef ISTHMUS_VOLUME_DIR_H
#define ISTHMUS_VOLUME_DIR_H

#include "host-bridge/fs/ext4/volume_int.h"

#define DIR_ENTRY_HEAD	8u		/* bytes of an entry before its name */
#define DIR_ENTRY_MIN	12u
#define DIR_TAIL	12u	/* the checksum, disguised as an entry */
/* A checksum at a block's end is an entry without inode, of this type. */
#define DIR_TAIL_TYPE	0xde
#define DIR_NOWHERE	UINT32_MAX

struct dir_slot {
	uint32_t hash;			/* 0: free */
	uint32_t place;
};

struct dir_block {
	uint16_t slack;			/* no entry has more room to spare */
	uint16_t room;			/* where one begins that has had it */
	bool dirty;			/* its checksum is out of date */
	uint32_t dirty_next;		/* then: as dir_index.dirty */
};

struct dir_index {
	struct dir_slot *slots;
	uint32_t mask, count;
	struct dir_block *blocks;
	uint32_t block_count, block_space;
	uint32_t dirty;			/* the first such block + 1; or 0 */
	uint32_t hint;			/* block to look for room in first */
	uint32_t slack_place;		/* entry that had room to spare */
};

/* Bytes that an entry with such a name takes. */
static inline uint32_t dir_entry_size(size_t name_len)
{
	return (uint32_t)(name_len + DIR_ENTRY_HEAD + 3) & ~3u;
}

/* Blocks, so that a directory stays below 2 GiB: from there on libext2fs would
 * give the volume a feature (largedir) with which it is refused when next
 * opened. */
static inline uint32_t dir_blocks_max(const struct volume *vol)
{
	return (1u << (31 - vol->shift)) - 1;
}

/* Where the entries of a block end. */
static inline uint32_t dir_limit(const struct volume *vol)
{
	return vol->block_size - (vol->csum ? DIR_TAIL : 0);
}

/* volume_dir.c */
uint8_t *dir_block(struct volume *vol, struct vnode *dir, uint32_t lblk,
		   bool write);
int dir_block_room(struct volume *vol, struct vnode *dir, uint32_t lblk,
		   uint32_t need);
int dir_append_block(struct volume *vol, struct vnode *dir);
void dir_block_init(struct volume *vol, uint8_t *data);
void dir_show(const struct ext2_dir_entry_2 *entry, uint64_t cookie,
	      struct volume_entry *out);

/* volume_htree.c */
bool htree_seal(const struct volume *vol, const struct vnode *dir,
		uint32_t lblk, uint8_t *data);
int htree_each(struct volume *vol, struct vnode *dir, uint64_t cookie,
	       bool (*fn)(void *arg, const struct volume_entry *entry),
	       void *arg);
int htree_room(struct volume *vol, struct vnode *dir, const char *name,
	       size_t len);

/* volume_htree_make.c */
int htree_make(struct volume *vol, struct vnode *dir);
int htree_unmake(struct volume *vol, struct vnode *dir);

/* volume_index.c */
uint32_t index_hash(const struct volume *vol, const char *name, size_t len);
int index_new(struct vnode *dir);
int index_reserve(struct dir_index *index);
void index_add(struct dir_index *index, uint32_t hash, uint32_t place);
void index_remove(struct dir_index *index, uint32_t hash, uint32_t place);
int index_blocks(struct dir_index *index, uint32_t count);
bool index_sound(const struct volume *vol,
		 const struct ext2_dir_entry_2 *entry, uint32_t offset);

#endif
