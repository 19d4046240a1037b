/* SPDX-License-Identifier: MIT */
/* What is removed for good, the disk is told of, so that it may forget it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_sparse.h"

#define MEMORY		(4u << 20)
#define FILE_BYTES	(64u << 20)
#define MIB		(1u << 20)
#define PIECE		(64u << 10)

static uint32_t ino, second;
static uint64_t at;

static int op_create(void)
{
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };

	return volume_create(sparse_vol, VOLUME_ROOT, NAME("f"), &make, &ino);
}

static int op_write(void)
{
	static uint8_t data[PIECE];
	size_t done;
	int error;

	memset(data, 'x', sizeof(data));
	error = volume_write(sparse_vol, ino, at, data, sizeof(data) -
			     at % sizeof(data), &done);
	at += done;
	return error;
}

static int op_remove(void)
{
	return volume_unlink(sparse_vol, VOLUME_ROOT, NAME("f"));
}

static int op_punch(void)
{
	return volume_fallocate(sparse_vol, ino, VOLUME_FALLOC_PUNCH |
				VOLUME_FALLOC_KEEP_SIZE, 0, FILE_BYTES);
}

/* In another order than that in which it lies in the file: one of two pieces, then
 * the others. */
static void fill(void)
{
	for (uint64_t from = 0; from < 2 * PIECE; from += PIECE) {
		for (uint64_t to = from; to < FILE_BYTES; to += 2 * PIECE) {
			for (at = to; at < to + PIECE;) {
				assert_int_equal(sparse_change(op_write), 0);
			}
		}
	}
	sparse_sync();
}

static void open_new(void)
{
	char why[JOURNAL_WHY];

	assert_int_equal(sparse_shell(
		"rm -f image && truncate -s $size image && "
		"mke2fs -q -t ext4 -b 4096 -F image", "128M"), 0);
	assert_int_equal(sparse_open(MEMORY, why), 0);
}

/* Within three seconds, when it is lasting; not before, for a power cut may bring it
 * back. */
static void goes_back(int (*op)(void))
{
	uint64_t before, full;

	open_new();
	assert_int_equal(sparse_change(op_create), 0);
	sparse_sync();
	before = sparse_used();
	fill();
	full = sparse_used();
	assert_true(full >= before + FILE_BYTES);
	assert_int_equal(sparse_change(op), 0);
	assert_true(sparse_used() >= full);
	/* A large file is freed in pieces, after its name. */
	for (unsigned i = 0; i < 3; i++) {
		sparse_sync();
		sparse_tick(++second);
	}
	assert_true(sparse_used() <= before + MIB);
	/* It can be used again at once, and then holds what is written. */
	if (op == op_remove) {
		assert_int_equal(sparse_change(op_create), 0);
	}
	fill();
	sparse_tick(++second);
	assert_true(sparse_used() >= full - MIB);
	sparse_close();
	assert_int_equal(sparse_shell(
		"e2fsck -fn image && debugfs -R 'dump /f f' image && "
		"test $(tr -d x <f | wc -c) = 0 && test $(wc -c <f) = $size",
		"67108864"), 0);
}

static void test_removed(void **state)
{
	(void)state;
	goes_back(op_remove);
}

static void test_punched(void **state)
{
	(void)state;
	goes_back(op_punch);
}

/* A full disk waits for it, and for nothing else. */
static void test_full(void **state)
{
	int error;

	(void)state;
	open_new();
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(sparse_change(op_create), 0);
		at = 0;
		while ((error = sparse_change(op_write)) == 0) {
		}
		assert_int_equal(error, ENOSPC);
		assert_true(at > 100 * MIB);
		assert_int_equal(sparse_change(op_remove), 0);
	}
	sparse_close();
	assert_int_equal(sparse_shell("e2fsck -fn image", "128M"), 0);
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
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_punched),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
