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

#include "host-bridge/blk/cache_int.h"

#define FEW	64u			/* blocks that are brought into order */
#define ROOM	8u			/* part of the memory that is worth a try */
#define WRITES	256u			/* blocks under way, when another write begins */

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

/* The end of those writes of a request that are as they mostly are: of data, whose
 * batch is told later, and nobody has had to do with them meanwhile. Returns how many
 * are left, which are now the first of the request. */
static unsigned writes_ended(struct cache *cache, struct cache_io *io)
{
	struct cache_list *clean = &cache->lists[LIST_CLEAN];
	struct cache_buf *last = clean->last;
	unsigned left = 0;

	for (unsigned i = 0; i < io->count; i++) {
		struct cache_buf *buf = io->bufs[i];

		if (buf->special != 0 || !buf->valid || buf->again != NULL) {
			io->bufs[left++] = buf;
			continue;
		}
		buf->writing = false;
		buf->batch->left--;
		buf->batch = NULL;
		buf->list = LIST_CLEAN;
		buf->prev = last;
		*(last != NULL ? &last->next : &clean->first) = buf;
		last = buf;
	}
	if (left < io->count) {
		last->next = NULL;
		clean->last = last;
		clean->count += io->count - left;
		cache->stats.written += io->count - left;
	}
	return left;
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
	unsigned count = io->count;
	int error = req->error;

	cache->under_way -= read ? 0 : count;
	if (error == 0 && !read) {
		count = writes_ended(cache, io);
	}
	for (unsigned i = 0; i < count; i++) {
		struct cache_buf *buf = io->bufs[i];

		if (error != 0 && count > 1) {
			by_itself(cache, buf, read);
			continue;
		}
		buf->alone = false;
		if (read) {
			read_done(cache, buf, error);
		} else {
			write_done(cache, buf, error);
		}
	}
	/* Who was told may have asked for more, which begins below. */
	io->next = cache->io_free;
	cache->io_free = io;
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
	const uint8_t *end = NULL;
	uint32_t sectors = size / cache->disk->sector_size;
	uint32_t most = cache->disk->max_sectors / sectors;
	uint32_t most_segs = cache->disk->max_segs;
	uint64_t block = buf->block;

	most = most < IO_BLOCKS ? most : IO_BLOCKS;
	most = buf->alone ? 1 : most;
	most_segs = most_segs < IO_SEGS ? most_segs : IO_SEGS;
	cache->io_free = io->next;
	do {
		buf->list = LIST_NONE;
		buf->queued = false;
		if (read) {
			buf->reading = true;
		} else if (!buf->frame) {
			buf->dirty = false;
			buf->writing = true;
		}
		io->bufs[n++] = buf;
		if (buf->data != end) {		/* else it is one piece with it */
			io->segs[segs++] = (struct block_seg){ buf->data, 0 };
		}
		io->segs[segs - 1].len += size;
		end = buf->data + size;
		buf = buf->next;
	} while (n < most && segs < most_segs && buf != NULL &&
		 buf->block == block + n && !buf->held && !buf->alone);
	queue->first = buf;
	*(buf != NULL ? &buf->prev : &queue->last) = NULL;
	queue->count -= n;
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

	while (queue->first != NULL && cache->io_free != NULL &&
	       cache->under_way < WRITES) {
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

/* Moves the first dirty blocks to those that are to be written, for a batch: those
 * that are dirty since `older` or longer. As it mostly is: they lie in order, and
 * none is being written. Returns how many; 0, and nothing that sort_dirty() does
 * not do anew: it is not so. */
static unsigned move_dirty(struct cache *cache, struct cache_batch *batch,
			   uint32_t older)
{
	struct cache_list *dirty = &cache->lists[LIST_DIRTY];
	struct cache_list *queue = &cache->lists[LIST_WRITE];
	struct cache_buf *buf, *first = dirty->first, *last = NULL;
	uint64_t block = 0;
	unsigned n = 0;

	for (buf = first; buf != NULL && n < FEW && buf->since <= older;
	     buf = buf->next) {
		if (buf->writing || buf->block < block) {
			return 0;
		}
		block = buf->block;
		buf->batch = batch;
		buf->queued = true;
		buf->list = LIST_WRITE;
		last = buf;
		n++;
	}
	if (n == 0) {
		return 0;
	}
	dirty->first = buf;
	*(buf != NULL ? &buf->prev : &dirty->last) = NULL;
	dirty->count -= n;
	first->prev = queue->last;
	last->next = NULL;
	*(queue->last != NULL ? &queue->last->next : &queue->first) = first;
	queue->last = last;
	queue->count += n;
	return n;
}

/* The same, brought into order; what is being written is written again. */
static unsigned sort_dirty(struct cache *cache, struct cache_batch *batch,
			   uint32_t older)
{
	struct cache_list *dirty = &cache->lists[LIST_DIRTY];
	struct cache_buf *few[FEW];
	unsigned n = 0;

	while (n < FEW && dirty->first != NULL &&
	       dirty->first->since <= older) {
		few[n++] = cache_take(dirty);
	}
	qsort(few, n, sizeof(*few), by_block);
	for (unsigned i = 0; i < n; i++) {
		if (few[i]->writing) {
			few[i]->again = batch;
		} else {
			enqueue(cache, few[i], batch);
		}
	}
	return n;
}

/* Wants the dirty blocks written for a batch, those that are dirty since `older` or
 * longer; neighbours after each other. */
static void batch_fill(struct cache *cache, struct cache_batch *batch,
		       uint32_t older)
{
	unsigned n;

	batch->data = true;
	batch->error = 0;
	batch->next = NULL;
	*cache->last = batch;
	cache->last = &batch->next;
	while ((n = move_dirty(cache, batch, older)) > 0 ||
	       (n = sort_dirty(cache, batch, older)) > 0) {
		batch->left += n;
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
