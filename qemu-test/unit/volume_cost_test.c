/* SPDX-License-Identifier: MIT */
/*
 * What the volume's functions cost does not grow with the volume, nor with the names
 * in a folder, nor with what was freed and nobody may use yet. Instructions are
 * counted, those of all that is at work (volume, journal, cache): the processor stops
 * after each. That takes its time, so few are, and without the sanitizers' own.
 * [SDM3 "Single-Step Exception Condition"]
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_sparse.h"

#define MEMORY	(16u << 20)
#define FILES	10u			/* each figure is of so many */
#define HOLES	1000u

enum { MAKE, SYNC, FIND, REMOVE, FIGURES };

static const char *const names[FIGURES] = {
	"create and write", "sync", "look up", "remove",
};
/* Percent that may be more. A name among many lies in a block of its own, which is
 * looked at and goes to the log for it alone; all of a request is three times as
 * much as the volume's part, which this is of. */
static const unsigned size_more[FIGURES] = { 10, 10, 10, 10 };
static const unsigned crowd_more[FIGURES] = { 22, 100, 10, 18 };

static volatile uint64_t steps;

static void on_step(int signal)
{
	(void)signal;
	steps++;
}

/* The flag is in RFLAGS; below the stack may be something of the compiler's. */
#define SET_TF(op)	__asm__ volatile("sub $128, %%rsp; pushfq; " op \
		", (%%rsp); popfq; add $128, %%rsp" : : : "memory", "cc")

static void count_begin(void)
{
	steps = 0;
	SET_TF("orq $0x100");
}

static uint64_t count_end(void)
{
	SET_TF("andq $~0x100");
	return steps;
}

static uint32_t folder, ino;
static char name[32];

static int op_folder(void)
{
	const struct volume_make make = { .mode = VOLUME_S_IFDIR | 0755 };

	return volume_create(sparse_vol, VOLUME_ROOT, NAME("crowd"), &make,
			     &folder);
}

static int op_create(void)
{
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };

	return volume_create(sparse_vol, folder, NAME(name), &make, &ino);
}

static int op_write(void)
{
	static const char data[1000];
	size_t done;

	return volume_write(sparse_vol, ino, 0, data, sizeof(data), &done);
}

static int op_find(void)
{
	return volume_lookup(sparse_vol, folder, NAME(name), &ino);
}

static int op_remove(void)
{
	return volume_unlink(sparse_vol, folder, NAME(name));
}

static void each(const char *what, unsigned count, int (*op)(void),
		 int (*then)(void))
{
	for (unsigned i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s-%u", what, i);
		assert_int_equal(sparse_change(op), 0);
		if (then != NULL) {
			assert_int_equal(sparse_change(then), 0);
		}
	}
}

/* Files are made, found and removed; counted is the second time. */
static void measure(uint64_t figures[FIGURES])
{
	each("file", FILES, op_create, op_write);
	each("file", FILES, op_remove, NULL);
	sparse_sync();
	count_begin();
	each("file", FILES, op_create, op_write);
	figures[MAKE] = count_end();
	count_begin();
	sparse_sync();
	figures[SYNC] = count_end();
	count_begin();
	each("file", FILES, op_find, NULL);
	figures[FIND] = count_end();
	count_begin();
	each("file", FILES, op_remove, NULL);
	figures[REMOVE] = count_end();
}

/* The figures of a volume of that size with so many files in a folder. */
static void look(const char *size, unsigned crowd, uint64_t figures[FIGURES])
{
	char why[JOURNAL_WHY];

	assert_int_equal(sparse_shell(
		"rm -f image && truncate -s $size image && "
		"mke2fs -q -t ext4 -b 4096 -N 110000 -F image", size), 0);
	assert_int_equal(sparse_open(MEMORY, why), 0);
	assert_int_equal(sparse_change(op_folder), 0);
	each("one-of-many", crowd, op_create, NULL);
	sparse_close();
	assert_int_equal(sparse_open(MEMORY, why), 0);
	measure(figures);
	sparse_close();
	print_message("%s, %u names:", size, crowd);
	for (unsigned i = 0; i < FIGURES; i++) {
		print_message(" %s %llu,", names[i],
			      (unsigned long long)figures[i] / FILES);
	}
	print_message("\n");
	assert_int_equal(sparse_shell("e2fsck -fn image", size), 0);
}

static void compare(const uint64_t few[FIGURES], const uint64_t many[FIGURES],
		    const unsigned more[FIGURES])
{
	for (unsigned i = 0; i < FIGURES; i++) {
		if (many[i] * 100 > few[i] * (100 + more[i])) {
			fail_msg("%s: %llu became %llu", names[i],
				 (unsigned long long)few[i] / FILES,
				 (unsigned long long)many[i] / FILES);
		}
	}
}

static void test_size(void **state)
{
	uint64_t small[FIGURES], large[FIGURES];

	(void)state;
	look("64M", 10, small);
	look("8G", 10, large);
	compare(small, large, size_more);
}

static void test_crowd(void **state)
{
	uint64_t few[FIGURES], many[FIGURES];

	(void)state;
	look("512M", 10, few);
	look("512M", 100000, many);
	compare(few, many, crowd_more);
}

/* What files cost to make when so many of as many others have been removed, none next
 * to another, and the transaction has not ended. */
static uint64_t after_holes(unsigned holes)
{
	char why[JOURNAL_WHY];
	uint64_t cost;

	assert_int_equal(sparse_shell(
		"rm -f image && truncate -s $size image && "
		"mke2fs -q -t ext4 -b 4096 -F image", "512M"), 0);
	assert_int_equal(sparse_open(MEMORY, why), 0);
	assert_int_equal(sparse_change(op_folder), 0);
	each("file", 2 * HOLES, op_create, op_write);
	sparse_sync();
	for (unsigned i = 0; i < 2 * holes; i += 2) {
		snprintf(name, sizeof(name), "file-%u", i);
		assert_int_equal(sparse_change(op_remove), 0);
	}
	count_begin();
	each("late", FILES, op_create, op_write);
	cost = count_end();
	print_message("%u holes: %s %llu\n", holes, names[MAKE],
		      (unsigned long long)cost / FILES);
	sparse_close();
	assert_int_equal(sparse_shell("e2fsck -fn image", "512M"), 0);
	return cost;
}

static void test_freed(void **state)
{
	uint64_t few = after_holes(10), many = after_holes(HOLES);

	(void)state;
	assert_true(many * 100 <= few * 110);
}

static int setup(void **state)
{
	const struct sigaction action = { .sa_handler = on_step };

	(void)state;
	return sigaction(SIGTRAP, &action, NULL);
}

static int teardown(void **state)
{
	(void)state;
	sparse_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_freed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
