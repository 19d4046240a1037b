/* SPDX-License-Identifier: MIT */
/*
 * The entries of a directory, edited where they lie in its blocks. Deleting
 * joins an entry's room to the one before it, adding splits room off one that
 * has some to spare: no entry moves, so readdir cookies are offsets. Checksums
 * are set when the directory is written back. One with a hash tree is another
 * matter (volume_htree.c): there entries move, and cookies are hashes. A directory
 * gets a tree when it outgrows its first block; one of a kind that is not known, or
 * damaged, is turned into a plain one when a name is added.
 * [Linux "Documentation/filesystems/ext4/directory.rst"]
 *
 * Every entry was found sound when the index was made (index_load()); names
 * come checked from name_check(). Pointers to entries are good until a block of
 * the directory is poked anew or freed.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_dir.h"

/* The type an entry shows for a file of that mode. */
static uint8_t dir_ext2_type(uint32_t mode)
{
	switch (mode & VOLUME_S_IFMT) {
	case VOLUME_S_IFREG:
		return EXT2_FT_REG_FILE;
	case VOLUME_S_IFDIR:
		return EXT2_FT_DIR;
	case VOLUME_S_IFLNK:
		return EXT2_FT_SYMLINK;
	case VOLUME_S_IFCHR:
		return EXT2_FT_CHRDEV;
	case VOLUME_S_IFBLK:
		return EXT2_FT_BLKDEV;
	case VOLUME_S_IFIFO:
		return EXT2_FT_FIFO;
	case VOLUME_S_IFSOCK:
		return EXT2_FT_SOCK;
	default:
		return EXT2_FT_UNKNOWN;
	}
}

static void set_dirty(struct dir_index *index, uint32_t lblk)
{
	struct dir_block *block = &index->blocks[lblk];

	if (!block->dirty) {
		block->dirty = true;
		block->dirty_next = index->dirty;
		index->dirty = lblk + 1;
	}
}

/**
 * Block lblk of a directory, in memory; write: it will be changed, so its
 * checksum and the inode are dirty from now on. NULL: no such block, or the
 * device fails: see poke_error().
 */
uint8_t *dir_block(struct volume *vol, struct vnode *dir, uint32_t lblk,
		   bool write)
{
	const struct run *run = run_find(dir, lblk);
	uint64_t block;

	if (run == NULL || run->lblk > lblk) {
		vol->dev->absent = vol->dev->full = false;
		return NULL;
	}
	block = run->pblk + (lblk - run->lblk);
	if (!write) {
		return (uint8_t *)vol->dev->ops->peek(vol->dev, block);
	}
	if (dir->index != NULL) {
		set_dirty(dir->index, lblk);
	}
	if (vol->batch.ino == dir->ino) {
		vol->batch.ino = 0;
	}
	dir->dirty = true;
	return vol->dev->ops->change(vol->dev, block, false);
}

/**
 * The entry at a place that the index gave; write as for dir_block(). NULL: see
 * poke_error().
 */
struct ext2_dir_entry_2 *dir_entry(struct volume *vol, struct vnode *dir,
				   uint32_t place, bool write)
{
	uint8_t *data = dir_block(vol, dir, place >> vol->shift,
				  write);

	return data == NULL ? NULL : (struct ext2_dir_entry_2 *)
				     (data + (place & (vol->block_size - 1)));
}

/**
 * Finds a name, "." and ".." like others. *place is where its entry is, *ino
 * what it names. Returns 0, ENOENT, EIO, EOPNOTSUPP (a directory with block
 * maps) or ENOMEM.
 */
int dir_find(struct volume *vol, struct vnode *dir, const char *name,
	     size_t len, uint32_t *place, uint32_t *ino)
{
	uint32_t hash = index_hash(vol, name, len);
	const struct dir_slot *slot;
	int error = index_load(vol, dir);

	if (error != 0) {
		return error;
	}
	for (uint32_t at = hash & dir->index->mask;
	     (slot = &dir->index->slots[at])->hash != 0;
	     at = (at + 1) & dir->index->mask) {
		const struct ext2_dir_entry_2 *entry;

		/* Few names share 32 bits: the block is looked at for the right
		 * one only, as a rule. */
		if (slot->hash != hash) {
			continue;
		}
		entry = dir_entry(vol, dir, slot->place, false);
		if (entry == NULL) {
			return poke_error(vol);
		}
		if (entry->name_len == len &&
		    memcmp(entry->name, name, len) == 0) {
			*place = slot->place;
			*ino = entry->inode;
			return 0;
		}
	}
	return ENOENT;
}

/* Makes block lblk one free entry, and a checksum's tail where the volume has
 * them. The content before is another file's, so all of it is overwritten. */
void dir_block_init(struct volume *vol, uint8_t *data)
{
	struct ext2_dir_entry_2 *entry = (void *)data;

	memset(data, 0, vol->block_size);
	entry->rec_len = (uint16_t)dir_limit(vol);
	if (vol->csum) {
		entry = (void *)(data + dir_limit(vol));
		entry->rec_len = DIR_TAIL;
		entry->file_type = DIR_TAIL_TYPE;
	}
}

/* Gives a directory one more, empty block, and notes its room. Returns 0,
 * ENOSPC, EIO, EFBIG or ENOMEM; then it is as it was. */
int dir_append_block(struct volume *vol, struct vnode *dir)
{
	struct dir_index *index = dir->index;
	uint32_t lblk = index->block_count;
	uint64_t pblk;
	uint32_t got;
	uint8_t *data;
	int error = lblk < dir_blocks_max(vol) ? index_blocks(index, lblk + 1)
					  : ENOSPC;

	if (error == 0) {
		error = run_extend(vol, dir, lblk, 1, false, &pblk,
				   &got);
	}
	if (error != 0) {
		return error;
	}
	data = vol->dev->ops->change(vol->dev, pblk, true);
	if (data == NULL) {
		error = poke_error(vol);
		run_truncate(vol, dir, lblk);
		return error;
	}
	dir_block_init(vol, data);
	index->blocks[lblk] = (struct dir_block){
		.slack = (uint16_t)dir_limit(vol),
	};
	set_dirty(index, lblk);
	index->block_count = lblk + 1;
	index->hint = lblk;
	index->slack_place = lblk * vol->block_size;
	vnode_set_size(vol, dir, (uint64_t)(lblk + 1) << vol->shift);
	return 0;
}

/* Bytes an entry could give to a new one: all of it when it is free. */
static uint32_t entry_slack(const struct ext2_dir_entry_2 *entry)
{
	return entry->inode == 0 ? entry->rec_len
	       : entry->rec_len - dir_entry_size(entry->name_len);
}

/* Notes that the entry at a place has room: it is looked at first. */
static void room_at(const struct volume *vol, struct vnode *dir, uint32_t place)
{
	dir->index->slack_place = place;
	dir->index->blocks[place >> vol->shift].room =
		(uint16_t)(place & (vol->block_size - 1));
}

/* Whether the entry of a block that has had room has as much. */
static bool room_still(const struct volume *vol, const uint8_t *data,
		       uint32_t room, uint32_t need)
{
	const struct ext2_dir_entry_2 *entry = (const void *)(data + room);

	return room < dir_limit(vol) && index_sound(vol, entry, room) &&
	       entry_slack(entry) >= need;
}

/* Looks in block lblk for an entry with need bytes to spare, and remembers it
 * as slack_place; sets the block's slack to what there really is when none has,
 * so that it is not searched for as much again. Returns 0, ENOSPC, EAGAIN or
 * EIO. */
int dir_block_room(struct volume *vol, struct vnode *dir, uint32_t lblk,
		   uint32_t need)
{
	const uint8_t *data = dir_block(vol, dir, lblk, false);
	struct dir_block *block = &dir->index->blocks[lblk];
	uint32_t most = 0;

	if (data == NULL) {
		return poke_error(vol);
	}
	if (room_still(vol, data, block->room, need)) {
		dir->index->hint = lblk;
		dir->index->slack_place = (lblk << vol->shift) + block->room;
		return 0;
	}
	for (uint32_t offset = 0; offset < dir_limit(vol); ) {
		const struct ext2_dir_entry_2 *entry =
			(const void *)(data + offset);
		uint32_t slack;

		if (!index_sound(vol, entry, offset)) {
			break;
		}
		slack = entry_slack(entry);
		if (slack >= need) {
			dir->index->hint = lblk;
			dir->index->slack_place = (lblk << vol->shift) +
						  offset;
			return 0;
		}
		most = slack > most ? slack : most;
		offset += entry->rec_len;
	}
	block->slack = (uint16_t)most;
	return ENOSPC;
}

/* Finds an entry with need bytes to spare; index->slack_place is where. Blocks are
 * tried from the last success on, and only those that may have the room: making
 * many files does not search the full blocks each time. */
static int dir_find_room(struct volume *vol, struct vnode *dir, uint32_t need)
{
	const struct dir_index *index = dir->index;

	if (index->slack_place != DIR_NOWHERE) {
		const struct ext2_dir_entry_2 *entry =
			dir_entry(vol, dir, index->slack_place, false);

		if (entry == NULL) {
			return poke_error(vol);
		}
		if (entry_slack(entry) >= need) {
			return 0;
		}
	}
	for (uint32_t n = 0, i = index->hint; n < index->block_count; n++) {
		int error = index->blocks[i].slack >= need
			    ? dir_block_room(vol, dir, i, need) : ENOSPC;

		if (error != ENOSPC) {
			return error;
		}
		i = i + 1 < index->block_count ? i + 1 : 0;
	}
	return ENOSPC;
}

/* Finds or makes room for a name in a directory without a tree, which may get one
 * by it. */
static int dir_plain_room(struct volume *vol, struct vnode *dir,
			  const char *name, size_t len)
{
	int error = dir_find_room(vol, dir, dir_entry_size(len));

	if (error != ENOSPC) {
		return error;
	}
	error = htree_make(vol, dir);
	if (error == 0) {
		return htree_room(vol, dir, name, len);
	}
	return error == EOPNOTSUPP ? dir_append_block(vol, dir) : error;
}

/**
 * Finds or makes room for a name, so that dir_insert() of it will not fail: in
 * the index, and in a block that is in memory for writing. Returns 0, ENOSPC,
 * EFBIG, EIO, EOPNOTSUPP or ENOMEM. What it made stays, used or not.
 */
int dir_reserve(struct volume *vol, struct vnode *dir, const char *name,
		size_t len)
{
	int error = index_load(vol, dir);
	bool hashed = false;

	if (error == 0) {
		uint32_t mask = dir->index->mask;

		error = index_reserve(dir->index);
		if (dir->index->mask != mask) {
			vnode_count(vol, dir);
		}
	}
	if (error == 0 && (dir->in.i_flags & EXT2_INDEX_FL) != 0) {
		hashed = ext2fs_has_feature_dir_index(vol->fs->super);
		error = hashed ? htree_room(vol, dir, name, len) : EOPNOTSUPP;
		if (error == EOPNOTSUPP) {
			hashed = false;
			error = htree_unmake(vol, dir);
		}
	}
	if (error == 0 && !hashed) {
		error = dir_plain_room(vol, dir, name, len);
	}
	if (error == 0 &&
	    dir_entry(vol, dir, dir->index->slack_place, true) == NULL) {
		error = poke_error(vol);
	}
	return error;
}

/**
 * Adds a name that is not there yet, for inode ino of that mode: the one that
 * dir_reserve() was last called for, and no name of dir has changed since.
 * Returns 0, or as poke_error() when its block cannot be had all the same.
 */
int dir_insert(struct volume *vol, struct vnode *dir, const char *name,
	       size_t len, uint32_t ino, uint32_t mode)
{
	struct dir_index *index = dir->index;
	struct ext2_dir_entry_2 *entry;
	uint32_t place;

	place = index->slack_place;
	entry = dir_entry(vol, dir, place, true);
	if (entry == NULL) {
		return poke_error(vol);
	}
	/* The entry keeps what its own name needs; the rest is the new
	 * one's. */
	if (entry->inode != 0) {
		uint32_t used = dir_entry_size(entry->name_len);
		uint16_t rest = (uint16_t)(entry->rec_len - used);

		entry->rec_len = (uint16_t)used;
		place += used;
		entry = (void *)((uint8_t *)entry + used);
		entry->rec_len = rest;
	}
	entry->inode = ino;
	entry->name_len = (uint8_t)len;
	entry->file_type = dir_ext2_type(mode);
	memcpy(entry->name, name, len);
	index_add(index, index_hash(vol, name, len), place);
	/* It has all the room that is left: the next name goes behind it. */
	room_at(vol, dir, place);
	vnode_touch(dir, VNODE_MTIME | VNODE_CTIME);
	return 0;
}

/**
 * Removes the name at a place, which the index gave. Its bytes stay in the
 * block, but no entry shows them. Returns 0 or EIO (nothing was changed).
 */
int dir_remove(struct volume *vol, struct vnode *dir, uint32_t place)
{
	uint32_t lblk = place >> vol->shift;
	uint32_t target = place & (vol->block_size - 1);
	uint8_t *data = dir_block(vol, dir, lblk, true);
	struct ext2_dir_entry_2 *entry, *before = NULL;
	const uint8_t *at = data;
	uint32_t slack;

	if (data == NULL) {
		return poke_error(vol);
	}
	/* The entry before it can only be found from the block's start: half a
	 * block is walked, so no more is looked at than where each one ends. */
	entry = (void *)(data + target);
	while (at < (uint8_t *)entry) {
		before = (void *)at;
		if (before->rec_len < DIR_ENTRY_MIN) {
			return EIO;
		}
		at += before->rec_len;
	}
	if (at != (uint8_t *)entry ||
	    (before != NULL &&
	     !index_sound(vol, before, target - before->rec_len))) {
		return EIO;
	}
	index_remove(dir->index, index_hash(vol, entry->name, entry->name_len),
		     place);
	entry->inode = 0;
	if (before != NULL) {
		before->rec_len = (uint16_t)(before->rec_len + entry->rec_len);
		entry = before;
	}
	/* The first of a block has none before it and stays, as a free one. */
	slack = entry_slack(entry);
	if (slack > dir->index->blocks[lblk].slack) {
		dir->index->blocks[lblk].slack = (uint16_t)slack;
	}
	/* The new room is used first; its entry begins before the old one. */
	room_at(vol, dir, (uint32_t)((uint8_t *)entry - data) +
		lblk * vol->block_size);
	vnode_touch(dir, VNODE_MTIME | VNODE_CTIME);
	return 0;
}

/**
 * Makes the name at a place mean another inode, of that mode. The name, its
 * place and so the index stay. Returns 0 or EIO.
 */
int dir_replace(struct volume *vol, struct vnode *dir, uint32_t place,
		uint32_t ino, uint32_t mode)
{
	struct ext2_dir_entry_2 *entry = dir_entry(vol, dir, place, true);

	if (entry == NULL) {
		return poke_error(vol);
	}
	entry->inode = ino;
	entry->file_type = dir_ext2_type(mode);
	vnode_touch(dir, VNODE_MTIME | VNODE_CTIME);
	return 0;
}

/**
 * Gives a new directory, which has neither blocks nor index, its first block,
 * with "." and "..". The links that these stand for are the caller's to count.
 * Returns 0, ENOSPC, EIO or ENOMEM.
 */
int dir_init(struct volume *vol, struct vnode *dir, uint32_t parent)
{
	static const char dots[2] = { '.', '.' };
	int error;

	error = index_new(dir);
	if (error == 0) {
		error = dir_append_block(vol, dir);
	}
	for (size_t len = 1; error == 0 && len <= sizeof(dots); len++) {
		error = dir_reserve(vol, dir, dots, len);
		if (error == 0) {
			error = dir_insert(vol, dir, dots, len,
					   len == 1 ? dir->ino : parent,
					   VOLUME_S_IFDIR);
		}
	}
	return error;
}

/**
 * Tells whether a directory has no names but "." and "..". Returns 0, EIO,
 * EOPNOTSUPP or ENOMEM.
 */
int dir_empty(struct volume *vol, struct vnode *dir, bool *empty)
{
	int error = index_load(vol, dir);

	if (error == 0) {
		*empty = dir->index->count <= 2;
	}
	return error;
}

/**
 * Sets the checksums of the blocks that were changed; for a volume that has
 * them, with the index in memory. Returns 0, EAGAIN or EIO; then what is left
 * stays dirty.
 */
int dir_writeback(struct volume *vol, struct vnode *dir)
{
	struct dir_index *index = dir->index;

	while (index->dirty != 0) {
		uint32_t lblk = index->dirty - 1;
		struct ext2_dir_entry_tail *tail;
		uint8_t *data = dir_block(vol, dir, lblk, true);

		if (data == NULL) {
			return poke_error(vol);
		}
		if ((dir->in.i_flags & EXT2_INDEX_FL) == 0 ||
		    !htree_seal(vol, dir, lblk, data)) {
			tail = (void *)(data + dir_limit(vol));
			tail->det_checksum = inode_block_csum(vol, dir, data,
							dir_limit(vol));
		}
		index->blocks[lblk].dirty = false;
		index->dirty = index->blocks[lblk].dirty_next;
	}
	return 0;
}

/** An entry as readdir shows it. */
void dir_show(const struct ext2_dir_entry_2 *entry, uint64_t cookie,
	      struct volume_entry *out)
{
	/* DT_* by EXT2_FT_*: unknown, file, directory, character and block
	 * device, FIFO, socket, link. */
	static const uint8_t types[] = { 0, 8, 4, 2, 6, 1, 12, 10 };

	*out = (struct volume_entry){
		.ino = entry->inode,
		.type = entry->file_type < sizeof(types)
			? types[entry->file_type] : 0,
		.name = entry->name,
		.name_len = entry->name_len,
		.cookie = cookie,
	};
}

/**
 * Shows the entries at places from cookie on to fn, until it returns false; in a
 * directory with a hash tree in the order of hashes. A cookie that no entry gave
 * shows what begins behind it. fn must not call the
 * volume: that could drop dir. Returns 0, EAGAIN when the first to be shown is
 * not there yet, EIO, EOPNOTSUPP or ENOMEM.
 */
int dir_each(struct volume *vol, struct vnode *dir, uint64_t cookie,
	     bool (*fn)(void *arg, const struct volume_entry *entry),
	     void *arg)
{
	uint64_t lblk = cookie >> vol->shift;
	int error = index_load(vol, dir);
	bool any = false;

	if (error == 0) {
		error = htree_each(vol, dir, cookie, fn, arg);
		if (error != EOPNOTSUPP) {
			return error;
		}
		error = 0;
	}
	for (; error == 0 && lblk < dir->index->block_count; lblk++) {
		uint32_t base = (uint32_t)lblk << vol->shift;
		uint8_t *data = dir_block(vol, dir, (uint32_t)lblk, false);
		uint32_t offset = 0;

		if (data == NULL) {
			error = poke_error(vol);
			return any && error == EAGAIN ? 0 : error;
		}
		while (offset < dir_limit(vol)) {
			const struct ext2_dir_entry_2 *entry =
				(const void *)(data + offset);
			struct volume_entry shown;

			if (!index_sound(vol, entry, offset)) {
				return EIO;
			}
			/* 0 means the beginning. */
			dir_show(entry, (uint64_t)base + offset + 1, &shown);
			if (entry->inode != 0 && base + offset >= cookie) {
				any = true;
				if (!fn(arg, &shown)) {
					return 0;
				}
			}
			offset += entry->rec_len;
		}
	}
	return error;
}
