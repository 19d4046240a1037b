/* SPDX-License-Identifier: MIT */
/*
 * Second-level maps on processors where a large page must not be executable:
 * what executes is of 4 KiB, what does not stays large, rights and accounts
 * stay right, and nobody's tables are of what others are promised. And which
 * changes a vCPU must flush for.
 */
#include "hv_memory.h"

#define CODE	(LINUX_RAM + BIG_PAGE_SIZE)

static int machine_splits(void **state)
{
	fake_format.split_exec = true;
	return make_machine(state);
}

/* Reads the entry of a 2 MiB page, or of the table in its place. */
static uint64_t raw(uint64_t gpa)
{
	struct gpm_entry e;

	assert_true(gpm_lookup(linux_p, GPA(gpa), &e));
	return e.raw;
}

/* A zeroed unit behind CODE, present at once as one large page. */
static void make_large(void)
{
	struct gpm_entry e;
	uint32_t i;

	fake_format.split_exec = true;
	for (i = 0; i < BIG_PAGE_PAGES; i++) {
		frame_zero_one();
	}
	assert_true(populate(linux_p, CODE + 0x5000));
	assert_true(gpm_lookup(linux_p, GPA(CODE), &e));
	assert_int_equal(e.size, BIG_PAGE_SIZE);
	assert_true(e.present && e.write && e.exec);
}

static void executed(void **state)
{
	struct gpm_entry e;
	uint64_t epoch = linux_p->gpm_epoch, i, pa, tables;

	(void)state;
	make_large();
	/* the processor may write, but not execute */
	assert_int_equal(raw(CODE) & 7, 3);
	assert_true(gpm_lookup(linux_p, GPA(CODE), &e));
	pa = e.pa.v;
	tables = linux_p->pages_tables;
	assert_int_equal(gpm_execute(linux_p, GPA(CODE + 0x7123)), HC_OK);
	for (i = 0; i < BIG_PAGE_SIZE; i += PAGE_SIZE) {
		assert_true(gpm_lookup(linux_p, GPA(CODE + i), &e));
		assert_int_equal(e.size, PAGE_SIZE);
		assert_int_equal(e.pa.v, pa + i);
		/* as a page that was small from the start */
		assert_int_equal(e.raw, (pa + i) | 7 | BIT64(6) | 6 << 3);
	}
	assert_int_equal(linux_p->pages_tables, tables + 1);
	check_accounts();
	/* another vCPU faults there too: nothing is left to do */
	assert_int_equal(gpm_execute(linux_p, GPA(CODE)), HC_OK);
	assert_int_equal(linux_p->pages_tables, tables + 1);
	assert_int_equal(linux_p->gpm_epoch, epoch);
	stop_linux();
}

/* What may never be executed is not split for it. */
static void not_executable(void **state)
{
	const uint64_t gpa = 0x100000000;
	struct gpm_entry e;

	(void)state;
	fake_format.split_exec = true;
	assert_int_equal(gpm_map(linux_p, GPA(gpa), HPA(0xfd000000),
				 BIG_PAGE_SIZE, GPM_READ | GPM_WRITE |
				 GPM_UNCACHED), HC_OK);
	assert_true(gpm_lookup(linux_p, GPA(gpa), &e));
	assert_false(e.exec);
	assert_int_equal(gpm_execute(linux_p, GPA(gpa)), HC_OK);
	assert_true(gpm_lookup(linux_p, GPA(gpa), &e));
	assert_int_equal(e.size, BIG_PAGE_SIZE);
	/* nor when it is split for another reason */
	assert_int_equal(gpm_split(linux_p, GPA(gpa)), HC_OK);
	assert_true(gpm_lookup(linux_p, GPA(gpa + 0x3000), &e));
	assert_int_equal(e.size, PAGE_SIZE);
	assert_true(e.write && !e.exec);
	stop_linux();
}

/* Small pages in one piece become a large one: not executable, again. */
static void tidied(void **state)
{
	(void)state;
	make_large();
	assert_int_equal(gpm_execute(linux_p, GPA(CODE)), HC_OK);
	gpm_tidy(linux_p, GPA(CODE));
	assert_int_equal(raw(CODE) & (BIT64(7) | 7), BIT64(7) | 3);
	assert_int_equal(gpm_execute(linux_p, GPA(CODE)), HC_OK);
	assert_int_equal(raw(CODE) & (BIT64(7) | 7), 7);
	stop_linux();
}

static void no_table_left(void **state)
{
	uint64_t before;

	(void)state;
	make_large();
	while (frame_alloc(FRAME_CHANNEL, false).v != FRAME_NULL) {
	}
	before = raw(CODE);
	assert_int_equal(gpm_execute(linux_p, GPA(CODE)), HC_ENOMEM);
	assert_int_equal(raw(CODE), before);
	/* the machine is empty: the last test */
}

/* The frames of a stopped partition are others' by the time it runs again. */
static void flushed_after_stop(void **state)
{
	uint64_t epoch = linux_p->gpm_epoch;

	(void)state;
	assert_true(populate(linux_p, LINUX_RAM));
	assert_int_equal(linux_p->gpm_epoch, epoch);
	stop_linux();
	assert_int_not_equal(linux_p->gpm_epoch, epoch);
}

/* Populates p's RAM from gpa on until it may have no more, and before the end;
 * returns how far that was. */
static uint64_t take_all(struct partition *p, uint64_t gpa, uint64_t end)
{
	enum hc_reason why = HC_REASON_NONE;

	while (gpa < end && partition_populate(p, GPA(gpa), &why)) {
		gpa += PAGE_SIZE;
	}
	assert_true(gpa < end);
	assert_int_equal(why, HC_REASON_NO_MEMORY);
	return gpa;
}

static void execute_all(struct partition *p, uint64_t gpa, uint64_t end)
{
	for (; gpa < end; gpa += BIG_PAGE_SIZE) {
		assert_int_equal(gpm_execute(p, GPA(gpa)), HC_OK);
	}
	assert_int_equal(p->pages_splits, 0);
}

/* Linux takes all that nobody is promised, in large pages; the host gets what it
 * was promised and takes what is left; and then both can execute all they have. */
static void promises(void **state)
{
	static hpa_t taken[PAGES];
	uint64_t n = 0, linux_end, host_end;

	(void)state;
	stop_linux();
	assert_int_equal(linux_p->pages_splits, 0);
	while (frame_zero_one()) {
	}
	while (owned(FRAME_FREE) > 10 * BIG_PAGE_PAGES) {
		taken[n++] = frame_alloc(FRAME_CHANNEL, false);
	}
	host->pages_min = promise_owned(host) + 3 * BIG_PAGE_PAGES;
	linux_end = take_all(linux_p, LINUX_RAM, LINUX_RAM + LINUX_RAM_SIZE);
	assert_true(linux_p->pages_splits >= 6);
	host_end = take_all(host, 4 * MIB, HOST_RAM);
	/* its own tables are of it */
	assert_true(promise_owned(host) + host->pages_splits + 5 >=
		    host->pages_min);
	execute_all(linux_p, LINUX_RAM, linux_end);
	execute_all(host, 4 * MIB, host_end);
	check_accounts();
	/* no table for anything else either, of what is promised */
	host->pages_min = promise_owned(host) + owned(FRAME_FREE);
	assert_int_equal(gpm_map(linux_p, GPA(0x200000000), HPA(0xfd000000),
				 PAGE_SIZE, GPM_READ), HC_ENOMEM);
	host->pages_min = 0;
	stop_linux();
	while (n) {
		free_pages(FRAME_CHANNEL, taken[--n], PAGE_SIZE);
	}
}

/* Whatever the host takes first, and executes, Linux gets what was sure: of what
 * it is promised, or of what the host's cap leaves. */
static void sure(void **state)
{
	static const struct { uint64_t free, cap, min, sure; } t[] = {
		{ 16, 6, 0, 9 }, { 10, 2, 0, 7 }, { 7, 40, 4, 4 },
		{ 4, 40, 3, 3 },
	};
	static hpa_t taken[PAGES];
	uint64_t n = 0, want, gpa;
	enum hc_reason why;
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		stop_linux();
		while (owned(FRAME_FREE) > t[i].free * BIG_PAGE_PAGES) {
			taken[n++] = frame_alloc(FRAME_CHANNEL, false);
		}
		host->pages_cap = promise_owned(host) - host->pages_tables +
				  t[i].cap * BIG_PAGE_PAGES;
		linux_p->pages_min = t[i].min * BIG_PAGE_PAGES;
		want = promise_sure(linux_p);
		assert_true(want >= u64_min(t[i].sure * BIG_PAGE_PAGES,
					    linux_p->pages_cap));
		for (gpa = 4 * MIB; gpa < HOST_RAM &&
		     partition_populate(host, GPA(gpa), &why);
		     gpa += PAGE_SIZE) {
			assert_int_equal(gpm_execute(host, GPA(gpa)), HC_OK);
		}
		assert_int_equal(promise_sure(linux_p), want);
		for (gpa = LINUX_RAM; gpa < LINUX_RAM + LINUX_RAM_SIZE &&
		     partition_populate(linux_p, GPA(gpa), &why);
		     gpa += PAGE_SIZE) {
		}
		assert_true(promise_owned(linux_p) + linux_p->pages_splits + 5 >=
			    want);
		check_accounts();
	}
	stop_linux();
	linux_p->pages_min = 0;
	while (n) {
		free_pages(FRAME_CHANNEL, taken[--n], PAGE_SIZE);
	}
}

/* What is given away is to be had again: not when it is promised to others. */
static void promises_of_donations(void **state)
{
	static hpa_t taken[PAGES];
	uint64_t n = 0, i;

	(void)state;
	stop_linux();
	assert_true(populate(host, 6 * MIB));
	host->pages_min = promise_owned(host);
	while (owned(FRAME_FREE) > 100) {
		taken[n++] = frame_alloc(FRAME_CHANNEL, false);
	}
	assert_int_equal(donate_memory(host, GPA(6 * MIB), linux_p,
					  GPA(LINUX_RAM), 100), HC_ENOMEM);
	assert_int_equal(promise_owned(host), host->pages_min);
	assert_int_equal(donate_memory(host, GPA(6 * MIB), linux_p,
					  GPA(LINUX_RAM), 10), HC_OK);
	for (i = 0; i < 10; i++) {
		assert_true(populate(host, 6 * MIB + i * PAGE_SIZE));
	}
	assert_in_range(promise_owned(host), host->pages_min,
			host->pages_min + 1);
	check_accounts();
	stop_linux();
	host->pages_min = 0;
	while (n) {
		free_pages(FRAME_CHANNEL, taken[--n], PAGE_SIZE);
	}
}

/* Free pages less what is kept for Linux. */
static uint64_t kept_for_linux(void)
{
	uint64_t spare;

	lock_take(&frame_lock);
	spare = promise_spare(host);
	lock_drop(&frame_lock);
	return owned(FRAME_FREE) - spare;
}

/* Who has his minimum has it: no more is kept for him than tables. */
static void what_is_taken_is_not_kept(void **state)
{
	(void)state;
	stop_linux();
	linux_p->pages_min = promise_owned(linux_p) + 300;
	assert_int_equal(kept_for_linux(), 300);
	assert_true(populate(linux_p, LINUX_RAM));	/* 2 MiB */
	assert_in_range(kept_for_linux(), 0, 1);
	stop_linux();
	assert_int_equal(kept_for_linux(), linux_p->pages_min -
			 promise_owned(linux_p));
	linux_p->pages_min = 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(executed),
		cmocka_unit_test(not_executable),
		cmocka_unit_test(tidied),
		cmocka_unit_test(flushed_after_stop),
		cmocka_unit_test(promises),
		cmocka_unit_test(promises_of_donations),
		cmocka_unit_test(what_is_taken_is_not_kept),
		cmocka_unit_test(sure),
		cmocka_unit_test(no_table_left),
	};

	return cmocka_run_group_tests(tests, machine_splits, NULL);
}
