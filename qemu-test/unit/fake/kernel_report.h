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
struct page *alloc_pages(unsigned int flags, unsigned int order);
void __free_pages(struct page *page, unsigned int order);
long work_on_cpu_safe(int cpu, long (*fn)(void *arg), void *arg);

/* The one file that there is. */
struct file *filp_open(const char *name, int flags, int mode);
long kernel_write(struct file *file, const void *data, size_t size,
		  loff_t *at);
int filp_close(struct file *file, void *id);

struct sysinfo {
	unsigned long totalram, freeram;	/* pages */
};
void si_meminfo(struct sysinfo *info);

#define GFP_HIGHUSER_MOVABLE	(32u | __GFP_RECLAIM)
#define __GFP_RECLAIM		64u
#define DECLARE_WORK(w, f)	struct work_struct w = { .function = (f) }
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
