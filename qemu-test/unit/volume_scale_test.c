/* SPDX-License-Identifier: MIT */
/*
 * File systems of mke2fs with its default options, of 64 MiB to 1 TiB, in a sparse
 * file: opened, used and closed with as much memory for blocks each, and e2fsck finds
 * nothing. What is made is a file with a byte at the end of all that one can have.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_sparse.h"

#define MEMORY	(2u << 20)		/* of the cache */
#define FEW	(4u << 20)		/* of the heap, whatever the size */

/* ASan's; not every Debian has its header. */
size_t __sanitizer_get_current_allocated_bytes(void);

static uint32_t ino;
static uint64_t at;

static int op_create(void)
{
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };

	return volume_create(sparse_vol, VOLUME_ROOT, NAME("f"), &make, &ino);
}

static int op_write(void)
{
	size_t done;

	return volume_write(sparse_vol, ino, at, "x", 1, &done);
}

static int op_fill(void)
{
	return volume_fallocate(sparse_vol, ino, 0, 0, 20u << 20);
}

static void use(const char *size)
{
	size_t before, heap;
	char why[JOURNAL_WHY] = "";
	struct volume_stat st;
	int error;

	assert_int_equal(sparse_shell("rm -f image && truncate -s $size image "
				      "&& mke2fs -q -t ext4 -F image", size),
			 0);
	before = __sanitizer_get_current_allocated_bytes();
	error = sparse_open(MEMORY, why);
	if (error != 0) {
		fail_msg("%s: %d: %s", size, error, why);
	}
	assert_int_equal(volume_statfs(sparse_vol, &st), 0);
	assert_true(st.blocks * st.block_size <= sparse_size() &&
		    st.blocks * st.block_size > sparse_size() / 100 * 95);
	assert_int_equal(sparse_change(op_create), 0);
	assert_int_equal(sparse_change(op_fill), 0);
	at = (uint64_t)UINT32_MAX * st.block_size - 1;
	assert_int_equal(sparse_change(op_write), 0);
	heap = __sanitizer_get_current_allocated_bytes() - before - MEMORY;
	print_message("%s: blocks of %u, %zu KiB of the heap\n", size,
		      st.block_size, heap / 1024);
	assert_true(heap < FEW);
	sparse_close();
	assert_int_equal(sparse_shell("e2fsck -fn image", size), 0);
}

static int op_append(void)
{
	static char data[64 << 10];
	size_t done;
	int error = volume_write(sparse_vol, ino, at, data, sizeof(data),
				 &done);

	at += done;
	return error;
}

/* Who waits for memory half way has taken no blocks for it: a large file lies in few
 * pieces. */
static void test_pieces(void **state)
{
	char why[JOURNAL_WHY] = "";

	(void)state;
	assert_int_equal(sparse_shell("rm -f image && truncate -s $size image "
				      "&& mke2fs -q -t ext4 -F image", "512M"),
			 0);
	assert_int_equal(sparse_open(MEMORY, why), 0);
	assert_int_equal(sparse_change(op_create), 0);
	for (at = 0; at < 32 << 20;) {
		assert_int_equal(sparse_change(op_append), 0);
	}
	sparse_close();
	assert_int_equal(sparse_shell(
		"e2fsck -fn image && debugfs -R 'ex -l /f' image >ex && "
		"test $(grep -c ' - ' ex) -le 6", "512M"), 0);
}

static void test_sizes(void **state)
{
	static const char *const sizes[] = { "64M", "600M", "16G", "1T" };

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		use(sizes[i]);
	}
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
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
