/* SPDX-License-Identifier: MIT */
/*
 * The volume as a whole: open, flush, close, and holds. What is in memory
 * reaches the device in volume_flush(), which leaves there a file system that
 * e2fsck finds nothing to say about.
 *
 * The file system on the device is checked where it is read, not as a whole:
 * what is damaged shows as EIO where it is met, or is served as it is. One
 * thread, no locks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

/* Whether this is a file system that we can keep right: 0, or EOPNOTSUPP. That it
 * needs its journal is right while the journal is open. */
static int volume_check(const struct volume *vol)
{
	struct ext2_super_block sb = *vol->fs->super;
	char why[VOLUME_WHY];

	if (vol->dev->running != 0) {
		sb.s_feature_incompat &= ~EXT3_FEATURE_INCOMPAT_RECOVER;
	}
	return volume_refused(&sb, vol->dev->blocks, why) ? EOPNOTSUPP : 0;
}

/* Learns from the superblock how long blocks are, and tells the device. What no
 * ext4 has is left to volume_check(). */
static int volume_set_block(struct volume *vol)
{
	struct volume_dev *dev = vol->dev;
	struct ext2_super_block sb;
	int error = volume_super(dev, &sb);

	if (error == 0 && sb.s_magic == EXT2_SUPER_MAGIC &&
	    1024ull << (sb.s_log_block_size & 31) <= VOLUME_BLOCK_MAX &&
	    sb.s_log_block_size + 10 != dev->block_shift) {
		error = dev->ops->set_block(dev, sb.s_log_block_size + 10);
	}
	vol->block_size = dev->block_size;
	vol->shift = dev->block_shift;
	vol->node_entries = tree_node_entries(dev->block_size);
	return error;
}

/* Reads superblock and group descriptors, and the root as a first
 * proof of what is there. volume_forget() cleans up after an error. */
static int volume_load(struct volume *vol)
{
	int error = volume_set_block(vol);
	struct vnode *root;

	if (error == 0) {
		error = volume_errno(volume_io_open(vol->dev, &vol->fs));
	}
	if (error == 0) {
		error = volume_check(vol);
	}
	if (error == 0) {
		vol->csum = ext2fs_has_feature_metadata_csum(vol->fs->super);
		volume_alloc_hooks(vol);
		error = group_open(vol);
	}
	if (error == 0) {
		error = vnode_get_dir(vol, VOLUME_ROOT, &root);
	}
	return error != 0 ? error : orphan_recover(vol);
}

/* Frees all memory, written back or not; good for a volume that was opened
 * half. */
static void volume_forget(struct volume *vol)
{
	while (vol->hand != NULL) {
		vnode_drop(vol, vol->hand);
	}
	if (vol->fs != NULL) {
		ext2fs_free(vol->fs);
	}
	free(vol->batch.items);
	free(vol->groups);
	free(vol->freed.all);
	free(vol->waiting.all);
	free(vol->hash);
	free(vol);
}

/**
 * Opens the ext4 file system on dev, which stays the caller's until
 * volume_close(); *out is set only with 0. Returns 0, ENOMEM, EIO (no file
 * system, or damaged) or EOPNOTSUPP (features, sizes that are not ours, or a
 * journal that must be replayed first: volume_why() says it in words).
 */
int volume_open(struct volume_dev *dev, struct volume **out)
{
	struct volume *vol = calloc(1, sizeof(*vol));
	int64_t now = volume_now_ns();
	int error;

	if (vol == NULL) {
		return ENOMEM;
	}
	vol->dev = dev;
	/* From the clock: the generations of new inodes, so that a number used
	 * again after a restart is told apart; and the seed of the name hash. A
	 * guest can guess the time roughly; what it could gain is slow
	 * look-ups. */
	vol->generation = (uint32_t)now;
	vol->seed = (uint64_t)now * 0x9e3779b97f4a7c15ull | 1;
	vol->vnodes_most = VOLUME_VNODES;
	vol->content_limit = vol->content_most = VOLUME_CONTENT;
	vol->hash = calloc(VOLUME_VNODES, sizeof(*vol->hash));
	error = vol->hash != NULL ? volume_load(vol) : ENOMEM;
	if (error != 0) {
		volume_forget(vol);
		return error;
	}
	*out = vol;
	return 0;
}

/**
 * Writes everything to the device: all vnodes, then what was freed into the
 * bitmaps, then descriptors and superblock. What could not be written stays
 * dirty, and then those are not written either. Returns 0, EAGAIN, ENOSPC or
 * EIO. Costs a walk over the vnodes that were used since the last one.
 */
int volume_flush(struct volume *vol)
{
	struct vnode *vn, *next;
	int error;

	if (vol->dev->read_only) {
		return 0;
	}
	/* With a journal that is no part of a flush, which must end. */
	error = vol->dev->running == 0 ? volume_end(vol) : 0;
	for (vn = vol->seen; vn != NULL; vn = next) {
		int failed = vnode_writeback(vol, vn);

		next = vn->seen_next;
		if (failed != 0) {
			error = failed;
		} else {
			vnode_unsee(vol, vn);
		}
	}
	/* Trees that were written may have been cut. */
	if (error == 0) {
		error = free_flush(vol);
	}
	if (error == 0) {
		error = group_flush(vol);
	}
	if (error == 0 && vol->dev->ops->flush != NULL) {
		error = vol->dev->ops->flush(vol->dev);
	}
	return error;
}

/**
 * Flushes and closes; held files are let go, those without a name freed. The
 * volume is gone when 0, ENOSPC or EIO is returned; with EAGAIN it is still
 * there, to be closed again. The device remains the caller's to close.
 */
int volume_close(struct volume *vol)
{
	struct vnode *vn = vol->hand;
	int error;

	for (uint32_t n = vol->vnodes; n > 0; n--, vn = vn->ring_next) {
		vn->holds = 0;
		vnode_unref(vol, vn);
	}
	error = volume_unended(vol) && volume_end(vol) == EAGAIN
		? EAGAIN : volume_flush(vol);
	if (error != EAGAIN) {
		volume_forget(vol);
	}
	return error;
}

/** Frees all memory of a volume whose device is gone: nothing is written. */
void volume_drop(struct volume *vol)
{
	volume_forget(vol);
}

/* How many blocks can be written that are not used yet: the device may have room
 * for fewer than are free. */
static uint64_t volume_room(struct volume *vol)
{
	uint64_t room = vol->dev->ops->room != NULL ?
			vol->dev->ops->room(vol->dev) : UINT64_MAX;
	uint64_t free = ext2fs_free_blocks_count(vol->fs->super);

	return room < free ? room : free;
}

/**
 * Space and files, of the whole volume: none are reserved for root here. id is
 * the first half of the UUID. Returns 0.
 */
int volume_statfs(struct volume *vol, struct volume_stat *st)
{
	struct ext2_super_block *sb = vol->fs->super;

	*st = (struct volume_stat){
		.block_size = vol->block_size,
		.blocks = ext2fs_blocks_count(sb),
		.blocks_free = ext2fs_free_blocks_count(sb),
		.blocks_room = volume_room(vol),
		.files = sb->s_inodes_count,
		.files_free = sb->s_free_inodes_count,
	};
	memcpy(&st->id, sb->s_uuid, sizeof(st->id));
	return 0;
}

/**
 * Keeps a file usable until volume_release(), its last name gone or not; holds
 * are counted. Returns 0, ESTALE, EIO or ENOMEM.
 */
int volume_hold(struct volume *vol, uint32_t ino)
{
	struct vnode *vn;
	int error;

	volume_trim(vol);
	error = vnode_get(vol, ino, &vn);
	if (error == 0) {
		vn->holds++;
	}
	return error;
}

/** See volume.h. */
void volume_times_rarely(struct volume *vol, uint32_t ino)
{
	struct vnode *vn;

	if (vnode_get(vol, ino, &vn) == 0) {
		vn->rarely = true;
	}
}

/**
 * Undoes one volume_hold(); frees the file if that was the last and it has no
 * name any more: before a journal it is left to volume_end(), so that this may be
 * called at any time. Without a hold it does nothing.
 */
void volume_release(struct volume *vol, uint32_t ino)
{
	struct vnode *vn;

	if (vnode_get(vol, ino, &vn) == 0 && vn->holds > 0) {
		vn->holds--;
		vn->rarely = vn->rarely && vn->holds > 0;
		if (vn->holds == 0 && vol->vnodes_most > VOLUME_VNODES) {
			vol->vnodes_most--;
		}
		vnode_unref(vol, vn);
	}
}

/** From now on keeper is asked before a file goes: see there. */
void volume_keep(struct volume *vol, struct volume_keeper *keeper)
{
	vol->keeper = keeper;
}

/**
 * Makes a file's data and inode lasting, where the device is more lasting than
 * memory: then all that is dirty is written, not this file alone. Returns 0,
 * ESTALE or EIO.
 */
int volume_fsync(struct volume *vol, uint32_t ino)
{
	struct vnode *vn;
	int error = vnode_get(vol, ino, &vn);

	if (error == 0 && vol->dev->ops->flush != NULL) {
		error = volume_flush(vol);
	}
	return error;
}
