/* SPDX-License-Identifier: MIT */
/*
 * Operations on space, names and ACLs when memory ends or the device fails: each
 * allocation and each access fails once, at every place. Who asked is told, and
 * e2fsck finds nothing in what is left.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_fixture.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

#define BLOCK	4096u			/* of the fixture's volumes */

static long left = -1;			/* allocations until one fails */
static bool failed;
static bool no_large;			/* all large ones fail */

static bool fails(void)
{
	if (left >= 0 && left-- == 0) {
		failed = true;
		return true;
	}
	return false;
}

void *__wrap_malloc(size_t size)
{
	return fails() || (no_large && size > 100000) ? NULL
						      : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

/* A default ACL of owner, user 5, group, mask and others. */
static const struct {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} e[5];
} acl = { 2, { { 1, 7, -1 }, { 2, 6, 5 }, { 4, 5, -1 }, { 16, 7, -1 },
	       { 32, 1, -1 } } };

/* All that there is; errors are as they come. Each round in a directory of its
 * own. */
static void operations(struct volume *vol, long round)
{
	const struct volume_attr attr = { .mode = 0600, .size = 50000 };
	uint32_t dir, sub, file = 0, ino;
	char name[32], data[3000];
	size_t done;

	memset(data, 'd', sizeof(data));
	snprintf(name, sizeof(name), "dir-%ld", round);
	if (volume_create(vol, ROOT, NAME(name), &dir_make, &dir) != 0) {
		return;
	}
	volume_xattr_set(vol, dir, "system.posix_acl_default", &acl,
			 sizeof(acl), 0);
	volume_create(vol, dir, NAME("sub"), &dir_make, &sub);
	volume_create(vol, dir, NAME("file"), &file_make, &file);
	if (volume_tmpfile(vol, dir, &file_make, &ino) == 0) {
		volume_write(vol, ino, 5000, data, sizeof(data), &done);
		volume_link(vol, ino, dir, NAME("tmp"));
		volume_release(vol, ino);
	}
	volume_rename(vol, dir, NAME("sub"), ROOT, NAME(name + 3),
		      VOLUME_RENAME_NOREPLACE);
	volume_rename(vol, ROOT, NAME(name + 3), dir, NAME("file"),
		      VOLUME_RENAME_EXCHANGE);
	volume_rename(vol, dir, NAME("tmp"), dir, NAME("tmp2"),
		      VOLUME_RENAME_WHITEOUT);
	for (uint64_t i = 0; i < 6; i++) {
		volume_fallocate(vol, file, 0, i * 40000, 30000);
		volume_write(vol, file, i * 40000 + 10000, data,
			     sizeof(data), &done);
	}
	volume_fallocate(vol, file, VOLUME_FALLOC_PUNCH |
			 VOLUME_FALLOC_KEEP_SIZE, 3000, 90000);
	volume_fallocate(vol, file, VOLUME_FALLOC_ZERO, 100000, 30000);
	volume_fallocate(vol, file, VOLUME_FALLOC_INSERT, 8192, 8192);
	volume_fallocate(vol, file, VOLUME_FALLOC_COLLAPSE, 4096, 4096);
	volume_copy(vol, file, 0, file, 300000, 200000, &done);
	volume_xattr_set(vol, file, "user.big", data, sizeof(data), 0);
	volume_setattr(vol, file, VOLUME_SET_MODE | VOLUME_SET_SIZE |
		       VOLUME_SET_KILL_PRIV, &attr);
	volume_flush(vol);
	volume_unlink(vol, dir, NAME("tmp2"));
}

/* A file that reads back what is written: the volume works on. */
static void works(struct volume *vol)
{
	uint32_t ino = new_file(vol, ROOT, "works");
	char back[4];
	size_t done;

	put(vol, ino, 5, "data", 4);
	assert_int_equal(volume_read(vol, ino, 5, back, 4, &done), 0);
	assert_memory_equal(back, "data", 4);
	assert_int_equal(volume_unlink(vol, ROOT, NAME("works")), 0);
}

static void test_memory(void **state)
{
	struct fixture f;
	long round = 0;

	(void)state;
	fixture_open(&f, 64, "-N 6000 -O ^has_journal");
	do {
		failed = false;
		left = round;
		operations(f.vol, round++);
		left = -1;
		works(f.vol);
		if (round % 8 == 0) {
			fixture_reopen(&f);
		}
	} while (failed);
	assert_in_range(round, 15, 999);
	fixture_close(&f);
}

static void test_device(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 64, "-N 6000 -O ^has_journal");
	for (long n = 0; n < 400; n++) {
		f.fail_after = n;
		operations(f.vol, n);
		f.fail_after = -1;
		works(f.vol);
		if (n % 16 == 15) {
			fixture_reopen(&f);
		}
	}
	fixture_close(&f);
}

/* Appends to the sparse image. */
static void add(uint8_t **at, const void *data, size_t len)
{
	memcpy(*at, data, len);
	*at += len;
}

/* The fixture's image as a sparse one: its empty blocks have no memory.
 * [Android "libsparse: sparse_format.h"] */
static uint8_t *make_sparse(const struct fixture *f, size_t *size)
{
	static const uint8_t zeros[BLOCK];
	uint32_t blocks = (uint32_t)(f->size / BLOCK);
	uint8_t *image = malloc(28 + blocks * (12 + (size_t)BLOCK));
	uint8_t *at = image;
	const uint32_t header[7] = {
		0xed26ff3a, 1, 28 | 12u << 16, BLOCK, blocks, blocks, 0,
	};

	assert_non_null(image);
	add(&at, header, sizeof(header));
	for (uint32_t i = 0; i < blocks; i++) {
		const uint8_t *data = f->image + (size_t)i * BLOCK;
		bool empty = memcmp(data, zeros, BLOCK) == 0;
		uint32_t chunk[3] = {
			empty ? 0xcac3 : 0xcac1, 1,
			empty ? 12 : 12 + BLOCK,
		};

		add(&at, chunk, sizeof(chunk));
		if (!empty) {
			add(&at, data, BLOCK);
		}
	}
	*size = (size_t)(at - image);
	return image;
}

/* Where the memory for blocks ends before the blocks do, that is a full disk,
 * also for what an inode needs; what is removed makes room. */
static void test_no_block(void **state)
{
	struct fixture f;
	struct volume_dev *dev;
	struct volume *vol;
	uint8_t *sparse;
	size_t size;
	uint32_t ino, made = 0;
	char name[32];
	int error = 0;

	(void)state;
	fixture_open(&f, 64, "-N 40000 -O ^has_journal");
	sparse = make_sparse(&f, &size);
	assert_int_equal(volume_mem_open(sparse, size, &dev), 0);
	volume_mem_limit(dev, 600000);
	assert_int_equal(volume_open(dev, &vol), 0);
	while (error == 0) {
		snprintf(name, sizeof(name), "file-%u", made++);
		error = volume_create(vol, ROOT, NAME(name), &file_make, &ino);
	}
	assert_int_equal(error, ENOSPC);
	assert_in_range(made, 500, 5000);
	assert_int_equal(volume_create(vol, ROOT, NAME("d"), &dir_make, &ino),
			 ENOSPC);
	assert_int_equal(volume_unlink(vol, ROOT, NAME("file-0")), 0);
	/* By the same name: by another it may have to be in a block of names
	 * that is full, as the volume's seed wants it. */
	assert_int_equal(volume_create(vol, ROOT, NAME("file-0"), &file_make,
				       &ino), 0);
	error = volume_flush(vol);
	assert_true(error == 0 || error == ENOSPC);
	volume_close(vol);
	dev->ops->close(dev);
	free(sparse);
	fixture_close(&f);
}

static uint64_t blocks_room(struct volume *vol)
{
	struct volume_stat st;

	assert_int_equal(volume_statfs(vol, &st), 0);
	return st.blocks_room;
}

/* Memory of a file that was removed lies together in the next one's too. */
static void test_memory_again(void **state)
{
	static const uint8_t data[65536];
	struct volume_seg segs[16];
	struct volume_dev *dev;
	struct volume *vol;
	struct fixture f;
	uint8_t *sparse;
	unsigned pieces;
	size_t size, done;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 16, "");
	sparse = make_sparse(&f, &size);
	assert_int_equal(volume_mem_open(sparse, size, &dev), 0);
	assert_int_equal(volume_open(dev, &vol), 0);
	for (int i = 0; i < 3; i++) {
		ino = new_file(vol, ROOT, "f");
		assert_int_equal(volume_write(vol, ino, 0, data, sizeof(data),
					      &done), 0);
		assert_int_equal(volume_map(vol, ino, 0, sizeof(data), segs,
					    16, &pieces, &done), 0);
		assert_int_equal(done, sizeof(data));
		assert_int_equal(pieces, 1);
		assert_int_equal(volume_unlink(vol, ROOT, NAME("f")), 0);
	}
	volume_close(vol);
	dev->ops->close(dev);
	free(sparse);
	fixture_close(&f);
}

/* The same for data: as much of a write is done as there is memory for. */
static void test_no_block_for_data(void **state)
{
	static const uint8_t data[400000];
	struct volume_attr attr = { .size = 1 << 20 };
	size_t size, done, more = 0;
	uint64_t room;
	struct volume_dev *dev;
	struct volume *vol;
	struct fixture f;
	uint8_t *sparse;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 16, "");
	sparse = make_sparse(&f, &size);
	assert_int_equal(volume_mem_open(sparse, size, &dev), 0);
	assert_int_equal(volume_open(dev, &vol), 0);
	ino = new_file(vol, ROOT, "f");
	/* The first piece of memory for blocks serves 64 of them. */
	assert_int_equal(volume_write(vol, ino, 0, data, 100, &done), 0);
	no_large = true;
	assert_int_equal(volume_write(vol, ino, 4096, data, sizeof(data),
				      &done), 0);
	assert_in_range(done, 4096, 64 * 4096);
	assert_int_equal(volume_write(vol, ino, 4096 + done, data, 100000,
				      &done), ENOSPC);
	no_large = false;
	assert_int_equal(volume_write(vol, ino, 4096, data, sizeof(data),
				      &done), 0);
	assert_int_equal(done, sizeof(data));
	/* Its share of the heap, and not more; what is free serves again. */
	assert_int_equal(blocks_room(vol), blocks_free(vol));
	volume_mem_limit(dev, 3 * 65 * BLOCK);
	room = blocks_room(vol);
	assert_in_range(room, 3 * 64, 4 * 64);
	for (uint64_t at = 1 << 20; volume_write(vol, ino, at, data, 100000,
						 &done) == 0; at += done) {
		more += done;
		assert_true(blocks_room(vol) < room);
		room = blocks_room(vol);
	}
	assert_int_equal(blocks_room(vol), 0);
	assert_in_range(more, 3 * 64 * 4096, 5 * 64 * 4096);
	assert_int_equal(volume_write(vol, ino, 3 << 20, data, 9, &done),
			 ENOSPC);
	assert_int_equal(volume_setattr(vol, ino, VOLUME_SET_SIZE, &attr), 0);
	room = blocks_room(vol);
	assert_in_range(room, 3 * 64, 5 * 64);
	assert_int_equal(volume_write(vol, ino, 3 << 20, data, 100000, &done),
			 0);
	assert_in_range(room - blocks_room(vol), 25, 27);
	/* Where each block has its memory, there is room for all. */
	volume_mem_limit(f.mem, 0);
	assert_true(f.mem->ops->room(f.mem) == UINT64_MAX);
	assert_int_equal(volume_close(vol), 0);
	dev->ops->close(dev);
	free(sparse);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_no_block),
		cmocka_unit_test(test_memory_again),
		cmocka_unit_test(test_no_block_for_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
