/* SPDX-License-Identifier: MIT */
/*
 * What partitions are promised of the machine's memory: their minimum, and the
 * tables for what they have (p->pages_splits). partition.c and gpm.c give nobody
 * what is another's, so what is reckoned here holds.
 *
 * All in pages, tables included; all under hv_lock.
 */
#include <hv.h>
#include <partition.h>

/* Tables that do not grow with a partition's RAM, or hardly: roots, upper ones;
 * and those of a channel with the most that the manifest gives it, 2 x 16 MiB. */
#define TABLES_BESIDE	128u
#define TABLES_CHANNEL	17u

/* What is kept free for p: what it has not taken yet of its minimum, or the
 * tables for executing, if those are more. */
static uint64_t promised(const struct partition *p)
{
	if (p->pages_min > p->pages_owned + p->pages_splits) {
		return p->pages_min - p->pages_owned;
	}
	return p->pages_splits;
}

/* What p can have at most: its cap, and a table for each 2 MiB of it. */
static uint64_t most(const struct partition *p)
{
	uint64_t tables = p->pages_cap / BIG_PAGE_PAGES;

	return p->pages_cap + tables + tables / BIG_PAGE_PAGES + TABLES_BESIDE +
	       p->channel_count * TABLES_CHANNEL;
}

/* Free pages less what the others are kept, or less all that they can take. */
static uint64_t free_less(const struct partition *p, bool all)
{
	uint64_t left = frame_owned(FRAME_FREE) / PAGE_SIZE;
	uint32_t i;

	for (i = 0; i < partition_count; i++) {
		const struct partition *q = partitions[i];
		uint64_t claim = promised(q);

		if (q == p) {
			continue;
		}
		if (all && most(q) > q->pages_owned + claim) {
			claim = most(q) - q->pages_owned;
		}
		left -= claim < left ? claim : left;
	}
	return left;
}

/** Free pages that no other partition is promised. */
uint64_t promise_spare(const struct partition *p)
{
	return free_less(p, false);
}

/**
 * Pages that p can come to own whatever the others do: its minimum, or more, up
 * to its cap, where the machine has more than all others can take. The figure
 * stays true while p runs; some pages of it go for tables, one for each 2 MiB,
 * and the last few are not given.
 */
uint64_t promise_sure(const struct partition *p)
{
	uint64_t kept = p->pages_owned + free_less(p, false);
	uint64_t sure = p->pages_owned + free_less(p, true);

	sure = u64_max(sure, u64_min(kept, p->pages_min));
	return u64_min(sure, p->pages_cap);
}
