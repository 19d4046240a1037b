/* SPDX-License-Identifier: MIT */
/*
 * Blocks of a disk in memory: the volume_dev of a volume on a block device. What is
 * not there is fetched, and whoever asked tries again (dev->absent); what was
 * written goes to the disk within seconds, or when somebody wants it lasting. The
 * memory is given once and never grows.
 *
 * Each call of a volume's function is a turn: what it has looked at stays where it
 * is until the next turn begins. What a request that must wait has fetched stays
 * in memory until it has run to its end, so that two cannot take each other's
 * blocks for ever.
 */
#ifndef ISTHMUS_CACHE_H
#define ISTHMUS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/blk/block.h"
#include "host-bridge/blk/volume_dev.h"

#define CACHE_SECONDS	5u		/* until what was written is on its way */

struct cache_pin;

/* A request that may have to wait. All zeros at first, but for ready. */
struct volume_wait {
	/* From the loop: what was missing is there, or will not come. */
	void (*ready)(struct volume_wait *wait);
	uint64_t number;		/* its user's: a transaction */

	struct volume_wait *next, **at;	/* among those who wait for room */
	struct cache_pin *pins;
	unsigned missing;		/* of them being read */
};

/* Writes that somebody waits for together. */
struct cache_batch {
	void (*done)(struct cache_batch *batch);	/* from the loop */
	struct cache_batch *next;
	unsigned left;
	int error;
	bool data;			/* in order, of all that is dirty */
};

/* A block in memory; or, as a frame, memory that is its user's, to be written to
 * a place. For the journal. */
struct cache_buf {
	struct cache_buf *hash_next, *prev, *next;
	uint64_t block;
	uint8_t *data;
	struct cache_batch *batch, *again;
	struct cache_buf *of;		/* a frame's: the block's own buffer */
	struct cache_pin *pins;
	uint32_t turn;
	uint32_t since;			/* seconds: dirty */
	uint8_t list;
	bool valid, queued, reading, writing, failed;
	bool running;			/* of the journal's running transaction */
	union {
		struct {
			bool dirty;
			bool alone;	/* to be read or written: among others it
					 * has failed */
			bool held;	/* the journal's: not ours to write */
			bool frame;
		};
		uint32_t special;	/* 0: none of these */
	};
};

/* What a journal does about blocks. */
struct cache_journal {
	uint8_t *(*change)(struct cache_journal *journal, uint64_t block,
			   bool whole);
	void (*discard)(struct cache_journal *journal, uint64_t block,
			uint64_t count);
	/* Memory is short: what is held shall be let go soon. */
	void (*pressure)(struct cache_journal *journal);
};

struct cache_stats {
	uint64_t hits, misses, ahead, written, failed;
	uint32_t frames, dirty, held;
	uint32_t queued;		/* to be written, or on their way */
};

struct cache;

int cache_open(struct block_dev *disk, void *memory, size_t bytes,
	       struct cache **out);
void cache_close(struct cache *cache);
struct volume_dev *cache_dev(struct cache *cache);
struct block_dev *cache_disk(struct cache *cache);
void cache_stats(const struct cache *cache, struct cache_stats *stats);

/* For those who run a volume's functions. */
void cache_turn(struct cache *cache, struct volume_wait *wait);
void cache_wait_end(struct cache *cache, struct volume_wait *wait);
void cache_wait_room(struct cache *cache, struct volume_wait *wait);
void cache_ahead(struct cache *cache, uint64_t block, uint64_t count);
void cache_tick(struct cache *cache, uint32_t seconds);
bool cache_due(const struct cache *cache);
void cache_run(struct cache *cache);
int cache_trim_end(struct cache *cache);

/* For a journal. */
void cache_set_journal(struct cache *cache, struct cache_journal *journal);
struct cache_buf *cache_hold(struct cache *cache, uint64_t block, bool whole);
void cache_release(struct cache *cache, struct cache_buf *buf);
uint32_t cache_held(const struct cache *cache);
void cache_drop(struct cache *cache, struct cache_buf *buf);
unsigned cache_index(const struct cache *cache, const struct cache_buf *buf);
struct cache_buf *cache_find(const struct cache *cache, uint64_t block);
struct cache_buf *cache_frame(struct cache *cache);
void cache_frame_free(struct cache *cache, struct cache_buf *frame);
void cache_write(struct cache *cache, struct cache_batch *batch,
		 struct cache_buf *frame, uint64_t block,
		 struct cache_buf *of);
void cache_write_begin(struct cache *cache);
void cache_sync(struct cache *cache, struct cache_batch *batch);
void cache_wake(struct cache *cache);

#endif
