/* SPDX-License-Identifier: MIT */
/*
 * What is read of a file before anybody has asked for it. Who goes on where he
 * ended will go on: the device is told of what comes next, in large pieces, so that
 * few have to wait. A device that never waits is not told.
 */
#include "host-bridge/fs/ext4/volume_int.h"

#define AHEAD		(512u << 10)	/* bytes */

/**
 * Tells the device of the blocks that len bytes from offset on are in. The runs
 * are loaded.
 */
void file_fetch(struct volume *vol, struct vnode *vn, uint64_t offset,
		uint64_t len)
{
	uint64_t end = (offset + len + vol->block_size - 1) >> vol->shift;
	uint64_t lblk = offset >> vol->shift;
	struct volume_dev *dev = vol->dev;
	const struct run *run;

	while (dev->ops->ahead != NULL && lblk < end && lblk < UINT32_MAX &&
	       (run = run_find(vn, (uint32_t)lblk)) != NULL &&
	       run->lblk < end) {
		uint64_t stop = (uint64_t)run->lblk + run->len;

		lblk = lblk < run->lblk ? run->lblk : lblk;
		stop = stop < end ? stop : end;
		if (!run->unwritten) {
			dev->ops->ahead(dev, run->pblk + (lblk - run->lblk),
					stop - lblk);
		}
		lblk = stop;
	}
}

/**
 * Somebody reads len bytes from offset on, or tries to again; the device has been
 * told of them. The runs are loaded.
 */
void file_ahead(struct volume *vol, struct vnode *vn, uint64_t offset,
		uint64_t len)
{
	uint64_t end = offset + len, from = vn->ahead_end, to = end + AHEAD;
	bool on = offset == vn->read_end;

	if (end == vn->read_end) {
		return;
	}
	vn->read_end = end;
	if (!on) {
		vn->ahead_end = 0;
		return;
	}
	/* By halves, so that it is told of large pieces. */
	if (from >= end + AHEAD / 2) {
		return;
	}
	vn->ahead_end = to;
	from = from > end ? from : end;
	to = to < vnode_size(vn) ? to : vnode_size(vn);
	if (from < to) {
		file_fetch(vol, vn, from, to - from);
	}
}
