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

int page_reporting_register(struct page_reporting_dev_info *info);
void page_reporting_unregister(struct page_reporting_dev_info *info);
bool page_poisoning_enabled_static(void);

extern struct workqueue_struct *system_freezable_wq;
bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *work,
		      unsigned long delay);

#endif
