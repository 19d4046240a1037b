/* SPDX-License-Identifier: MIT */
/*
 * Recovery: what is in the log, and was committed, is brought to its places. Three
 * walks along the log: the first finds its end and checks all of it; the second
 * collects what was revoked; the third writes. So a journal that is damaged is
 * refused before anything has changed. Everything in it may be wrong, and is
 * checked: numbers of blocks, counts, checksums where the journal has them.
 *
 * What is not in memory ends a try with EAGAIN; the next one goes on from the
 * block that was missing. Walking twice does no harm: the same blocks are written
 * again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/jbd2/jbd2_int.h"

enum phase { LOAD, SCAN, REVOKE, REPLAY, FLUSH, CLEAR, FLUSH_AGAIN, DONE };

/* No transaction up to this number brings the block back. */
struct revoked {
	uint64_t block;
	uint32_t sequence;
	bool used;
};

struct journal_recovery {
	struct volume_dev *dev;
	struct journal_place place;
	struct jbd2_super sb;
	uint32_t incompat, seed, first, blocks;
	enum phase phase;
	uint32_t at, sequence;		/* the walk: next block, its number */
	uint32_t walked;		/* blocks; the log is no longer */
	uint32_t end;			/* the first number not committed */
	uint32_t tag;			/* of the descriptor at `at`, next */
	uint32_t bad;			/* block of this number that is; or 0 */
	uint64_t seconds;		/* of the last commit */
	struct revoked *revoked;	/* a hash table, half empty at least */
	uint32_t revoked_count, revoked_space;
	struct journal_found found;
	void (*known)(uint32_t end);
	char *why;
};

static int damaged(struct journal_recovery *r, const char *what, uint32_t at)
{
	snprintf(r->why, JOURNAL_WHY, "its journal is damaged: %s of "
		 "transaction %u, in the journal's block %u", what, r->sequence,
		 at);
	return EIO;
}

/* The journal's n-th block. Returns 0, EAGAIN or EIO. */
static int log_peek(struct journal_recovery *r, uint32_t n,
		    const uint8_t **data)
{
	uint64_t block = r->place.block(r->place.arg, n);

	*data = block != 0 ? r->dev->ops->peek(r->dev, block) : NULL;
	if (*data != NULL) {
		return 0;
	}
	if (block != 0 && r->dev->absent) {
		return EAGAIN;
	}
	snprintf(r->why, JOURNAL_WHY, "block %u of its journal cannot be read",
		 n);
	return EIO;
}

/* The block that is n after another in the ring. */
static uint32_t log_after(const struct journal_recovery *r, uint32_t at,
			  uint32_t n)
{
	uint32_t room = r->blocks - r->first;

	return r->first + (uint32_t)((at - r->first + (uint64_t)n) % room);
}

static bool has(const struct journal_recovery *r, uint32_t feature)
{
	return (r->incompat & feature) != 0;
}

/* Whether the checksum that ends a descriptor or revoke block is right. */
static bool tail_right(const struct journal_recovery *r, const uint8_t *data)
{
	size_t place = r->place.block_size - JBD2_TAIL;
	be32_t stored;

	memcpy(&stored, data + place, sizeof(stored));
	return !has(r, JBD2_HAS_CSUM_V3) || be32(stored) ==
	       jbd2_block_crc(r->seed, data, r->place.block_size, place);
}

/* One tag: where its block belongs, how it was changed. */
struct tag {
	uint64_t block;
	uint32_t flags, checksum;
};

/* The n-th tag of a descriptor; false: there is none. Tags are walked from the
 * first, for those may be longer that have a UUID. */
static bool tag_get(const struct journal_recovery *r, const uint8_t *data,
		    uint32_t n, struct tag *tag)
{
	size_t size = has(r, JBD2_HAS_CSUM_V3) ? sizeof(struct jbd2_tag3)
		      : has(r, JBD2_HAS_64BIT) ? sizeof(struct jbd2_tag)
		      : sizeof(struct jbd2_tag) - sizeof(be32_t);
	size_t end = r->place.block_size -
		     (has(r, JBD2_HAS_CSUM_V3) ? JBD2_TAIL : 0);
	size_t at = sizeof(struct jbd2_header);

	for (uint32_t i = 0; at + size <= end; i++) {
		if (has(r, JBD2_HAS_CSUM_V3)) {
			struct jbd2_tag3 t;

			memcpy(&t, data + at, sizeof(t));
			tag->block = (uint64_t)be32(t.block_high) << 32 |
				     be32(t.block);
			tag->flags = be32(t.flags);
			tag->checksum = be32(t.checksum);
		} else {
			struct jbd2_tag t = { 0 };

			memcpy(&t, data + at, size);
			tag->block = (uint64_t)be32(t.block_high) << 32 |
				     be32(t.block);
			tag->flags = (uint32_t)t.flags[0] << 8 | t.flags[1];
		}
		if (!has(r, JBD2_HAS_64BIT)) {
			tag->block &= UINT32_MAX;
		}
		if (i == n) {
			return true;
		}
		if (tag->flags & JBD2_TAG_LAST) {
			return false;
		}
		at += size + (tag->flags & JBD2_TAG_SAME_UUID ? 0 : JBD2_UUID);
	}
	return false;
}

static struct revoked *revoked_slot(const struct journal_recovery *r,
				    uint64_t block)
{
	uint32_t mask = r->revoked_space - 1;
	uint32_t i = (uint32_t)(block * 0x9e3779b97f4a7c15ull >> 32) & mask;

	while (r->revoked[i].used && r->revoked[i].block != block) {
		i = (i + 1) & mask;
	}
	return &r->revoked[i];
}

static int revoked_grow(struct journal_recovery *r)
{
	struct revoked *old = r->revoked;
	uint32_t space = r->revoked_space;

	r->revoked_space = space != 0 ? space * 2 : 64;
	r->revoked = calloc(r->revoked_space, sizeof(*r->revoked));
	if (r->revoked == NULL) {
		r->revoked = old;
		r->revoked_space = space;
		return ENOMEM;
	}
	for (uint32_t i = 0; i < space; i++) {
		if (old[i].used) {
			*revoked_slot(r, old[i].block) = old[i];
		}
	}
	free(old);
	return 0;
}

static int revoked_add(struct journal_recovery *r, uint64_t block)
{
	struct revoked *slot;

	if (2 * (r->revoked_count + 1) > r->revoked_space) {
		int error = revoked_grow(r);

		if (error != 0) {
			return error;
		}
	}
	slot = revoked_slot(r, block);
	r->revoked_count += !slot->used;
	/* The walk goes from old to new: the newest counts. */
	*slot = (struct revoked){ block, r->sequence, true };
	return 0;
}

/* Whether a newer transaction, or this one, has revoked the block. */
static bool is_revoked(const struct journal_recovery *r, uint64_t block)
{
	const struct revoked *slot;

	if (r->revoked_space == 0) {
		return false;
	}
	slot = revoked_slot(r, block);
	return slot->used && !jbd2_before(slot->sequence, r->sequence);
}

/* Checks a revoke block, or enters what is in it. */
static int revoke_block(struct journal_recovery *r, const uint8_t *data)
{
	size_t size = has(r, JBD2_HAS_64BIT) ? 8 : 4, end;
	const struct jbd2_revoke *head = (const void *)data;

	end = be32(head->bytes);
	if (end < sizeof(*head) || end > r->place.block_size) {
		r->bad = r->bad != 0 ? r->bad : r->at;
		return 0;
	}
	for (size_t at = sizeof(*head); r->phase == REVOKE && at + size <= end;
	     at += size) {
		be32_t word[2] = { 0 };
		int error;

		memcpy(word, data + at, size);
		error = revoked_add(r, size == 4 ? be32(word[0])
				    : (uint64_t)be32(word[0]) << 32 |
				      be32(word[1]));
		if (error != 0) {
			return error;
		}
	}
	return 0;
}

/* Writes one logged block where it belongs. */
static int replay_block(struct journal_recovery *r, const struct tag *tag,
			const uint8_t *data)
{
	be32_t magic = to_be32(JBD2_MAGIC);
	uint8_t *home;

	if (is_revoked(r, tag->block)) {
		r->found.revoked++;
		return 0;
	}
	home = r->dev->ops->poke(r->dev, tag->block, true);
	if (home == NULL) {
		if (r->dev->absent) {
			return EAGAIN;
		}
		snprintf(r->why, JOURNAL_WHY, "block %llu cannot be brought "
			 "back from its journal",
			 (unsigned long long)tag->block);
		return r->dev->full ? ENOMEM : EIO;
	}
	memcpy(home, data, r->place.block_size);
	if (tag->flags & JBD2_TAG_ESCAPED) {
		memcpy(home, &magic, sizeof(magic));
	}
	r->found.blocks++;
	return 0;
}

/* A descriptor and the blocks after it. */
static int descriptor(struct journal_recovery *r)
{
	const uint8_t *head, *data;
	struct tag tag;
	int error;

	for (;; r->tag++) {
		uint32_t at = log_after(r, r->at, 1 + r->tag);

		/* Again for each: a peek may take the memory of another. */
		error = log_peek(r, r->at, &head);
		if (error != 0) {
			return error;
		}
		if (!tag_get(r, head, r->tag, &tag) ||
		    1 + r->tag >= r->blocks - r->first) {
			break;
		}
		if (r->phase == REVOKE ||
		    (r->phase == SCAN && !has(r, JBD2_HAS_CSUM_V3))) {
			continue;
		}
		error = log_peek(r, at, &data);
		if (error == 0 && r->phase == REPLAY) {
			error = replay_block(r, &tag, data);
		} else if (error == 0 && r->bad == 0 &&
			   (tag.block >= r->dev->blocks || tag.checksum !=
			    jbd2_data_crc(r->seed, r->sequence, data,
					  r->place.block_size))) {
			r->bad = at;
		}
		if (error != 0) {
			return error;
		}
	}
	r->walked += r->tag;
	r->at = log_after(r, r->at, r->tag);	/* and one more, by walk() */
	r->tag = 0;
	return 0;
}

/* Whether a commit block is whole. One of which only the first sector reached the
 * disk is: the rest of it is zeros by its maker's will, and says nothing. */
static bool commit_right(const struct journal_recovery *r, const uint8_t *data)
{
	size_t place = offsetof(struct jbd2_commit, checksum);
	const struct jbd2_commit *commit = (const void *)data;
	static const uint8_t zeros[64];
	size_t at = sizeof(*commit);
	uint32_t crc;

	if (!has(r, JBD2_HAS_CSUM_V3) || be32(commit->checksum[0]) ==
	    jbd2_block_crc(r->seed, data, r->place.block_size, place)) {
		return true;
	}
	crc = jbd2_block_crc(r->seed, data, at, place);
	for (; at < r->place.block_size; at += sizeof(zeros)) {
		size_t n = r->place.block_size - at;

		crc = jbd2_crc(crc, zeros, n < sizeof(zeros) ? n
						: sizeof(zeros));
	}
	return be32(commit->checksum[0]) == crc;
}

/* A commit block that is not whole: the power went as it was written, unless there
 * is a newer transaction, which is never begun before. */
static int end_or_loss(struct journal_recovery *r, bool *end)
{
	const struct jbd2_header *head;
	const uint8_t *data;
	int error = log_peek(r, log_after(r, r->at, 1), &data);

	if (error != 0) {
		return error;
	}
	head = (const void *)data;
	if (be32(head->magic) == JBD2_MAGIC &&
	    be32(head->sequence) == r->sequence + 1) {
		return damaged(r, "the commit block", r->at);
	}
	*end = true;
	return 0;
}

/* A commit block, in the first walk: ends the transaction. *end: it does not, and
 * so ends the log. Blocks of it that are not right now were lost after it was
 * committed, unless this is what an older use of the journal has left: then it is
 * from before the last one. */
static int commit(struct journal_recovery *r, const uint8_t *data, bool *end)
{
	const struct jbd2_commit *c = (const void *)data;
	uint64_t seconds = (uint64_t)be32(c->seconds_high) << 32 |
			   be32(c->seconds);

	if (!commit_right(r, data)) {
		return end_or_loss(r, end);
	}
	if (r->bad != 0) {
		if (seconds < r->seconds) {
			*end = true;
			return 0;
		}
		return damaged(r, "a block", r->bad);
	}
	r->seconds = seconds;
	r->found.transactions++;
	return 0;
}

/* Looks at the block where the walk stands; *end: the log ends here. */
static int step(struct journal_recovery *r, bool *end)
{
	const struct jbd2_header *head;
	const uint8_t *data;
	int error = log_peek(r, r->at, &data);

	if (error != 0) {
		return error;
	}
	head = (const void *)data;
	if (be32(head->magic) != JBD2_MAGIC ||
	    be32(head->sequence) != r->sequence) {
		*end = true;
		return 0;
	}
	switch (be32(head->type)) {
	case JBD2_DESCRIPTOR:
		if (r->bad == 0 && r->tag == 0 && r->phase == SCAN &&
		    !tail_right(r, data)) {
			r->bad = r->at;
		}
		return descriptor(r);
	case JBD2_REVOKE:
		if (r->bad == 0 && !tail_right(r, data)) {
			r->bad = r->at;
		}
		return revoke_block(r, data);
	case JBD2_COMMIT:
		error = r->phase == SCAN ? commit(r, data, end) : 0;
		if (error == 0 && !*end) {
			r->sequence++;
			r->bad = 0;
		}
		return error;
	default:
		*end = true;
		return 0;
	}
}

static void walk_from_start(struct journal_recovery *r)
{
	r->at = be32(r->sb.start);
	r->sequence = be32(r->sb.sequence);
	r->walked = 0;
	r->tag = 0;
	r->bad = 0;
}

/* Walks to the end of the log: 0, or what stopped it. */
static int walk(struct journal_recovery *r)
{
	bool end = false;

	while ((r->phase == SCAN || r->sequence != r->end) &&
	       r->walked < r->blocks - r->first) {
		int error = step(r, &end);

		if (error != 0) {
			return error;
		}
		if (end) {
			break;
		}
		r->at = log_after(r, r->at, 1);
		r->walked++;
	}
	if (r->phase == SCAN) {
		r->end = r->sequence;
		if (r->known != NULL) {
			r->known(r->end);
		}
	} else if (r->sequence != r->end) {
		return damaged(r, "it reads differently now: a block", r->at);
	}
	walk_from_start(r);
	return 0;
}

/* Reads the superblock, and begins. */
static int load(struct journal_recovery *r)
{
	const uint8_t *data;
	int error = log_peek(r, 0, &data);

	if (error != 0) {
		return error;
	}
	if (!jbd2_super_check(data, &r->place, &r->sb, r->why)) {
		return EOPNOTSUPP;
	}
	r->incompat = be32(r->sb.incompat);
	r->seed = jbd2_crc(~0u, r->sb.uuid, sizeof(r->sb.uuid));
	r->first = be32(r->sb.first);
	r->blocks = be32(r->sb.blocks);
	r->found.error = be32(r->sb.error) != 0;
	walk_from_start(r);
	if (be32(r->sb.start) == 0) {
		r->phase = FLUSH_AGAIN;		/* the last one */
	}
	return 0;
}

/* Makes the log empty. Its numbers go on where they were, past those of a
 * transaction that was not committed and still lies there. */
static int clear(struct journal_recovery *r)
{
	uint64_t block = r->place.block(r->place.arg, 0);
	uint8_t *data = r->dev->ops->poke(r->dev, block, false);

	if (data == NULL) {
		return r->dev->absent ? EAGAIN : r->dev->full ? ENOMEM : EIO;
	}
	jbd2_super_set(&r->sb, r->end + 1, 0);
	memcpy(data, &r->sb, sizeof(r->sb));
	return 0;
}

static int flush(struct journal_recovery *r)
{
	return r->dev->ops->flush != NULL ? r->dev->ops->flush(r->dev) : 0;
}

/**
 * Begins a recovery of the journal at a place of the device, of which
 * journal_recover() does the work. known(), or NULL, is told the number of the first
 * transaction that was not committed, before anything is changed: as long as the log
 * is not empty each recovery finds the same, and after that none does. It is not
 * called for an empty log. NULL: no memory.
 */
struct journal_recovery *journal_recovery_new(struct volume_dev *dev,
					const struct journal_place *place,
					void (*known)(uint32_t end))
{
	struct journal_recovery *r = calloc(1, sizeof(*r));

	if (r != NULL) {
		r->dev = dev;
		r->place = *place;
		r->known = known;
	}
	return r;
}

/**
 * Brings back what was committed, makes that lasting, then empties the log. Returns
 * 0 when that is so, found is filled in, and the journal can be opened; EAGAIN:
 * again, when the device has what was missing; EOPNOTSUPP, EIO: the journal is
 * refused, why is the end of a sentence that says what is wrong with it; ENOMEM.
 * After EIO of a write or a flush it can be begun anew.
 */
int journal_recover(struct journal_recovery *r, struct journal_found *found,
		    char why[JOURNAL_WHY])
{
	static int (*const phases[])(struct journal_recovery *) = {
		[LOAD] = load, [SCAN] = walk, [REVOKE] = walk,
		[REPLAY] = walk, [FLUSH] = flush, [CLEAR] = clear,
		[FLUSH_AGAIN] = flush,
	};

	r->why = why;
	snprintf(why, JOURNAL_WHY, "its journal cannot be written to");
	while (r->phase != DONE) {
		int error = phases[r->phase](r);

		if (error != 0) {
			return error;
		}
		r->phase++;
	}
	*found = r->found;
	return 0;
}

void journal_recovery_free(struct journal_recovery *r)
{
	if (r != NULL) {
		free(r->revoked);
		free(r);
	}
}
