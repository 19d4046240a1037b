/* SPDX-License-Identifier: MIT */
/*
 * Templates and their children (core/fork.c) on the fake machine: what a child
 * reads is its template's until it writes, from then on its own; nobody else's
 * memory changes by that, not even as another vCPU's TLB has it; and all of it is
 * back when they are gone.
 */
#include <stdlib.h>

#include "hv_fork.h"

#define RAM_PAGES	(LINUX_RAM_SIZE / PAGE_SIZE)

static void reading(void **state)
{
	uint64_t sum = (template(state), checksum()), i;
	struct vcpu *v = forked(0);
	uint64_t tables = child[0]->pages_tables, owned;
	struct gpm_entry e;

	for (i = 0; i < 2 * BIG_PAGE_PAGES + 16; i++) {
		assert_int_equal(get(v, LINUX_RAM + i * PAGE_SIZE + 8),
				 i % 251 + 1);
	}
	/* large pages as such, and nothing charged but tables */
	assert_true(gpm_lookup(child[0], GPA(UNIT(1)), &e));
	assert_true(e.shared && e.present && e.exec && !e.write);
	assert_int_equal(e.size, BIG_PAGE_SIZE);
	assert_int_equal(promise_owned(child[0]), child[0]->pages_tables);
	assert_in_range(child[0]->pages_tables, tables, tables + 2);
	/* small ones all at once, and no more than there are */
	assert_true(gpm_lookup(child[0], GPA(UNIT(2)), &e) && e.shared);
	get(v = forked(1), UNIT(2) + 0x3000);
	for (i = 0; i < BIG_PAGE_PAGES; i++) {
		assert_int_equal(gpm_lookup(child[1], GPA(UNIT(2) +
						i * PAGE_SIZE), &e), i < 16);
		assert_true(i >= 16 || (e.shared && e.exec && !e.write));
	}
	stop(child[1]);
	v = child[0]->vcpus[0];
	/* nothing was there: its own, zeroed, and no more than is touched */
	owned = promise_owned(child[0]) - child[0]->pages_tables;
	assert_int_equal(get(v, UNIT(3) + 5), 0);
	assert_int_equal(promise_owned(child[0]) - child[0]->pages_tables,
			 owned + 1);
	assert_int_equal(get(v, UNIT(2) + 0x70000), 0);
	assert_true(gpm_lookup(child[0], GPA(UNIT(2) + 0x70000), &e));
	assert_true(e.write && !e.shared);
	assert_int_equal(e.size, PAGE_SIZE);
	check_accounts();
	/* below: not a whole stretch of RAM */
	assert_int_equal(get(v, 0x5000), 0x55);
	assert_int_equal(get(v, 0x6000), 0);
	assert_in_range(child[0]->pages_tables, tables, tables + 6);
	check_accounts();
	assert_int_equal(checksum(), sum);
	assert_int_equal(waits, 0);
	stop(child[0]);
	assert_int_equal(linux_p->children, 0);
	/* the upper tables stay */
	assert_int_equal(promise_owned(child[0]), child[0]->pages_tables);
	assert_in_range(promise_owned(child[0]), 1, 6);
}

/* What is around, and mapped, but not the template's own, is no child's. */
static void not_its_templates(void **state)
{
	hpa_t its = (template(state), frame_alloc(FRAME_PARTITION0 + 1, true)),
	      other = frame_alloc(FRAME_CHANNEL, true);
	struct gpm_entry e;

	assert_int_equal(gpm_map(linux_p, GPA(0x9e000), its, PAGE_SIZE,
				 GPM_ALL), HC_OK);
	assert_int_equal(gpm_map(linux_p, GPA(0xa0000), other, PAGE_SIZE,
				 GPM_ALL), HC_OK);
	get(forked(0), 0x9d000);
	assert_false(gpm_lookup(child[0], GPA(0x9e000), &e));
	get(child[0]->vcpus[0], 0x9e000);
	assert_true(gpm_lookup(child[0], GPA(0x9e000), &e) && e.shared);
	assert_false(gpm_lookup(child[0], GPA(0xa0000), &e));
	stop(child[0]);
	stop(linux_p);
	free_pages(FRAME_CHANNEL, other, PAGE_SIZE);
}

/* A write: a page of its own, what else was in it too; the rest stays shared. */
static void writing(void **state)
{
	uint64_t sum = (template(state), checksum()), owned_by, i;
	struct vcpu *v = forked(0), *w = forked(1);
	struct gpm_entry e;

	for (i = 0; i < 3; i++) {
		/* the first touch: by a write, or after a read */
		if (i != 1) {
			assert_int_equal(get(v, UNIT(i)), i + 1);
		}
		owned_by = promise_owned(child[0]) - child[0]->pages_tables;
		put(v, UNIT(i), 0x77);
		assert_int_equal(promise_owned(child[0]) -
				 child[0]->pages_tables, owned_by + 1);
		assert_int_equal(get(v, UNIT(i)), 0x77);
		assert_int_equal(get(v, UNIT(i) + 8),
				 i * BIG_PAGE_PAGES % 251 + 1);
		assert_int_equal(get(v, UNIT(i) + PAGE_SIZE - 1),
				 i * BIG_PAGE_PAGES % 241 + 1);
		assert_int_equal(get(v, UNIT(i) + PAGE_SIZE + 8),
				 (i * BIG_PAGE_PAGES + 1) % 251 + 1);
		assert_true(gpm_lookup(child[0],
				       GPA(UNIT(i) + 15 * PAGE_SIZE), &e));
		assert_true(e.shared && e.size == PAGE_SIZE);
		/* again: nothing to do */
		owned_by = promise_owned(child[0]);
		put(v, UNIT(i) + 1, 0x78);
		assert_int_equal(promise_owned(child[0]), owned_by);
		/* neither the other child, nor the template */
		assert_int_equal(get(w, UNIT(i)), i + 1);
		assert_int_equal(checksum(), sum);
		check_accounts();
	}
	put(v, 0x5000, 0x66);
	put(v, 0x6000, 0x67);
	assert_int_equal(get(w, 0x5000), 0x55);
	assert_int_equal(checksum(), sum);
	check_accounts();
	stop(child[0]);
	stop(child[1]);
}

/* Another vCPU of the same child reads what was written, at once, though its TLB
 * had the template's; and who is out of its guest is not waited for. */
static void two_vcpus(void **state)
{
	struct vcpu *v = (template(state), forked(0));
	struct vcpu *w = child[0]->vcpus[1];

	waits = 0;
	assert_int_equal(get(w, UNIT(0)), 1);
	assert_int_equal(get(w, UNIT(1) + 0x3000), 0);
	put(v, UNIT(1) + 0x2000, 5);	/* the large page is w's too */
	assert_int_equal(waits, 1);
	put(v, UNIT(0), 0x99);
	assert_int_equal(waits, 2);
	assert_int_equal(get(w, UNIT(0)), 0x99);
	assert_int_equal(get(w, UNIT(1) + 0x2000), 5);
	/* nothing was there that anybody could know */
	put(v, UNIT(3), 1);
	assert_int_equal(waits, 2);
	/* now w could, before it is written */
	put(v, UNIT(2), 1);
	assert_int_equal(waits, 3);
	w->running = 0;
	assert_int_equal(get(v, UNIT(2) + 0x1000), 0);
	put(v, UNIT(2) + 0x1000, 4);
	assert_int_equal(waits, 3);
	assert_int_equal(get(w, UNIT(2) + 0x1000), 4);
	/* who waits itself has passed: two that write at once go on */
	w->running = 1;
	w->waits = true;
	put(v, UNIT(0) + 0x4000, 4);
	assert_int_equal(waits, 3);
	w->waits = false;
	assert_int_equal(get(w, UNIT(0) + 0x4000), 4);
	check_accounts();
	stop(child[0]);
}

/* Until all have passed nobody may write to the copy, be it one that knows it: a
 * third vCPU could still read what was there before. */
static void not_before_all_have_passed(void **state)
{
	struct vcpu *v = (template(state), forked(0));
	struct vcpu *w = child[0]->vcpus[1];
	enum hc_reason why;
	struct gpm_entry e;

	assert_int_equal(get(w, UNIT(0)), 1);
	assert_int_equal(get(w, UNIT(0) + 0x1000), 0);
	assert_true(LOCKED(child[0], (partition_populate)(v, GPA(UNIT(0)), true,
							  &why)));
	assert_true(gpm_lookup(child[0], GPA(UNIT(0)), &e));
	assert_true(e.present && !e.shared && !e.write);
	/* w has the new page, and wants to write */
	w->gpm_epoch = child[0]->gpm_epoch;
	assert_true(LOCKED(child[0], (partition_populate)(w, GPA(UNIT(0)), true,
							  &why)));
	assert_true(w->attention & VCPU_ATT_OTHERS);
	assert_true(gpm_lookup(child[0], GPA(UNIT(0)), &e) && !e.write);
	prepare(v);
	assert_true(gpm_lookup(child[0], GPA(UNIT(0)), &e) && e.write);
	/* it has been given back meanwhile: nothing is there to be written to */
	assert_true(LOCKED(child[0], (partition_populate)(v, GPA(UNIT(0) +
							  0x1000), true,
							  &why)));
	assert_true(LOCKED(child[0], gpm_revoke(child[0], GPA(UNIT(0)))));
	prepare(v);
	assert_true(gpm_lookup(child[0], GPA(UNIT(0)), &e) && !e.present);
	stop(child[0]);
}

/* What the hypervisor writes itself goes into a page of the child's own; what it
 * only reads costs none. */
static void pointers(void **state)
{
	uint64_t sum = (template(state), checksum()), before;
	struct vcpu *v = forked(0);
	uint8_t *p;

	p = (partition_memory)(v, GPA(UNIT(0) + 8), 8, false);
	assert_int_equal(*p, 1);
	assert_int_equal(owner_of(ptr_hpa(p).v & ~PAGE_MASK),
			 FRAME_PARTITION0 + 1);
	before = promise_owned(child[0]);
	p = (partition_memory)(v, GPA(UNIT(0) + 8), 8, true);
	assert_int_equal(*p, 1);
	assert_int_equal(owner_of(ptr_hpa(p).v & ~PAGE_MASK),
			 FRAME_PARTITION0 + 2);
	assert_int_equal(promise_owned(child[0]), before + 2);	/* a table */
	assert_true(v->attention & VCPU_ATT_OTHERS);
	*p = 9;
	prepare(v);
	assert_ptr_equal((partition_memory)(v, GPA(UNIT(0) + 8), 8, false), p);
	assert_int_equal(checksum(), sum);
	stop(child[0]);
}

static void release_all(struct vcpu *v, uint64_t block)
{
	const uint64_t blocks[HC_RELEASE_BLOCKS] = { block };
	hv_status_t st;

	while ((st = release_memory(v, blocks)) == HC_EAGAIN) {
	}
	assert_int_equal(st, HC_OK);
	check_accounts();
}

/* What a child has given back reads as zeros, however it had it: the template's
 * does not come back. */
static void given_back(void **state)
{
	uint64_t sum = (template(state), checksum()), i, k;
	struct vcpu *v = forked(0);

	/* unit 0: written, 1: read, 2: not touched; 3: never anybody's */
	put(v, UNIT(0), 0x77);
	get(v, UNIT(1));
	release_all(v, BLOCK(0, 4));
	for (i = 0; i < 4; i++) {
		for (k = 0; k < BIG_PAGE_PAGES; k++) {
			/* by large pages, and by single ones */
			if (i == 1 && k == 0) {
				child[0]->pages_cap = promise_owned(child[0]) -
					child[0]->pages_tables + 100;
			}
			if (i == 1 && k == 90) {
				child[0]->pages_cap = LINUX_CAP / PAGE_SIZE;
			}
			assert_int_equal(get(v, UNIT(i) + k * PAGE_SIZE), 0);
			assert_int_equal(get(v, UNIT(i) + k * PAGE_SIZE + 8),
					 0);
		}
		check_accounts();
	}
	put(v, UNIT(1), 3);
	assert_int_equal(get(v, UNIT(1)), 3);
	release_all(v, BLOCK(0, 4));
	assert_int_equal(get(v, UNIT(1)), 0);
	assert_int_equal(checksum(), sum);
	stop(child[0]);
	/* a new life has all of it again */
	v = forked(0);
	assert_int_equal(get(v, UNIT(0)), 1);
	assert_int_equal(get(v, UNIT(1)), 2);
	/* touched while it is in quarantine: as it was, and not to be written */
	child[0]->vcpus[1]->gpm_epoch = 0;
	for (i = 0; i < 2; i++) {
		struct vcpu *w = child[0]->vcpus[1];

		v->gpm_epoch = child[0]->gpm_epoch;
		w->waits = false;
		w->running = 1;
		w->gpm_epoch = child[0]->gpm_epoch;
		/* it is called out, and has not come yet */
		(void)LOCKED(child[0], gpm_revoke(child[0], GPA(UNIT(1))));
		child[0]->gpm_epoch++;
		assert_int_equal(get(v, UNIT(1)), 2 + 5 * i);
		check_accounts();
		put(v, UNIT(1), 7);
		assert_int_equal(get(w, UNIT(1)), 7);
		assert_int_equal(checksum(), sum);
		check_accounts();
	}
	stop(child[0]);
}

/* In pieces, and touched between two of them: what is gone is not its template's
 * again, what is not is there as it was. */
static void given_back_in_pieces(void **state)
{
	struct vcpu *v = (template(state), forked(0));
	const uint64_t blocks[HC_RELEASE_BLOCKS] = { BLOCK(0, 1) };
	uint64_t i, gone;

	for (i = 0; i < 100; i++) {
		put(v, UNIT(0) + i * PAGE_SIZE, 7);
	}
	/* the other vCPU is called out, then as much as a call gives back */
	gone = promise_owned(child[0]);
	assert_int_equal(release_memory(v, blocks), HC_EAGAIN);
	assert_int_equal(promise_owned(child[0]), gone);
	assert_int_equal(release_memory(v, blocks), HC_EAGAIN);
	gone -= promise_owned(child[0]);
	assert_in_range(gone, 50, 64);
	for (i = 0; i < 100; i++) {
		assert_int_equal(get(v, UNIT(0) + i * PAGE_SIZE),
				 i < gone ? 0 : 7);
		assert_int_equal(get(v, UNIT(0) + i * PAGE_SIZE + 8),
				 i < gone ? 0 : i % 251 + 1);
	}
	check_accounts();
	stop(child[0]);
}

/* No page for the table that would say that it is empty. */
static void given_back_without_memory(void **state)
{
	static hpa_t taken[PAGES];
	struct vcpu *v = (template(state), forked(0));
	const uint64_t blocks[HC_RELEASE_BLOCKS] = { BLOCK(0, 1) };
	uint64_t n = 0;

	while ((taken[n] = frame_alloc(FRAME_CHANNEL, false)).v !=
	       FRAME_NULL) {
		n++;
	}
	/* its first life: no upper tables yet */
	assert_int_equal(release_memory(v, blocks), HC_ENOMEM);
	assert_int_equal(release_memory(v, blocks), HC_ENOMEM);
	while (n) {
		free_pages(FRAME_CHANNEL, taken[--n], PAGE_SIZE);
	}
	release_all(v, blocks[0]);
	assert_int_equal(get(v, UNIT(0)), 0);
	stop(child[0]);
}

/* A child has a cap, and only what is left; the template has its own. */
static void exhaustion(void **state)
{
	static hpa_t taken[PAGES];
	struct vcpu *v = (template(state), forked(0));
	uint64_t left, n = 0, i;
	enum hc_reason why;

	child[0]->pages_cap = 20;
	for (i = 0; i < 20; i++) {
		put(v, LINUX_RAM + i * PAGE_SIZE, 1);
	}
	assert_null(touch_at(v, UNIT(1), true, &why));
	assert_int_equal(why, HC_REASON_NO_MEMORY);
	assert_int_equal(get(v, UNIT(1)), 2);
	assert_null(touch_at(v, UNIT(1), true, &why));
	child[0]->pages_cap = LINUX_CAP / PAGE_SIZE;
	check_accounts();
	stop(child[0]);
	while ((taken[n] = frame_alloc(FRAME_CHANNEL, false)).v !=
	       FRAME_NULL) {
		n++;
	}
	for (left = 0; left < 12; left++) {
		v = forked(0);
		for (i = 0; i < 3; i++) {
			(void)touch_at(v, UNIT(i) + i * PAGE_SIZE, i & 1, &why);
			(void)touch_at(v, UNIT(i) + i * PAGE_SIZE, true, &why);
			check_accounts();
		}
		stop(child[0]);
		free_pages(FRAME_CHANNEL, taken[--n], PAGE_SIZE);
	}
	while (n) {
		free_pages(FRAME_CHANNEL, taken[--n], PAGE_SIZE);
	}
}

/* Where a large page must be split to be executed, none is shared as such. */
static void executed(void **state)
{
	struct vcpu *v;
	struct gpm_entry e;

	fake_format.split_exec = true;
	template(state);
	v = forked(0);
	assert_int_equal(get(v, UNIT(0)), 1);
	assert_int_equal(child[0]->pages_splits, 0);
	assert_true(gpm_lookup(child[0], GPA(UNIT(0)), &e));
	assert_true(e.size == PAGE_SIZE && e.shared && e.exec && !e.write);
	assert_true(gpm_lookup(child[0], GPA(UNIT(0) + 63 * PAGE_SIZE), &e));
	assert_true(e.size == PAGE_SIZE && e.shared && e.exec && !e.write);
	assert_false(gpm_lookup(child[0], GPA(UNIT(0) + 64 * PAGE_SIZE), &e));
	assert_int_equal(get(v, UNIT(0) + 300 * PAGE_SIZE + 8), 300 % 251 + 1);
	assert_int_equal(gpm_execute(child[0], GPA(UNIT(0))), HC_OK);
	put(v, UNIT(1), 4);
	assert_int_equal(child[0]->pages_splits, 0);
	check_accounts();
	stop(child[0]);
	stop(linux_p);
	fake_format.split_exec = false;
}

/* Two children, two vCPUs each, and the template, against arrays. */
static void random_accesses(void **state)
{
	static uint8_t is[2][RAM_PAGES], first[RAM_PAGES];
	uint64_t sum = (template(state), checksum()), free_before;
	uint32_t step, i, faults = 0;
	struct gpm_entry e;

	for (i = 0; i < RAM_PAGES; i++) {
		first[i] = gpm_lookup(linux_p, GPA(LINUX_RAM + i * PAGE_SIZE),
				      &e) && e.present ?
			   *(uint8_t *)hpa_ptr(e.pa) : 0;
	}
	free_before = owned(FRAME_FREE);
	srand(10);
	for (step = 0; step < 60000; step++) {
		uint32_t c = (uint32_t)rand() % 2;
		uint32_t n = (uint32_t)rand() % (4 * BIG_PAGE_PAGES);
		struct vcpu *v = child[c]->vcpus[rand() % 2];
		uint32_t what = (uint32_t)rand() % 1000;
		uint64_t gpa = LINUX_RAM + n * PAGE_SIZE;

		n = what & 1 ? n : n % 16 * 96;	/* some more often */
		gpa = LINUX_RAM + n * PAGE_SIZE;
		if (child[c]->state == HC_STATE_STOPPED) {
			forked(c);
			memcpy(is[c], first, sizeof(first));
		} else if (what < 2) {
			stop(child[c]);
		} else if (what < 6) {
			n &= ~(BIG_PAGE_PAGES - 1);
			release_all(v, (LINUX_RAM + n * PAGE_SIZE) + 1);
			memset(&is[c][n], 0, BIG_PAGE_PAGES);
		} else if (what < 10) {
			v->running ^= 1;
		} else if (what < 400) {
			put(v, gpa, is[c][n] = (uint8_t)rand());
			faults++;
		} else {
			assert_int_equal(get(v, gpa), is[c][n]);
		}
		if (step % 4096 == 0) {
			(void)frame_zero_one();
			check_accounts();
			assert_int_equal(checksum(), sum);
		}
	}
	assert_true(faults > 1000 && waits > 100);
	assert_int_equal(checksum(), sum);
	for (i = 0; i < 2; i++) {
		if (child[i]->state) {
			stop(child[i]);
		}
	}
	/* the upper tables stay */
	assert_in_range(owned(FRAME_FREE), free_before - 4, free_before);
	stop(linux_p);
}

/* 1,000 forks leave no page behind. */
static void many(void **state)
{
	uint64_t left = (template(state), 0), i;

	for (i = 0; i < 1000; i++) {
		struct vcpu *v = forked(i & 1);

		put(v, UNIT(i % 3), 1);
		stop(child[i & 1]);
		if (i == 1) {
			left = owned(FRAME_FREE);
		}
		assert_true(i < 2 || owned(FRAME_FREE) == left);
	}
	stop(linux_p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(given_back_without_memory),
		cmocka_unit_test(reading),
		cmocka_unit_test(not_its_templates),
		cmocka_unit_test(writing),
		cmocka_unit_test(two_vcpus),
		cmocka_unit_test(not_before_all_have_passed),
		cmocka_unit_test(pointers),
		cmocka_unit_test(given_back),
		cmocka_unit_test(given_back_in_pieces),
		cmocka_unit_test(exhaustion),
		cmocka_unit_test(executed),
		cmocka_unit_test(random_accesses),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, fork_machine, NULL);
}
