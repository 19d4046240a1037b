/* SPDX-License-Identifier: MIT */
/*
 * Each feature that mke2fs, tune2fs and debugfs know, with and without: a volume with
 * it is either taken, used in all its groups, and what e2fsck finds nothing in; or it
 * is refused, by a reason that names what is in the way, and stays as it is.
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

#define MEMORY	(1u << 20)		/* of the cache */
#define FILES	160u

static const struct {
	const char *options;		/* of mke2fs */
	const char *after;		/* a command on the image, or NULL */
	const char *why;		/* NULL: it is taken */
} kinds[] = {
	/* As they come, and without what comes with ext4. */
	{ "", NULL, NULL },
	{ "-b 1024", NULL, NULL },
	{ "-b 2048", NULL, NULL },
	{ "-b 1024 -O orphan_file", NULL, NULL },
	{ "-b 1024 -O ^orphan_file", NULL, NULL },
	{ "-O metadata_csum_seed", NULL, NULL },
	{ "-O metadata_csum_seed", "tune2fs -U random image", NULL },
	{ "-b 1024 -O ^64bit", NULL, NULL },
	{ "-b 1024 -O ^flex_bg", NULL, NULL },
	{ "-b 1024 -O ^has_journal", NULL, NULL },
	{ "-b 1024 -O ^metadata_csum,uninit_bg", NULL, NULL },
	{ "-b 1024 -O ^metadata_csum,uninit_bg,^flex_bg,^64bit", NULL, NULL },
	{ "-b 1024 -O ^metadata_csum,^uninit_bg", NULL, NULL },
	{ "-b 1024 -O ^sparse_super,^resize_inode", NULL, NULL },
	{ "-b 1024 -O ^sparse_super,^flex_bg,^resize_inode", NULL, NULL },
	{ "-b 1024 -O sparse_super2", NULL, NULL },
	{ "-b 1024 -O sparse_super2,^flex_bg -E num_backup_sb=1", NULL, NULL },
	{ "-b 1024 -O ^resize_inode", NULL, NULL },
	{ "-b 1024 -O meta_bg,^resize_inode", NULL, NULL },
	{ "-b 1024 -O meta_bg,^resize_inode,^flex_bg,^64bit", NULL, NULL },
	{ "-b 1024 -O ^dir_index", NULL, NULL },
	{ "-b 1024 -O ^dir_nlink", NULL, NULL },
	{ "-b 1024 -O ^huge_file", NULL, NULL },
	{ "-b 1024 -O ^large_file", NULL, NULL },
	{ "-b 1024 -O ^extra_isize", NULL, NULL },
	{ "-b 1024 -O ^ext_attr", NULL, NULL },
	{ "-b 1024 -O stable_inodes", NULL, NULL },
	{ "-b 1024 -O fast_commit", NULL, NULL },
	{ "-b 1024 -E lazy_itable_init=0,lazy_journal_init=0", NULL, NULL },
	{ "-b 1024 -E packed_meta_blocks=1", NULL, NULL },
	{ "-b 1024 -G 2 -g 2048", NULL, NULL },
	{ "-T largefile", NULL, NULL },
	{ "-T news", NULL, NULL },
	{ "-b 1024", "debugfs -w -R 'feature dir_prealloc imagic_inodes' image",
	  NULL },
	/* What is refused, by its name. */
	{ "-O bigalloc", NULL, "\"bigalloc\"" },
	{ "-O inline_data", NULL, "\"inline_data\"" },
	{ "-O encrypt", NULL, "\"encrypt\"" },
	{ "-O casefold", NULL, "\"casefold\"" },
	{ "-O verity", NULL, "\"verity\"" },
	{ "-O ea_inode", NULL, "\"ea_inode\"" },
	{ "-O quota", NULL, "\"quota\"" },
	{ "-O project", NULL, "\"project\"" },
	{ "", "tune2fs -O project,quota image", "\"quota\"" },
	{ "-O mmp", NULL, "\"mmp\"" },
	{ "-O large_dir", NULL, "\"large_dir\"" },
	{ "", "tune2fs -O read-only image", "\"read-only\"" },
	{ "", "debugfs -w -R 'feature shared_blocks' image",
	  "\"shared_blocks\"" },
	{ "", "debugfs -w -R 'feature replica' image", "\"replica\"" },
	{ "", "debugfs -w -R 'feature dirdata' image", "\"dirdata\"" },
	{ "", "debugfs -w -R 'feature compression' image", "\"compression\"" },
	{ "", "debugfs -w -R 'feature FEATURE_I27' image", "\"number 27\"" },
	{ "", "debugfs -w -R 'feature FEATURE_R29' image", "\"number 29\"" },
	{ "-O ^extent,^64bit", NULL, "\"extent\"" },
	{ "-O ^filetype", NULL, "\"filetype\"" },
	{ "-b 4096 -O journal_dev", NULL, "\"journal_dev\"" },
	{ "-O ^has_journal", "debugfs -w -R 'feature has_journal' image && "
	  "debugfs -w -R 'set_super_value journal_dev 2049' image",
	  "its journal is on another device" },
	{ "-b 1024 -I 128", NULL, "its inodes are of 128 bytes" },
	{ "-b 4096 -I 1024", NULL, "its inodes are of 1024 bytes" },
	{ "-b 8192", NULL, "its blocks are of 8192 bytes" },
};

static uint32_t dir, ino;
static unsigned number;

static void name_of(char name[64])
{
	snprintf(name, 64, "a-name-as-long-as-names-are-%u", number);
}

static int op_dir(void)
{
	const struct volume_make make = { .mode = VOLUME_S_IFDIR | 0755 };

	return volume_create(sparse_vol, VOLUME_ROOT, NAME("d"), &make, &dir);
}

static int op_create(void)
{
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };
	char name[64];

	name_of(name);
	return volume_create(sparse_vol, dir, NAME(name), &make, &ino);
}

static int op_symlink(void)
{
	const struct volume_make make = { .uid = 1 };
	char name[64], target[300];

	name_of(name);
	memset(target, 't', sizeof(target));
	return volume_symlink(sparse_vol, dir, NAME(name), target,
			      number % 20 + 50, &make, &ino);
}

static int op_write(void)
{
	static uint8_t data[3000];
	size_t done;

	memset(data, (int)number, sizeof(data));
	return volume_write(sparse_vol, ino, number * 50, data, sizeof(data),
			    &done);
}

static int op_xattr(void)
{
	static const char value[400] = "value";

	return volume_xattr_set(sparse_vol, ino, "user.x", value,
				number % sizeof(value), 0);
}

static int op_link(void)
{
	char name[64];

	name_of(name);
	return volume_link(sparse_vol, ino, VOLUME_ROOT, NAME(name));
}

static int op_unlink(void)
{
	char name[64];

	name_of(name);
	return volume_unlink(sparse_vol, dir, NAME(name));
}

static int op_big(void)
{
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };

	return volume_create(sparse_vol, dir, NAME("big"), &make, &ino);
}

/* Nearly all there is, so that each group has a part in it. */
static int op_fill(void)
{
	struct volume_stat st;

	volume_statfs(sparse_vol, &st);
	return volume_fallocate(sparse_vol, ino, 0, 0, st.blocks_free / 20 *
				19 * st.block_size);
}

static int op_path(void)
{
	return volume_path(sparse_vol, "/d", false, &dir);
}

static int op_find(void)
{
	char name[64];

	name_of(name);
	return volume_lookup(sparse_vol, dir, NAME(name), &ino);
}

static uint8_t byte;

static int op_read(void)
{
	size_t done;

	return volume_read(sparse_vol, ino, number * 50 + 2999, &byte, 1,
			   &done);
}

static void must(int (*op)(void))
{
	assert_int_equal(sparse_change(op), 0);
}

static void use(void)
{
	must(op_dir);
	for (number = 0; number < FILES; number++) {
		if (number % 4 == 3) {
			must(op_symlink);
			continue;
		}
		must(op_create);
		must(op_write);
		if (number % 3 == 0) {
			must(op_xattr);
			must(op_link);
		}
	}
	for (number = 0; number < FILES; number += 5) {
		must(op_unlink);
	}
	must(op_big);
	must(op_fill);
}

static void used(void)
{
	assert_int_equal(sparse_look(op_path), 0);
	for (number = 0; number < FILES; number++) {
		assert_int_equal(sparse_look(op_find),
				 number % 5 == 0 ? ENOENT : 0);
		if (number % 5 != 0 && number % 4 != 3) {
			assert_int_equal(sparse_look(op_read), 0);
			assert_int_equal(byte, number);
		}
	}
}

static bool make(unsigned i)
{
	char command[512];

	/* 4 groups, or more. */
	snprintf(command, sizeof(command), "rm -f image; truncate -s %s image "
		 "&& mke2fs -q -F %s %s image && %s",
		 strstr(kinds[i].options, "-b 1024") != NULL ? "40M" : "400M",
		 strstr(kinds[i].options, "journal_dev") == NULL ? "-t ext4"
		 : "", kinds[i].options,
		 kinds[i].after != NULL ? kinds[i].after : "true");
	return sparse_shell(command, "") == 0;
}

static void test_kinds(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const char *want = kinds[i].why;
		char why[JOURNAL_WHY] = "";
		int error;

		print_message("mke2fs %s; %s\n", kinds[i].options,
			      kinds[i].after != NULL ? kinds[i].after : "");
		assert_true(make(i));
		if (want != NULL) {
			assert_int_equal(sparse_shell("cp --sparse=always image was", ""),
					 0);
		}
		error = sparse_open(MEMORY, why);
		if (want != NULL) {
			if (error != EOPNOTSUPP || strstr(why, want) == NULL) {
				fail_msg("%d: \"%s\", not \"%s\"", error, why,
					 want);
			}
			assert_int_equal(sparse_shell("cmp image was", ""), 0);
			continue;
		}
		if (error != 0) {
			fail_msg("refused: \"%s\"", why);
		}
		use();
		sparse_close();
		assert_int_equal(sparse_shell("e2fsck -fn image", ""), 0);
		assert_int_equal(sparse_open(MEMORY, why), 0);
		used();
		sparse_close();
	}
}

/* Of 4096 bytes: blocks of as many are used, smaller ones refused. */
static void test_sectors(void **state)
{
	char why[JOURNAL_WHY];

	(void)state;
	sparse_sector = 4096;
	for (unsigned shift = 10; shift <= 12; shift++) {
		char size[8];

		snprintf(size, sizeof(size), "%u", 1u << shift);
		assert_int_equal(sparse_shell(
			"rm -f image && mke2fs -q -t ext4 -b $size image 32M && "
			"cp image was", size), 0);
		if (shift == 12) {
			assert_int_equal(sparse_open(MEMORY, why), 0);
			use();
			sparse_close();
			continue;
		}
		assert_int_equal(sparse_open(MEMORY, why), EOPNOTSUPP);
		assert_string_equal(why, "its blocks are smaller than the "
				    "disk's sectors");
		assert_int_equal(sparse_shell("cmp image was", ""), 0);
	}
	sparse_sector = 512;
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
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_sectors),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
