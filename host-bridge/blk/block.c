/* SPDX-License-Identifier: MIT */
/*
 * Between those who use a block device and its driver: checks, the right to
 * write, a queue, and FUA for disks that have none. A part of a disk is a device
 * too; its requests stand in the disk's queue. Trusts the driver to tell of each
 * request once. One thread, no locks.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "host-bridge/blk/block.h"
#include "host-bridge/rt/tsc.h"

/**
 * To be called once the driver has filled in its part of *dev. Nobody may write to
 * it until block_open_write().
 */
void block_init(struct block_dev *dev)
{
	dev->disk = NULL;
	dev->first = 0;
	dev->writable = false;
	dev->user = NULL;
	dev->queue = dev->finished = NULL;
	dev->queue_end = &dev->queue;
	dev->finished_end = &dev->finished;
	dev->in_flight = 0;
	dev->submitting = false;
	dev->stats = (struct block_stats){ 0 };
	dev->lasting = NULL;
}

/**
 * Makes *part the sectors of the disk from first on, which the caller has checked
 * to be there. It may be written to when block_open_write() says so of it,
 * whatever is said of the disk; its name is the caller's to give.
 */
void block_part(struct block_dev *part, struct block_dev *disk,
		uint64_t first, uint64_t sectors)
{
	*part = *disk;
	block_init(part);
	part->disk = disk;
	part->first = first;
	part->sectors = sectors;
}

/**
 * From now on it may be written to: only for what the manifest names. No effect on
 * a device that is read-only by itself.
 */
void block_open_write(struct block_dev *dev)
{
	dev->writable = (dev->features & BLOCK_READ_ONLY) == 0;
}

static struct block_dev *disk_of(struct block_dev *dev)
{
	return dev->disk != NULL ? dev->disk : dev;
}

/* The memory of a read or write: as much as it says, in no more pieces than the
 * driver takes. */
static int segs_error(const struct block_dev *dev, const struct block_req *req)
{
	uint64_t bytes = 0;

	if (req->seg_count == 0 || req->seg_count > dev->max_segs ||
	    req->sectors > dev->max_sectors) {
		return EINVAL;
	}
	for (unsigned i = 0; i < req->seg_count; i++) {
		if (req->segs[i].len == 0 ||
		    req->segs[i].len % dev->sector_size != 0) {
			return EINVAL;
		}
		bytes += req->segs[i].len;
	}
	return bytes == (uint64_t)req->sectors * dev->sector_size ? 0 : EINVAL;
}

/* Why the device will not have the request, or 0. */
static int refusal(const struct block_dev *dev, const struct block_req *req)
{
	if (req->op == BLOCK_FLUSH) {
		return 0;
	}
	if (req->sectors == 0 || req->sector >= dev->sectors ||
	    req->sectors > dev->sectors - req->sector) {
		return EINVAL;
	}
	if (req->op != BLOCK_READ && !dev->writable) {
		return EROFS;
	}
	switch (req->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		return segs_error(dev, req);
	case BLOCK_DISCARD:
		return dev->features & BLOCK_HAS_DISCARD ? 0 : ENOTSUP;
	case BLOCK_ZERO:
		return dev->features & BLOCK_HAS_ZERO ? 0 : ENOTSUP;
	default:
		return EINVAL;
	}
}

static void put(struct block_req ***end, struct block_req *req)
{
	req->next = NULL;
	**end = req;
	*end = &req->next;
}

static void (*on_finished)(void);

/** Who is told that block_run() has something to do; one in all, before any use. */
void block_on_finished(void (*fn)(void))
{
	on_finished = fn;
}

/* For block_run(). */
static void finish(struct block_dev *disk, struct block_req *req)
{
	put(&disk->finished_end, req);
	if (on_finished != NULL) {
		on_finished();
	}
}

static struct block_req *take(struct block_req **first,
			      struct block_req ***end)
{
	struct block_req *req = *first;

	*first = req->next;
	if (*first == NULL) {
		*end = first;
	}
	return req;
}

/* Whether what was written lasts, once it is done. */
static bool lasts(const struct block_req *req)
{
	return req->op == BLOCK_FLUSH ||
	       (req->op == BLOCK_WRITE && (req->flags & BLOCK_FUA) != 0);
}

/* Gives the driver what it has room for. */
static void start(struct block_dev *disk)
{
	while (disk->queue != NULL && disk->in_flight < disk->depth) {
		struct block_req *req = take(&disk->queue, &disk->queue_end);

		disk->in_flight++;
		disk->submitting = true;
		disk->ops->submit(disk, req);
		disk->submitting = false;
	}
}

/**
 * Hands a request to a device or to a part of one. done() tells how it went, later;
 * until then it must stay as it is. Requests that touch the same sectors at the
 * same time are done in any order.
 */
void block_submit(struct block_dev *dev, struct block_req *req)
{
	struct block_dev *disk = disk_of(dev);

	req->dev = dev;
	req->flushing = false;
	req->error = refusal(dev, req);
	if (req->error != 0) {
		dev->stats.refused++;
		finish(disk, req);
		return;
	}
	req->sector += dev->first;
	if (req->op == BLOCK_FLUSH && !(disk->features & BLOCK_HAS_FLUSH)) {
		req->sector -= dev->first;
		dev->stats.flushes++;
		finish(disk, req);
		return;
	}
	if (disk->lasting != NULL && lasts(req)) {
		req->begun = tsc_now();
	}
	put(&disk->queue_end, req);
	start(disk);
}

static void count(struct block_stats *stats, const struct block_req *req)
{
	if (req->error != 0) {
		stats->errors++;
		return;
	}
	switch (req->op) {
	case BLOCK_READ:
		stats->reads++;
		stats->sectors_read += req->sectors;
		break;
	case BLOCK_WRITE:
		stats->writes++;
		stats->sectors_written += req->sectors;
		break;
	case BLOCK_FLUSH:
		stats->flushes++;
		break;
	default:
		stats->discards++;
		break;
	}
}

/* Whether it has a second half: the flush of a write that was to be lasting on a
 * disk that cannot say so of one. It goes before what waits. */
static bool flush_after(struct block_dev *disk, struct block_req *req)
{
	if (req->op != BLOCK_WRITE || !(req->flags & BLOCK_FUA) ||
	    req->error != 0 ||
	    (disk->features & (BLOCK_HAS_FUA | BLOCK_HAS_FLUSH)) !=
	    BLOCK_HAS_FLUSH) {
		return false;
	}
	req->flushing = true;
	req->op = BLOCK_FLUSH;
	req->next = disk->queue;
	if (disk->queue == NULL) {
		disk->queue_end = &req->next;
	}
	disk->queue = req;
	return true;
}

/**
 * The driver's word that it has done with a request, with an errno value or 0. What
 * waits is begun; the request's owner is told at once, but after the driver's
 * submit() has returned, by block_run(), if this is called from there.
 */
void block_done(struct block_dev *disk, struct block_req *req, int error)
{
	disk->in_flight--;
	req->error = error;
	if (!flush_after(disk, req)) {
		if (req->flushing) {
			req->op = BLOCK_WRITE;
		}
		count(&req->dev->stats, req);
		if (disk->lasting != NULL && lasts(req) && error == 0) {
			latency_add(disk->lasting, tsc_now() - req->begun);
		}
		req->sector -= req->dev->first;
		if (disk->submitting) {
			finish(disk, req);
			req = NULL;
		}
	} else {
		req = NULL;
	}
	if (!disk->submitting) {
		start(disk);
	}
	if (req != NULL) {
		req->done(req);
	}
}

/** Whether block_run() has something to tell. */
bool block_due(const struct block_dev *disk)
{
	return disk->finished != NULL;
}

/**
 * Tells the owners of those requests that needed no device, or were done as soon as
 * they were begun. From the loop.
 */
void block_run(struct block_dev *disk)
{
	struct block_req *req = disk->finished;

	/* What they bring about waits for the next turn. */
	disk->finished = NULL;
	disk->finished_end = &disk->finished;
	while (req != NULL) {
		struct block_req *next = req->next;

		req->done(req);
		req = next;
	}
}
