/* SPDX-License-Identifier: MIT */
/*
 * When what is in the log goes to its places, and in how many requests: not while
 * it may be changed again soon, unless there is no room; then neighbours together.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host-bridge/fs/jbd2/jbd2_int.h"
#include "qemu-test/unit/journal_world.h"

#define BASE	2200u			/* the first of our blocks */
#define LOG	2000u

static struct image im;
static struct world w;

static void begin(void)
{
	image_blank(&im, 1024, 2300, LOG);
	world_open(&w, &im, BASE, 400, BLOCK_HAS_FLUSH, 1);
	world_quiet(&w);
	w.seconds = 100;
	journal_tick(w.journal, w.seconds);
}

static void end(void)
{
	assert_int_equal(world_close(&w), 0);
	world_free(&w);
	image_free(&im);
}

static void change(unsigned block)
{
	struct volume_dev *dev = cache_dev(w.cache);
	struct volume_wait wait = { 0 };

	assert_int_equal(journal_begin(w.journal, 1, &wait), 0);
	cache_turn(w.cache, NULL);
	assert_non_null(dev->ops->change(dev, BASE + block, true));
}

/* So many seconds later, and all is done that is due then. Returns the requests of
 * the disk that wrote something. */
static unsigned later(unsigned seconds)
{
	uint64_t before = w.disk.dev.stats.writes;

	w.seconds += seconds;
	journal_tick(w.journal, w.seconds);
	world_quiet(&w);
	return (unsigned)(w.disk.dev.stats.writes - before);
}

static struct journal_state look(void)
{
	struct journal_state state;

	journal_look(w.journal, &state);
	return state;
}

/* Half a minute after its last change a block goes home, by itself; block 0 is the
 * round's own, changed in each. */
static void test_old(void **state)
{
	(void)state;
	begin();
	change(1);
	change(2);
	change(3);
	assert_int_equal(world_sync(&w), 0);
	assert_int_equal(later(29), 0);
	assert_int_equal(look().transactions, 1);
	change(1);
	assert_int_equal(world_sync(&w), 0);
	assert_int_equal(look().transactions, 2);
	/* 2 and 3, and where the log begins. */
	assert_int_equal(later(1), 2);
	assert_int_equal(look().transactions, 1);
	assert_int_equal(later(28), 0);
	assert_int_equal(later(1), 2);
	assert_int_equal(look().transactions, 0);
	assert_int_equal(look().used, 0);
	assert_int_equal(later(100), 0);
	end();
}

/* What is being changed waits for its own round, which it does not hasten. */
static void test_changed_again(void **state)
{
	uint64_t commits;

	(void)state;
	begin();
	change(1);
	change(2);
	assert_int_equal(world_sync(&w), 0);
	commits = look().commits;
	assert_int_equal(later(28), 0);
	change(1);
	/* 0 and 2. */
	assert_int_equal(later(2), 2);
	assert_int_equal(look().commits, commits);
	assert_int_equal(look().transactions, 1);
	later(3);
	assert_int_equal(look().commits, commits + 1);
	later(1);
	assert_int_equal(look().transactions, 1);
	later(29);
	assert_int_equal(look().transactions, 0);
	end();
}

/* Neighbours are one request, in whatever order they were changed. */
static void test_neighbours(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < 24; i++) {
		change(1 + i * 7 % 24);
	}
	assert_int_equal(world_sync(&w), 0);
	assert_int_equal(later(30), 2);
	end();
}

/* A log with room is filled, with many transactions, which end as one. */
static void test_room(void **state)
{
	(void)state;
	begin();
	for (unsigned turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < 240; i++) {
			change(1 + i % 3);
			assert_int_equal(world_sync(&w), 0);
		}
		assert_int_equal(look().checkpoints, 240 * turn);
		assert_int_equal(look().transactions, 240);
		/* Over the 239 that have nothing to bring home; four blocks,
		 * which are neighbours; over the last. */
		assert_int_equal(later(30), 3);
		assert_int_equal(look().transactions, 0);
	}
	for (unsigned i = 0; i < 300; i++) {
		change(1 + i % 3);
		assert_int_equal(world_sync(&w), 0);
	}
	assert_true(look().checkpoints > 240 * 3);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old),
		cmocka_unit_test(test_changed_again),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
