/* SPDX-License-Identifier: MIT */
/*
 * What partitions are promised of the machine's memory: their minimum, and the
 * tables for what they have (p->pages_splits). partition.c and gpm.c give nobody
 * what is another's, so what is reckoned here holds.
 *
 * All in pages, tables included; all under frame_lock. A page that is taken after
 * a look at what is spare is taken under the same hold of it.
 */
#include <hv.h>
#include <partition.h>

/* Tables that do not grow with a partition's RAM, or hardly: roots, upper ones;
 * and those of a channel with the most that the manifest gives it, 2 x 16 MiB. */
#define TABLES_BESIDE	128u
#define TABLES_CHANNEL	17u
/* Most tables that one new page, or 2 MiB stretch, needs, executed too. */
#define POPULATE_TABLES	4u

/** Pages that p owns, tables included. Without frame_lock, of a moment ago. */
uint64_t promise_owned(const struct partition *p)
{
	return frame_owned(partition_frames(p)) / PAGE_SIZE;
}

/* What is kept free for p: what it has not taken yet of its minimum, or the
 * tables for executing, if those are more. */
static uint64_t promised(const struct partition *p)
{
	const uint64_t has = promise_owned(p);

	if (p->pages_min > has + p->pages_splits) {
		return p->pages_min - has;
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

	LOCK_HELD(&frame_lock);
	for (uint32_t i = 0; i < partition_count; i++) {
		const struct partition *q = partitions[i];
		uint64_t claim = promised(q);

		if (q == p) {
			continue;
		}
		if (all && most(q) > promise_owned(q) + claim) {
			claim = most(q) - promise_owned(q);
		}
		left -= claim < left ? claim : left;
	}
	return left;
}

/** Free pages that no other partition is promised. frame_lock held. */
uint64_t promise_spare(const struct partition *p)
{
	return free_less(p, false);
}

/**
 * May p have n more pages of RAM, within its cap, and what tables they and its
 * others can need? What the others are promised stays: who takes all it can get
 * starves nobody. frame_lock held.
 */
bool promise_allows(const struct partition *p, uint64_t n)
{
	return promise_owned(p) - p->pages_tables + n <= p->pages_cap &&
	       promise_spare(p) >= n + POPULATE_TABLES + p->pages_splits;
}

/**
 * Pages that p can come to own whatever the others do: its minimum, or more, up
 * to its cap, where the machine has more than all others can take. The figure
 * stays true while p runs; some pages of it go for tables, one for each 2 MiB,
 * and the last few are not given. frame_lock not held.
 */
uint64_t promise_sure(const struct partition *p)
{
	uint64_t kept, sure;

	lock_take(&frame_lock);
	kept = promise_owned(p) + free_less(p, false);
	sure = promise_owned(p) + free_less(p, true);
	lock_drop(&frame_lock);
	sure = u64_max(sure, u64_min(kept, p->pages_min));
	return u64_min(sure, p->pages_cap);
}
