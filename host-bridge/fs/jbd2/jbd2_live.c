/* SPDX-License-Identifier: MIT */
/*
 * Which blocks the log holds, and so would be brought back by a recovery: they must
 * be revoked when they are freed, others need not be. A hash table with room for
 * twice as many blocks as the log has; what the tail has left behind is forgotten
 * when room is short.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/jbd2/jbd2_int.h"

static struct jbd2_live *slot(const struct jbd2_live_table *table,
			      uint64_t block)
{
	uint32_t i = (uint32_t)(block * 0x9e3779b97f4a7c15ull >> 32);

	while (table->slots[i & table->mask].used &&
	       table->slots[i & table->mask].block != block) {
		i++;
	}
	return &table->slots[i & table->mask];
}

static void clean(struct journal *j)
{
	struct jbd2_live_table old = j->live;

	j->live = j->spare;
	memset(j->live.slots, 0, (j->live.mask + 1) * sizeof(*old.slots));
	j->live.used = 0;
	for (uint32_t i = 0; i <= old.mask; i++) {
		const struct jbd2_live *l = &old.slots[i];

		if (l->used && (l->revoked ||
				!jbd2_before(l->number, j->tail_number))) {
			*slot(&j->live, l->block) = *l;
			j->live.used++;
		}
	}
	j->spare = old;
}

/** The block's entry if the log has it; else NULL. */
struct jbd2_live *jbd2_live_find(struct journal *j, uint64_t block)
{
	struct jbd2_live *l = slot(&j->live, block);

	return l->used && !jbd2_before(l->number, j->tail_number) ? l : NULL;
}

/** The running transaction is on its way into the log, with this block. */
void jbd2_live_add(struct journal *j, uint64_t block)
{
	struct jbd2_live *l;

	if (j->live.used > j->live.mask / 4 * 3) {
		clean(j);
	}
	l = slot(&j->live, block);
	j->live.used += !l->used;
	*l = (struct jbd2_live){
		.block = block, .number = j->number, .used = true,
	};
}

/** For j->limit blocks of a log. Returns 0 or -1: no memory. */
int jbd2_live_init(struct journal *j)
{
	uint32_t space = 64;

	while (space < 2 * j->limit) {
		space *= 2;
	}
	j->live.mask = j->spare.mask = space - 1;
	j->live.slots = calloc(space, sizeof(*j->live.slots));
	j->spare.slots = calloc(space, sizeof(*j->spare.slots));
	return j->live.slots != NULL && j->spare.slots != NULL ? 0 : -1;
}
