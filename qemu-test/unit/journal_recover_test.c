/* SPDX-License-Identifier: MIT */
/*
 * Recovery of journals that debugfs has written: ours must come to the same as
 * e2fsck's; and of damaged ones, which are refused in words, before anything has
 * changed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/jbd2/jbd2_int.h"
#include "qemu-test/unit/journal_fixture.h"

/* Over, again, revoked, revoked and again, escaped, not committed. */
#define SCRIPT(open) \
	"jo " open "\njw -b 3000-3007 a\njw -b 3004-3011,3100 b\n" \
	"jw -r 3000,3100\njw -b 3020-3030 d\njw -r 3005,3021\n" \
	"jw -b 3005 d\njw -c -b 3007 c\njc\n"

static struct image made, ours, theirs;
static struct image_dev dev;
static struct journal_found found;
static char why[JOURNAL_WHY];

static uint8_t *block(struct image *im, uint64_t n)
{
	return im->data + n * im->block_size;
}

static uint8_t *log_block(struct image *im, uint32_t n)
{
	return block(im, im->log[n]);
}

static void free_all(void)
{
	image_free(&made);
	image_free(&ours);
	image_free(&theirs);
}

static void compare(uint32_t block_size, const char *options,
		    const char *script, unsigned absent)
{
	struct jbd2_super *sb;

	image_make(&made, block_size, "8M", options, script);
	image_copy(&ours, &made);
	image_copy(&theirs, &made);
	image_e2fsck(&theirs);
	image_dev_open(&dev, &ours);
	dev.absent = absent;
	if (image_recover(&dev, &found, why) != 0) {
		fail_msg("%s", why);
	}
	if (!image_same(&ours, &theirs)) {
		fail_msg("-b %u %s", block_size, options);
	}
	assert_int_equal(found.transactions, 6);
	assert_int_equal(dev.flushes, 2);
	assert_false(found.error);
	/* Empty now, and its numbers go on as e2fsck's. */
	sb = (void *)log_block(&ours, 0);
	assert_int_equal(be32(sb->start), 0);
	assert_int_equal(be32(sb->sequence), be32(((struct jbd2_super *)(void *)
			 log_block(&theirs, 0))->sequence));
	image_needs_recovery(&ours, false);
	assert_int_equal(image_run(&ours, "e2fsck -fn $image"), 0);
}

static void test_as_e2fsck(void **state)
{
	static const uint32_t sizes[] = { 1024, 2048, 4096 };
	static const char *const options[] = {
		"-O ^64bit,^metadata_csum", "-O 64bit,^metadata_csum",
		"-O 64bit,metadata_csum",
	};
	static const char *const small[] = {
		SCRIPT(""), SCRIPT("-c -v 3"),
	};
	/* Blocks of 4096 bytes: there are 2048 of them. */
	static const char *const large[] = {
		"jo\njw -b 1900-1907 a\njw -b 1904-1911,1950 b\n"
		"jw -r 1900,1950\njw -b 1920-1930 d\njw -r 1905,1921\n"
		"jw -b 1905 d\njw -c -b 1907 c\njc\n",
		"jo -c -v 3\njw -b 1900-1907 a\njw -b 1904-1911,1950 b\n"
		"jw -r 1900,1950\njw -b 1920-1930 d\njw -r 1905,1921\n"
		"jw -b 1905 d\njw -c -b 1907 c\njc\n",
	};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < 3; k++) {
			/* Checksums of version 3 go with ext4's. */
			for (unsigned c = 0; c <= k / 2; c++) {
				compare(sizes[i], options[k],
					sizes[i] == 4096 ? large[c] : small[c],
					c * i);
				free_all();
			}
		}
	}
}

static void test_what_it_brought(void **state)
{
	(void)state;
	compare(1024, "", SCRIPT("-c -v 3"), 0);
	/* Blocks as the commands above say. */
	assert_int_equal(block(&ours, 3001)[0], 'a' + 1);
	assert_int_equal(block(&ours, 3004)[0], 'b');
	assert_int_equal(block(&ours, 3000)[0], 0);
	assert_int_equal(block(&ours, 3100)[0], 0);
	assert_int_equal(block(&ours, 3020)[0], 0xc0);	/* the magic */
	assert_int_equal(block(&ours, 3021)[0], 0);
	assert_int_equal(block(&ours, 3005)[0], 0xc0);
	assert_int_equal(block(&ours, 3007)[0], 'b' + 3);
	assert_int_equal(found.revoked, 5);
	free_all();
}

/* A block is missing at every other look, every third, ...: the same comes out. */
static void test_absent(void **state)
{
	(void)state;
	image_make(&made, 1024, "8M", "", SCRIPT("-c -v 3"));
	image_copy(&theirs, &made);
	image_e2fsck(&theirs);
	for (unsigned n = 2; n < 40; n++) {
		image_copy(&ours, &made);
		image_dev_open(&dev, &ours);
		dev.absent = n;
		assert_int_equal(image_recover(&dev, &found, why), 0);
		assert_true(image_same(&ours, &theirs));
		image_free(&ours);
	}
	memset(&ours, 0, sizeof(ours));
	free_all();
}

/* A write that fails: EIO, and all comes right when it is begun anew. */
static void test_write_fails(void **state)
{
	(void)state;
	image_make(&made, 1024, "8M", "", SCRIPT("-c -v 3"));
	image_copy(&theirs, &made);
	image_e2fsck(&theirs);
	image_copy(&ours, &made);
	for (long n = 0; ; n++) {
		image_dev_open(&dev, &ours);
		dev.fail_after = n;
		if (image_recover(&dev, &found, why) == 0) {
			break;
		}
		assert_int_not_equal(why[0], '\0');
	}
	assert_true(image_same(&ours, &theirs));
	free_all();
}

/* It is refused, for this reason, and nothing changed. */
static void refused(int error, const char *want)
{
	image_copy(&theirs, &ours);
	image_dev_open(&dev, &ours);
	assert_int_equal(image_recover(&dev, &found, why), error);
	if (strstr(why, want) == NULL) {
		fail_msg("\"%s\" is not about \"%s\"", why, want);
	}
	assert_memory_equal(ours.data, theirs.data, ours.size);
	image_free(&theirs);
	memcpy(ours.data, made.data, made.size);
}

/* One bit of each block of the log that was committed, here and there. */
static void test_damage(void **state)
{
	unsigned lost = 0;

	(void)state;
	image_make(&made, 1024, "8M", "", SCRIPT("-c -v 3"));
	image_copy(&ours, &made);
	for (uint32_t n = 1; n < 60; n++) {
		for (uint32_t at = 12; at < 1024; at += 211) {
			int error;

			log_block(&ours, n)[at] ^= 4;
			image_dev_open(&dev, &ours);
			error = image_recover(&dev, &found, why);
			if (error != 0) {
				assert_int_equal(error, EIO);
				assert_non_null(strstr(why, "is damaged"));
				assert_memory_equal(block(&ours, 3000),
						    block(&made, 3000), 41 *
						    1024);
				lost++;
			} else {
				assert_int_equal(found.transactions, 6);
			}
			memcpy(ours.data, made.data, made.size);
		}
	}
	/* Of six transactions all, 35 blocks; of the commit blocks what they
	 * say: the rest of them is zeros, or what a power cut has left. */
	assert_int_equal(lost, 35 * 5 + 6);
	/* The last one may be what the power cut off, if nothing follows. */
	log_block(&ours, 41)[50] ^= 4;
	memset(log_block(&ours, 42), 0, 1024);
	image_dev_open(&dev, &ours);
	assert_int_equal(image_recover(&dev, &found, why), 0);
	assert_int_equal(found.transactions, 5);
	memset(&theirs, 0, sizeof(theirs));
	free_all();
}

static void set_super(size_t offset, uint32_t value)
{
	struct jbd2_super *sb = (void *)log_block(&ours, 0);
	be32_t word = to_be32(value);

	memcpy((uint8_t *)sb + offset, &word, sizeof(word));
	jbd2_super_set(sb, be32(sb->sequence), be32(sb->start));
}

#define SET(field, value) \
	set_super(offsetof(struct jbd2_super, field), value)

static void test_refused(void **state)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} features[] = {
		{ JBD2_HAS_ASYNC_COMMIT, "\"async_commit\"" },
		{ JBD2_HAS_CSUM_V2, "\"checksum_v2\"" },
		{ JBD2_HAS_FAST_COMMIT, "\"fast_commit\"" },
		{ 64, "number 6" },
	};

	(void)state;
	image_make(&made, 1024, "8M", "", SCRIPT("-c -v 3"));
	image_copy(&ours, &made);
	for (unsigned i = 0; i < 4; i++) {
		SET(incompat, JBD2_HAS_CSUM_V3 | JBD2_HAS_REVOKE |
		    features[i].bit);
		refused(EOPNOTSUPP, features[i].name);
	}
	SET(ro_compat, 1);
	refused(EOPNOTSUPP, "read-only features");
	SET(header.magic, 1);
	refused(EOPNOTSUPP, "no superblock");
	SET(header.type, JBD2_SUPER_V1);
	refused(EOPNOTSUPP, "version 1");
	SET(header.type, JBD2_COMMIT);
	refused(EOPNOTSUPP, "no superblock");
	SET(users, 2);
	refused(EOPNOTSUPP, "shared");
	SET(block_size, 4096);
	refused(EOPNOTSUPP, "another size");
	SET(blocks, 100000);
	refused(EOPNOTSUPP, "more blocks than it has");
	SET(blocks, 8);
	refused(EOPNOTSUPP, "no room");
	SET(first, 0);
	refused(EOPNOTSUPP, "no room");
	SET(first, 1020);
	refused(EOPNOTSUPP, "no room");
	SET(start, 5000);
	refused(EOPNOTSUPP, "outside");
	log_block(&ours, 0)[0x50] = 1;
	refused(EOPNOTSUPP, "of a kind");
	log_block(&ours, 0)[0x30]++;
	refused(EOPNOTSUPP, "its superblock's checksum");
	/* The inode has lost a block. */
	ours.log[5] = 0;
	refused(EIO, "block 5 of its journal cannot be read");
	memset(&theirs, 0, sizeof(theirs));
	free_all();
}

/* Without checksums: numbers that lead nowhere do no harm. */
static void test_wild_numbers(void **state)
{
	uint64_t seed = 1;

	(void)state;
	image_make(&made, 1024, "8M", "", SCRIPT(""));
	image_copy(&ours, &made);
	for (unsigned i = 0; i < 3000; i++) {
		for (unsigned k = 0; k < 1 + i % 4; k++) {
			uint64_t x = seed = seed * 6364136223846793005ull + 1;

			log_block(&ours, 1 + x % 60)[(x >> 16) % 1024 % 200] =
				(uint8_t)(x >> 32);
		}
		image_dev_open(&dev, &ours);
		image_recover(&dev, &found, why);
		memcpy(ours.data, made.data, made.size);
	}
	memset(&theirs, 0, sizeof(theirs));
	free_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_e2fsck),
		cmocka_unit_test(test_what_it_brought),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_write_fails),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_wild_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
