/* SPDX-License-Identifier: MIT */
/*
 * The content of files. Data goes straight between the caller's memory and the
 * device's blocks. Bytes of the last block beyond a file's end are always zero,
 * so that a file that grows shows zeros there and not what was cut off.
 *
 * New blocks hold what another file left. They become a file's only whole:
 * filled by the write, or with zeros around it, or given back.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define PIECE	1024u			/* blocks of a write that lie together */

/* What holes read as. */
static const uint8_t hole[VOLUME_BLOCK_MAX];

/**
 * Gets a file that has content, with its runs loaded. Returns 0, EISDIR, EINVAL
 * (no regular file), EOPNOTSUPP (block maps), ESTALE, EIO or ENOMEM.
 */
int file_get(struct volume *vol, uint32_t ino, struct vnode **vn)
{
	int error = vnode_get(vol, ino, vn);

	if (error == 0 && vnode_is(*vn, VOLUME_S_IFDIR)) {
		error = EISDIR;
	}
	if (error == 0 && !vnode_is(*vn, VOLUME_S_IFREG)) {
		error = EINVAL;
	}
	return error != 0 ? error : tree_load(vol, *vn);
}

/* As file_get(), for reading: len becomes what is there from offset on. */
static int file_begin(struct volume *vol, uint32_t ino, uint64_t offset,
		      size_t *len, struct vnode **vn)
{
	int error = file_get(vol, ino, vn);
	uint64_t size;

	if (error != 0) {
		return error;
	}
	size = vnode_size(*vn);
	if (offset >= size) {
		*len = 0;
	} else if (*len > size - offset) {
		*len = (size_t)(size - offset);
	}
	return 0;
}

/* Bytes from an offset to the end of its block, at most len. */
static size_t block_rest(const struct volume *vol, uint64_t offset,
			 size_t len)
{
	size_t rest = vol->block_size - (size_t)(offset & (vol->block_size - 1));

	return rest < len ? rest : len;
}

/**
 * Memory for reading at an offset: *data, len bytes or as many as lie together.
 * The runs are loaded. Returns 0, EIO or EAGAIN.
 */
int file_peek(struct volume *vol, struct vnode *vn, uint64_t offset,
	      size_t *len, const uint8_t **data)
{
	uint32_t lblk = (uint32_t)(offset >> vol->shift);
	const struct run *run = run_find(vn, lblk);
	size_t there = block_rest(vol, offset, *len), want = *len;
	struct volume_dev *dev = vol->dev;
	uint64_t block, end;
	const uint8_t *first;

	*len = there;
	if (run == NULL || run->lblk > lblk || run->unwritten) {
		*data = hole + (offset & (vol->block_size - 1));
		return 0;
	}
	block = run->pblk + (lblk - run->lblk);
	end = run->pblk + run->len;
	first = dev->ops->peek(dev, block);
	if (first == NULL) {
		return poke_error(vol);
	}
	*data = first + (offset & (vol->block_size - 1));
	while (there < want && ++block < end &&
	       dev->ops->peek(dev, block) == *data + there) {
		there += vol->block_size;
	}
	*len = there < want ? there : want;
	return 0;
}

/**
 * Has all blocks read that len bytes from offset on are in. The runs are loaded.
 * Returns 0 or EAGAIN, for any of them: EIO is found out by who wants one.
 */
int file_touch(struct volume *vol, struct vnode *vn, uint64_t offset,
	       uint64_t len)
{
	uint64_t end = (offset + len + vol->block_size - 1) >> vol->shift;
	uint64_t lblk = offset >> vol->shift;
	struct volume_dev *dev = vol->dev;
	const struct run *run;
	bool again = false;

	if (dev->instant) {
		return 0;
	}
	/* Of neighbours together, before one is waited for. */
	file_fetch(vol, vn, offset, len);
	while (lblk < end && lblk < UINT32_MAX &&
	       (run = run_find(vn, (uint32_t)lblk)) != NULL) {
		lblk = lblk < run->lblk ? run->lblk : lblk;
		for (; lblk < end && lblk - run->lblk < run->len; lblk++) {
			if (!run->unwritten &&
			    dev->ops->peek(dev, run->pblk +
					   (lblk - run->lblk)) == NULL) {
				again |= dev->absent;
			}
		}
	}
	return again ? EAGAIN : 0;
}

/**
 * Shows len bytes of a regular file from offset on as at most max pieces of
 * memory, good for reading until the volume is next changed. done: how many
 * bytes they hold, less than len at the file's end or when max is too few.
 * Blocks that lie together in memory make one piece; holes are pieces of zeros.
 * Returns 0, EISDIR, EINVAL (no regular file), EOPNOTSUPP (block maps), ESTALE,
 * EIO or ENOMEM. An access time is not kept.
 */
int volume_map(struct volume *vol, uint32_t ino, uint64_t offset, size_t len,
	       struct volume_seg *segs, unsigned max, unsigned *count,
	       size_t *done)
{
	struct vnode *vn;
	unsigned n = 0;
	int error;

	*count = 0;
	*done = 0;
	volume_trim(vol);
	error = file_begin(vol, ino, offset, &len, &vn);
	while (error == 0 && *done < len && n < max) {
		size_t piece = len - *done;
		const uint8_t *data;

		error = file_peek(vol, vn, offset + *done, &piece, &data);
		if (error == EAGAIN) {
			(void)file_touch(vol, vn, offset + *done, len - *done);
			file_ahead(vol, vn, offset, len);
		}
		if (error != 0) {
			return error;
		}
		segs[n].data = data;
		segs[n].len = piece;
		n++;
		*done += piece;
	}
	*count = n;
	if (error == 0 && !vol->dev->instant) {
		file_ahead(vol, vn, offset, *done);
	}
	return error;
}

/**
 * Reads len bytes from offset on; done is less only at the file's end.
 * Returns as volume_map().
 */
int volume_read(struct volume *vol, uint32_t ino, uint64_t offset, void *buf,
		size_t len, size_t *done)
{
	struct vnode *vn;
	int error;

	*done = 0;
	volume_trim(vol);
	error = file_begin(vol, ino, offset, &len, &vn);
	if (error == 0 && !vol->dev->instant) {
		error = file_touch(vol, vn, offset, len);
	}
	while (error == 0 && *done < len) {
		size_t piece = len - *done;
		const uint8_t *data;

		error = file_peek(vol, vn, offset + *done, &piece, &data);
		if (error != 0) {
			return error;
		}
		memcpy((uint8_t *)buf + *done, data, piece);
		*done += piece;
	}
	return error;
}

/* Zeroes what a write to a new block leaves of it. */
static void clear_around(const struct volume *vol, uint8_t *data,
			 size_t skip, size_t len)
{
	memset(data, 0, skip);
	memset(data + skip + len, 0, vol->block_size - skip - len);
}

/* Writes into blocks of the device that belong together in the file, from block
 * on, skip bytes into the first. fresh: they are new. Returns the bytes
 * written, less than len when the device fails. */
static size_t write_blocks(struct volume *vol, uint64_t block, size_t skip,
			   const uint8_t *buf, size_t len, bool fresh)
{
	size_t done = 0;

	while (done < len) {
		size_t piece = block_rest(vol, skip, len - done);
		uint8_t *data = vol->dev->ops->poke(
			vol->dev, block, fresh || piece == vol->block_size);

		if (data == NULL) {
			break;
		}
		if (fresh && piece < vol->block_size) {
			clear_around(vol, data, skip, piece);
		}
		memcpy(data + skip, buf + done, piece);
		done += piece;
		skip = 0;
		block++;
	}
	return done;
}

/* Blocks to write to: some of a run, or of a hole. */
struct target {
	uint64_t pblk;
	uint32_t count;
	bool fresh;		/* what is in them is none of the file's */
	bool unwritten;		/* they were the file's before, unwritten */
};

/* Finds or takes blocks for lblk and what follows, up to want. As many as the
 * write wants; less if the run or hole, or the free blocks, end before. Returns
 * 0 or as run_extend(). */
static int write_target(struct volume *vol, struct vnode *vn, uint32_t lblk,
			uint32_t want, struct target *to)
{
	const struct run *run = run_find(vn, lblk);

	*to = (struct target){ 0 };
	if (run == NULL || run->lblk > lblk) {
		to->fresh = true;
		return run_extend(vol, vn, lblk, want, false, &to->pblk,
				  &to->count);
	}
	to->fresh = to->unwritten = run->unwritten;
	to->pblk = run->pblk + (lblk - run->lblk);
	to->count = run->len - (lblk - run->lblk);
	if (to->count > want) {
		to->count = want;
	}
	return to->unwritten ? leaf_reserve(vol, vn, lblk, lblk + to->count, 2)
			     : 0;
}

/* Writes what fits in the run or hole at offset, allocating where it is a hole.
 * Returns 0 and the bytes, at least one, or ENOSPC, EFBIG, EIO or ENOMEM. */
static int write_piece(struct volume *vol, struct vnode *vn, uint64_t offset,
		       const uint8_t *buf, size_t len, size_t *done)
{
	uint32_t lblk = (uint32_t)(offset >> vol->shift);
	size_t skip = (size_t)(offset & (vol->block_size - 1));
	uint64_t want = (skip + len + vol->block_size - 1) >> vol->shift;
	struct target to;
	uint32_t whole;
	int error = write_target(vol, vn, lblk, want < RUN_MAX
				 ? (uint32_t)want : RUN_MAX, &to);

	if (error != 0) {
		return error;
	}
	if (len > ((size_t)to.count << vol->shift) - skip) {
		len = ((size_t)to.count << vol->shift) - skip;
	}
	*done = write_blocks(vol, to.pblk, skip, buf, len, to.fresh);
	error = *done > 0 ? 0 : poke_error(vol);
	whole = *done == 0 ? 0 : (uint32_t)((skip + *done + vol->block_size - 1)
					    >> vol->shift);
	if (to.unwritten && whole > 0) {
		run_written(vol, vn, lblk, whole);
	} else if (to.fresh && !to.unwritten && whole < to.count) {
		/* New blocks that were not reached would show old data. */
		run_undo(vol, vn, to.count - whole);
	}
	return error;
}

/** Whether the transaction has room for another piece of a write. */
bool file_room(const struct volume *vol)
{
	return due_fits(vol, run_cost(vol, 1, PIECE));
}

/* Has the block read that an offset is in. Returns as file_touch(). */
static int block_touch(struct volume *vol, struct vnode *vn, uint64_t offset)
{
	uint32_t lblk = (uint32_t)(offset >> vol->shift);
	const struct run *run = run_find(vn, lblk);
	struct volume_dev *dev = vol->dev;

	return run != NULL && run->lblk <= lblk && !run->unwritten &&
	       dev->ops->peek(dev, run->pblk + (lblk - run->lblk)) == NULL &&
	       dev->absent ? EAGAIN : 0;
}

/**
 * Has read what a write will not overwrite whole, its first and last block, and
 * the bitmaps that it takes blocks from. The runs are loaded. Returns 0 or
 * EAGAIN.
 */
int file_write_ready(struct volume *vol, struct vnode *vn, uint64_t offset,
		     size_t len)
{
	uint64_t first = offset >> vol->shift, last;
	uint32_t count;
	int error = 0;

	if (vol->dev->instant || len == 0) {
		return 0;
	}
	last = (offset + len - 1) >> vol->shift;
	count = (uint32_t)(last - first + 1);
	if ((offset & (vol->block_size - 1)) != 0 ||
	    len < vol->block_size) {
		error = block_touch(vol, vn, offset);
	}
	if (((offset + len) & (vol->block_size - 1)) != 0 &&
	    block_touch(vol, vn, offset + len - 1) != 0) {
		error = EAGAIN;
	}
	if (run_ready(vol, vn, (uint32_t)first, count) != 0) {
		error = EAGAIN;
	}
	return error;
}

/**
 * Writes len bytes to a file's content from offset on, with blocks as needed,
 * and lets the file grow; its times are the caller's. done: how many were
 * written, at least one when 0 is returned and len is not 0, and fewer than len
 * if it failed on the way, or a transaction has no room for more. Returns 0, or
 * ENOSPC, EFBIG, EOPNOTSUPP, EIO or ENOMEM if not even one byte was.
 */
int file_write(struct volume *vol, struct vnode *vn, uint64_t offset,
	       const void *buf, size_t len, size_t *done)
{
	int error = tree_load(vol, vn);

	*done = 0;
	if (error == 0) {
		error = orphan_settle(vol, vn);
	}
	if (error == 0 && (offset >= file_max(vol) ||
			   len > file_max(vol) - offset)) {
		error = EFBIG;
	}
	if (error == 0 && !vol->dev->instant) {
		error = file_write_ready(vol, vn, offset, len);
	}
	while (error == 0 && *done < len) {
		size_t n;

		error = write_piece(vol, vn, offset + *done,
				    (const uint8_t *)buf + *done, len - *done,
				    &n);
		if (error == 0) {
			*done += n;
		}
		if (!file_room(vol)) {
			break;
		}
	}
	/* A short write: the error comes back when the caller goes on. */
	if (*done > 0) {
		error = 0;
		if (offset + *done > vnode_size(vn)) {
			vnode_set_size(vol, vn, offset + *done);
		}
	}
	return error;
}

/**
 * Writes len bytes of a regular file from offset on. done: how many; fewer than
 * len when the volume became full or failed on the way, or before a journal, for
 * which it was enough: the caller goes on then. Returns 0, EISDIR,
 * EINVAL (no regular file), ENOSPC, EFBIG, EPERM (immutable; append-only, and a
 * byte would change), EOPNOTSUPP (block maps), EROFS, ESTALE, EIO or ENOMEM. buf
 * may be shared memory: it is read once, but for an append-only file.
 */
int volume_write(struct volume *vol, uint32_t ino, uint64_t offset,
		 const void *buf, size_t len, size_t *done)
{
	struct vnode *vn;
	size_t there = 0;
	int error;

	*done = 0;
	volume_trim(vol);
	error = vol->dev->read_only ? EROFS
				    : file_begin(vol, ino, 0, &there, &vn);
	if (error == 0) {
		error = flags_writing(vol, vn, offset, buf, len);
	}
	if (error == 0) {
		error = file_write(vol, vn, offset, buf, len, done);
	}
	if (error == 0 && *done > 0) {
		vnode_touch_written(vol, vn);
		event_modified(vol, vn, offset, *done);
	}
	return error;
}

/**
 * Zeroes len bytes within one block of a file, where it is not a hole. Returns
 * 0, ENOSPC or EIO.
 */
int file_zero(struct volume *vol, struct vnode *vn, uint64_t offset,
	      size_t len)
{
	uint32_t lblk = (uint32_t)(offset >> vol->shift);
	const struct run *run = run_find(vn, lblk);
	uint8_t *data;

	if (len == 0 || run == NULL || run->lblk > lblk || run->unwritten) {
		return 0;
	}
	data = vol->dev->ops->poke(vol->dev, run->pblk + (lblk - run->lblk),
				   false);
	if (data == NULL) {
		return poke_error(vol);
	}
	memset(data + (offset & (vol->block_size - 1)), 0, len);
	return 0;
}

/**
 * Sets the size of a regular file: frees the blocks beyond, now or (as an orphan)
 * in the transactions that follow, or leaves a hole. Its times are the caller's.
 * Returns 0, EISDIR, EINVAL (no regular file), EFBIG, EOPNOTSUPP, ENOSPC, EIO
 * or ENOMEM; then nothing has changed.
 */
int file_resize(struct volume *vol, struct vnode *vn, uint64_t size)
{
	uint32_t keep = (uint32_t)((size + vol->block_size - 1) >>
				   vol->shift);
	size_t tail = (size_t)(size & (vol->block_size - 1));
	bool all;
	int error;

	if (!vnode_is(vn, VOLUME_S_IFREG)) {
		return vnode_is(vn, VOLUME_S_IFDIR) ? EISDIR : EINVAL;
	}
	if (size > file_max(vol)) {
		return EFBIG;
	}
	error = tree_load(vol, vn);
	if (error == 0) {
		error = orphan_settle(vol, vn);
	}
	/* What is cut off of the last block is zeroed. */
	if (error == 0 && size < vnode_size(vn) && tail != 0) {
		error = file_zero(vol, vn, size, vol->block_size - tail);
	}
	if (error != 0) {
		return error;
	}
	/* What was set aside beyond the end stays when the file grows. */
	all = size > vnode_size(vn) || run_truncate(vol, vn, keep);
	vnode_set_size(vol, vn, size);
	if (!all) {
		if (!vn->orphan) {
			orphan_add(vol, vn);
		}
		orphan_unended(vol, vn, &vn->cut);
	}
	return 0;
}

/**
 * Reads a symbolic link's text, without a terminating NUL: 1 to 4095 bytes,
 * which may be anything. Returns 0, EINVAL (no link), ERANGE (size too small),
 * ESTALE, EIO, EOPNOTSUPP or ENOMEM; *len may be changed even then.
 * [Linux "Documentation/filesystems/ext4/ifork.rst: Symbolic Links"]
 */
int volume_readlink(struct volume *vol, uint32_t ino, char *buf, size_t size,
		    size_t *len)
{
	const uint8_t *text;
	struct vnode *vn;
	int error;

	volume_trim(vol);
	error = vnode_get(vol, ino, &vn);
	if (error == 0 && !vnode_is(vn, VOLUME_S_IFLNK)) {
		error = EINVAL;
	}
	if (error != 0) {
		return error;
	}
	*len = (size_t)vnode_size(vn);
	if (*len >= vol->block_size || *len == 0) {
		return EIO;
	}
	if (*len > size) {
		return ERANGE;
	}
	/* Up to 59 bytes are in the inode, in the place of the extent tree. */
	text = (const uint8_t *)vn->in.i_block;
	if ((vn->in.i_flags & EXT4_EXTENTS_FL) != 0) {
		error = tree_load(vol, vn);
		if (error == 0) {
			size_t there = *len;

			error = file_peek(vol, vn, 0, &there, &text);
		}
		text = error == 0 ? text : NULL;
	} else if (*len >= sizeof(vn->in.i_block)) {
		text = NULL;
	}
	if (text == NULL) {
		return error != 0 ? error : EIO;
	}
	memcpy(buf, text, *len);
	return 0;
}
