/* SPDX-License-Identifier: MIT */
/*
 * A round: the running transaction is closed, written into the log, and lasting.
 *
 *   1. What it has changed is copied into frames, so that the next one can begin.
 *   2. All dirty data, and the log's blocks, go to the disk, together.
 *   3. A flush: now they are lasting, in whatever order they went.
 *   4. The commit block, lasting when it is done. It is what makes the transaction
 *      count, so nothing of it may be missing.
 *
 * The commit block's place is written with zeros in step 2, and in step 4 only its
 * first sector: a sector is written whole or not, so there is no commit block that
 * is half there, which Linux would take for damage.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/jbd2/jbd2_int.h"

/** Whether a round shall begin, and can. */
bool jbd2_commit_due(const struct journal *j)
{
	return j->wanted && j->ready && j->commit == COMMIT_NONE &&
	       !j->waiting && j->txn_count < TXNS;
}

static void head_of(struct journal *j, uint8_t *data, uint32_t type)
{
	struct jbd2_header head = {
		to_be32(JBD2_MAGIC), to_be32(type), to_be32(j->number),
	};

	memset(data, 0, j->block_size);
	memcpy(data, &head, sizeof(head));
}

static void end_with_crc(struct journal *j, uint8_t *data)
{
	size_t place = j->block_size - JBD2_TAIL;
	be32_t crc = to_be32(jbd2_block_crc(j->seed, data, j->block_size,
					    place));

	memcpy(data + place, &crc, sizeof(crc));
}

/* Fills in the revoke blocks; returns how many. */
static uint32_t make_revokes(struct journal *j)
{
	size_t size = be32(j->sb.incompat) & JBD2_HAS_64BIT ? 8 : 4;
	uint32_t n = 0, left = j->revokes;
	size_t at = j->block_size;
	uint8_t *data = NULL;

	for (uint32_t i = 0; left > 0; i++) {
		struct jbd2_live *live = &j->live.slots[i];
		be32_t word[2] = {
			to_be32((uint32_t)(live->block >> 32)),
			to_be32((uint32_t)live->block),
		};
		be32_t bytes;

		if (!live->used || !live->revoked) {
			continue;
		}
		live->revoked = false;
		if (at + size > j->block_size - JBD2_TAIL) {
			data = j->frames[n++]->data;
			head_of(j, data, JBD2_REVOKE);
			at = sizeof(struct jbd2_revoke);
		}
		memcpy(data + at, size == 8 ? &word[0] : &word[1], size);
		at += size;
		bytes = to_be32((uint32_t)at);
		memcpy(data + offsetof(struct jbd2_revoke, bytes), &bytes,
		       sizeof(bytes));
		left--;
	}
	for (uint32_t i = 0; i < n; i++) {
		end_with_crc(j, j->frames[i]->data);
	}
	j->revokes = 0;
	return n;
}

/* Copies a block into its frame, as it goes into the log. Returns its tag. */
static struct jbd2_tag3 make_copy(struct journal *j, const struct jblock *jb,
				  struct cache_buf *frame)
{
	be32_t magic = to_be32(JBD2_MAGIC);
	uint32_t flags = 0;

	memcpy(frame->data, jb->buf->data, j->block_size);
	if (memcmp(frame->data, &magic, sizeof(magic)) == 0) {
		/* Else a recovery would take it for one of the log's own. */
		memset(frame->data, 0, sizeof(magic));
		flags = JBD2_TAG_ESCAPED;
	}
	return (struct jbd2_tag3){
		to_be32((uint32_t)jb->buf->block), to_be32(flags),
		to_be32((uint32_t)(jb->buf->block >> 32)),
		to_be32(jbd2_data_crc(j->seed, j->number, frame->data,
				      j->block_size)),
	};
}

/* Fills in descriptors and copies, from frame n on; returns where they end. */
static uint32_t make_blocks(struct journal *j, uint32_t n)
{
	size_t end = j->block_size - JBD2_TAIL;

	for (uint32_t i = 0; i < j->committing_count;) {
		uint8_t *data = j->frames[n++]->data;
		size_t at = sizeof(struct jbd2_header);
		bool first = true, last;

		head_of(j, data, JBD2_DESCRIPTOR);
		do {
			struct jbd2_tag3 tag = make_copy(j, j->committing[i],
							 j->frames[n++]);
			size_t next = at + sizeof(tag) +
				      (first ? JBD2_UUID : 0);

			last = ++i == j->committing_count ||
			       next + sizeof(tag) > end;
			tag.flags = to_be32(be32(tag.flags) |
					    (first ? 0 : JBD2_TAG_SAME_UUID) |
					    (last ? JBD2_TAG_LAST : 0));
			memcpy(data + at, &tag, sizeof(tag));
			if (first) {
				memcpy(data + at + sizeof(tag), j->sb.uuid,
				       JBD2_UUID);
			}
			at = next;
			first = false;
		} while (!last);
		end_with_crc(j, data);
	}
	return n;
}

static void make_commit(struct journal *j, uint8_t *data)
{
	int64_t now = j->ops.now_ns(j->ops.arg);
	struct jbd2_commit commit = {
		.seconds_high = to_be32((uint32_t)(now / 1000000000 >> 32)),
		.seconds = to_be32((uint32_t)(now / 1000000000)),
		.nanoseconds = to_be32((uint32_t)(now % 1000000000)),
	};

	head_of(j, data, JBD2_COMMIT);
	memcpy(data + sizeof(commit.header),
	       (uint8_t *)&commit + sizeof(commit.header),
	       sizeof(commit) - sizeof(commit.header));
	commit.checksum[0] = to_be32(jbd2_block_crc(j->seed, data,
				     j->block_size,
				     offsetof(struct jbd2_commit, checksum)));
	memcpy(data + offsetof(struct jbd2_commit, checksum),
	       commit.checksum, sizeof(be32_t));
}

/* The blocks of the transaction are in the log: from now on they are to go home. */
static void settle_blocks(struct journal *j)
{
	struct jbd2_txn *txn = &j->txns[(j->txn_first + j->txn_count) % TXNS];
	struct jblock *jb = j->forgets_committing;

	if (j->commit_blocks > 0) {
		*txn = (struct jbd2_txn){
			.number = j->number - 1, .start = j->commit_start,
			.blocks = j->commit_blocks, .since = j->seconds,
		};
		j->txn_count++;
	}
	for (uint32_t i = 0; i < j->committing_count; i++) {
		j->committing[i]->committing = false;
		jbd2_unlink(j->committing[i]);
		jbd2_link(txn, j->committing[i]);
	}
	j->committing_count = 0;
	j->forgets_committing = NULL;
	while (jb != NULL) {
		struct jblock *next = jb->forget_next;

		jb->listed = false;
		if (jb->forget == j->round) {
			jb->forget = 0;
			jbd2_unlink(jb);
			jbd2_let_go(j, jb);
		} else if (jb->forget != 0) {
			/* Used again in this round, freed again in the next. */
			jbd2_list_forget(j, jb);
		}
		jb = next;
	}
}

static void finish(struct journal *j)
{
	uint64_t bit = 1ull << j->round % 64;
	uint64_t *bits = &j->failed_rounds[j->round / 64 % 2];

	settle_blocks(j);
	for (uint32_t i = 0; i < j->frame_count; i++) {
		cache_frame_free(j->cache, j->frames[i]);
	}
	j->frame_count = 0;
	*bits = (*bits & ~bit) | (j->data_error != 0 ? bit : 0);
	j->commit = COMMIT_NONE;
	j->dev->lasting = j->round;
	j->home_stuck = false;
	j->stats.commits++;
	j->ops.lasting(j->ops.arg, j->round);
	cache_wake(j->cache);
}

static struct journal *of_req(struct block_req *req)
{
	return (struct journal *)((char *)req - offsetof(struct journal, req));
}

static void commit_done(struct block_req *req)
{
	struct journal *j = of_req(req);

	if (req->error != 0) {
		jbd2_fail(j);
		return;
	}
	finish(j);
}

/* Data and log are lasting: now it counts. */
static void write_commit(struct journal *j)
{
	struct cache_buf *frame = j->frames[j->frame_count - 1];
	uint32_t per_block = j->block_size / j->disk->sector_size;

	j->commit = COMMIT_BLOCK;
	make_commit(j, frame->data);
	j->seg = (struct block_seg){ frame->data, j->disk->sector_size };
	j->req = (struct block_req){
		.op = BLOCK_WRITE, .flags = BLOCK_FUA,
		.sector = frame->block * per_block, .sectors = 1,
		.segs = &j->seg, .seg_count = 1, .done = commit_done,
	};
	block_submit(j->disk, &j->req);
}

static void flush_done(struct block_req *req)
{
	struct journal *j = of_req(req);

	if (req->error != 0) {
		jbd2_fail(j);
	} else if (j->frame_count == 0) {
		finish(j);			/* there were data only */
	} else {
		/* make_commit() has the number of this transaction. */
		j->number--;
		write_commit(j);
		j->number++;
	}
}

/* One of the two batches has ended. */
static void batch_done(struct journal *j)
{
	if (--j->batches > 0 || j->error != 0) {
		return;
	}
	j->commit = COMMIT_FLUSH;
	j->req = (struct block_req){ .op = BLOCK_FLUSH, .done = flush_done };
	block_submit(j->disk, &j->req);
}

static void data_done(struct cache_batch *batch)
{
	struct journal *j = (struct journal *)((char *)batch -
				offsetof(struct journal, data_batch));

	j->data_error = batch->error;
	batch_done(j);
}

static void log_done(struct cache_batch *batch)
{
	struct journal *j = (struct journal *)((char *)batch -
				offsetof(struct journal, log_batch));

	if (batch->error != 0) {
		jbd2_fail(j);
	}
	batch_done(j);
}

/* The transaction is closed: what belongs to it is what is in memory now. */
static void freeze(struct journal *j)
{
	struct jblock **empty = j->committing;
	bool logged = j->running_count > 0 || j->revokes > 0;

	j->round = j->dev->running++;
	j->committing = j->running;
	j->committing_count = j->running_count;
	j->running = empty;
	j->running_count = j->dev->changed = 0;
	j->begun = false;
	j->forgets_committing = j->forgets;
	j->forgets = NULL;
	j->commit_start = j->head;
	j->commit_blocks = 0;
	if (logged) {
		uint32_t n = make_blocks(j, make_revokes(j));

		memset(j->frames[n++]->data, 0, j->block_size);
		j->commit_blocks = n;
	}
	while (j->frame_count > j->commit_blocks) {
		cache_frame_free(j->cache, j->frames[--j->frame_count]);
	}
	for (uint32_t i = 0; i < j->committing_count; i++) {
		struct jblock *jb = j->committing[i];

		jb->buf->running = false;
		jb->committing = true;
		jbd2_live_add(j, jb->buf->block);
	}
	j->number += logged;
	j->dev->transaction = j->number;
}

/* Sends a closed transaction's blocks to the log, and all data to their places. */
static void send(struct journal *j)
{
	j->commit = COMMIT_WRITE;
	j->batches = 1 + (j->commit_blocks > 0);
	j->data_batch = (struct cache_batch){ .done = data_done };
	j->log_batch = (struct cache_batch){ .done = log_done };
	for (uint32_t i = 0; i < j->commit_blocks; i++) {
		uint64_t block = j->place.block(j->place.arg,
						jbd2_after(j, j->head, i));

		cache_write(j->cache, &j->log_batch, j->frames[i], block,
			    NULL);
	}
	j->head = jbd2_after(j, j->head, j->commit_blocks);
	j->used += j->commit_blocks;
	cache_sync(j->cache, &j->data_batch);
}

/* Gets frames for the running transaction as it is now. False: not now; the commit
 * is tried again when there may be some. */
static bool get_frames(struct journal *j)
{
	uint32_t need = j->running_count > 0 || j->revokes > 0
			? jbd2_cost(j, j->running_count, j->revokes) : 0;

	while (j->frame_count < need) {
		struct cache_buf *frame = cache_frame(j->cache);

		if (frame == NULL) {
			j->waiting = true;
			cache_wait_room(j->cache, &j->wait);
			return false;
		}
		j->frames[j->frame_count++] = frame;
	}
	return true;
}

/**
 * Begins a round: the volume closes what it has in memory, and in the same turn the
 * transaction is frozen. If a block or a frame is missing, it is tried again.
 */
void jbd2_commit_begin(struct journal *j)
{
	int error;

	j->over = false;
	cache_turn(j->cache, &j->wait);
	error = j->ops.close(j->ops.arg);
	if (error == EAGAIN && !j->over) {
		j->waiting = true;
		return;
	}
	if (error != 0) {
		/* Also what does not fit: begun with too small a promise. */
		jbd2_fail(j);
		return;
	}
	if (!get_frames(j)) {
		return;
	}
	cache_wait_end(j->cache, &j->wait);
	j->wanted = false;
	freeze(j);
	send(j);
}
