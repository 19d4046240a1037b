/* SPDX-License-Identifier: MIT */
/*
 * The space of files: blocks before they are written, holes, and where data is.
 * Modes, their combinations and errors are those of Linux's ext4.
 * [Linux man-pages "fallocate(2)", "lseek(2)"]
 */
#include <errno.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define KEEP_SIZE	VOLUME_FALLOC_KEEP_SIZE
#define PUNCH		VOLUME_FALLOC_PUNCH
#define COLLAPSE	VOLUME_FALLOC_COLLAPSE
#define ZERO		VOLUME_FALLOC_ZERO
#define INSERT		VOLUME_FALLOC_INSERT

/* A range of a file: from its first byte to before end, and the whole blocks in
 * it. */
struct range {
	uint64_t from, end;
	uint32_t first, count;
};

static struct range range_of(const struct volume *vol, uint64_t offset,
			     uint64_t len)
{
	struct range r = { .from = offset, .end = offset + len };
	uint64_t last = r.end >> vol->shift;

	r.first = (uint32_t)((offset + vol->block_size - 1) >>
			     vol->shift);
	r.count = last > r.first ? (uint32_t)last - r.first : 0;
	return r;
}

/* Whether Linux would take that mode, and that range with it: 0, EINVAL,
 * EOPNOTSUPP or EFBIG. */
static int space_check(const struct volume *vol, unsigned mode,
		       uint64_t offset, uint64_t len)
{
	unsigned whole = mode & (COLLAPSE | INSERT);

	if (len == 0 || offset > INT64_MAX || len > INT64_MAX) {
		return EINVAL;
	}
	if ((mode & ~(KEEP_SIZE | PUNCH | COLLAPSE | ZERO | INSERT)) != 0 ||
	    (mode & (PUNCH | ZERO)) == (PUNCH | ZERO) ||
	    (mode & (PUNCH | KEEP_SIZE)) == PUNCH) {
		return EOPNOTSUPP;
	}
	if (whole != 0 && (mode & (mode - 1)) != 0) {
		return EINVAL;
	}
	if (offset + len > file_max(vol)) {
		return EFBIG;
	}
	return whole != 0 && (offset | len) % vol->block_size != 0 ? EINVAL : 0;
}

/* Zeroes what a range has of blocks that it does not have whole. */
static int space_zero_edges(struct volume *vol, struct vnode *vn,
			    const struct range *r)
{
	uint64_t head = (uint64_t)r->first << vol->shift;
	uint64_t tail = (uint64_t)(r->first + r->count) << vol->shift;
	int error;

	/* All of it within one block. */
	if (head > r->end) {
		return file_zero(vol, vn, r->from, (size_t)(r->end - r->from));
	}
	error = file_zero(vol, vn, r->from, (size_t)(head - r->from));
	return error != 0 ? error
			  : file_zero(vol, vn, tail, (size_t)(r->end - tail));
}

/* Gives all blocks that a range touches, where there are none. What cannot fit
 * is not begun. */
static int space_fill(struct volume *vol, struct vnode *vn,
		      const struct range *r)
{
	uint32_t first = (uint32_t)(r->from >> vol->shift);
	uint32_t count = (uint32_t)((r->end + vol->block_size - 1) >>
				    vol->shift) - first;

	if (run_missing(vn, first, count) >
	    ext2fs_free_blocks_count(vol->fs->super)) {
		return ENOSPC;
	}
	return run_fill(vol, vn, first, count);
}

/* Blocks that change when all that follows a range is moved. */
static uint32_t move_cost(const struct volume *vol, struct vnode *vn,
			  const struct range *r)
{
	return leaf_cost(vol, vn, run_number(vn, r->first)) +
	       run_cost(vol, 1, 1);
}

/* Moving is done in one transaction or not at all: else a power cut in between would
 * leave it half done. Returns 0 or EFBIG. */
static int move_check(const struct volume *vol, struct vnode *vn,
		      const struct range *r)
{
	return due_possible(vol, move_cost(vol, vn, r)) ? 0 : EFBIG;
}

/* What follows the range moves to its place. */
static int space_collapse(struct volume *vol, struct vnode *vn,
			  const struct range *r)
{
	int error = r->end >= vnode_size(vn) ? EINVAL
		    : move_check(vol, vn, r);

	if (error == 0) {
		error = run_punch(vol, vn, r->first, r->count);
	}
	if (error == 0 && !due_fits(vol, move_cost(vol, vn, r))) {
		error = due_wait(vol);
	}
	if (error == 0) {
		run_collapse(vol, vn, r->first + r->count, r->count);
		vnode_set_size(vol, vn, vnode_size(vn) - (r->end - r->from));
	}
	return error;
}

/* What was at the range and follows moves behind it. */
static int space_insert(struct volume *vol, struct vnode *vn,
			const struct range *r)
{
	uint64_t len = r->end - r->from;
	int error;

	if (len > file_max(vol) - vnode_size(vn)) {
		return EFBIG;
	}
	error = r->from >= vnode_size(vn) ? EINVAL : move_check(vol, vn, r);
	if (error == 0) {
		error = run_make_gap(vol, vn, r->first, r->count);
	}
	if (error == 0) {
		vnode_set_size(vol, vn, vnode_size(vn) + len);
	}
	return error;
}

/* Has all read that changing the range needs: the blocks at its edges, so that
 * neither is zeroed before the other is there, and the bitmaps for blocks that it
 * does not have and for the tree. */
static int space_ready(struct volume *vol, struct vnode *vn, unsigned mode,
		       const struct range *r)
{
	uint32_t first = (uint32_t)(r->from >> vol->shift);
	uint32_t count = (uint32_t)((r->end + vol->block_size - 1) >>
				    vol->shift) - first;
	int error = 0;

	if (vol->dev->instant) {
		return 0;
	}
	if ((mode & (PUNCH | ZERO)) != 0) {
		int last = file_touch(vol, vn, r->end - 1, 1);

		error = file_touch(vol, vn, r->from, 1);
		error = error != 0 ? error : last;
	}
	if (error == 0) {
		error = (mode & (PUNCH | COLLAPSE | INSERT)) != 0
			? alloc_ready(vol, 0, 4)
			: run_ready(vol, vn, first, count);
	}
	return error;
}

/* Does what the mode, which was checked, says. */
static int space_do(struct volume *vol, struct vnode *vn, unsigned mode,
		    const struct range *r)
{
	int error = 0;

	if ((mode & COLLAPSE) != 0) {
		return space_collapse(vol, vn, r);
	}
	if ((mode & INSERT) != 0) {
		return space_insert(vol, vn, r);
	}
	if ((mode & (PUNCH | ZERO)) != 0) {
		error = space_zero_edges(vol, vn, r);
	}
	if (error == 0 && (mode & PUNCH) != 0 && r->count > 0) {
		error = run_punch(vol, vn, r->first, r->count);
	}
	if (error == 0 && (mode & ZERO) != 0 && r->count > 0) {
		error = run_unwrite(vol, vn, r->first, r->count);
	}
	if (error == 0 && (mode & PUNCH) == 0) {
		error = space_fill(vol, vn, r);
	}
	if (error == 0 && (mode & KEEP_SIZE) == 0 && r->end > vnode_size(vn)) {
		vnode_set_size(vol, vn, r->end);
	}
	return error;
}

/**
 * Changes which blocks a range of a regular file has, by mode
 * (VOLUME_FALLOC_*). Without PUNCH, COLLAPSE, ZERO or INSERT it has blocks
 * after it; those that are new read as zeros. PUNCH (with KEEP_SIZE) and ZERO
 * make it zeros, without blocks or with; COLLAPSE takes it out of the file,
 * INSERT puts a hole there, and what follows moves: both only in whole blocks,
 * and within the file. The file grows to the range's end unless KEEP_SIZE is
 * set. Returns 0, EINVAL (no length; not in whole blocks; COLLAPSE to or beyond
 * the end, INSERT at or beyond it; modes that do not go together), EOPNOTSUPP
 * (a mode that ext4 has not; block maps), EFBIG, ENOSPC, EPERM (immutable; but
 * for more space, append-only), EISDIR or ENODEV (no regular file), EROFS,
 * ESTALE, EIO or ENOMEM. After an error parts of the range may have blocks
 * already, or be zeros where they are to be. Before a journal what is more than
 * a transaction says EAGAIN after each; EFBIG: what would move is more.
 */
int volume_fallocate(struct volume *vol, uint32_t ino, unsigned mode,
		     uint64_t offset, uint64_t len)
{
	struct vnode *vn;
	struct range r;
	int error = space_check(vol, mode, offset, len);

	volume_trim(vol);
	if (error == 0) {
		error = vol->dev->read_only ? EROFS : file_get(vol, ino, &vn);
		error = error == EINVAL ? ENODEV : error;
	}
	if (error == 0) {
		error = (mode & ~KEEP_SIZE) != 0 ? flags_free(vn)
						 : flags_growing(vn);
	}
	if (error != 0) {
		return error;
	}
	r = range_of(vol, offset, len);
	error = orphan_settle(vol, vn);
	if (error == 0) {
		error = space_ready(vol, vn, mode, &r);
	}
	if (error != 0) {
		return error;
	}
	error = space_do(vol, vn, mode, &r);
	/* An error on the way may have left zeros. */
	if (error == 0 || (mode & (PUNCH | ZERO)) != 0) {
		vnode_touch(vn, VNODE_MTIME | VNODE_CTIME);
		event_modified(vol, vn, offset,
			       (mode & (COLLAPSE | INSERT)) != 0
			       ? VOLUME_TO_END : len);
	}
	return error;
}

/* The first block from lblk on that has data, or that has none; behind the last
 * block the file has, for none (UINT64_MAX for data). */
static uint64_t space_next(struct vnode *vn, uint32_t lblk, bool data)
{
	const struct run *run = run_find(vn, lblk);
	uint64_t at = lblk;

	for (; run != NULL && run < &vn->runs[vn->run_count]; run++) {
		if (run->unwritten) {
			continue;
		}
		if (data) {
			return run->lblk > at ? run->lblk : at;
		}
		if (run->lblk > at) {
			break;
		}
		at = (uint64_t)run->lblk + run->len;
	}
	return data ? UINT64_MAX : at;
}

/**
 * The first byte from offset on that is in data (VOLUME_SEEK_DATA) or in a hole
 * (VOLUME_SEEK_HOLE; the file's end is one). Blocks not yet written are holes.
 * Returns 0, ENXIO (offset at or beyond the end; no more data), EINVAL (whence,
 * no regular file), EISDIR, EOPNOTSUPP (block maps), ESTALE, EIO or ENOMEM.
 */
int volume_seek(struct volume *vol, uint32_t ino, uint64_t offset,
		unsigned whence, uint64_t *found)
{
	struct vnode *vn;
	uint64_t lblk;
	int error;

	if (whence != VOLUME_SEEK_DATA && whence != VOLUME_SEEK_HOLE) {
		return EINVAL;
	}
	volume_trim(vol);
	error = file_get(vol, ino, &vn);
	if (error == 0 && offset >= vnode_size(vn)) {
		error = ENXIO;
	}
	if (error != 0) {
		return error;
	}
	lblk = space_next(vn, (uint32_t)(offset >> vol->shift),
			  whence == VOLUME_SEEK_DATA);
	if (lblk > UINT32_MAX ||
	    lblk << vol->shift >= vnode_size(vn)) {
		if (whence == VOLUME_SEEK_DATA) {
			return ENXIO;
		}
		*found = vnode_size(vn);
	} else {
		*found = lblk << vol->shift;
	}
	if (*found < offset) {
		*found = offset;	/* in the middle of its block */
	}
	return 0;
}
