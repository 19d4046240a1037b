/* SPDX-License-Identifier: MIT */
/* What a device that waits is told of before it is asked, and what a write to a
 * disk's file changes besides its content. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/ext4/volume_int.h"
#include "qemu-test/unit/volume_fixture.h"

#define KIB		1024u

static struct {
	uint64_t block, count;		/* of all, in one piece */
	unsigned calls;
} told;

static void ahead(struct volume_dev *dev, uint64_t block, uint64_t count)
{
	(void)dev;
	if (told.calls++ == 0) {
		told.block = block;
	}
	assert_int_equal(block, told.block + told.count);
	told.count += count;
}

static struct volume_dev_ops ops;

static void open_waiting(struct fixture *f)
{
	fixture_open(f, 16, "");
	ops = *f->dev.ops;
	ops.ahead = ahead;
	f->dev.ops = &ops;
	f->dev.instant = false;
}

/* Reads there; the KiB that the device was told of for it. */
static uint64_t reads(struct fixture *f, uint32_t ino, unsigned kib,
		      unsigned len)
{
	struct volume_seg segs[64];
	unsigned count;
	size_t done;

	memset(&told, 0, sizeof(told));
	assert_int_equal(volume_map(f->vol, ino, kib * KIB, len * KIB, segs,
				    64, &count, &done), 0);
	assert_int_equal(done, len * KIB);
	return told.count * f->dev.block_size / KIB;
}

static void test_ahead(void **state)
{
	struct fixture f;
	uint8_t *data = calloc(1, 2048 * KIB);
	uint32_t ino;

	(void)state;
	open_waiting(&f);
	ino = new_file(f.vol, ROOT, "f");
	put(f.vol, ino, 0, data, 2048 * KIB);
	/* From the beginning on: by the half of it, at least, and to the end. */
	assert_int_equal(reads(&f, ino, 0, 128), 512);
	for (unsigned at = 128; at < 2048; at += 128) {
		assert_int_equal(reads(&f, ino, at, 128),
				 at % 384 != 0 || at > 1536 ? 0 :
				 at == 1536 ? 256 : 384);
		/* The same again, as one who has waited asks. */
		assert_int_equal(reads(&f, ino, at, 128), 0);
	}
	/* Anywhere: nothing. On from there: after it. */
	assert_int_equal(reads(&f, ino, 1000, 4), 0);
	assert_int_equal(reads(&f, ino, 700, 4), 0);
	assert_int_equal(reads(&f, ino, 704, 4), 512);
	free(data);
	fixture_close(&f);
}

static struct volume_time mtime(struct fixture *f, uint32_t ino)
{
	struct volume_attr attr;

	assert_int_equal(volume_getattr(f->vol, ino, &attr), 0);
	return attr.mtime;
}

/* Times are those of the second, and what is written needs no inode; a file that
 * nobody holds so any more is as all. */
static void test_rarely(void **state)
{
	struct volume_attr old = { .mtime = { .sec = 1000 } };
	struct volume_time at;
	struct fixture f;
	uint32_t ino;
	uint8_t block[4096] = { 1 };

	(void)state;
	fixture_open(&f, 16, "");
	ino = new_file(f.vol, ROOT, "f");
	put(f.vol, ino, 0, block, sizeof(block));
	assert_int_equal(volume_hold(f.vol, ino), 0);
	volume_times_rarely(f.vol, ino);
	assert_int_equal(volume_flush(f.vol), 0);
	at = mtime(&f, ino);
	put(f.vol, ino, 100, block, 100);
	assert_int_equal(mtime(&f, ino).nsec, at.nsec);
	assert_int_equal(volume_setattr(f.vol, ino, VOLUME_SET_MTIME, &old),
			 0);
	assert_int_equal(volume_flush(f.vol), 0);
	put(f.vol, ino, 200, block, 100);
	assert_true(mtime(&f, ino).sec > 1000);
	/* One that changes the inode anyway. */
	assert_int_equal(volume_flush(f.vol), 0);
	at = mtime(&f, ino);
	put(f.vol, ino, 4096, block, sizeof(block));
	assert_true(mtime(&f, ino).nsec != at.nsec);
	volume_release(f.vol, ino);
	assert_int_equal(volume_flush(f.vol), 0);
	at = mtime(&f, ino);
	put(f.vol, ino, 100, block, 100);
	assert_true(mtime(&f, ino).nsec != at.nsec);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ahead), cmocka_unit_test(test_rarely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
