/* SPDX-License-Identifier: MIT */
/*
 * Directories with a hash tree, as Linux makes them: leaves are blocks of entries
 * like any other directory's, each for a range of hashes, and the root (block 0)
 * and one level of nodes below it say which. A name goes into the leaf for its
 * hash; a full leaf is split in the middle of its hashes, a full node likewise,
 * and a full root gets a level below it. Names are found by our own index
 * (volume_index.c); the tree is kept for Linux, and gives readdir its order
 * (volume_htree_each.c), because entries move when a leaf is split.
 * [Linux "Documentation/filesystems/ext4/directory.rst: Hash Tree Directories"]
 *
 * What the device says of a tree is checked on the way down. Nothing is changed
 * before all that will change is in memory.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_htree.h"

#define NODE_ENTRIES	8u		/* behind what looks like an entry */
#define BLOCK_MASK	0x0fffffffu
#define STEPS_MAX	8u		/* that make room for one name */

/** Entries of the tree that fit a block from offset on. */
uint32_t htree_limit(const struct volume *vol, uint32_t offset)
{
	uint32_t tail = vol->csum ? sizeof(struct ext2_dx_tail) : 0;

	return (vol->block_size - offset - tail) /
	       (uint32_t)sizeof(struct ext2_dx_entry);
}

/* Where the tree's entries begin in a block of a hashed directory; 0 for a
 * leaf. */
static uint32_t node_offset(const struct volume *vol, uint32_t lblk,
			    const uint8_t *data)
{
	const struct ext2_dir_entry_2 *first = (const void *)data;

	if (lblk == 0) {
		return HTREE_ROOT_ENTRIES;
	}
	return first->inode == 0 && first->rec_len == vol->block_size
	       ? NODE_ENTRIES : 0;
}

/**
 * Sets the checksum of a block of the tree. false: it is a leaf, and has another
 * kind. [Linux "fs/ext4/namei.c: ext4_dx_csum"]
 */
bool htree_seal(const struct volume *vol, const struct vnode *dir,
		uint32_t lblk, uint8_t *data)
{
	uint32_t offset = node_offset(vol, lblk, data), csum;
	struct ext2_dx_countlimit *count = (void *)(data + offset);
	struct ext2_dx_tail *tail;

	if (offset == 0 || count->limit > htree_limit(vol, offset) ||
	    count->count > count->limit) {
		return false;
	}
	tail = (void *)(data + offset + count->limit *
			sizeof(struct ext2_dx_entry));
	tail->dt_checksum = 0;
	csum = inode_block_csum(vol, dir, data, offset + count->count *
				sizeof(struct ext2_dx_entry));
	tail->dt_checksum = ext2fs_crc32c_le(csum, (const uint8_t *)tail,
					     sizeof(*tail));
	return true;
}

/* The hash that the tree has a name under, and one to tell equal ones apart.
 * Returns 0, or EOPNOTSUPP for a kind that is not known. */
static int name_hash(const struct volume *vol, int version, const char *name,
		     size_t len, uint32_t *hash, uint32_t *minor)
{
	const struct ext2_super_block *sb = vol->fs->super;

	if (version > EXT2_HASH_TEA) {
		return EOPNOTSUPP;
	}
	if ((sb->s_flags & EXT2_FLAGS_UNSIGNED_HASH) != 0) {
		version += EXT2_HASH_LEGACY_UNSIGNED;
	}
	return ext2fs_dirhash(version, name, (int)len, sb->s_hash_seed, hash,
			      minor) == 0 ? 0 : EOPNOTSUPP;
}

/* Reads a block of the tree: 0, EAGAIN, EIO, or EOPNOTSUPP for one that is not
 * as it should be. */
static int node_get(struct volume *vol, struct vnode *dir, uint32_t lblk,
		    struct htree_node *node)
{
	uint8_t *data = lblk < dir->index->block_count
			? dir_block(vol, dir, lblk, false) : NULL;
	uint32_t offset;

	if (data == NULL) {
		return lblk < dir->index->block_count ? poke_error(vol)
						      : EOPNOTSUPP;
	}
	offset = node_offset(vol, lblk, data);
	node->lblk = lblk;
	node->entries = (void *)(data + offset);
	node->count = (void *)node->entries;
	node->at = 0;
	return offset == 0 || node->count->count == 0 ||
	       node->count->count > node->count->limit ||
	       node->count->limit != htree_limit(vol, offset)
	       ? EOPNOTSUPP : 0;
}

/**
 * Takes the next entry at the end of a way, and the leaf that it leads to; false:
 * there is none, or *error is not 0: as of htree_down().
 */
bool htree_next(struct volume *vol, struct vnode *dir, struct htree_way *way,
		     uint32_t *hash, int *error)
{
	struct htree_node *last = &way->nodes[way->depth - 1];

	*error = 0;
	if (last->at + 1 < last->count->count) {
		last->at++;
		*hash = last->entries[last->at].hash;
	} else if (way->depth == 2 &&
		   way->nodes[0].at + 1 < way->nodes[0].count->count) {
		struct htree_node *root = &way->nodes[0], next;
		const struct ext2_dx_entry *entry =
			&root->entries[root->at + 1];

		*error = node_get(vol, dir, entry->block & BLOCK_MASK, &next);
		if (*error != 0) {
			return false;
		}
		root->at++;
		*last = next;
		*hash = entry->hash;
	} else {
		return false;
	}
	way->leaf = last->entries[last->at].block & BLOCK_MASK;
	return true;
}

/* Takes the entry of a node that a hash belongs to. */
static uint32_t node_take(struct htree_node *node, uint32_t hash)
{
	uint32_t low = 1, high = node->count->count;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (node->entries[mid].hash <= hash) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	node->at = low - 1;
	return node->entries[node->at].block & BLOCK_MASK;
}

/* Reads the root. Returns as node_get(). */
static int way_begin(struct volume *vol, struct vnode *dir,
		     struct htree_way *way)
{
	int error = node_get(vol, dir, 0, &way->nodes[0]);
	const struct ext2_dx_root_info *info;

	if (error != 0) {
		return error;
	}
	info = (const void *)((const uint8_t *)way->nodes[0].entries -
			      HTREE_ROOT_ENTRIES + HTREE_ROOT_INFO);
	way->hash_version = info->hash_version;
	way->depth = info->indirect_levels + 1u;
	return info->info_length != sizeof(*info) || info->reserved_zero != 0 ||
	       way->depth > 2 || info->hash_version > EXT2_HASH_TEA
	       ? EOPNOTSUPP : 0;
}

/* From a root that way_begin() has read to the leaf. Returns as htree_down(). */
static int way_down(struct volume *vol, struct vnode *dir, uint32_t hash,
		    struct htree_way *way)
{
	int error = 0;

	way->leaf = node_take(&way->nodes[0], hash);
	if (way->depth == 2) {
		error = node_get(vol, dir, way->leaf, &way->nodes[1]);
		if (error == 0) {
			way->leaf = node_take(&way->nodes[1], hash);
		}
	}
	if (error == 0 && (way->leaf == 0 ||
			   way->leaf >= dir->index->block_count)) {
		error = EOPNOTSUPP;
	}
	return error;
}

/**
 * Finds the leaf that a hash belongs to. Returns 0, EAGAIN, EIO, or EOPNOTSUPP
 * for a tree that is not as it should be.
 */
int htree_down(struct volume *vol, struct vnode *dir, uint32_t hash,
		    struct htree_way *way)
{
	int error = way_begin(vol, dir, way);

	return error != 0 ? error : way_down(vol, dir, hash, way);
}

/* Gets hold of a node that was read, to change it. Returns 0 or poke_error(). */
static int node_write(struct volume *vol, struct vnode *dir,
		      struct htree_node *node)
{
	uint8_t *data = dir_block(vol, dir, node->lblk, true);

	if (data == NULL) {
		return poke_error(vol);
	}
	node->entries = (void *)(data + node_offset(vol, node->lblk, data));
	node->count = (void *)node->entries;
	return 0;
}

/* Enters a block behind the entry that was taken; there is room. */
static void node_insert(struct htree_node *node, uint32_t hash, uint32_t block)
{
	struct ext2_dx_entry *to = &node->entries[node->at + 1];

	memmove(to + 1, to, (node->count->count - node->at - 1) * sizeof(*to));
	to->hash = hash;
	to->block = block;
	node->count->count++;
}

/* The order of names in a tree. */
static bool before(const struct htree_item *x, const struct htree_item *y)
{
	if (x->hash != y->hash) {
		return x->hash < y->hash;
	}
	return x->minor != y->minor ? x->minor < y->minor
				    : x->offset < y->offset;
}

/**
 * Sorts by hash. A block's names are few, and half of them sorted already where a leaf
 * was split: insertion over shrinking distances (Shell's) is enough.
 */
void htree_sort(struct htree_item *items, uint32_t count)
{
	uint32_t gap = 1;

	while (gap < count / 3) {
		gap = gap * 3 + 1;
	}
	for (; gap > 0; gap /= 3) {
		for (uint32_t i = gap; i < count; i++) {
			const struct htree_item item = items[i];
			uint32_t at = i;

			while (at >= gap && before(&item, &items[at - gap])) {
				items[at] = items[at - gap];
				at -= gap;
			}
			items[at] = item;
		}
	}
}

/**
 * The entries of a leaf, sorted; in room for as many as there can be. Returns 0,
 * EIO or EOPNOTSUPP.
 */
int htree_leaf(const struct volume *vol, int version,
		      const uint8_t *data, struct htree_item *items,
		      uint32_t *count)
{
	*count = 0;
	for (uint32_t offset = 0; offset < dir_limit(vol); ) {
		const struct ext2_dir_entry_2 *entry =
			(const void *)(data + offset);
		struct htree_item *item = &items[*count];
		int error;

		if (!index_sound(vol, entry, offset)) {
			return EIO;
		}
		if (entry->inode != 0) {
			item->offset = (uint16_t)offset;
			item->size = (uint16_t)dir_entry_size(entry->name_len);
			error = name_hash(vol, version, entry->name,
					  entry->name_len, &item->hash,
					  &item->minor);
			if (error != 0) {
				return error;
			}
			++*count;
		}
		offset += entry->rec_len;
	}
	htree_sort(items, *count);
	return 0;
}

/**
 * Writes entries of an old block into block lblk, packed, and into the index, where
 * they are no more.
 */
void htree_fill(struct volume *vol, struct vnode *dir, uint32_t lblk,
		uint8_t *data, const uint8_t *old,
		const struct htree_item *items, uint32_t count)
{
	struct ext2_dir_entry_2 *entry = NULL;
	uint32_t at = 0;

	dir_block_init(vol, data);
	for (uint32_t i = 0; i < count; i++) {
		entry = (void *)(data + at);
		memcpy(entry, old + items[i].offset, items[i].size);
		entry->rec_len = items[i].size;
		index_add(dir->index, index_hash(vol, entry->name,
						 entry->name_len),
			  (lblk << vol->shift) + at);
		at += items[i].size;
	}
	/* The last has what is left. */
	if (entry != NULL) {
		entry->rec_len = (uint16_t)(entry->rec_len +
					    dir_limit(vol) - at);
	}
	dir->index->blocks[lblk].slack = (uint16_t)dir_limit(vol);
	dir->index->blocks[lblk].room = entry == NULL ? 0 :
		(uint16_t)((uint8_t *)entry - data);
}

/* How many of a leaf's entries stay, so that the rest is half of its bytes. */
static uint32_t split_at(const struct volume *vol,
			 const struct htree_item *items, uint32_t count)
{
	uint32_t bytes = 0, at = count;

	while (at > 1 && bytes + items[at - 1].size / 2u <=
			 vol->block_size / 2) {
		bytes += items[--at].size;
	}
	return at < count ? at : count - 1;
}

/** Takes entries of block lblk, of which old is a copy, out of the index. */
void htree_forget(struct volume *vol, struct vnode *dir, uint32_t lblk,
		  const uint8_t *old, const struct htree_item *items,
		  uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct ext2_dir_entry_2 *entry =
			(const void *)(old + items[i].offset);

		index_remove(dir->index, index_hash(vol, entry->name,
						    entry->name_len),
			     (lblk << vol->shift) + items[i].offset);
	}
}

/* Splits the leaf at the end of a way: the upper half of its hashes goes into a
 * new block, which is entered behind it. The node has room. */
static int split_leaf(struct volume *vol, struct vnode *dir,
		      struct htree_way *way, struct htree_item *items,
		      uint8_t *old)
{
	struct htree_node *node = &way->nodes[way->depth - 1];
	uint8_t *data = dir_block(vol, dir, way->leaf, true), *more;
	uint32_t new = dir->index->block_count, count, keep, hash;
	int error = data != NULL ? node_write(vol, dir, node)
				 : poke_error(vol);

	if (error == 0) {
		memcpy(old, data, vol->block_size);
		error = htree_leaf(vol, way->hash_version, old, items, &count);
	}
	if (error == 0) {
		error = count < 2 ? EOPNOTSUPP : dir_append_block(vol, dir);
	}
	if (error != 0) {
		return error;
	}
	more = dir_block(vol, dir, new, true);
	keep = split_at(vol, items, count);
	htree_forget(vol, dir, way->leaf, old, items, count);
	htree_fill(vol, dir, way->leaf, data, old, items, keep);
	htree_fill(vol, dir, new, more, old, items + keep, count - keep);
	/* Names of one hash in both: the lowest bit says so. */
	hash = items[keep].hash;
	node_insert(node, hash | (hash == items[keep - 1].hash), new);
	return 0;
}

/* Makes a block a node of the tree, with these entries. */
static void node_make(struct volume *vol, uint8_t *data,
		      const struct ext2_dx_entry *entries, uint32_t count)
{
	struct ext2_dir_entry_2 *fake = (void *)data;
	struct ext2_dx_countlimit *limit = (void *)(data + NODE_ENTRIES);

	memset(data, 0, vol->block_size);
	fake->rec_len = (uint16_t)vol->block_size;
	memcpy(limit, entries, count * sizeof(*entries));
	limit->limit = (uint16_t)htree_limit(vol, NODE_ENTRIES);
	limit->count = (uint16_t)count;
}

/* Makes room in the node above the leaf: a new node gets the upper half of its
 * entries, or all of a root's. ENOSPC when the tree cannot grow. */
static int split_node(struct volume *vol, struct vnode *dir,
		      struct htree_way *way)
{
	struct htree_node *root = &way->nodes[0], *node = &way->nodes[1];
	uint32_t new = dir->index->block_count, half;
	struct ext2_dx_root_info *info;
	uint8_t *data;
	int error;

	if (way->depth == 2 && root->count->count == root->count->limit) {
		return ENOSPC;
	}
	error = node_write(vol, dir, root);
	if (error == 0 && way->depth == 2) {
		error = node_write(vol, dir, node);
	}
	if (error == 0) {
		error = dir_append_block(vol, dir);
	}
	if (error != 0) {
		return error;
	}
	data = dir_block(vol, dir, new, true);
	dir->index->blocks[new].slack = dir->index->blocks[new].room = 0;
	if (way->depth == 1) {
		node_make(vol, data, root->entries, root->count->count);
		info = (void *)((uint8_t *)root->entries - HTREE_ROOT_ENTRIES +
				HTREE_ROOT_INFO);
		info->indirect_levels = 1;
		root->count->count = 1;
		root->entries[0].block = new;
		return 0;
	}
	half = node->count->count / 2;
	node_make(vol, data, node->entries + half, node->count->count - half);
	node_insert(root, node->entries[half].hash, new);
	node->count->count = (uint16_t)half;
	return 0;
}

/* Splits what is full on the way to where a hash belongs. */
static int make_room(struct volume *vol, struct vnode *dir,
		     struct htree_way *way)
{
	struct htree_node *node = &way->nodes[way->depth - 1];
	struct htree_item *items;
	int error;

	if (node->count->count == node->count->limit) {
		return split_node(vol, dir, way);
	}
	items = malloc(vol->block_size / DIR_ENTRY_MIN * sizeof(*items) +
		       vol->block_size);
	if (items == NULL) {
		return ENOMEM;
	}
	error = split_leaf(vol, dir, way, items,
			   (uint8_t *)(items + vol->block_size /
				       DIR_ENTRY_MIN));
	free(items);
	return error;
}

/**
 * Finds or makes room for a name in the leaf that it belongs to:
 * index->slack_place is where. Returns 0, EOPNOTSUPP (there is no sound tree of a
 * kind that is known), ENOSPC (also when a tree of two levels is full), EFBIG,
 * EAGAIN, EIO or ENOMEM. What it made stays, used or not.
 */
int htree_room(struct volume *vol, struct vnode *dir, const char *name,
	       size_t len)
{
	struct htree_way way;
	uint32_t hash, minor;
	int error = way_begin(vol, dir, &way);

	if (error == 0) {
		error = name_hash(vol, way.hash_version, name, len, &hash,
				  &minor);
	}
	for (unsigned step = 0; error == 0 && step < STEPS_MAX; step++) {
		error = way_down(vol, dir, hash, &way);
		if (error == 0) {
			error = dir_block_room(vol, dir, way.leaf,
					       dir_entry_size(len));
			if (error != ENOSPC) {
				return error;
			}
			error = alloc_ready(vol, 0, 2);
		}
		if (error == 0) {
			error = make_room(vol, dir, &way);
		}
		if (error == 0) {
			error = way_begin(vol, dir, &way);
		}
	}
	return error != 0 ? error : ENOSPC;
}
