/* SPDX-License-Identifier: MIT */
/*
 * The 9P server and the volume when memory ends: one request after the other
 * meets an allocation that fails, each of them once. Who asked is told so, the
 * rest goes on, and e2fsck finds nothing in what is left.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/files/p9_server_int.h"
#include "qemu-test/unit/p9_talk.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static long left = -1;			/* allocations until one fails; <0: never */
static bool ended;			/* one has failed */
static bool no_large;			/* all large ones fail */

static bool fails(void)
{
	if (left >= 0 && left-- == 0) {
		ended = true;
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

/* What a request may get: nothing wrong, no memory in one of its words, or what
 * follows from an earlier one's having failed. */
static void answered(uint32_t error)
{
	assert_true(error == 0 || error == ENOMEM || error == 37 /* ENOLCK */ ||
		    (ended && (error == ENOENT || error == EBADF ||
			       error == EINVAL || error == 39 ||
			       error == 61)));
}

/* All that allocates: fids and users, names, extents, attributes, locks. */
static void requests(unsigned number)
{
	static const uint8_t data[20000];
	char name[32];

	answered(attach(1, 3000 + number));
	snprintf(name, sizeof(name), "dir-%u", number);
	answered(mkdir_at(1, name));
	answered(walk(1, 2, name));
	answered(walk(1, 3, name));
	answered(lcreate(3, "file", P9_O_RDWR));
	for (uint64_t i = 0; i < 6; i++) {
		/* Holes between: an extent each. */
		answered(write_at(3, i * 2 * sizeof(data), data,
				  sizeof(data)));
	}
	answered(symlink_at(2, "link", "where"));
	answered(walk(2, 4, "file"));
	answered(xattrcreate(4, "user.x", 100, 0));
	answered(write_at(4, 0, data, 100));
	answered(clunk(4));
	answered(walk(2, 4, "file"));
	answered(xattrwalk(4, 5, "user.x"));
	for (unsigned i = 0; i < 4; i++) {
		answered(lock(3, P9_LOCK_WRLCK, i * 10, 5, i));
	}
	answered(lock(3, P9_LOCK_UNLCK, 2, 1, 0));
	answered(unlinkat(2, "file", 0));
	answered(unlinkat(2, "link", 0));
	answered(unlinkat(1, name, P9_AT_REMOVEDIR));
}

/* Nothing fails any more once the first allocation that does lies behind the
 * last of them. What a round left behind is taken away with memory. */
static void test_each_fails_once(void **state)
{
	struct p9_attr attr;
	unsigned number = 0;

	(void)state;
	do {
		ended = false;
		left = (long)number;
		requests(number++);
		left = -1;
		assert_int_equal(getattr(TOP, &attr), 0);
		assert_int_equal(version(MSIZE, P9_VERSION), 0);
		assert_int_equal(c.server->lock_count, 0);
		assert_false(p9_server_end_some(c.server, UINT64_MAX));
		assert_int_equal(c.server->xattr_bytes, 0);
		assert_int_equal(attach(TOP, 0), 0);
	} while (ended && number < 1000);
	assert_in_range(number, 15, 999);
}

/* Appends to the sparse image. */
static void add(uint8_t **at, const void *data, size_t len)
{
	memcpy(*at, data, len);
	*at += len;
}

/* A volume whose empty blocks have no memory yet, and then get none: that is a
 * full disk. */
static void test_no_block(void **state)
{
	static const uint8_t zeros[VOLUME_BLOCK], data[400000];
	struct fixture f;
	struct volume_dev *dev;
	struct volume *vol;
	uint8_t *sparse, *at;
	struct volume_attr attr = { 0 };
	size_t done, more = 0;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 16, "");
	at = sparse = __real_malloc(2 * f.size);
	add(&at, (const uint16_t[]){ 0xff3a, 0xed26, 1, 0, 28, 12 }, 12);
	add(&at, (const uint32_t[]){ VOLUME_BLOCK, 4096, 4096, 0 }, 16);
	for (size_t i = 0; i < f.size; i += VOLUME_BLOCK) {
		bool raw = memcmp(f.image + i, zeros, VOLUME_BLOCK) != 0;

		add(&at, (const uint16_t[]){ raw ? 0xcac1 : 0xcac3, 0 }, 4);
		add(&at, (const uint32_t[]){ 1, raw ? 12 + VOLUME_BLOCK : 12 },
		    8);
		add(&at, f.image + i, raw ? VOLUME_BLOCK : 0);
	}
	assert_int_equal(volume_mem_open(sparse, (size_t)(at - sparse), &dev),
			 0);
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
	volume_mem_limit(dev, 3 * 65 * VOLUME_BLOCK);
	for (uint64_t at = 1 << 20; volume_write(vol, ino, at, data, 100000,
						 &done) == 0; at += done) {
		more += done;
	}
	assert_in_range(more, 3 * 64 * 4096, 5 * 64 * 4096);
	assert_int_equal(volume_write(vol, ino, 3 << 20, data, 9, &done),
			 ENOSPC);
	attr.size = 1 << 20;
	assert_int_equal(volume_setattr(vol, ino, VOLUME_SET_SIZE, &attr), 0);
	assert_int_equal(volume_write(vol, ino, 3 << 20, data, 100000, &done),
			 0);
	assert_int_equal(volume_close(vol), 0);
	dev->ops->close(dev);
	free(sparse);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_fails_once, setup,
						teardown),
		cmocka_unit_test(test_no_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
