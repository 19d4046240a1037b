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
 *
 * When there is something to report Linux says so, and pass() decides, in place of
 * Linux's own function for that (process): at once if it is much or Linux is idle.
 */
#include <linux/cpu.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_reporting.h>
#include <linux/scatterlist.h>
#include <linux/tick.h>
#include <linux/workqueue.h>

#include "isthmus.h"

#if IS_ENABLED(CONFIG_PAGE_REPORTING)

#define UNIT		(2u << 20)
#define UNIT_ORDER	9
/* HC_EAGAIN: other processors have to leave Linux for a moment, and 4 MiB are
 * given back at a time. */
#define TRIES		1000
/* Fewer free blocks, of 2 to 4 MiB each, stay with a Linux that is at work. It will
 * want them again, and they would be zeroed and mapped once more: a file that takes
 * the place of one removed would cost a sixth more to write. */
#define KEPT_BLOCKS	32u
/* To the next look whether it is idle. Linux's own passes begin so long after it
 * has something to report. */
#define LOOK_JIFFIES	(2 * HZ)
/* Reports of so much are worth a look for single pages in blocks that else are
 * free. What that does itself to free blocks is less, so that none leads to the
 * next. */
#define MANY_UNITS	16u
/* How many free pages a processor keeps for itself: one in so many of all, but 252
 * at least, which are less than these pairs have. */
#define LISTS		"/proc/sys/vm/percpu_pagelist_high_fraction"
#define LISTS_SHORT	"1000000"
#define LOOSE_PAIRS	160u

static struct page_reporting_dev_info reporting;
static bool registered;
static unsigned long registered_at;	/* jiffies */
static work_func_t process;	/* Linux's own: a pass over what is free */
static bool going_on;	/* what a pass has left goes, too */
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

/* Blocks of an order that are free in this zone, and were not reported. */
static unsigned int unreported(struct zone *zone, unsigned int order)
{
	unsigned int blocks = 0, type;
	unsigned long flags;
	struct page *page;

	spin_lock_irqsave(&zone->lock, flags);
	for (type = 0; type < MIGRATE_TYPES; type++) {
		list_for_each_entry(page,
				    &zone->free_area[order].free_list[type],
				    lru) {
			blocks += !PageReported(page);
		}
	}
	spin_unlock_irqrestore(&zone->lock, flags);
	return blocks;
}

/* In the one node that a partition has. */
static unsigned int all_unreported(void)
{
	struct zone *zones = NODE_DATA(first_online_node)->node_zones;
	unsigned int blocks = 0, order, i;

	for (i = 0; i < MAX_NR_ZONES; i++) {
		for (order = UNIT_ORDER; populated_zone(&zones[i]) &&
		     order < ARRAY_SIZE(zones[i].free_area); order++) {
			blocks += unreported(&zones[i], order);
		}
	}
	return blocks;
}

/* Were the processors idle for nine tenths of the time since the last look, as the
 * page cache has it (init/cache_policy.c)? Waiting for a disk is not idle. Where
 * Linux does not count that, they were. */
static bool was_idle(void)
{
	static s64 idle_then, then;
	s64 now = ktime_to_us(ktime_get()), idle = 0, idled, passed;
	int cpu;

	for_each_online_cpu(cpu) {
		s64 us = (s64)get_cpu_idle_time_us(cpu, NULL);

		if (us < 0) {
			return true;
		}
		idle += us;
	}
	idled = idle - idle_then;
	passed = (now - then) * num_online_cpus();
	idle_then = idle;
	then = now;
	return idled * 10 >= passed * 9;
}

static void pass_in(unsigned long delay)
{
	mod_delayed_work(system_freezable_wq, &reporting.work, delay);
}

/* All that is free, now. */
static void pass_now(void)
{
	WRITE_ONCE(going_on, true);
	pass_in(0);
}

/* A setting of Linux's, which modules cannot reach; put: sets it to value, else
 * reads it, "" if it cannot. Nothing comes of it where there is no /proc at this
 * place, or Linux was built without that setting. */
static void setting(const char *path, char *value, size_t size, bool put)
{
	struct file *file = filp_open(path, put ? O_WRONLY : O_RDONLY, 0);
	loff_t at = 0;
	ssize_t n = 0;

	if (!IS_ERR(file)) {
		n = put ? kernel_write(file, value, strlen(value), &at) :
		    kernel_read(file, value, size - 1, &at);
		filp_close(file, NULL);
	}
	if (!put) {
		value[max_t(ssize_t, n, 0)] = '\0';
	}
}

/* What can move out of blocks that are nearly free does: of programs that were
 * started when memory was full. It may be all that is in use, so that must be
 * less than what was given back. */
static void compact(void)
{
	char now[] = "1";
	struct sysinfo memory;

	si_meminfo(&memory);
	if (memory.totalram - memory.freeram <= given * (UNIT / PAGE_SIZE)) {
		setting("/proc/sys/vm/compact_memory", now, sizeof(now), true);
	}
}

/* Short lists for this moment only: a processor that always had them would go to
 * those of all for every few pages, which costs a rename with fsync 9 % more. */
static void loosen_all(struct work_struct *work)
{
	char was[16], less[] = LISTS_SHORT;
	int cpu;

	compact();
	given = 0;
	setting(LISTS, was, sizeof(was), false);
	setting(LISTS, less, sizeof(less), true);
	for_each_online_cpu(cpu) {
		work_on_cpu_safe(cpu, loosen, NULL);
	}
	setting(LISTS, was, sizeof(was), true);
	pass_now();
}

static DECLARE_WORK(loosening, loosen_all);

/* One pass is for a sixteenth of what is free, or 256 MiB, and Linux would go on two
 * seconds later: those who wait for memory should not. None is the next one's cause
 * that has given nothing back. Single pages are looked for behind the last: while
 * blocks are being reported, they are in the way of what would move, and how much
 * was given back is not known yet. */
static void pass(struct work_struct *work)
{
	unsigned int before = all_unreported(), left;
	bool idle = was_idle();

	if (before && before < KEPT_BLOCKS && !READ_ONCE(going_on) && !idle) {
		pass_in(LOOK_JIFFIES);
		return;
	}
	process(work);
	left = all_unreported();
	WRITE_ONCE(going_on, left && left < before);
	if (!READ_ONCE(registered)) {
		return;
	}
	if (going_on) {
		pass_in(0);
	} else if (given >= MANY_UNITS) {
		queue_work(system_freezable_wq, &loosening);
	}
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
	given = 0;
	WRITE_ONCE(registered, page_reporting_register(&reporting) == 0);
	if (registered) {
		/* Linux has asked for the first pass, two seconds from now. */
		process = reporting.work.work.func;
		reporting.work.work.func = pass;
		/* What the boot has left. */
		pass_now();
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
