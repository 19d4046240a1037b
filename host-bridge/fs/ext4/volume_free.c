/* SPDX-License-Identifier: MIT */
/*
 * Blocks and inodes that are given back. Freeing cannot fail and does not wait:
 * where the bitmap is not in memory, what was freed is noted, and the bitmap is
 * changed with the next flush.
 *
 * Before a device with a journal that is so for all blocks, because they may be
 * used again only when the transaction that freed them is on the disk: until
 * then a crash brings the file back that had them. So they stay marked until the
 * flush that ends the transaction, and after it wait for the disk.
 */
#include <stdlib.h>

#include "host-bridge/fs/ext4/volume_group.h"

#define MIN_SPACE	64u

/* Makes room in a list for one more. */
static bool list_grow(struct freed_list *list)
{
	uint32_t space = list->space == 0 ? MIN_SPACE : list->space * 2;
	struct freed *bigger;

	if (list->count < list->space) {
		return true;
	}
	bigger = realloc(list->all, space * sizeof(*bigger));
	if (bigger == NULL) {
		return false;
	}
	list->all = bigger;
	list->space = space;
	return true;
}

/* Notes that a group's bitmap will be changed, and its descriptor; or that it
 * was. */
static void group_counts(struct volume *vol, uint32_t group, bool due)
{
	struct group *g = &vol->groups[group];

	if (((g->state & GROUP_FREED) != 0) == due) {
		return;
	}
	g->state ^= GROUP_FREED;
	vol->group_due += due ? 2 : -2u;
}

/* The groups that something freed is in. */
static void freed_groups(const struct volume *vol, const struct freed *f,
			 uint32_t *first, uint32_t *last)
{
	uint64_t begin = vol->fs->super->s_first_data_block;

	if (f->what == FREED_BLOCKS) {
		*first = (uint32_t)((f->first - begin) / vol->group_blocks);
		*last = (uint32_t)((f->first + f->count - 1 - begin) /
				   vol->group_blocks);
	} else {
		*first = *last = (uint32_t)((f->first - 1) /
					    vol->group_inodes);
	}
}

static void freed_counts(struct volume *vol, const struct freed *f, bool due)
{
	uint32_t group, last;

	freed_groups(vol, f, &group, &last);
	for (; group <= last; group++) {
		group_counts(vol, group, due);
	}
}

/* One more, for which there is room. */
static void list_add(struct freed_list *list, const struct freed *freed)
{
	list->all[list->count++] = *freed;
	list->blocks += freed->what == FREED_BLOCKS ? freed->count : 0;
}

/* Notes what is freed later. Without memory for that it is lost, and e2fsck
 * finds it: the superblock says that it should look. */
static void note(struct volume *vol, uint64_t first, uint32_t count,
		 enum freed_what what)
{
	const struct freed freed = {
		.first = first, .count = count, .what = what,
	};
	struct freed_list *list = &vol->freed;
	struct freed *last = list->count > 0 ? &list->all[list->count - 1]
					     : NULL;

	freed_counts(vol, &freed, true);

	if (last != NULL && what == FREED_BLOCKS && last->what == what &&
	    last->first + last->count == first &&
	    last->count <= UINT32_MAX - count) {
		last->count += count;
		list->blocks += count;
		return;
	}
	if (!list_grow(list)) {
		vol->fs->super->s_state |= EXT2_ERROR_FS;
		return;
	}
	list_add(list, &freed);
}

/* Clears bits of a group's blocks, and counts them. Returns 0, EAGAIN, ENOSPC or
 * EIO; a damaged group keeps them. */
static int clear_blocks(struct volume *vol, uint32_t group, uint32_t bit,
			uint32_t count)
{
	uint32_t left = group_free_blocks(vol, group) + count;
	uint8_t *map;
	int error = group_map(vol, group, true, true, &map);

	if (error != 0) {
		return error == EUCLEAN ? 0 : error;
	}
	for (uint32_t i = bit; i < bit + count; i++) {
		map[i / 8] &= (uint8_t)~(1u << i % 8);
	}
	group_free_blocks_set(vol, group, left);
	return 0;
}

/* Clears what it can of a range, from its beginning; *range is what is left. */
static int clear_range(struct volume *vol, struct freed *range)
{
	uint64_t first = vol->fs->super->s_first_data_block;

	while (range->count > 0) {
		uint32_t group = (uint32_t)((range->first - first) /
					    vol->group_blocks);
		uint32_t bit = (uint32_t)((range->first - first) %
					  vol->group_blocks);
		uint32_t n = vol->group_blocks - bit;
		int error;

		n = n < range->count ? n : range->count;
		error = clear_blocks(vol, group, bit, n);
		if (error != 0) {
			return error;
		}
		range->first += n;
		range->count -= n;
	}
	return 0;
}

/* Clears an inode's bit, and counts it. */
static int clear_inode(struct volume *vol, uint32_t ino, bool dir)
{
	uint32_t group = (ino - 1) / vol->group_inodes;
	uint32_t bit = (ino - 1) % vol->group_inodes;
	uint32_t left = group_free_inodes(vol, group) + 1;
	uint8_t *map;
	int error = group_map(vol, group, false, true, &map);

	if (error != 0) {
		return error == EUCLEAN ? 0 : error;
	}
	map[bit / 8] &= (uint8_t)~(1u << bit % 8);
	group_free_inodes_set(vol, group, left);
	if (dir) {
		group_dirs_set(vol, group, group_dirs(vol, group) - 1);
	}
	if (ino >= vol->inode_from && ino < vol->inode_next) {
		vol->inode_next = ino;
	}
	return 0;
}

static int clear(struct volume *vol, struct freed *freed)
{
	return freed->what == FREED_BLOCKS ? clear_range(vol, freed)
	       : clear_inode(vol, (uint32_t)freed->first,
			     freed->what == FREED_DIR);
}

/* Counts blocks as free; at once: their bits are cleared now, if they can be. */
static void give_back(struct volume *vol, uint64_t first, uint32_t count,
		      bool at_once)
{
	struct freed range = {
		.first = first, .count = count, .what = FREED_BLOCKS,
	};

	ext2fs_free_blocks_count_add(vol->fs->super, count);
	ext2fs_mark_super_dirty(vol->fs);
	if (!at_once || clear(vol, &range) != 0) {
		note(vol, range.first, range.count, FREED_BLOCKS);
		return;
	}
	/* What was taken last and is free again is used next. */
	if (first < vol->goal && first + count == vol->goal) {
		vol->goal = first;
	}
}

/**
 * Gives blocks back, which were in use. Their memory on the device is given
 * back too: no pointer into them may be used any more.
 */
void volume_free(struct volume *vol, uint64_t first, uint32_t count)
{
	vol->dev->ops->discard(vol->dev, first, count);
	give_back(vol, first, count, vol->dev->running == 0);
}

/**
 * Gives blocks back that the same call of the volume's has taken, and that nothing was
 * written to: as no crash brings back who had them, they may be taken again at once.
 */
void volume_untake(struct volume *vol, uint64_t first, uint32_t count)
{
	give_back(vol, first, count, true);
}

/** Gives an inode back, which was in use; dir: as a directory. */
void volume_free_inode(struct volume *vol, uint32_t ino, bool dir)
{
	vol->fs->super->s_free_inodes_count++;
	ext2fs_mark_super_dirty(vol->fs);
	if (clear_inode(vol, ino, dir) != 0) {
		note(vol, ino, 1, dir ? FREED_DIR : FREED_INODE);
	}
}

static int by_first(const void *a, const void *b)
{
	uint64_t x = ((const struct freed *)a)->first;
	uint64_t y = ((const struct freed *)b)->first;

	return x < y ? -1 : x > y;
}

/* Whether a range whose transaction is on the disk waits for the device, which is
 * told that it is free. */
static bool trims(struct volume *vol, struct freed *range)
{
	struct volume_dev *dev = vol->dev;

	if (range->trim == 0 && dev->trim_least != 0 &&
	    range->count >= dev->trim_least) {
		range->trim = dev->ops->trim(dev, range->first, range->count);
	}
	return range->trim > dev->trimmed;
}

/* Forgets those whose transaction is on the disk. */
static void wait_no_more(struct volume *vol)
{
	struct freed_list *list = &vol->waiting;
	uint32_t count = list->count;

	vol->waiting_next = vol->waiting_trim = UINT64_MAX;
	list->count = 0;
	list->blocks = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct freed *range = &list->all[i];
		uint64_t *next = &vol->waiting_next, number = range->tid;

		if (number <= vol->dev->lasting) {
			if (!trims(vol, range)) {
				continue;
			}
			next = &vol->waiting_trim;
			number = range->trim;
		}
		*next = number < *next ? number : *next;
		list_add(list, range);
	}
}

/* Whether there is one to forget, or to tell the device of. */
static bool waits_no_more(const struct volume *vol)
{
	return vol->waiting.count > 0 &&
	       (vol->dev->lasting >= vol->waiting_next ||
		vol->dev->trimmed >= vol->waiting_trim);
}

/** The device is told of what is free for good. Once a second, about. */
void volume_freed(struct volume *vol)
{
	if (waits_no_more(vol)) {
		wait_no_more(vol);
	}
}

/* Blocks whose bits are cleared wait for the transaction that is being ended.
 * Without memory to note that, all blocks do. */
static void wait_for(struct volume *vol, const struct freed *range)
{
	struct freed_list *list = &vol->waiting;
	uint64_t tid = vol->dev->running;

	if (!list_grow(list)) {
		vol->waiting_all = tid;
		return;
	}
	list_add(list, range);
	list->all[list->count - 1].tid = tid;
	vol->waiting_next = tid < vol->waiting_next ? tid : vol->waiting_next;
}

/**
 * Leaves of a range of free blocks, not empty, a part that may be used now: the
 * first. false: there is none.
 */
bool free_usable(struct volume *vol, uint64_t *first, uint32_t *count)
{
	struct freed_list *list = &vol->waiting;
	uint64_t end = *first + *count;
	uint32_t low = 0, high;

	if (vol->waiting_all > vol->dev->lasting) {
		return false;
	}
	if (waits_no_more(vol)) {
		wait_no_more(vol);
	}
	high = list->count;
	/* The first that ends behind the range's beginning. */
	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (list->all[mid].first + list->all[mid].count <= *first) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	for (; low < list->count && list->all[low].first <= *first; low++) {
		*first = list->all[low].first + list->all[low].count;
	}
	if (*first >= end) {
		return false;
	}
	if (low < list->count && list->all[low].first < end) {
		end = list->all[low].first;
	}
	*count = (uint32_t)(end - *first);
	return true;
}

/* What lies beside each other waits together, for the later transaction: a device is
 * told of large pieces. They are sorted. */
static void join(struct freed_list *list)
{
	uint32_t kept = 0;

	for (uint32_t i = 1; i < list->count; i++) {
		struct freed *last = &list->all[kept], *next = &list->all[i];

		if (last->trim != 0 || next->trim != 0 ||
		    last->first + last->count != next->first ||
		    last->count > UINT32_MAX - next->count) {
			list->all[++kept] = *next;
			continue;
		}
		last->count += next->count;
		last->tid = last->tid > next->tid ? last->tid : next->tid;
	}
	list->count = kept + 1;
}

/* Has all bitmaps read that what was freed is in. Returns 0, EAGAIN, ENOSPC or
 * EIO. */
static int free_ready(struct volume *vol)
{
	int error = 0;

	for (uint32_t i = 0; i < vol->freed.count; i++) {
		const struct freed *f = &vol->freed.all[i];
		bool blocks = f->what == FREED_BLOCKS;
		uint32_t group, last;

		freed_groups(vol, f, &group, &last);
		for (; group <= last; group++) {
			uint8_t *map;
			int failed = group_map(vol, group, blocks, true, &map);

			if (failed != 0 && failed != EUCLEAN &&
			    error != EIO) {
				error = failed;
			}
		}
	}
	return error;
}

/**
 * Changes the bitmaps for all that was freed: where a transaction ends. Returns
 * 0, or EAGAIN, ENOSPC or EIO for bitmaps that cannot be had; then nothing was
 * changed.
 */
int free_flush(struct volume *vol)
{
	struct freed_list *list = &vol->freed;
	int error = free_ready(vol);

	if (error != 0) {
		return error;
	}
	if (vol->waiting.count > 0) {
		wait_no_more(vol);
	}
	for (uint32_t i = 0; i < list->count; i++) {
		if (list->all[i].what == FREED_BLOCKS &&
		    vol->dev->running != 0) {
			wait_for(vol, &list->all[i]);
		}
		freed_counts(vol, &list->all[i], false);
		clear(vol, &list->all[i]);
	}
	list->count = 0;
	list->blocks = 0;
	if (vol->waiting.count > 1) {
		qsort(vol->waiting.all, vol->waiting.count,
		      sizeof(*vol->waiting.all), by_first);
		join(&vol->waiting);
	}
	return 0;
}

/** Blocks that count as free and cannot be used yet. */
uint64_t free_pending(const struct volume *vol)
{
	return vol->freed.blocks + vol->waiting.blocks;
}

/**
 * When no block was found, and some are freed and cannot be used yet: gets them
 * nearer to it. Returns 0 when it is worth looking again, EAGAIN when it will
 * be, or ENOSPC.
 */
int free_soon(struct volume *vol)
{
	struct volume_dev *dev = vol->dev;

	if (dev->running == 0 && vol->freed.count > 0) {
		return free_flush(vol);
	}
	if (vol->freed.count == 0 && vol->waiting.count == 0 &&
	    vol->waiting_all <= dev->lasting &&
	    (vol->unended == 0 || dev->running == 0)) {
		return ENOSPC;
	}
	if (dev->ops->commit != NULL) {
		dev->ops->commit(dev);
	}
	return EAGAIN;
}
