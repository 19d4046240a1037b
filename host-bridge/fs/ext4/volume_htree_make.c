/* SPDX-License-Identifier: MIT */
/*
 * A directory gets its hash tree when its first block overflows, as in Linux: the
 * block becomes the root, with "." and ".." where they were, and all other entries
 * go into a leaf, which is then split (volume_htree.c). One that has more blocks and
 * no tree was made by others; it stays as it is.
 * [Linux "fs/ext4/namei.c: make_indexed_dir"]
 *
 * Until then its names are shown in the order of their hashes already
 * (volume_htree_each.c), so that who reads it meanwhile misses none.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_htree.h"

/**
 * The block of a directory that will have a tree when that overflows. Returns 0,
 * EAGAIN, EIO, or EOPNOTSUPP: there will be none.
 */
int htree_single(struct volume *vol, struct vnode *dir, const uint8_t **data)
{
	struct ext2_super_block *sb = vol->fs->super;
	const struct ext2_dir_entry_2 *dot, *dots;

	if (!ext2fs_has_feature_dir_index(sb) ||
	    sb->s_def_hash_version > EXT2_HASH_TEA ||
	    (dir->in.i_flags & EXT2_INDEX_FL) != 0 ||
	    dir->index->block_count != 1) {
		return EOPNOTSUPP;
	}
	*data = dir_block(vol, dir, 0, false);
	if (*data == NULL) {
		return poke_error(vol);
	}
	dot = (const void *)*data;
	dots = (const void *)(*data + DIR_ENTRY_MIN);
	return dot->rec_len != DIR_ENTRY_MIN || dot->inode == 0 ||
	       dot->name_len != 1 || dot->name[0] != '.' ||
	       dots->inode == 0 || dots->name_len != 2 ||
	       memcmp(dots->name, "..", 2) != 0 ? EOPNOTSUPP : 0;
}

/* Makes block 0 the root over one leaf, block 1. */
static void root_make(const struct volume *vol, uint8_t *data)
{
	struct ext2_dir_entry_2 *dots = (void *)(data + DIR_ENTRY_MIN);
	struct ext2_dx_root_info *info = (void *)(data + HTREE_ROOT_INFO);
	struct ext2_dx_entry *first = (void *)(data + HTREE_ROOT_ENTRIES);
	struct ext2_dx_countlimit *count = (void *)first;

	memset(info, 0, vol->block_size - HTREE_ROOT_INFO);
	/* For those who know no trees there is nothing behind it. */
	dots->rec_len = (uint16_t)(vol->block_size - DIR_ENTRY_MIN);
	info->hash_version = vol->fs->super->s_def_hash_version;
	info->info_length = sizeof(*info);
	count->limit = (uint16_t)htree_limit(vol, HTREE_ROOT_ENTRIES);
	count->count = 1;
	first->block = 1;
}

/* Takes "." and ".." out of sorted entries; returns how many are left. */
static uint32_t without_dots(struct htree_item *items, uint32_t count)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (items[i].offset > DIR_ENTRY_MIN) {
			items[left++] = items[i];
		}
	}
	return left;
}

/* Moves the entries of block 0, of which old is a copy, to block 1. */
static int move_names(struct volume *vol, struct vnode *dir, uint8_t *data,
		      uint8_t *old, struct htree_item *items)
{
	uint32_t count;
	int error;

	memcpy(old, data, vol->block_size);
	error = htree_leaf(vol, vol->fs->super->s_def_hash_version, old, items,
			   &count);
	if (error == 0) {
		error = dir_append_block(vol, dir);
	}
	if (error != 0) {
		return error;
	}
	count = without_dots(items, count);
	htree_forget(vol, dir, 0, old, items, count);
	htree_fill(vol, dir, 1, dir_block(vol, dir, 1, true), old, items,
		   count);
	dir->index->blocks[0].slack = dir->index->blocks[0].room = 0;
	root_make(vol, data);
	dir->in.i_flags |= EXT2_INDEX_FL;
	return 0;
}

/**
 * Gives a directory of one block a hash tree. Returns 0, EOPNOTSUPP (it gets none),
 * ENOSPC, EFBIG, EAGAIN, EIO or ENOMEM; then it is as it was.
 */
int htree_make(struct volume *vol, struct vnode *dir)
{
	uint32_t most = vol->block_size / DIR_ENTRY_MIN;
	struct htree_item *items;
	const uint8_t *data;
	uint8_t *root;
	int error = htree_single(vol, dir, &data);

	if (error == 0) {
		error = alloc_ready(vol, 0, 2);
	}
	if (error != 0) {
		return error;
	}
	root = dir_block(vol, dir, 0, true);
	if (root == NULL) {
		return poke_error(vol);
	}
	items = malloc(most * sizeof(*items) + vol->block_size);
	if (items == NULL) {
		return ENOMEM;
	}
	error = move_names(vol, dir, root, (uint8_t *)(items + most), items);
	free(items);
	return error;
}

/**
 * Turns a hashed directory into a plain one: its index blocks look like empty
 * entries already, only the room of the checksum's tail must be cut off. Linux
 * needs no tree to find a name. Returns 0, EFBIG (more than a transaction), or EIO
 * when the device fails half way.
 * [Linux "Documentation/filesystems/ext4/directory.rst: Hash Tree Directories"]
 */
int htree_unmake(struct volume *vol, struct vnode *dir)
{
	if (!due_possible(vol, dir->index->block_count)) {
		return EFBIG;
	}
	for (uint32_t i = 0; i < dir->index->block_count; i++) {
		uint8_t *data = dir_block(vol, dir, i, true);
		struct ext2_dir_entry_2 *entry = (void *)data;
		uint32_t offset = 0;

		if (data == NULL) {
			return poke_error(vol);
		}
		while (offset + entry->rec_len < dir_limit(vol)) {
			offset += entry->rec_len;
			entry = (void *)(data + offset);
		}
		if (offset + entry->rec_len > dir_limit(vol)) {
			entry->rec_len = (uint16_t)(dir_limit(vol) - offset);
			entry = (void *)(data + dir_limit(vol));
			memset(entry, 0, DIR_TAIL);
			entry->rec_len = DIR_TAIL;
			entry->file_type = DIR_TAIL_TYPE;
		}
		/* Found out anew when room is looked for here. */
		dir->index->blocks[i].slack = (uint16_t)dir_limit(vol);
		dir->index->blocks[i].room = 0;
	}
	dir->in.i_flags &= ~(uint32_t)EXT2_INDEX_FL;
	return 0;
}
