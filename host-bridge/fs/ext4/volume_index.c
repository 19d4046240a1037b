/* SPDX-License-Identifier: MIT */
/*
 * The names of one directory in memory: a hash table of places. An entry of a
 * directory never moves in it while it lives, so a place (the entry's offset)
 * is all there is to remember; the name itself is compared in the directory's
 * block. Beside it, what room each block has for new entries.
 *
 * The table and the blocks must agree: volume_dir.c changes both together, and
 * nobody else changes a directory's blocks. Entries are checked once, when the
 * index is made; the code that edits them later relies on that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_dir.h"

#define MIN_SLOTS	16u		/* a power of two, as all sizes are */

/**
 * The hash of a name; never 0, which marks a free slot. The seed keeps a guest
 * from choosing names that collide.
 */
uint32_t index_hash(const struct volume *vol, const char *name, size_t len)
{
	uint64_t hash = vol->seed ^ len;

	for (; len > 0; ) {
		uint64_t word = 0;
		size_t n = len < sizeof(word) ? len : sizeof(word);

		memcpy(&word, name, n);
		hash = (hash ^ word) * 0x9fb21c651e98df25ull;
		hash ^= hash >> 29;
		name += n;
		len -= n;
	}
	hash *= 0x9fb21c651e98df25ull;
	hash >>= 32;
	return (uint32_t)(hash + (hash == 0));
}

/* Enters a place at the first free slot from its hash's on. */
static void index_put(struct dir_index *index, uint32_t hash, uint32_t place)
{
	uint32_t at = hash & index->mask;

	while (index->slots[at].hash != 0) {
		at = (at + 1) & index->mask;
	}
	index->slots[at].hash = hash;
	index->slots[at].place = place;
	index->count++;
}

/**
 * Makes sure that one more name can be added: doubles the table when it is
 * three quarters full, so that a search always meets a free slot. Returns 0 or
 * ENOMEM; then the table is as it was.
 */
int index_reserve(struct dir_index *index)
{
	struct dir_slot *old = index->slots;
	uint32_t old_slots = index->mask + 1;
	uint32_t slots = old == NULL ? MIN_SLOTS : old_slots * 2;

	if (old != NULL && index->count + 1 <= old_slots / 4 * 3) {
		return 0;
	}
	index->slots = calloc(slots, sizeof(*index->slots));
	if (index->slots == NULL) {
		index->slots = old;
		return ENOMEM;
	}
	index->mask = slots - 1;
	index->count = 0;
	for (uint32_t i = 0; old != NULL && i < old_slots; i++) {
		if (old[i].hash != 0) {
			index_put(index, old[i].hash, old[i].place);
		}
	}
	free(old);
	return 0;
}

/** Adds a name, which is not there yet; index_reserve() made room. */
void index_add(struct dir_index *index, uint32_t hash, uint32_t place)
{
	index_put(index, hash, place);
}

/**
 * Removes the name at a place, and closes the gap in the table, so that no
 * search ends there too early. The name must be there, with this hash.
 */
void index_remove(struct dir_index *index, uint32_t hash, uint32_t place)
{
	uint32_t gap = hash & index->mask;
	uint32_t at;

	while (index->slots[gap].place != place ||
	       index->slots[gap].hash != hash) {
		gap = (gap + 1) & index->mask;
	}
	for (at = (gap + 1) & index->mask; index->slots[at].hash != 0;
	     at = (at + 1) & index->mask) {
		uint32_t home = index->slots[at].hash & index->mask;

		/* Stays if its home lies between the gap and itself. */
		if (((at - home) & index->mask) < ((at - gap) & index->mask)) {
			continue;
		}
		index->slots[gap] = index->slots[at];
		gap = at;
	}
	index->slots[gap].hash = 0;
	index->count--;
}

/**
 * Makes sure that the directory can have count blocks, with some to spare.
 * Returns 0 or ENOMEM. What block_count does not cover is undefined.
 */
int index_blocks(struct dir_index *index, uint32_t count)
{
	struct dir_block *bigger;

	if (count <= index->block_space) {
		return 0;
	}
	count += count / 2;
	bigger = realloc(index->blocks, count * sizeof(*bigger));
	if (bigger == NULL) {
		return ENOMEM;
	}
	index->blocks = bigger;
	index->block_space = count;
	return 0;
}

/**
 * Whether the entry at an offset of a block is sound by itself, and ends within
 * the block. Its name is then within it too. The next entry is at offset +
 * rec_len, which is larger, so a walk ends.
 * [Linux "ext4/directory.rst: Linear (Classic) Directories"]
 */
bool index_sound(const struct volume *vol,
		 const struct ext2_dir_entry_2 *entry, uint32_t offset)
{
	uint32_t left = vol->block_size - offset;

	/* The first is for what is left of a block, 4 or 8 bytes: an entry's
	 * head would not be within it. */
	return left >= DIR_ENTRY_MIN && entry->rec_len >= DIR_ENTRY_MIN &&
	       entry->rec_len % 4 == 0 && entry->rec_len <= left &&
	       entry->name_len + DIR_ENTRY_HEAD <= entry->rec_len;
}

/* Whether an entry leaves alone the room of a checksum at its block's end. A
 * hash tree's own blocks do not: they look like one free entry over all of the
 * rest. But what htree_unmake() leaves of it must hold its name. */
static bool index_in_limit(const struct ext2_dir_entry_2 *entry,
			   uint32_t offset, uint32_t limit, bool hashed)
{
	return offset + entry->rec_len <= limit ||
	       (hashed && offset + DIR_ENTRY_MIN <= limit &&
		offset + dir_entry_size(entry->name_len) <= limit);
}

/* Enters the names of block lblk, which holds data. Returns 0, EIO for an entry
 * that is not sound, or ENOMEM. */
static int index_load_block(struct volume *vol, struct vnode *dir,
			    uint32_t lblk, const uint8_t *data)
{
	struct dir_index *index = dir->index;
	bool hashed = (dir->in.i_flags & EXT2_INDEX_FL) != 0;
	uint32_t limit = dir_limit(vol);
	uint32_t most = 0, room = 0;

	for (uint32_t offset = 0; offset < limit; ) {
		const struct ext2_dir_entry_2 *entry =
			(const void *)(data + offset);
		uint32_t slack;

		if (!index_sound(vol, entry, offset) ||
		    !index_in_limit(entry, offset, limit, hashed)) {
			return EIO;
		}
		slack = entry->rec_len;
		if (entry->inode != 0) {
			int error = index_reserve(index);

			if (entry->name_len == 0) {
				error = EIO;
			}
			if (error != 0) {
				return error;
			}
			index_add(index, index_hash(vol, entry->name,
						    entry->name_len),
				  lblk * vol->block_size + offset);
			slack -= dir_entry_size(entry->name_len);
		}
		room = slack > most ? offset : room;
		most = slack > most ? slack : most;
		offset += entry->rec_len;
	}
	index->blocks[lblk] = (struct dir_block){
		.slack = (uint16_t)most, .room = (uint16_t)room,
	};
	return 0;
}

/* Reads all blocks, by the directory's size. EIO for one that is no
 * directory's: empty, not of whole blocks, with a hole, or so large that the
 * volume would need a feature it has not. So places always fit 32 bits. */
static int index_load_blocks(struct volume *vol, struct vnode *dir)
{
	uint64_t size = vnode_size(dir);
	uint32_t blocks = (uint32_t)(size >> vol->shift);
	int error;

	if (size % vol->block_size != 0 || size == 0 ||
	    size >> vol->shift > dir_blocks_max(vol)) {
		return EIO;
	}
	error = file_touch(vol, dir, 0, size);
	if (error == 0) {
		error = index_blocks(dir->index, blocks);
	}
	for (uint32_t i = 0; error == 0 && i < blocks; i++) {
		const struct run *run = run_find(dir, i);
		const uint8_t *data;

		if (run == NULL || run->lblk > i || run->unwritten) {
			return EIO;
		}
		data = vol->dev->ops->peek(vol->dev,
					   run->pblk + (i - run->lblk));
		error = data != NULL ? index_load_block(vol, dir, i, data)
				     : poke_error(vol);
	}
	dir->index->block_count = blocks;
	return error;
}

/**
 * Gives a directory an index without names or blocks. Returns 0 or ENOMEM;
 * after that, index_free() is still due.
 */
int index_new(struct vnode *dir)
{
	dir->index = calloc(1, sizeof(*dir->index));
	if (dir->index == NULL) {
		return ENOMEM;
	}
	dir->index->slack_place = DIR_NOWHERE;
	return index_reserve(dir->index);
}

/**
 * Reads a directory's names, once. Returns 0, EIO for a damaged directory,
 * EOPNOTSUPP for one with block maps, or ENOMEM; then there is no index, and
 * the next call tries again. Costs a look at every entry the first time,
 * nothing later.
 */
int index_load(struct volume *vol, struct vnode *dir)
{
	int error;

	if (dir->index != NULL) {
		return 0;
	}
	error = tree_load(vol, dir);
	if (error == 0) {
		error = index_new(dir);
	}
	if (error == 0) {
		error = index_load_blocks(vol, dir);
	}
	if (error != 0) {
		index_free(dir);
	}
	vnode_count(vol, dir);
	return error;
}

/** The memory that a directory's names take. */
size_t index_bytes(const struct vnode *dir)
{
	const struct dir_index *index = dir->index;

	return index == NULL ? 0
	       : sizeof(*index) +
		 (index->mask + (size_t)1) * sizeof(*index->slots) +
		 index->block_space * sizeof(*index->blocks);
}

/**
 * Forgets a directory's names. Which checksums are due is forgotten too: the
 * directory was written back before, or is on its way out.
 */
void index_free(struct vnode *dir)
{
	if (dir->index != NULL) {
		free(dir->index->slots);
		free(dir->index->blocks);
		free(dir->index);
		dir->index = NULL;
	}
}
