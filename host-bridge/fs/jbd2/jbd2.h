/* SPDX-License-Identifier: MIT */
/*
 * Room fs/jbd2: a journal in the format of Linux's jbd2, so that several blocks
 * change all or not at all, whatever happens. Knows blocks, not what they mean.
 * Believes nothing that it reads from a disk before it was checked; trusts the
 * device's word on what is lasting. May include rt, loop, dev and blk.
 */
#ifndef ISTHMUS_JBD2_H
#define ISTHMUS_JBD2_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/blk/cache.h"

#define JOURNAL_WHY	160u

/* Where a journal lies: its n-th block's number on the device; 0: nowhere. */
struct journal_place {
	uint64_t (*block)(void *arg, uint32_t n);
	void *arg;
	uint32_t blocks;		/* of all that block() knows */
	uint32_t block_size;		/* the device's */
};

/* What a recovery found. */
struct journal_found {
	uint32_t transactions;
	uint32_t blocks;		/* brought back */
	uint32_t revoked;		/* not brought back, for that reason */
	bool error;			/* the journal remembers an error */
};

struct journal_recovery;

struct journal_recovery *journal_recovery_new(struct volume_dev *dev,
					const struct journal_place *place,
					void (*known)(uint32_t end));
int journal_recover(struct journal_recovery *r, struct journal_found *found,
		    char why[JOURNAL_WHY]);
void journal_recovery_free(struct journal_recovery *r);

/*
 * The journal at work. What is changed through the device's change() between two
 * calls of the volume's functions belongs to the running transaction. It is closed
 * between two such calls, by journal_run(), when it is large or somebody wants it
 * lasting; then all data that are dirty go to the disk, and the changed blocks into
 * the log; a flush; the commit block. From there on it is lasting. Later the blocks
 * go to their places, and the log's tail moves over it.
 *
 * dev->running and dev->lasting count those rounds, whether anything had to be
 * logged or not.
 */
struct journal_ops {
	/* A round ends: what the volume still has in memory of its own shall be
	 * changed in blocks now. 0, EAGAIN (what is missing is on its way), or
	 * what is wrong. */
	int (*close)(void *arg);
	/* That round is lasting: what it freed may be used. */
	void (*lasting)(void *arg, uint64_t round);
	/* The log cannot be written: the device is read-only from now on. */
	void (*failed)(void *arg);
	int64_t (*now_ns)(void *arg);	/* the time of day */
	void *arg;
};

struct journal;

struct journal_state {
	uint32_t blocks, used;		/* of the log */
	uint32_t most;			/* blocks in a transaction */
	uint32_t running;		/* blocks in this one */
	uint32_t committing;		/* in the one on its way to the log */
	uint32_t transactions;		/* in the log */
	uint64_t commits, revokes, checkpoints;
	bool failed;
};

int journal_open(struct cache *cache, const struct journal_place *place,
		 const struct journal_ops *ops, struct journal **out,
		 char why[JOURNAL_WHY]);
int journal_begin(struct journal *j, uint32_t blocks,
		  struct volume_wait *wait);
int journal_sync(struct journal *j, struct volume_wait *wait);
void journal_tick(struct journal *j, uint32_t seconds);
bool journal_due(const struct journal *j);
void journal_run(struct journal *j);
int journal_close(struct journal *j, struct volume_wait *wait);
void journal_free(struct journal *j);
void journal_look(const struct journal *j, struct journal_state *state);

#endif
