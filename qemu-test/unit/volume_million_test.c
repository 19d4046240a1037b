/* SPDX-License-Identifier: MIT */
/*
 * A volume with many files, VOLUME_FILES of them, in folders of 10,000 each: made,
 * found again and removed before a small cache. The last cost as much as the second
 * folder's, the heap is bounded, e2fsck finds nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host-bridge/fs/ext4/volume_int.h"
#include "qemu-test/unit/volume_sparse.h"

#define MEMORY	(8u << 20)		/* of the cache */
#define FEW	(64u << 20)		/* of the heap */
#define FOLDER	10000u			/* files */

/* ASan's; not every Debian has its header. */
size_t __sanitizer_get_current_allocated_bytes(void);

static const struct volume_make file_make = { .mode = VOLUME_S_IFREG | 0644 };
static const struct volume_make dir_make = { .mode = VOLUME_S_IFDIR | 0755 };

static uint32_t dir, ino;
static unsigned number;
static size_t most;

/* Blocks that the volume asks for. */
static const struct volume_dev_ops *real_ops;
static struct volume_dev_ops ops;
static uint64_t asked;

static const uint8_t *peek(struct volume_dev *dev, uint64_t block)
{
	asked++;
	return real_ops->peek(dev, block);
}

static uint8_t *change(struct volume_dev *dev, uint64_t block, bool whole)
{
	asked++;
	return real_ops->change(dev, block, whole);
}

static unsigned wanted(void)
{
	const char *value = getenv("VOLUME_FILES");

	return value != NULL ? (unsigned)atoi(value) : 60000;
}

static int op_dir(void)
{
	char name[32];

	snprintf(name, sizeof(name), "folder-%u", number / FOLDER);
	return volume_create(sparse_vol, VOLUME_ROOT, NAME(name), &dir_make,
			     &dir);
}

static int op_create(void)
{
	char name[32];

	snprintf(name, sizeof(name), "file-%u", number);
	return volume_create(sparse_vol, dir, NAME(name), &file_make, &ino);
}

static int op_dir_find(void)
{
	char name[32];

	snprintf(name, sizeof(name), "folder-%u", number / FOLDER);
	return volume_lookup(sparse_vol, VOLUME_ROOT, NAME(name), &dir);
}

static int op_find(void)
{
	struct volume_attr attr;
	char name[32];
	int error;

	snprintf(name, sizeof(name), "file-%u", number);
	error = volume_lookup(sparse_vol, dir, NAME(name), &ino);
	return error == 0 ? volume_getattr(sparse_vol, ino, &attr) : error;
}

static int op_unlink(void)
{
	char name[32];

	snprintf(name, sizeof(name), "file-%u", number);
	return volume_unlink(sparse_vol, dir, NAME(name));
}

static void open_it(void)
{
	char why[JOURNAL_WHY] = "";
	int error = sparse_open(MEMORY, why);

	if (error != 0) {
		fail_msg("%d: %s", error, why);
	}
	real_ops = sparse_vol->dev->ops;
	ops = *real_ops;
	ops.peek = peek;
	ops.change = change;
	sparse_vol->dev->ops = &ops;
}

static void close_it(void)
{
	sparse_vol->dev->ops = real_ops;
	sparse_close();
}

struct cost {
	uint64_t asked, requests;
};

/* Does it to the files of all folders. What the second and the last have cost: in
 * the first little is written to its place yet, as the journal has room. */
static void each(int (*at_dir)(void), int (*op)(void), struct cost *first,
		 struct cost *last)
{
	size_t before = __sanitizer_get_current_allocated_bytes();

	for (number = 0; number < wanted(); number++) {
		size_t heap;

		if (number % FOLDER == 0) {
			*last = (struct cost){ asked, sparse_requests };
			assert_int_equal(sparse_change(at_dir), 0);
		}
		assert_int_equal(sparse_change(op), 0);
		heap = __sanitizer_get_current_allocated_bytes() - before;
		if (heap < SIZE_MAX / 2 && heap > most) {
			most = heap;
		}
		if (number % FOLDER == FOLDER - 1) {
			last->asked = asked - last->asked;
			last->requests = sparse_requests - last->requests;
			if (number / FOLDER == 1) {
				*first = *last;
			}
		}
	}
}

static void no_dearer(const char *what, struct cost first, struct cost last)
{
	print_message("%s: %u and %u blocks asked for, %u and %u requests\n",
		      what, (unsigned)first.asked, (unsigned)last.asked,
		      (unsigned)first.requests, (unsigned)last.requests);
	assert_true(last.asked < first.asked * 5 / 4);
	assert_true(last.requests < first.requests * 5 / 4 + 64);
}

static void test_many(void **state)
{
	struct cost first, last;
	struct volume_stat st;
	char line[256];

	(void)state;
	snprintf(line, sizeof(line), "truncate -s 8G image && "
		 "mke2fs -q -t ext4 -F -N %u image",
		 wanted() + wanted() / 8 + 2000);
	assert_int_equal(sparse_shell(line, ""), 0);
	open_it();
	each(op_dir, op_create, &first, &last);
	no_dearer("made", first, last);
	close_it();
	open_it();
	assert_int_equal(volume_statfs(sparse_vol, &st), 0);
	assert_true(st.files - st.files_free > wanted());
	each(op_dir_find, op_find, &first, &last);
	no_dearer("found", first, last);
	close_it();
	assert_int_equal(sparse_shell("e2fsck -fn image", ""), 0);
	open_it();
	each(op_dir_find, op_unlink, &first, &last);
	no_dearer("removed", first, last);
	close_it();
	print_message("heap: %zu KiB at most\n", most / 1024);
	assert_true(most < FEW);
	assert_int_equal(sparse_shell("e2fsck -fn image", ""), 0);
	sparse_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
