/* SPDX-License-Identifier: MIT */
/*
 * Changes that are larger than a transaction of the journal: a file of thousands of
 * pieces in as many groups is cut off, removed, punched, filled, before the smallest
 * journal that mke2fs makes and a small cache. The journal does not fail; it takes
 * several transactions; and a power cut between two of them leaves what e2fsck, and
 * we, bring to an end.
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

#include "qemu-test/unit/volume_large.h"

#define PIECES		12000u		/* of the file: every second block */
#define GROUP		512u		/* blocks: so 47 groups */
#define CUTS		8u		/* of a change, judged */

static struct run the_run;
static struct image made, cut;
static uint32_t file;			/* the inode */

static int op_find(struct run *r)
{
	return volume_lookup(r->vol, VOLUME_ROOT, NAME("f"), &file);
}

static int op_create(struct run *r)
{
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };

	return volume_create(r->vol, VOLUME_ROOT, NAME("f"), &make, &file);
}

static int op_piece(struct run *r)
{
	static uint8_t data[1024];
	size_t done;

	memset(data, 'x', sizeof(data));
	return volume_write(r->vol, file, 2048ull * r->files, data,
			    sizeof(data), &done);
}

/* The whole file, with what another then has in between. */
static void make_file(void)
{
	struct run *r = &the_run;

	image_make(&made, 1024, "32M", "-N 256 -g 512 -J size=1", NULL);
	image_copy(&cut, &made);
	open_disk(r, &made);
	assert_int_equal(operate(r, op_create), 0);
	for (r->files = 0; r->files < PIECES; r->files++) {
		assert_int_equal(operate(r, op_piece), 0);
		if (r->files % 500 == 0) {
			/* So that the next is not behind it on the disk. */
			sync_all(r);
		}
	}
	close_disk(r);
	memcpy(made.data, r->disk.now, made.size);
	free_disk(r);
	assert_int_equal(image_run(&made, "e2fsck -fn $image"), 0);
}

static int op_unlink(struct run *r)
{
	return volume_unlink(r->vol, VOLUME_ROOT, NAME("f"));
}

static int op_empty(struct run *r)
{
	struct volume_attr attr = { .size = 0 };

	return volume_setattr(r->vol, file, VOLUME_SET_SIZE, &attr);
}

static int op_shorten(struct run *r)
{
	struct volume_attr attr = { .size = 3000 };

	return volume_setattr(r->vol, file, VOLUME_SET_SIZE, &attr);
}

static int op_punch(struct run *r)
{
	return volume_fallocate(r->vol, file,
				VOLUME_FALLOC_PUNCH | VOLUME_FALLOC_KEEP_SIZE,
				10000, 20000000);
}

static int op_zero(struct run *r)
{
	return volume_fallocate(r->vol, file,
				VOLUME_FALLOC_ZERO | VOLUME_FALLOC_KEEP_SIZE,
				0, 2048ull * PIECES / 4);
}

static int op_fill(struct run *r)
{
	return volume_fallocate(r->vol, file, 0, 1024,
				2048ull * PIECES / 4);
}

/* Linux brings back the journal, and ends what was begun. */
#define LINUX	"unshare -m sh -c 'mount -o loop image /mnt && umount /mnt'"

static bool by_linux;

/* What a cut has left is clean when we have opened, ended and closed it. And before,
 * for e2fsck, which frees what has no name, and for Linux. What is being cut off e2fsck
 * is not asked to end: 1.47 damages a file of more than one leaf then, also one that
 * Linux alone has written ("Already cleared indirect block"). */
static void judge(struct fake_cuts *cuts, unsigned time, bool cutting)
{
	static struct image left;
	struct run after;
	uint64_t seed = time;

	fake_cuts_to(cuts, time);
	if (!fake_cuts_make(cuts, FAKE_SOME, &seed, cut.data)) {
		fake_cuts_make(cuts, FAKE_NONE, &seed, cut.data);
	}
	image_copy(&left, &cut);
	if (!cutting && image_run(&cut, "e2fsck -fp $image") > 1) {
		fail_msg("at %u: e2fsck finds something", time);
	}
	if (by_linux && (image_run(&cut, LINUX) != 0 ||
			 image_run(&cut, "e2fsck -fn $image") != 0)) {
		fail_msg("at %u, ended by Linux: e2fsck finds something", time);
	}
	open_disk(&after, &left);
	close_disk(&after);
	memcpy(cut.data, after.disk.now, cut.size);
	free_disk(&after);
	image_free(&left);
	if (image_run(&cut, "e2fsck -fn $image") != 0) {
		fail_msg("at %u, ended: e2fsck finds something", time);
	}
}

static void change(operation op, unsigned least)
{
	static struct image whole;
	struct run *r = &the_run;
	struct fake_cuts cuts;
	unsigned from, span;

	image_copy(&whole, &made);
	open_disk(r, &made);
	assert_int_equal(operate(r, op_find), 0);
	from = r->disk.time;
	assert_int_equal(operate(r, op), 0);
	while (step(r)) {
	}
	sync_all(r);
	assert_false(volume_unended(r->vol));
	span = r->disk.time - from;
	/* Rounds: a commit block each. */
	assert_true(span > 4 * least);
	fake_cuts_begin(&cuts, &r->disk);
	for (unsigned i = 0; i < CUTS; i++) {
		judge(&cuts, from + 1 + span * i / CUTS + i % 3,
		      op == op_empty || op == op_shorten);
	}
	fake_cuts_end(&cuts);
	close_disk(r);
	memcpy(cut.data, r->disk.now, cut.size);
	free_disk(r);
	assert_int_equal(image_run(&cut, "e2fsck -fn $image"), 0);
	memcpy(made.data, whole.data, made.size);
	image_free(&whole);
}

static void test_large(void **state)
{
	(void)state;
	make_file();
	change(op_unlink, 2);
	change(op_empty, 2);
	change(op_shorten, 2);
	change(op_punch, 2);
	change(op_zero, 2);
	change(op_fill, 2);
	image_free(&made);
	image_free(&cut);
}

/* Linux's mount judges what is left of those that e2fsck cannot. */
static void test_by_linux(void **state)
{
	(void)state;
	make_file();
	by_linux = image_run(&made, LINUX) == 0;
	if (by_linux) {
		change(op_empty, 2);
		change(op_shorten, 2);
	}
	image_free(&made);
	image_free(&cut);
	if (!by_linux) {
		skip();			/* no root, or no loop devices */
	}
}

static uint32_t other;

static int op_other(struct run *r)
{
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };

	return volume_create(r->vol, VOLUME_ROOT, NAME("g"), &make, &other);
}

static int op_mode(struct run *r)
{
	struct volume_attr attr = { .mode = 0600 };

	return volume_setattr(r->vol, file, VOLUME_SET_MODE, &attr);
}

/* What fsync does. Returns how many requests the disk has got for it. */
static unsigned fsync_of(struct run *r, uint32_t ino)
{
	struct volume_wait wait = { .ready = ready };
	unsigned before = r->disk.count;
	int error;

	told = false;
	wait.number = volume_round(r->vol, ino);
	assert_int_not_equal(wait.number, 0);
	while ((error = volume_disk_sync(r->vd, &wait)) == EAGAIN) {
		wait_told(r);
	}
	assert_int_equal(error, 0);
	volume_disk_end(r->vd, &wait);
	return r->disk.count - before;
}

/* A file whose last change is lasting costs nothing to make so, whatever was done to
 * others; a change that is in memory only is written after five seconds. */
static void test_fsync(void **state)
{
	struct run *r = &the_run;
	unsigned before;

	(void)state;
	image_make(&made, 1024, "8M", "-N 256 -J size=1", NULL);
	open_disk(r, &made);
	assert_int_equal(operate(r, op_create), 0);
	r->files = 0;
	assert_int_equal(operate(r, op_piece), 0);
	assert_true(fsync_of(r, file) > 0);
	assert_int_equal(fsync_of(r, file), 0);
	assert_int_equal(operate(r, op_other), 0);
	assert_int_equal(fsync_of(r, file), 0);
	assert_true(fsync_of(r, other) > 0);
	assert_int_equal(fsync_of(r, other), 0);
	assert_int_equal(operate(r, op_piece), 0);
	assert_int_equal(fsync_of(r, other), 0);
	assert_true(fsync_of(r, file) > 0);
	volume_disk_tick(r->vd, 1);
	assert_int_equal(operate(r, op_mode), 0);
	before = r->disk.count;
	volume_disk_tick(r->vd, 7);
	while (step(r)) {
	}
	assert_true(r->disk.count > before);
	assert_int_equal(fsync_of(r, file), 0);
	close_disk(r);
	free_disk(r);
	image_free(&made);
}

static int op_hold(struct run *r)
{
	return volume_hold(r->vol, file);
}

/* So it is with content of a file whose times are set once a second, as that of a
 * disk of Linux's, which changes no inode. */
static void test_fsync_rarely(void **state)
{
	struct run *r = &the_run;

	(void)state;
	image_make(&made, 1024, "8M", "-N 256 -J size=1", NULL);
	open_disk(r, &made);
	assert_int_equal(operate(r, op_create), 0);
	assert_int_equal(operate(r, op_hold), 0);
	volume_times_rarely(r->vol, file);
	r->files = 0;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(operate(r, op_piece), 0);
		assert_true(fsync_of(r, file) > 0);
		assert_int_equal(fsync_of(r, file), 0);
	}
	close_disk(r);
	free_disk(r);
	image_free(&made);
}

static uint64_t free_blocks(struct run *r)
{
	struct volume_stat st;

	assert_int_equal(volume_statfs(r->vol, &st), 0);
	return st.blocks_free;
}

/* A session's end lets go of files whenever it comes: nothing changes before there is
 * room for it in a transaction, and then they are gone. */
static void test_release(void **state)
{
	struct run *r = &the_run;
	uint64_t blocks;

	(void)state;
	image_make(&made, 1024, "8M", "-N 256 -J size=1", NULL);
	open_disk(r, &made);
	blocks = free_blocks(r);
	assert_int_equal(operate(r, op_create), 0);
	for (r->files = 0; r->files < 40; r->files++) {
		assert_int_equal(operate(r, op_piece), 0);
	}
	assert_int_equal(operate(r, op_hold), 0);
	assert_int_equal(operate(r, op_unlink), 0);
	sync_all(r);
	assert_true(free_blocks(r) < blocks);
	volume_release(r->vol, file);
	assert_true(volume_unended(r->vol));
	assert_true(free_blocks(r) < blocks);
	while (step(r)) {
	}
	assert_false(volume_unended(r->vol));
	assert_int_equal(free_blocks(r), blocks);
	close_disk(r);
	image_copy(&cut, &made);
	memcpy(cut.data, r->disk.now, cut.size);
	assert_int_equal(image_run(&cut, "e2fsck -fn $image"), 0);
	free_disk(r);
	image_free(&made);
	image_free(&cut);
}

/* From the n-th write on: all fail, or those to where that was. */
struct broken {
	unsigned left;
	bool all;
	uint64_t sector;
};

static bool broken_fails(struct fake_disk *disk, const struct block_req *req)
{
	struct broken *b = disk->arg;

	if (req->op != BLOCK_WRITE) {
		return false;
	}
	if (b->left > 0 && --b->left == 0) {
		b->sector = req->sector;
	}
	return b->left == 0 && (b->all || (req->sector <= b->sector &&
				b->sector < req->sector + req->sectors));
}

static char name[16];

static int op_named(struct run *r)
{
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };

	return volume_create(r->vol, VOLUME_ROOT, NAME(name), &make, &file);
}

/* As one that changes nothing does. */
static int find_named(struct run *r)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	for (told = false;; wait_told(r)) {
		volume_disk_look(r->vd, &wait);
		error = volume_lookup(r->vol, VOLUME_ROOT, NAME(name), &file);
		if (error != EAGAIN) {
			break;
		}
	}
	volume_disk_end(r->vd, &wait);
	return error;
}

static int try_sync(struct run *r)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	told = false;
	while ((error = volume_disk_sync(r->vd, &wait)) == EAGAIN) {
		wait_told(r);
	}
	volume_disk_end(r->vd, &wait);
	return error;
}

/* Makes files and has them lasting, until something fails. Returns how many were
 * lasting. After that all changes are refused, or none. */
static unsigned make_until(struct run *r)
{
	unsigned lasting = 0, failed = 0, made_files = 0;

	for (unsigned i = 0; i < 24; i++) {
		int error;

		snprintf(name, sizeof(name), "n%u", i);
		error = operate(r, op_named);
		if (error == 0) {
			made_files++;
			r->files = 0;
			error = operate(r, op_piece);
		}
		failed += error != 0;
		assert_true(error == 0 || error == EROFS);
		assert_true(failed == 0 || error != 0);
		error = failed != 0 ? EIO : try_sync(r);
		assert_true(error == 0 || error == EIO);
		lasting += error == 0 && lasting == i;
	}
	/* What was there is still read. */
	for (unsigned i = 0; i < made_files; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(find_named(r), 0);
	}
	return lasting;
}

/* Every write may be the one that fails. */
static void test_broken(void **state)
{
	struct run *r = &the_run, after;
	unsigned fewest = 24;

	(void)state;
	image_make(&made, 1024, "4M", "-N 64 -J size=1", NULL);
	image_copy(&cut, &made);
	for (unsigned n = 1; n <= 60; n++) {
		struct broken b = { .left = n, .all = n % 2 != 0 };
		unsigned lasting;

		open_disk(r, &made);
		r->disk.arg = &b;
		r->disk.fails = broken_fails;
		lasting = make_until(r);
		fewest = lasting < fewest ? lasting : fewest;
		memcpy(cut.data, r->disk.now, cut.size);
		while (step(r)) {
		}
		free_disk(r);
		open_disk(&after, &cut);
		for (unsigned i = 0; i < lasting; i++) {
			snprintf(name, sizeof(name), "n%u", i);
			assert_int_equal(find_named(&after), 0);
		}
		close_disk(&after);
		free_disk(&after);
		if (image_run(&cut, "e2fsck -fp $image") > 1 ||
		    image_run(&cut, "e2fsck -fn $image") != 0) {
			fail_msg("write %u: e2fsck finds something", n);
		}
	}
	assert_true(fewest < 4);
	image_free(&made);
	image_free(&cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fsync),
		cmocka_unit_test(test_fsync_rarely),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_by_linux),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
