/* SPDX-License-Identifier: MIT */
/*
 * A child, or a template that is to be one, ends at any instruction of what its
 * vCPUs, or CPU 0, are at: forking, a first touch, a copy, memory given back, being
 * frozen, ended. A thousand such instants, chosen by a seeded generator, in which it
 * was at work yet: all that it had is free again, and the template and the other
 * child have what they had.
 */
#include <stdlib.h>

#include "hv_fork.h"
#include "hv_interleave.h"

#define KILLS		1000u
#define STEPS		1000u		/* without a lock; much takes fewer */

static struct vcpu *v;			/* whose instant it is */
static uint64_t gpa;
static bool writes;
static uint32_t c;			/* the child that ends */

void __real_lock_drop(struct lock *l);
void __wrap_lock_drop(struct lock *l);

void __wrap_lock_drop(struct lock *l)
{
	__real_lock_drop(l);
	interleave_dropped();
}

/* ---- What is at work ---- */

static void touch(void)
{
	enum hc_reason why;

	(void)touch_at(v, gpa, writes, &why);
}

static void report(void)
{
	const uint64_t block[HC_RELEASE_BLOCKS] = {
		(gpa & ~BIG_PAGE_MASK) + 1 };

	(void)release_memory(v, block);
}

static void fork_it(void)
{
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2 + c), HC_OK);
}

static void end_it(void)
{
	while (partition_stop(child[c]) == HC_EAGAIN) {
	}
}

static void freeze_it(void)
{
	(void)freeze();
}

/* ---- What comes in between, from another CPU ---- */

/* The host partition stops it. Its vCPUs are in their run loops yet. */
static void kill_it(void)
{
	assert_int_equal(partition_stop(child[c]), HC_EAGAIN);
}

/* Its other vCPU does what ends it. */
static void crash_it(void)
{
	partition_kill(child[c]->vcpus[1], HC_REASON_GPM_FAULT, 1);
}

/* A child's first vCPU runs when it has been woken, be HC_FORK under way. */
static void run_early(void)
{
	if (v->attention & VCPU_ATT_FORK) {
		v->attention = 0;
		v->running = 1;
		touch();
	}
}

/* The template's first vCPU, unless it is parked. */
static void crash_template(void)
{
	if (v->state != VCPU_PARKED) {
		partition_kill(v, HC_REASON_GPM_FAULT, 1);
	}
}

static void touch_template(void)
{
	if (v->state != VCPU_PARKED) {
		touch();
	}
}

/* ---- The checks ---- */

/* Each page is somebody's, and each partition is charged what it has. */
static void check_sums(void)
{
	static uint64_t all;		/* what there was at first */
	uint64_t sum = 0;
	uint32_t i;

	for (i = FRAME_FREE; i < FRAME_PARTITION0 + partition_count; i++) {
		sum += owned(i);
	}
	all = all ? all : sum;
	assert_int_equal(sum, all);
	for (i = 0; i < partition_count; i++) {
		assert_int_equal(promise_owned(partitions[i]),
				 owned(FRAME_PARTITION0 + i));
	}
}

/* It is gone, and has the tables of its channels' places at most; the first lives
 * have made them. */
static void gone(struct partition *p)
{
	uint32_t i;

	for (i = 0; i < p->vcpu_count; i++) {
		p->vcpus[i]->running = 0;
		p->vcpus[i]->attention = 0;
	}
	while (partition_stop(p) == HC_EAGAIN) {
	}
	assert_int_equal(p->state, HC_STATE_STOPPED);
	assert_int_equal(promise_owned(p), p->pages_tables);
	assert_null(p->template);
	check_sums();
}

static uint64_t any_page(void)
{
	return LINUX_RAM + (uint64_t)(rand() % (4 * BIG_PAGE_PAGES)) *
	       PAGE_SIZE;
}

/* What it has before: something of all kinds. */
static void live(uint32_t touches)
{
	while (touches--) {
		v = child[c]->vcpus[rand() % 2];
		gpa = any_page();
		writes = rand() & 1;
		if (rand() % 16) {
			touch();
		} else {
			report();
		}
	}
}

/* One end of a child's, at n instructions of something. Returns whether it came
 * in between. */
static bool one_end(uint32_t n)
{
	static void (*const works[])(void) = { touch, report };
	void (*const ends)(void) = rand() % 3 ? kill_it : crash_it;

	switch (rand() % 4) {
	case 0:		/* as it begins */
		v = child[c]->vcpus[0];
		gpa = any_page();
		writes = rand() & 1;
		return interleave(fork_it, run_early, n % 500);
	case 1:		/* as it ends, and the other one lives */
		(void)forked(c);
		live(20);
		child[c]->vcpus[0]->running = child[c]->vcpus[1]->running = 0;
		v = child[1 - c]->vcpus[0];
		gpa = any_page();
		writes = true;
		return interleave(end_it, touch, n);
	default:
		(void)forked(c);
		live(20);
		v = child[c]->vcpus[0];
		gpa = any_page();
		writes = rand() % 4;
		return interleave(works[rand() % 2], ends, n);
	}
}

static void children_end(void **state)
{
	uint64_t sum = (template(state), checksum()), left[2] = { 0 };
	uint32_t seed, between = 0;

	interleave_skips = true;
	for (seed = 0; between < KILLS && seed < 3 * KILLS; seed++) {
		srand(seed);
		c = seed & 1;
		gone(child[c]);
		if (child[1 - c]->state != HC_STATE_RUNNING) {
			(void)forked(1 - c);
		}
		between += one_end((uint32_t)rand() % STEPS);
		gone(child[c]);
		if (seed > 100) {	/* as many tables as there will be */
			assert_true(promise_owned(child[c]) <= left[c]);
		} else if (promise_owned(child[c]) > left[c]) {
			left[c] = promise_owned(child[c]);
		}
		if (seed % 50 == 0) {
			check_accounts();
			assert_int_equal(checksum(), sum);
		}
	}
	gone(child[1 - c]);
	check_accounts();
	assert_int_equal(checksum(), sum);
	print_message("%u of %u came in between\n", between, seed);
	assert_int_equal(between, KILLS);
	stop(linux_p);
}

/* A template ends while it becomes one: it is gone, or one it is. */
static void templates_end(void **state)
{
	uint32_t seed, crashed = 0;

	for (seed = 0; seed < KILLS / 5; seed++) {
		template(state);
		stop(linux_p);
		assert_int_equal(partition_start(linux_p,
				 &(struct vcpu_start){ 0 }), HC_OK);
		srand(seed);
		linux_p->vcpus[1]->state = VCPU_HALTED;
		v = linux_p->vcpus[0];
		gpa = any_page();
		writes = true;
		(void)interleave(freeze_it, seed & 1 ? crash_template :
				 touch_template, (uint32_t)rand() % 300);
		crashed += linux_p->state == HC_STATE_CRASHED;
		if (linux_p->state == HC_STATE_CRASHED) {
			assert_int_equal(freeze(), HC_EBUSY);
			assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2),
					 HC_EBUSY);
		} else {
			assert_int_equal(linux_p->state, HC_STATE_FROZEN);
			(void)forked(0);
			gone(child[0]);
		}
		gone(linux_p);
	}
	check_accounts();
	print_message("%u of %u crashed\n", crashed, seed);
	assert_true(crashed > KILLS / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_end),
		cmocka_unit_test(templates_end),
	};

	return cmocka_run_group_tests(tests, fork_machine, NULL);
}
