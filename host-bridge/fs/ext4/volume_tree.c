/* SPDX-License-Identifier: MIT */
/*
 * The extent tree as the device has it: read once into a sorted array of runs
 * (volume_run.c) and one of leaves (volume_leaf.c), and written from them when the
 * inode is written back: the leaves that have changed, and the index above all.
 * [Linux "Documentation/filesystems/ext4/ifork.rst: Extent Tree"]
 *
 * Extents that the device holds are checked as they are read.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define ROOT_ENTRIES	TREE_ROOT_ENTRIES
#define NODE_MAGIC	0xf30a
#define DEPTH_MAX	5u		/* that anybody makes */

/* The tree as it is stored: a header and 12-byte entries. */
struct node_header {
	uint16_t magic, entries, max, depth;
	uint32_t generation;
};

struct node_extent {
	uint32_t lblk;
	uint16_t len, pblk_high;
	uint32_t pblk;
};

struct node_index {
	uint32_t lblk, node;
	uint16_t node_high, unused;
};

static_assert(sizeof(struct node_header) == 12, "as stored");
static_assert(sizeof(struct node_extent) == 12, "as stored");
static_assert(sizeof(struct node_index) == 12, "as stored");

/**
 * How many entries a block of the tree has, beside its header; what is left is
 * enough for a checksum.
 */
uint32_t tree_node_entries(uint32_t block_size)
{
	return (block_size - (uint32_t)sizeof(struct node_header)) /
	       (uint32_t)sizeof(struct node_extent);
}

/* Enters one extent of the tree as read. Returns 0, EIO for one that breaks the
 * invariants, or ENOMEM. */
static int load_extent(const struct volume *vol, struct vnode *vn,
		       const struct node_extent *ext)
{
	uint64_t end = ext2fs_blocks_count(vol->fs->super);
	uint64_t pblk = (uint64_t)ext->pblk_high << 32 | ext->pblk;
	/* Above what a written one can have: unwritten. */
	bool unwritten = ext->len > RUN_MAX;
	uint32_t len = ext->len - (unwritten ? RUN_MAX : 0);
	uint64_t from = 0;		/* the first block it may begin at */
	int error = leaf_memory(vn, vn->run_count + 1, 0, 0);

	if (error != 0) {
		return error;
	}
	/* Behind the run before it: sorted, and no overlap. */
	if (vn->run_count > 0) {
		from = vn->runs[vn->run_count - 1].lblk;
		from += vn->runs[vn->run_count - 1].len;
	}
	if (len == 0 || pblk == 0 || pblk >= end || len > end - pblk ||
	    ext->lblk > UINT32_MAX - len || ext->lblk < from) {
		return EIO;
	}
	vn->runs[vn->run_count++] = (struct run){
		.lblk = ext->lblk, .len = len, .pblk = pblk,
		.unwritten = unwritten,
	};
	return 0;
}

/* Where a way down through the tree stands in an index: what is left of it. */
struct level {
	const struct node_index *next;
	uint32_t left;
};

static uint64_t child_block(const struct node_index *index)
{
	return (uint64_t)index->node_high << 32 | index->node;
}

/* Notes the children of an index as blocks of the tree, if they are not leaves,
 * and has all of them read at once. */
static int load_children(struct volume *vol, struct vnode *vn,
			 const struct level *level, bool leaves)
{
	int error = leaf_memory(vn, 0, vn->leaf_count +
				(leaves ? level->left : 0), vn->tree_count +
				(leaves ? 0 : level->left));

	for (uint32_t i = 0; i < level->left && error != ENOMEM; i++) {
		uint64_t block = child_block(&level->next[i]);

		if (!leaves) {
			vn->tree[vn->tree_count++] = block;
		}
		if (vol->dev->ops->peek(vol->dev, block) == NULL &&
		    error != EIO) {
			error = poke_error(vol);
		}
	}
	return error;
}

/* Enters the extents of a leaf, or of the root (block 0). An empty leaf is one
 * that the index can have. */
static int load_leaf(const struct volume *vol, struct vnode *vn,
		     const struct node_header *node, uint64_t block)
{
	const struct node_extent *ext = (const void *)(node + 1);
	int error = 0;

	for (uint32_t i = 0; error == 0 && i < node->entries; i++) {
		error = load_extent(vol, vn, &ext[i]);
	}
	if (error == 0 && block != 0 && node->entries > 0) {
		vn->leaves[vn->leaf_count++] = (struct tree_leaf){
			.block = block, .count = node->entries,
		};
	} else if (error == 0 && block != 0) {
		vn->tree[vn->tree_count++] = block;
	}
	return error;
}

/* A node that was read, at its height above the leaves: 0 or EIO. */
static int check_node(const struct volume *vol, const struct vnode *vn,
		      const struct node_header *node, uint32_t depth)
{
	bool root = (const void *)node == (const void *)vn->in.i_block;
	uint32_t max = root ? ROOT_ENTRIES : vol->node_entries;
	uint32_t size = (uint32_t)sizeof(*node) +
			node->max * (uint32_t)sizeof(struct node_extent);
	uint32_t csum;

	if (node->magic != NODE_MAGIC || node->depth != depth ||
	    node->max > max || node->entries > node->max) {
		return EIO;
	}
	if (!vol->csum || root) {
		return 0;
	}
	memcpy(&csum, (const uint8_t *)node + size, sizeof(csum));
	return csum == inode_block_csum(vol, vn, node, size) ? 0 : EIO;
}

/* Reads all nodes, from the root down and from left to right. */
static int load_nodes(struct volume *vol, struct vnode *vn)
{
	const struct node_header *node = (const void *)vn->in.i_block;
	uint32_t depth = node->depth, top = 0;
	struct level levels[DEPTH_MAX];
	uint64_t block = 0;
	int error = depth <= DEPTH_MAX ? 0 : EIO;

	while (error == 0) {
		error = check_node(vol, vn, node, depth - top);
		if (error == 0 && top == depth) {
			error = load_leaf(vol, vn, node, block);
		} else if (error == 0) {
			levels[top].next = (const struct node_index *)
					   (node + 1);
			levels[top].left = node->entries;
			error = load_children(vol, vn, &levels[top],
					      top + 1 == depth);
			top++;
		}
		while (top > 0 && levels[top - 1].left == 0) {
			top--;
		}
		if (error != 0 || top == 0) {
			break;
		}
		levels[top - 1].left--;
		block = child_block(levels[top - 1].next++);
		node = (const void *)vol->dev->ops->peek(vol->dev, block);
		error = node == NULL ? poke_error(vol) : 0;
	}
	return error;
}

/**
 * Makes an inode one that has extents, and none yet: an empty root. The rest of
 * i_block is zero.
 */
void tree_init(struct vnode *vn)
{
	struct node_header *root = (void *)vn->in.i_block;

	vn->in.i_flags |= EXT4_EXTENTS_FL;
	root->magic = NODE_MAGIC;
	root->max = ROOT_ENTRIES;
}

/**
 * Reads the runs of a file, once. Returns 0, ENOMEM, ENOSPC, EIO for a damaged
 * tree, EOPNOTSUPP for a file with block maps in place of extents; then the
 * runs may not be used.
 */
int tree_load(struct volume *vol, struct vnode *vn)
{
	const struct node_header *root = (const void *)vn->in.i_block;
	int error;

	if (vn->runs_valid) {
		return 0;
	}
	if ((vn->in.i_flags & EXT4_EXTENTS_FL) == 0) {
		return EOPNOTSUPP;
	}
	vn->run_count = vn->tree_count = vn->cursor = 0;
	vn->leaf_count = vn->leaf = vn->leaf_first = 0;
	/* An empty file needs no walk. */
	if (root->magic == NODE_MAGIC && root->entries == 0) {
		vn->runs_valid = true;
		return 0;
	}
	error = load_nodes(vol, vn);
	vn->runs_valid = error == 0;
	vnode_count(vol, vn);
	return error;
}

/* A node's header: how many entries it has, how many it could have, and how far
 * above the leaves it is.
 * [Linux "fs/ext4/ext4_extents.h: struct ext4_extent_header"] */
static void put_header(void *node, uint32_t entries, uint32_t max,
		       uint32_t depth)
{
	*(struct node_header *)node = (struct node_header){
		.magic = NODE_MAGIC,
		.entries = (uint16_t)entries,
		.max = (uint16_t)max,
		.depth = (uint16_t)depth,
	};
}

/* Writes runs from number first on as a leaf. */
static void put_extents(void *node, const struct vnode *vn, uint32_t first,
			uint32_t count)
{
	struct node_extent *to = (struct node_extent *)node + 1;

	for (uint32_t i = first; i < first + count; i++) {
		const struct run *run = &vn->runs[i];

		*to++ = (struct node_extent){
			.lblk = run->lblk,
			/* Above what a written one can have: unwritten. */
			.len = (uint16_t)(run->len +
					  (run->unwritten ? RUN_MAX : 0)),
			.pblk = (uint32_t)run->pblk,
			.pblk_high = (uint16_t)(run->pblk >> 32),
		};
	}
}

/* Where a way through the leaves stands: at one, and its first run. */
struct walk {
	uint32_t leaf, run;
};

static uint32_t walk_to(const struct vnode *vn, struct walk *walk,
			uint32_t leaf)
{
	while (walk->leaf < leaf) {
		walk->run += vn->leaves[walk->leaf++].count;
	}
	return walk->run;
}

/* A level of the index: count children, each over stride leaves; they are leaves,
 * or blocks of the tree from number below on. */
struct index_level {
	uint32_t count, stride, below;
};

/* Writes an index to children from number first on. */
static void put_index(void *node, const struct vnode *vn,
		      const struct index_level *level, struct walk *walk,
		      uint32_t first, uint32_t count)
{
	struct node_index *to = (struct node_index *)node + 1;

	for (; count > 0; first++, count--) {
		uint64_t block = level->stride == 1
				 ? vn->leaves[first].block
				 : vn->tree[level->below + first];
		uint32_t run = walk_to(vn, walk, first * level->stride);

		*to++ = (struct node_index){
			.lblk = vn->runs[run].lblk,
			.node = (uint32_t)block,
			.node_high = (uint16_t)(block >> 32),
		};
	}
}

/* Writes a node that was made in vol->scratch into its block, unless it is the
 * same as before, for a journal's sake. Returns 0, ENOSPC, EAGAIN or EIO. */
static int put_node(struct volume *vol, const struct vnode *vn, uint64_t block)
{
	uint8_t *node = vol->scratch, *to;
	const uint8_t *was;

	if (vol->csum) {
		uint32_t size = vol->node_entries *
				(uint32_t)sizeof(struct node_extent) +
				(uint32_t)sizeof(struct node_header);
		uint32_t csum = inode_block_csum(vol, vn, node, size);

		memcpy(node + size, &csum, sizeof(csum));
	}
	was = vol->dev->ops->peek(vol->dev, block);
	if (was != NULL && memcmp(was, node, vol->block_size) == 0) {
		return 0;
	}
	to = vol->dev->ops->change(vol->dev, block, true);
	if (to == NULL) {
		return poke_error(vol);
	}
	memcpy(to, node, vol->block_size);
	return 0;
}

/* Writes the leaves that were changed. Returns as put_node(). */
static int store_leaves(struct volume *vol, struct vnode *vn)
{
	struct walk walk = { 0 };

	for (uint32_t i = 0; i < vn->leaf_count && vn->leaves_changed > 0;
	     i++) {
		struct tree_leaf *leaf = &vn->leaves[i];
		int error;

		if (!leaf->changed) {
			continue;
		}
		memset(vol->scratch, 0, vol->block_size);
		put_header(vol->scratch, leaf->count, vol->node_entries, 0);
		put_extents(vol->scratch, vn, walk_to(vn, &walk, i),
			    leaf->count);
		error = put_node(vol, vn, leaf->block);
		if (error != 0) {
			return error;
		}
		leaf->changed = false;
		vn->leaves_changed--;
	}
	return 0;
}

/* Writes the index above the leaves, from the lowest level up, and the root into
 * the inode. Returns as put_node(). */
static int store_index(struct volume *vol, struct vnode *vn)
{
	struct index_level level = { .count = vn->leaf_count, .stride = 1 };
	uint8_t *root = (uint8_t *)vn->in.i_block;
	uint32_t used = 0, depth = 1;
	struct walk walk = { 0 };

	for (; level.count > ROOT_ENTRIES; depth++) {
		uint32_t from = used, first = 0;

		walk = (struct walk){ 0 };
		while (first < level.count) {
			uint32_t n = level.count - first;
			int error;

			n = n < vol->node_entries ? n : vol->node_entries;
			memset(vol->scratch, 0, vol->block_size);
			put_header(vol->scratch, n, vol->node_entries, depth);
			put_index(vol->scratch, vn, &level, &walk, first, n);
			error = put_node(vol, vn, vn->tree[used]);
			if (error != 0) {
				return error;
			}
			used++;
			first += n;
		}
		level = (struct index_level){
			.count = used - from, .below = from,
			.stride = level.stride * vol->node_entries,
		};
	}
	memset(root, 0, sizeof(vn->in.i_block));
	walk = (struct walk){ 0 };
	put_header(root, level.count, ROOT_ENTRIES, depth);
	put_index(root, vn, &level, &walk, 0, level.count);
	return 0;
}

/**
 * Writes the extent tree of a file from its runs, into its inode (in memory)
 * and the tree's blocks, those that have changed; the inode is to be written
 * next. Returns 0, EAGAIN or EIO; then it is to be called again.
 */
int tree_store(struct volume *vol, struct vnode *vn)
{
	uint8_t *root = (uint8_t *)vn->in.i_block;
	int error;

	if (vn->run_count <= ROOT_ENTRIES && vn->leaf_count > 0) {
		leaf_none(vol, vn);
	}
	leaf_trim(vol, vn);
	error = store_leaves(vol, vn);
	if (error == 0 && vn->leaf_count > 0) {
		error = store_index(vol, vn);
	} else if (error == 0) {
		memset(root, 0, sizeof(vn->in.i_block));
		put_header(root, vn->run_count, ROOT_ENTRIES, 0);
		put_extents(root, vn, 0, vn->run_count);
	}
	if (error == 0) {
		vol->tree_due -= vn->tree_due;
		vn->tree_due = 0;
		vn->tree_dirty = false;
	}
	return error;
}
