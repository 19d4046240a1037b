/* SPDX-License-Identifier: MIT */
/*
 * Extent trees of very fragmented files: changed at random against a model, over
 * many leaves, read again and judged by e2fsck; and that a change writes few blocks,
 * however many there are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_fixture.h"

#define BLOCK	1024u
#define BLOCKS	16000u			/* of the file */
#define KEEP	VOLUME_FALLOC_KEEP_SIZE

static uint8_t model[BLOCKS];		/* what each byte of a block is */
static uint32_t seed = 1;

static uint32_t chance(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)seed * n >> 32);
}

static void write_blocks(struct fixture *f, uint32_t ino, uint32_t at,
			 uint32_t count)
{
	static uint8_t data[64 * BLOCK];
	uint8_t value = (uint8_t)(1 + chance(255));

	memset(data, value, count * BLOCK);
	put(f->vol, ino, (uint64_t)at * BLOCK, data, count * BLOCK);
	memset(model + at, value, count);
}

static void zero_blocks(struct fixture *f, uint32_t ino, unsigned mode,
			uint32_t at, uint32_t count)
{
	assert_int_equal(volume_fallocate(f->vol, ino, mode | KEEP,
					  (uint64_t)at * BLOCK,
					  (uint64_t)count * BLOCK), 0);
	memset(model + at, 0, count);
}

static void shorten(struct fixture *f, uint32_t ino, uint32_t blocks)
{
	struct volume_attr attr = { .size = (uint64_t)blocks * BLOCK };

	assert_int_equal(volume_setattr(f->vol, ino, VOLUME_SET_SIZE, &attr),
			 0);
	memset(model + blocks, 0, BLOCKS - blocks);
	attr.size = (uint64_t)BLOCKS * BLOCK;
	assert_int_equal(volume_setattr(f->vol, ino, VOLUME_SET_SIZE, &attr),
			 0);
}

static void compare(struct fixture *f, uint32_t ino)
{
	static uint8_t data[BLOCK];
	size_t done;

	for (uint32_t i = 0; i < BLOCKS; i++) {
		assert_int_equal(volume_read(f->vol, ino, (uint64_t)i * BLOCK,
					     data, BLOCK, &done), 0);
		assert_int_equal(done, BLOCK);
		assert_int_equal(data[0], model[i]);
		assert_int_equal(data[BLOCK - 1], model[i]);
	}
}

/* Every second block: as many runs as blocks that are there. */
static uint32_t fragmented(struct fixture *f)
{
	uint32_t ino = new_file(f->vol, ROOT, "f");

	memset(model, 0, sizeof(model));
	write_blocks(f, ino, BLOCKS - 1, 1);
	for (uint32_t i = 0; i < BLOCKS; i += 2) {
		write_blocks(f, ino, i, 1);
	}
	return ino;
}

static void test_random(void **state)
{
	struct fixture f;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 48, "-b 1024");
	ino = fragmented(&f);
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < 400; i++) {
			uint32_t count = 1 + chance(chance(8) ? 6 : 60);
			uint32_t at = chance(BLOCKS - count);

			switch (chance(8)) {
			case 0:
			case 1:
				zero_blocks(&f, ino, VOLUME_FALLOC_PUNCH, at,
					    count * (round % 3 ? 1 : 20) < BLOCKS - at
					    ? count * (round % 3 ? 1 : 20)
					    : count);
				break;
			case 2:
				zero_blocks(&f, ino, VOLUME_FALLOC_ZERO, at,
					    count);
				break;
			default:
				write_blocks(&f, ino, at, count);
				break;
			}
		}
		if (round % 4 == 3) {
			shorten(&f, ino, BLOCKS / 2 + chance(BLOCKS / 2));
		}
		fixture_reopen(&f);
		ino = find(f.vol, ROOT, "f");
		compare(&f, ino);
	}
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("f")), 0);
	fixture_close(&f);
}

/* How many blocks were changed since then, with all that is due. */
static unsigned changed(struct fixture *f)
{
	static struct volume_dev_ops ops;
	unsigned n = 0;

	ops = *f->dev.ops;
	ops.flush = NULL;		/* it forgets them */
	f->dev.ops = &ops;
	assert_int_equal(volume_flush(f->vol), 0);
	for (uint64_t i = 0; i < f->dev.blocks; i++) {
		n += f->poked[i];
		f->poked[i] = false;
	}
	return n;
}

/* Data, inode, one leaf or two and the index above, bitmap, descriptor and
 * superblock: with 8,000 runs in 96 leaves. */
static void test_few(void **state)
{
	static const uint32_t places[] = { 1, 4001, 8001, 15001, 15997 };
	struct fixture f;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 48, "-b 1024");
	ino = fragmented(&f);
	changed(&f);
	for (unsigned i = 0; i < sizeof(places) / sizeof(*places); i++) {
		write_blocks(&f, ino, places[i], 1);
		assert_in_range(changed(&f), 4, 16);
		zero_blocks(&f, ino, VOLUME_FALLOC_PUNCH, places[i], 1);
		assert_in_range(changed(&f), 4, 16);
	}
	compare(&f, ino);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
