/* SPDX-License-Identifier: MIT */
/*
 * Free memory that the driver gives back, to a hypervisor that takes it, wants to be
 * called again, or has no such call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <linux/fs.h>
#include <linux/page_reporting.h>

#include "guest/driver/isthmus.h"

#define MIB	(1ull << 20)
#define GIVEN	64

static struct {
	/* Linux. */
	struct page_reporting_dev_info *info;
	int refuses;			/* what registering says */
	bool poison;
	unsigned int passes;		/* asked for */
	unsigned long delay;
	struct work_struct *work;	/* queued */
	int cpu;			/* on which something runs */
	unsigned int pairs, most;	/* of pages, allocated there */
	unsigned int loosened;		/* CPUs that freed more than they keep */
	unsigned int memory;		/* pairs that there are */
	unsigned long in_use;		/* pages */
	bool no_proc;
	int open;			/* files */
	bool opened_lists;		/* the one, not that for compaction */
	char lists[16];			/* what is in it */
	unsigned int compactions;
	struct page blocks[64];		/* free */
	unsigned int linux_passes, at_once;
	/* The hypervisor. */
	bool absent;
	s64 answer;			/* not HC_OK: to all calls */
	unsigned int again;		/* that often before it is done */
	unsigned int calls;
	u64 given[GIVEN];
	unsigned int count;
} w;

struct workqueue_struct *system_freezable_wq;
struct fake_kernel fake;
struct fake_node fake_node;
static s64 now_us, idle_us;	/* idle: each CPU */
static bool idle_unknown;

void fake_lock(spinlock_t *lock)
{
	assert_false(lock->held);
	lock->held = true;
}

void fake_unlock(spinlock_t *lock)
{
	lock->held = false;
}

s64 ktime_get(void)
{
	return now_us;
}

u64 get_cpu_idle_time_us(int cpu, u64 *updated)
{
	assert_null(updated);
	return idle_unknown ? ~0ull : (u64)(idle_us + cpu);
}

/* Linux's own: some of what is free is reported. */
static void linux_pass(struct work_struct *work)
{
	assert_ptr_equal(work, &w.info->work.work);
	w.linux_passes++;
	for (unsigned int i = 0, n = 0; i < ARRAY_SIZE(w.blocks); i++) {
		if (!w.blocks[i].reported && n < w.at_once) {
			w.blocks[i].reported = true;
			n++;
		}
	}
}

int page_reporting_register(struct page_reporting_dev_info *info)
{
	if (w.refuses == 0) {
		assert_null(w.info);
		w.info = info;
		info->work.work.func = linux_pass;
	}
	return w.refuses;
}

void page_reporting_unregister(struct page_reporting_dev_info *info)
{
	assert_ptr_equal(w.info, info);
	w.info = NULL;
}

bool page_poisoning_enabled_static(void)
{
	return w.poison;
}

bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *work,
		      unsigned long delay)
{
	assert_ptr_equal(wq, system_freezable_wq);
	assert_ptr_equal(work, &w.info->work);
	w.passes++;
	w.delay = delay;
	return false;
}

void cond_resched(void)
{
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	assert_ptr_equal(wq, system_freezable_wq);
	w.work = work;
	return true;
}

void cancel_work_sync(struct work_struct *work)
{
	if (w.work == work) {
		w.work = NULL;
	}
}

void cancel_delayed_work_sync(struct delayed_work *work)
{
	/* Linux knows it no more: what it is asked for now is not made. */
	assert_null(w.info);
	assert_null(w.work);
	w.passes = 0;
}

void si_meminfo(struct sysinfo *info)
{
	info->totalram = 1ul << 20;
	info->freeram = info->totalram - w.in_use;
}

struct file *filp_open(const char *name, int flags, int mode)
{
	static int file;

	w.opened_lists = strcmp(name, "/proc/sys/vm/compact_memory") != 0;
	if (w.opened_lists) {
		assert_string_equal(name, "/proc/sys/vm/"
				    "percpu_pagelist_high_fraction");
	}
	if (w.no_proc) {
		return ERR_PTR(-ENOENT);
	}
	w.open++;
	return (struct file *)&file;
}

long kernel_read(struct file *file, void *data, size_t size, loff_t *at)
{
	assert_int_equal(w.open, 1);
	assert_int_equal(*at, 0);
	assert_true(w.opened_lists && size >= strlen(w.lists));
	memcpy(data, w.lists, strlen(w.lists));
	return (long)strlen(w.lists);
}

long kernel_write(struct file *file, const void *data, size_t size,
		  loff_t *at)
{
	assert_int_equal(w.open, 1);
	assert_int_equal(*at, 0);
	if (w.opened_lists) {
		assert_true(size < sizeof(w.lists));
		memcpy(w.lists, data, size);
		w.lists[size] = '\0';
		return (long)size;
	}
	assert_int_equal(size, 1);
	assert_int_equal(*(const char *)data, '1');
	/* What moves is free then, and a processor's own. */
	assert_int_equal(w.loosened % FAKE_CPUS, 0);
	w.compactions++;
	return 1;
}

int filp_close(struct file *file, void *id)
{
	w.open--;
	return 0;
}

long work_on_cpu_safe(int cpu, long (*fn)(void *arg), void *arg)
{
	long result;

	/* A list is let go of while lists are short. */
	assert_true(w.no_proc || strcmp(w.lists, "1000000") == 0);
	w.cpu = cpu;
	w.most = 0;
	result = fn(arg);
	assert_int_equal(w.pairs, 0);
	/* More than 252 pages one after the other. */
	w.loosened += w.most > 126;
	w.cpu = -1;
	return result;
}

struct page *alloc_pages(unsigned int flags, unsigned int order)
{
	assert_true(w.cpu >= 0);
	assert_int_equal(order, 1);
	/* It takes nothing from anybody, and keeps nobody waiting. */
	assert_int_equal(flags & __GFP_RECLAIM, 0);
	if (w.pairs == w.memory) {
		return NULL;
	}
	w.pairs++;
	w.most = w.pairs > w.most ? w.pairs : w.most;
	return malloc(sizeof(struct page));
}

void __free_pages(struct page *page, unsigned int order)
{
	assert_true(w.cpu >= 0 && w.pairs > 0);
	assert_int_equal(order, 1);
	w.pairs--;
	free(page);
}

/* By the rules of abi/hypercall.h. */
s64 isthmus_hypercall(u64 number, const u64 args[5])
{
	if (w.absent) {
		return HC_ENOSYS;
	}
	assert_int_equal(number, HC_MEM_RELEASE);
	w.calls++;
	assert_true(w.calls < 10000);
	if (w.answer != HC_OK) {
		return w.answer;
	}
	for (int i = 0; i < HC_RELEASE_BLOCKS; i++) {
		u64 units = args[i] % (2 * MIB);

		assert_true(units <= HC_RELEASE_UNITS);
		assert_true(args[i] == 0 || units > 0);
	}
	if (w.again > 0) {
		w.again--;
		return HC_EAGAIN;
	}
	for (int i = 0; i < HC_RELEASE_BLOCKS; i++) {
		if (args[i]) {
			assert_true(w.count < GIVEN);
			w.given[w.count++] = args[i];
		}
	}
	return HC_OK;
}

static int reported(unsigned int count);
static void settle(void);

/* So many blocks are free that were not reported: of both sizes and kinds, in two
 * zones, among as many that were. */
static void have(unsigned int count)
{
	for (unsigned int z = 0; z < MAX_NR_ZONES; z++) {
		for (unsigned int i = 0; i < 11u * MIGRATE_TYPES; i++) {
			struct list_head *list = &fake_node.node_zones[z].
				free_area[i / MIGRATE_TYPES].
				free_list[i % MIGRATE_TYPES];

			list->next = list->prev = list;
		}
		fake_node.node_zones[z].populated = z != 1;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(w.blocks); i++) {
		struct list_head *lru = &w.blocks[i].lru;
		struct list_head *list = &fake_node.node_zones[i % 4 & 2].
			free_area[9 + i / 4 % 2].free_list[i % 2];

		lru->next = list->next;
		lru->prev = list;
		list->next->prev = lru;
		list->next = lru;
		w.blocks[i].reported = i >= count;
	}
}

/* It is time for a pass; so much per cent of the time before were idle. */
static void look(unsigned int percent)
{
	now_us += 2000000;
	idle_us += 20000 * (s64)percent;
	w.passes = w.linux_passes = 0;
	w.info->work.work.func(&w.info->work.work);
}

static void passed(unsigned int more)
{
	assert_int_equal(w.linux_passes, 1);
	assert_int_equal(w.passes, more);
	assert_true(!more || w.delay == 0);
}

static void begin(void)
{
	memset(&w, 0, sizeof(w));
	w.cpu = -1;
	w.memory = 1000;
	w.at_once = ARRAY_SIZE(w.blocks);
	strcpy(w.lists, "7\n");
	have(0);
	isthmus_report_register();
	assert_non_null(w.info);
	assert_true((4096ull << w.info->order) == 2 * MIB);
	/* The first pass is now, whatever Linux does. */
	assert_int_equal(w.passes, 1);
	assert_int_equal(w.delay, 0);
	have(1);
	look(0);
	passed(0);
	w.calls = 0;
	/* What the boot has left needs no more than that. */
	fake.time += HZ - 1;
	assert_int_equal(reported(32), 0);
	settle();
	assert_int_equal(w.loosened, 0);
	w.count = w.calls = 0;
	fake.time++;
}

/* Reports count blocks, each second one of 4 MiB, in falling order. */
static int reported(unsigned int count)
{
	struct scatterlist list[32];

	for (unsigned int i = 0; i < count; i++) {
		list[i].phys = (1000 - i) * 4 * MIB;
		list[i].length = (u32)(i % 2 ? 4 * MIB : 2 * MIB);
	}
	return w.info->report(w.info, list, count);
}

static void last_pass(void)
{
	have(0);
	look(0);
	passed(0);
}

/* What follows a report: if there is more to do for it, a pass then, at once. */
static void settle(void)
{
	struct work_struct *work;

	last_pass();
	work = w.work;
	if (work) {
		w.work = NULL;
		work->func(work);
		assert_int_equal(w.passes, 1);
		assert_int_equal(w.delay, 0);
		assert_string_equal(w.lists, "7\n");
	}
	w.passes = 0;
}

static void deferred(void)
{
	assert_int_equal(w.linux_passes, 0);
	assert_int_equal(w.passes, 1);
	assert_int_equal(w.delay, 2 * HZ);
}

/* A Linux at work keeps little, an idle one nothing; what was begun is gone on
 * with; and nothing is asked for in vain. */
static void test_passes(void **state)
{
	(void)state;
	begin();
	look(0);		/* nothing is there: Linux is told so */
	passed(0);
	have(31);
	look(0);
	deferred();
	look(89);
	deferred();
	look(90);
	passed(0);
	look(0);
	passed(0);
	have(1);
	look(100);
	passed(0);
	/* Much goes whatever it does, to the end. */
	have(32);
	w.at_once = 15;
	look(0);
	passed(1);
	look(0);
	passed(1);
	look(0);
	passed(0);
	have(31);
	look(0);
	deferred();
	/* Linux reports nothing, for it has little memory or was refused. */
	have(40);
	w.at_once = 0;
	look(0);
	passed(0);
	have(31);
	look(0);
	deferred();
	idle_unknown = true;
	w.at_once = 10;
	look(0);
	passed(1);
	idle_unknown = false;
	look(0);
	passed(1);
	isthmus_report_unregister();
}

static void test_blocks(void **state)
{
	(void)state;
	for (unsigned int count = 1; count <= 32; count++) {
		begin();
		assert_int_equal(reported(count), 0);
		assert_int_equal(w.count, count);
		for (unsigned int i = 0; i < count; i++) {
			assert_int_equal(w.given[i], (1000 - i) * 4 * MIB +
						     1 + i % 2);
		}
		assert_int_equal(w.calls, (count + 4) / 5);
		settle();
		isthmus_report_unregister();
	}
}

/* Other processors take their time; all of it is given back yet. */
static void test_again(void **state)
{
	(void)state;
	begin();
	w.again = 100;
	assert_int_equal(reported(32), 0);
	assert_int_equal(w.count, 32);
	assert_int_equal(w.calls, 107);
	isthmus_report_unregister();
}

/* Much was free: memory is compacted, and each CPU lets go of the pages that it
 * keeps, once. What that sets free is little, and the end. */
static void test_loosens(void **state)
{
	(void)state;
	begin();
	/* 32 blocks, each second one of 4 MiB. */
	w.in_use = 48 * 512 + 1;
	assert_int_equal(reported(32), 0);
	/* Not before the last pass. */
	have(40);
	w.at_once = 39;
	look(0);
	passed(1);
	assert_null(w.work);
	settle();
	assert_int_equal(w.loosened, FAKE_CPUS);
	/* More than that would have to move. */
	assert_int_equal(w.compactions, 0);
	w.in_use--;
	w.count = w.loosened = 0;
	assert_int_equal(reported(32), 0);
	settle();
	assert_int_equal(w.loosened, FAKE_CPUS);
	assert_int_equal(w.compactions, 1);
	w.in_use = 1;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(reported(2), 0);
		settle();
	}
	assert_int_equal(w.loosened, FAKE_CPUS);
	/* Little by little it is much. */
	assert_int_equal(reported(2), 0);
	/* There is hardly any memory, and no /proc: nothing is set. */
	w.memory = 5;
	w.no_proc = true;
	settle();
	assert_int_equal(w.compactions, 1);
	assert_int_equal(w.loosened, FAKE_CPUS);
	/* Its end comes first. */
	w.count = 0;
	assert_int_equal(reported(32), 0);
	last_pass();
	assert_non_null(w.work);
	isthmus_report_unregister();
	assert_null(w.work);
	assert_int_equal(w.open, 0);
}

/* A pass that was under way when it ended asks for nothing. */
static void test_ends(void **state)
{
	struct page_reporting_dev_info *info;
	struct scatterlist one = { 64 * MIB, 2 * MIB };

	(void)state;
	begin();
	info = w.info;
	isthmus_report_unregister();
	assert_int_equal(w.passes, 0);
	assert_true(info->report(info, &one, 1) < 0);
	assert_int_equal(w.calls, 0);
	assert_int_equal(w.passes, 0);
	assert_null(w.work);
}

/* It never is, or is refused: Linux hears of it, and nothing goes on. */
static void test_refused(void **state)
{
	static const s64 answers[] = { HC_EAGAIN, HC_EINVAL, HC_EPERM,
				       HC_ENOSYS, -1000, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		begin();
		w.answer = answers[i];
		assert_true(reported(32) < 0);
		assert_true(w.calls == (answers[i] == HC_EAGAIN ? 1000 : 1));
		assert_int_equal(w.passes, 0);
		isthmus_report_unregister();
	}
}

/* Smaller blocks than ours, and ones that lie askew. */
static void test_sizes(void **state)
{
	static const struct scatterlist odd[] = {
		{ 64 * MIB, MIB }, { 64 * MIB, 4096 }, { 65 * MIB, 2 * MIB },
		{ 64 * MIB + 4096, 4096 }, { 64 * MIB, 3 * MIB },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct scatterlist list[2] = { { 32 * MIB, 2 * MIB }, odd[i] };

		begin();
		assert_true(w.info->report(w.info, list, 2) < 0);
		assert_int_equal(w.calls, 0);
		isthmus_report_unregister();
	}
}

/* Nobody to give it to, or nobody who reports: all else goes on. */
static void test_without(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		memset(&w, 0, sizeof(w));
		w.absent = how == 0;
		w.answer = how == 1 ? HC_EPERM : HC_OK;
		w.refuses = how == 2 ? -EBUSY : 0;
		w.poison = how == 3;
		isthmus_report_register();
		assert_null(w.info);
		assert_int_equal(w.passes, 0);
		isthmus_report_unregister();
		isthmus_report_unregister();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_loosens),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
