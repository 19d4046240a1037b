/* SPDX-License-Identifier: MIT */
/*
 * Free memory that the driver gives back: what Linux reports, and a hypervisor
 * that takes it, wants to be called again, or has no such call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

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
	/* The hypervisor. */
	bool absent;
	s64 answer;			/* not HC_OK: to all calls */
	unsigned int again;		/* that often before it is done */
	unsigned int calls;
	u64 given[GIVEN];
	unsigned int count;
} w;

struct workqueue_struct *system_freezable_wq;

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

static void begin(void)
{
	memset(&w, 0, sizeof(w));
	isthmus_report_register();
	assert_non_null(w.info);
	assert_true((4096ull << w.info->order) == 2 * MIB);
	w.calls = 0;
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
		/* The next pass is asked for, and soon. */
		assert_int_equal(w.passes, 1);
		assert_true(w.delay > 0 && w.delay <= HZ / 10);
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
		isthmus_report_unregister();
		isthmus_report_unregister();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
