/* SPDX-License-Identifier: MIT */
/*
 * Inodes in the tables of the device, and the checksums that depend on one:
 * of itself, of its extent tree's blocks and of its directory's. They cover the
 * inode's number and generation, and so tell whose a block was.
 * [Linux "Documentation/filesystems/ext4/checksums.rst"]
 */
#include <string.h>

#include "host-bridge/fs/ext4/volume_group.h"

/* The block of the table where an inode is, and the place in it. */
static uint64_t inode_place(struct volume *vol, uint32_t ino, uint32_t *offset)
{
	uint32_t per_group = vol->group_inodes;
	uint32_t group = (ino - 1) / per_group;
	uint32_t at = (ino - 1) % per_group * VOLUME_INODE_SIZE;

	*offset = at & (vol->block_size - 1);
	return group_inode_table(vol, group) + (at >> vol->shift);
}

/**
 * Reads an inode from the table into a vnode. Returns 0, EAGAIN, or EIO (also
 * for a checksum that is not right).
 */
int inode_read(struct volume *vol, struct vnode *vn)
{
	uint32_t offset;
	uint64_t block = inode_place(vol, vn->ino, &offset);
	const uint8_t *data = vol->dev->ops->peek(vol->dev, block);

	if (data == NULL) {
		return poke_error(vol);
	}
	memcpy(vn->raw, data + offset, VOLUME_INODE_SIZE);
	return !vol->csum || ext2fs_inode_csum_verify(vol->fs, vn->ino, &vn->in)
	       ? 0 : EIO;
}

/** Writes a vnode's inode to the table. Returns 0, EAGAIN, ENOSPC or EIO. */
int inode_write(struct volume *vol, struct vnode *vn)
{
	uint32_t offset;
	uint64_t block = inode_place(vol, vn->ino, &offset);
	uint8_t *data = vol->dev->ops->change(vol->dev, block, false);

	if (data == NULL) {
		return poke_error(vol);
	}
	if (vol->csum) {
		ext2fs_inode_csum_set(vol->fs, vn->ino, &vn->in);
	}
	memcpy(data + offset, vn->raw, VOLUME_INODE_SIZE);
	return 0;
}

/** Has the block of the table read where an inode is. Returns 0, EAGAIN or EIO. */
int inode_touch(struct volume *vol, uint32_t ino)
{
	uint32_t offset;
	uint64_t block = inode_place(vol, ino, &offset);

	return vol->dev->ops->peek(vol->dev, block) != NULL ? 0
							    : poke_error(vol);
}

/**
 * Gets hold of the block of the table where an inode is, so that there is memory
 * to write it back to: a volume that is full then says so at once. fresh: no
 * inode in it was ever used, so what lies there is nothing. Returns 0, EAGAIN,
 * ENOSPC or EIO.
 */
int inode_ready(struct volume *vol, uint32_t ino, bool fresh)
{
	uint32_t offset;
	uint64_t block = inode_place(vol, ino, &offset);
	uint8_t *data = vol->dev->ops->change(vol->dev, block, fresh);

	if (data == NULL) {
		return poke_error(vol);
	}
	if (fresh) {
		memset(data, 0, vol->block_size);
	}
	return 0;
}

/**
 * The checksum of len bytes of a block that belongs to a file: of its tree, or
 * of a directory's names.
 */
uint32_t inode_block_csum(const struct volume *vol, const struct vnode *vn,
			  const void *data, size_t len)
{
	uint32_t gen = vn->in.i_generation;
	uint32_t csum = ext2fs_crc32c_le(vol->fs->csum_seed,
					 (const uint8_t *)&vn->ino,
					 sizeof(vn->ino));

	csum = ext2fs_crc32c_le(csum, (const uint8_t *)&gen, sizeof(gen));
	return ext2fs_crc32c_le(csum, data, len);
}
