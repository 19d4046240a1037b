/* SPDX-License-Identifier: MIT */
/* Partition tables as they should be, and as an enemy writes them; and that no
 * request of any kind changes what nobody opened for writing. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/blk/gpt.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/loop/loop.h"
#include "disk_gpt.h"

#define BYTES	(4u << 20)

static uint8_t disk_bytes[BYTES];
static struct block_dev disk;
static uint64_t bad_sector;		/* cannot be read */
static unsigned changes;		/* requests that change something */
static struct gpt gpt;

void *dma_alloc(size_t size, size_t align)
{
	return aligned_alloc(align, (size + align - 1) / align * align);
}

void dma_free(void *p, size_t size)
{
	(void)size;
	free(p);
}

void loop_step(uint64_t deadline)
{
	(void)deadline;
	assert_true(block_due(&disk));
	block_run(&disk);
}

static void submit(struct block_dev *dev, struct block_req *req)
{
	uint8_t *at = disk_bytes + req->sector * dev->sector_size;
	int error = 0;

	changes += req->op != BLOCK_READ && req->op != BLOCK_FLUSH;
	for (unsigned i = 0; i < req->seg_count; i++) {
		assert_true(at + req->segs[i].len <= disk_bytes + BYTES);
		if (req->op == BLOCK_READ) {
			memcpy(req->segs[i].data, at, req->segs[i].len);
		} else {
			memcpy(at, req->segs[i].data, req->segs[i].len);
		}
		at += req->segs[i].len;
	}
	if (bad_sector >= req->sector &&
	    bad_sector < req->sector + req->sectors) {
		error = EIO;
	}
	block_done(dev, req, error);
}

static const struct block_ops ops = { submit };

static uint8_t *sector(uint64_t n)
{
	return disk_bytes + n * disk.sector_size;
}

/* What of the tables a test changes, before their sums are made. */
static uint32_t count = 128, size = 128;

/* The sums of a copy, after its fields were changed. */
static void seal(uint64_t here, uint64_t entries)
{
	uint8_t *h = sector(here);

	put(h + 88, crc(sector(entries), (size_t)count * size), 4);
	put(h + 16, 0, 4);
	put(h + 16, crc(h, 92), 4);
}

static uint32_t table_sectors(void)
{
	return (count * size + disk.sector_size - 1) / disk.sector_size;
}

static uint64_t last_sector(void)
{
	return disk.sectors - 1;
}

static void header(uint64_t here, uint64_t other, uint64_t entries)
{
	uint8_t *h = sector(here);

	memset(h, 0, disk.sector_size);
	memcpy(h, "EFI PART\0\0\1\0\x5c\0\0\0", 16);
	put(h + 24, here, 8);
	put(h + 32, other, 8);
	put(h + 40, 2 + table_sectors(), 8);
	put(h + 48, last_sector() - table_sectors() - 1, 8);
	put(h + 72, entries, 8);
	put(h + 80, count, 4);
	put(h + 84, size, 4);
}

static uint8_t *entry(uint64_t entries, unsigned i)
{
	return sector(entries) + i * size;
}

static void add(unsigned i, uint64_t first, uint64_t last, const char *name)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		uint8_t *e = entry(copy ? last_sector() - table_sectors() : 2,
				   i);

		memset(e, 0, size);
		memset(e, 0xaf, 16);
		memset(e + 16, (int)i + 1, 16);
		put(e + 32, first, 8);
		put(e + 40, last, 8);
		for (unsigned c = 0; name[c]; c++) {
			put(e + 56 + 2 * c, (uint8_t)name[c], 2);
		}
	}
}

static void seal_both(void)
{
	seal(1, 2);
	seal(last_sector(), last_sector() - table_sectors());
}

static void make(unsigned sector_size)
{
	memset(disk_bytes, 0, sizeof(disk_bytes));
	disk = (struct block_dev) {
		.ops = &ops, .sector_size = sector_size, .name = "disk0",
		.sectors = BYTES / sector_size, .depth = 4,
		.max_sectors = 16384 / sector_size, .max_segs = 4,
		.features = BLOCK_HAS_DISCARD | BLOCK_HAS_ZERO,
	};
	block_init(&disk);
	bad_sector = UINT64_MAX;
	put(disk_bytes + 510, 0xaa55, 2);
	disk_bytes[446 + 4] = 0xee;
	put(disk_bytes + 446 + 8, 1, 4);
	put(disk_bytes + 446 + 12, 0xffffffff, 4);
	header(1, last_sector(), 2);
	header(last_sector(), 1, last_sector() - table_sectors());
	add(0, 100, 199, "EFI system");
	add(4, 200, 299, "Linux root");
	seal_both();
}

static int setup(void **state)
{
	(void)state;
	count = size = 128;
	make(512);
	return 0;
}

static void check_two(void)
{
	assert_int_equal(gpt.count, 2);
	assert_int_equal(gpt.parts[0].number, 1);
	assert_true(gpt.parts[0].first == 100 && gpt.parts[0].sectors == 100);
	assert_string_equal(gpt.parts[0].name, "EFI system");
	assert_int_equal(gpt.parts[0].id[7], 1);
	assert_int_equal(gpt.parts[1].number, 5);
	assert_true(gpt.parts[1].first == 200 && gpt.parts[1].sectors == 100);
	assert_string_equal(gpt.parts[1].name, "Linux root");
}

static void good_tables(void **state)
{
	(void)state;
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	check_two();
	assert_null(gpt.note);
	make(4096);
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	check_two();
	assert_null(gpt.note);
	count = 8;
	size = 1024;
	make(512);
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	check_two();
}

/* One byte of either copy's header or entries is wrong: the other is used; of
 * both, none is. */
static void each_damaged_byte(void **state)
{
	uint64_t last = last_sector(), entries = last - table_sectors();

	(void)state;
	for (unsigned i = 0; i < 92 + 16384; i += i < 92 ? 1 : 97) {
		uint8_t *a = i < 92 ? sector(1) + i : sector(2) + i - 92;
		uint8_t *b = i < 92 ? sector(last) + i :
			     sector(entries) + i - 92;

		*a ^= 0x40;
		assert_int_equal(gpt_read(&disk, &gpt), 0);
		check_two();
		assert_non_null(strstr(gpt.note, "first copy"));
		*b ^= 0x40;
		assert_int_equal(gpt_read(&disk, &gpt), EINVAL);
		assert_int_equal(gpt.count, 0);
		assert_non_null(strstr(gpt.note, "both"));
		*a ^= 0x40;
		assert_int_equal(gpt_read(&disk, &gpt), 0);
		check_two();
		assert_non_null(strstr(gpt.note, "second copy"));
		*b ^= 0x40;
	}
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	assert_null(gpt.note);
}

static void copies_that_differ(void **state)
{
	(void)state;
	put(entry(2, 4) + 40, 298, 8);
	seal(1, 2);
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	assert_int_equal(gpt.parts[1].sectors, 99);
	assert_non_null(strstr(gpt.note, "differ"));
}

static void unreadable_sectors(void **state)
{
	(void)state;
	bad_sector = 0;
	assert_int_equal(gpt_read(&disk, &gpt), EIO);
	for (bad_sector = 1; bad_sector < 34; bad_sector++) {
		assert_int_equal(gpt_read(&disk, &gpt), 0);
		check_two();
	}
	bad_sector = last_sector();
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	assert_non_null(strstr(gpt.note, "second copy"));
}

/* Right sums over wrong things, in both copies. */
static void hostile_fields(void **state)
{
	static const struct { unsigned at, bytes; uint64_t value; } bad[] = {
		{ 8, 4, 0x10001 }, { 12, 4, 91 }, { 12, 4, 513 },
		{ 12, 4, 0xffffffff }, { 24, 8, 2 }, { 40, 8, 8190 },
		{ 40, 8, UINT64_MAX }, { 48, 8, UINT64_MAX }, { 48, 8, 8192 },
		{ 72, 8, 0 }, { 72, 8, UINT64_MAX }, { 72, 8, 8191 },
		{ 72, 8, 30 }, { 80, 4, 0 }, { 80, 4, UINT32_MAX },
		{ 80, 4, 2049 }, { 84, 4, 0 }, { 84, 4, 64 }, { 84, 4, 129 },
		{ 84, 4, 0x80000000 }, { 84, 4, UINT32_MAX }, { 32, 8, 8192 },
		{ 32, 8, UINT64_MAX },
	};
	uint64_t last;

	(void)state;
	count = 4096;			/* more than there is memory for */
	make(512);
	assert_int_equal(gpt_read(&disk, &gpt), EINVAL);
	count = 128;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		make(512);
		last = last_sector();
		put(sector(1) + bad[i].at, bad[i].value, bad[i].bytes);
		put(sector(last) + bad[i].at, bad[i].value, bad[i].bytes);
		seal_both();
		assert_int_equal(gpt_read(&disk, &gpt), EINVAL);
		assert_int_equal(gpt.count, 0);
	}
}

/* A part that is not where parts are, or where another one is. */
static void hostile_parts(void **state)
{
	static const uint64_t bad[][2] = {
		{ 0, 99 }, { 33, 50 }, { 300, 299 }, { 500, 400 },
		{ 8000, 8159 }, { 8000, UINT64_MAX }, { 0, UINT64_MAX },
		{ UINT64_MAX, UINT64_MAX }, { 199, 199 }, { 150, 160 },
		{ 299, 400 }, { 34, 8158 }, { 200, 299 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		make(512);
		add(7, bad[i][0], bad[i][1], "evil");
		seal_both();
		assert_int_equal(gpt_read(&disk, &gpt), EINVAL);
		assert_int_equal(gpt.count, 0);
	}
	make(512);
	add(7, 34, 99, "good");
	add(8, 300, 8158, "good");
	seal_both();
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	assert_int_equal(gpt.count, 4);
}

static void many_parts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 128; i++) {
		add(i, 1000 + i, 1000 + i, "\x01\x7f n\xc3");
	}
	seal_both();
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	assert_int_equal(gpt.count, GPT_PARTS);
	assert_int_equal(gpt.left_out, 96);
	assert_string_equal(gpt.parts[31].name, "?? n?");
}

/* Right sums over anything at all. */
static void random_tables(void **state)
{
	unsigned used = 0;

	(void)state;
	srand(7);
	for (unsigned i = 0; i < 3000; i++) {
		make(512);
		for (unsigned n = rand() % 4 + 1; n > 0; n--) {
			unsigned at = rand() % 3 ? 24u + rand() % 68 :
				      512u + rand() % 1024;
			uint8_t value = (uint8_t)rand();

			sector(1)[at] = value;
			sector(last_sector())[at % 92] = (uint8_t)rand();
		}
		seal_both();
		used += gpt_read(&disk, &gpt) == 0;
		for (unsigned p = 0; p < gpt.count; p++) {
			assert_true(gpt.parts[p].first > 0);
			assert_true(gpt.parts[p].first + gpt.parts[p].sectors
				    <= disk.sectors);
		}
	}
	assert_true(used > 100);
}

static void mbr_entry(unsigned i, uint8_t type, uint32_t first, uint32_t n)
{
	uint8_t *e = disk_bytes + 446 + 16 * i;

	e[0] = 0;
	e[4] = type;
	put(e + 8, first, 4);
	put(e + 12, n, 4);
}

static void mbr(void **state)
{
	(void)state;
	memset(disk_bytes, 0, 512);
	assert_int_equal(gpt_read(&disk, &gpt), ENOENT);
	put(disk_bytes + 510, 0xaa55, 2);
	assert_int_equal(gpt_read(&disk, &gpt), ENOENT);
	mbr_entry(0, 0xef, 63, 1000);
	mbr_entry(2, 0x83, 2048, 6144);
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	assert_string_equal(gpt.kind, "MBR");
	assert_int_equal(gpt.count, 2);
	assert_int_equal(gpt.parts[1].number, 3);
	assert_int_equal(gpt.parts[1].sectors, 6144);
	mbr_entry(1, 0x05, 1063, 900);
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	assert_int_equal(gpt.count, 2);
	assert_non_null(strstr(gpt.note, "logical"));
	mbr_entry(1, 0x05, 1062, 900);
	assert_int_equal(gpt_read(&disk, &gpt), EINVAL);
	mbr_entry(1, 0x83, 8000, 193);
	assert_int_equal(gpt_read(&disk, &gpt), EINVAL);
	mbr_entry(1, 0x83, 0, 10);
	assert_int_equal(gpt_read(&disk, &gpt), EINVAL);
	mbr_entry(1, 0x83, 0xffffffff, 0xffffffff);
	assert_int_equal(gpt_read(&disk, &gpt), EINVAL);
	/* A file system's boot sector with the same signature. */
	memset(disk_bytes + 446, 'x', 64);
	assert_int_equal(gpt_read(&disk, &gpt), EINVAL);
}

static void on_done(struct block_req *req)
{
	req->priv = req;
}

static int try(struct block_dev *dev, enum block_op op, uint64_t at,
	       uint32_t sectors)
{
	static uint8_t data[16384];
	struct block_seg seg = { data, sectors * 512 };
	struct block_req req = {
		.op = op, .sector = at, .sectors = sectors, .segs = &seg,
		.seg_count = op <= BLOCK_WRITE, .done = on_done,
	};

	block_submit(dev, &req);
	while (req.priv != &req) {
		loop_step(0);
	}
	return req.error;
}

/* A disk and each of its parts: no request gets through to what was not opened,
 * none past the end of what was. */
static void nothing_unnamed_is_written(void **state)
{
	static const enum block_op writes[] = { BLOCK_WRITE, BLOCK_DISCARD,
						BLOCK_ZERO };
	static uint8_t before[BYTES];
	struct block_dev parts[2];

	(void)state;
	assert_int_equal(gpt_read(&disk, &gpt), 0);
	for (unsigned i = 0; i < 2; i++) {
		block_part(&parts[i], &disk, gpt.parts[i].first,
			   gpt.parts[i].sectors);
	}
	memcpy(before, disk_bytes, BYTES);
	changes = 0;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(try(&disk, writes[i], 0, 1), EROFS);
		assert_int_equal(try(&parts[0], writes[i], 0, 1), EROFS);
		assert_int_equal(try(&parts[1], writes[i], 99, 1), EROFS);
	}
	block_open_write(&parts[1]);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(try(&disk, writes[i], 200, 1), EROFS);
		assert_int_equal(try(&parts[0], writes[i], 0, 1), EROFS);
		assert_int_equal(try(&parts[1], writes[i], 99, 2), EINVAL);
		assert_int_equal(try(&parts[1], writes[i], UINT64_MAX - 99, 1),
				 EINVAL);
		assert_int_equal(try(&parts[1], writes[i], 100, 1), EINVAL);
		assert_int_equal(try(&parts[1], writes[i], 0, UINT32_MAX),
				 EINVAL);
	}
	assert_int_equal(changes, 0);
	assert_memory_equal(before, disk_bytes, BYTES);
	memset(sector(200), 0xff, 512);
	memcpy(before, disk_bytes, BYTES);
	memset(before + 200 * 512, 0, 512);
	assert_int_equal(try(&parts[1], BLOCK_WRITE, 0, 1), 0);
	assert_int_equal(changes, 1);
	assert_memory_equal(before, disk_bytes, BYTES);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_tables), TEST(each_damaged_byte),
		TEST(copies_that_differ), TEST(unreadable_sectors),
		TEST(hostile_fields), TEST(hostile_parts), TEST(many_parts),
		TEST(random_tables), TEST(mbr),
		TEST(nothing_unnamed_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
