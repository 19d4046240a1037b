/* SPDX-License-Identifier: MIT */
/*
 * The extent tree as the device has it: read once into a sorted array of runs
 * (volume_run.c), and written anew from that when the inode is written back.
 * The tree's blocks are taken when the array grows, with their memory, so that
 * writing it back cannot fail for want of space.
 * [Linux "Documentation/filesystems/ext4/ifork.rst: Extent Tree"]
 *
 * Invariant: tree_count is at least tree_blocks(run_count). Extents that the
 * device holds are checked as they are read.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define ROOT_ENTRIES	4u		/* in the inode's 60 bytes */
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

static uint32_t div_up(uint32_t n, uint32_t by)
{
	return (n + by - 1) / by;
}

/* Blocks the tree of so many runs needs beside the inode: leaves, and above
 * them one level of index when the root has no room for all. */
static uint32_t tree_blocks(const struct volume *vol, uint32_t runs)
{
	uint32_t leaves;

	if (runs <= ROOT_ENTRIES) {
		return 0;
	}
	leaves = div_up(runs, vol->node_entries);
	return leaves <= ROOT_ENTRIES
	       ? leaves : leaves + div_up(leaves, vol->node_entries);
}

/* Makes room in an array for need entries of size bytes, twice as much as there
 * was where that is more. Returns 0 or ENOMEM; then it is as it was. */
static int grow(void **array, uint32_t *space, uint32_t need, size_t size)
{
	uint32_t want = *space == 0 ? ROOT_ENTRIES : *space * 2;
	void *bigger;

	if (need <= *space) {
		return 0;
	}
	if (want < need) {
		want = need;
	}
	bigger = realloc(*array, want * size);
	if (bigger == NULL) {
		return ENOMEM;
	}
	*array = bigger;
	*space = want;
	return 0;
}

/* Takes one more block for the tree, which the array has room for. Returns 0,
 * ENOSPC or EIO. */
static int tree_grow(struct volume *vol, struct vnode *vn)
{
	uint64_t block;
	uint32_t got;
	int error = volume_alloc(vol, 0, 1, &block, &got);

	if (error != 0) {
		return error;
	}
	if (vol->dev->ops->change(vol->dev, block, true) == NULL) {
		error = poke_error(vol);
		volume_free(vol, block, 1);
		return error;
	}
	vn->tree[vn->tree_count++] = block;
	vn->dirty = vn->tree_dirty = true;
	ext2fs_iblk_add_blocks(vol->fs, &vn->in_small, 1);
	return 0;
}

/* Frees all blocks of the tree but the first keep. */
static void tree_cut(struct volume *vol, struct vnode *vn, uint32_t keep)
{
	while (vn->tree_count > keep) {
		volume_free(vol, vn->tree[--vn->tree_count], 1);
		ext2fs_iblk_sub_blocks(vol->fs, &vn->in_small, 1);
		vn->dirty = vn->tree_dirty = true;
	}
}

/**
 * Makes sure that runs and tree can take count runs. Returns 0, EFBIG, ENOMEM,
 * ENOSPC, EAGAIN or EIO. But for EAGAIN, tree blocks that were taken before it
 * failed stay: tree_trim() gives back what is too much.
 */
int tree_reserve(struct volume *vol, struct vnode *vn, uint32_t count)
{
	uint32_t need = tree_blocks(vol, count), before = vn->tree_count;
	uint32_t space = vn->run_space;
	int error;

	/* Two levels below the root are what is done here. */
	if (count > ROOT_ENTRIES * vol->node_entries * vol->node_entries) {
		return EFBIG;
	}
	/* One more than there will be: run_punch() has it for a moment. */
	error = grow((void **)&vn->runs, &vn->run_space, count + 1,
		     sizeof(*vn->runs));
	if (error == 0) {
		error = grow((void **)&vn->tree, &vn->tree_space, need,
			     sizeof(*vn->tree));
	}
	if (vn->run_space != space) {
		vnode_count(vol, vn);
	}
	if (error == 0 && vn->tree_count < need) {
		error = alloc_ready(vol, 0, need - before);
	}
	while (error == 0 && vn->tree_count < need) {
		error = tree_grow(vol, vn);
	}
	if (error == EAGAIN) {
		tree_cut(vol, vn, before);
	}
	return error;
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
	int error = grow((void **)&vn->runs, &vn->run_space,
			 vn->run_count + 1, sizeof(*vn->runs));

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

/* Notes the children of an index as blocks of the tree, and has all of them
 * read at once. They are used again when the tree is next written. */
static int load_children(struct volume *vol, struct vnode *vn,
			 const struct level *level)
{
	int error = grow((void **)&vn->tree, &vn->tree_space,
			 vn->tree_count + level->left, sizeof(*vn->tree));

	for (uint32_t i = 0; i < level->left && error != ENOMEM; i++) {
		uint64_t block = child_block(&level->next[i]);

		vn->tree[vn->tree_count++] = block;
		if (vol->dev->ops->peek(vol->dev, block) == NULL &&
		    error != EIO) {
			error = poke_error(vol);
		}
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
	int error = depth <= DEPTH_MAX ? 0 : EIO;

	while (error == 0) {
		error = check_node(vol, vn, node, depth - top);
		if (error == 0 && top == depth) {
			const struct node_extent *ext =
				(const struct node_extent *)(node + 1);

			for (uint32_t i = 0; error == 0 && i < node->entries;
			     i++) {
				error = load_extent(vol, vn, &ext[i]);
			}
		} else if (error == 0) {
			levels[top].next = (const struct node_index *)
					   (node + 1);
			levels[top].left = node->entries;
			error = load_children(vol, vn, &levels[top++]);
		}
		while (top > 0 && levels[top - 1].left == 0) {
			top--;
		}
		if (error != 0 || top == 0) {
			break;
		}
		levels[top - 1].left--;
		node = (const void *)vol->dev->ops->peek(
			vol->dev, child_block(levels[top - 1].next++));
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
	/* An empty file needs no walk. */
	if (root->magic == NODE_MAGIC && root->entries == 0) {
		vn->runs_valid = true;
		return 0;
	}
	error = load_nodes(vol, vn);
	/* No sound tree has fewer blocks than ours would; this one may not be
	 * sound. */
	if (error == 0) {
		error = tree_reserve(vol, vn, vn->run_count);
	}
	vn->runs_valid = error == 0;
	vnode_count(vol, vn);
	return error;
}

/**
 * Frees the tree's blocks that the runs do not need. What leaves a surplus may
 * leave it to the next write-back.
 */
void tree_trim(struct volume *vol, struct vnode *vn)
{
	uint32_t need = tree_blocks(vol, vn->run_count);

	if (vn->tree_count > need) {
		tree_cut(vol, vn, need);
	}
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

	for (const struct run *run = &vn->runs[first]; count > 0; count--) {
		*to++ = (struct node_extent){
			.lblk = run->lblk,
			/* Above what a written one can have: unwritten. */
			.len = (uint16_t)(run->len +
					  (run->unwritten ? RUN_MAX : 0)),
			.pblk = (uint32_t)run->pblk,
			.pblk_high = (uint16_t)(run->pblk >> 32),
		};
		run++;
	}
}

/* Writes an index to the tree's blocks from number first on, each of which
 * covers stride runs, the first of them from run number run on. */
static void put_index(void *node, const struct vnode *vn, uint32_t first,
		      uint32_t count, uint32_t run, uint32_t stride)
{
	struct node_index *to = (struct node_index *)node + 1;

	for (; count > 0; first++, run += stride, count--) {
		*to++ = (struct node_index){
			.lblk = vn->runs[run].lblk,
			.node = (uint32_t)vn->tree[first],
			.node_high = (uint16_t)(vn->tree[first] >> 32),
		};
	}
}

/* Fills block number at of the tree: a leaf, or an index to leaves. Leaves come
 * first in vn->tree, then the index blocks. All are full but the last of each
 * kind. One that is the same as before is left alone, for a journal's sake.
 * Returns 0, ENOSPC or EIO. */
static int tree_block(struct volume *vol, struct vnode *vn, uint32_t at,
		      uint32_t leaves)
{
	uint8_t *node = vol->scratch, *to;
	const uint8_t *was;
	bool leaf = at < leaves;
	uint32_t first = (leaf ? at : at - leaves) * vol->node_entries;
	uint32_t count = (leaf ? vn->run_count : leaves) - first;

	if (count > vol->node_entries) {
		count = vol->node_entries;
	}
	memset(node, 0, vol->block_size);
	put_header(node, count, vol->node_entries, leaf ? 0 : 1);
	if (leaf) {
		put_extents(node, vn, first, count);
	} else {
		put_index(node, vn, first, count, first * vol->node_entries,
			  vol->node_entries);
	}
	if (vol->csum) {
		uint32_t size = vol->node_entries *
				(uint32_t)sizeof(struct node_extent) +
				(uint32_t)sizeof(struct node_header);
		uint32_t csum = inode_block_csum(vol, vn, node, size);

		memcpy(node + size, &csum, sizeof(csum));
	}
	was = vol->dev->ops->peek(vol->dev, vn->tree[at]);
	if (was != NULL && memcmp(was, node, vol->block_size) == 0) {
		return 0;
	}
	to = vol->dev->ops->change(vol->dev, vn->tree[at], true);
	if (to == NULL) {
		return poke_error(vol);
	}
	memcpy(to, node, vol->block_size);
	return 0;
}

/**
 * Writes the extent tree of a file from its runs, into its inode (in memory)
 * and the tree's blocks, in the same places as before where there were any; the
 * inode is to be written next. Returns 0, EAGAIN or EIO.
 */
int tree_store(struct volume *vol, struct vnode *vn)
{
	uint32_t runs = vn->run_count;
	uint32_t leaves = runs <= ROOT_ENTRIES ? 0
			  : div_up(runs, vol->node_entries);
	uint32_t nodes = tree_blocks(vol, runs);
	uint8_t *root = (uint8_t *)vn->in.i_block;

	tree_trim(vol, vn);
	memset(root, 0, sizeof(vn->in.i_block));
	for (uint32_t i = 0; i < nodes; i++) {
		int error = tree_block(vol, vn, i, leaves);

		if (error != 0) {
			return error;
		}
	}
	if (nodes == 0) {
		put_header(root, runs, ROOT_ENTRIES, 0);
		put_extents(root, vn, 0, runs);
	} else if (nodes == leaves) {
		put_header(root, leaves, ROOT_ENTRIES, 1);
		put_index(root, vn, 0, leaves, 0, vol->node_entries);
	} else {
		put_header(root, nodes - leaves, ROOT_ENTRIES, 2);
		put_index(root, vn, leaves, nodes - leaves, 0,
			  vol->node_entries * vol->node_entries);
	}
	vn->tree_dirty = false;
	return 0;
}
