/* SPDX-License-Identifier: MIT */
/*
 * Where a file's blocks are: a sorted array of runs, read from the extent tree
 * and written back to it by volume_tree.c. Blocks may be set aside and not yet
 * written: what lies in them is another file's, and they read as zeros.
 *
 * Invariants: runs do not overlap, are sorted by lblk, have 1 to RUN_MAX
 * blocks (one less when unwritten), all within the volume. Whatever may add
 * runs makes room for them first (leaf_reserve()), and then cannot fail. What
 * changes one says so (volume_leaf.c).
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

/**
 * The run that holds block lblk of the file, else the next one after it (then
 * lblk is in a hole), else NULL. Good until the runs change. Remembers where it
 * was: reads go forward.
 */
const struct run *run_find(struct vnode *vn, uint32_t lblk)
{
	uint32_t low = 0, high = vn->run_count;

	if (vn->cursor < vn->run_count) {
		const struct run *run = &vn->runs[vn->cursor];

		if (lblk >= run->lblk && lblk - run->lblk < run->len) {
			return run;
		}
	}
	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (vn->runs[mid].lblk + vn->runs[mid].len <= lblk) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	vn->cursor = low;
	return low < vn->run_count ? &vn->runs[low] : NULL;
}

/**
 * Blocks that freeing some blocks in so many runs changes at most, or giving them:
 * bitmaps and descriptors of the groups that they are in, leaves and index.
 */
uint32_t run_cost(const struct volume *vol, uint32_t runs, uint32_t blocks)
{
	return 2 * (blocks / vol->group_blocks + 2 * runs) + 6;
}

/* The most blocks of a run that are freed, or given, at a time. */
static uint32_t run_step(const struct volume *vol)
{
	uint32_t most = RUN_MAX;

	while (!due_possible(vol, run_cost(vol, 1, most)) && most > 1) {
		most /= 2;
	}
	return most;
}

/** The number of what run_find() finds, or of all there are. */
uint32_t run_number(struct vnode *vn, uint32_t lblk)
{
	const struct run *run = run_find(vn, lblk);

	return run != NULL ? (uint32_t)(run - vn->runs) : vn->run_count;
}

/* The most blocks that a run can have. */
static uint32_t run_max(bool unwritten)
{
	return unwritten ? RUN_MAX - 1 : RUN_MAX;
}

/* Whether a run goes on where another ends, in the file and on the device, and
 * one run can be both. */
static bool run_follows(const struct run *before, const struct run *run)
{
	return before->lblk + before->len == run->lblk &&
	       before->pblk + before->len == run->pblk &&
	       before->unwritten == run->unwritten &&
	       before->len + run->len <= run_max(run->unwritten);
}

/* Enters a run as number at. Room was reserved. */
static void run_insert(struct volume *vol, struct vnode *vn, uint32_t at,
		       struct run new)
{
	memmove(&vn->runs[at + 1], &vn->runs[at],
		(vn->run_count - at) * sizeof(*vn->runs));
	vn->runs[at] = new;
	vn->run_count++;
	leaf_added(vol, vn, at);
}

/* Takes count runs out of the array, from number at on. */
static void run_remove(struct volume *vol, struct vnode *vn, uint32_t at,
		       uint32_t count)
{
	vn->run_count -= count;
	memmove(&vn->runs[at], &vn->runs[at + count],
		(vn->run_count - at) * sizeof(*vn->runs));
	leaf_removed(vol, vn, at, count);
}

/* Joins run number at to the one before it, if it follows that. */
static void run_join(struct volume *vol, struct vnode *vn, uint32_t at)
{
	if (at > 0 && at < vn->run_count &&
	    run_follows(&vn->runs[at - 1], &vn->runs[at])) {
		vn->runs[at - 1].len += vn->runs[at].len;
		leaf_changed(vol, vn, at - 1);
		run_remove(vol, vn, at, 1);
	}
}

/* Splits the run that lblk lies within, so that a run may begin there; room was
 * reserved. Returns the number of the first run from lblk on. */
static uint32_t run_border(struct volume *vol, struct vnode *vn, uint32_t lblk)
{
	const struct run *found = run_find(vn, lblk);
	uint32_t at = run_number(vn, lblk);
	struct run rest;
	uint32_t keep;

	if (found == NULL || found->lblk >= lblk) {
		return at;
	}
	keep = lblk - found->lblk;
	rest = (struct run){
		.lblk = lblk, .len = found->len - keep,
		.pblk = found->pblk + keep, .unwritten = found->unwritten,
	};
	vn->runs[at].len = keep;
	leaf_changed(vol, vn, at);
	run_insert(vol, vn, at + 1, rest);
	return at + 1;
}

/* Enters new blocks before run number at, joined to the run before if they
 * follow it. Room was reserved. The cursor is then at the run that has them. */
static void run_enter(struct volume *vol, struct vnode *vn, uint32_t at,
		      struct run new)
{
	if (at > 0 && run_follows(&vn->runs[at - 1], &new)) {
		vn->runs[at - 1].len += new.len;
		vn->cursor = at - 1;
		leaf_changed(vol, vn, at - 1);
		return;
	}
	run_insert(vol, vn, at, new);
	vn->cursor = at;
}

/**
 * Where blocks of a file should lie that come before run number at: behind the
 * run before, if that is free: then it just gets longer. 0: anywhere.
 */
uint64_t run_goal(const struct vnode *vn, uint32_t at)
{
	return at > 0 ? vn->runs[at - 1].pblk + vn->runs[at - 1].len : 0;
}

/**
 * Gives a file blocks for its hole at lblk: at most want, as many as lie
 * together and fit the hole; *pblk and *got say which. Their content is
 * undefined: they are unwritten, or the caller's to fill, or to give back by
 * run_undo(). Returns 0, ENOSPC, EFBIG (too many pieces), EIO or ENOMEM; the
 * runs are loaded. The file's size is not changed.
 */
int run_extend(struct volume *vol, struct vnode *vn, uint32_t lblk,
	       uint32_t want, bool unwritten, uint64_t *pblk, uint32_t *got)
{
	uint32_t at = run_number(vn, lblk);
	int error = leaf_reserve(vol, vn, lblk, lblk, 1);

	if (error != 0) {
		return error;
	}
	if (want > run_max(unwritten)) {
		want = run_max(unwritten);
	}
	if (at < vn->run_count && want > vn->runs[at].lblk - lblk) {
		want = vn->runs[at].lblk - lblk;
	}
	error = volume_alloc(vol, run_goal(vn, at), want, pblk, got);
	if (error != 0) {
		return error;
	}
	run_enter(vol, vn, at, (struct run){
		.lblk = lblk, .len = *got, .pblk = *pblk,
		.unwritten = unwritten,
	});
	ext2fs_iblk_add_blocks(vol->fs, &vn->in_small, *got);
	return 0;
}

/**
 * Takes back the last count blocks of those that run_extend() just gave:
 * nothing else was done to the runs in between, so the cursor is still there.
 */
void run_undo(struct volume *vol, struct vnode *vn, uint32_t count)
{
	struct run *run = &vn->runs[vn->cursor];

	run->len -= count;
	volume_untake(vol, run->pblk + run->len, count);
	ext2fs_iblk_sub_blocks(vol->fs, &vn->in_small, count);
	leaf_changed(vol, vn, vn->cursor);
	if (run->len == 0) {
		run_remove(vol, vn, vn->cursor, 1);
	}
}

/**
 * Frees the blocks of a file from lblk on, from the end, as many as the
 * transaction has room for; the runs are loaded. Returns whether these were all:
 * one run goes in any case. The size and the rest of the last block are the
 * caller's.
 */
bool run_truncate(struct volume *vol, struct vnode *vn, uint32_t lblk)
{
	uint32_t most = run_step(vol);
	bool all = true;

	while (vn->run_count > 0 && all) {
		/* From the end: the array never has a gap. */
		struct run *last = &vn->runs[vn->run_count - 1];
		uint32_t keep = last->lblk < lblk ? lblk - last->lblk : 0;

		if (keep >= last->len) {
			break;
		}
		keep = last->len - keep > most ? last->len - most : keep;
		volume_free(vol, last->pblk + keep, last->len - keep);
		ext2fs_iblk_sub_blocks(vol->fs, &vn->in_small,
				       last->len - keep);
		last->len = keep;
		leaf_changed(vol, vn, vn->run_count - 1);
		if (keep == 0) {
			run_remove(vol, vn, vn->run_count - 1, 1);
		}
		all = due_fits(vol, run_cost(vol, 1, most));
	}
	leaf_trim(vol, vn);
	return all || vn->run_count == 0;
}

static int punch_some(struct volume *vol, struct vnode *vn, uint32_t lblk,
		      uint32_t count)
{
	int error = leaf_reserve(vol, vn, lblk, lblk + count, 1);
	uint32_t first, last;

	if (error != 0) {
		return error;
	}
	first = run_border(vol, vn, lblk);
	last = run_border(vol, vn, lblk + count);
	for (uint32_t i = first; i < last; i++) {
		volume_free(vol, vn->runs[i].pblk, vn->runs[i].len);
		ext2fs_iblk_sub_blocks(vol->fs, &vn->in_small,
				       vn->runs[i].len);
	}
	run_remove(vol, vn, first, last - first);
	leaf_trim(vol, vn);
	return 0;
}

/* Blocks that freeing those of a file from lblk to before end changes at most. */
static uint32_t punch_cost(const struct volume *vol, struct vnode *vn,
			   uint32_t lblk, uint32_t end)
{
	uint32_t runs = run_number(vn, end) - run_number(vn, lblk) + 1;
	uint64_t blocks = (uint64_t)runs * RUN_MAX;

	return run_cost(vol, runs, blocks < end - lblk ? (uint32_t)blocks
						       : end - lblk);
}

/* How far back from end a transaction has room for. */
static uint32_t punch_from(const struct volume *vol, struct vnode *vn,
			   uint32_t lblk, uint32_t end)
{
	while (end - lblk > 1 &&
	       !due_possible(vol, punch_cost(vol, vn, lblk, end))) {
		uint32_t last = run_number(vn, end);
		uint32_t runs = last - run_number(vn, lblk);

		lblk = runs > 1 ? vn->runs[last - runs / 2].lblk
				: lblk + (end - lblk) / 2;
	}
	return lblk;
}

/**
 * Frees the blocks that a file has in count from lblk on. Returns 0, or ENOSPC,
 * EFBIG, EIO or ENOMEM (what is left may be in more pieces), or EAGAIN: there are
 * more than a transaction has room for. Some are freed then, from the end.
 */
int run_punch(struct volume *vol, struct vnode *vn, uint32_t lblk,
	      uint32_t count)
{
	uint32_t end = lblk + count;
	int error = 0;

	while (error == 0) {
		uint32_t from = punch_from(vol, vn, lblk, end);

		error = punch_some(vol, vn, from, end - from);
		if (error != 0 || from == lblk) {
			break;
		}
		end = from;
		from = punch_from(vol, vn, lblk, end);
		if (!due_fits(vol, punch_cost(vol, vn, from, end))) {
			error = due_wait(vol);
		}
	}
	return error;
}

/**
 * Notes that count blocks from lblk on, of an unwritten run, are written.
 * leaf_reserve() has made room.
 */
void run_written(struct volume *vol, struct vnode *vn, uint32_t lblk,
		 uint32_t count)
{
	uint32_t at = run_border(vol, vn, lblk);

	run_border(vol, vn, lblk + count);
	vn->runs[at].unwritten = false;
	leaf_changed(vol, vn, at);
	run_join(vol, vn, at + 1);
	run_join(vol, vn, at);
}

/* The part of a file's blocks from lblk to before end that becomes unwritten at
 * once: of one run, and no more than one can have. Returns how many, or 0 with
 * what leaf_reserve() said. */
static uint32_t unwrite_some(struct volume *vol, struct vnode *vn,
			     uint32_t lblk, uint32_t end, int *error)
{
	const struct run *run = &vn->runs[run_number(vn, lblk)];
	uint32_t to = run->lblk + run->len, at;

	to = to < end ? to : end;
	to = to - lblk < run_max(true) ? to : lblk + run_max(true);
	if (run->unwritten) {
		return to - lblk;
	}
	*error = leaf_reserve(vol, vn, lblk, to, 2);
	if (*error != 0) {
		return 0;
	}
	at = run_border(vol, vn, lblk);
	run_border(vol, vn, to);
	vol->dev->ops->discard(vol->dev, vn->runs[at].pblk, to - lblk);
	vn->runs[at].unwritten = true;
	leaf_changed(vol, vn, at);
	run_join(vol, vn, at + 1);
	run_join(vol, vn, at);
	return to - lblk;
}

/**
 * Makes the blocks that a file has in count from lblk on unwritten: what is in
 * them is of no more use. Returns as run_punch(), after some were made so.
 */
int run_unwrite(struct volume *vol, struct vnode *vn, uint32_t lblk,
		uint32_t count)
{
	uint32_t end = lblk + count;
	int error = 0;

	while (error == 0) {
		const struct run *run = run_find(vn, lblk);

		if (run == NULL || run->lblk >= end) {
			break;
		}
		lblk = run->lblk > lblk ? run->lblk : lblk;
		if (lblk >= end) {
			break;
		}
		lblk += unwrite_some(vol, vn, lblk, end, &error);
		if (error == 0 && lblk < end &&
		    !due_fits(vol, run_cost(vol, 1, 1))) {
			error = due_wait(vol);
		}
	}
	return error;
}

/** The blocks that are missing in count from lblk on. */
uint32_t run_missing(struct vnode *vn, uint32_t lblk, uint32_t count)
{
	const struct run *run = run_find(vn, lblk);
	uint32_t end = lblk + count, missing = count;

	for (; run != NULL && run < &vn->runs[vn->run_count] &&
	     run->lblk < end; run++) {
		uint32_t from = run->lblk > lblk ? run->lblk : lblk;
		uint32_t to = run->lblk + run->len;

		missing -= (to < end ? to : end) - from;
	}
	return missing;
}

/**
 * Has the bitmaps read that the blocks are taken from that are missing in count
 * from lblk on, and those of the tree. Returns 0 or EAGAIN.
 */
int run_ready(struct volume *vol, struct vnode *vn, uint32_t lblk,
	      uint32_t count)
{
	uint32_t missing, at, more;
	uint64_t goal;
	int error, tree;

	if (vol->dev->instant) {
		return 0;
	}
	missing = run_missing(vn, lblk, count);
	at = run_number(vn, lblk);
	goal = run_goal(vn, at);
	more = 4 + missing / vol->node_entries;
	/* At the end, and where the last search ended: all in one. */
	if (at == vn->run_count && (goal == 0 || goal == vol->goal)) {
		return alloc_ready(vol, goal, missing + more);
	}
	error = missing > 0 ? alloc_ready(vol, goal, missing) : 0;
	/* What has holes has as many places where blocks are looked for. */
	for (; missing > 0 && at < vn->run_count &&
	     vn->runs[at].lblk < lblk + count; at++) {
		int next = alloc_ready(vol, run_goal(vn, at + 1), missing);

		error = error != 0 ? error : next;
	}
	tree = alloc_ready(vol, 0, more);
	return error != 0 ? error : tree;
}

/**
 * Gives a file the blocks that are missing in count from lblk on, unwritten.
 * Returns as run_extend(): when the space ends on the way, without those that
 * there was none for; or EAGAIN, without those that a transaction has no room
 * for.
 */
int run_fill(struct volume *vol, struct vnode *vn, uint32_t lblk,
	     uint32_t count)
{
	uint32_t end = lblk + count, most = run_step(vol);
	int error = run_ready(vol, vn, lblk, count);

	while (error == 0 && lblk < end) {
		const struct run *run = run_find(vn, lblk);
		uint64_t pblk;
		uint32_t got;

		if (run != NULL && run->lblk <= lblk) {
			lblk = run->lblk + run->len;
			continue;
		}
		got = end - lblk < most ? end - lblk : most;
		error = run_extend(vol, vn, lblk, got, true, &pblk, &got);
		lblk += error == 0 ? got : 0;
		if (error == 0 && lblk < end &&
		    !due_fits(vol, run_cost(vol, 1, most))) {
			error = due_wait(vol);
		}
	}
	return error;
}

/**
 * Moves all blocks of a file from lblk on back by count: those between must be
 * missing.
 */
void run_collapse(struct volume *vol, struct vnode *vn, uint32_t lblk,
		  uint32_t count)
{
	uint32_t first = run_border(vol, vn, lblk);

	for (uint32_t i = first; i < vn->run_count; i++) {
		vn->runs[i].lblk -= count;
	}
	leaf_changed_from(vol, vn, first);
	run_join(vol, vn, first);
	vn->cursor = 0;
}

/**
 * Moves all blocks of a file from lblk on ahead by count. Returns 0, or before
 * anything is changed EFBIG (the last would have no number), ENOSPC, EIO or
 * ENOMEM.
 */
int run_make_gap(struct volume *vol, struct vnode *vn, uint32_t lblk,
		 uint32_t count)
{
	const struct run *last = vn->run_count > 0
				 ? &vn->runs[vn->run_count - 1] : NULL;
	uint32_t first;
	int error;

	if (last != NULL && last->lblk + last->len > lblk &&
	    count > UINT32_MAX - (last->lblk + last->len)) {
		return EFBIG;
	}
	error = leaf_reserve(vol, vn, lblk, lblk, 1);
	if (error != 0) {
		return error;
	}
	first = run_border(vol, vn, lblk);
	for (uint32_t i = first; i < vn->run_count; i++) {
		vn->runs[i].lblk += count;
	}
	leaf_changed_from(vol, vn, first);
	vn->cursor = 0;
	return 0;
}
