/* SPDX-License-Identifier: MIT */
/*
 * Which blocks are in memory, and which of them go when room is needed: the one
 * that nobody has looked at for the longest time, if it is clean, not the
 * journal's, not fetched for one who waits, and not of this turn. One thread, no
 * locks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/blk/cache_int.h"

static struct cache *of(struct volume_dev *dev)
{
	return (struct cache *)dev;
}

static struct cache_buf **slot(const struct cache *cache, uint64_t block)
{
	return &cache->hash[(block * 0x9e3779b97f4a7c15ull >> 32) &
			    cache->hash_mask];
}

/** The block's buffer, whatever its state; NULL: it is not in memory. */
struct cache_buf *cache_find(const struct cache *cache, uint64_t block)
{
	struct cache_buf *buf = *slot(cache, block);

	while (buf != NULL && buf->block != block) {
		buf = buf->hash_next;
	}
	return buf;
}

static void unhash(struct cache *cache, struct cache_buf *buf)
{
	struct cache_buf **at = slot(cache, buf->block);

	while (*at != buf) {
		at = &(*at)->hash_next;
	}
	*at = buf->hash_next;
}

static void make_free(struct cache *cache, struct cache_buf *buf)
{
	buf->valid = buf->dirty = buf->frame = buf->failed = false;
	buf->of = NULL;
	buf->next = cache->free;
	cache->free = buf;
}

/* Puts a buffer where it belongs by what it is. */
void cache_place(struct cache *cache, struct cache_buf *buf)
{
	if (buf->queued) {
		return;				/* in a queue, by itself */
	}
	if (buf->frame || buf->held || buf->reading) {
		cache_unlist(cache, buf);
	} else if (buf->dirty) {
		if (buf->list != LIST_DIRTY) {
			buf->since = cache->now;
			cache_list(cache, buf, LIST_DIRTY);
		}
	} else if (buf->writing) {
		cache_unlist(cache, buf);
	} else if (buf->valid || buf->failed || buf->pins != NULL) {
		cache_list(cache, buf, LIST_CLEAN);
	} else {
		cache_unlist(cache, buf);
		unhash(cache, buf);
		make_free(cache, buf);
	}
}

/* A buffer for a new use. NULL: there is none now; dev says whether it is worth
 * waiting. */
static struct cache_buf *grab(struct cache *cache)
{
	struct cache_buf *buf = cache->free;

	if (buf != NULL) {
		cache->free = buf->next;
		return buf;
	}
	for (uint32_t n = cache->lists[LIST_CLEAN].count; n > 0; n--) {
		buf = cache->lists[LIST_CLEAN].first;
		if (buf->turn == cache->turn) {
			break;			/* and so are all after it */
		}
		if (buf->pins == NULL) {
			cache_take(&cache->lists[LIST_CLEAN]);
			unhash(cache, buf);
			buf->valid = buf->failed = false;
			return buf;
		}
		cache_list(cache, buf, LIST_CLEAN);
	}
	cache->short_of = true;
	if (cache->journal != NULL && cache->held > 0) {
		cache->journal->pressure(cache->journal);
	}
	return NULL;
}

/* A buffer for a block that is not in memory; at: its slot(). NULL as grab(). */
static inline struct cache_buf *enter(struct cache *cache, uint64_t block,
				      struct cache_buf **at)
{
	struct cache_buf *buf = grab(cache);

	if (buf != NULL) {
		buf->block = block;
		buf->turn = cache->turn;
		buf->hash_next = *at;
		*at = buf;
	}
	return buf;
}

/* The block's buffer, with its content or, if it will be overwritten, without; buf:
 * what cache_find() said. NULL: why is in dev. */
static struct cache_buf *get(struct cache *cache, struct cache_buf *buf,
			     uint64_t block, bool whole, bool ahead)
{
	cache->dev.absent = cache->dev.full = false;
	if (block >= cache->dev.blocks) {
		return NULL;
	}
	if (buf == NULL) {
		buf = enter(cache, block, slot(cache, block));
		if (buf == NULL) {
			if (!ahead) {
				cache_wait_turn(cache);
			}
			return NULL;
		}
	}
	buf->turn = cache->turn;
	if (whole && !buf->valid && !buf->reading && !buf->queued) {
		buf->valid = true;
		buf->failed = false;
	}
	if (buf->valid) {
		cache->stats.hits++;
		return buf;
	}
	if (buf->failed) {		/* EIO, to each who waited for it */
		if (buf->pins == NULL) {
			buf->failed = false;
			cache_place(cache, buf);
		}
		return NULL;
	}
	cache->stats.misses += !ahead;
	if (!buf->reading && !buf->queued) {
		buf->queued = true;
		cache_list(cache, buf, LIST_READ);
	}
	cache->dev.absent = true;
	if (!ahead) {
		cache_keep(cache, buf);
	}
	return NULL;
}

static const uint8_t *cache_peek(struct volume_dev *dev, uint64_t block)
{
	struct cache *cache = of(dev);
	struct cache_buf *buf = cache_find(cache, block);

	if (buf == NULL || !buf->valid) {
		buf = get(cache, buf, block, false, false);
		if (buf == NULL) {
			cache_read_begin(cache);
			return NULL;
		}
	}
	dev->absent = dev->full = false;
	/* Once more in a turn: it is where it belongs. */
	if (buf->turn != cache->turn) {
		buf->turn = cache->turn;
		cache->stats.hits++;
		if (buf->list == LIST_CLEAN) {
			cache_list(cache, buf, LIST_CLEAN);
		}
	}
	return buf->data;
}

/* What the journal has is changed through it alone. Most blocks are new, or have
 * been written to before. */
static uint8_t *cache_poke(struct volume_dev *dev, uint64_t block, bool whole)
{
	struct cache *cache = of(dev);
	struct cache_buf **at = slot(cache, block), *buf = *at;

	dev->absent = dev->full = false;
	if (dev->read_only || block >= dev->blocks) {
		return NULL;
	}
	while (buf != NULL && buf->block != block) {
		buf = buf->hash_next;
	}
	if (buf == NULL && whole && (buf = enter(cache, block, at)) != NULL) {
		buf->valid = buf->dirty = true;
		buf->since = cache->now;
		cache_append(cache, buf, LIST_DIRTY);
	} else if (buf == NULL || !buf->dirty) {
		buf = get(cache, buf, block, whole, false);
		if (buf == NULL || buf->held) {
			cache_read_begin(cache);
			return NULL;
		}
		buf->dirty = true;
		cache_place(cache, buf);
	}
	if (cache->lists[LIST_DIRTY].count > cache->count / 2) {
		cache->short_of = true;
	}
	return buf->data;
}

static uint8_t *cache_change(struct volume_dev *dev, uint64_t block,
			     bool whole)
{
	struct cache *cache = of(dev);
	struct cache_journal *journal = cache->journal;
	const struct cache_buf *buf;
	uint8_t *data;

	if (journal == NULL) {
		return cache_poke(dev, block, whole);
	}
	/* Nobody need be asked again before the transaction is over. */
	buf = cache_find(cache, block);
	if (buf != NULL && buf->running && !dev->read_only) {
		dev->absent = dev->full = false;
		return buf->data;
	}
	data = journal->change(journal, block, whole);
	if (data == NULL && dev->absent &&
	    (cache->wait == NULL || cache->wait->missing == 0)) {
		cache_wait_turn(cache);	/* for the transaction's end */
	}
	return data;
}

/* What is on its way to the disk goes there, which does no harm. */
static void cache_discard(struct volume_dev *dev, uint64_t block,
			  uint64_t count)
{
	struct cache *cache = of(dev);

	if (cache->journal != NULL) {
		cache->journal->discard(cache->journal, block, count);
	}
	for (uint64_t i = 0; i < count; i++) {
		struct cache_buf *buf = cache_find(cache, block + i);

		if (buf != NULL && buf->dirty && !buf->held && !buf->queued &&
		    !buf->writing) {
			buf->dirty = false;
			cache_place(cache, buf);
		}
	}
}

/* All memory anew: nothing in it is of use, nothing under way. */
static void reset(struct cache *cache, uint32_t shift)
{
	uint32_t per_sector = cache->disk->sector_size;

	cache->dev.block_shift = shift;
	cache->dev.block_size = 1u << shift;
	cache->dev.blocks = cache->disk->sectors * per_sector >> shift;
	cache_trim_init(cache);
	memset(cache->hash, 0, (cache->hash_mask + 1) * sizeof(*cache->hash));
	memset(cache->lists, 0, sizeof(cache->lists));
	cache->count = (uint32_t)(cache->bytes >> shift);
	cache->free = NULL;
	cache->pins = NULL;
	/* Taken in the order in which they lie: then what is read in a row is
	 * in one piece, and is given out as one. */
	for (uint32_t i = cache->count; i-- > 0;) {
		struct cache_buf *buf = &cache->bufs[i];

		*buf = (struct cache_buf){
			.data = cache->memory + ((size_t)i << shift),
		};
		make_free(cache, buf);
		cache->pin_memory[i].of_wait = cache->pins;
		if (i < cache->count / 2) {
			cache->pins = &cache->pin_memory[i];
		}
	}
}

static int cache_set_block(struct volume_dev *dev, uint32_t shift)
{
	struct cache *cache = of(dev);

	if ((1u << shift) < cache->disk->sector_size ||
	    cache->io_free == NULL || cache->lists[LIST_DIRTY].count > 0 ||
	    cache->held > 0) {
		return EINVAL;
	}
	if (shift != dev->block_shift) {
		reset(cache, shift);
	}
	return 0;
}

/* Whoever asks gets EAGAIN, and is told. */
static void cache_commit(struct volume_dev *dev)
{
	struct cache *cache = of(dev);

	if (cache->journal != NULL) {
		cache->journal->pressure(cache->journal);
	}
	cache_wait_turn(cache);
}

/* Whether there is memory for what nobody waits for. */
static bool room_ahead(const struct cache *cache)
{
	return cache->free != NULL ||
	       cache->lists[LIST_CLEAN].count > cache->count / 4;
}

/** Fetches blocks that will be wanted, as far as there is room. */
void cache_ahead(struct cache *cache, uint64_t block, uint64_t count)
{
	for (uint64_t i = 0; i < count && i < cache->count / 4; i++) {
		if (cache_find(cache, block + i) != NULL) {
			continue;
		}
		if (!room_ahead(cache) ||
		    (get(cache, NULL, block + i, false, true) == NULL &&
		     !cache->dev.absent)) {
			break;
		}
		cache->stats.ahead++;
	}
	cache_read_begin(cache);
}

static void fetch(struct volume_dev *dev, uint64_t block, uint64_t count)
{
	cache_ahead(of(dev), block, count);
}

static void close_dev(struct volume_dev *dev)
{
	cache_close(of(dev));
}

static const struct volume_dev_ops cache_ops = {
	.peek = cache_peek, .poke = cache_poke, .change = cache_change,
	.ahead = fetch, .discard = cache_discard, .set_block = cache_set_block,
	.commit = cache_commit, .trim = cache_trim,
	.flush = cache_flush, .close = close_dev,
};

/**
 * A cache before a disk, in `bytes` of memory that devices reach, which stays the
 * caller's but must not be touched before cache_close(). Blocks are as long as the
 * disk's sectors, and 1024 bytes at least, until somebody says set_block().
 * Returns 0 or ENOMEM.
 */
int cache_open(struct block_dev *disk, void *memory, size_t bytes,
	       struct cache **out)
{
	uint32_t shift = disk->sector_size > 1024 ? 12 : 10;
	uint32_t most = (uint32_t)(bytes >> shift);
	struct cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL) {
		return ENOMEM;
	}
	for (cache->hash_mask = 1; cache->hash_mask < most;) {
		cache->hash_mask *= 2;
	}
	cache->hash_mask--;
	cache->hash = calloc(cache->hash_mask + 1, sizeof(*cache->hash));
	cache->bufs = calloc(most, sizeof(*cache->bufs));
	cache->pin_memory = calloc(most, sizeof(*cache->pin_memory));
	if (cache->hash == NULL || cache->bufs == NULL ||
	    cache->pin_memory == NULL) {
		cache_close(cache);
		return ENOMEM;
	}
	cache->disk = disk;
	cache->memory = memory;
	cache->bytes = bytes;
	cache->turn = 1;
	cache->dev.ops = &cache_ops;
	cache->dev.read_only = !disk->writable;
	cache_io_init(cache);
	reset(cache, shift);
	*out = cache;
	return 0;
}

/** Nothing may be under way; what is dirty is lost. */
void cache_close(struct cache *cache)
{
	free(cache->hash);
	free(cache->bufs);
	free(cache->pin_memory);
	free(cache);
}

struct volume_dev *cache_dev(struct cache *cache)
{
	return &cache->dev;
}

struct block_dev *cache_disk(struct cache *cache)
{
	return cache->disk;
}

void cache_stats(const struct cache *cache, struct cache_stats *stats)
{
	*stats = cache->stats;
	stats->frames = cache->count;
	stats->dirty = cache->lists[LIST_DIRTY].count;
	stats->queued = cache->lists[LIST_WRITE].count + cache->under_way;
	stats->held = cache->held;
}

/**
 * A call of the volume begins, for one who may wait; NULL: for one who cannot, and
 * looks again by himself. Pointers of the turn before are worth nothing now.
 */
void cache_turn(struct cache *cache, struct volume_wait *wait)
{
	cache->turn++;
	cache->wait = wait;
}

/** From now on the journal is asked about what is the file system's own. */
void cache_set_journal(struct cache *cache, struct cache_journal *journal)
{
	cache->journal = journal;
}

/**
 * The block's buffer, for the journal alone from now on: neither written nor
 * dropped before cache_release(). What was on its way to the disk as a file's data
 * is not written any more, unless the disk has it already. NULL: as with poke.
 */
struct cache_buf *cache_hold(struct cache *cache, uint64_t block, bool whole)
{
	struct cache_buf *buf = cache_find(cache, block);

	buf = get(cache, buf, block, whole, false);
	if (buf == NULL) {
		cache_read_begin(cache);
		return NULL;
	}
	if (!buf->held) {
		buf->held = true;
		cache->held++;
		buf->dirty = false;
		cache_place(cache, buf);
	}
	return buf;
}

/** Buffers that the journal has. */
uint32_t cache_held(const struct cache *cache)
{
	return cache->held;
}

/** Its content is on the disk: it is as any other block now. */
void cache_release(struct cache *cache, struct cache_buf *buf)
{
	buf->held = false;
	cache->held--;
	cache_place(cache, buf);
}

/** Its content is of no more use, and it is not held any more. */
void cache_drop(struct cache *cache, struct cache_buf *buf)
{
	buf->dirty = false;
	cache_release(cache, buf);
}

/** A number below the number of buffers, of its own for each. */
unsigned cache_index(const struct cache *cache, const struct cache_buf *buf)
{
	return (unsigned)(buf - cache->bufs);
}

/** Memory of a block's size, the caller's until he frees it; NULL: none now. */
struct cache_buf *cache_frame(struct cache *cache)
{
	struct cache_buf *buf = grab(cache);

	if (buf != NULL) {
		buf->frame = true;
	}
	return buf;
}

void cache_frame_free(struct cache *cache, struct cache_buf *frame)
{
	make_free(cache, frame);
}
