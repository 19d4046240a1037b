/* SPDX-License-Identifier: MIT */
/*
 * What goes from the cache to the disk, and comes from it: two queues, and requests
 * made of neighbours in them. A block is written once at a time; changed meanwhile,
 * it is written again. Batches of data end in the order in which they began, so
 * that the end of one means that all is written that was dirty when it began.
 *
 * Data are written from where they lie, so what is changed meanwhile may get to the
 * disk half: nobody was promised either. What must be whole is written from a frame.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/blk/cache_int.h"

#define FEW	64u			/* blocks that are brought into order */
#define ROOM	8u			/* part of the memory that is worth a try */

static void pump_writes(struct cache *cache);

/* One write less to wait for. The batch's end is told by cache_run(). */
static void batch_less(struct cache *cache, struct cache_batch *batch,
		       int error)
{
	if (error != 0 && batch->data) {
		cache->failed = true;
	} else if (error != 0) {
		batch->error = error;
	}
	batch->left--;
	if (!batch->data && batch->left == 0) {
		batch->done(batch);
	}
}

static void read_done(struct cache *cache, struct cache_buf *buf, int error)
{
	buf->reading = false;
	buf->valid = error == 0;
	buf->failed = error != 0;
	cache_arrived(cache, buf);
}

/* A buffer that is in no list is to be written. */
static void enqueue(struct cache *cache, struct cache_buf *buf,
		    struct cache_batch *batch)
{
	buf->batch = batch;
	buf->queued = true;
	cache_append(cache, buf, LIST_WRITE);
}

/* Writes what was wanted again while it was written. */
static void write_again(struct cache *cache, struct cache_buf *buf)
{
	struct cache_batch *again = buf->again;

	buf->again = NULL;
	if (again != NULL && !buf->held && !buf->queued) {
		cache_unlist(cache, buf);
		enqueue(cache, buf, again);
	} else if (again != NULL) {
		batch_less(cache, again, 0);
	}
}

static void write_done(struct cache *cache, struct cache_buf *buf, int error)
{
	struct cache_batch *batch = buf->batch;
	struct cache_buf *home = buf->frame ? buf->of : buf;

	if (error != 0) {
		cache->stats.failed++;
	} else {
		cache->stats.written++;
	}
	buf->batch = NULL;
	buf->of = NULL;
	if (home != NULL) {
		home->writing = false;
		write_again(cache, home);
		cache_place(cache, home);
	}
	batch_less(cache, batch, error);
}

/* The end of a write as it mostly is: of data, and nobody has had to do with them
 * meanwhile. False: it is another one. */
static inline bool write_ended(struct cache *cache, struct cache_buf *buf)
{
	if (buf->frame || !buf->valid || buf->dirty || buf->held ||
	    buf->again != NULL) {
		return false;
	}
	cache->stats.written++;
	buf->writing = false;
	cache_append(cache, buf, LIST_CLEAN);
	batch_less(cache, buf->batch, 0);
	buf->batch = NULL;
	return true;
}

/* One bad block must not cost its neighbours: each is tried by itself. */
static void by_itself(struct cache *cache, struct cache_buf *buf, bool read)
{
	buf->alone = buf->queued = true;
	if (read) {
		buf->reading = false;
	} else if (!buf->frame) {
		buf->writing = false;
	}
	cache_list(cache, buf, read ? LIST_READ : LIST_WRITE);
}

/* Whether who waits for memory may try: not for each block that has been written,
 * for then all try, and one goes on. */
static bool room_again(const struct cache *cache)
{
	return cache->under_way == 0 || cache->free != NULL ||
	       cache->lists[LIST_CLEAN].count >= cache->count / ROOM;
}

static void io_done(struct block_req *req)
{
	struct cache_io *io = (struct cache_io *)req;
	struct cache *cache = io->cache;
	bool read = req->op == BLOCK_READ;
	struct cache_buf *bufs[IO_BLOCKS];
	unsigned count = io->count;
	int error = req->error;

	/* Those who are told may ask for more at once. */
	memcpy(bufs, io->bufs, count * sizeof(*bufs));
	io->next = cache->io_free;
	cache->io_free = io;
	cache->under_way -= read ? 0 : count;
	for (unsigned i = 0; i < count; i++) {
		if (error != 0 && count > 1) {
			by_itself(cache, bufs[i], read);
			continue;
		}
		bufs[i]->alone = false;
		if (read) {
			read_done(cache, bufs[i], error);
		} else if (error != 0 || !write_ended(cache, bufs[i])) {
			write_done(cache, bufs[i], error);
		}
	}
	cache->wake = cache->wake || read || room_again(cache);
	cache_read_begin(cache);
	pump_writes(cache);
	cache_run(cache);
}

void cache_io_init(struct cache *cache)
{
	cache->last = &cache->first;
	for (unsigned i = 0; i < IOS; i++) {
		cache->ios[i].cache = cache;
		cache->ios[i].next = cache->io_free;
		cache->io_free = &cache->ios[i];
	}
}

/* Enters a block's memory as the last of a request: it is one piece with what lies
 * before it, if it does. Returns the number of pieces. */
static unsigned seg_add(struct block_seg *segs, unsigned n, void *data,
			uint32_t len)
{
	if (n > 0 &&
	    (uint8_t *)segs[n - 1].data + segs[n - 1].len == data) {
		segs[n - 1].len += len;
		return n;
	}
	segs[n] = (struct block_seg){ data, len };
	return n + 1;
}

/* Takes the first of a queue and its neighbours after it into a request: from now
 * on they are being read, or written. */
static struct cache_io *io_make(struct cache *cache, unsigned list,
				enum block_op op)
{
	bool read = op == BLOCK_READ;
	struct cache_list *queue = &cache->lists[list];
	struct cache_buf *buf = queue->first;
	struct cache_io *io = cache->io_free;
	uint32_t size = cache->dev.block_size, segs = 0, n = 0;
	uint32_t sectors = size / cache->disk->sector_size;
	uint32_t most = cache->disk->max_sectors / sectors;
	uint64_t block = buf->block;

	most = most < IO_BLOCKS ? most : IO_BLOCKS;
	most = most < cache->disk->max_segs ? most : cache->disk->max_segs;
	most = buf->alone ? 1 : most;
	cache->io_free = io->next;
	do {
		cache_take(queue);
		buf->queued = false;
		buf->reading = read;
		if (!read && !buf->frame) {
			buf->dirty = false;
			buf->writing = true;
		}
		io->bufs[n++] = buf;
		segs = seg_add(io->segs, segs, buf->data, size);
		buf = queue->first;
	} while (n < most && buf != NULL && buf->block == block + n &&
		 !buf->held && !buf->alone);
	io->count = n;
	io->req = (struct block_req){
		.op = op, .sector = block * sectors, .sectors = n * sectors,
		.segs = io->segs, .seg_count = segs, .done = io_done,
	};
	return io;
}

/* Begins what was queued to be read. */
void cache_read_begin(struct cache *cache)
{
	while (cache->lists[LIST_READ].first != NULL &&
	       cache->io_free != NULL) {
		block_submit(cache->disk,
			     &io_make(cache, LIST_READ, BLOCK_READ)->req);
	}
}

/* Begins what was queued to be written. */
static void pump_writes(struct cache *cache)
{
	struct cache_list *queue = &cache->lists[LIST_WRITE];

	while (queue->first != NULL && cache->io_free != NULL) {
		struct cache_buf *buf = queue->first;
		struct cache_io *io;

		if (buf->held) {	/* the journal's since */
			struct cache_batch *batch = buf->batch;

			buf->queued = false;
			buf->batch = NULL;
			cache_place(cache, buf);
			batch_less(cache, batch, 0);
			continue;
		}
		io = io_make(cache, LIST_WRITE, BLOCK_WRITE);
		cache->under_way += io->count;
		block_submit(cache->disk, &io->req);
	}
}

/**
 * Queues a frame to be written to a block. of: the block's buffer, if it is in
 * memory, which is not being written now and not until the frame is. The frame
 * comes back to the caller with the batch's end.
 */
void cache_write(struct cache *cache, struct cache_batch *batch,
		 struct cache_buf *frame, uint64_t block,
		 struct cache_buf *of)
{
	frame->block = block;
	frame->of = of;
	if (of != NULL) {
		of->writing = true;
	}
	batch->left++;
	enqueue(cache, frame, batch);
}

/** Begins what was queued by cache_write(). */
void cache_write_begin(struct cache *cache)
{
	pump_writes(cache);
}

static int by_block(const void *a, const void *b)
{
	const struct cache_buf *x = *(struct cache_buf *const *)a;
	const struct cache_buf *y = *(struct cache_buf *const *)b;

	return x->block < y->block ? -1 : x->block > y->block;
}

/* Takes the first dirty blocks in the order in which they lie, mostly that in which
 * they were written: those that are dirty since `older` or longer. Returns how
 * many. */
static unsigned take_dirty(struct cache *cache, struct cache_buf *few[FEW],
			   uint32_t older)
{
	struct cache_list *dirty = &cache->lists[LIST_DIRTY];
	struct cache_buf *buf;
	bool sorted = true;
	uint64_t last = 0;
	unsigned n = 0;

	for (buf = dirty->first; buf != NULL && n < FEW && buf->since <= older;
	     buf = buf->next) {
		sorted = sorted && buf->block >= last;
		last = buf->block;
		buf->list = LIST_NONE;
		few[n++] = buf;
	}
	dirty->first = buf;
	*(buf != NULL ? &buf->prev : &dirty->last) = NULL;
	dirty->count -= n;
	if (!sorted) {
		qsort(few, n, sizeof(*few), by_block);
	}
	return n;
}

/* Wants the dirty blocks written for a batch, those that are dirty since `older` or
 * longer; neighbours after each other. */
static void batch_fill(struct cache *cache, struct cache_batch *batch,
		       uint32_t older)
{
	struct cache_buf *few[FEW];
	unsigned n;

	batch->data = true;
	batch->error = 0;
	batch->next = NULL;
	*cache->last = batch;
	cache->last = &batch->next;
	while ((n = take_dirty(cache, few, older)) > 0) {
		batch->left += n;
		for (unsigned i = 0; i < n; i++) {
			if (few[i]->writing) {
				few[i]->again = batch;
			} else {
				enqueue(cache, few[i], batch);
			}
		}
	}
}

static void background_done(struct cache_batch *batch)
{
	struct cache *cache = (struct cache *)((char *)batch -
				offsetof(struct cache, background));

	cache->background_on = false;
	/* Nobody was told: the next who asks is. */
	cache->failed = cache->failed || batch->error != 0;
}

/* Begins to write what is dirty since that second or longer, unless some of it is
 * under way. */
void cache_write_back(struct cache *cache, uint32_t older)
{
	struct cache_buf *first = cache->lists[LIST_DIRTY].first;

	if (cache->background_on || first == NULL || first->since > older) {
		return;
	}
	cache->background_on = true;
	cache->background = (struct cache_batch){ .done = background_done };
	batch_fill(cache, &cache->background, older);
	pump_writes(cache);
}

/**
 * Writes all data that are dirty now. batch->done() is called when they are with
 * the disk, which still has to be flushed; batch->error is EIO if a write of data
 * has failed since the last batch that was told so.
 */
void cache_sync(struct cache *cache, struct cache_batch *batch)
{
	batch->left = 0;
	batch_fill(cache, batch, UINT32_MAX);
	pump_writes(cache);
}

/** Whether cache_run() has something to do. */
bool cache_due(const struct cache *cache)
{
	return (cache->first != NULL && cache->first->left == 0) ||
	       (cache->wake && cache->room != NULL) || cache->short_of;
}

/** Tells of batches that have ended, and those who wait for room. From the loop. */
void cache_run(struct cache *cache)
{
	struct volume_wait *room;

	/* Not before: who has a block in hand has not changed it yet. */
	if (cache->short_of) {
		cache->short_of = false;
		cache_write_back(cache, cache->now);
	}
	while (cache->first != NULL && cache->first->left == 0) {
		struct cache_batch *batch = cache->first;

		cache->first = batch->next;
		if (cache->first == NULL) {
			cache->last = &cache->first;
		}
		batch->error = cache->failed ? EIO : 0;
		cache->failed = false;
		batch->done(batch);
	}
	if (!cache->wake) {
		return;
	}
	cache->wake = false;
	room = cache->room;
	cache->room = NULL;
	if (room != NULL) {
		room->at = &room;
	}
	while (room != NULL) {
		struct volume_wait *wait = room;

		room = wait->next;
		if (room != NULL) {
			room->at = &room;
		}
		wait->at = NULL;
		if (wait->missing == 0) {
			wait->ready(wait);
		}
	}
}

/**
 * Begins to write what has been dirty for CACHE_SECONDS; seconds: any clock that
 * does not go back. Once a second, about.
 */
void cache_tick(struct cache *cache, uint32_t seconds)
{
	cache->now = seconds;
	if (seconds >= CACHE_SECONDS) {
		cache_write_back(cache, seconds - CACHE_SECONDS);
	}
}

static void flush_done(struct block_req *req)
{
	struct cache *cache = (struct cache *)((char *)req -
				offsetof(struct cache, flush));

	uint64_t bit = 1ull << (++cache->flush_ended % 64);

	if (req->error != 0 || cache->flush_batch.error != 0) {
		cache->flush_failed |= bit;
	} else {
		cache->flush_failed &= ~bit;
	}
	cache->wake = true;
	cache_run(cache);
}

static void flush_data_done(struct cache_batch *batch)
{
	struct cache *cache = (struct cache *)((char *)batch -
				offsetof(struct cache, flush_batch));

	cache->flush = (struct block_req){
		.op = BLOCK_FLUSH, .done = flush_done,
	};
	block_submit(cache->disk, &cache->flush);
}

/* Makes what is dirty lasting: volume_dev_ops, EAGAIN (absent) while that is not
 * so. With a journal that is what a round is for. A flush that somebody else has
 * begun need not have what is dirty now: the first that begins from now on has. */
int cache_flush(struct volume_dev *dev)
{
	struct cache *cache = (struct cache *)dev;
	uint64_t *number = cache->wait != NULL ? &cache->wait->number
					       : &cache->flush_wanted;

	dev->absent = dev->full = false;
	if (cache->journal != NULL) {
		return 0;
	}
	if (*number == 0) {
		*number = cache->flush_begun + 1;
	}
	if (*number <= cache->flush_ended) {
		bool failed = (cache->flush_failed >> *number % 64 & 1) != 0;

		*number = 0;
		return failed ? EIO : 0;
	}
	if (cache->flush_begun == cache->flush_ended) {
		cache->flush_begun++;
		cache->flush_batch.done = flush_data_done;
		cache_sync(cache, &cache->flush_batch);
	}
	dev->absent = true;
	if (cache->wait != NULL) {
		cache_wait_room(cache, cache->wait);
	}
	return EAGAIN;
}
