/* SPDX-License-Identifier: MIT */
/* What fsck finds in a volume in use: nothing in a sound one, whatever was just done
 * to it; and each thing that is wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/ext4/volume_group.h"
#include "qemu-test/unit/volume_fixture.h"

static char text[4096];

static struct volume_fsck check_all(struct fixture *f)
{
	struct volume_fsck check = { 0 };

	text[0] = '\0';
	for (unsigned i = 0; !check.done; i++) {
		assert_true(i < 100000);
		assert_int_equal(volume_fsck(f->vol, &check), 0);
		strncat(text, check.text, sizeof(text) - strlen(text) - 1);
	}
	return check;
}

static void fill(struct fixture *f, uint32_t dir)
{
	static uint8_t data[70000];
	char name[24];

	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		put(f->vol, new_file(f->vol, dir, name), i * 100, data,
		    i * 97 % 9000 + 1);
	}
}

static void a_sound_one(void **state)
{
	static const char *const options[] = {
		"", "-b 1024", "-b 4096 -N 4096", "-O ^metadata_csum,uninit_bg",
		"-O ^metadata_csum,^uninit_bg",
	};
	struct volume_fsck check;
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		uint32_t dir, ino;
		uint8_t byte = 1;

		fixture_open(&f, 40, options[i]);
		dir = new_dir(f.vol, ROOT, "d");
		fill(&f, dir);
		ino = new_file(f.vol, ROOT, "pieces");
		for (unsigned at = 0; at < 2000; at++) {
			put(f.vol, ino, at * 10000ull, &byte, 1);
		}
		/* Also one that is open and has no name. */
		ino = new_file(f.vol, ROOT, "gone");
		assert_int_equal(volume_hold(f.vol, ino), 0);
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("gone")), 0);
		for (unsigned n = 0; n < 100; n += 3) {
			char name[24];

			snprintf(name, sizeof(name), "file-%u", n);
			assert_int_equal(volume_unlink(f.vol, dir, name,
						       strlen(name)), 0);
		}
		check = check_all(&f);
		assert_string_equal(text, "");
		assert_int_equal(check.found, 0);
		assert_int_equal(check.nameless, 1);
		assert_true(check.inodes >= 300 - 34 + 5);
		assert_true(check.blocks >= 2000);
		volume_release(f.vol, ino);
		assert_int_equal(check_all(&f).nameless, 0);
		fixture_check(&f);
		fixture_close(&f);
	}
}

/* Where an inode lies in the image. */
static uint8_t *inode_at(struct fixture *f, uint32_t ino)
{
	struct volume *vol = f->vol;
	uint32_t at = (ino - 1) % vol->group_inodes * VOLUME_INODE_SIZE;
	uint64_t block = group_inode_table(vol, (ino - 1) / vol->group_inodes) +
			 at / vol->block_size;

	return (uint8_t *)f->mem->ops->poke(f->mem, block, false) +
	       at % vol->block_size;
}

static void expect_text(struct fixture *f, const char *want)
{
	struct volume_fsck check = check_all(f);

	assert_true(check.found > 0);
	if (strstr(text, want) == NULL) {
		fail_msg("wanted \"%s\", got \"%s\"", want, text);
	}
}

/* Without checksums, so that what is changed is found and not that. */
static void each_fault(void **state)
{
	struct fixture f;
	uint8_t byte = 7, *inode, *map, old;
	uint32_t ino;
	uint64_t block;

	(void)state;
	fixture_open(&f, 16, "-O ^metadata_csum,^uninit_bg");
	ino = new_file(f.vol, ROOT, "f");
	put(f.vol, ino, 0, &byte, 1);
	assert_int_equal(check_all(&f).found, 0);
	inode = inode_at(&f, ino);
	/* Its one extent. [Linux "Documentation/filesystems/ext4/ifork.rst"] */
	block = *(uint32_t *)(inode + 40 + 12 + 8);
	*(uint32_t *)(inode + 40 + 12 + 8) = 0xfffffff0;
	expect_text(&f, "it has blocks that there are not");
	*(uint32_t *)(inode + 40 + 12 + 8) = (uint32_t)block;
	*(uint16_t *)(inode + 40) = 0;
	expect_text(&f, "its extent tree is damaged");
	*(uint16_t *)(inode + 40) = EXT3_EXT_MAGIC;
	*(uint16_t *)(inode + 46) = 77;
	expect_text(&f, "its extent tree is damaged");
	*(uint16_t *)(inode + 46) = 0;
	map = f.mem->ops->poke(f.mem, group_block_map(f.vol, 0), false);
	block -= f.vol->fs->super->s_first_data_block;
	old = map[block / 8];
	map[block / 8] &= (uint8_t)~(1u << block % 8);
	expect_text(&f, "a block of it is marked as free");
	expect_text(&f, "group 0: so many blocks are not free");
	map[block / 8] = old;
	map = f.mem->ops->poke(f.mem, group_inode_map(f.vol, 0), false);
	map[100] ^= 1;
	expect_text(&f, "group 0: so many inodes are not free");
	map[100] ^= 1;
	assert_int_equal(check_all(&f).found, 0);
	fixture_check(&f);
	fixture_close(&f);
}

static void checksums(void **state)
{
	struct fixture f;
	uint8_t *inode, *map;
	uint32_t ino;

	(void)state;
	fixture_open(&f, 16, "-O metadata_csum");
	ino = new_file(f.vol, ROOT, "f");
	assert_int_equal(check_all(&f).found, 0);
	inode = inode_at(&f, ino);
	inode[4] ^= 1;
	expect_text(&f, "its checksum is wrong");
	inode[4] ^= 1;
	assert_int_equal(volume_flush(f.vol), 0);
	map = f.mem->ops->poke(f.mem, group_inode_map(f.vol, 0), false);
	map[100] ^= 1;
	fixture_crash(&f);
	expect_text(&f, "group 0: the bitmap of its inodes is damaged");
	map = f.mem->ops->poke(f.mem, group_inode_map(f.vol, 0), false);
	map[100] ^= 1;
	fixture_crash(&f);
	assert_int_equal(check_all(&f).found, 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_one), cmocka_unit_test(each_fault),
		cmocka_unit_test(checksums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
