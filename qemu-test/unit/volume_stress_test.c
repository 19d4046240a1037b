/* SPDX-License-Identifier: MIT */
/*
 * The volume when there is much of something, when it is full, when its device
 * fails, and under random operations: e2fsck judges each time.
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

struct count {
	unsigned n, stop;
	uint64_t cookie;
	uint8_t *seen;
};

static bool count_entry(void *arg, const struct volume_entry *entry)
{
	struct count *count = arg;
	char name[256];
	unsigned number;

	if (count->stop-- == 0) {
		return false;
	}
	memcpy(name, entry->name, entry->name_len);
	name[entry->name_len] = '\0';
	if (sscanf(name, "name-%u", &number) == 1) {
		assert_int_equal(count->seen[number]++, 0);
		count->n++;
	}
	count->cookie = entry->cookie;
	return true;
}

/* Reads in pieces, and removes names meanwhile. */
static void test_ten_thousand_names(void **state)
{
	struct fixture f;
	struct count count = { 0 };
	char name[32];
	uint32_t dir;
	uint64_t last;

	(void)state;
	fixture_open(&f, 64, "-N 20000");
	dir = new_dir(f.vol, ROOT, "many");
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		new_file(f.vol, dir, name);
	}
	fixture_reopen(&f);
	count.seen = calloc(10000, 1);
	do {
		last = count.cookie;
		count.stop = 77;
		assert_int_equal(volume_readdir(f.vol, dir, last, count_entry,
						&count), 0);
		for (unsigned i = 0; i < 10000; i += 3) {
			if (count.seen[i] == 1 && (i % 7) == 0) {
				snprintf(name, sizeof(name), "name-%u", i);
				assert_int_equal(volume_unlink(f.vol, dir,
							       NAME(name)), 0);
				count.seen[i]++;
			}
		}
	} while (count.cookie != last);
	assert_int_equal(count.n, 10000);
	free(count.seen);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		assert_int_equal(volume_unlink(f.vol, dir, NAME(name)),
				 i % 21 == 0 ? ENOENT : 0);
	}
	assert_int_equal(volume_rmdir(f.vol, ROOT, NAME("many")), 0);
	fixture_close(&f);
}

/* Directories that have a hash tree lose it, and nothing else. */
static void test_hashed_directory(void **state)
{
	struct fixture f;
	char name[64];
	uint32_t dir;

	(void)state;
	fixture_open(&f, 32, "-N 5000");
	dir = new_dir(f.vol, ROOT, "many");
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "name-%u-with-some-length", i);
		new_file(f.vol, dir, name);
	}
	fixture_command(&f, "(/sbin/e2fsck -fyD image || test $? = 1) && "
			"/sbin/debugfs -R 'stat /many' image | "
			"grep 'Flags: 0x81000'");
	dir = find(f.vol, ROOT, "many");
	assert_int_equal(volume_unlink(f.vol, dir,
				       NAME("name-5-with-some-length")), 0);
	fixture_reopen(&f);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "new-%u", i);
		new_file(f.vol, dir, name);
	}
	fixture_reopen(&f);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "name-%u-with-some-length", i);
		assert_int_equal(find(f.vol, dir, name) != 0, i != 5);
	}
	fixture_close(&f);
}

/* Every second block: far more extents than an inode or one block holds. */
static void test_many_extents(void **state)
{
	struct fixture f;
	uint64_t free_before;
	uint32_t ino;
	char back[4];
	size_t done;

	(void)state;
	fixture_open(&f, 64, "");
	free_before = blocks_free(f.vol);
	ino = new_file(f.vol, ROOT, "holes");
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t at = i * 7919 % 3000;

		put(f.vol, ino, at * 8192ull, &at, sizeof(at));
		if (i == 300 || i == 2000) {
			fixture_reopen(&f);
		}
	}
	fixture_reopen(&f);
	for (uint32_t i = 0; i < 3000; i++) {
		assert_int_equal(volume_read(f.vol, ino, i * 8192ull, back, 4,
					     &done), 0);
		assert_memory_equal(back, &i, 4);
	}
	for (uint64_t size = 2000 * 8192; size > 10; size /= 5) {
		struct volume_attr attr = { .size = size };

		assert_int_equal(volume_setattr(f.vol, ino, VOLUME_SET_SIZE,
						&attr), 0);
		fixture_reopen(&f);
	}
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("holes")), 0);
	assert_int_equal(blocks_free(f.vol), free_before);
	fixture_close(&f);
}

/* Random reads, writes and truncations against a copy in memory. */
static void test_random_file(void **state)
{
	enum { MAX = 300000 };
	uint8_t *model = calloc(1, MAX), *buf = malloc(MAX);
	uint64_t size = 0;
	struct fixture f;
	uint32_t ino;

	(void)state;
	srand(1);
	fixture_open(&f, 16, "");
	ino = new_file(f.vol, ROOT, "a");
	for (unsigned i = 0; i < 3000; i++) {
		size_t at = (size_t)rand() % MAX;
		size_t len = (size_t)rand() % (i % 2 ? 9000 : 90000) + 1;
		struct volume_attr attr = { .size = at };
		size_t done;

		len = len > MAX - at ? MAX - at : len;
		switch (rand() % 8) {
		case 0:
			assert_int_equal(volume_setattr(f.vol, ino,
							VOLUME_SET_SIZE,
							&attr), 0);
			if (at < size) {
				memset(model + at, 0, size - at);
			}
			size = at;
			break;
		case 1: case 2: case 3:
			for (size_t n = 0; n < len; n++) {
				model[at + n] = (uint8_t)rand();
			}
			put(f.vol, ino, at, model + at, len);
			size = at + len > size ? at + len : size;
			break;
		default:
			assert_int_equal(volume_read(f.vol, ino, at, buf, len,
						     &done), 0);
			assert_int_equal(done, at >= size ? 0
					 : len < size - at ? len : size - at);
			assert_memory_equal(buf, model + at, done);
		}
		assert_int_equal(attr_of(f.vol, ino).size, size);
		if (i % 500 == 0) {
			fixture_reopen(&f);
		}
	}
	free(model);
	free(buf);
	fixture_close(&f);
}

/* Fills blocks, inodes and a directory until nothing more goes in. */
static void test_full(void **state)
{
	struct fixture f;
	uint8_t block[4096] = { 1 };
	uint64_t free_before;
	uint32_t ino = 0, n;
	size_t done;
	int error = 0;
	char name[260];

	(void)state;
	fixture_open(&f, 8, "-N 1000 -O ^has_journal");
	free_before = blocks_free(f.vol);
	ino = new_file(f.vol, ROOT, "fill");
	for (uint64_t i = 0; error == 0; i++) {
		error = volume_write(f.vol, ino, i * 8192, block,
				     sizeof(block), &done);
	}
	assert_int_equal(error, ENOSPC);
	assert_int_equal(blocks_free(f.vol), 0);
	assert_int_equal(volume_create(f.vol, ROOT, "d", 1, &dir_make, &n),
			 ENOSPC);
	assert_int_equal(find(f.vol, ROOT, "d"), 0);
	fixture_reopen(&f);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("fill")), 0);
	assert_int_equal(blocks_free(f.vol), free_before);
	for (n = 0, error = 0; error == 0; n++) {
		snprintf(name, sizeof(name), "%0250u", n);
		error = volume_create(f.vol, ROOT, NAME(name), &file_make,
				      &ino);
	}
	assert_int_equal(error, ENOSPC);
	assert_in_range(n, 980, 1000);
	fixture_close(&f);
}

/* A write that finds room for a part says how much. */
static void test_short_write(void **state)
{
	size_t size = 9u << 20, done;
	uint8_t *data = malloc(size), *back = malloc(size);
	struct fixture f;
	uint32_t ino;

	(void)state;
	for (size_t i = 0; i < size; i++) {
		data[i] = (uint8_t)(i * 31 >> 5);
	}
	fixture_open(&f, 8, "-O ^has_journal");
	ino = new_file(f.vol, ROOT, "a");
	assert_int_equal(volume_write(f.vol, ino, 100, data, size, &done), 0);
	assert_in_range(done, 6u << 20, size - 1);
	assert_int_equal(attr_of(f.vol, ino).size, 100 + done);
	fixture_reopen(&f);
	assert_int_equal(volume_read(f.vol, ino, 100, back, size, &size), 0);
	assert_int_equal(size, done);
	assert_memory_equal(back, data, done);
	free(data);
	free(back);
	fixture_close(&f);
}

/*
 * The device fails at the nth call, for every n up to many: errors come out,
 * and what could be written is a sound file system or can be made one by the
 * same calls once the device works again.
 */
static void test_device_errors(void **state)
{
	struct fixture f;
	uint8_t data[20000] = { 7 };

	(void)state;
	fixture_open(&f, 16, "-N 3000");
	for (long n = 0; n < 120; n++) {
		char name[32];
		uint32_t dir = 0, ino = 0, link;
		size_t done;

		snprintf(name, sizeof(name), "dir-%ld", n);
		f.fail_after = n;
		volume_create(f.vol, ROOT, NAME(name), &dir_make, &dir);
		if (dir != 0) {
			volume_create(f.vol, dir, NAME("file"), &file_make,
				      &ino);
			volume_symlink(f.vol, dir, NAME("link"),
				       (const char *)memset(data, 'x', 99), 99,
				       &file_make, &link);
			move(f.vol, dir, "link", ROOT, name + 3);
			move(f.vol, dir, "file", dir, "file2");
		}
		if (ino != 0) {
			volume_write(f.vol, ino, 1000, data, sizeof(data),
				     &done);
			volume_read(f.vol, ino, 0, data, sizeof(data), &done);
		}
		volume_flush(f.vol);
		if (dir != 0) {
			volume_unlink(f.vol, dir, NAME("file2"));
		}
		f.fail_after = -1;
		if (n % 8 == 7) {
			fixture_reopen(&f);
		}
	}
	fixture_close(&f);
}

enum { DIRS = 6, NAMES = 30, HELD = 8 };

/* One random operation on names; returns what it returned. */
static int random_step(struct volume *vol, uint32_t *dirs, uint32_t *held)
{
	static const uint8_t data[70000];
	uint32_t dir = dirs[rand() % DIRS], other = dirs[rand() % DIRS];
	uint32_t ino, *slot = &held[rand() % HELD];
	char a[32], b[32];
	size_t done;

	snprintf(a, sizeof(a), "%d-%.*s", rand() % NAMES, rand() % 2 * 20,
		 "xxxxxxxxxxxxxxxxxxxx");
	snprintf(b, sizeof(b), "%d-", rand() % NAMES);
	switch (rand() % 12) {
	case 0:
		if (volume_create(vol, dir, NAME(a), &dir_make, &ino) == 0) {
			dirs[1 + rand() % (DIRS - 1)] = ino;
		}
		return 0;
	case 1: case 2:
		return volume_create(vol, dir, NAME(a), &file_make, &ino);
	case 3:
		return volume_symlink(vol, dir, NAME(a), (const char *)
				      memset(b, 'l', 31), 31, &file_make,
				      &ino);
	case 4: case 5:
		return volume_rename(vol, dir, NAME(a), other, NAME(b),
				     (unsigned)rand() % 6);
	case 6:
		return volume_unlink(vol, dir, NAME(a));
	case 7:
		return volume_rmdir(vol, dir, NAME(a));
	case 8:
		ino = *slot != 0 ? *slot : find(vol, dir, b);
		return ino != 0 ? volume_link(vol, ino, other, NAME(a)) : 0;
	case 9:
		if (*slot != 0) {
			volume_release(vol, *slot);
		}
		*slot = find(vol, dir, a);
		return *slot != 0 ? volume_hold(vol, *slot)
				  : volume_tmpfile(vol, dir, &file_make, slot);
	case 10:
		return volume_xattr_set(vol, find(vol, dir, a), "user.x",
					data, (size_t)rand() % 3000, 0);
	default:
		ino = *slot != 0 ? *slot : find(vol, dir, a);
		return volume_write(vol, ino, (uint64_t)rand() % 200000, data,
				    (size_t)rand() % sizeof(data), &done);
	}
}

/* A flush has found all that was to be written. */
static void assert_clean(const struct volume *vol)
{
	const struct vnode *vn = vol->hand;

	assert_null(vol->seen);
	for (uint32_t n = vol->vnodes; n > 0; n--, vn = vn->ring_next) {
		assert_false(vn->dirty);
	}
}

/* What may be refused is, nothing else goes wrong, and e2fsck agrees; on a
 * volume so small that it is often full. */
static void test_random_names(void **state)
{
	static const char *const options[] = {
		"-N 300 -O ^has_journal,^metadata_csum",
		"-N 64 -O ^has_journal", "-N 64 -O ^has_journal -b 1024",
		"-N 300 -O ^has_journal,^metadata_csum -b 1024",
		"-N 64 -O ^has_journal -b 2048",
		"-N 200 -O ^has_journal,^64bit -b 1024",
	};

	(void)state;
	for (unsigned seed = 0; seed < 6; seed++) {
		uint32_t dirs[DIRS], held[HELD] = { 0 };
		struct fixture f;

		srand(seed);
		fixture_open(&f, 3, options[seed]);
		/* In all but the first, what is known of files is soon
		 * forgotten. */
		if (seed > 0) {
			f.vol->content_limit = seed * 700;
			f.vol->content_most = f.vol->content_limit;
		}
		for (int i = 0; i < DIRS; i++) {
			dirs[i] = ROOT;
		}
		for (unsigned i = 0; i < 6000; i++) {
			int error = random_step(f.vol, dirs, held);

			assert_int_not_equal(error, EIO);
			assert_int_not_equal(error, ENOMEM);
			if (i % 100 == 0) {
				assert_int_equal(volume_flush(f.vol), 0);
				assert_clean(f.vol);
			}
			if (seed > 0) {
				/* One call's work is not cut short. */
				assert_true(f.vol->content < 30000);
			}
			if (i % 1500 == 1499) {
				memset(held, 0, sizeof(held));
				fixture_reopen(&f);
			}
		}
		fixture_close(&f);
	}
}

/* More files are held than are kept in memory: what somebody does with one of
 * them does not cost a look at all of them. When they are let go they go. */
static void test_many_held(void **state)
{
	static uint32_t held[VOLUME_VNODES + 2000];
	unsigned count = sizeof(held) / sizeof(held[0]), looks = 0;
	struct vnode *first;
	struct fixture f;

	(void)state;
	fixture_open(&f, 16, "-N 16384 -O ^has_journal");
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(volume_tmpfile(f.vol, ROOT, &file_make,
						&held[i]), 0);
	}
	assert_int_equal(vnode_get(f.vol, held[0], &first), 0);
	for (unsigned i = 1; i < 100; i++) {
		first->used = true;
		assert_int_equal(attr_of(f.vol, held[i]).nlink, 0);
		looks += !first->used;
	}
	assert_true(looks <= 1);
	for (unsigned i = 0; i < count; i++) {
		volume_release(f.vol, held[i]);
	}
	(void)attr_of(f.vol, ROOT);
	assert_true(f.vol->vnodes <= VOLUME_VNODES);
	fixture_close(&f);
}

static struct volume *looked_at;

static void look(struct volume_observer *observer,
		 const struct volume_event *event)
{
	(void)observer;
	(void)event;
	(void)attr_of(looked_at, ROOT);
}

/* As many files are in memory as may be, and a name of one more goes: an observer
 * looks at the volume before that is over. */
static void test_observed_when_many(void **state)
{
	struct volume_observer observer = { .fn = look };
	struct fixture f;
	uint32_t ino;
	char name[16];
	unsigned n = 0;

	(void)state;
	fixture_open(&f, 64, "-N 32768 -O ^has_journal");
	looked_at = f.vol;
	assert_int_equal(volume_create(f.vol, ROOT, "first", 5, &file_make,
				       &ino), 0);
	assert_int_equal(volume_link(f.vol, ino, ROOT, "second", 6), 0);
	/* Until it has gone from memory, and again up to the limit. */
	while (n < VOLUME_VNODES + 100 || f.vol->vnodes < VOLUME_VNODES) {
		int len = snprintf(name, sizeof(name), "%u", n++);

		assert_int_equal(volume_create(f.vol, ROOT, name, (size_t)len,
					       &file_make, &ino), 0);
	}
	volume_observe(f.vol, &observer);
	/* All were used lately: the root would be the first to go. */
	assert_int_equal(vnode_get(f.vol, ROOT, &f.vol->hand), 0);
	for (n = 0; n < VOLUME_VNODES; n++) {
		f.vol->hand->used = true;
		f.vol->hand = f.vol->hand->ring_next;
	}
	assert_int_equal(volume_unlink(f.vol, ROOT, "first", 5), 0);
	volume_unobserve(f.vol, &observer);
	(void)attr_of(f.vol, ROOT);
	assert_true(f.vol->vnodes < VOLUME_VNODES);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_thousand_names),
		cmocka_unit_test(test_many_held),
		cmocka_unit_test(test_observed_when_many),
		cmocka_unit_test(test_hashed_directory),
		cmocka_unit_test(test_many_extents),
		cmocka_unit_test(test_random_file),
		cmocka_unit_test(test_random_names),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_short_write),
		cmocka_unit_test(test_device_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
