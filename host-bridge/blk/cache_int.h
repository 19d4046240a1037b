/* SPDX-License-Identifier: MIT */
/* Inside the cache: cache_blocks.c has the blocks, cache_wait.c those who wait for
 * them, cache_io.c what goes to the disk and comes from it. */
#ifndef ISTHMUS_CACHE_INT_H
#define ISTHMUS_CACHE_INT_H

#include "host-bridge/blk/cache.h"

#define IO_BLOCKS	128u		/* in one request, at most */
#define IO_SEGS		64u		/* of memory, likewise */
#define IOS		16u		/* requests at a time */

/* A wait's hold on a block. */
struct cache_pin {
	struct cache_buf *buf;
	struct volume_wait *wait;
	struct cache_pin *of_buf, *of_wait;
	bool missing;			/* counted in wait->missing */
};

enum { LIST_NONE, LIST_CLEAN, LIST_DIRTY, LIST_READ, LIST_WRITE, LISTS };

struct cache_list {
	struct cache_buf *first, *last;
	uint32_t count;
};

struct cache_io {
	struct block_req req;		/* first: its done() finds the rest */
	struct cache *cache;
	struct block_seg segs[IO_SEGS];
	struct cache_buf *bufs[IO_BLOCKS];
	unsigned count;			/* of them; neighbours share a segment */
	struct cache_io *next;
};

/* Blocks that the disk is to forget. */
#define CACHE_TRIMS	64u
struct cache_trim {
	uint64_t block;
	uint32_t count;
};

struct cache {
	struct volume_dev dev;		/* first: ops find the rest */
	struct block_dev *disk;
	struct cache_journal *journal;
	uint8_t *memory;
	size_t bytes;
	uint32_t count;			/* buffers */
	struct cache_buf *bufs;
	struct cache_buf **hash;
	uint32_t hash_mask;
	struct cache_pin *pin_memory, *pins;	/* those not in use */
	struct cache_list lists[LISTS];
	struct cache_buf *free;			/* by next */
	struct volume_wait *wait;		/* whose turn it is */
	struct volume_wait *room;		/* those who wait for any */
	uint32_t turn, now;
	uint32_t held;
	struct cache_io ios[IOS], *io_free;
	uint32_t under_way;			/* blocks being written */
	struct cache_batch *first, **last;	/* data batches, in order */
	struct cache_batch background;
	bool background_on, wake;
	bool short_of;			/* memory: write what is dirty, when
					 * this turn is over */
	bool failed;			/* a write of data, not yet told */
	struct block_req flush;
	struct cache_batch flush_batch;
	/* Flushes are counted; whether one of the last 64 has failed. */
	uint64_t flush_begun, flush_ended, flush_failed;
	uint64_t flush_wanted;		/* by who has no volume_wait */
	struct cache_trim trims[CACHE_TRIMS];	/* from dev.trimmed on */
	uint64_t trim_asked;
	struct block_req trim;			/* the first of them */
	struct cache_stats stats;
};

static inline void cache_unlist(struct cache *cache, struct cache_buf *buf)
{
	struct cache_list *list = &cache->lists[buf->list];

	if (buf->list == LIST_NONE) {
		return;
	}
	*(buf->prev != NULL ? &buf->prev->next : &list->first) = buf->next;
	*(buf->next != NULL ? &buf->next->prev : &list->last) = buf->prev;
	list->count--;
	buf->list = LIST_NONE;
}

/* Enters a buffer that is in no list as the last of one. */
static inline void cache_append(struct cache *cache, struct cache_buf *buf,
				unsigned which)
{
	struct cache_list *list = &cache->lists[which];

	buf->list = (uint8_t)which;
	buf->prev = list->last;
	buf->next = NULL;
	*(list->last != NULL ? &list->last->next : &list->first) = buf;
	list->last = buf;
	list->count++;
}

/* It leaves the one that it is in. */
static inline void cache_list(struct cache *cache, struct cache_buf *buf,
			      unsigned which)
{
	cache_unlist(cache, buf);
	cache_append(cache, buf, which);
}

/* Takes the first buffer out of a list that has one. */
static inline struct cache_buf *cache_take(struct cache_list *list)
{
	struct cache_buf *buf = list->first;

	list->first = buf->next;
	*(buf->next != NULL ? &buf->next->prev : &list->last) = NULL;
	list->count--;
	buf->list = LIST_NONE;
	return buf;
}

/* cache_blocks.c */
void cache_place(struct cache *cache, struct cache_buf *buf);

/* cache_wait.c */
void cache_wait_turn(struct cache *cache);
void cache_keep(struct cache *cache, struct cache_buf *buf);
void cache_arrived(struct cache *cache, struct cache_buf *buf);

/* cache_trim.c */
void cache_trim_init(struct cache *cache);
uint64_t cache_trim(struct volume_dev *dev, uint64_t block, uint32_t count);

/* cache_io.c */
void cache_io_init(struct cache *cache);
void cache_read_begin(struct cache *cache);
void cache_write_back(struct cache *cache, uint32_t older);
int cache_flush(struct volume_dev *dev);

#endif
