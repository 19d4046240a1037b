/* SPDX-License-Identifier: MIT */
/*
 * When Linux's page cache is given up: the policy, and a Linux that has a cache, a
 * part of it in use, and time that passes by looks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "guest/init/cache.h"

#define MIB	1024u		/* in KiB */
#define SECOND	1000u
#define LOOK	CACHE_LOOK_MS

struct guest {
	struct cache_policy policy;
	struct cache_sample s;
	unsigned int busy;		/* percent of the CPUs' time */
	uint64_t stuck_kib;		/* of the cache, cannot be given up */
	uint64_t used_kib;		/* of it, is read all the time */
	uint64_t gone_kib;		/* of what is used */
	uint64_t given_kib;		/* in all */
	uint64_t largest_kib;		/* step */
	unsigned int steps, writes, watches;
	unsigned int reads;		/* of more than times */
};

static void setup(struct guest *l, uint64_t file_kib)
{
	*l = (struct guest){ .policy.floor_kib = CACHE_FLOOR_KIB };
	l->s = (struct cache_sample){ .ms = 5 * SECOND, .cpus = 2,
				      .idle_ms = 3 * SECOND,
				      .refault_kib = 12345,
				      .file_kib = file_kib };
}

/* Linux gives up what is not in use first. */
static void reclaim(struct guest *l, uint64_t kib)
{
	uint64_t can = l->s.file_kib - l->stuck_kib;
	uint64_t unused;

	kib = kib < can ? kib : can;
	l->s.file_kib -= kib;
	unused = l->s.file_kib > l->used_kib ? 0 :
					       l->used_kib - l->s.file_kib;
	l->gone_kib = unused;
	l->given_kib += kib;
}

/* A look, and the time until the next; what is in use comes back in it. */
static struct cache_step look(struct guest *l)
{
	struct cache_step step = { 0 };

	if (cache_quiet(&l->policy, &l->s)) {
		step = cache_look(&l->policy, &l->s);
		l->reads++;
	}
	if (step.write) {
		assert_true(step.reclaim_kib > 0);
		l->s.dirty_kib = 0;
		l->writes++;
	}
	if (step.reclaim_kib > 0) {
		assert_false(step.watch);
		assert_true(step.reclaim_kib <= l->s.file_kib);
		l->steps++;
		if (step.reclaim_kib > l->largest_kib) {
			l->largest_kib = step.reclaim_kib;
		}
		reclaim(l, step.reclaim_kib);
		/* All of it on one CPU. */
		l->s.ms += SECOND;
		l->s.idle_ms += SECOND;
		cache_done(&l->policy, &l->s);
	}
	l->watches += step.watch;
	l->s.ms += LOOK;
	l->s.idle_ms += (uint64_t)LOOK * l->s.cpus * (100 - l->busy) / 100;
	l->s.refault_kib += l->gone_kib;
	l->s.file_kib += l->gone_kib;
	l->gone_kib = 0;
	return step;
}

/* Looks for so many seconds. */
static void pass(struct guest *l, unsigned int seconds)
{
	uint64_t end = l->s.ms + seconds * SECOND;

	while (l->s.ms < end) {
		look(l);
	}
}

/* 2 GiB of a build: each step has its second of work here, and yet. */
static void shrinks_within_a_minute(void **state)
{
	struct guest l;

	(void)state;
	setup(&l, 2048 * MIB);
	pass(&l, 60);
	assert_true(l.s.file_kib < 512 * MIB);
	pass(&l, 120);
	assert_true(l.s.file_kib < CACHE_FLOOR_KIB + 2 * MIB);
	assert_true(l.s.file_kib >= CACHE_FLOOR_KIB);
}

static void little_by_little(void **state)
{
	struct guest l;

	(void)state;
	setup(&l, 512 * MIB);
	pass(&l, 5);
	assert_int_equal(l.steps, 0);
	pass(&l, 300);
	assert_true(l.largest_kib <= 512 * MIB / 8);
	assert_true(l.steps > 20);
}

static void floor_stays(void **state)
{
	static const uint64_t floors[] = { 0, 1, MIB, 100 * MIB, 4096 * MIB };

	(void)state;
	for (size_t i = 0; i < sizeof(floors) / sizeof(floors[0]); i++) {
		for (uint64_t file = 0; file < 300 * MIB; file += 7777) {
			struct guest l;

			setup(&l, file);
			l.policy.floor_kib = floors[i];
			pass(&l, 600);
			assert_true(l.s.file_kib >= floors[i] ||
				    l.s.file_kib == file);
			assert_true(l.s.file_kib <= floors[i] + 2 * MIB);
			assert_true(l.watches > 60);
		}
	}
}

/* Nothing to be had: as soon as Linux is idle, no look comes by itself. */
static void nothing_changes(void **state)
{
	struct guest l;

	(void)state;
	setup(&l, 300 * MIB);
	pass(&l, 600);
	while (!look(&l).watch) {
	}
	l.given_kib = 0;
	for (int i = 0; i < 1000; i++) {
		assert_false(look(&l).watch);
		assert_false(look(&l).watch);
		assert_false(look(&l).watch);
		assert_true(look(&l).watch);
	}
	assert_int_equal(l.given_kib, 0);
}

static void busy_linux_keeps_all(void **state)
{
	(void)state;
	for (unsigned int busy = 15; busy <= 100; busy += 5) {
		struct guest l;

		setup(&l, 300 * MIB);
		l.busy = busy;
		pass(&l, 3600);
		assert_int_equal(l.given_kib, 0);
		/* A look at it costs next to nothing. */
		assert_int_equal(l.reads, 0);
		assert_int_equal(l.watches, 0);
	}
}

/* In between it computes for a moment: the looks are counted anew. */
static void idle_in_a_row(void **state)
{
	struct guest l;

	(void)state;
	setup(&l, 300 * MIB);
	for (int i = 0; i < 1000; i++) {
		l.busy = i % 3 == 2 ? 50 : 0;
		look(&l);
	}
	assert_int_equal(l.given_kib, 0);
}

/* What is given up is read again: in a day, a few times its size. */
static void cache_in_use_stays(void **state)
{
	struct guest l;

	(void)state;
	setup(&l, 300 * MIB);
	l.used_kib = 300 * MIB;
	pass(&l, 86400);
	assert_true(l.given_kib > 0);
	/* One step a minute, which finds out. */
	assert_true(l.steps < 86400 / 60);
	assert_true(l.s.file_kib > 260 * MIB);

	/* Half of it is, and the other half goes. */
	setup(&l, 300 * MIB);
	l.used_kib = 150 * MIB;
	pass(&l, 600);
	assert_true(l.s.file_kib < 200 * MIB);
	assert_true(l.s.file_kib > 140 * MIB);
}

/* Runs of which each is undone wait longer, to a minute and not more. */
static void patience(void **state)
{
	struct guest l;
	unsigned int waited = 0, before = 0;

	(void)state;
	setup(&l, 300 * MIB);
	for (int run = 0; run < 10; run++) {
		uint64_t from = l.s.ms, given;

		while (look(&l).reclaim_kib == 0) {
		}
		waited = (unsigned int)((l.s.ms - from) / SECOND);
		assert_true(waited >= before);
		assert_true(waited <= 90);
		before = waited;
		while (!look(&l).watch) {
		}
		/* A build reads all of it. */
		given = 300 * MIB - l.s.file_kib;
		l.s.refault_kib += given;
		l.s.file_kib += given;
	}
	assert_true(waited >= 60);
	/* Other files: nobody minded. */
	pass(&l, 600);
	l.s.file_kib = 300 * MIB;
	for (waited = 0; look(&l).reclaim_kib == 0; waited++) {
	}
	assert_true(waited <= 4);
}

static void what_cannot_be_had(void **state)
{
	struct guest l;

	(void)state;
	setup(&l, 300 * MIB);
	l.stuck_kib = 200 * MIB;
	pass(&l, 300);
	assert_true(l.s.file_kib < 204 * MIB);
	l.steps = 0;
	pass(&l, 3600);
	assert_int_equal(l.steps, 0);
	/* More of it, and what was stuck comes free. */
	l.s.file_kib += 50 * MIB;
	l.stuck_kib = 0;
	pass(&l, 300);
	assert_true(l.s.file_kib < CACHE_FLOOR_KIB + 2 * MIB);
	/* Or only that. */
	setup(&l, 300 * MIB);
	l.stuck_kib = 200 * MIB;
	pass(&l, 300);
	l.stuck_kib = 0;
	l.s.file_kib -= 10 * MIB;
	pass(&l, 300);
	assert_true(l.s.file_kib < CACHE_FLOOR_KIB + 2 * MIB);
}

static void dirty_pages_first(void **state)
{
	struct guest l;

	(void)state;
	setup(&l, 300 * MIB);
	l.s.dirty_kib = 100 * MIB;
	pass(&l, 5);
	assert_int_equal(l.writes, 0);
	pass(&l, 10);
	assert_int_equal(l.writes, 1);
	pass(&l, 300);
	assert_int_equal(l.writes, 1);
}

/* No time has passed, or less than none of it was idle: that is not idle. */
static void no_time(void **state)
{
	struct guest l;

	(void)state;
	for (int how = 0; how < 3; how++) {
		setup(&l, 300 * MIB);
		for (unsigned int i = 0; i < 100; i++) {
			l.s.cpus = how == 0 ? 0 : 2;
			l.s.ms = how == 1 ? 5 * SECOND : (5 + i) * SECOND;
			l.s.idle_ms = how < 2 ? 3 * SECOND :
						(1000 - i) * SECOND;
			assert_false(cache_quiet(&l.policy, &l.s));
		}
	}
}

/* Counters that go back, a clock that stands, no CPU, all of nothing. */
static void odd_samples(void **state)
{
	static const uint64_t values[] = { 0, 1, 1000, 1ull << 40,
					   UINT64_MAX };
	struct cache_policy p = { .floor_kib = CACHE_FLOOR_KIB };
	unsigned int n = 1;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct cache_sample s;
		uint64_t *fields[] = { &s.ms, &s.idle_ms, &s.file_kib,
				       &s.dirty_kib, &s.refault_kib };
		struct cache_step step;

		for (size_t f = 0; f < 5; f++) {
			n = n * 1103515245u + 12345;
			*fields[f] = values[(n >> 16) % 5];
		}
		s.cpus = n >> 8 & 1;
		if (!cache_quiet(&p, &s)) {
			continue;
		}
		step = cache_look(&p, &s);
		assert_true(step.reclaim_kib <= s.file_kib);
		if (step.reclaim_kib > 0) {
			assert_true(s.file_kib - step.reclaim_kib >=
				    CACHE_FLOOR_KIB);
			cache_done(&p, &s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shrinks_within_a_minute),
		cmocka_unit_test(little_by_little),
		cmocka_unit_test(floor_stays),
		cmocka_unit_test(nothing_changes),
		cmocka_unit_test(busy_linux_keeps_all),
		cmocka_unit_test(idle_in_a_row),
		cmocka_unit_test(cache_in_use_stays),
		cmocka_unit_test(patience),
		cmocka_unit_test(what_cannot_be_had),
		cmocka_unit_test(dirty_pages_first),
		cmocka_unit_test(no_time),
		cmocka_unit_test(odd_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
