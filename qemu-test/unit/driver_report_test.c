/* SPDX-License-Identifier: MIT */
/*
 * Free memory that the driver gives back: what Linux reports, and a hypervisor
 * that takes it, wants to be called again, or has no such call.
 */
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
	unsigned int compactions;
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

int page_reporting_register(struct page_reporting_dev_info *info)
{
	if (w.refuses == 0) {
		assert_null(w.info);
		w.info = info;
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

	assert_string_equal(name, "/proc/sys/vm/compact_memory");
	if (w.no_proc) {
		return ERR_PTR(-ENOENT);
	}
	w.open++;
	return (struct file *)&file;
}

long kernel_write(struct file *file, const void *data, size_t size,
		  loff_t *at)
{
	assert_int_equal(w.open, 1);
	assert_int_equal(*at, 0);
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

static void begin(void)
{
	memset(&w, 0, sizeof(w));
	w.cpu = -1;
	w.memory = 1000;
	isthmus_report_register();
	assert_non_null(w.info);
	assert_true((4096ull << w.info->order) == 2 * MIB);
	/* The first pass is soon, too. */
	assert_int_equal(w.passes, 1);
	assert_true(w.delay > 0 && w.delay <= HZ / 10);
	w.passes = 0;
	w.delay = 0;
	w.calls = 0;
	/* What the boot has left needs no more than that. */
	fake.time += HZ - 1;
	assert_int_equal(reported(32), 0);
	assert_null(w.work);
	settle();
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

/* What follows a report: the next pass is asked for, and soon. */
static void settle(void)
{
	struct work_struct *work = w.work;

	if (work) {
		assert_int_equal(w.passes, 0);
		w.work = NULL;
		work->function(work);
	}
	assert_int_equal(w.passes, 1);
	assert_true(w.delay > 0 && w.delay <= HZ / 10);
	w.passes = 0;
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
	assert_non_null(w.work);
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
		assert_null(w.work);
		settle();
	}
	assert_int_equal(w.loosened, FAKE_CPUS);
	/* Little by little it is much. */
	assert_int_equal(reported(2), 0);
	assert_non_null(w.work);
	/* There is hardly any memory, and no /proc. */
	w.memory = 5;
	w.no_proc = true;
	settle();
	assert_int_equal(w.compactions, 1);
	assert_int_equal(w.loosened, FAKE_CPUS);
	/* Its end comes first. */
	w.count = 0;
	assert_int_equal(reported(32), 0);
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
		cmocka_unit_test(test_loosens),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
