/* SPDX-License-Identifier: MIT */
/* What fsck finds in a volume in use: nothing in a sound one, whatever was just done
 * to it or is done meanwhile; and each thing that is wrong. */
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
static uint32_t at_once;		/* as in struct volume_fsck */
static void (*meanwhile)(struct fixture *f);

static struct volume_fsck check_all(struct fixture *f)
{
	struct volume_fsck check = { .at_once = at_once };

	text[0] = '\0';
	for (unsigned i = 0; !check.done; i++) {
		int error;

		assert_true(i < 100000);
		while ((error = volume_fsck(f->vol, &check)) == EAGAIN) {
			fixture_again(&f->dev);
		}
		assert_int_equal(error, 0);
		fixture_turn(&f->dev);
		if (meanwhile != NULL) {
			meanwhile(f);
		}
		strncat(text, check.text, sizeof(text) - strlen(text) - 1);
	}
	volume_fsck_end(f->vol, &check);
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
		/* In pieces, and where each block must be waited for. */
		for (at_once = 700; at_once > 200; at_once -= 200) {
			f.dev.instant = false;
			fixture_waits = true;
			assert_int_equal(check_all(&f).found, 0);
			fixture_waits = false;
			f.dev.instant = true;
		}
		at_once = 0;
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
	struct volume_fsck check;

	at_once = 500;
	check_all(f);
	if (strstr(text, want) == NULL) {
		fail_msg("in pieces: wanted \"%s\", got \"%s\"", want, text);
	}
	at_once = 0;
	check = check_all(f);
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

/* Where the one extent of an inode, or the second, begins. */
static uint32_t *extent_of(struct fixture *f, uint32_t ino, unsigned n)
{
	return (uint32_t *)(inode_at(f, ino) + 40 + 12 + 12 * n + 8);
}

/* Blocks that two have. */
static void two_owners(void **state)
{
	struct fixture f;
	uint8_t byte = 7;
	uint32_t a, b, c, was;
	char want[96];

	(void)state;
	fixture_open(&f, 16, "-O ^metadata_csum,^uninit_bg");
	a = new_file(f.vol, ROOT, "a");
	b = new_file(f.vol, ROOT, "b");
	c = new_file(f.vol, ROOT, "c");
	put(f.vol, a, 0, &byte, 1);
	put(f.vol, b, 0, &byte, 1);
	put(f.vol, c, 0, &byte, 1);
	put(f.vol, c, 100000, &byte, 1);
	assert_int_equal(check_all(&f).found, 0);
	was = *extent_of(&f, b, 0);
	*extent_of(&f, b, 0) = *extent_of(&f, a, 0);
	snprintf(want, sizeof(want), "inode %u: block %u of it is inode %u's, "
		 "too", (unsigned)a, (unsigned)*extent_of(&f, a, 0),
		 (unsigned)b);
	expect_text(&f, want);
	*extent_of(&f, b, 0) = (uint32_t)group_inode_table(f.vol, 0);
	snprintf(want, sizeof(want), "inode %u: block %u of it is the file "
		 "system's own", (unsigned)b,
		 (unsigned)*extent_of(&f, b, 0));
	expect_text(&f, want);
	*extent_of(&f, b, 0) = was;
	was = *extent_of(&f, c, 1);
	*extent_of(&f, c, 1) = *extent_of(&f, c, 0);
	snprintf(want, sizeof(want), "inode %u: it has block %u twice",
		 (unsigned)c, (unsigned)*extent_of(&f, c, 0));
	expect_text(&f, want);
	*extent_of(&f, c, 1) = was;
	assert_int_equal(check_all(&f).found, 0);
	fixture_close(&f);
}

static uint32_t hands[3];
static unsigned looked;

static void swap_blocks(struct fixture *f, uint32_t a, uint32_t b)
{
	uint32_t was = *extent_of(f, a, 0);

	*extent_of(f, a, 0) = *extent_of(f, b, 0);
	*extent_of(f, b, 0) = was;
}

/* The last takes what the first had when that was looked at; and then the second
 * takes it, before anybody asks who has it, too. 512 inodes are 4 calls. */
static void change_hands(struct fixture *f)
{
	looked++;
	if (looked == 1) {
		swap_blocks(f, hands[0], hands[2]);
	} else if (looked == 4) {
		swap_blocks(f, hands[2], hands[1]);
	}
}

static void block_changes_hands(void **state)
{
	struct fixture f;
	uint8_t byte = 7;
	char name[24];

	(void)state;
	fixture_open(&f, 16, "-N 512 -O ^metadata_csum,^uninit_bg");
	for (unsigned i = 0; i < 200; i++) {
		uint32_t ino;

		snprintf(name, sizeof(name), "file-%u", i);
		ino = new_file(f.vol, ROOT, name);
		put(f.vol, ino, 0, &byte, 1);
		hands[i < 2 ? i : 2] = ino;
	}
	meanwhile = change_hands;
	assert_int_equal(check_all(&f).found, 0);
	meanwhile = NULL;
	assert_true(looked > 12);
	fixture_close(&f);
}

/* Attributes that two files have in one block are no fault; a file's data there
 * are. */
static void shared_attributes(void **state)
{
	static char value[400];
	struct fixture f;
	uint8_t byte = 7;
	uint32_t a, b, c, block, was;

	(void)state;
	fixture_open(&f, 16, "-O ^metadata_csum,^uninit_bg");
	a = new_file(f.vol, ROOT, "a");
	b = new_file(f.vol, ROOT, "b");
	c = new_file(f.vol, ROOT, "c");
	put(f.vol, c, 0, &byte, 1);
	assert_int_equal(volume_xattr_set(f.vol, a, "user.x", value,
					  sizeof(value), 0), 0);
	assert_int_equal(check_all(&f).found, 0);
	block = *(uint32_t *)(inode_at(&f, a) + 104);	/* i_file_acl */
	*(uint32_t *)(inode_at(&f, b) + 104) = block;
	assert_int_equal(check_all(&f).found, 0);
	*(uint32_t *)(inode_at(&f, b) + 104) = 0;
	was = *extent_of(&f, c, 0);
	*extent_of(&f, c, 0) = block;
	expect_text(&f, "of it is inode");
	*extent_of(&f, c, 0) = was;
	fixture_close(&f);
}

/* Names and links that are not as many, as debugfs makes them. */
static void links_and_names(void **state)
{
	static const struct {
		const char *command, *want;
	} t[] = {
		{ "ln f g", "it has 1 links, and 2 names" },
		{ "unlink f", "it has no name" },
		{ "sif f links_count 5", "it has 5 links, and 1 names" },
		{ "sif d links_count 9", "it has 9 links, and 3 names" },
		{ "unlink d/e", "it has 2 links, and 1 names" },
		{ "freei f", "it is free, and has 1 names" },
		{ "sif f links_count 0", "it has 0 links, and 1 names" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(*t); i++) {
		char command[128];
		struct fixture f;
		uint32_t dir;

		fixture_open(&f, 16, i % 2 != 0 ? "-O orphan_file" : "-b 1024");
		new_file(f.vol, ROOT, "f");
		dir = new_dir(f.vol, ROOT, "d");
		new_dir(f.vol, dir, "e");
		fill(&f, dir);
		assert_int_equal(check_all(&f).found, 0);
		snprintf(command, sizeof(command),
			 "/sbin/debugfs -w -R '%s' image", t[i].command);
		fixture_command(&f, command);
		expect_text(&f, t[i].want);
		fixture_command(&f, "/sbin/e2fsck -fy image; test $? -le 1");
		assert_int_equal(check_all(&f).found, 0);
		fixture_close(&f);
	}
}

static uint32_t busy_dir;
static unsigned turn;

/* Whatever there is, between two looks. */
static void work(struct fixture *f)
{
	struct volume_attr none = { .size = 0 };
	uint8_t data[9000] = { 1 };
	char name[24], other[24];
	uint32_t ino;

	/* The volume is small, so that blocks are soon another's. */
	for (unsigned n = 0; n < 60; n++, turn++) {
		uint32_t seed = turn * 2654435761u >> 7;
		uint32_t from = seed & 1 ? busy_dir : ROOT;
		uint32_t to = seed & 2 ? busy_dir : ROOT;

		snprintf(name, sizeof(name), "file-%u", seed / 8 % 300);
		snprintf(other, sizeof(other), "file-%u", seed / 4096 % 300);
		ino = find(f->vol, from, name);
		if (ino == 0) {
			put(f->vol, new_file(f->vol, from, name), 0, data,
			    seed % sizeof(data) + 1);
		} else if ((seed & 48) != 0 &&
			   (attr_of(f->vol, ino).mode & VOLUME_S_IFMT) ==
			   VOLUME_S_IFREG) {
			volume_setattr(f->vol, ino, VOLUME_SET_SIZE, &none);
			put(f->vol, ino, 0, data, seed % sizeof(data) + 1);
		} else if ((seed & 12) == 0) {
			volume_unlink(f->vol, from, NAME(name));
		} else if ((seed & 12) == 4) {
			volume_link(f->vol, ino, to, NAME(other));
		} else if ((seed & 12) == 8) {
			move(f->vol, from, name, to, other);
		} else if (volume_create(f->vol, from, "dir", 3, &dir_make,
					 &ino) != 0) {
			volume_rmdir(f->vol, from, "dir", 3);
		}
	}
}

/* One that is in use while it is looked at: nothing is wrong. */
static void in_use(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 8, "-b 1024 -O ^has_journal");
	busy_dir = new_dir(f.vol, ROOT, "d");
	fill(&f, busy_dir);
	meanwhile = work;
	for (at_once = 0; at_once < 3000; at_once += 1500) {
		struct volume_fsck check = check_all(&f);

		assert_string_equal(text, "");
		assert_int_equal(check.found, 0);
	}
	meanwhile = NULL;
	at_once = 0;
	assert_int_equal(check_all(&f).found, 0);
	assert_true(turn > 1000);
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
		cmocka_unit_test(two_owners),
		cmocka_unit_test(block_changes_hands),
		cmocka_unit_test(shared_attributes),
		cmocka_unit_test(links_and_names), cmocka_unit_test(in_use),
		cmocka_unit_test(checksums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
