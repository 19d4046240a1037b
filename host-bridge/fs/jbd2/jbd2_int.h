/* SPDX-License-Identifier: MIT */
/* Inside the journal. */
#ifndef ISTHMUS_JBD2_INT_H
#define ISTHMUS_JBD2_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/fs/jbd2/jbd2.h"
#include "host-bridge/fs/jbd2/jbd2_format.h"

/* Blocks that a journal has at least: room for a transaction or two. */
#define JOURNAL_MIN	16u

/* Transactions' numbers go round; of two that are alive the older one. */
static inline bool jbd2_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* A log may be of any length; tables are for so many blocks of it. */
#define LIMIT		32768u
#define TXNS		512u		/* transactions in the log, at most */
#define HOMES		64u		/* blocks on their way home */

struct jbd2_txn;

/* What the journal knows of a buffer of the cache. */
struct jblock {
	struct cache_buf *buf;
	uint32_t index;			/* among the running ones */
	bool committing;		/* running: its buffer says so */
	uint64_t forget;		/* the round that has freed it; or 0 */
	struct jblock *forget_next;
	bool listed;			/* by forget_next */
	struct jbd2_txn *txn;		/* committed, not at home yet */
	struct jblock *prev, *next;	/* of the same txn */
};

/* A transaction in the log. */
struct jbd2_txn {
	uint32_t number, start, blocks;
	uint32_t since;			/* seconds: in the log */
	struct jblock *first;		/* not at home yet */
};

/* A block in the log: by the last transaction that has it there. */
struct jbd2_live {
	uint64_t block;
	uint32_t number;
	bool used, revoked;		/* revoked: by the running one */
};

struct jbd2_live_table {
	struct jbd2_live *slots;
	uint32_t mask, used;
};

struct journal {
	struct cache_journal hooks;	/* first: the cache's calls find it */
	struct cache *cache;
	struct volume_dev *dev;
	struct block_dev *disk;
	struct journal_place place;
	struct journal_ops ops;
	struct jbd2_super sb;
	uint32_t seed, first, blocks, block_size;
	uint32_t limit;			/* blocks of the log in use at a time */
	int error;
	struct volume_wait wait;	/* the closing of a round */

	uint32_t head, used;		/* of the log */
	uint32_t number;		/* of the running transaction */
	uint32_t most;			/* blocks in one: twice, in its close() */
	uint32_t most_cost;		/* of the log, for that */
	uint32_t revoke_cost;		/* if all of it were revoked */
	uint32_t held_most;		/* buffers, before some go home */
	struct jblock *jblocks;		/* by the buffer's index */
	struct jblock **running, **committing;
	uint32_t running_count, committing_count;
	uint32_t revokes;		/* of the running one */
	struct jblock *forgets, *forgets_committing;
	struct jbd2_live_table live, spare;
	bool wanted;			/* a commit */
	bool begun;			/* somebody has something to commit */
	bool waiting;			/* its beginning, for a block or room */
	bool over;			/* a change has found no room */
	uint64_t failed_rounds[2];	/* bits, by round % 128 */
	uint32_t seconds, since;	/* the clock; the running one began */

	/* The commit under way. */
	enum { COMMIT_NONE, COMMIT_WRITE, COMMIT_FLUSH, COMMIT_BLOCK } commit;
	struct cache_buf **frames;	/* in the order of the log */
	uint32_t frame_count, frames_most;
	uint32_t commit_start, commit_blocks;
	uint64_t round;
	struct cache_batch data_batch, log_batch;
	unsigned batches;		/* of the two not done */
	int data_error;
	struct block_req req;
	struct block_seg seg;

	/* The way home. txns: a ring. */
	struct jbd2_txn txns[TXNS];
	uint32_t txn_first, txn_count;
	enum { HOME_NONE, HOME_WRITE, HOME_FLUSH, HOME_SUPER } home;
	struct cache_batch home_batch;
	struct cache_buf *home_frames[HOMES];
	struct jblock *home_blocks[HOMES];
	struct jbd2_txn *home_txns[HOMES];
	unsigned home_count;
	bool homes_wanted;		/* now, and not when it is time */
	bool homes_old;			/* some are in the log for long */
	bool home_stuck;		/* until something has ended */
	struct volume_wait home_wait;
	uint32_t tail_number;		/* the log begins with, on the disk */
	uint32_t to_number, to_start, to_used;	/* when the tail has moved */
	struct cache_buf *super;	/* a frame */
	struct block_req home_req;
	struct block_seg home_seg;
	bool ready;			/* the superblock names the log's begin */
	bool closing, closed;

	struct journal_state stats;
};

static inline struct journal *jbd2_of(struct cache_journal *hooks)
{
	return (struct journal *)hooks;
}

static inline struct jblock *jbd2_block(struct journal *j,
					struct cache_buf *buf)
{
	struct jblock *jb = &j->jblocks[cache_index(j->cache, buf)];

	jb->buf = buf;
	return jb;
}

/* n blocks further in the ring. */
static inline uint32_t jbd2_after(const struct journal *j, uint32_t at,
				  uint32_t n)
{
	return j->first + (at - j->first + n) % (j->blocks - j->first);
}

/* jbd2_txn.c */
uint32_t jbd2_cost(const struct journal *j, uint32_t blocks,
		   uint32_t revokes);
void jbd2_unlink(struct jblock *jb);
void jbd2_link(struct jbd2_txn *txn, struct jblock *jb);
void jbd2_let_go(struct journal *j, struct jblock *jb);
void jbd2_list_forget(struct journal *j, struct jblock *jb);
void jbd2_fail(struct journal *j);

/* jbd2_live.c */
struct jbd2_live *jbd2_live_find(struct journal *j, uint64_t block);
void jbd2_live_add(struct journal *j, uint64_t block);
int jbd2_live_init(struct journal *j);

/* jbd2_commit.c */
bool jbd2_commit_due(const struct journal *j);
void jbd2_commit_begin(struct journal *j);

/* jbd2_home.c */
void jbd2_home_tick(struct journal *j);
bool jbd2_home_due(const struct journal *j);
void jbd2_home_begin(struct journal *j);
void jbd2_super_write(struct journal *j, uint32_t number, uint32_t start);

/* jbd2_super.c */
uint32_t jbd2_crc(uint32_t crc, const void *data, size_t len);
uint32_t jbd2_block_crc(uint32_t seed, const uint8_t *block, size_t size,
			size_t place);
uint32_t jbd2_data_crc(uint32_t seed, uint32_t sequence, const uint8_t *block,
		       size_t size);
bool jbd2_super_check(const uint8_t *block, const struct journal_place *place,
		      struct jbd2_super *sb, char why[JOURNAL_WHY]);
void jbd2_super_set(struct jbd2_super *sb, uint32_t sequence, uint32_t start);

#endif
