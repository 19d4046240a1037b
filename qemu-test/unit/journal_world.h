/* SPDX-License-Identifier: MIT */
/*
 * For tests of the journal: blocks that are now a file system's own, now a file's
 * data, now free, changed at random through a journal, a cache and the recording
 * disk; and what was promised about them at each instant. A round's promise: after
 * any later cut all own blocks are as they were when that round was closed, or a
 * later one, all of them as of the same round; and data are as they were then, or
 * newer.
 */
#ifndef ISTHMUS_JOURNAL_WORLD_H
#define ISTHMUS_JOURNAL_WORLD_H

#include "qemu-test/unit/fake/disk.h"
#include "qemu-test/unit/journal_fixture.h"

#define WORLD_BLOCKS	48u

enum role { FREE, OWN, DATA };

struct world_block {
	enum role role;
	uint32_t version;
	uint64_t freed;			/* in that round; 0: long ago */
};

struct world_round {
	struct world_block blocks[WORLD_BLOCKS];
	unsigned frozen, lasting;	/* instants of the disk; 0: not yet */
};

struct world {
	struct fake_disk disk;
	struct cache *cache;
	struct journal *journal;
	uint8_t *memory;
	struct image *image;		/* as it was before */
	uint64_t base;			/* the first of our blocks */
	struct world_block blocks[WORLD_BLOCKS];
	struct world_round *rounds;
	unsigned round_count;
	uint32_t version;
	uint64_t seed;
	uint32_t seconds;
	bool large;			/* actions: transactions fill the log */
	bool failed;
	unsigned waits;			/* tries that had to wait */
};

void world_open(struct world *w, struct image *image, uint64_t base,
		unsigned frames, unsigned features, uint64_t seed);
void world_play(struct world *w, unsigned steps);
/* Makes lasting what is done, and waits for it. Returns what sync returned. */
int world_sync(struct world *w);
/* Until nothing is under way, and nothing due. */
void world_quiet(struct world *w);
int world_close(struct world *w);
void world_free(struct world *w);
/* Judges what is in an image after a cut at an instant, and a recovery. NULL: as
 * promised; else what is wrong. */
const char *world_judge(const struct world *w, const struct image *im,
			unsigned time);

#endif
