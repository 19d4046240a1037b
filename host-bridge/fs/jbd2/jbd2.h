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

#include "host-bridge/blk/volume_dev.h"

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
					const struct journal_place *place);
int journal_recover(struct journal_recovery *r, struct journal_found *found,
		    char why[JOURNAL_WHY]);
void journal_recovery_free(struct journal_recovery *r);

#endif
