// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: memory that Linux has free goes back to the machine. Linux reports
 * blocks of free pages, which nobody can allocate meanwhile; they are given back
 * with HC_MEM_RELEASE, and are populated anew, with zeros, when somebody touches
 * them. Only where the hypervisor has that call, and Linux reports.
 *
 * Blocks are of 2 MiB at least: smaller ones would break a large page of the
 * partition's map in pieces, for Linux and for who gets the memory next. In a
 * report nothing allocates, or waits but for the hypervisor. A block that was not
 * given back, or in part only, is as good as any: Linux is told, and reports it
 * again after somebody has used it.
 */
#include <linux/cpu.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/page_reporting.h>
#include <linux/scatterlist.h>
#include <linux/workqueue.h>

#include "isthmus.h"

#if IS_ENABLED(CONFIG_PAGE_REPORTING)

#define UNIT		(2u << 20)
#define UNIT_ORDER	9
/* HC_EAGAIN: other processors have to leave Linux for a moment, and 4 MiB are
 * given back at a time. */
#define TRIES		1000
/* Linux reports a sixteenth of what is free or 256 MiB, and goes on two seconds
 * later, as it begins two seconds after it has been asked to; those who wait for
 * memory should not. */
#define NEXT_JIFFIES	max(HZ / 50, 1)
/* Reports of so much are worth a look for single pages in blocks that else are
 * free. What that does itself to free blocks is less, so that none leads to the
 * next. */
#define MANY_UNITS	16u
/* Twice as many pages, 1.25 MiB, are more than a processor keeps, which is 252 by
 * init's setting. */
#define LOOSE_PAIRS	160u

static struct page_reporting_dev_info reporting;
static bool registered;
static unsigned long registered_at;	/* jiffies */
static unsigned int given;	/* units, since single pages were looked for */

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

/* Free pages that this processor keeps for itself go where free blocks are made
 * of them. Linux has no call for that; but it lets go of all when pairs of pages
 * are freed one after the other, more than it would keep. They are of the kind
 * that most of memory is for: another one would be given a block of its own, for
 * good. [Linux "mm/page_alloc.c", nr_pcp_free(), steal_suitable_fallback()] */
static long loosen(void *unused)
{
	struct page *page, *next;
	LIST_HEAD(pairs);

	for (unsigned int i = 0; i < LOOSE_PAIRS; i++) {
		page = alloc_pages((GFP_HIGHUSER_MOVABLE & ~__GFP_RECLAIM) |
				   __GFP_NOWARN, 1);
		if (!page) {
			break;
		}
		list_add_tail(&page->lru, &pairs);
	}
	list_for_each_entry_safe(page, next, &pairs, lru) {
		list_del(&page->lru);
		__free_pages(page, 1);
	}
	return 0;
}

/* Soon; one that has nothing to report is the last. */
static void next_pass(struct page_reporting_dev_info *info)
{
	mod_delayed_work(system_freezable_wq, &info->work, NEXT_JIFFIES);
}

/* What can move out of blocks that are nearly free does: of programs that were
 * started when memory was full. It may be all that is in use, so that must be
 * less than what was given back. Modules cannot call it; where there is no /proc
 * at this place, or Linux was built without, all stays where it is. */
static void compact(void)
{
	struct sysinfo memory;
	struct file *file;
	loff_t at = 0;

	si_meminfo(&memory);
	if (memory.totalram - memory.freeram > given * (UNIT / PAGE_SIZE)) {
		return;
	}
	file = filp_open("/proc/sys/vm/compact_memory", O_WRONLY, 0);
	if (!IS_ERR(file)) {
		kernel_write(file, "1", 1, &at);
		filp_close(file, NULL);
	}
}

static void loosen_all(struct work_struct *work)
{
	int cpu;

	compact();
	given = 0;
	for_each_online_cpu(cpu) {
		work_on_cpu_safe(cpu, loosen, NULL);
	}
	next_pass(&reporting);
}

static DECLARE_WORK(loosening, loosen_all);

/* Of Linux's own thread for this. Each entry is one block, aligned to its size,
 * so its address has room for how many units it is. */
static int report(struct page_reporting_dev_info *info,
		  struct scatterlist *list, unsigned int count)
{
	struct scatterlist *entry;
	unsigned int i, used = 0;
	u64 block[HC_RELEASE_BLOCKS] = { 0 };
	int err = 0;

	if (!READ_ONCE(registered)) {
		return -ENODEV;
	}
	for_each_sg(list, entry, count, i) {
		/* Who sets page_reporting_order has smaller ones. */
		if (!IS_ALIGNED(sg_phys(entry) | entry->length, UNIT)) {
			return -EINVAL;
		}
		given += entry->length / UNIT;
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
	/* What the boot has left is no program's: it lies together. */
	if (time_before(jiffies, registered_at + HZ)) {
		given = 0;
	}
	if (given >= MANY_UNITS) {
		queue_work(system_freezable_wq, &loosening);
	} else {
		next_pass(info);
	}
	return 0;
}

static struct page_reporting_dev_info reporting = {
	.report = report,
	.order = UNIT_ORDER,
};

/**
 * Begins to give free memory back, where that can be. Without it all else works,
 * so nobody is told. Not where Linux wants to find in free pages what it has
 * written there (page_poison=1).
 */
void isthmus_report_register(void)
{
	static const u64 none[HC_RELEASE_BLOCKS];

	if (page_poisoning_enabled_static() ||
	    isthmus_hypercall(HC_MEM_RELEASE, none) != HC_OK) {
		return;
	}
	registered_at = jiffies;
	WRITE_ONCE(registered, page_reporting_register(&reporting) == 0);
	if (registered) {
		/* What the boot has left. */
		next_pass(&reporting);
	}
}

/** No report is under way any more, and none comes. */
void isthmus_report_unregister(void)
{
	if (registered) {
		/* A pass that still comes reports in vain, and asks for
		 * nothing. */
		WRITE_ONCE(registered, false);
		page_reporting_unregister(&reporting);
		cancel_work_sync(&loosening);
		cancel_delayed_work_sync(&reporting.work);
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
