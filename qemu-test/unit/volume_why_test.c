/* SPDX-License-Identifier: MIT */
/* Volumes that are refused, and that the reason names what is in the way. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host-bridge/blk/volume_dev.h"
#include "host-bridge/fs/volume.h"

#define MIB		(1u << 20)
#define SIZE		(16 * MIB)
#define SUPER		1024u
#define INCOMPAT	(SUPER + 0x60)
#define RO_COMPAT	(SUPER + 0x64)

static uint8_t image[SIZE];

int64_t volume_now_ns(void)
{
	return 0;
}

/* The image that mke2fs makes with these options, and debugfs with this
 * command. */
static void make(const char *options, const char *change)
{
	char name[] = "/tmp/isthmus-why-XXXXXX";
	int fd = mkstemp(name);
	char line[512];
	FILE *file;

	assert_true(fd >= 0);
	snprintf(line, sizeof(line), "/sbin/mke2fs -q -F -t ext4 %s %s 16M "
		 ">/dev/null 2>&1 && { [ -z '%s' ] || /sbin/debugfs -w -R '%s' "
		 "%s >/dev/null 2>&1; }", options, name, change, change, name);
	if (system(line) != 0) {
		fail_msg("%s", line);
	}
	file = fdopen(fd, "rb");
	assert_non_null(file);
	memset(image, 0, SIZE);
	assert_true(fread(image, 1, SIZE, file) > 0);
	fclose(file);
	unlink(name);
}

/* It is refused, for this reason. */
static void refused(const char *what, size_t size, const char *want)
{
	struct volume_dev *dev;
	struct volume *vol;
	char why[VOLUME_WHY];

	assert_int_equal(volume_mem_open(image, size, &dev), 0);
	if (volume_open(dev, &vol) == 0) {
		fail_msg("%s: it was opened", what);
	}
	volume_why(dev, why);
	if (strstr(why, want) == NULL) {
		fail_msg("%s: \"%s\", not \"%s\"", what, why, want);
	}
	dev->ops->close(dev);
}

static void made_by_mke2fs(void **state)
{
	static const struct {
		const char *options, *change, *want;
	} t[] = {
		{ "-b 8192", "", "blocks are of 8192 bytes, which must be 4096 "
		  "at most" },
		{ "-b 65536", "", "blocks are of 65536 bytes" },
		{ "-b 4096 -I 128", "", "inodes are of 128 bytes" },
		{ "-b 4096 -I 512", "", "inodes are of 512 bytes" },
		{ "-b 4096 -O inline_data", "", "feature \"inline_data\"" },
		{ "-b 4096 -O encrypt", "", "feature \"encrypt\"" },
		{ "-b 4096 -O casefold", "", "feature \"casefold\"" },
		{ "-b 4096 -O large_dir", "", "feature \"large_dir\"" },
		{ "-b 4096 -O ea_inode", "", "feature \"ea_inode\"" },
		{ "-b 4096 -O mmp", "", "feature \"mmp\"" },
		{ "-b 4096 -O quota", "", "feature \"quota\"" },
		{ "-b 4096 -O quota,project", "", "feature \"quota\"" },
		{ "-b 4096 -O bigalloc", "", "feature \"bigalloc\"" },
		{ "-b 4096 -O verity", "", "feature \"verity\"" },
		{ "-b 4096 -O ^extent,^64bit", "", "lacks ext4's feature "
		  "\"extent\"" },
		{ "-b 4096 -O ^filetype", "", "lacks ext4's feature "
		  "\"filetype\"" },
		{ "-b 4096", "feature needs_recovery", "journal must be" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		make(t[i].options, t[i].change);
		refused(t[i].options, SIZE, t[i].want);
	}
}

static void spoiled(void **state)
{
	(void)state;
	memset(image, 0, SIZE);
	refused("zeros", SIZE, "there is no ext4 file system");
	refused("nothing", 0, "there is no ext4 file system");
	make("-b 4096", "");
	refused("half of it", SIZE / 2, "4096 blocks, and there are 2048");
	memset(image + 4096, 0xff, 4096);	/* group descriptors */
	refused("descriptors", SIZE, "damaged");
	make("-b 4096", "");
	image[INCOMPAT + 3] |= 0x40;
	refused("a new feature", SIZE, "feature \"number 30\"");
	make("-b 4096", "");
	image[RO_COMPAT + 3] |= 0x80;
	refused("another", SIZE, "feature \"number 31\"");
	make("-b 4096", "");
	memset(image + SUPER + 0x18, 0xff, 4);	/* s_log_block_size */
	refused("a wild block size", SIZE, "bytes, which must be 4096 at most");
}

/* What the others are measured by: also what mke2fs makes by itself, for that
 * size and for a floppy's, and what Debian 13's has turned on. */
static void good(void **state)
{
	static const char *const t[] = {
		"-b 4096", "-b 2048", "-b 1024", "", "-T floppy", "-T big",
		"-O orphan_file", "-O ^64bit", "-O ^metadata_csum,uninit_bg",
		"-O ^resize_inode,meta_bg", "-O metadata_csum_seed",
	};
	struct volume_dev *dev;
	struct volume *vol;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		make(t[i], "");
		assert_int_equal(volume_mem_open(image, SIZE, &dev), 0);
		assert_int_equal(volume_open(dev, &vol), 0);
		assert_int_equal(volume_close(vol), 0);
		dev->ops->close(dev);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(made_by_mke2fs),
		cmocka_unit_test(spoiled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
