/* SPDX-License-Identifier: MIT */
/*
 * Orphans: files that have no name and are held, or are being freed; and files
 * that are being cut off, which takes several transactions. On the device they are
 * a list that begins in the superblock and goes on in their i_dtime, so that after
 * a crash the next to open the volume ends that, be it Linux, e2fsck or
 * volume_end(): what has no link is freed, of others what lies beyond their size.
 *
 * Linux may have kept them in a file instead (orphan_file). That is emptied when
 * the volume is opened and not used: the list serves all readers.
 * [Linux "Documentation/filesystems/ext4/orphan.rst"]
 */
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define TAIL_MAGIC	0x0b10ca04u
#define TAIL		8u		/* bytes: magic, checksum */

/** Enters a file that has no link any more; it is not there yet. */
void orphan_add(struct volume *vol, struct vnode *vn)
{
	struct vnode *next = vol->orphans;

	vn->orphan = true;
	vn->orphan_prev = NULL;
	vn->orphan_next = next;
	if (next != NULL) {
		next->orphan_prev = vn;
	}
	vol->orphans = vn;
	vnode_see(vol, vn);
	vol->fs->super->s_last_orphan = vn->ino;
	ext2fs_mark_super_dirty(vol->fs);
	vn->in.i_dtime = next != NULL ? next->ino : 0;
	vn->dirty = true;
}

/** Takes a file out, if it is there. Its i_dtime is then 0. */
void orphan_remove(struct volume *vol, struct vnode *vn)
{
	struct vnode *prev = vn->orphan_prev, *next = vn->orphan_next;
	uint32_t ino = next != NULL ? next->ino : 0;

	if (!vn->orphan) {
		return;
	}
	if (next != NULL) {
		next->orphan_prev = prev;
	}
	if (prev != NULL) {
		prev->orphan_next = next;
		prev->in.i_dtime = ino;
		prev->dirty = true;
		vnode_see(vol, prev);
	} else {
		vol->orphans = next;
		vol->fs->super->s_last_orphan = ino;
		ext2fs_mark_super_dirty(vol->fs);
	}
	vnode_see(vol, vn);
	if ((vn->unfreed || vn->cut) && !vn->spoilt) {
		vol->unended--;
	}
	vn->orphan = vn->unfreed = vn->cut = vn->spoilt = false;
	vn->orphan_prev = vn->orphan_next = NULL;
	vn->in.i_dtime = 0;
	vn->dirty = true;
}

/**
 * An orphan is to be freed (vn->unfreed) or cut off (vn->cut), by volume_end() if
 * nobody does it before.
 */
void orphan_unended(struct volume *vol, struct vnode *vn, bool *what)
{
	vol->unended += !vn->unfreed && !vn->cut && !vn->spoilt;
	*what = true;
}

/* What was read as an orphan: which of the two is to be ended. */
static void orphan_found(struct volume *vol, struct vnode *vn)
{
	orphan_unended(vol, vn, vn->in.i_links_count == 0 ? &vn->unfreed
							   : &vn->cut);
}

/**
 * Ends the cutting off of a file, before it is changed otherwise: as much as the
 * transaction has room for. Returns 0, or EAGAIN, ENOMEM, EIO or ENOSPC.
 */
int orphan_settle(struct volume *vol, struct vnode *vn)
{
	uint64_t size = vnode_size(vn);
	size_t tail = (size_t)(size & (vol->block_size - 1));
	int error;

	if (!vn->cut) {
		return 0;
	}
	error = tree_load(vol, vn);
	if (error == 0 && tail != 0) {
		error = file_zero(vol, vn, size, vol->block_size - tail);
	}
	if (error == 0 && !run_truncate(vol, vn, (uint32_t)
			((size + vol->block_size - 1) >> vol->shift))) {
		error = due_wait(vol);
	}
	if (error != 0) {
		return error;
	}
	if (vn->in.i_links_count != 0) {
		orphan_remove(vol, vn);
	} else {
		vn->cut = false;
		vol->unended -= !vn->unfreed && !vn->spoilt;
	}
	return 0;
}

/* Block number at of the orphan file, and where it is; NULL: none, or not there
 * (then see dev->absent). */
static uint32_t *file_block(struct volume *vol, struct vnode *file,
			    uint32_t at, bool write, uint64_t *block)
{
	const struct run *run = run_find(file, at);
	struct volume_dev *dev = vol->dev;

	dev->absent = false;
	if (run == NULL || run->lblk > at || run->unwritten) {
		return NULL;
	}
	*block = run->pblk + (at - run->lblk);
	return write ? (uint32_t *)dev->ops->change(dev, *block, false)
		     : (uint32_t *)dev->ops->peek(dev, *block);
}

/** The checksum of a block of the orphan file. */
uint32_t orphan_csum(const struct volume *vol, const struct vnode *file,
		     uint64_t block, const void *data)
{
	uint32_t seed = inode_block_csum(vol, file, &block, sizeof(block));

	return ext2fs_crc32c_le(seed, data, vol->block_size - TAIL);
}

/* Has the files read that a block of the orphan file names. Returns 0, EAGAIN or
 * ENOMEM. */
static int file_touch_all(struct volume *vol, const uint32_t *data)
{
	uint32_t words = (vol->block_size - TAIL) / 4;
	int error = 0;

	for (uint32_t i = 0; i < words; i++) {
		struct vnode *vn;
		int failed = data[i] == 0 ? 0
			     : vnode_load_any(vol, data[i], &vn);

		error = failed == EAGAIN || failed == ENOMEM ? failed : error;
	}
	return error;
}

/* Enters in the list what a block of the orphan file names, as many as the
 * transaction has room for, and takes them out there. What it names and is none is
 * forgotten. Returns 0, EAGAIN, ENOMEM or EIO. */
static int file_move(struct volume *vol, struct vnode *file, uint32_t at)
{
	uint32_t words = (vol->block_size - TAIL) / 4;
	uint64_t block;
	uint32_t *data = file_block(vol, file, at, false, &block);
	int error = data != NULL ? file_touch_all(vol, data) : poke_error(vol);
	bool any = false;

	for (uint32_t i = 0; error == 0 && i < words; i++) {
		struct vnode *vn;

		if (data[i] == 0) {
			continue;
		}
		if (!due_fits(vol, 4)) {
			error = due_wait(vol);
			break;
		}
		data = file_block(vol, file, at, true, &block);
		if (data == NULL) {
			return poke_error(vol);
		}
		if (vnode_load_any(vol, data[i], &vn) == 0 && !vn->orphan) {
			orphan_add(vol, vn);
			orphan_found(vol, vn);
		}
		data[i] = 0;
		any = true;
	}
	if (any) {
		data[words] = TAIL_MAGIC;
		data[words + 1] = vol->csum
				  ? orphan_csum(vol, file, block, data) : 0;
	}
	return error;
}

/* Empties the orphan file into the list. Returns as file_move(). */
static int file_empty(struct volume *vol)
{
	struct vnode *file;
	uint32_t blocks;
	int error = vnode_load_any(vol, vol->fs->super->s_orphan_file_inum,
				   &file);

	if (error == 0) {
		error = tree_load(vol, file);
	}
	blocks = error == 0 ? (uint32_t)(vnode_size(file) >> vol->shift) : 0;
	for (uint32_t at = 0; error == 0 && at < blocks; at++) {
		error = file_move(vol, file, at);
	}
	if (error == 0) {
		vol->orphan_file = false;
		ext2fs_clear_feature_orphan_present(vol->fs->super);
		ext2fs_mark_super_dirty(vol->fs);
	}
	return error;
}

/* Makes the list that begins in the superblock the one in memory, as it is. It ends
 * where it is damaged. Returns 0, EAGAIN or ENOMEM. */
static int list_read(struct volume *vol)
{
	struct ext2_super_block *sb = vol->fs->super;
	uint32_t ino = sb->s_last_orphan, steps = sb->s_inodes_count;
	struct vnode *last = NULL, *vn;

	while (ino != 0 && steps-- > 0) {
		int error = vnode_load_any(vol, ino, &vn);

		if (error == EAGAIN || error == ENOMEM) {
			return error;
		}
		if (error != 0 || vn->orphan) {
			break;
		}
		ino = vn->in.i_dtime;
		vn->orphan = true;
		vn->orphan_prev = last;
		*(last != NULL ? &last->orphan_next : &vol->orphans) = vn;
		last = vn;
		orphan_found(vol, vn);
	}
	if (ino != 0 && last != NULL) {
		last->in.i_dtime = 0;
		last->dirty = true;
	} else if (ino != 0) {
		sb->s_last_orphan = 0;
		ext2fs_mark_super_dirty(vol->fs);
	}
	return 0;
}

/**
 * When a volume is opened: finds what was not ended when it was last used, and ends
 * what can be at once; the rest is volume_end()'s. Returns 0, EAGAIN or ENOMEM;
 * then nothing has changed.
 */
int orphan_recover(struct volume *vol)
{
	struct ext2_super_block *sb = vol->fs->super;
	int error = vol->dev->read_only ? 0 : list_read(vol);

	if (error == 0 && !vol->dev->read_only) {
		vol->orphan_file = ext2fs_has_feature_orphan_file(sb) &&
				   ext2fs_has_feature_orphan_present(sb);
		if (!vol->dev->orphans_stay) {
			volume_end(vol);
		}
	}
	return error;
}

/** Whether volume_end() has something to do. */
bool volume_unended(const struct volume *vol)
{
	return (vol->unended > 0 || vol->orphan_file) &&
	       !vol->dev->read_only && !vol->dev->orphans_stay;
}

/**
 * A file without a name, that was there when the volume was opened, is held: somebody
 * knows it, of before. It may get a name: whether it has had one is not known, and
 * Linux gives none to what had. Whether there is one of that number and generation.
 */
bool volume_hold_orphan(struct volume *vol, uint32_t ino, uint32_t gen)
{
	struct vnode *vn = vol->orphans;

	while (vn != NULL && vn->ino != ino) {
		vn = vn->orphan_next;
	}
	if (vn == NULL || !vn->unfreed || vn->in.i_generation != gen) {
		return false;
	}
	vn->unfreed = false;
	vn->linkable = true;
	vol->unended -= !vn->cut && !vn->spoilt;
	vn->holds++;
	return true;
}

/** Nobody knows any of the others: see dev->orphans_stay. */
void volume_end_orphans(struct volume *vol)
{
	vol->dev->orphans_stay = false;
}

/** The round that what is changed now belongs to; 0: there are none. */
uint64_t volume_running(const struct volume *vol)
{
	return vol->dev->running;
}

/** The number of the running transaction in the journal's log; 0: there is none. */
uint32_t volume_transaction(const struct volume *vol)
{
	return vol->dev->transaction;
}

/**
 * Frees files that nobody holds, and cuts off those of which that was begun: as much
 * as the transaction has room for. Before a journal it is called as a function that
 * changes something, now and then while volume_unended(). Returns 0, EAGAIN while
 * there is more, or ENOMEM. What is damaged stays an orphan, for e2fsck.
 */
int volume_end(struct volume *vol)
{
	int error = vol->orphan_file ? file_empty(vol) : 0;
	struct vnode *next;

	if (vol->orphan_file && error != EAGAIN && error != ENOMEM) {
		vol->orphan_file = false;
		error = 0;
	}
	for (struct vnode *vn = vol->orphans; vn != NULL && vol->unended > 0;
	     vn = next) {
		int failed;

		next = vn->orphan_next;
		if (vn->spoilt || (!vn->unfreed && !vn->cut)) {
			continue;
		}
		if (!due_fits(vol, run_cost(vol, 1, 1))) {
			return due_wait(vol);
		}
		vnode_see(vol, vn);
		failed = vn->unfreed ? vnode_free(vol, vn)
				     : orphan_settle(vol, vn);
		if (failed == EAGAIN || failed == ENOMEM) {
			error = failed;
		} else if (failed != 0) {
			vn->spoilt = true;
			vol->unended--;
		}
	}
	return error;
}
