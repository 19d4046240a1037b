/* SPDX-License-Identifier: MIT */
/*
 * The running transaction: which blocks it has changed, which it has revoked,
 * whether there is room for more; and who waits for it. Every change of a block is
 * in memory alone until the transaction is in the log, for the cache leaves what
 * is held alone. One thread, no locks.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/jbd2/jbd2_int.h"

#define SECONDS		5u		/* until a transaction is closed */

/* Blocks of the log that a transaction takes. */
uint32_t jbd2_cost(const struct journal *j, uint32_t blocks,
		   uint32_t revokes)
{
	uint32_t tags = (j->block_size - sizeof(struct jbd2_header) -
			 JBD2_UUID - JBD2_TAIL) / sizeof(struct jbd2_tag3);
	uint32_t records = (j->block_size - sizeof(struct jbd2_revoke) -
			    JBD2_TAIL) / 8;

	return blocks + (blocks + tags - 1) / tags +
	       (revokes + records - 1) / records + 1;
}

/* Free blocks of the log, without those that revoking all of it would take: blocks
 * are freed without a question whether there is room. */
static uint32_t room(const struct journal *j)
{
	uint32_t keep = j->revoke_cost + j->used;

	return j->limit > keep ? j->limit - keep : 0;
}

/* Takes a block off the list of those that must go home. */
void jbd2_unlink(struct jblock *jb)
{
	if (jb->txn == NULL) {
		return;
	}
	*(jb->prev != NULL ? &jb->prev->next : &jb->txn->first) = jb->next;
	if (jb->next != NULL) {
		jb->next->prev = jb->prev;
	}
	jb->txn = NULL;
}

void jbd2_link(struct jbd2_txn *txn, struct jblock *jb)
{
	jb->txn = txn;
	jb->prev = NULL;
	jb->next = txn->first;
	if (jb->next != NULL) {
		jb->next->prev = jb;
	}
	txn->first = jb;
}

/* Gives a block back to the cache if nobody here has it any more. */
void jbd2_let_go(struct journal *j, struct jblock *jb)
{
	if (!jb->buf->running && !jb->committing && jb->txn == NULL) {
		jb->forget = 0;
		cache_release(j->cache, jb->buf);
	}
}

/* The log cannot be written: nothing more is changed, and nobody told that it is
 * lasting. What is in the log comes back when the journal is opened anew. */
void jbd2_fail(struct journal *j)
{
	if (j->error == 0) {
		j->error = EIO;
		j->dev->read_only = true;
		j->stats.failed = true;
		j->ops.failed(j->ops.arg);
	}
	cache_wake(j->cache);
}

/* It shall be tried again when the transaction is through. */
static uint8_t *later(struct journal *j)
{
	j->wanted = true;
	j->over = true;
	j->dev->absent = true;
	return NULL;
}

/* cache_journal: a block that is the file system's own is about to change. */
static uint8_t *change(struct cache_journal *hooks, uint64_t block,
		       bool whole)
{
	struct journal *j = jbd2_of(hooks);
	struct jbd2_live *live;
	struct cache_buf *buf;
	struct jblock *jb;

	if (j->error != 0) {
		j->dev->absent = j->dev->full = false;
		return NULL;
	}
	buf = cache_hold(j->cache, block, whole);
	if (buf == NULL) {
		return NULL;
	}
	jb = jbd2_block(j, buf);
	if (buf->running) {
		return buf->data;
	}
	if (j->running_count == 2 * j->most ||
	    jbd2_cost(j, j->running_count + 1, 0) > room(j)) {
		jbd2_let_go(j, jb);
		return later(j);
	}
	live = j->revokes > 0 ? jbd2_live_find(j, block) : NULL;
	if (live != NULL && live->revoked) {
		live->revoked = false;		/* used again at once */
		j->revokes--;
	}
	if (jb->forget == j->dev->running) {
		jb->forget = 0;
	}
	if (j->running_count == 0 && !j->begun) {
		j->since = j->seconds;
	}
	buf->running = true;
	jb->index = j->running_count;
	j->running[j->running_count++] = jb;
	j->dev->changed = j->running_count;
	return buf->data;
}

/* What is freed is looked at when the round is lasting. */
void jbd2_list_forget(struct journal *j, struct jblock *jb)
{
	if (!jb->listed) {
		jb->listed = true;
		jb->forget_next = j->forgets;
		j->forgets = jb;
	}
}

/* The running transaction has nothing to say about the block any more. */
static void forget(struct journal *j, struct jblock *jb)
{
	if (jb->buf->running) {
		struct jblock *last = j->running[--j->running_count];

		jb->buf->running = false;
		last->index = jb->index;
		j->running[jb->index] = last;
		j->dev->changed = j->running_count;
	}
	if ((jb->committing || jb->txn != NULL) && jb->forget == 0) {
		/* Kept until this transaction is lasting, for until then the
		 * block is still what it was. */
		jb->forget = j->dev->running;
		jbd2_list_forget(j, jb);
	} else {
		jbd2_let_go(j, jb);
	}
}

/* cache_journal: blocks are free, or will be. Those that the log has must not come
 * back by a recovery. */
static void discard(struct cache_journal *hooks, uint64_t block,
		    uint64_t count)
{
	struct journal *j = jbd2_of(hooks);

	for (uint64_t i = 0; i < count; i++) {
		struct jbd2_live *live = jbd2_live_find(j, block + i);
		struct cache_buf *buf = cache_find(j->cache, block + i);

		if (live != NULL && !live->revoked) {
			live->revoked = true;
			j->revokes++;
			j->stats.revokes++;
		}
		if (buf != NULL && buf->held) {
			forget(j, jbd2_block(j, buf));
		}
	}
}

/* cache_journal: room is wanted in memory. */
static void pressure(struct cache_journal *hooks)
{
	struct journal *j = jbd2_of(hooks);

	j->wanted = j->wanted || j->running_count > 0 || j->begun;
	j->homes_wanted = true;
}

/**
 * Before a function of the volume after which it and all that is left for the
 * round's close() change at most so many blocks: whether they
 * fit into the running transaction. Returns 0; EAGAIN: not before it is through, and
 * wait is told; EFBIG: never; EROFS when the journal has failed.
 */
int journal_begin(struct journal *j, uint32_t blocks,
		  struct volume_wait *wait)
{
	if (j->error != 0) {
		return EROFS;
	}
	if (blocks > j->most) {
		return EFBIG;
	}
	/* A change may take more than it said, if it sees to it that all has
	 * room: there is for twice as much. */
	if (!j->closing && j->running_count + blocks <= j->most &&
	    j->most_cost <= room(j)) {
		if (!j->begun) {
			j->begun = true;
			j->since = j->seconds;
		}
		return 0;
	}
	j->wanted = j->wanted || j->running_count > 0 || j->revokes > 0 ||
		    j->begun;
	j->homes_wanted = j->homes_wanted || j->most_cost > room(j);
	cache_wait_room(j->cache, wait);
	return EAGAIN;
}

/* How a round ended: a bit for each of the last 128. */
static bool round_failed(const struct journal *j, uint64_t round)
{
	return round + 128 > j->dev->running &&
	       (j->failed_rounds[round / 64 % 2] >> round % 64 & 1) != 0;
}

/**
 * Makes lasting what was done before the first call with this wait, whose number
 * is 0 then; or else that round, and those before it. Returns 0 when it is so,
 * EAGAIN until then, EIO if data could not be written, or the log.
 */
int journal_sync(struct journal *j, struct volume_wait *wait)
{
	uint64_t round = wait->number;

	if (round == 0) {
		round = wait->number = j->dev->running;
	}
	j->wanted = j->wanted || round == j->dev->running;
	if (round <= j->dev->lasting) {
		wait->number = 0;
		return round_failed(j, round) ? EIO : 0;
	}
	if (j->error != 0) {
		wait->number = 0;
		return j->error;
	}
	cache_wait_room(j->cache, wait);
	return EAGAIN;
}

/** seconds: any clock that does not go back. Once a second, about. */
void journal_tick(struct journal *j, uint32_t seconds)
{
	j->seconds = seconds;
	if ((j->running_count > 0 || j->revokes > 0 || j->begun) &&
	    seconds - j->since >= SECONDS) {
		j->wanted = true;
	}
	jbd2_home_tick(j);
	cache_tick(j->cache, seconds);
}

/** Whether journal_run() has something to do. */
bool journal_due(const struct journal *j)
{
	return j->error == 0 &&
	       (jbd2_commit_due(j) || jbd2_home_due(j));
}

/**
 * Begins what is due: a commit, the way home. From the loop, between two calls of
 * the volume's functions.
 */
void journal_run(struct journal *j)
{
	if (j->error != 0) {
		return;
	}
	if (jbd2_commit_due(j)) {
		jbd2_commit_begin(j);
	}
	if (jbd2_home_due(j)) {
		jbd2_home_begin(j);
	}
}

/**
 * Makes all lasting and empties the log, so that nothing needs recovery. Nothing may
 * be changed meanwhile. Returns EAGAIN until it is done, then 0, or EIO.
 */
int journal_close(struct journal *j, struct volume_wait *wait)
{
	if (j->error != 0) {
		return j->error;
	}
	if (j->closed) {
		return 0;
	}
	if (!j->closing) {
		j->closing = true;
		j->wanted = true;
		j->homes_wanted = true;
	}
	cache_wait_room(j->cache, wait);
	return EAGAIN;
}

/** Frees all memory; the cache has no journal any more. Nothing is under way. */
void journal_free(struct journal *j)
{
	cache_set_journal(j->cache, NULL);
	j->dev->most = 0;
	cache_wait_end(j->cache, &j->wait);
	cache_wait_end(j->cache, &j->home_wait);
	for (uint32_t i = 0; i < j->frame_count; i++) {
		cache_frame_free(j->cache, j->frames[i]);
	}
	if (j->super != NULL) {
		cache_frame_free(j->cache, j->super);
	}
	free(j->jblocks);
	free(j->running);
	free(j->committing);
	free(j->frames);
	free(j->live.slots);
	free(j->spare.slots);
	free(j);
}

static void wait_ready(struct volume_wait *wait)
{
	struct journal *j = (struct journal *)((char *)wait -
				offsetof(struct journal, wait));

	j->wanted = true;
	j->waiting = false;
}

static void home_ready(struct volume_wait *wait)
{
	struct journal *j = (struct journal *)((char *)wait -
				offsetof(struct journal, home_wait));

	j->home_stuck = false;
}

/* Memory for a log of that length before a cache of so many buffers. */
static int make_room(struct journal *j, uint32_t buffers)
{
	uint32_t log = j->blocks - j->first;

	log = j->limit = log < LIMIT ? log : LIMIT;
	j->most = log / 4 < buffers / 8 ? log / 4 : buffers / 8;
	j->most = j->most > 4 ? j->most : 4;
	j->most_cost = jbd2_cost(j, 2 * j->most, 0);
	j->revoke_cost = jbd2_cost(j, 0, log);
	j->held_most = buffers / 4;
	j->frames_most = jbd2_cost(j, 2 * j->most, log);
	j->jblocks = calloc(buffers, sizeof(*j->jblocks));
	j->running = calloc(2 * j->most, sizeof(*j->running));
	j->committing = calloc(2 * j->most, sizeof(*j->committing));
	j->frames = calloc(j->frames_most, sizeof(*j->frames));
	if (j->jblocks == NULL || j->running == NULL ||
	    j->committing == NULL || j->frames == NULL ||
	    jbd2_live_init(j) != 0) {
		return ENOMEM;
	}
	j->super = cache_frame(j->cache);
	return j->super != NULL ? 0 : EAGAIN;
}

/* The features that are written here. */
static void set_features(struct journal *j)
{
	uint32_t has = be32(j->sb.incompat) | JBD2_HAS_REVOKE |
		       JBD2_HAS_CSUM_V3;

	if (j->dev->blocks > UINT32_MAX) {
		has |= JBD2_HAS_64BIT;
	}
	j->sb.incompat = to_be32(has);
	j->sb.compat = to_be32(0);
	j->sb.checksum_type = JBD2_CRC32C;
	j->seed = jbd2_crc(~0u, j->sb.uuid, sizeof(j->sb.uuid));
}

/**
 * A journal for what the cache changes, where there is an empty one: recovery is
 * over, and the file system says by now, lastingly, that it needs one. Returns 0;
 * EAGAIN: again, when its superblock is in memory; EIO, EOPNOTSUPP: why is the end
 * of a sentence; ENOMEM.
 */
int journal_open(struct cache *cache, const struct journal_place *place,
		 const struct journal_ops *ops, struct journal **out,
		 char why[JOURNAL_WHY])
{
	struct volume_dev *dev = cache_dev(cache);
	uint64_t block = place->block(place->arg, 0);
	const uint8_t *data = block != 0 ? dev->ops->peek(dev, block) : NULL;
	struct cache_stats stats;
	struct journal *j;
	int error;

	snprintf(why, JOURNAL_WHY, "its journal cannot be read");
	if (data == NULL) {
		return block != 0 && dev->absent ? EAGAIN : EIO;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		return ENOMEM;
	}
	*j = (struct journal){
		.hooks = { change, discard, pressure }, .cache = cache,
		.dev = dev, .disk = cache_disk(cache), .place = *place,
		.ops = *ops, .wait = { .ready = wait_ready },
		.home_wait = { .ready = home_ready },
	};
	if (!jbd2_super_check(data, place, &j->sb, why) ||
	    be32(j->sb.start) != 0) {
		journal_free(j);
		return EOPNOTSUPP;
	}
	j->first = be32(j->sb.first);
	j->blocks = be32(j->sb.blocks);
	j->block_size = place->block_size;
	j->number = j->tail_number = be32(j->sb.sequence);
	j->head = j->first;
	set_features(j);
	cache_stats(cache, &stats);
	error = make_room(j, stats.frames);
	if (error != 0) {
		journal_free(j);
		return error;
	}
	dev->running = 1;
	dev->lasting = 0;
	dev->transaction = j->number;
	dev->changed = 0;
	dev->most = j->most;
	cache_set_journal(cache, &j->hooks);
	jbd2_super_write(j, j->number, j->head);
	*out = j;
	return 0;
}

void journal_look(const struct journal *j, struct journal_state *state)
{
	*state = j->stats;
	state->blocks = j->blocks - j->first;
	state->used = j->used;
	state->most = j->most;
	state->running = j->running_count;
	state->committing = j->committing_count;
	state->transactions = j->txn_count;
}
