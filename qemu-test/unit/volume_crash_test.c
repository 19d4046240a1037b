/* SPDX-License-Identifier: MIT */
/*
 * A volume on a disk over power cuts: workloads of one and of two operations, each
 * with and without a sync after it, cut at instants of the disk in all the ways that
 * its flushes allow. What is left must open by itself, with e2fsck finding nothing,
 * and be what the volume was between two operations, not older than what was synced;
 * no byte of a file may be what it never was. CRASH_STATES / 4: how many, about.
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

#include "qemu-test/unit/journal_fixture.h"
#include "qemu-test/unit/volume_crash.h"

#define FRAMES		256u	/* a tenth of the blocks of the volume */

static struct run the_run;
static struct image made, cut;
static unsigned states;
static int64_t fake_time;

int64_t volume_now_ns(void)
{
	return 1700000000000000000ll + (fake_time += 1000);
}

static bool step(struct run *r)
{
	if (volume_disk_due(r->vd)) {
		volume_disk_run(r->vd);
		return true;
	}
	return fake_disk_step(&r->disk);
}

void again(void *arg)
{
	if (!step(arg)) {
		fail_msg("nothing is under way, and somebody waits");
	}
}

static void ready(struct volume_wait *wait)
{
	(void)wait;
}

static void sync_all(struct run *r)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	while ((error = volume_disk_sync(r->vd, &wait)) == EAGAIN) {
		again(r);
	}
	assert_int_equal(error, 0);
	volume_disk_end(r->vd, &wait);
	r->synced[r->syncs] = r->done;
	r->synced_at[r->syncs++] = r->disk.time;
}

static void operate(struct run *r, operation op)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	for (;;) {
		error = volume_disk_begin(r->vd, &wait);
		if (error == 0) {
			error = op(r);
		}
		if (error != EAGAIN) {
			break;
		}
		again(r);
	}
	volume_disk_end(r->vd, &wait);
	/* What the one before has taken away cannot be done again, and so
	 * on; but nothing is wrong with the disk. */
	assert_true(error != EIO && error != EROFS && error != ENOMEM);
	r->done++;
	assert_true(r->done < MOST);
	tree_take(&r->trees[r->done], r->vol, again, r);
}

static int op_set_up(struct run *r)
{
	(void)r;
	return 0;
}

static void start(struct run *r, unsigned features, uint64_t seed)
{
	char why[JOURNAL_WHY];
	int error;

	memset(r, 0, sizeof(*r));
	r->memory = malloc(FRAMES * 1024);
	assert_non_null(r->memory);
	fake_disk_open(&r->disk, made.data, made.size, 512, features);
	r->disk.seed = seed;
	r->disk.unfair = seed / 2 % 3;
	assert_int_equal(volume_disk_new(&r->disk.dev, r->memory,
					 FRAMES * 1024, &r->vd), 0);
	while ((error = volume_disk_open(r->vd, &r->vol, why)) == EAGAIN) {
		again(r);
	}
	if (error != 0) {
		fail_msg("%d: %s", error, why);
	}
	tree_take(&r->trees[0], r->vol, again, r);
	operate(r, op_set_up);
}

static void finish(struct run *r)
{
	while (step(r)) {
	}
	volume_disk_free(r->vd);
	fake_disk_close(&r->disk);
	for (unsigned i = 0; i <= r->done; i++) {
		tree_free(&r->trees[i]);
	}
	free(r->memory);
}

/* Whether each byte of a file is what it was after that operation or a later one. */
static bool content_right(const struct run *r, unsigned k,
			  const struct tree_file *file)
{
	for (uint64_t at = 0; at < file->size; at++) {
		bool right = false;

		for (unsigned i = k; i <= r->done && !right; i++) {
			const struct tree_file *was =
				tree_file(&r->trees[i], file->ino, file->gen);

			right = was != NULL && file->data[at] ==
				(at < was->size ? was->data[at] : 0);
		}
		if (!right) {
			return false;
		}
	}
	return true;
}

static bool is_state(const struct run *r, unsigned k, const struct tree *tree)
{
	if (strcmp(tree->text, r->trees[k].text) != 0) {
		return false;
	}
	for (unsigned i = 0; i < tree->count; i++) {
		if (!content_right(r, k, &tree->files[i])) {
			return false;
		}
	}
	return true;
}

static void never(void *arg)
{
	(void)arg;
	fail_msg("a volume in memory has no block that is absent");
}

/* Opens what the cut has left, as it would be opened from a disk. */
static void judge(struct run *r, unsigned time)
{
	unsigned least = 0;
	struct journal_found found;
	struct image_dev dev;
	struct volume_dev *mem;
	struct volume *vol;
	char why[JOURNAL_WHY];
	static struct tree tree;
	bool right = false;

	states++;
	for (unsigned i = 0; i < r->syncs && r->synced_at[i] <= time; i++) {
		least = r->synced[i];
	}
	image_dev_open(&dev, &cut);
	if (image_recover(&dev, &found, why) != 0) {
		fail_msg("at %u: %s", time, why);
	}
	image_needs_recovery(&cut, false);
	assert_int_equal(volume_mem_open(cut.data, cut.size, &mem), 0);
	assert_int_equal(volume_open(mem, &vol), 0);
	tree_take(&tree, vol, never, NULL);
	assert_int_equal(volume_close(vol), 0);
	mem->ops->close(mem);
	if (image_run(&cut, "e2fsck -fn $image") != 0) {
		system("tail -20 /tmp/isthmus-journal-*/log");
		fail_msg("at %u: e2fsck finds something", time);
	}
	for (unsigned k = least; k <= r->done && !right; k++) {
		right = is_state(r, k, &tree);
	}
	if (!right) {
		print_message("is:\n%swas, after %u:\n%s", tree.text, least,
			      r->trees[least].text);
		fail_msg("at %u: not what it was at any time", time);
	}
	tree_free(&tree);
}

static void judge_all(struct run *r, unsigned from, unsigned most)
{
	unsigned span = (r->disk.time - from + 1) * FAKE_CUTS;
	unsigned every = span / most + 1;
	struct fake_cuts cuts;
	uint64_t seed = r->disk.seed;
	unsigned at = (unsigned)(seed % every);

	fake_cuts_begin(&cuts, &r->disk);
	for (; at < span; at += every) {
		fake_cuts_to(&cuts, from + at / FAKE_CUTS);
		if (fake_cuts_make(&cuts, at % FAKE_CUTS, &seed, cut.data)) {
			judge(r, from + at / FAKE_CUTS);
		}
	}
	fake_cuts_end(&cuts);
}

static void workload(operation one, operation two, bool sync, uint64_t seed,
		     unsigned most)
{
	struct run *r = &the_run;
	unsigned from;

	start(r, seed % 2 ? BLOCK_HAS_FLUSH
			   : BLOCK_HAS_FLUSH | BLOCK_HAS_FUA, seed);
	sync_all(r);
	from = r->disk.time;
	operate(r, one);
	if (sync || two == NULL) {
		sync_all(r);
	}
	if (two != NULL) {
		operate(r, two);
		sync_all(r);
	}
	judge_all(r, from, most);
	finish(r);
}

static void make_image(void)
{
	image_make(&made, 1024, "2600K", "-N 64 -J size=1",
		   "mkdir d\nmkdir empty\nwrite a a\nwrite b b\nwrite c d/a\n");
	image_copy(&cut, &made);
}

static unsigned wanted(unsigned otherwise)
{
	const char *value = getenv("CRASH_STATES");

	return value != NULL ? (unsigned)atoi(value) / 8 : otherwise;
}

static void test_one(void **state)
{
	unsigned most = wanted(600) / 4 + OPERATIONS;

	(void)state;
	make_image();
	for (unsigned i = 0; i < OPERATIONS; i++) {
		workload(operations[i], NULL, true, i, most / OPERATIONS);
	}
	image_free(&made);
	image_free(&cut);
	print_message("%u states\n", states);
}

static void test_two(void **state)
{
	unsigned most = wanted(600) / OPERATIONS / OPERATIONS + 1;

	(void)state;
	make_image();
	for (unsigned i = 0; i < OPERATIONS * OPERATIONS; i++) {
		workload(operations[i / OPERATIONS],
			 operations[i % OPERATIONS], i % 3 == 0, i, most);
	}
	image_free(&made);
	image_free(&cut);
	print_message("%u states\n", states);
}

/* Long ones, at random. */
static void test_random(void **state)
{
	unsigned most = wanted(600) / 2 + 6, runs = 6;
	struct run *r = &the_run;

	(void)state;
	make_image();
	for (uint64_t seed = 1; seed <= runs; seed++) {
		uint64_t chance = seed;
		unsigned from;

		start(r, seed % 2 ? BLOCK_HAS_FLUSH
				  : BLOCK_HAS_FLUSH | BLOCK_HAS_FUA, seed);
		sync_all(r);
		from = r->disk.time;
		for (unsigned i = 0; i < 200; i++) {
			r->seed = fake_chance(&chance);
			operate(r, op_random);
			if (fake_chance(&chance) % 16 == 0) {
				sync_all(r);
			}
			volume_disk_tick(r->vd, i / 4);
			for (unsigned n = fake_chance(&chance) % 8;
			     n > 0 && step(r); n--) {
			}
		}
		sync_all(r);
		judge_all(r, from, most / runs);
		finish(r);
	}
	image_free(&made);
	image_free(&cut);
	print_message("%u states\n", states);
}

/* Many inodes change in one transaction, in a small log before a small memory: it
 * is ended before it is too large. */
static void test_many(void **state)
{
	struct volume_wait wait = { .ready = ready };
	struct run *r = &the_run;
	int error;

	(void)state;
	image_make(&made, 1024, "2900K", "-N 1024 -J size=1", NULL);
	image_copy(&cut, &made);
	start(r, BLOCK_HAS_FLUSH, 1);
	for (r->files = 0; r->files < 1400; r->files++) {
		do {
			error = volume_disk_begin(r->vd, &wait);
			error = error == 0 ? op_many(r) : error;
			if (error == EAGAIN) {
				again(r);
			}
		} while (error == EAGAIN);
		assert_int_equal(error, 0);
		volume_disk_end(r->vd, &wait);
	}
	sync_all(r);
	memcpy(cut.data, r->disk.now, cut.size);
	image_e2fsck(&cut);
	assert_int_equal(image_run(&cut, "e2fsck -fn $image"), 0);
	assert_int_equal(image_run(&cut, "debugfs -R 'ls -p /' $image | "
				   "grep -c /f699/"), 0);
	finish(r);
	image_free(&made);
	image_free(&cut);
}

/* Closed properly: nothing to bring back, and all is there. */
static void test_close(void **state)
{
	struct volume_wait wait = { .ready = ready };
	struct run *r = &the_run;
	int error;

	(void)state;
	make_image();
	start(r, BLOCK_HAS_FLUSH, 1);
	for (unsigned i = 0; i < OPERATIONS; i++) {
		operate(r, operations[i]);
	}
	while ((error = volume_disk_close(r->vd, &wait)) == EAGAIN) {
		again(r);
	}
	assert_int_equal(error, 0);
	volume_disk_end(r->vd, &wait);
	memcpy(cut.data, r->disk.now, cut.size);
	assert_int_equal(image_run(&cut, "e2fsck -fn $image"), 0);
	assert_int_equal(image_run(&cut, "dumpe2fs -h $image | "
				   "grep -q needs_recovery"), 1);
	finish(r);
	image_free(&made);
	image_free(&cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_two),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
