/* SPDX-License-Identifier: MIT */
/*
 * A directory's hash tree (volume_htree.c) as making one (volume_htree_make.c) and
 * reading it in order (volume_htree_each.c) use it.
 */
#ifndef ISTHMUS_VOLUME_HTREE_H
#define ISTHMUS_VOLUME_HTREE_H

#include "host-bridge/fs/ext4/volume_dir.h"

#define HTREE_ROOT_INFO		24u	/* in block 0, behind "." and ".." */
#define HTREE_ROOT_ENTRIES	32u	/* where they begin in block 0 */

/* One block of the tree on a way down. */
struct htree_node {
	uint32_t lblk;
	struct ext2_dx_entry *entries;	/* the first is without hash */
	struct ext2_dx_countlimit *count;
	uint32_t at;			/* the entry that was taken */
};

struct htree_way {
	struct htree_node nodes[2];
	uint32_t depth;			/* of them used */
	uint32_t leaf;			/* block */
	int hash_version;
};

/* An entry of a leaf, by its hash. */
struct htree_item {
	uint32_t hash, minor;
	uint32_t lblk;
	uint16_t offset, size;
};

uint32_t htree_limit(const struct volume *vol, uint32_t offset);
void htree_fill(struct volume *vol, struct vnode *dir, uint32_t lblk,
		uint8_t *data, const uint8_t *old,
		const struct htree_item *items, uint32_t count);
void htree_forget(struct volume *vol, struct vnode *dir, uint32_t lblk,
		  const uint8_t *old, const struct htree_item *items,
		  uint32_t count);
void htree_sort(struct htree_item *items, uint32_t count);
int htree_leaf(const struct volume *vol, int version, const uint8_t *data,
	       struct htree_item *items, uint32_t *count);
int htree_down(struct volume *vol, struct vnode *dir, uint32_t hash,
	       struct htree_way *way);
bool htree_next(struct volume *vol, struct vnode *dir, struct htree_way *way,
		uint32_t *hash, int *error);

/* volume_htree_make.c */
int htree_single(struct volume *vol, struct vnode *dir, const uint8_t **data);

#endif
