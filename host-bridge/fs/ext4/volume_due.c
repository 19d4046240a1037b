/* SPDX-License-Identifier: MIT */
/*
 * What a transaction of the journal has room for. A function of the volume changes
 * some blocks at once, and leaves others to the flush that ends the transaction:
 * inodes, extent trees, bitmaps of what was freed, descriptors, the superblock. Both
 * are counted; how many of the second kind there can be at most is volume_due().
 *
 * Most functions change a few blocks, for which there is room when they begin. What
 * can grow without end (freeing a file, setting space aside, writing) looks after
 * each step whether the transaction is full, and then stops where all is consistent:
 * the caller goes on, or tries again, when that transaction is on its way. A file
 * that is being cut off is an orphan as long as that takes, so that a power cut in
 * between is ended when the volume is next opened.
 */
#include "host-bridge/fs/ext4/volume_int.h"

#define OTHERS	2u			/* the superblock, and one to spare */
#define SEEN	8u			/* inodes that a function looks at */

/**
 * The most blocks that a flush will change, beside those of the running transaction.
 */
uint32_t volume_due(const struct volume *vol)
{
	return vol->seen_count + vol->tree_due + vol->group_due + OTHERS;
}

/** Whether blocks fit into the running transaction beside all that is in it. */
bool due_fits(const struct volume *vol, uint32_t blocks)
{
	uint32_t most = vol->dev->most;

	return most == 0 ||
	       vol->dev->changed + volume_due(vol) + blocks <= most;
}

/** What could be done in this transaction was. Returns EAGAIN: the rest is to be
 * tried in the next, which is asked for. */
int due_wait(struct volume *vol)
{
	vol->dev->ops->commit(vol->dev);
	return EAGAIN;
}

/** Whether a change of so many blocks has room in a transaction when it begins. */
bool due_possible(const struct volume *vol, uint32_t blocks)
{
	return vol->dev->most == 0 || blocks + SEEN <= vol->dev->most / 2;
}
