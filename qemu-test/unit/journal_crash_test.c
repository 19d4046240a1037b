/* SPDX-License-Identifier: MIT */
/*
 * The journal over power cuts: at every instant of random runs, and whatever of the
 * writes that were not lasting the disk has kept. Our recovery, and now and then
 * e2fsck's, must bring back what was promised. CRASH_STATES: how many, about.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/jbd2/jbd2_int.h"
#include "qemu-test/unit/journal_world.h"

#define CACHED		BLOCK_HAS_FLUSH
#define FUA		(BLOCK_HAS_FLUSH | BLOCK_HAS_FUA)

static struct image im, ours, theirs;
static unsigned states, by_e2fsck;

static unsigned wanted(unsigned otherwise)
{
	const char *value = getenv("CRASH_STATES");

	return value != NULL ? (unsigned)atoi(value) : otherwise;
}

/* One state: recovered, judged, and recovered again, which changes nothing. */
static void judge(struct world *w, struct image *cut, unsigned time,
		  bool also_e2fsck)
{
	struct journal_found found;
	struct image_dev dev;
	char why[JOURNAL_WHY];
	const char *wrong;

	states++;
	if (also_e2fsck) {
		by_e2fsck++;
		memcpy(theirs.data, cut->data, cut->size);
		image_e2fsck(&theirs);
	}
	image_dev_open(&dev, cut);
	if (image_recover(&dev, &found, why) != 0) {
		fail_msg("at %u: refused: %s", time, why);
	}
	wrong = world_judge(w, cut, time);
	if (wrong != NULL) {
		fail_msg("at %u: %s", time, wrong);
	}
	if (also_e2fsck && !image_same(cut, &theirs)) {
		fail_msg("at %u: e2fsck brings back something else", time);
	}
}

/* All instants of a run, each in some ways; every n-th state for e2fsck, too. */
static void judge_all(struct world *w, unsigned most, unsigned e2fsck_every)
{
	unsigned every = w->disk.time * FAKE_CUTS / (most + 1) + 1;
	struct fake_cuts cuts;
	uint64_t seed = w->seed;

	fake_cuts_begin(&cuts, &w->disk);
	for (unsigned time = 0; time <= w->disk.time; time++) {
		bool moved = false;

		for (unsigned how = 0; how < FAKE_CUTS; how++) {
			if ((time * FAKE_CUTS + how) % every != 0) {
				continue;
			}
			if (!moved) {
				fake_cuts_to(&cuts, time);
				moved = true;
			}
			if (fake_cuts_make(&cuts, how, &seed, ours.data)) {
				judge(w, &ours, time, e2fsck_every != 0 &&
				      states % e2fsck_every == 0);
			}
		}
	}
	fake_cuts_end(&cuts);
}

static void run_one(uint64_t base, unsigned frames, unsigned features,
		    uint64_t seed, unsigned steps, unsigned most,
		    unsigned e2fsck_every)
{
	struct world w;

	world_open(&w, &im, base, frames, features, seed);
	w.large = seed % 4 == 0;
	world_play(&w, steps);
	if (seed % 3 == 0) {
		assert_int_equal(world_close(&w), 0);
	}
	assert_false(w.failed);
	judge_all(&w, most, e2fsck_every);
	world_free(&w);
}

/* Small images of nothing but a journal: many states a second. */
static void test_cuts(void **state)
{
	unsigned most = wanted(4000);

	(void)state;
	states = 0;
	for (uint64_t seed = 1; states < most; seed++) {
		image_blank(&im, 1024, 256, 38 + (uint32_t)(seed * 7 % 24));
		image_copy(&ours, &im);
		run_one(200, 80 + seed * 13 % 60, seed % 2 ? CACHED : FUA,
			seed, 150, most / 24, 0);
		image_free(&ours);
		image_free(&im);
	}
	print_message("%u states\n", states);
}

/* What mke2fs has made, so that e2fsck can bring it back, too. */
static void test_cuts_e2fsck(void **state)
{
	static const char *const options[] = {
		"-J size=1 -O ^metadata_csum,^64bit", "-J size=1",
	};
	unsigned most = wanted(2000) / 4;

	(void)state;
	states = by_e2fsck = 0;
	for (uint64_t seed = 1; seed < 7; seed++) {
		image_make(&im, 1024, "3M", options[seed % 2], NULL);
		image_shorten_log(&im, 40 + (uint32_t)seed * 5);
		image_needs_recovery(&im, true);
		image_copy(&ours, &im);
		image_copy(&theirs, &im);
		run_one(3000, 90, seed % 2 ? CACHED : FUA, seed * 1001, 150,
			most / 6, 8);
		image_free(&theirs);
		image_free(&ours);
		image_free(&im);
	}
	print_message("%u states, %u of them by e2fsck too\n", states,
		      by_e2fsck);
}

/* From some instant on a kind of request fails. */
struct failing {
	enum block_op op;
	uint64_t from, to;		/* sectors of writes */
	unsigned since;
};

static bool fails(struct fake_disk *disk, const struct block_req *req)
{
	const struct failing *f = disk->arg;

	return disk->time >= f->since && req->op == f->op &&
	       (req->op == BLOCK_FLUSH ||
		(req->sector >= f->from && req->sector < f->to));
}

/* The log, or a flush, fails: nothing more is promised, and nothing that was is
 * lost; what is open is read-only. */
static void test_log_fails(void **state)
{
	(void)state;
	states = 0;
	for (uint64_t seed = 1; seed < 40; seed++) {
		struct failing f = {
			.op = seed % 2 ? BLOCK_WRITE : BLOCK_FLUSH,
			.from = 2, .to = 2 * 41, .since = 40 * seed,
		};
		struct world w;

		image_blank(&im, 1024, 256, 40);
		image_copy(&ours, &im);
		world_open(&w, &im, 200, 100, CACHED, seed);
		w.disk.fails = fails;
		w.disk.arg = &f;
		world_play(&w, 150);
		if (w.disk.time >= f.since) {
			struct volume_wait wait = { 0 };

			assert_int_equal(world_sync(&w), EIO);
			assert_true(w.failed);
			assert_int_equal(journal_begin(w.journal, 1, &wait),
					 EROFS);
			assert_int_equal(world_close(&w), EIO);
		}
		judge_all(&w, 60, 0);
		world_free(&w);
		image_free(&ours);
		image_free(&im);
	}
	print_message("%u states\n", states);
}

/* A block of data cannot be written: that is told to who wants it lasting, once; the
 * journal goes on. */
static void test_data_fails(void **state)
{
	struct failing f = { BLOCK_WRITE, 2 * 250, 2 * 251, 0 };
	struct volume_dev *dev;
	struct world w;

	(void)state;
	image_blank(&im, 1024, 256, 40);
	world_open(&w, &im, 200, 100, CACHED, 1);
	w.disk.fails = fails;
	w.disk.arg = &f;
	dev = cache_dev(w.cache);
	assert_int_equal(world_sync(&w), 0);
	assert_non_null(dev->ops->poke(dev, 250, true));
	assert_non_null(dev->ops->poke(dev, 251, true));
	assert_int_equal(world_sync(&w), EIO);
	assert_int_equal(world_sync(&w), 0);
	assert_false(w.failed);
	assert_int_equal(world_close(&w), 0);
	world_free(&w);
	image_free(&im);
}

/* It may be closed before its opening is on the disk. */
static void test_closed_at_once(void **state)
{
	struct world w;

	(void)state;
	image_blank(&im, 1024, 256, 40);
	world_open(&w, &im, 200, 100, CACHED, 1);
	assert_int_equal(world_close(&w), 0);
	world_free(&w);
	image_free(&im);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_at_once),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_cuts_e2fsck),
		cmocka_unit_test(test_log_fails),
		cmocka_unit_test(test_data_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
