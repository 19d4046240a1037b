/* SPDX-License-Identifier: MIT */
/*
 * Ownership of memory: page frames, second-level maps, population on demand,
 * donation and teardown, on a fake machine of 64 MiB. A model keeps who
 * should own what; the tables must agree with it page by page.
 */
#include <stdlib.h>

#include "hv_memory.h"

static void at_start(void **state)
{
	(void)state;
	check_accounts();
	/* below 1 MiB nothing is handed out */
	assert_int_equal(owner_of(0), FRAME_HYPERVISOR);
	assert_int_equal(owner_of(0x9e000), FRAME_HYPERVISOR);
	assert_int_equal(owner_of(0x9f000), FRAME_HYPERVISOR);
	assert_int_equal(owner_of(0xa0000), FRAME_NONE);
	assert_int_equal(owner_of(HOST_REGION), FRAME_PARTITION0);
	assert_int_equal(owner_of(MACHINE - 2 * MIB), FRAME_NONE);
	assert_int_equal(owner_of(MACHINE - PAGE_SIZE), FRAME_FREE);
	assert_false(frame_is_owner(FRAME_FREE, HPA(MACHINE)));
	assert_false(frame_is_owner(FRAME_FREE, HPA(~0ull)));
	/* firmware beyond RAM has written nowhere */
	assert_int_equal(*(uint8_t *)hpa_ptr(HPA(MACHINE - 1)), 0xaa);
}

static void single_pages(void **state)
{
	uint64_t before = owned(FRAME_FREE), i;
	hpa_t a[600];

	(void)state;
	for (i = 0; i < ARRAY_SIZE(a); i++) {
		a[i] = frame_alloc(FRAME_CHANNEL, i & 1);
		assert_int_equal(owner_of(a[i].v), FRAME_CHANNEL);
		assert_true(!(i & 1) || all_zero(a[i].v, PAGE_SIZE));
		memset(hpa_ptr(a[i]), 0xbb, PAGE_SIZE);
	}
	assert_int_equal(owned(FRAME_CHANNEL), ARRAY_SIZE(a));
	for (i = 0; i < ARRAY_SIZE(a); i++) {
		free_pages(FRAME_CHANNEL, a[(i * 7) % 600], PAGE_SIZE);
	}
	assert_int_equal(owned(FRAME_FREE), before);
	check_accounts();
}

static void wrong_owner(void **state)
{
	hpa_t a = frame_alloc(FRAME_CHANNEL, false);

	(void)state;
	lock_take(&frame_lock);
	assert_panics(frame_free(FRAME_HYPERVISOR, a, PAGE_SIZE));
	assert_panics(frame_move(FRAME_PARTITION0, FRAME_CHANNEL, a,
				 PAGE_SIZE));
	assert_panics(frame_move(FRAME_FREE, FRAME_CHANNEL, HPA(MACHINE),
				 PAGE_SIZE));
	assert_non_null(strstr(fake.panic_said, "is not memory"));
	lock_drop(&frame_lock);
	assert_int_equal(owner_of(a.v), FRAME_CHANNEL);
	/* free_pages() took the unit off its list before it found the bug:
	 * the machine has stopped then; here the page just stays */
}

static void big_pages(void **state)
{
	uint64_t before = owned(FRAME_FREE);
	bool zeroed;
	uint32_t i, n = 0;
	hpa_t a[40];

	(void)state;
	/* idle work makes one unit zeroed, page by page */
	for (i = 0; i < BIG_PAGE_PAGES; i++) {
		assert_true(frame_zero_one());
	}
	a[0] = alloc_big(FRAME_CHANNEL, &zeroed);
	assert_true(zeroed);
	assert_true(all_zero(a[0].v, BIG_PAGE_SIZE));
	assert_int_equal(a[0].v & BIG_PAGE_MASK, 0);
	for (n = 1; n < ARRAY_SIZE(a); n++) {
		a[n] = alloc_big(FRAME_CHANNEL, &zeroed);
		if (a[n].v == FRAME_NULL) {
			break;
		}
		assert_false(zeroed);
	}
	assert_in_range(n, 20, 30);
	assert_int_equal(frame_alloc_run(FRAME_CHANNEL, BIG_PAGE_SIZE).v,
			 FRAME_NULL);
	assert_false(frame_zero_one());
	while (n) {
		free_pages(FRAME_CHANNEL, a[--n], BIG_PAGE_SIZE);
	}
	assert_int_equal(owned(FRAME_FREE), before);
	check_accounts();
}

/* A unit that was zeroed ahead of need, used page by page, and free again is
 * not a zeroed one. */
static void used_units_are_dirty(void **state)
{
	static hpa_t a[PAGES];
	uint64_t n = 0, i;
	bool zeroed;

	(void)state;
	while (frame_zero_one()) {
	}
	while ((a[n] = frame_alloc(FRAME_CHANNEL, false)).v != FRAME_NULL) {
		memset(hpa_ptr(a[n++]), 0xdd, PAGE_SIZE);
	}
	for (i = 0; i < n; i++) {
		free_pages(FRAME_CHANNEL, a[i], PAGE_SIZE);
	}
	for (n = 0; (a[n] = alloc_big(FRAME_CHANNEL, &zeroed)).v !=
	     FRAME_NULL; n++) {
		assert_false(zeroed);
	}
	while (n) {
		free_pages(FRAME_CHANNEL, a[--n], BIG_PAGE_SIZE);
	}
	check_accounts();
}

static void runs(void **state)
{
	uint64_t before = owned(FRAME_FREE);
	hpa_t a = frame_alloc_run(FRAME_CHANNEL, 5 * MIB);

	(void)state;
	assert_int_not_equal(a.v, FRAME_NULL);
	assert_int_equal(owned(FRAME_FREE), before - 5 * BIG_PAGE_PAGES / 2);
	assert_true(all_zero(a.v, 5 * MIB));
	assert_int_equal(frame_alloc_run(FRAME_CHANNEL, MACHINE).v,
			 FRAME_NULL);
	free_pages(FRAME_CHANNEL, a, 5 * MIB);
	assert_int_equal(owned(FRAME_FREE), before);
	check_accounts();
}

static void populate_zeroed(void **state)
{
	enum hc_reason why;
	struct gpm_entry e;
	uint64_t gpa;
	void *p;

	(void)state;
	/* not RAM: below, between, beyond, the wrap-around */
	static const uint64_t holes[] = {
		0x9f000, 0xa0000, LINUX_RAM - 1, LINUX_RAM + LINUX_RAM_SIZE,
		0xfee00000, ~0ull, BIT64(47), 0x8000000000000000ull,
	};
	for (gpa = 0; gpa < ARRAY_SIZE(holes); gpa++) {
		assert_false(partition_populate(linux_p, GPA(holes[gpa]),
						&why));
		assert_int_equal(why, HC_REASON_GPM_FAULT);
		assert_null(partition_memory(linux_p, GPA(holes[gpa]), 1));
	}
	/* below 640 KiB no 2 MiB page fits into the range */
	assert_true(populate(linux_p, 0x1234));
	assert_true(gpm_lookup(linux_p, GPA(0x1000), &e));
	assert_int_equal(e.size, PAGE_SIZE);
	assert_false(gpm_lookup(linux_p, GPA(0x2000), &e));
	/* not zeroed ahead: 8 pages of a reserved unit, then 16 at a time */
	assert_true(populate(linux_p, LINUX_RAM + 0x15000));
	for (gpa = LINUX_RAM; gpa < LINUX_RAM + BIG_PAGE_SIZE;
	     gpa += PAGE_SIZE) {
		assert_true(gpm_lookup(linux_p, GPA(gpa), &e));
		assert_int_equal(e.present, gpa >= LINUX_RAM + 0x10000 &&
				 gpa < LINUX_RAM + 0x18000);
		assert_int_equal(e.reserved, !e.present);
		assert_true(!e.present || all_zero(e.pa.v, PAGE_SIZE));
	}
	/* memory that the hypervisor touches itself, within a page only */
	p = partition_memory(linux_p, GPA(LINUX_RAM + 0x30ff8), 8);
	assert_non_null(p);
	assert_int_equal(*(uint64_t *)p, 0);
	assert_null(partition_memory(linux_p, GPA(LINUX_RAM + 0x30ff9), 8));
	assert_int_equal(linux_p->pages_populated, 513);
	stop_linux();
	assert_int_equal(linux_p->pages_populated, 0);
}

static void populate_big_zeroed(void **state)
{
	struct gpm_entry e;
	uint32_t i;

	(void)state;
	for (i = 0; i < BIG_PAGE_PAGES; i++) {
		frame_zero_one();
	}
	assert_true(populate(linux_p, LINUX_RAM + BIG_PAGE_SIZE + 0x5000));
	assert_true(gpm_lookup(linux_p, GPA(LINUX_RAM + BIG_PAGE_SIZE +
					    0x7000), &e));
	assert_int_equal(e.size, BIG_PAGE_SIZE);
	assert_int_equal(e.pa.v & BIG_PAGE_MASK, 0x7000);
	assert_true(all_zero(e.pa.v & ~BIG_PAGE_MASK, BIG_PAGE_SIZE));
	stop_linux();
}

/* What one life of Linux wrote the next one must not read. */
static void zeroed_between_owners(void **state)
{
	uint64_t gpa;
	uint32_t life;
	uint8_t *p;

	(void)state;
	for (life = 0; life < 3; life++) {
		for (gpa = LINUX_RAM; gpa < LINUX_RAM + 8 * MIB;
		     gpa += PAGE_SIZE) {
			p = partition_memory(linux_p, GPA(gpa), PAGE_SIZE);
			assert_non_null(p);
			assert_int_equal(p[0] | p[2048] | p[4095], 0);
			memset(p, 0xcc, PAGE_SIZE);
		}
		stop_linux();
	}
}

static void cap(void **state)
{
	uint64_t gpa, pages = 0, rest = stop_linux();
	enum hc_reason why;

	(void)state;
	for (gpa = LINUX_RAM; gpa < LINUX_RAM + LINUX_RAM_SIZE;
	     gpa += PAGE_SIZE) {
		if (!partition_populate(linux_p, GPA(gpa), &why)) {
			assert_int_equal(why, HC_REASON_NO_MEMORY);
			break;
		}
		pages++;
	}
	/* all of it can be used: tables do not count */
	check_accounts();
	assert_int_equal(pages, LINUX_CAP / PAGE_SIZE);
	assert_int_equal(stop_linux(), rest);
}

/* The pool runs dry at every possible point; nothing is lost or charged. */
static void exhaustion(void **state)
{
	static hpa_t taken[PAGES];
	uint64_t before = owned(FRAME_FREE), n = 0, left, charged, rest;
	enum hc_reason why;

	(void)state;
	rest = stop_linux();
	while ((taken[n] = frame_alloc(FRAME_CHANNEL, false)).v !=
	       FRAME_NULL) {
		n++;
	}
	assert_int_equal(n, before);
	for (left = 0; left < 5; left++) {
		charged = promise_owned(linux_p);
		while (partition_populate(linux_p, GPA(LINUX_RAM +
				left * BIG_PAGE_SIZE + promise_owned(linux_p) *
				PAGE_SIZE), &why)) {
			charged = promise_owned(linux_p);
		}
		assert_int_equal(why, HC_REASON_NO_MEMORY);
		assert_in_range(promise_owned(linux_p), charged, charged + 3);
		check_accounts();
		free_pages(FRAME_CHANNEL, taken[--n], PAGE_SIZE);
	}
	while (n) {
		free_pages(FRAME_CHANNEL, taken[--n], PAGE_SIZE);
	}
	stop_linux();
	assert_in_range(owned(FRAME_FREE), before - 3, before);
	assert_in_range(promise_owned(linux_p), rest, rest + 3);
}

/* What one partition is promised another cannot take. */
static void promises(void **state)
{
	static hpa_t taken[PAGES];
	uint64_t gpa, n = 0, promise = 2000;
	enum hc_reason why = HC_REASON_NONE;

	(void)state;
	stop_linux();
	linux_p->pages_min = promise_owned(linux_p) + promise;
	while (owned(FRAME_FREE) > promise + 100) {
		taken[n++] = frame_alloc(FRAME_CHANNEL, false);
	}
	for (gpa = 0; gpa < HOST_RAM; gpa += PAGE_SIZE) {
		if (!partition_populate(host, GPA(gpa), &why)) {
			break;
		}
	}
	assert_int_equal(why, HC_REASON_NO_MEMORY);
	assert_in_range(owned(FRAME_FREE), promise, promise + 16);
	for (gpa = 0; gpa < promise - 8; gpa++) {
		assert_true(partition_populate(linux_p, GPA(LINUX_RAM +
						gpa * PAGE_SIZE), &why));
	}
	check_accounts();
	stop_linux();
	linux_p->pages_min = 0;
	while (n) {
		free_pages(FRAME_CHANNEL, taken[--n], PAGE_SIZE);
	}
}

static void donate_one_page(void **state)
{
	uint64_t gpa = 5 * MIB, dst = LINUX_RAM + 0x3000, epoch;
	struct gpm_entry e;
	uint8_t *p;

	(void)state;
	assert_true(populate(host, gpa));
	p = partition_memory(host, GPA(gpa), PAGE_SIZE);
	memset(p, 0x77, PAGE_SIZE);
	epoch = host->gpm_epoch;
	assert_int_equal(donate_memory(host, GPA(gpa), linux_p, GPA(dst),
					  1), HC_OK);
	assert_true(host->gpm_epoch > epoch);	/* its TLB is stale */
	assert_false(gpm_lookup(host, GPA(gpa), &e));
	assert_true(gpm_lookup(host, GPA(gpa + PAGE_SIZE), &e));
	assert_ptr_equal(partition_memory(linux_p, GPA(dst), PAGE_SIZE), p);
	assert_int_equal(*p, 0x77);
	check_accounts();
	/* the host's page is anew, and zero */
	p = partition_memory(host, GPA(gpa), PAGE_SIZE);
	assert_int_equal(*p, 0);
	stop_linux();
}

static void donate_whole_units(void **state)
{
	uint64_t src = 8 * MIB, dst = LINUX_RAM + 4 * MIB, at;
	struct gpm_entry e;

	(void)state;
	/* present page by page, the unit moves as one large page */
	for (at = 0; at <= BIG_PAGE_SIZE; at += PAGE_SIZE) {
		assert_true(populate(host, src + at));
	}
	/* what is more than a call may move is there, and stays */
	assert_int_equal(donate_memory(host, GPA(src), linux_p, GPA(dst),
				       HC_DONATE_MAX + 1), HC_EINVAL);
	assert_true(gpm_lookup(host, GPA(src), &e));
	assert_int_equal(e.size, PAGE_SIZE);
	assert_int_equal(donate_memory(host, GPA(src), linux_p, GPA(dst),
					  512), HC_OK);
	assert_true(gpm_lookup(linux_p, GPA(dst), &e));
	assert_int_equal(e.size, BIG_PAGE_SIZE);
	assert_true(gpm_range_empty(host, GPA(src)));
	check_accounts();
	/* one page out of it splits it, with the rights of the whole */
	assert_int_equal(gpm_split(linux_p, GPA(dst + 0x5000)), HC_OK);
	for (at = 0; at < BIG_PAGE_SIZE; at += PAGE_SIZE) {
		hpa_t whole = e.pa;
		struct gpm_entry part;

		assert_true(gpm_lookup(linux_p, GPA(dst + at), &part));
		assert_int_equal(part.pa.v, whole.v + at);
		assert_int_equal(part.size, PAGE_SIZE);
		assert_true(part.present && part.write && part.exec);
	}
	check_accounts();
	stop_linux();
}

/* Each refusal leaves everything as it was. */
static void donate_refused(void **state)
{
	static const struct {
		uint64_t src, dst, pages;
		hv_status_t st;
	} t[] = {
		{ 6 * MIB, LINUX_RAM, 0, HC_EINVAL },
		{ 6 * MIB, LINUX_RAM, HC_DONATE_MAX + 1, HC_EINVAL },
		{ 6 * MIB, LINUX_RAM, ~0ull, HC_EINVAL },
		{ 6 * MIB + 1, LINUX_RAM, 1, HC_EINVAL },
		{ 6 * MIB, LINUX_RAM + 8, 1, HC_EINVAL },
		{ 6 * MIB, LINUX_RAM - PAGE_SIZE, 1, HC_EINVAL },
		{ 6 * MIB, LINUX_RAM + LINUX_RAM_SIZE, 1, HC_EINVAL },
		{ 6 * MIB, LINUX_RAM + LINUX_RAM_SIZE - PAGE_SIZE, 2,
		  HC_EINVAL },
		{ 6 * MIB, 0x9e000, 2, HC_EINVAL },
		{ 0xb0000000, LINUX_RAM, 1, HC_EINVAL },	/* device */
		{ HOST_RAM, LINUX_RAM, 1, HC_EINVAL },
		{ 0xfffffffffffff000, LINUX_RAM, 2, HC_EINVAL },
		/* a hole in the middle of the source */
		{ 6 * MIB + 0xf000, LINUX_RAM, 2, HC_EINVAL },
		/* something there already */
		{ 6 * MIB, LINUX_RAM + 12 * MIB - PAGE_SIZE, 2, HC_EBUSY },
	};
	uint64_t h, l, i;
	enum hc_reason why;
	hpa_t ch;

	(void)state;
	/* 16 pages present, the next reserved only */
	assert_true(populate(host, 6 * MIB) && populate(host, 6 * MIB + 0x8000));
	assert_true(partition_populate(linux_p, GPA(LINUX_RAM + 12 * MIB),
				       &why));
	h = promise_owned(host);
	l = promise_owned(linux_p);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		assert_int_equal(donate_memory(host, GPA(t[i].src), linux_p,
				GPA(t[i].dst), t[i].pages), t[i].st);
		assert_int_equal(promise_owned(host), h);
		assert_int_equal(promise_owned(linux_p), l);
	}
	assert_int_equal(donate_memory(host, GPA(6 * MIB), host,
					  GPA(7 * MIB), 1), HC_EINVAL);
	linux_p->state = HC_STATE_RUNNING;
	assert_int_equal(donate_memory(host, GPA(6 * MIB), linux_p,
					  GPA(LINUX_RAM), 1), HC_EBUSY);
	linux_p->state = HC_STATE_STOPPED;
	linux_p->pages_cap = promise_owned(linux_p) - linux_p->pages_tables;
	assert_int_equal(donate_memory(host, GPA(6 * MIB), linux_p,
					  GPA(LINUX_RAM), 1), HC_ENOMEM);
	linux_p->pages_cap = LINUX_CAP / PAGE_SIZE;
	/* a page that is mapped there, and is another's */
	ch = frame_alloc(FRAME_CHANNEL, true);
	assert_int_equal(gpm_map(host, GPA(20 * MIB), ch, PAGE_SIZE, GPM_ALL),
			 HC_OK);
	assert_int_equal(donate_memory(host, GPA(20 * MIB), linux_p,
				       GPA(LINUX_RAM), 1), HC_EINVAL);
	assert_int_equal(owner_of(ch.v), FRAME_CHANNEL);
	lock_take(&host->lock);
	gpm_clear(host, GPA(20 * MIB));
	gpm_tidy(host, GPA(20 * MIB));
	lock_drop(&host->lock);
	free_pages(FRAME_CHANNEL, ch, PAGE_SIZE);
	check_accounts();
	stop_linux();
}

/* Maps with device and channel pages: mapped, never owned. */
static void foreign_pages(void **state)
{
	hpa_t ch = frame_alloc(FRAME_CHANNEL, true);
	uint64_t rest = stop_linux();
	struct gpm_entry e;

	(void)state;
	assert_true(gpm_lookup(host, GPA(0xb0001000), &e));
	assert_int_equal(e.pa.v, 0xfd001000);
	assert_int_equal(e.raw & 0x78, 0x40);	/* uncached */
	assert_null(partition_memory(host, GPA(0xb0000000), 1));
	assert_int_equal(gpm_map(linux_p, GPA(0xe4000000), ch, PAGE_SIZE,
				 GPM_READ), HC_OK);
	assert_int_equal(gpm_map(linux_p, GPA(0xe4000000), ch, PAGE_SIZE,
				 GPM_READ), HC_EBUSY);
	assert_true(gpm_lookup(linux_p, GPA(0xe4000000), &e));
	assert_true(e.present && !e.write && !e.exec);
	assert_null(partition_memory(linux_p, GPA(0xe4000000), 1));
	(void)stop_linux();
	assert_int_equal(owner_of(ch.v), FRAME_CHANNEL);
	assert_false(gpm_lookup(linux_p, GPA(0xe4000000), &e));
	free_pages(FRAME_CHANNEL, ch, PAGE_SIZE);
	assert_in_range(promise_owned(linux_p), rest, rest + 2);
}

/* To the last byte, and no sum that wraps. */
static void has_ram(void **state)
{
	const uint64_t end = LINUX_RAM + LINUX_RAM_SIZE;

	(void)state;
	assert_true(partition_has_ram(linux_p, GPA(LINUX_RAM), LINUX_RAM_SIZE));
	assert_true(partition_has_ram(linux_p, GPA(end - 1), 1));
	assert_false(partition_has_ram(linux_p, GPA(end - 1), 2));
	assert_false(partition_has_ram(linux_p, GPA(end), 1));
	assert_false(partition_has_ram(linux_p, GPA(LINUX_RAM - 1), 2));
	assert_false(partition_has_ram(linux_p, GPA(LINUX_RAM + 1), ~0ull));
	/* between two ranges */
	assert_false(partition_has_ram(linux_p, GPA(0), LINUX_RAM + 1));
}

static void ports(void **state)
{
	uint32_t port;

	(void)state;
	for (port = 0; port < 65536; port++) {
		assert_true(linux_p->native_ports[port / 8] >> port % 8 & 1);
	}
}

/* Random work against the accounts; a failure tells the seed. */
static void random_work(void **state)
{
	static uint64_t ways[4];
	uint64_t rest = stop_linux(), free_before = owned(FRAME_FREE);
	uint64_t host_before = promise_owned(host);
	uint32_t step, i;

	(void)state;
	srand(2);
	for (step = 0; step < 4000; step++) {
		uint64_t h = (uint64_t)rand() % (HOST_RAM / PAGE_SIZE);
		uint64_t l = (uint64_t)rand() % (LINUX_RAM_SIZE / PAGE_SIZE);
		uint64_t n = 1 + (uint64_t)rand() %
			     (rand() % 4 ? 8 : HC_DONATE_MAX);
		uint32_t what = (uint32_t)rand() % 100;
		enum hc_reason why;
		hv_status_t st;

		if (what < 40) {
			ways[0] += partition_populate(host,
					GPA(h * PAGE_SIZE), &why);
		} else if (what < 60) {
			ways[1] += partition_populate(linux_p, GPA(LINUX_RAM +
					l * PAGE_SIZE), &why);
		} else if (what < 90) {
			if (rand() % 4 == 0) {	/* whole units */
				h &= ~511ull;
				l &= ~511ull;
				n = 512;
			}
			for (i = 0; i < n && h + i < HOST_RAM / PAGE_SIZE;
			     i++) {
				(void)partition_populate(host, GPA((h + i) *
						PAGE_SIZE), &why);
			}
			st = donate_memory(host, GPA(h * PAGE_SIZE),
					linux_p, GPA(LINUX_RAM +
					l * PAGE_SIZE), n);
			ways[2] += st == HC_OK;
		} else if (what < 97) {
			for (i = 0; i < 100; i++) {
				(void)frame_zero_one();
			}
		} else {
			stop_linux();
			ways[3]++;
		}
		if (step % 100 == 0) {
			check_accounts();
		}
	}
	check_accounts();
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		assert_true(ways[i] > 20);	/* each was really done */
	}
	stop_linux();
	assert_in_range(promise_owned(linux_p), rest, rest + 2);
	assert_int_equal(owned(FRAME_FREE) + promise_owned(host) +
			 promise_owned(linux_p),
			 free_before + host_before + rest);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_start),
		cmocka_unit_test(single_pages),
		cmocka_unit_test(used_units_are_dirty),
		cmocka_unit_test(runs),
		cmocka_unit_test(populate_zeroed),
		cmocka_unit_test(populate_big_zeroed),
		cmocka_unit_test(big_pages),
		cmocka_unit_test(zeroed_between_owners),
		cmocka_unit_test(cap),
		cmocka_unit_test(exhaustion),
		cmocka_unit_test(donate_one_page),
		cmocka_unit_test(donate_whole_units),
		cmocka_unit_test(donate_refused),
		cmocka_unit_test(foreign_pages),
		cmocka_unit_test(has_ram),
		cmocka_unit_test(ports),
		cmocka_unit_test(random_work),
		cmocka_unit_test(promises),
		cmocka_unit_test(wrong_owner),
	};

	return cmocka_run_group_tests(tests, make_machine, NULL);
}
