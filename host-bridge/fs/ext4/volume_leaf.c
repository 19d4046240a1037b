/* SPDX-License-Identifier: MIT */
/*
 * Which leaf of a file's extent tree each of its runs is in, so that a change
 * writes the leaves that it concerns and no others: a full one is split in two,
 * an empty one goes. Few runs are in the inode, without a leaf.
 *
 * The tree's other blocks are a heap (vn->tree): those that the index needs, and
 * those that are about to become leaves. They are taken with their memory before
 * runs are added, so that writing the tree cannot fail for want of space; what is
 * too much goes back when it is written.
 *
 * Invariants: the leaves' counts add up to run_count, or there are none; the heap
 * has room for all leaves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define RUNS_MAX	(1u << 20)	/* of a file: 16 MiB of memory */
#define ROOM		3u		/* in a leaf, for one change */

/** Blocks of index above so many leaves, beside the inode. */
uint32_t leaf_index(const struct volume *vol, uint32_t leaves)
{
	uint32_t blocks = 0;

	while (leaves > TREE_ROOT_ENTRIES) {
		leaves = (leaves + vol->node_entries - 1) / vol->node_entries;
		blocks += leaves;
	}
	return blocks;
}

/* Whether there are too many runs for the inode and no leaf yet. */
static bool leaf_first_due(const struct vnode *vn)
{
	return vn->leaf_count == 0 && vn->run_count > TREE_ROOT_ENTRIES;
}

/** Counts anew what writing the tree will change, and notes that it is due. */
void leaf_due(struct volume *vol, struct vnode *vn)
{
	uint32_t due = vn->leaves_changed + leaf_index(vol, vn->leaf_count) +
		       leaf_first_due(vn);

	vol->tree_due += due - vn->tree_due;
	vn->tree_due = due;
	vn->dirty = vn->tree_dirty = true;
}

static void mark(struct vnode *vn, struct tree_leaf *leaf)
{
	vn->leaves_changed += !leaf->changed;
	leaf->changed = true;
}

/* The leaf that run number at is in, the last one for what is behind all. It is
 * then vn->leaf, and leaf_first its first run. There is one. */
static struct tree_leaf *leaf_of(struct vnode *vn, uint32_t at)
{
	while (at < vn->leaf_first) {
		vn->leaf_first -= vn->leaves[--vn->leaf].count;
	}
	while (vn->leaf + 1 < vn->leaf_count &&
	       at - vn->leaf_first >= vn->leaves[vn->leaf].count) {
		vn->leaf_first += vn->leaves[vn->leaf++].count;
	}
	return &vn->leaves[vn->leaf];
}

/** Run number at is another than it was. */
void leaf_changed(struct volume *vol, struct vnode *vn, uint32_t at)
{
	if (vn->leaf_count > 0) {
		mark(vn, leaf_of(vn, at));
	}
	leaf_due(vol, vn);
}

/** All runs from number at on are others than they were. */
void leaf_changed_from(struct volume *vol, struct vnode *vn, uint32_t at)
{
	if (vn->leaf_count > 0) {
		leaf_of(vn, at);
	}
	for (uint32_t i = vn->leaf; i < vn->leaf_count; i++) {
		mark(vn, &vn->leaves[i]);
	}
	leaf_due(vol, vn);
}

/** Blocks that are written when all runs from number at on change. */
uint32_t leaf_cost(const struct volume *vol, struct vnode *vn, uint32_t at)
{
	if (vn->leaf_count == 0) {
		return 0;
	}
	leaf_of(vn, at);
	return vn->leaf_count - vn->leaf + leaf_index(vol, vn->leaf_count);
}

/* Puts a leaf of some runs behind the one that vn->leaf is. */
static void leaf_enter(struct vnode *vn, uint32_t count)
{
	struct tree_leaf *to = &vn->leaves[vn->leaf + 1];

	memmove(to + 1, to, (vn->leaf_count - vn->leaf - 1) * sizeof(*to));
	*to = (struct tree_leaf){
		.block = vn->tree[--vn->tree_count], .count = count,
	};
	mark(vn, to);
	vn->leaf_count++;
}

/* Makes the first leaf, of all runs, when it is time: not in the middle of a
 * change, which may have one more for a moment. */
static void leaf_begin(struct volume *vol, struct vnode *vn)
{
	if (leaf_first_due(vn)) {
		vn->leaf = UINT32_MAX;
		leaf_enter(vn, vn->run_count);
		vn->leaf = vn->leaf_first = 0;
		leaf_due(vol, vn);
	}
}

/**
 * Run number at has come; run_count has it already. leaf_reserve() has made room.
 */
void leaf_added(struct volume *vol, struct vnode *vn, uint32_t at)
{
	struct tree_leaf *leaf;

	if (vn->leaf_count == 0) {
		leaf_due(vol, vn);
		return;
	}
	leaf = leaf_of(vn, at);
	if (leaf->count == vol->node_entries) {
		/* What is only ever made longer has full ones. */
		uint32_t keep = at + 1 == vn->run_count ? leaf->count
							: leaf->count / 2;

		leaf_enter(vn, leaf->count - keep);
		mark(vn, leaf);
		leaf->count = keep;
		leaf = at - vn->leaf_first < keep ? leaf : leaf + 1;
	}
	mark(vn, leaf);
	leaf->count++;
	leaf_due(vol, vn);
}

/* Takes leaf number i out, whose runs have gone or are in another. */
static void leaf_leave(struct vnode *vn, uint32_t i)
{
	struct tree_leaf *leaf = &vn->leaves[i];

	vn->tree[vn->tree_count++] = leaf->block;
	vn->leaves_changed -= leaf->changed;
	vn->leaf_count--;
	memmove(leaf, leaf + 1, (vn->leaf_count - i) * sizeof(*leaf));
	if (vn->leaf == vn->leaf_count && vn->leaf > 0) {
		vn->leaf_first -= vn->leaves[--vn->leaf].count;
	}
}

/* Joins the leaf that vn->leaf is, and the next, when half of one has room for
 * both. */
static void leaf_join(const struct volume *vol, struct vnode *vn)
{
	struct tree_leaf *leaf = &vn->leaves[vn->leaf];

	if (vn->leaf + 1 < vn->leaf_count &&
	    leaf[0].count + leaf[1].count <= vol->node_entries / 2) {
		leaf[0].count += leaf[1].count;
		mark(vn, leaf);
		leaf_leave(vn, vn->leaf + 1);
	}
}

/** Runs are gone, from number at on; what followed has their numbers. */
void leaf_removed(struct volume *vol, struct vnode *vn, uint32_t at,
		  uint32_t count)
{
	while (count > 0 && vn->leaf_count > 0) {
		struct tree_leaf *leaf = leaf_of(vn, at);
		uint32_t n = vn->leaf_first + leaf->count - at;

		n = n < count ? n : count;
		mark(vn, leaf);
		leaf->count -= n;
		count -= n;
		if (leaf->count == 0) {
			leaf_leave(vn, vn->leaf);
		}
	}
	if (vn->leaf_count > 0) {
		leaf_of(vn, at);
		leaf_join(vol, vn);
	}
	leaf_due(vol, vn);
}

/** All runs are in the inode from now on. */
void leaf_none(struct volume *vol, struct vnode *vn)
{
	vn->leaf = vn->leaf_first = 0;
	while (vn->leaf_count > 0) {
		leaf_leave(vn, vn->leaf_count - 1);
	}
	leaf_due(vol, vn);
}

/* Makes room in an array for need entries of size bytes, twice as much as there
 * was where that is more. Returns 0 or ENOMEM; then it is as it was. */
static int leaf_grow(void **array, uint32_t *space, uint32_t need, size_t size)
{
	uint32_t want = *space == 0 ? TREE_ROOT_ENTRIES : *space * 2;
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

/** Memory for so many runs, leaves and other blocks of the tree. 0, EFBIG (too
 * many) or ENOMEM. */
int leaf_memory(struct vnode *vn, uint32_t runs, uint32_t leaves,
		uint32_t others)
{
	int error = runs > RUNS_MAX ? EFBIG
		    : leaf_grow((void **)&vn->runs, &vn->run_space, runs,
				sizeof(*vn->runs));

	if (error == 0) {
		error = leaf_grow((void **)&vn->leaves, &vn->leaf_space, leaves,
				  sizeof(*vn->leaves));
	}
	return error != 0 ? error
	       : leaf_grow((void **)&vn->tree, &vn->tree_space,
			   leaves + others, sizeof(*vn->tree));
}

/* Takes one more block for the tree, which the array has room for. Returns 0,
 * ENOSPC, EAGAIN or EIO. */
static int take(struct volume *vol, struct vnode *vn)
{
	uint64_t block;
	uint32_t got;
	int error = volume_alloc(vol, 0, 1, &block, &got);

	if (error != 0) {
		return error;
	}
	if (vol->dev->ops->change(vol->dev, block, true) == NULL) {
		error = poke_error(vol);
		volume_untake(vol, block, 1);
		return error;
	}
	vn->tree[vn->tree_count++] = block;
	ext2fs_iblk_add_blocks(vol->fs, &vn->in_small, 1);
	leaf_due(vol, vn);
	return 0;
}

/* Frees all blocks of the heap but the first keep. */
static void cut(struct volume *vol, struct vnode *vn, uint32_t keep)
{
	while (vn->tree_count > keep) {
		volume_free(vol, vn->tree[--vn->tree_count], 1);
		ext2fs_iblk_sub_blocks(vol->fs, &vn->in_small, 1);
		leaf_due(vol, vn);
	}
}

/** Frees the tree's blocks that it does not need: after a change, or later. */
void leaf_trim(struct volume *vol, struct vnode *vn)
{
	leaf_begin(vol, vn);
	cut(vol, vn, leaf_index(vol, vn->leaf_count));
}

/* How many leaves a change at those two runs may make, which adds more of them. */
static uint32_t splits(const struct volume *vol, struct vnode *vn,
		       const uint32_t at[2], uint32_t more)
{
	const struct tree_leaf *last = NULL;
	uint32_t n = 0;

	if (vn->leaf_count == 0) {
		return vn->run_count + more > TREE_ROOT_ENTRIES;
	}
	for (unsigned i = 0; i < 4; i++) {
		const struct tree_leaf *leaf = leaf_of(vn, at[i / 2] + i % 2);

		n += leaf != last && leaf->count + ROOM > vol->node_entries;
		last = leaf;
	}
	return n;
}

/**
 * Makes sure that a change which begins at block lblk of the file, and ends
 * before end, can leave it with that many runs more there, 1 or 2. Returns 0,
 * EFBIG (too many), ENOMEM, ENOSPC, EAGAIN or EIO. But for EAGAIN, blocks that
 * were taken before it failed stay: leaf_trim() gives back what is too much.
 */
int leaf_reserve(struct volume *vol, struct vnode *vn, uint32_t lblk,
		 uint32_t end, uint32_t more)
{
	uint32_t at[2] = { run_number(vn, lblk), run_number(vn, end) };
	uint32_t before, need, new, space = vn->run_space;
	int error;

	leaf_begin(vol, vn);
	new = splits(vol, vn, at, more);
	before = vn->tree_count;
	need = new + leaf_index(vol, vn->leaf_count + new);
	error = leaf_memory(vn, vn->run_count + ROOM, vn->leaf_count + new,
			    need > before ? need : before);
	if (vn->run_space != space) {
		vnode_count(vol, vn);
	}
	if (error == 0 && before < need) {
		error = alloc_ready(vol, 0, need - before);
	}
	while (error == 0 && vn->tree_count < need) {
		error = take(vol, vn);
	}
	if (error == EAGAIN) {
		cut(vol, vn, before);
	}
	return error;
}
