/* SPDX-License-Identifier: MIT */
/*
 * Groups of blocks: bitmaps and tables that were never written, on a device that
 * is full of something else; damaged ones; how little is looked at on a large
 * volume; and freed blocks before a device with a journal.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "host-bridge/fs/ext4/volume_group.h"
#include "qemu-test/unit/volume_fixture.h"

static uint8_t data[100000];

/* Files of a block or two, until so many groups have some. */
static void use_groups(struct volume *vol, uint32_t groups)
{
	uint32_t dir = new_dir(vol, ROOT, "d"), ino = 0;
	char name[32];

	for (unsigned i = 0; ino < groups * vol->group_inodes; i++) {
		snprintf(name, sizeof(name), "%u", i);
		ino = new_file(vol, dir, name);
		put(vol, ino, 0, data, 1 + i * 37 % 8000);
		if (i % 5 == 0) {
			volume_unlink(vol, dir, NAME(name));
		}
		if (i % 300 == 299) {
			assert_int_equal(volume_flush(vol), 0);
		}
	}
}

/* As a disk that was used before: mke2fs leaves tables and bitmaps that nobody
 * needs yet as they are. */
static void test_used_disk(void **state)
{
	static const char *const options[] = {
		"-b 1024 -g 1024 -N 2048", "-b 1024 -g 2048 -N 2048 -O ^flex_bg",
		"-b 1024 -g 1024 -N 2048 -O ^metadata_csum,uninit_bg",
		"-b 1024 -g 1024 -N 2048 -O ^resize_inode,meta_bg",
		"-b 1024 -g 1024 -N 2048 -O ^metadata_csum,^uninit_bg",
		"-b 4096 -g 1024 -N 2048 -G 4",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(options) / sizeof(*options); i++) {
		char command[256];
		struct fixture f;

		fixture_open(&f, 16, "");
		snprintf(command, sizeof(command), "head -c 16M /dev/zero | "
			 "tr '\\0' '\\333' >image && /sbin/mke2fs -q -F -t ext4 "
			 "-E lazy_itable_init=1,nodiscard -m 0 %s image",
			 options[i]);
		fixture_command(&f, command);
		use_groups(f.vol, f.vol->fs->group_desc_count / 2);
		fixture_reopen(&f);
		assert_int_not_equal(find(f.vol, find(f.vol, ROOT, "d"), "1"),
				     0);
		fixture_close(&f);
	}
}

/* All inodes and all blocks can be had, whatever group they are in, and again
 * when they were given back. */
static void test_all(void **state)
{
	struct fixture f;
	uint64_t blocks;

	(void)state;
	fixture_open(&f, 8, "-b 1024 -g 512 -N 1024 -O ^has_journal");
	blocks = blocks_free(f.vol);
	for (unsigned round = 0; round < 2; round++) {
		struct volume_stat st;
		unsigned files = 0;
		uint32_t ino, last = 0;
		char name[32];
		size_t done;

		for (;; files++) {
			snprintf(name, sizeof(name), "f%u", files);
			if (volume_create(f.vol, ROOT, NAME(name), &file_make,
					  &ino) != 0) {
				break;
			}
			last = ino;
		}
		for (uint64_t at = 0; volume_write(f.vol, last, at, data, 3000,
						   &done) == 0; at += done) {
		}
		volume_statfs(f.vol, &st);
		assert_int_equal(st.files_free, 0);
		assert_int_equal(st.blocks_free, 0);
		fixture_reopen(&f);
		for (unsigned i = 0; i < files; i++) {
			snprintf(name, sizeof(name), "f%u", i);
			assert_int_equal(volume_unlink(f.vol, ROOT,
						       NAME(name)), 0);
		}
		/* The directory has kept its blocks. */
		assert_in_range(blocks_free(f.vol), blocks - 40, blocks);
		fixture_reopen(&f);
	}
	fixture_close(&f);
}

/* A group with a damaged bitmap has no room; the others have. */
static void test_damaged(void **state)
{
	struct fixture f;
	unsigned found = 0;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 16, "-b 1024 -g 1024 -N 2048 -O ^has_journal");
	/* So that all bitmaps are there. */
	ino = new_file(f.vol, ROOT, "all");
	for (uint64_t at = 0; at < 13000000; at += sizeof(data)) {
		put(f.vol, ino, at, data, sizeof(data));
	}
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("all")), 0);
	fixture_reopen(&f);
	for (uint32_t g = 0; g < 12; g += 2) {
		uint8_t *map = f.vol->dev->ops->change(
			f.vol->dev, group_block_map(f.vol, g), false);

		map[100] ^= 0x10;
	}
	ino = new_file(f.vol, ROOT, "f");
	for (uint64_t at = 0; at < 5000000; at += 50000) {
		put(f.vol, ino, at, data, 50000);
	}
	for (uint32_t g = 0; g < 12; g++) {
		bool bad = (f.vol->groups[g].state & GROUP_BAD) != 0;

		assert_false(bad && g % 2 == 1);
		found += bad;
	}
	assert_in_range(found, 4, 6);
	fixture_crash(&f);
	fixture_command(&f, "/sbin/e2fsck -fy image >/dev/null; true");
	fixture_close(&f);
}

/* Counts what is looked at. */
static const struct volume_dev_ops *mem_ops;
static unsigned long looks;

static const uint8_t *count_peek(struct volume_dev *dev, uint64_t block)
{
	looks++;
	return mem_ops->peek(dev, block);
}

static uint8_t *count_change(struct volume_dev *dev, uint64_t block,
			     bool whole)
{
	looks++;
	return mem_ops->change(dev, block, whole);
}

/* What a day's work looks at, on a volume of so many MiB that has little in
 * it. */
static unsigned long looks_of(unsigned mib)
{
	size_t size = (size_t)mib << 20;
	char name[] = "/tmp/isthmus-group-XXXXXX", line[256];
	struct volume_dev_ops ops;
	struct volume_dev *dev;
	struct volume *vol;
	int fd = mkstemp(name);
	uint8_t *image;
	uint32_t dir;

	snprintf(line, sizeof(line), "/sbin/mke2fs -q -F -t ext4 -b 4096 -m 0 "
		 "%s %uM >/dev/null", name, mib);
	assert_int_equal(system(line), 0);
	image = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_NORESERVE, fd, 0);
	assert_true(image != MAP_FAILED);
	unlink(name);
	assert_int_equal(volume_mem_open(image, size, &dev), 0);
	mem_ops = dev->ops;
	ops = *mem_ops;
	ops.peek = count_peek;
	ops.poke = ops.change = count_change;
	dev->ops = &ops;
	looks = 0;
	assert_int_equal(volume_open(dev, &vol), 0);
	dir = new_dir(vol, ROOT, "d");
	for (unsigned i = 0; i < 300; i++) {
		uint32_t ino;

		snprintf(line, sizeof(line), "%u", i);
		ino = new_file(vol, dir, line);
		put(vol, ino, 0, data, i * 300);
		if (i % 3 == 0) {
			assert_int_equal(volume_unlink(vol, dir, NAME(line)),
					 0);
		}
		if (i % 10 == 0) {
			assert_int_equal(volume_flush(vol), 0);
		}
	}
	assert_int_equal(volume_close(vol), 0);
	dev->ops->close(dev);
	munmap(image, size);
	close(fd);
	return looks;
}

static void test_large(void **state)
{
	unsigned long small = looks_of(64), large = looks_of(8192);

	(void)state;
	assert_in_range(large, small - small / 10, small + small / 10);
}

/* Of a file in a thousand pieces a change at its end writes the end of its tree,
 * not all of it. */
static unsigned long changes;

static uint8_t *count_tree(struct volume_dev *dev, uint64_t block, bool whole)
{
	changes++;
	return mem_ops->change(dev, block, whole);
}

static void test_tree(void **state)
{
	struct volume_dev_ops ops;
	struct fixture f;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 32, "-b 1024");
	ino = new_file(f.vol, ROOT, "f");
	for (uint64_t i = 0; i < 1000; i++) {
		put(f.vol, ino, i * 2048, data, 1024);
	}
	assert_int_equal(volume_flush(f.vol), 0);
	mem_ops = f.dev.ops;
	ops = *mem_ops;
	ops.change = count_tree;
	f.dev.ops = &ops;
	put(f.vol, ino, 1000 * 2048, data, 1024);
	assert_int_equal(volume_flush(f.vol), 0);
	/* A leaf, bitmap, descriptors, superblock, inode; of 14 nodes. */
	assert_in_range(changes, 4, 9);
	f.dev.ops = mem_ops;
	fixture_close(&f);
}

/* The blocks that a file has, for a look at what is used again. */
static uint64_t first_block(struct volume *vol, uint32_t ino)
{
	struct vnode *vn;

	assert_int_equal(vnode_get(vol, ino, &vn), 0);
	assert_int_equal(tree_load(vol, vn), 0);
	assert_int_not_equal(vn->run_count, 0);
	return vn->runs[0].pblk;
}

/* What was freed is used again when the transaction that freed it is on the
 * disk, and until then who needs it waits; it counts as free at once. */
static void test_journal(void **state)
{
	struct fixture f;
	uint64_t was, blocks;
	uint32_t ino;
	size_t done;
	int error;

	(void)state;
	fixture_open(&f, 8, "-b 1024 -O ^has_journal");
	f.dev.running = 5;
	f.dev.lasting = 4;
	ino = new_file(f.vol, ROOT, "old");
	put(f.vol, ino, 0, data, sizeof(data));
	was = first_block(f.vol, ino);
	blocks = blocks_free(f.vol);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("old")), 0);
	assert_in_range(blocks_free(f.vol), blocks + 90, blocks + 110);
	f.vol->goal = was;
	ino = new_file(f.vol, ROOT, "new");
	put(f.vol, ino, 0, data, 1024);
	assert_true(first_block(f.vol, ino) >= was + 98);
	/* The transaction ends; it is not on the disk yet. */
	assert_int_equal(volume_flush(f.vol), 0);
	f.dev.running = 6;
	f.vol->goal = was;
	put(f.vol, ino, 50000, data, 1024);
	for (uint64_t at = 0; (error = volume_write(f.vol, ino, at, data,
						    sizeof(data), &done)) == 0;
	     at += done) {
	}
	assert_int_equal(error, EAGAIN);
	assert_in_range(blocks_free(f.vol), 90, 110);
	f.dev.lasting = 5;
	assert_int_equal(volume_write(f.vol, ino, 9000000, data, 1024, &done),
			 0);
	for (uint64_t at = 10000000; (error = volume_write(
		f.vol, ino, at, data, sizeof(data), &done)) == 0; at += done) {
	}
	assert_int_equal(error, ENOSPC);
	f.dev.running = f.dev.lasting = 0;
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_used_disk),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
