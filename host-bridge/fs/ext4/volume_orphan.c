/* SPDX-License-Identifier: MIT */
/*
 * Files that have no name and are held: orphans. On the device they are a list
 * that begins in the superblock and goes on in their i_dtime, so that after a
 * crash the next to open the volume frees them, be it Linux, e2fsck or
 * orphan_recover(). What is found there may also be a file that was being cut
 * off, which has a name: then what lies beyond its size is freed.
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
	vn->orphan = false;
	vn->orphan_prev = vn->orphan_next = NULL;
	vn->in.i_dtime = 0;
	vn->dirty = true;
}

/* Ends what a crash has interrupted: frees the file, or what it has beyond its
 * size. What cannot be freed stays. */
static void orphan_end(struct volume *vol, struct vnode *vn)
{
	uint64_t size = vnode_size(vn);
	size_t tail = (size_t)(size & (vol->block_size - 1));

	if (vn->in.i_links_count == 0) {
		vnode_unref(vol, vn);
	} else if (!vn->runs_valid ||
		   (tail != 0 && file_zero(vol, vn, size,
					   vol->block_size - tail) == 0) ||
		   tail == 0) {
		if (vn->runs_valid) {
			run_truncate(vol, vn, (uint32_t)((size +
				     vol->block_size - 1) >> vol->shift));
		}
		orphan_remove(vol, vn);
	}
}

/* A file of the list or of the orphan file, and all that will be needed to free
 * it. Returns 0, or EAGAIN when that is not all there yet; what is damaged is
 * left out (*out NULL). */
static int orphan_load(struct volume *vol, uint32_t ino, struct vnode **out)
{
	int error = vnode_load_any(vol, ino, out);
	uint64_t xattrs;

	if (error != 0) {
		*out = NULL;
		return error == EAGAIN || error == ENOMEM ? error : 0;
	}
	xattrs = ext2fs_file_acl_block(vol->fs, &(*out)->in_small);
	if (xattrs != 0 &&
	    vol->dev->ops->peek(vol->dev, xattrs) == NULL) {
		error = poke_error(vol);
	}
	if (error != EAGAIN && ((*out)->in.i_flags & EXT4_EXTENTS_FL) != 0) {
		error = tree_load(vol, *out);
	}
	if (error == 0 && (*out)->in.i_links_count != 0 &&
	    (*out)->runs_valid) {
		const uint8_t *last;
		size_t one = 1;

		/* The block that the end is in, to be zeroed. */
		error = file_peek(vol, *out, vnode_size(*out), &one, &last);
	}
	return error == EAGAIN || error == ENOMEM ? error : 0;
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

/* Empties a block that has entries. */
static int file_clear(struct volume *vol, struct vnode *file, uint32_t at)
{
	uint64_t block;
	uint32_t *data = file_block(vol, file, at, true, &block);
	uint32_t words = vol->block_size / 4;

	if (data == NULL) {
		return poke_error(vol);
	}
	memset(data, 0, vol->block_size - TAIL);
	data[words - 2] = TAIL_MAGIC;
	data[words - 1] = vol->csum ? orphan_csum(vol, file, block, data) : 0;
	return 0;
}

/* Walks the orphan file: looks at what its entries name, or enters that in the
 * list and empties it. Returns 0, EAGAIN, ENOMEM or EIO. */
static int file_walk(struct volume *vol, bool look)
{
	uint32_t ino = vol->fs->super->s_orphan_file_inum;
	struct vnode *file, *vn;
	uint32_t blocks, words = vol->block_size / 4 - TAIL / 4;
	int error = vnode_load_any(vol, ino, &file);

	if (error == 0) {
		error = tree_load(vol, file);
	}
	blocks = error == 0 ? (uint32_t)(vnode_size(file) >> vol->shift) : 0;
	for (uint32_t at = 0; error == 0 && at < blocks; at++) {
		uint64_t block;
		const uint32_t *data = file_block(vol, file, at, false,
						  &block);
		bool any = false;

		if (data == NULL) {
			return poke_error(vol);
		}
		for (uint32_t i = 0; error == 0 && i < words; i++) {
			if (data[i] == 0) {
				continue;
			}
			any = true;
			error = orphan_load(vol, data[i], &vn);
			if (!look && error == 0 && vn != NULL && !vn->orphan) {
				orphan_add(vol, vn);
			}
		}
		if (!look && any && error == 0) {
			error = file_clear(vol, file, at);
		}
	}
	return error;
}

/* Walks the list that the superblock begins: looks at what is in it, or makes it
 * the one in memory. It ends where it is damaged. */
static int list_walk(struct volume *vol, uint32_t ino, bool look)
{
	uint32_t steps = vol->fs->super->s_inodes_count;
	int error = 0;

	while (error == 0 && ino != 0 && steps-- > 0) {
		struct vnode *vn;

		error = orphan_load(vol, ino, &vn);
		if (error != 0 || vn == NULL || vn->orphan) {
			break;
		}
		ino = vn->in.i_dtime;
		if (!look) {
			orphan_add(vol, vn);
		}
	}
	return error;
}

/**
 * When a volume is opened: ends what was not ended when it was last used. All
 * that is needed is looked at first. Returns 0, EAGAIN, ENOMEM or EIO.
 */
int orphan_recover(struct volume *vol)
{
	struct ext2_super_block *sb = vol->fs->super;
	bool file = ext2fs_has_feature_orphan_file(sb) &&
		    ext2fs_has_feature_orphan_present(sb);
	uint32_t first = sb->s_last_orphan;
	int error = 0;

	if (vol->dev->read_only || (first == 0 && !file)) {
		return 0;
	}
	error = list_walk(vol, first, true);
	if (error == 0 && file) {
		error = file_walk(vol, true);
	}
	if (error != 0) {
		return error;
	}
	sb->s_last_orphan = 0;
	error = list_walk(vol, first, false);
	if (error == 0 && file) {
		error = file_walk(vol, false);
		ext2fs_clear_feature_orphan_present(sb);
	}
	for (struct vnode *vn = vol->orphans; error == 0 && vn != NULL; ) {
		struct vnode *next = vn->orphan_next;

		orphan_end(vol, vn);
		vn = next;
	}
	ext2fs_mark_super_dirty(vol->fs);
	return error;
}

/**
 * Frees orphans that nobody holds and that could not be freed as their last
 * holder went, for a block that was not there. Returns 0, or EAGAIN while there
 * are more. What is damaged stays an orphan, for e2fsck.
 */
int orphan_reap(struct volume *vol)
{
	struct vnode *vn = vol->orphans;
	int error = 0;

	while (vn != NULL && vol->unfreed > 0) {
		struct vnode *next = vn->orphan_next;

		if (vn->unfreed && vnode_free(vol, vn) == EAGAIN) {
			error = EAGAIN;
		}
		vn = next;
	}
	return error;
}
