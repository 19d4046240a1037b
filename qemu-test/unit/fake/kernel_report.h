/* SPDX-License-Identifier: MIT */
/*
 * The part of the fake kernel that reports free pages; what Linux does is the
 * test's (driver_report_test.c).
 */
#ifndef FAKE_KERNEL_REPORT_H
#define FAKE_KERNEL_REPORT_H

#include "qemu-test/unit/fake/kernel.h"

#define CONFIG_PAGE_REPORTING	1
#define IS_ENABLED(option)	(option)
#define IS_ALIGNED(n, a)	(((n) & ((a) - 1)) == 0)
#define max(a, b)		((a) > (b) ? (a) : (b))

struct scatterlist {
	u64 phys;
	u32 length;
};

#define sg_phys(sg)		((sg)->phys)
#define for_each_sg(list, sg, n, i) \
	for ((i) = 0, (sg) = (list); (i) < (n); (i)++, (sg)++)

struct page_reporting_dev_info {
	int (*report)(struct page_reporting_dev_info *info,
		      struct scatterlist *list, unsigned int count);
	struct delayed_work work;
	unsigned int order;
};

struct page;
struct file;

/* Free pages, in blocks: no more of a zone than the driver looks at. */
#define MIGRATE_TYPES		2
#define MAX_NR_ZONES		3
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define PageReported(page)	((page)->reported)
#define populated_zone(zone)	((zone)->populated)
#define first_online_node	0
#define NODE_DATA(node)		(&fake_node)
struct zone {
	spinlock_t lock;
	bool populated;
	struct {
		struct list_head free_list[MIGRATE_TYPES];
	} free_area[11];
};
extern struct fake_node {
	struct zone node_zones[MAX_NR_ZONES];
} fake_node;

s64 ktime_get(void);
#define ktime_to_us(t)		(t)
u64 get_cpu_idle_time_us(int cpu, u64 *updated);
#define num_online_cpus()	FAKE_CPUS
typedef void (*work_func_t)(struct work_struct *work);

struct page *alloc_pages(unsigned int flags, unsigned int order);
void __free_pages(struct page *page, unsigned int order);
long work_on_cpu_safe(int cpu, long (*fn)(void *arg), void *arg);

/* The two files that there are. */
struct file *filp_open(const char *name, int flags, int mode);
long kernel_read(struct file *file, void *data, size_t size, loff_t *at);
long kernel_write(struct file *file, const void *data, size_t size,
		  loff_t *at);
int filp_close(struct file *file, void *id);

struct sysinfo {
	unsigned long totalram, freeram;	/* pages */
};
void si_meminfo(struct sysinfo *info);

#define GFP_HIGHUSER_MOVABLE	(32u | __GFP_RECLAIM)
#define __GFP_RECLAIM		64u
#define DECLARE_WORK(w, f)	struct work_struct w = { .func = (f) }
#define FAKE_CPUS		3
#define for_each_online_cpu(cpu) \
	for ((cpu) = 0; (cpu) < FAKE_CPUS; (cpu)++)

int page_reporting_register(struct page_reporting_dev_info *info);
void page_reporting_unregister(struct page_reporting_dev_info *info);
bool page_poisoning_enabled_static(void);

extern struct workqueue_struct *system_freezable_wq;
bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *work,
		      unsigned long delay);

#endif
