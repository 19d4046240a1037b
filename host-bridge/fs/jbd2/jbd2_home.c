/* SPDX-License-Identifier: MIT */
/*
 * The way home: what is in the log is written to its places, so that the log's tail
 * can move on.
 *
 *   1. Blocks of the oldest transactions are written, as they were committed last:
 *      those that the running one has changed wait until that is in the log too.
 *   2. A flush: they are lasting.
 *   3. The superblock with the new tail, lasting. Only now is there room in the log
 *      for something else; before, a recovery could still begin there.
 *
 * The later a block goes, the more of its changes go with it. So it goes when room
 * is wanted, or when no transaction has changed it for some seconds: then it is
 * at home before room is wanted, mostly when there is nothing else to do.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/jbd2/jbd2_int.h"

#define SECONDS		30u		/* until what is in the log goes home */

static struct journal *of_req(struct block_req *req)
{
	return (struct journal *)((char *)req -
				  offsetof(struct journal, home_req));
}

/* Whether the log is so full, or so many blocks are held, that it is time, or
 * somebody has said so. */
static bool is_time(const struct journal *j)
{
	return j->homes_wanted || j->closing || j->used > j->limit / 2 ||
	       j->txn_count > TXNS / 2 || cache_held(j->cache) > j->held_most;
}

static bool is_old(const struct journal *j, const struct jbd2_txn *txn)
{
	return j->seconds - txn->since >= SECONDS;
}

/** The clock has been set on: something may have become old. */
void jbd2_home_tick(struct journal *j)
{
	j->homes_old = j->txn_count > 0 && is_old(j, &j->txns[j->txn_first]);
}

/** Whether there is something to do, and nothing on its way. */
bool jbd2_home_due(const struct journal *j)
{
	if (!j->ready || j->home != HOME_NONE || j->home_stuck) {
		return false;
	}
	if (j->closing && !j->closed && j->commit == COMMIT_NONE &&
	    !j->wanted && j->txn_count == 0) {
		return true;
	}
	return j->txn_count > 0 && (j->homes_old || is_time(j));
}

/* Whether a block can go home now: its content is what was committed, and nothing
 * of it is on its way. What was freed may have been changed before, in the same
 * transaction; that it need not go home at all is known when this is lasting. */
static bool can_go(const struct jblock *jb)
{
	return !jb->buf->running && !jb->committing && jb->forget == 0 &&
	       !jb->buf->writing;
}

static void home_done(struct cache_batch *batch);

static int by_place(const void *a, const void *b)
{
	uint64_t x = (*(struct jblock *const *)a)->buf->block;
	uint64_t y = (*(struct jblock *const *)b)->buf->block;

	return x < y ? -1 : x > y;
}

/* Chooses what goes home, from the oldest transactions, in the order of the places,
 * so that neighbours go together. Returns how many. */
static unsigned choose(struct journal *j)
{
	bool time = is_time(j);
	unsigned n = 0;

	for (uint32_t t = 0; t < j->txn_count && n < HOMES; t++) {
		struct jbd2_txn *txn = &j->txns[(j->txn_first + t) % TXNS];

		if (!time && !is_old(j, txn)) {
			break;
		}
		for (struct jblock *jb = txn->first; jb != NULL && n < HOMES;
		     jb = jb->next) {
			if (can_go(jb)) {
				j->home_blocks[n++] = jb;
			}
		}
	}
	qsort(j->home_blocks, n, sizeof(*j->home_blocks), by_place);
	return n;
}

/* Sends as many as there are frames. Returns their number. */
static unsigned send_home(struct journal *j)
{
	unsigned most = choose(j), n = 0;
	struct cache_buf *frame;

	while (n < most && (frame = cache_frame(j->cache)) != NULL) {
		memcpy(frame->data, j->home_blocks[n]->buf->data,
		       j->block_size);
		j->home_frames[n] = frame;
		j->home_txns[n] = j->home_blocks[n]->txn;
		n++;
	}
	j->home_count = n;
	if (n > 0) {
		j->home = HOME_WRITE;
		j->home_batch = (struct cache_batch){ .done = home_done };
	}
	for (unsigned i = 0; i < n; i++) {
		cache_write(j->cache, &j->home_batch, j->home_frames[i],
			    j->home_blocks[i]->buf->block,
			    j->home_blocks[i]->buf);
	}
	cache_write_begin(j->cache);
	return n;
}

static void super_done(struct block_req *req)
{
	struct journal *j = of_req(req);

	if (req->error != 0) {
		jbd2_fail(j);
		return;
	}
	j->home = HOME_NONE;
	j->used -= j->to_used;
	j->tail_number = j->to_number;
	j->ready = true;
	j->closed = j->to_start == 0;
	j->homes_wanted = j->homes_wanted && j->txn_count > 0;
	cache_wake(j->cache);
}

/** Writes the superblock: the log begins there, with that number; start 0: it is
 * empty for good. */
void jbd2_super_write(struct journal *j, uint32_t number, uint32_t start)
{
	uint64_t block = j->place.block(j->place.arg, 0);
	uint32_t sectors = j->block_size / j->disk->sector_size;

	j->home = HOME_SUPER;
	j->to_number = number;
	j->to_start = start;
	jbd2_super_set(&j->sb, number, start);
	memset(j->super->data, 0, j->block_size);
	memcpy(j->super->data, &j->sb, sizeof(j->sb));
	j->home_seg = (struct block_seg){ j->super->data, j->block_size };
	j->home_req = (struct block_req){
		.op = BLOCK_WRITE, .flags = BLOCK_FUA,
		.sector = block * sectors, .sectors = sectors,
		.segs = &j->home_seg, .seg_count = 1, .done = super_done,
	};
	block_submit(j->disk, &j->home_req);
}

static void flush_done(struct block_req *req)
{
	struct journal *j = of_req(req);

	if (req->error != 0) {
		jbd2_fail(j);
		return;
	}
	jbd2_super_write(j, j->to_number, j->to_start);
}

/* Moves the tail over the transactions of which all blocks are at home; false:
 * there is none. */
static bool move_tail(struct journal *j)
{
	bool over = j->closing && j->txn_count == 0;

	j->to_used = 0;
	while (j->txn_count > 0 && j->txns[j->txn_first].first == NULL) {
		j->to_used += j->txns[j->txn_first].blocks;
		j->txn_first = (j->txn_first + 1) % TXNS;
		j->txn_count--;
		j->stats.checkpoints++;
	}
	if (j->to_used == 0 && !over) {
		return false;
	}
	if (j->txn_count > 0) {
		j->to_number = j->txns[j->txn_first].number;
		j->to_start = j->txns[j->txn_first].start;
	} else if (j->commit != COMMIT_NONE && j->commit_blocks > 0) {
		j->to_number = j->number - 1;
		j->to_start = j->commit_start;
	} else {
		j->to_number = j->number;
		j->to_start = over ? 0 : j->head;
	}
	j->home = HOME_FLUSH;
	j->home_req = (struct block_req){
		.op = BLOCK_FLUSH, .done = flush_done,
	};
	block_submit(j->disk, &j->home_req);
	return true;
}

static void home_done(struct cache_batch *batch)
{
	struct journal *j = (struct journal *)((char *)batch -
				offsetof(struct journal, home_batch));

	for (unsigned i = 0; i < j->home_count; i++) {
		struct jblock *jb = j->home_blocks[i];

		cache_frame_free(j->cache, j->home_frames[i]);
		/* Else it was committed again meanwhile, or freed. */
		if (batch->error == 0 && jb->txn == j->home_txns[i]) {
			jbd2_unlink(jb);
			jbd2_let_go(j, jb);
		}
	}
	j->home = HOME_NONE;
	if (batch->error != 0) {
		jbd2_fail(j);
	}
	cache_wake(j->cache);
}

/** Does the next step; what hinders it is the running transaction, which is then
 * wanted in the log. */
void jbd2_home_begin(struct journal *j)
{
	if (move_tail(j) || send_home(j) > 0) {
		return;
	}
	j->homes_old = false;
	if (!is_time(j)) {
		return;
	}
	if (j->commit == COMMIT_NONE &&
	    (j->running_count > 0 || j->forgets != NULL)) {
		j->wanted = true;
	}
	j->home_stuck = true;
	cache_wait_room(j->cache, &j->home_wait);
}
