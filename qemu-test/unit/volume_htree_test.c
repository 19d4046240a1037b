/* SPDX-License-Identifier: MIT */
/*
 * Directories that have a hash tree, made by e2fsck as Linux would, or by outgrowing
 * their first block here: names come and go, and the tree stays what e2fsck, which
 * checks its hashes, calls sound.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/ext4/volume_dir.h"
#include "qemu-test/unit/volume_fixture.h"

static uint32_t dir;

static void name_of(char name[256], unsigned n)
{
	snprintf(name, 256, "%u%.*s", n, (int)(n * 7919u % 61),
		 "-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
	if (n % 97 == 0) {
		memset(name + strlen(name), 0xe4, 8);	/* signed or not */
		name[strcspn(name, "\xe4") + 8] = '\0';
	}
}

static void add(struct volume *vol, unsigned from, unsigned end)
{
	uint32_t ino = 0;
	char name[256];

	for (unsigned n = from; n < end; n++) {
		name_of(name, n);
		if (ino == 0 || attr_of(vol, ino).nlink > 60000) {
			ino = new_file(vol, dir, name);
			continue;
		}
		assert_int_equal(volume_link(vol, ino, dir, NAME(name)), 0);
	}
}

/* Of the tree; 0: there is none. */
static unsigned levels(struct volume *vol)
{
	bool waits = fixture_waits;
	unsigned count = 0;
	struct vnode *vn;

	fixture_waits = false;		/* blocks are looked at here */
	assert_int_equal(vnode_get(vol, dir, &vn), 0);
	assert_int_equal(index_load(vol, vn), 0);
	if ((vn->in.i_flags & EXT2_INDEX_FL) != 0) {
		count = dir_block(vol, vn, 0, false)[30] + 1u;
	}
	fixture_waits = waits;
	return count;
}

/* A volume with a directory that has a tree, which e2fsck has made, and some
 * names. */
static void begin(struct fixture *f, unsigned mib, const char *options)
{
	fixture_open(f, mib, options);
	dir = new_dir(f->vol, ROOT, "d");
	add(f->vol, 0, 400);
	/* 1: it has changed something. */
	fixture_command(f, "/sbin/e2fsck -fyD image; test $? -le 1");
	assert_int_equal(levels(f->vol), 1);
}

static void all_there(struct volume *vol, unsigned from, unsigned end)
{
	char name[256];

	for (unsigned n = from; n < end; n++) {
		name_of(name, n);
		assert_int_not_equal(find(vol, dir, name), 0);
	}
}

/* It grows to two levels, is emptied in part, and grows again. */
static void grow(const char *options, unsigned mib, unsigned names, bool made)
{
	struct fixture f;
	char name[256], to[256];

	if (made) {
		begin(&f, mib, options);
	} else {
		fixture_open(&f, mib, options);
		dir = new_dir(f.vol, ROOT, "d");
		add(f.vol, 0, 400);
		assert_int_equal(levels(f.vol), 1);
		fixture_reopen(&f);
	}
	add(f.vol, 400, 2000);
	fixture_reopen(&f);
	all_there(f.vol, 0, 2000);
	add(f.vol, 2000, names);
	assert_int_equal(levels(f.vol), 2);
	fixture_reopen(&f);
	for (unsigned n = 0; n < names; n += 3) {
		name_of(name, n);
		assert_int_equal(volume_unlink(f.vol, dir, NAME(name)), 0);
	}
	for (unsigned n = 1; n < names; n += 3) {
		name_of(name, n);
		snprintf(to, sizeof(to), "moved-%u", n);
		assert_int_equal(move(f.vol, dir, name, dir, to), 0);
	}
	fixture_reopen(&f);
	add(f.vol, names, names + 1000);
	assert_int_equal(levels(f.vol), 2);
	all_there(f.vol, names, names + 1000);
	fixture_close(&f);
}

static void test_small_blocks(void **state)
{
	(void)state;
	grow("-b 1024 -N 400", 64, 14000, true);
	grow("-b 1024 -N 400", 64, 14000, false);
	grow("-b 1024 -N 400 -O ^metadata_csum", 64, 14000, false);
}

static void test_hundred_thousand(void **state)
{
	(void)state;
	if (fixture_waits) {
		skip();			/* it would take a minute */
	}
	grow("-b 2048 -N 400", 64, 40000, false);
	grow("-N 400", 64, 100000, true);
	grow("-N 400", 64, 100000, false);
}

/* Blocks asked for by 1000 look-ups, and as many links and unlinks, of names from a
 * number on that are not there yet. */
static uint64_t cost(struct fixture *f, unsigned from)
{
	uint64_t before = f->asked;
	char name[256];

	add(f->vol, from, from + 1000);
	all_there(f->vol, from, from + 1000);
	for (unsigned n = from; n < from + 1000; n++) {
		name_of(name, n);
		assert_int_equal(volume_unlink(f->vol, dir, NAME(name)), 0);
	}
	return f->asked - before;
}

/* A name costs the same in a directory of few and of 100,000. */
static void test_costs(void **state)
{
	uint64_t few, many;
	struct fixture f;

	(void)state;
	if (fixture_waits) {
		skip();			/* blocks are asked for again */
	}
	fixture_open(&f, 64, "-N 400");
	dir = new_dir(f.vol, ROOT, "d");
	add(f.vol, 0, 1);
	few = cost(&f, 200000);
	add(f.vol, 1, 100000);
	many = cost(&f, 200000);
	print_message("blocks for a name: %u of few, %u of 100,000, "
		      "in thousandths\n", (unsigned)few, (unsigned)many);
	assert_int_equal(levels(f.vol), 2);
	assert_true(many < few * 3 / 2);
	fixture_close(&f);
}

/* A directory is plain as long as it has one block, and has a tree with two; each
 * state is one that e2fsck knows. */
static void test_first_block(void **state)
{
	static const char *const options[] = {
		"-b 1024 -N 400", "-b 1024 -N 400 -O ^metadata_csum",
	};
	struct fixture f;
	unsigned n;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		fixture_open(&f, 16, options[i]);
		dir = new_dir(f.vol, ROOT, "d");
		for (n = 0; attr_of(f.vol, dir).size == 1024; n++) {
			assert_int_equal(levels(f.vol), 0);
			add(f.vol, n, n + 1);
			if (n > 15) {
				fixture_reopen(&f);
			}
		}
		for (unsigned end = n + 40; n < end; n++) {
			assert_int_equal(levels(f.vol), 1);
			all_there(f.vol, 0, n);
			fixture_reopen(&f);
			add(f.vol, n, n + 1);
		}
		fixture_close(&f);
	}
}

/* Without the feature none gets one, as in Linux. */
static void test_without(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 16, "-b 1024 -N 400 -O ^dir_index");
	dir = new_dir(f.vol, ROOT, "d");
	add(f.vol, 0, 400);
	assert_int_equal(levels(f.vol), 0);
	fixture_close(&f);
}

/* The kinds of hash, and characters with their sign or without. */
static void test_hashes(void **state)
{
	static const char *const kinds[] = {
		"tune2fs -E hash_alg=tea image",
		"tune2fs -E hash_alg=legacy image",
		"debugfs -w -R 'set_super_value flags 1' image",
		"debugfs -w -R 'set_super_value flags 2' image",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		char command[256];
		struct fixture f;

		fixture_open(&f, 16, "-b 1024");
		snprintf(command, sizeof(command), "/sbin/%s", kinds[i]);
		fixture_command(&f, command);
		dir = new_dir(f.vol, ROOT, "d");
		add(f.vol, 0, 300);
		assert_int_equal(levels(f.vol), 1);
		fixture_command(&f, i == 0
				? "/sbin/e2fsck -fyD image; test $? -le 1"
				: "/sbin/e2fsck -fn image");
		add(f.vol, 300, 3000);
		assert_in_range(levels(f.vol), 1, 2);
		fixture_reopen(&f);
		all_there(f.vol, 0, 3000);
		fixture_close(&f);
	}
}

/* One with a hash that is not known becomes a plain one, and works. */
static void test_unknown(void **state)
{
	struct fixture f;
	struct vnode *vn;
	uint8_t *root;

	(void)state;
	fixture_waits = false;
	begin(&f, 16, "-b 1024");
	assert_int_equal(vnode_get(f.vol, dir, &vn), 0);
	root = dir_block(f.vol, vn, 0, true);
	root[28] = EXT2_HASH_SIPHASH;
	add(f.vol, 400, 600);
	assert_true((vn->in.i_flags & EXT2_INDEX_FL) == 0);
	all_there(f.vol, 0, 600);
	fixture_close(&f);
}

/* A reader that takes a few names at a time while others come and leaves are
 * split sees each that was there all the time once. */
struct reader {
	uint64_t cookie;
	unsigned left, dots;
	uint8_t seen[3000];
};

static bool read_one(void *arg, const struct volume_entry *entry)
{
	struct reader *r = arg;
	unsigned n = 0;

	r->cookie = entry->cookie;
	if (entry->name[0] == '.') {
		r->dots++;
	} else {
		for (unsigned i = 0; i < entry->name_len &&
				     entry->name[i] >= '0' &&
				     entry->name[i] <= '9'; i++) {
			n = n * 10 + (unsigned)(entry->name[i] - '0');
		}
		if (n < sizeof(r->seen)) {
			r->seen[n]++;
		}
	}
	return --r->left > 0;
}

static void test_read_while_it_grows(void **state)
{
	struct reader r = { 0 };
	unsigned more = 100000;
	struct fixture f;

	(void)state;
	begin(&f, 64, "-b 1024 -N 4000");
	add(f.vol, 400, 3000);
	do {
		r.left = 7;
		assert_int_equal(volume_readdir(f.vol, dir, r.cookie, read_one,
						&r), 0);
		add(f.vol, more, more + 3);
		more += 3;
	} while (r.left == 0);
	assert_int_equal(r.dots, 2);
	for (unsigned n = 0; n < sizeof(r.seen); n++) {
		assert_int_equal(r.seen[n], 1);
	}
	fixture_close(&f);
}

/* The same over the moment that a directory gets its tree, for readers that have
 * seen any number of names until then; here are some names more than a block has. */
static void test_read_while_it_begins(void **state)
{
	enum { NAMES = 20, READERS = NAMES + 3 };
	static struct reader readers[READERS];
	unsigned more = 200000, end = NAMES;
	struct fixture f;

	(void)state;
	fixture_open(&f, 16, "-b 1024 -N 400");
	dir = new_dir(f.vol, ROOT, "d");
	memset(readers, 0, sizeof(readers));
	add(f.vol, 0, NAMES + 2);
	/* Gaps, so that entries move. */
	for (unsigned n = NAMES; n < NAMES + 2; n++) {
		char name[256];

		name_of(name, n);
		assert_int_equal(volume_unlink(f.vol, dir, NAME(name)), 0);
	}
	for (unsigned i = 0; i < READERS; i++) {
		readers[i].left = i;
		if (i > 0) {
			assert_int_equal(volume_readdir(f.vol, dir, 0, read_one,
							&readers[i]), 0);
		}
	}
	assert_int_equal(levels(f.vol), 0);
	for (; levels(f.vol) == 0; more++) {
		add(f.vol, more, more + 1);
	}
	add(f.vol, more, more + 200);
	for (unsigned i = 0; i < READERS; i++) {
		struct reader *r = &readers[i];

		do {
			r->left = 9;
			assert_int_equal(volume_readdir(f.vol, dir, r->cookie,
							read_one, r), 0);
		} while (r->left == 0);
		assert_int_equal(r->dots, 2);
		for (unsigned n = 0; n < end; n++) {
			assert_int_equal(r->seen[n], 1);
		}
	}
	fixture_close(&f);
}

/* What is removed between two calls is not shown, nor what has come into its place
 * twice: of a directory of one block, and of a tree. */
static void test_read_while_it_goes(void **state)
{
	(void)state;
	for (unsigned names = 20; names <= 60; names += 40) {
		struct reader r = { .left = 7 };
		unsigned shown;
		struct fixture f;
		char name[256];

		fixture_open(&f, 16, "-b 1024 -N 400");
		dir = new_dir(f.vol, ROOT, "d");
		add(f.vol, 0, names);
		assert_int_equal(levels(f.vol), names == 20 ? 0 : 1);
		assert_int_equal(volume_readdir(f.vol, dir, 0, read_one, &r), 0);
		for (unsigned n = 0; n < names; n++) {
			name_of(name, n);
			if (r.seen[n] == 0) {
				assert_int_equal(volume_unlink(f.vol, dir,
							       NAME(name)), 0);
			}
		}
		add(f.vol, 100000, 100000 + 10);
		do {
			shown = r.left = 7;
			assert_int_equal(volume_readdir(f.vol, dir, r.cookie,
							read_one, &r), 0);
			shown -= r.left;
		} while (shown > 0);
		assert_int_equal(r.dots, 2);
		shown = 0;
		for (unsigned n = 0; n < names; n++) {
			assert_in_range(r.seen[n], 0, 1);
			shown += r.seen[n];
		}
		assert_int_equal(shown, 5);
		fixture_close(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_blocks),
		cmocka_unit_test(test_hundred_thousand),
		cmocka_unit_test(test_costs),
		cmocka_unit_test(test_first_block),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_read_while_it_begins),
		cmocka_unit_test(test_read_while_it_goes),
		cmocka_unit_test(test_read_while_it_grows),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
