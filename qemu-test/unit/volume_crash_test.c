/* SPDX-License-Identifier: MIT */
/*
 * A volume on a disk over power cuts: workloads of one and of two operations, each
 * with and without fsync or sync after it, and long ones at random, cut at instants
 * of the disk in the ways that its flushes allow. What is left must open by itself,
 * with e2fsck finding nothing, and be what the volume was between two operations,
 * not older than what was promised; no byte of a file may be what it never was.
 *
 * Processes share the workloads, one for each processor. CRASH_STATES: how many
 * different states, about.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_crash.h"

#define SHARERS		16u
#define RANDOM		50u
#define HASHED		12u
#define IMAGES		2u

static struct run the_run;
static struct image images[IMAGES];	/* of blocks of 1 and of 4 KiB */
static struct crash_counts *counts;
static unsigned self, sharers, workloads;

/* Whether the next workload is this process's. */
static bool mine(void)
{
	return workloads++ % sharers == self;
}

static void make_images(uint32_t log)
{
	static const char script[] = "mkdir d\nmkdir empty\nwrite a a\n"
				     "write b b\nwrite c d/a\n";

	image_make(&images[0], 1024, "2600K", "-N 64 -J size=1", script);
	image_make(&images[1], 4096, "9M", "-N 64 -J size=4", script);
	for (unsigned i = 0; i < IMAGES; i++) {
		image_shorten_log(&images[i], log);
	}
}

static void free_images(void)
{
	for (unsigned i = 0; i < IMAGES; i++) {
		image_free(&images[i]);
	}
}

static void workload(const struct step *one, enum lasting first,
		     const struct step *two, enum lasting second,
		     uint64_t seed, unsigned states)
{
	struct run *r = &the_run;
	unsigned from;

	crash_start(r, &images[0], seed);
	from = r->disk.time;
	crash_operate(r, one->op);
	crash_lasting(r, first, one->path);
	if (two != NULL) {
		crash_operate(r, two->op);
		crash_lasting(r, second, two->path);
	}
	judge_all(r, from, states);
	crash_finish(r);
}

static unsigned wanted(void)
{
	const char *value = getenv("CRASH_STATES");

	return value != NULL ? (unsigned)atoi(value) : 5000;
}

static void test_one(void **state)
{
	(void)state;
	make_images(300);
	judge_open(&images[0], counts);
	for (unsigned i = 0; i < 2 * OPERATIONS; i++) {
		if (mine()) {
			workload(&steps[i / 2], i % 2 ? SYNC : FSYNC, NULL, NOT,
				 i, 4 + wanted() / 50 / 24);
		}
	}
	judge_close();
	free_images();
}

static void test_two(void **state)
{
	(void)state;
	make_images(300);
	judge_open(&images[0], counts);
	for (unsigned i = 0; i < 6 * OPERATIONS * OPERATIONS; i++) {
		if (mine()) {
			workload(&steps[i / 6 / OPERATIONS],
				 (enum lasting)(i % 3),
				 &steps[i / 6 % OPERATIONS],
				 i / 3 % 2 ? SYNC : FSYNC, i, 1 + wanted() / 4 / 864);
		}
	}
	judge_close();
	free_images();
}

/* Long ones, at random; the log goes round several times. */
static void test_random(void **state)
{
	struct run *r = &the_run;

	(void)state;
	make_images(140);
	for (unsigned i = 0; i < IMAGES; i++) {
		judge_open(&images[i], counts);
		for (uint64_t seed = 1 + i; seed <= RANDOM; seed += IMAGES) {
			unsigned from;

			if (mine()) {
				crash_start(r, &images[i], seed);
				from = r->disk.time;
				crash_random(r, op_random, seed);
				judge_all(r, from, wanted() * 4ull /
					  5 / RANDOM);
				crash_finish(r);
			}
		}
		judge_close();
	}
	free_images();
}

/* A directory outgrows its first block, gets a hash tree, and leaves of it are
 * split. */
static void test_hashed(void **state)
{
	static struct image after;
	struct run *r = &the_run;

	(void)state;
	make_images(140);
	image_copy(&after, &images[0]);
	judge_open(&images[0], counts);
	for (uint64_t seed = 1; seed <= HASHED; seed++) {
		unsigned from;

		if (!mine()) {
			continue;
		}
		crash_start(r, &images[0], 2000 + seed);
		from = r->disk.time;
		crash_random(r, op_hashed, 2000 + seed);
		judge_all(r, from, wanted() / 5 / HASHED);
		memcpy(after.data, r->disk.now, after.size);
		image_e2fsck(&after);
		assert_int_equal(image_run(&after, "debugfs -R 'htree /d' "
					   "$image | grep -q 'Root node'"), 0);
		crash_finish(r);
	}
	judge_close();
	image_free(&after);
	free_images();
}

/* A changed byte in the log is found, or in nothing that is needed. */
static void test_damaged(void **state)
{
	struct run *r = &the_run;

	(void)state;
	make_images(140);
	judge_open(&images[0], counts);
	for (uint64_t seed = 1; seed <= 8; seed++) {
		if (mine()) {
			crash_start(r, &images[0], 1000 + seed);
			crash_random(r, op_random, 1000 + seed);
			judge_damaged(r, 40);
			crash_finish(r);
		}
	}
	judge_close();
	free_images();
}

/* Many inodes change in one transaction, in a small log before a small memory: it
 * is ended before it is too large. */
static void test_many(void **state)
{
	static struct image made, after;
	struct run *r = &the_run;

	(void)state;
	if (!mine()) {
		return;
	}
	image_make(&made, 1024, "2900K", "-N 1024 -J size=1", NULL);
	image_copy(&after, &made);
	crash_start(r, &made, 1);
	for (r->files = 0; r->files < 1400; r->files++) {
		assert_int_equal(crash_only(r, op_many), 0);
	}
	crash_sync(r);
	memcpy(after.data, r->disk.now, after.size);
	image_e2fsck(&after);
	assert_int_equal(image_run(&after, "e2fsck -fn $image"), 0);
	assert_int_equal(image_run(&after, "debugfs -R 'ls -p /' $image | "
				   "grep -c /f699/"), 0);
	crash_finish(r);
	image_free(&made);
	image_free(&after);
}

/* Closed properly: nothing to bring back, and all is there. */
static void test_close(void **state)
{
	struct run *r = &the_run;
	static struct image after;

	(void)state;
	if (!mine()) {
		return;
	}
	make_images(300);
	image_copy(&after, &images[0]);
	crash_start(r, &images[0], 1);
	for (unsigned i = 0; i < OPERATIONS; i++) {
		crash_operate(r, steps[i].op);
	}
	crash_close(r);
	memcpy(after.data, r->disk.now, after.size);
	assert_int_equal(image_run(&after, "e2fsck -fn $image"), 0);
	assert_int_equal(image_run(&after, "dumpe2fs -h $image | "
				   "grep -q needs_recovery"), 1);
	crash_finish(r);
	image_free(&after);
	free_images();
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_two),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_hashed),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A process that is not the first is heard only if something is wrong. */
static pid_t share(unsigned number, FILE *said)
{
	pid_t pid = fork();

	if (pid == 0) {
		self = number;
		dup2(fileno(said), 1);
		dup2(fileno(said), 2);
		exit(all_tests());
	}
	return pid;
}

static int collect(pid_t pid, FILE *said)
{
	char line[256];
	int status;

	if (waitpid(pid, &status, 0) == pid && status == 0) {
		return 0;
	}
	rewind(said);
	while (fgets(line, sizeof(line), said) != NULL) {
		fputs(line, stdout);
	}
	return 1;
}

int main(void)
{
	pid_t pids[SHARERS];
	FILE *said[SHARERS];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int failed;

	sharers = cpus < 1 ? 1 : cpus > SHARERS ? SHARERS : (unsigned)cpus;
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED) {
		return 1;
	}
	for (unsigned i = 1; i < sharers; i++) {
		said[i] = tmpfile();
		pids[i] = share(i, said[i]);
	}
	failed = all_tests();
	for (unsigned i = 1; i < sharers; i++) {
		failed |= collect(pids[i], said[i]);
	}
	printf("%u crash states, %u of them different, %u cut again as they "
	       "were opened, %u damaged ones refused\n", counts->states,
	       counts->judged, counts->twice, counts->refused);
	return failed;
}
