/* SPDX-License-Identifier: MIT */
/*
 * Blocks that are free, on the disk too: it may forget what they hold, if it can do
 * that. One request at a time; nobody waits for it, and that it fails is nothing to
 * anybody.
 */
#include <errno.h>
#include <stddef.h>

#include "host-bridge/blk/cache_int.h"

#define TRIM_LEAST	(1u << 20)	/* bytes that are worth it */

static void trim_done(struct block_req *req);

static void trim_next(struct cache *cache)
{
	const struct cache_trim *trim =
		&cache->trims[cache->dev.trimmed % CACHE_TRIMS];
	uint32_t sectors = cache->dev.block_size / cache->disk->sector_size;

	cache->trim = (struct block_req){
		.op = BLOCK_DISCARD, .sector = trim->block * sectors,
		.sectors = trim->count * sectors, .done = trim_done,
	};
	block_submit(cache->disk, &cache->trim);
}

static void trim_done(struct block_req *req)
{
	struct cache *cache = (struct cache *)((char *)req -
				offsetof(struct cache, trim));

	if (++cache->dev.trimmed < cache->trim_asked) {
		trim_next(cache);
	}
	cache->wake = true;
	cache_run(cache);
}

/** volume_dev_ops */
uint64_t cache_trim(struct volume_dev *dev, uint64_t block, uint32_t count)
{
	struct cache *cache = (struct cache *)dev;
	uint32_t most = UINT32_MAX / (dev->block_size /
				      cache->disk->sector_size);

	if (cache->trim_asked - dev->trimmed == CACHE_TRIMS) {
		return 0;
	}
	cache->trims[cache->trim_asked % CACHE_TRIMS] = (struct cache_trim){
		.block = block, .count = count < most ? count : most,
	};
	if (cache->trim_asked++ == dev->trimmed) {
		trim_next(cache);
	}
	return cache->trim_asked;
}

/** Blocks have their length. */
void cache_trim_init(struct cache *cache)
{
	if ((cache->disk->features & BLOCK_HAS_DISCARD) != 0 &&
	    cache->disk->writable) {
		cache->dev.trim_least = TRIM_LEAST >> cache->dev.block_shift;
	}
}

/** Before the end: EAGAIN until none is under way; what was not begun is left. */
int cache_trim_end(struct cache *cache)
{
	if (cache->trim_asked == cache->dev.trimmed) {
		return 0;
	}
	cache->trim_asked = cache->dev.trimmed + 1;
	cache_wait_turn(cache);
	return EAGAIN;
}
