/* SPDX-License-Identifier: MIT */
/*
 * The names of a directory with a hash tree in the order of their hashes: what is
 * there all the time is shown once, whatever leaves are split between two calls.
 */
#include <stdlib.h>

#include "host-bridge/fs/ext4/volume_htree.h"

/* What readdir continues behind: names in the order of their hashes, after "."
 * and "..". Two names with the same in all its bits are shown together or the
 * second not at all; it takes 2^31 tries to find such. */
static uint64_t item_key(const struct htree_item *item)
{
	return ((uint64_t)item->hash >> 1 << 32 | item->minor) + 2;
}

/* Shows "." and "..", from cookie on. */
static bool show_dots(const uint8_t *root, uint64_t cookie,
		      bool (*fn)(void *arg, const struct volume_entry *entry),
		      void *arg)
{
	for (uint32_t i = cookie < 2 ? (uint32_t)cookie : 2; i < 2; i++) {
		const struct ext2_dir_entry_2 *entry =
			(const void *)(root + i * DIR_ENTRY_MIN);
		struct volume_entry shown;

		dir_show(entry, i + 1, &shown);
		if (!fn(arg, &shown)) {
			return false;
		}
	}
	return true;
}

/* Adds a leaf's entries. Returns 0, EAGAIN, EIO, EOPNOTSUPP or ENOMEM. */
static int batch_add(struct volume *vol, struct vnode *dir,
		     const struct htree_way *way)
{
	uint32_t more = vol->block_size / DIR_ENTRY_MIN, count;
	struct batch *batch = &vol->batch;
	struct htree_item *bigger = batch->items;
	const uint8_t *data;
	int error;

	if (way->leaf >= dir->index->block_count ||
	    (way->leaf == 0 && way->depth > 0)) {
		return EIO;
	}
	if (batch->count + more > batch->space) {
		bigger = realloc(bigger, (batch->count + more) *
				 sizeof(*bigger));
		if (bigger == NULL) {
			return ENOMEM;
		}
		batch->items = bigger;
		batch->space = batch->count + more;
	}
	data = dir_block(vol, dir, way->leaf, false);
	if (data == NULL) {
		return poke_error(vol);
	}
	error = htree_leaf(vol, way->hash_version, data,
			   bigger + batch->count, &count);
	for (uint32_t i = 0; error == 0 && i < count; i++) {
		bigger[batch->count + i].lblk = way->leaf;
	}
	batch->count += error == 0 ? count : 0;
	return error;
}

/* Begins with the leaf of a way. Who reads a directory asks several times for parts of
 * one: it is kept, sorted, as long as nothing there is changed (dir_block()). Returns
 * as batch_add(). */
static int batch_begin(struct volume *vol, struct vnode *dir,
		       const struct htree_way *way)
{
	struct batch *batch = &vol->batch;
	int error;

	if (batch->ino == dir->ino && batch->leaf == way->leaf) {
		return dir_block(vol, dir, way->leaf, false) != NULL
		       ? 0 : poke_error(vol);
	}
	batch->count = 0;
	error = batch_add(vol, dir, way);
	batch->ino = error == 0 ? dir->ino : 0;
	batch->leaf = way->leaf;
	return error;
}

/* The first item of a batch from cookie on. */
static uint32_t batch_from(const struct batch *batch, uint64_t cookie)
{
	uint32_t low = 0, high = batch->count;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (item_key(&batch->items[mid]) < cookie) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return low;
}

/* Shows a batch, from cookie on; false when fn has had enough. */
static bool batch_show(struct volume *vol, struct vnode *dir, uint64_t cookie,
		       bool *any,
		       bool (*fn)(void *arg, const struct volume_entry *entry),
		       void *arg)
{
	const struct batch *batch = &vol->batch;
	const uint8_t *data = NULL;
	uint32_t lblk = 0;

	for (uint32_t i = batch_from(batch, cookie); i < batch->count; i++) {
		const struct htree_item *item = &batch->items[i];
		struct volume_entry shown;

		/* In block 0 there are names only before there is a tree. */
		if (item->lblk == 0 && item->offset <= DIR_ENTRY_MIN) {
			continue;
		}
		if (data == NULL || item->lblk != lblk) {
			lblk = item->lblk;
			data = dir_block(vol, dir, lblk, false);
		}
		dir_show((const void *)(data + item->offset),
			 item_key(item) + 1, &shown);
		*any = true;
		if (!fn(arg, &shown)) {
			return false;
		}
	}
	return true;
}

/* The names of a directory of one block that has no tree yet, in the order that
 * they have when it gets one: it may, before the next call. */
static int each_of_one(struct volume *vol, struct vnode *dir, uint64_t cookie,
		       bool (*fn)(void *arg, const struct volume_entry *entry),
		       void *arg)
{
	const struct htree_way way = {
		.hash_version = vol->fs->super->s_def_hash_version,
	};
	const uint8_t *data;
	bool any;
	int error = htree_single(vol, dir, &data);

	if (error == 0) {
		error = batch_begin(vol, dir, &way);
	}
	if (error == 0 && show_dots(data, cookie, fn, arg)) {
		batch_show(vol, dir, cookie, &any, fn, arg);
	}
	return error;
}

/**
 * Shows the names of a hashed directory, or of one that may become so, as
 * dir_each() does. Entries may move while somebody reads it in several calls;
 * their hashes do not. Returns as dir_each(), or EOPNOTSUPP: there is no tree and
 * will be none, or it is not sound.
 */
int htree_each(struct volume *vol, struct vnode *dir, uint64_t cookie,
	       bool (*fn)(void *arg, const struct volume_entry *entry),
	       void *arg)
{
	uint64_t key = cookie > 2 ? cookie - 2 : 0;
	struct htree_way way;
	uint32_t hash;
	bool more, any = cookie < 2;
	int error;

	if ((dir->in.i_flags & EXT2_INDEX_FL) == 0) {
		return each_of_one(vol, dir, cookie, fn, arg);
	}
	error = htree_down(vol, dir, (uint32_t)(key >> 32) << 1, &way);
	if (error != 0) {
		return error;
	}
	more = show_dots((const uint8_t *)way.nodes[0].entries -
			 HTREE_ROOT_ENTRIES, cookie, fn, arg);
	while (more && error == 0) {
		unsigned leaves = 0;
		bool next;

		do {
			error = leaves++ == 0 ? batch_begin(vol, dir, &way)
					      : batch_add(vol, dir, &way);
			next = error == 0 && htree_next(vol, dir, &way, &hash,
						      &error);
		} while (next && (hash & 1) != 0);
		/* Leaves that have names of one hash in common. */
		if (leaves > 1) {
			vol->batch.ino = 0;
			htree_sort(vol->batch.items, vol->batch.count);
		}
		if (error == 0) {
			more = batch_show(vol, dir, cookie, &any, fn, arg) &&
			       next;
		}
	}
	return error == EAGAIN && any ? 0 : error;
}
