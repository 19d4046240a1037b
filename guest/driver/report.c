// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: memory that Linux has free goes back to the machine. Linux reports
 * blocks of free pages, which nobody can allocate meanwhile; they are given back
 * with HC_MEM_RELEASE, and are populated anew, with zeros, when somebody touches
 * them. Only where the hypervisor has that call, and Linux reports.
 *
 * Blocks are of 2 MiB at least: smaller ones would break a large page of the
 * partition's map in pieces, for Linux and for who gets the memory next. Nothing
 * here allocates, or waits but for the hypervisor. A block that was not given
 * back, or in part only, is as good as any: Linux is told, and reports it again
 * after somebody has used it.
 */
#include <linux/mm.h>
#include <linux/page_reporting.h>
#include <linux/scatterlist.h>

#include "isthmus.h"

#if IS_ENABLED(CONFIG_PAGE_REPORTING)

#define UNIT		(2u << 20)
#define UNIT_ORDER	9
/* HC_EAGAIN: other processors have to leave Linux for a moment, and 4 MiB are
 * given back at a time. */
#define TRIES		1000
/* Linux reports a sixteenth of what is free or 256 MiB, and goes on two seconds
 * later; those who wait for memory should not. */
#define NEXT_JIFFIES	max(HZ / 50, 1)

static int release(const u64 block[HC_RELEASE_BLOCKS])
{
	for (int i = 0; i < TRIES; i++) {
		s64 status = isthmus_hypercall(HC_MEM_RELEASE, block);

		if (status != HC_EAGAIN) {
			return status == HC_OK ? 0 : -EIO;
		}
		cond_resched();
	}
	return -EAGAIN;
}

/* Of Linux's own thread for this. Each entry is one block, aligned to its size,
 * so its address has room for how many units it is. */
static int report(struct page_reporting_dev_info *info,
		  struct scatterlist *list, unsigned int count)
{
	struct scatterlist *entry;
	unsigned int i, used = 0;
	u64 block[HC_RELEASE_BLOCKS] = { 0 };
	int err = 0;

	for_each_sg(list, entry, count, i) {
		/* Who sets page_reporting_order has smaller ones. */
		if (!IS_ALIGNED(sg_phys(entry) | entry->length, UNIT)) {
			return -EINVAL;
		}
		block[used++] = sg_phys(entry) + entry->length / UNIT;
		if (used == HC_RELEASE_BLOCKS || i == count - 1) {
			err = release(block);
			if (err) {
				return err;
			}
			memset(block, 0, sizeof(block));
			used = 0;
		}
	}
	/* Another pass soon; one that has nothing to report is the last. */
	mod_delayed_work(system_freezable_wq, &info->work, NEXT_JIFFIES);
	return 0;
}

static struct page_reporting_dev_info reporting = {
	.report = report,
	.order = UNIT_ORDER,
};

static bool registered;

/**
 * Begins to give free memory back, where that can be. Without it all else works,
 * so nobody is told. Not where Linux wants to find in free pages what it has
 * written there (page_poison=1).
 */
void isthmus_report_register(void)
{
	static const u64 none[HC_RELEASE_BLOCKS];

	if (!page_poisoning_enabled_static() &&
	    isthmus_hypercall(HC_MEM_RELEASE, none) == HC_OK) {
		registered = page_reporting_register(&reporting) == 0;
	}
}

/** No report is under way any more, and none comes. */
void isthmus_report_unregister(void)
{
	if (registered) {
		page_reporting_unregister(&reporting);
		registered = false;
	}
}

#else

void isthmus_report_register(void)
{
}

void isthmus_report_unregister(void)
{
}

#endif
