/* SPDX-License-Identifier: MIT */
/*
 * What a crash leaves of files that were held without a name: the list of
 * orphans, and the file of them that Linux may keep. Judged by e2fsck, and by
 * opening the volume again.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/ext4/volume_int.h"
#include "qemu-test/unit/volume_fixture.h"

static uint8_t data[50000];

static uint64_t inodes_free(struct volume *vol)
{
	struct volume_stat st;

	volume_statfs(vol, &st);
	return st.files_free;
}

/* What a crash right now would leave is as free as it was before, for e2fsck and
 * for us. */
static void crash(struct fixture *f, uint64_t blocks, uint64_t inodes)
{
	struct volume_dev *dev;
	struct volume *vol;
	uint8_t *image;
	size_t size;

	assert_int_equal(volume_flush(f->vol), 0);
	fixture_copy(f, "crash");
	/* 1: it has mended something. */
	fixture_run(f, "/sbin/e2fsck -fp crash; test $? -le 1");
	fixture_run(f, "/sbin/e2fsck -fn crash");
	image = fixture_image(f, &size);
	assert_int_equal(volume_mem_open(image, size, &dev), 0);
	assert_int_equal(volume_open(dev, &vol), 0);
	assert_int_equal(blocks_free(vol), blocks);
	assert_int_equal(inodes_free(vol), inodes);
	assert_null(vol->orphans);
	assert_int_equal(volume_close(vol), 0);
	fixture_write(f, "crash", dev);
	fixture_run(f, "/sbin/e2fsck -fn crash");
	dev->ops->close(dev);
	free(image);
}

/* A file, a directory, one with attributes in a block and one that never had a
 * name are held, in any order; and let go, in another. */
static void test_held(void **state)
{
	static const char *const options[] = {
		"", "-O orphan_file", "-O ^metadata_csum -b 1024",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(options) / sizeof(*options); i++) {
		uint64_t blocks, inodes;
		struct fixture f;
		uint32_t ino[4];

		fixture_open(&f, 16, options[i]);
		blocks = blocks_free(f.vol);
		inodes = inodes_free(f.vol);
		ino[0] = new_file(f.vol, ROOT, "a");
		ino[1] = new_dir(f.vol, ROOT, "b");
		ino[2] = new_file(f.vol, ROOT, "c");
		put(f.vol, ino[0], 0, data, sizeof(data));
		put(f.vol, ino[2], 100000, data, sizeof(data));
		assert_int_equal(volume_xattr_set(f.vol, ino[2], "user.x",
						  data, 900, 0), 0);
		for (unsigned n = 0; n < 3; n++) {
			assert_int_equal(volume_hold(f.vol, ino[n]), 0);
		}
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
		assert_int_equal(volume_rmdir(f.vol, ROOT, NAME("b")), 0);
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("c")), 0);
		assert_int_equal(volume_tmpfile(f.vol, ROOT, &file_make,
						&ino[3]), 0);
		put(f.vol, ino[3], 0, data, 10);
		assert_true(blocks_free(f.vol) < blocks - 20);
		crash(&f, blocks, inodes);
		/* Out of the middle, of the end and of the beginning. */
		volume_release(f.vol, ino[1]);
		crash(&f, blocks, inodes);
		volume_release(f.vol, ino[0]);
		crash(&f, blocks, inodes);
		assert_int_equal(volume_link(f.vol, ino[3], ROOT, NAME("d")),
				 0);
		volume_release(f.vol, ino[3]);
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("d")), 0);
		crash(&f, blocks, inodes);
		volume_release(f.vol, ino[2]);
		assert_int_equal(blocks_free(f.vol), blocks);
		assert_int_equal(inodes_free(f.vol), inodes);
		fixture_close(&f);
	}
}

/* Names two files in the orphan file, as Linux would: one that has lost its
 * name, and one that was being made shorter. */
static void fill_orphan_file(struct volume *vol, const uint32_t ino[2])
{
	struct vnode *file;
	uint32_t *block;
	uint64_t at;

	assert_int_equal(vnode_load_any(
		vol, vol->fs->super->s_orphan_file_inum, &file), 0);
	assert_int_equal(tree_load(vol, file), 0);
	at = file->runs[0].pblk + 1;
	block = (uint32_t *)vol->dev->ops->change(vol->dev, at, false);
	block[7] = ino[0];
	block[100] = ino[1];
	block[vol->block_size / 4 - 1] = orphan_csum(vol, file, at, block);
	ext2fs_set_feature_orphan_present(vol->fs->super);
	ext2fs_mark_super_dirty(vol->fs);
}

/* Beyond the size a file has blocks that it shall not have. */
static void test_orphan_file(void **state)
{
	uint64_t blocks, inodes;
	struct vnode *vn;
	struct fixture f;
	uint32_t ino[2];

	(void)state;
	memset(data, 7, sizeof(data));
	fixture_open(&f, 16, "-O orphan_file");
	ino[1] = new_file(f.vol, ROOT, "kept");
	put(f.vol, ino[1], 0, data, 100);
	blocks = blocks_free(f.vol);
	inodes = inodes_free(f.vol);
	put(f.vol, ino[1], 100, data, sizeof(data) - 100);
	ino[0] = new_file(f.vol, ROOT, "gone");
	put(f.vol, ino[0], 0, data, sizeof(data));
	assert_int_equal(volume_hold(f.vol, ino[0]), 0);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("gone")), 0);
	assert_int_equal(vnode_get(f.vol, ino[0], &vn), 0);
	orphan_remove(f.vol, vn);
	assert_int_equal(vnode_get(f.vol, ino[1], &vn), 0);
	vnode_set_size(f.vol, vn, 100);
	fill_orphan_file(f.vol, ino);
	crash(&f, blocks, inodes);
	/* As a crash leaves it, and opened in its place. */
	fixture_crash(&f);
	assert_int_equal(blocks_free(f.vol), blocks);
	put(f.vol, ino[1], 8000, data, 1);
	for (unsigned i = 100; i < 8000; i += 500) {
		uint8_t byte = 1;
		size_t done;

		assert_int_equal(volume_read(f.vol, ino[1], i, &byte, 1,
					     &done), 0);
		assert_int_equal(byte, 0);
	}
	fixture_close(&f);
}

/* A list that leads nowhere, or round in a circle, ends; what it says of files
 * that are there is believed. */
static void test_damaged_list(void **state)
{
	struct fixture f;
	struct vnode *vn;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 16, "");
	ino = new_file(f.vol, ROOT, "a");
	put(f.vol, ino, 0, data, sizeof(data));
	assert_int_equal(vnode_get(f.vol, ino, &vn), 0);
	vn->in.i_dtime = ino;
	vn->dirty = true;
	f.vol->fs->super->s_last_orphan = ino;
	ext2fs_mark_super_dirty(f.vol->fs);
	assert_int_equal(volume_flush(f.vol), 0);
	fixture_crash(&f);
	assert_int_equal(attr_of(f.vol, ino).size, sizeof(data));
	f.vol->fs->super->s_last_orphan = 0xfffffff0;
	ext2fs_mark_super_dirty(f.vol->fs);
	assert_int_equal(volume_flush(f.vol), 0);
	fixture_crash(&f);
	assert_int_equal(attr_of(f.vol, ino).size, sizeof(data));
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_orphan_file),
		cmocka_unit_test(test_damaged_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
