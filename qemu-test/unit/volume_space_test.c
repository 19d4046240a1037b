/* SPDX-License-Identifier: MIT */
/*
 * The space of files against Linux's rules, and against an array of bytes.
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

#define KEEP_SIZE	VOLUME_FALLOC_KEEP_SIZE
#define PUNCH		(VOLUME_FALLOC_PUNCH | KEEP_SIZE)
#define COLLAPSE	VOLUME_FALLOC_COLLAPSE
#define ZERO		VOLUME_FALLOC_ZERO
#define INSERT		VOLUME_FALLOC_INSERT

/* As test_rules() wants it: what Linux's ext4 says of a file of 3 blocks. */
static void test_rules(void **state)
{
	static const struct {
		unsigned mode;
		uint64_t offset, len;
		int error;
	} cases[] = {
		{ 0, 0, 0, EINVAL },
		{ 0, 1ull << 63, 1, EINVAL },
		{ 0, 0, 1ull << 63, EINVAL },
		{ 0, 0x0ffffffff000ull, 1, EFBIG },
		{ 0, INT64_MAX, INT64_MAX, EFBIG },
		{ 0x40, 0, 4096, EOPNOTSUPP },
		{ 0x04, 0, 4096, EOPNOTSUPP },
		{ VOLUME_FALLOC_PUNCH, 0, 4096, EOPNOTSUPP },
		{ PUNCH | ZERO, 0, 4096, EOPNOTSUPP },
		{ COLLAPSE | KEEP_SIZE, 0, 4096, EINVAL },
		{ COLLAPSE | INSERT, 0, 4096, EINVAL },
		{ INSERT | ZERO, 0, 4096, EINVAL },
		{ COLLAPSE, 1, 4096, EINVAL },
		{ COLLAPSE, 0, 4095, EINVAL },
		{ COLLAPSE, 0, 12288, EINVAL },
		{ COLLAPSE, 8192, 4096, EINVAL },
		{ COLLAPSE, 16384, 4096, EINVAL },
		{ INSERT, 12288, 4096, EINVAL },
		{ INSERT, 1, 4096, EINVAL },
		{ INSERT, 0, 0x0ffffffff000ull, EFBIG },
		{ PUNCH, 100000, 5, 0 },
		{ 0, 0, 1, 0 },
	};
	uint8_t data[12288], back[12288];
	struct fixture f;
	uint32_t a, d, l;
	uint64_t at;
	size_t done;

	(void)state;
	fixture_open(&f, 16, "");
	memset(data, 'd', sizeof(data));
	a = new_file(f.vol, ROOT, "a");
	d = new_dir(f.vol, ROOT, "d");
	assert_int_equal(volume_symlink(f.vol, ROOT, NAME("l"), NAME("a"),
					&file_make, &l), 0);
	put(f.vol, a, 0, data, sizeof(data));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (volume_fallocate(f.vol, a, cases[i].mode, cases[i].offset,
				     cases[i].len) != cases[i].error) {
			fail_msg("case %zu", i);
		}
		assert_int_equal(attr_of(f.vol, a).size, sizeof(data));
		assert_int_equal(volume_read(f.vol, a, 0, back, sizeof(back),
					     &done), 0);
		assert_memory_equal(back, data, sizeof(data));
	}
	assert_int_equal(volume_fallocate(f.vol, d, 0, 0, 1), EISDIR);
	assert_int_equal(volume_fallocate(f.vol, l, 0, 0, 1), ENODEV);
	assert_int_equal(volume_seek(f.vol, a, 0, 2, &at), EINVAL);
	assert_int_equal(volume_seek(f.vol, d, 0, VOLUME_SEEK_DATA, &at),
			 EISDIR);
	assert_int_equal(volume_copy(f.vol, a, 0, d, 0, 1, &done), EISDIR);
	assert_int_equal(volume_copy(f.vol, l, 0, a, 0, 1, &done), EINVAL);
	assert_int_equal(volume_copy(f.vol, a, 0, a, 5, 6, &done), EINVAL);
	assert_int_equal(volume_copy(f.vol, a, 0, a, 1ull << 60, 6, &done),
			 EFBIG);
	assert_int_equal(volume_copy(f.vol, a, 12280, a, 12288, INT64_MAX,
				     &done), 0);
	assert_int_equal(done, 8);
	assert_int_equal(volume_copy(f.vol, a, 20000, a, 20000, 5, &done), 0);
	assert_int_equal(done, 0);
	fixture_close(&f);
}

static uint64_t seek(struct volume *vol, uint32_t ino, uint64_t from,
		     unsigned whence)
{
	uint64_t at;
	int error = volume_seek(vol, ino, from, whence, &at);

	assert_true(error == 0 || error == ENXIO);
	return error == 0 ? at : UINT64_MAX;
}

static void test_seek(void **state)
{
	struct volume_attr attr = { .size = 50000 };
	struct fixture f;
	uint32_t a;

	(void)state;
	fixture_open(&f, 16, "");
	a = new_file(f.vol, ROOT, "a");
	assert_true(seek(f.vol, a, 0, VOLUME_SEEK_DATA) == UINT64_MAX);
	assert_true(seek(f.vol, a, 0, VOLUME_SEEK_HOLE) == UINT64_MAX);
	put(f.vol, a, 8200, "x", 1);
	assert_int_equal(seek(f.vol, a, 0, VOLUME_SEEK_DATA), 8192);
	assert_int_equal(seek(f.vol, a, 0, VOLUME_SEEK_HOLE), 0);
	assert_int_equal(seek(f.vol, a, 100, VOLUME_SEEK_HOLE), 100);
	assert_int_equal(seek(f.vol, a, 8195, VOLUME_SEEK_DATA), 8195);
	assert_int_equal(seek(f.vol, a, 8195, VOLUME_SEEK_HOLE), 8201);
	assert_true(seek(f.vol, a, 8201, VOLUME_SEEK_HOLE) == UINT64_MAX);
	assert_int_equal(volume_setattr(f.vol, a, VOLUME_SET_SIZE, &attr), 0);
	assert_int_equal(seek(f.vol, a, 8195, VOLUME_SEEK_HOLE), 12288);
	assert_true(seek(f.vol, a, 12288, VOLUME_SEEK_DATA) == UINT64_MAX);
	/* Set aside is no data. */
	assert_int_equal(volume_fallocate(f.vol, a, 0, 0, 30000), 0);
	assert_int_equal(seek(f.vol, a, 0, VOLUME_SEEK_DATA), 8192);
	assert_int_equal(seek(f.vol, a, 8192, VOLUME_SEEK_HOLE), 12288);
	fixture_reopen(&f);
	assert_int_equal(seek(f.vol, a, 0, VOLUME_SEEK_DATA), 8192);
	assert_int_equal(seek(f.vol, a, 8192, VOLUME_SEEK_HOLE), 12288);
	fixture_close(&f);
}

/* Blocks are there before they are written, and go with the file. */
/* A file as large as any can be, 16 TiB less a block, with a byte here and there. */
static void test_largest(void **state)
{
	static const uint64_t places[] = {
		0, 1ull << 32, (1ull << 40) + 5, 8ull << 40,
		0x0ffffffff000ull - 1,
	};
	const uint64_t end = 0x0ffffffff000ull;
	struct volume_attr attr = { .size = 1ull << 40 };
	struct fixture f;
	uint8_t byte;
	size_t done;
	uint32_t a;

	(void)state;
	fixture_open(&f, 16, "");
	a = new_file(f.vol, ROOT, "a");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		byte = (uint8_t)('a' + i);
		put(f.vol, a, places[i], &byte, 1);
	}
	assert_int_equal(volume_write(f.vol, a, end, "x", 1, &done), EFBIG);
	assert_true(attr_of(f.vol, a).size == end);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		assert_int_equal(volume_read(f.vol, a, places[i], &byte, 1,
					     &done), 0);
		assert_int_equal(byte, 'a' + i);
		assert_true(seek(f.vol, a, i == 0 ? 0 : places[i - 1] + 4096,
				 VOLUME_SEEK_DATA) == (places[i] & ~4095ull));
	}
	assert_int_equal(volume_read(f.vol, a, 15ull << 40, &byte, 1, &done),
			 0);
	assert_int_equal(byte, 0);
	assert_int_equal(volume_setattr(f.vol, a, VOLUME_SET_SIZE, &attr), 0);
	assert_int_equal(attr_of(f.vol, a).blocks, 2 * 8);
	fixture_check(&f);
	fixture_close(&f);
}

static void test_set_aside(void **state)
{
	struct fixture f;
	uint64_t free_before;
	uint8_t back[100];
	size_t done;
	uint32_t a, b;

	(void)state;
	fixture_open(&f, 400, "-O ^has_journal");
	free_before = blocks_free(f.vol);
	a = new_file(f.vol, ROOT, "a");
	/* More than one run can have. */
	assert_int_equal(volume_fallocate(f.vol, a, KEEP_SIZE, 0, 300u << 20),
			 0);
	assert_int_equal(attr_of(f.vol, a).size, 0);
	assert_int_equal(attr_of(f.vol, a).blocks, 300u << 11);
	assert_int_equal(volume_fallocate(f.vol, a, 0, 10, 300u << 20),
			 0);
	assert_int_equal(attr_of(f.vol, a).size, (300u << 20) + 10);
	assert_int_equal(volume_read(f.vol, a, 200u << 20, back, 100, &done),
			 0);
	assert_memory_equal(back, (uint8_t[100]){ 0 }, 100);
	/* Too much is not begun. */
	b = new_file(f.vol, ROOT, "b");
	assert_int_equal(volume_fallocate(f.vol, b, 0, 0, 200u << 20), ENOSPC);
	assert_int_equal(attr_of(f.vol, b).size, 0);
	assert_int_equal(attr_of(f.vol, b).blocks, 0);
	fixture_reopen(&f);
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
	assert_int_equal(blocks_free(f.vol), free_before);
	fixture_close(&f);
}

/* A run as long as a written one can be, made unwritten: one block longer than
 * those can be. */
static void test_longest_run(void **state)
{
	uint8_t *data = calloc(1, 128u << 20);
	struct fixture f;
	struct vnode *vn;
	uint32_t a;

	(void)state;
	fixture_open(&f, 300, "-O ^has_journal");
	assert_non_null(data);
	a = new_file(f.vol, ROOT, "a");
	f.vol->goal = 34000;		/* from there on all is free */
	put(f.vol, a, 0, data, 128u << 20);
	assert_int_equal(vnode_get(f.vol, a, &vn), 0);
	assert_int_equal(vn->runs[0].len, RUN_MAX);
	assert_int_equal(volume_fallocate(f.vol, a, ZERO, 0, 128u << 20), 0);
	fixture_reopen(&f);
	assert_int_equal(attr_of(f.vol, a).blocks, 128u << 11);
	assert_true(seek(f.vol, a, 0, VOLUME_SEEK_DATA) == UINT64_MAX);
	free(data);
	fixture_close(&f);
}

enum { MAX = 300000, FILES = 2 };

struct model {
	uint8_t data[MAX];
	uint64_t size;
};

/* fallocate() as the model has it: a range within MAX. */
static int model_fallocate(struct model *m, unsigned mode, size_t at,
			   size_t len)
{
	if (mode == COLLAPSE) {
		if (at % 4096 != 0 || len % 4096 != 0 || at + len >= m->size) {
			return EINVAL;
		}
		memmove(m->data + at, m->data + at + len, MAX - at - len);
		memset(m->data + MAX - len, 0, len);
		m->size -= len;
		return 0;
	}
	if (mode == INSERT) {
		if (at % 4096 != 0 || len % 4096 != 0 || at >= m->size) {
			return EINVAL;
		}
		memmove(m->data + at + len, m->data + at, MAX - at - len);
		memset(m->data + at, 0, len);
		m->size += len;
		return 0;
	}
	if ((mode & (PUNCH & ~KEEP_SIZE)) != 0 || (mode & ZERO) != 0) {
		memset(m->data + at, 0, len);
	}
	if ((mode & KEEP_SIZE) == 0 && at + len > m->size) {
		m->size = at + len;
	}
	return 0;
}

/* One random fallocate of each kind, in file and model. */
static void random_fallocate(struct volume *vol, uint32_t ino,
			     struct model *m, size_t at, size_t len)
{
	static const unsigned modes[] = {
		0, KEEP_SIZE, PUNCH, ZERO, ZERO | KEEP_SIZE, COLLAPSE, INSERT,
	};
	unsigned mode = modes[rand() % 7];

	if (rand() % 2 != 0 || mode == COLLAPSE || mode == INSERT) {
		at &= ~(size_t)4095;
		len &= ~(size_t)4095;
	}
	if (mode == INSERT && m->size + len > MAX) {
		return;
	}
	if (len == 0) {
		assert_int_equal(volume_fallocate(vol, ino, mode, at, len),
				 EINVAL);
		return;
	}
	assert_int_equal(volume_fallocate(vol, ino, mode, at, len),
			 model_fallocate(m, mode, at, len));
}

/* What SEEK_HOLE says is a hole reads as zeros, and between holes is data. */
static void check_seek(struct volume *vol, uint32_t ino, struct model *m)
{
	uint64_t at = 0;

	while (at < m->size) {
		uint64_t data = seek(vol, ino, at, VOLUME_SEEK_DATA);
		uint64_t hole = seek(vol, ino, at, VOLUME_SEEK_HOLE);

		assert_true(data == at || hole == at);
		if (hole == at) {
			data = data < m->size ? data : m->size;
			for (uint64_t i = at; i < data; i++) {
				assert_int_equal(m->data[i], 0);
			}
			at = data;
		} else {
			at = hole;
		}
	}
	assert_int_equal(at, m->size);
}

/* Copies as far as it goes, in file and model. */
static void random_copy(struct volume *vol, const uint32_t *ino,
			struct model *m, int from, int to, size_t len)
{
	size_t at = (size_t)rand() % MAX, to_at = (size_t)rand() % MAX;
	size_t most = at > to_at ? MAX - at : MAX - to_at;
	size_t done;
	uint64_t want;
	int error;

	len = len < most ? len : most;
	want = at >= m[from].size ? 0
	       : len < m[from].size - at ? len : m[from].size - at;
	error = volume_copy(vol, ino[from], at, ino[to], to_at, len, &done);
	if (from == to && (at > to_at ? at - to_at : to_at - at) < want) {
		assert_int_equal(error, EINVAL);
		return;
	}
	assert_int_equal(error, 0);
	assert_int_equal(done, want);
	memcpy(m[to].data + to_at, m[from].data + at, done);
	if (done > 0 && to_at + done > m[to].size) {
		m[to].size = to_at + done;
	}
}

/* One random operation of any kind. */
static void random_step(struct volume *vol, const uint32_t *ino,
			struct model *m, uint8_t *buf)
{
	int which = rand() % FILES, other = rand() % FILES;
	struct model *file = &m[which];
	size_t at = (size_t)rand() % MAX;
	size_t len = (size_t)rand() % (rand() % 2 ? 9000 : 90000) + 1;
	struct volume_attr attr = { .size = at };
	size_t done;

	len = len < MAX - at ? len : MAX - at;
	switch (rand() % 8) {
	case 0:
		assert_int_equal(volume_setattr(vol, ino[which],
						VOLUME_SET_SIZE, &attr), 0);
		if (at < file->size) {
			memset(file->data + at, 0, file->size - at);
		}
		file->size = at;
		break;
	case 1: case 2:
		for (size_t n = 0; n < len; n++) {
			file->data[at + n] = (uint8_t)(rand() | 1);
		}
		put(vol, ino[which], at, file->data + at, len);
		file->size = at + len > file->size ? at + len : file->size;
		break;
	case 3: case 4: case 5:
		random_fallocate(vol, ino[which], file, at, len);
		break;
	case 6:
		random_copy(vol, ino, m, which, other, len);
		break;
	default:
		assert_int_equal(volume_read(vol, ino[which], 0, buf, MAX,
					     &done), 0);
		assert_int_equal(done, file->size);
		assert_memory_equal(buf, file->data, done);
		check_seek(vol, ino[which], file);
	}
	assert_int_equal(attr_of(vol, ino[which]).size, file->size);
}

static void test_random(void **state)
{
	static const char *const options[] = {
		"-O ^metadata_csum", "", "-b 1024", "-b 2048",
	};
	struct model *m = calloc(FILES, sizeof(*m));
	uint8_t *buf = malloc(MAX);

	(void)state;
	for (unsigned seed = 0; seed < 4; seed++) {
		uint32_t ino[FILES];
		struct fixture f;

		srand(seed);
		memset(m, 0, FILES * sizeof(*m));
		fixture_open(&f, 16, options[seed]);
		ino[0] = new_file(f.vol, ROOT, "a");
		ino[1] = new_file(f.vol, ROOT, "b");
		for (unsigned i = 0; i < 4000; i++) {
			random_step(f.vol, ino, m, buf);
			if (i % 400 == 399) {
				fixture_reopen(&f);
			}
		}
		fixture_close(&f);
	}
	free(m);
	free(buf);
}

/* On a volume that is mostly full: nothing but ENOSPC, and what e2fsck sees is
 * whole at all times. */
static void test_random_full(void **state)
{
	static const unsigned modes[] = {
		0, KEEP_SIZE, PUNCH, ZERO, COLLAPSE, INSERT,
	};
	static uint8_t data[70000];

	(void)state;
	for (unsigned seed = 0; seed < 4; seed++) {
		struct fixture f;
		uint32_t ino[2];

		srand(seed);
		fixture_open(&f, 4, seed % 2 ? "-O ^has_journal"
			     : "-O ^has_journal -b 1024");
		ino[0] = new_file(f.vol, ROOT, "a");
		ino[1] = new_file(f.vol, ROOT, "b");
		for (unsigned i = 0; i < 6000; i++) {
			uint64_t at = (uint64_t)rand() % (8u << 20) & ~4095ull;
			uint64_t len = (uint64_t)rand() % sizeof(data);
			int error;
			size_t done;

			switch (rand() % 3) {
			case 0:
				error = volume_write(f.vol, ino[rand() % 2],
						     at, data, len, &done);
				break;
			case 1:
				error = volume_copy(f.vol, ino[0], at, ino[1],
						    at / 2 & ~4095ull, len,
						    &done);
				break;
			default:
				error = volume_fallocate(
					f.vol, ino[rand() % 2],
					modes[rand() % 6], at,
					(len & ~4095ull) + 4096);
			}
			if (error != 0 && error != ENOSPC && error != EINVAL) {
				fail_msg("error %d", error);
			}
			if (i % 1000 == 999) {
				fixture_reopen(&f);
			}
		}
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("a")), 0);
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME("b")), 0);
		fixture_close(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_seek),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_set_aside),
		cmocka_unit_test(test_longest_run),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
