/* SPDX-License-Identifier: MIT */
/*
 * A day of a machine on which memory moves all the time: a Linux with an allocator
 * like the real one's, which allocates, frees, gives free 2 MiB back, compacts and
 * is started anew; a host partition that grows; others that take and free units
 * and pages. What a first touch costs must be at the end what it was at the
 * beginning; nobody ever finds what another one has written, nor loses his own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "hv_memory.h"

#define ROUNDS		8640u		/* of ten seconds */
#define SPAN		360u		/* at each end, which are compared */
#define COST_MAX	100u		/* for 1,000 pages */
#define RAM_PAGES	((uint32_t)(LINUX_CAP / PAGE_SIZE))
#define BLOCKS		(RAM_PAGES / BIG_PAGE_PAGES)
#define THINGS		4000u
#define UNITS		180u		/* that others have */
#define SINGLES		20000u		/* pages likewise */
#define IDLE_PAGES	1000u		/* zeroed ahead in a round */

/* What Linux has allocated: so many pages in a row, until a round. */
static struct thing {
	uint32_t page, pages, until;
} things[THINGS];

static uint8_t used[RAM_PAGES];
static uint32_t round_now, life, in_use;
static hpa_t units[UNITS], singles[SINGLES];
static uint64_t host_pages;		/* that it has touched */

struct cost {
	uint64_t touched, exits, zeroed, units, pieces;
};
static struct cost cost;

static uint32_t chance(uint32_t n)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 20) % n;
}

/* What a page has in it that p wrote at gpa in this life. */
static uint64_t stamp(const struct partition *p, uint64_t gpa)
{
	return (gpa ^ (uint64_t)(p->id + 1) << 56) +
	       (p == linux_p ? (uint64_t)life << 48 : 0);
}

/* p writes to a page: the exits that it causes, and what it finds. */
static void touch(struct partition *p, uint64_t gpa)
{
	bool first = false;
	struct gpm_entry e;
	uint64_t *word;

	if (!gpm_lookup(p, GPA(gpa), &e) || !e.present) {
		bool table = gpm_range_empty(p, GPA(gpa));

		first = true;
		assert_true(populate(p, gpa));
		assert_true(gpm_lookup(p, GPA(gpa), &e));
		cost.exits += p == linux_p;
		if (p == linux_p && e.size == BIG_PAGE_SIZE) {
			cost.units++;
		} else if (p == linux_p) {
			bool fill = gpm_lookup(p, GPA(gpa ^ PAGE_SIZE), &e);

			/* 64 KiB of a unit, or one page; and a table */
			cost.zeroed += (fill ? 16 : 1) + table;
			cost.pieces++;
			assert_true(gpm_lookup(p, GPA(gpa), &e));
		}
	}
	word = hpa_ptr(e.pa);
	if (first || !*word) {
		assert_true(all_zero(e.pa.v, PAGE_SIZE));
	} else {
		assert_int_equal(*word, stamp(p, gpa));
	}
	cost.touched += p == linux_p && !*word;
	word[0] = word[BIG_PAGE_PAGES - 1] = stamp(p, gpa);
}

static uint64_t gpa_of(uint32_t page)
{
	return LINUX_RAM + (uint64_t)page * PAGE_SIZE;
}

/* The first stretch of so many pages, aligned to the power of two above, from
 * the lowest on, as a buddy allocator that has been busy has them. */
static bool find(uint32_t pages, uint32_t *at)
{
	uint32_t align = 1, i;

	while (align < pages && align < BIG_PAGE_PAGES) {
		align *= 2;
	}
	for (*at = 0; *at + pages <= RAM_PAGES; *at += align) {
		for (i = 0; i < pages && !used[*at + i]; i++) {
		}
		if (i == pages) {
			return true;
		}
	}
	return false;
}

static void allocate(uint32_t pages, uint32_t rounds)
{
	uint32_t i, at;

	for (i = 0; i < THINGS && things[i].pages; i++) {
	}
	if (i == THINGS || in_use + pages > RAM_PAGES * 9 / 10 ||
	    !find(pages, &at)) {
		return;
	}
	things[i] = (struct thing){ at, pages, round_now + rounds };
	in_use += pages;
	for (i = 0; i < pages; i++) {
		used[at + i] = 1;
		touch(linux_p, gpa_of(at + i));
	}
}

static void free_thing(struct thing *t)
{
	memset(&used[t->page], 0, t->pages);
	in_use -= t->pages;
	t->pages = 0;
}

/* Most are small and short; some stay; now and then a program is large. */
static void work(void)
{
	uint32_t i;

	for (i = 0; i < THINGS; i++) {
		if (things[i].pages && things[i].until <= round_now) {
			free_thing(&things[i]);
		}
	}
	for (i = chance(40); i; i--) {
		allocate(1u << chance(4), 1 + chance(chance(20) ? 20 : 2000));
	}
	for (i = chance(4); i; i--) {
		allocate(16u << chance(5), 1 + chance(60));
	}
	if (chance(10) == 0) {
		/* its memory comes by the page, as it is touched */
		for (i = chance(3000); i; i -= i < 16 ? i : 16) {
			allocate(16, 5);
		}
	}
}

/* Free 2 MiB that have been touched go back. */
static void report(void)
{
	uint64_t block[HC_RELEASE_BLOCKS];
	uint32_t b, n = 0;

	memset(block, 0, sizeof(block));
	for (b = 0; b < BLOCKS; b++) {
		if (!memchr(&used[b * BIG_PAGE_PAGES], 1, BIG_PAGE_PAGES)) {
			block[n++] = gpa_of(b * BIG_PAGE_PAGES) + 1;
		}
		if (n == HC_RELEASE_BLOCKS || (n && b == BLOCKS - 1)) {
			while (release_memory(linux_p->vcpus[0], block) ==
			       HC_EAGAIN) {
			}
			memset(block, 0, sizeof(block));
			n = 0;
		}
	}
}

/* Linux's compaction: what is small moves to the lowest free places. */
static void compact(void)
{
	uint32_t i, at;

	for (i = THINGS; i--;) {
		struct thing *t = &things[i];

		if (t->pages && t->pages < 16 && chance(4)) {
			struct thing old = *t;

			free_thing(t);
			assert_true(find(old.pages, &at));
			*t = old;
			t->page = at;
			in_use += t->pages;
			memset(&used[at], 1, t->pages);
			for (at = 0; at < t->pages; at++) {
				touch(linux_p, gpa_of(t->page + at));
			}
		}
	}
}

static void restart(void)
{
	(void)stop_linux();
	memset(things, 0, sizeof(things));
	memset(used, 0, sizeof(used));
	in_use = 0;
	life++;
	assert_int_equal(partition_start(linux_p, &(struct vcpu_start){ 0 }),
			 HC_OK);
	/* a kernel and what it has */
	allocate(2800, ROUNDS);
}

/* The host partition grows; others take, write and free. */
static void others(void)
{
	hpa_t *u = &units[chance(UNITS)], *s;
	uint32_t i;
	bool zeroed;

	if (host_pages < HOST_RAM / PAGE_SIZE / 2) {
		touch(host, host_pages++ * PAGE_SIZE + MIB);
	}
	if (u->v) {
		free_pages(FRAME_CHANNEL, *u, BIG_PAGE_SIZE);
		u->v = 0;
	} else if (frame_owned(FRAME_FREE) > LINUX_CAP + 8 * MIB) {
		*u = alloc_big(FRAME_CHANNEL, &zeroed);
		if (u->v == FRAME_NULL) {
			u->v = 0;
		} else {
			memset(hpa_ptr(*u), 0xcc, BIG_PAGE_SIZE);
		}
	}
	for (i = chance(2000); i; i--) {
		s = &singles[chance(SINGLES)];
		if (s->v) {
			free_pages(FRAME_CHANNEL, *s, PAGE_SIZE);
			s->v = 0;
		} else {
			*s = frame_alloc(FRAME_CHANNEL, false);
			memset(hpa_ptr(*s), 0xcc, PAGE_SIZE);
		}
	}
}

/* Pages zeroed in exits, and exits, for 1,000 pages that are touched. */
static uint64_t per_thousand(const char *when)
{
	uint64_t n = (cost.exits + cost.zeroed) * 1000 / cost.touched;

	printf("%s: %llu pages touched, %llu exits, %llu pages zeroed, "
	       "%llu units found, %llu pieces: %llu\n", when,
	       (unsigned long long)cost.touched,
	       (unsigned long long)cost.exits, (unsigned long long)cost.zeroed,
	       (unsigned long long)cost.units, (unsigned long long)cost.pieces,
	       (unsigned long long)n);
	return n;
}

static void day(void **state)
{
	uint64_t morning = 0, evening;
	uint32_t i;

	(void)state;
	restart();
	for (round_now = 0; round_now < ROUNDS; round_now++) {
		for (i = 0; i < IDLE_PAGES && frame_zero_one(); i++) {
		}
		work();
		others();
		if (round_now % 60 == 59) {
			compact();
		}
		report();
		if (round_now % 2000 == 1999) {
			restart();
		}
		if (round_now == SPAN) {
			morning = per_thousand("morning");
		}
		if (round_now == ROUNDS - SPAN) {
			memset(&cost, 0, sizeof(cost));
		}
		if (round_now % 500 == 0) {
			check_accounts();
		}
	}
	evening = per_thousand("evening");
	assert_true(evening <= morning * 6 / 5);
	assert_true(evening <= COST_MAX);
	for (i = 0; i < host_pages; i++) {
		touch(host, i * PAGE_SIZE + MIB);
	}
	check_accounts();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(day),
	};

	return cmocka_run_group_tests(tests, make_machine, NULL);
}
