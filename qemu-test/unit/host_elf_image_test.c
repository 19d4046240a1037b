/* SPDX-License-Identifier: MIT */
/* ELF kernels: what is refused, where they lie, what they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/guest/elf_image.h"

#define MIB		(1ull << 20)
#define FILE_SIZE	0x800u
#define ENTRY		0x200010u

/* Where the parts are in the file, of either class. */
#define HEADERS		0x80u
#define MULTIBOOT	0x200u
#define NOTE		0x240u
#define DATA		0x300u		/* 0x101 bytes, of 0x3000 */

static uint8_t *file;
static unsigned bits;
static uint8_t low[LINUX_LOW_END - LINUX_LOW_GPA];

static void put(unsigned at, uint64_t value, unsigned bytes)
{
	memcpy(file + at, &value, bytes);
}

static uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

/* Program header n. */
static void segment(unsigned n, uint32_t type, uint64_t offset, uint64_t paddr,
		    uint64_t filesz, uint64_t memsz)
{
	if (bits == 32) {
		unsigned at = HEADERS + n * 32;

		put(at, type, 4);
		put(at + 4, offset, 4);
		put(at + 12, paddr, 4);
		put(at + 16, filesz, 4);
		put(at + 20, memsz, 4);
	} else {
		unsigned at = HEADERS + n * 56;

		put(at, type, 4);
		put(at + 8, offset, 8);
		put(at + 24, paddr, 8);
		put(at + 32, filesz, 8);
		put(at + 40, memsz, 8);
	}
}

/* Two segments and a note; multiboot and pvh: with which entries. */
static void make(unsigned class, bool multiboot, bool pvh)
{
	free(file);
	file = calloc(1, FILE_SIZE);
	bits = class;
	memcpy(file, "\177ELF", 4);
	file[4] = bits == 32 ? 1 : 2;
	file[5] = 1;
	put(16, 2, 2);
	put(18, bits == 32 ? 3 : 62, 2);
	put(24, ENTRY, bits / 8);
	put(bits == 32 ? 28 : 32, HEADERS, bits / 8);
	put(bits == 32 ? 42 : 54, bits == 32 ? 32 : 56, 2);
	put(bits == 32 ? 44 : 56, 3, 2);
	segment(0, 1, DATA, 0x200000, 0x101, 0x3000);
	segment(1, 1, DATA + 0x200, 0x204ff0, 0x20, 0x20);
	segment(2, 4, NOTE, 0, 40, 40);
	for (unsigned i = 0; i < 0x101; i++) {
		file[DATA + i] = (uint8_t)(i * 7 + 1);
	}
	memset(file + DATA + 0x200, 0x55, 0x20);
	if (multiboot) {
		put(MULTIBOOT, 0x1badb002, 4);
		put(MULTIBOOT + 4, 3, 4);
		put(MULTIBOOT + 8, 0u - 0x1badb005, 4);
	}
	/* Another note first, whose name is padded. */
	put(NOTE, 2, 4);
	put(NOTE + 8, 18, 4);
	put(NOTE + 12, 'X', 1);
	put(NOTE + 16, pvh ? 4 : 5, 4);
	put(NOTE + 20, 4, 4);
	put(NOTE + 24, 18, 4);
	memcpy(file + NOTE + 28, pvh ? "Xen" : "GNU", 4);
	put(NOTE + 32, ENTRY + 4, 4);
}

static const char *parse(struct elf_image *image)
{
	return elf_image_parse(file, FILE_SIZE, image);
}

static void good_files(void **state)
{
	struct elf_image image;

	(void)state;
	make(32, true, false);
	assert_true(elf_image_is(file, FILE_SIZE));
	assert_false(elf_image_is(file, 3));
	assert_null(parse(&image));
	assert_false(image.pvh);
	assert_int_equal(image.count, 2);
	assert_int_equal(image.entry, ENTRY);
	make(32, true, true);
	assert_null(parse(&image));
	assert_false(image.pvh);
	assert_int_equal(image.entry, ENTRY);
	make(32, false, true);
	assert_null(parse(&image));
	assert_true(image.pvh);
	assert_int_equal(image.entry, ENTRY + 4);
	make(64, true, true);
	assert_null(parse(&image));
	assert_true(image.pvh);
	assert_int_equal(image.segments[1].gpa, 0x204ff0);
	assert_int_equal(image.segments[1].data_size, 0x20);
	/* One of 64 bits for Xen alone, as x86-64 in 32. */
	make(32, true, false);
	put(18, 62, 2);
	assert_null(parse(&image));
	/* The checksum is wrong, so it is no header; here is none else. */
	put(MULTIBOOT + 8, 0, 4);
	assert_non_null(strstr(parse(&image), "neither"));
}

static void bad_files(void **state)
{
	static const struct {
		unsigned class, at, bytes;
		uint64_t value;
		const char *what;
	} cases[] = {
		{ 32, 4, 1, 0, "no ELF file of a PC" },
		{ 32, 4, 1, 3, "no ELF file of a PC" },
		{ 32, 5, 1, 2, "no ELF file of a PC" },
		{ 32, 18, 2, 40, "no ELF file of a PC" },
		{ 64, 18, 2, 3, "no ELF file of a PC" },
		{ 32, 16, 2, 3, "linked to run" },
		{ 32, 42, 2, 33, "program headers" },
		{ 32, 44, 2, 0, "program headers" },
		{ 32, 44, 2, 65, "program headers" },
		{ 32, 44, 2, 64, "truncated" },
		{ 64, 56, 2, 40, "truncated" },
		{ 32, 28, 4, 0xffffffff, "truncated" },
		{ 64, 32, 8, ~0ull, "truncated" },
		{ 64, 32, 8, FILE_SIZE - 3 * 56 + 1, "truncated" },
		{ 32, HEADERS + 4, 4, FILE_SIZE - 0x100, "truncated" },
		{ 32, HEADERS + 4, 4, 0xffffffff, "truncated" },
		{ 64, HEADERS + 8, 8, ~0ull, "truncated" },
		{ 64, HEADERS + 32, 8, ~0ull, "truncated" },
		{ 64, HEADERS + 40, 8, 0x100, "more data than memory" },
		{ 32, HEADERS + 20, 4, 0x100, "more data than memory" },
		{ 32, 24, 4, 0x203000, "in none of its segments" },
		{ 32, 24, 4, 0x1fffff, "in none of its segments" },
		{ 64, NOTE + 32, 4, 0x205010, "in none of its segments" },
		{ 64, NOTE + 20, 4, 0x100, "neither" },
		{ 64, NOTE + 16, 4, 0xfffffffd, "neither" },
		{ 64, NOTE + 4, 4, 0xffffffff, "neither" },
	};
	struct elf_image image;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong;

		make(cases[i].class, true, cases[i].class == 64);
		put(cases[i].at, cases[i].value, cases[i].bytes);
		wrong = parse(&image);
		if (!wrong || !strstr(wrong, cases[i].what)) {
			fail_msg("case %zu: %s", i, wrong ? wrong : "taken");
		}
	}
	make(64, true, false);
	assert_non_null(strstr(parse(&image), "32-bit"));
	make(32, false, true);
	segment(2, 1, NOTE, 0x200000, 0, 0);
	assert_non_null(strstr(parse(&image), "neither"));
}

static void bad_flags(void **state)
{
	static const struct {
		uint32_t flags;
		const char *what;
	} cases[] = {
		{ 0, NULL }, { 1, NULL }, { 0x20003, NULL },
		{ 4, "asks for" }, { 0x8000, "asks for" },
		{ 0x10003, "flag 16" },
	};
	struct elf_image image;

	(void)state;
	make(32, true, false);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong;

		put(MULTIBOOT + 4, cases[i].flags, 4);
		put(MULTIBOOT + 8, 0u - 0x1badb002 - cases[i].flags, 4);
		wrong = parse(&image);
		if (!cases[i].what) {
			assert_null(wrong);
		} else {
			assert_non_null(strstr(wrong, cases[i].what));
		}
	}
}

/* Cut off anywhere, with nothing behind it that could be read: no entry, or a
 * part is missing. */
static void every_length(void **state)
{
	struct elf_image image;

	(void)state;
	make(64, false, true);
	for (size_t size = 0; size < DATA + 0x220; size++) {
		uint8_t *cut = malloc(size ? size : 1);

		memcpy(cut, file, size);
		assert_non_null(elf_image_parse(cut, size, &image));
		free(cut);
	}
	assert_null(elf_image_parse(file, DATA + 0x220, &image));
}

/* A note's description may be the file's end. */
static void notes_end_with_the_file(void **state)
{
	struct elf_image image;

	(void)state;
	make(64, false, true);
	segment(2, 4, FILE_SIZE - 32, 0, 32, 32);
	put(FILE_SIZE - 32, 4, 4);
	put(FILE_SIZE - 28, 16, 4);
	put(FILE_SIZE - 24, 18, 4);
	memcpy(file + FILE_SIZE - 20, "Xen", 4);
	put(FILE_SIZE - 16, ENTRY, 8);
	assert_null(parse(&image));
	assert_int_equal(image.entry, ENTRY);
}

static void segments_are_bounded(void **state)
{
	struct elf_image image;

	(void)state;
	make(32, true, false);
	put(44, 12, 2);
	for (unsigned i = 2; i < 12; i++) {
		segment(i, 1, 0, 0x400000 + i * 4096, 0, 8);
	}
	memset(file + MULTIBOOT, 0, 12);
	put(MULTIBOOT + 0x400, 0x1badb002, 4);
	put(MULTIBOOT + 0x408, 0u - 0x1badb002, 4);
	assert_null(parse(&image));
	assert_int_equal(image.count, 12);
	/* 17 of them, of which one may be empty. */
	put(44, 17, 2);
	for (unsigned i = 12; i < 17; i++) {
		segment(i, 1, 0, 0x400000 + i * 4096, 0, i == 13 ? 0 : 8);
	}
	assert_null(parse(&image));
	assert_int_equal(image.count, 16);
	segment(13, 1, 0, 0x500000, 0, 8);
	assert_non_null(strstr(parse(&image), "more than 16"));
}

static void placing(void **state)
{
	struct linux_layout at = { .ram = 64 * MIB, .initrd_size = 5 * MIB };
	struct elf_image image;

	(void)state;
	make(64, false, true);
	assert_null(parse(&image));
	assert_null(elf_image_place(&image, &at));
	assert_int_equal(at.initrd_gpa, 58 * MIB);
	assert_int_equal(at.entry, LINUX_GDT_GPA + 0x100);
	/* What is zero counts too. */
	image.segments[0].size = 58 * MIB - 0x200000 + 1;
	assert_non_null(strstr(elf_image_place(&image, &at), "initrd"));
	image.segments[0].size--;
	assert_null(elf_image_place(&image, &at));
	image.segments[0].gpa = MIB - 1;
	assert_non_null(strstr(elf_image_place(&image, &at), "outside"));
	image.segments[0].gpa = MIB;
	assert_null(elf_image_place(&image, &at));
	image.segments[0].gpa = ~0ull - 0x100;
	assert_non_null(strstr(elf_image_place(&image, &at), "outside"));
	image.segments[0].gpa = 64 * MIB - 0x1000;
	image.segments[0].size = 0x1001;
	assert_non_null(strstr(elf_image_place(&image, &at), "outside"));
	image.segments[0].size = ~0ull;
	assert_non_null(strstr(elf_image_place(&image, &at), "outside"));
}

static void check_start(const struct elf_image *image, uint32_t eax)
{
	const uint8_t *at = low + 0x100;

	/* The far jump's operand is behind the code, and leads to what follows
	 * the jump. */
	assert_memory_equal(at, "\xff\x2c\x25", 3);
	assert_int_equal(get(at + 3, 4), 0x1100 + 48);
	assert_int_equal(get(at + 48, 4), 0x1107);
	assert_int_equal(get(at + 52, 2), LINUX_GDT_CODE32);
	assert_int_equal(get(low + LINUX_GDT_CODE32, 8), 0x00cf9b000000ffff);
	assert_int_equal(at[31], 0xbb);
	assert_int_equal(get(at + 32, 4), LINUX_BOOT_PARAMS_GPA);
	assert_int_equal(at[36], 0xb8);
	assert_int_equal(get(at + 37, 4), eax);
	assert_int_equal(at[41], 0xb9);
	assert_int_equal(get(at + 42, 4), image->entry);
	assert_memory_equal(at + 46, "\xff\xe1", 2);
}

static void told_by_multiboot(void **state)
{
	struct linux_layout at = { .ram = 5120 * MIB, .initrd_size = 26 };
	const uint8_t *info = low + LINUX_BOOT_PARAMS_GPA - LINUX_LOW_GPA;
	const uint8_t *map, *module;
	struct elf_image image;
	char line[LINUX_CMDLINE_SIZE + 1];

	(void)state;
	make(32, true, false);
	assert_null(parse(&image));
	assert_null(elf_image_place(&image, &at));
	memset(low, 0, sizeof(low));
	assert_null(elf_image_low(low, &image, &at, "a b"));
	check_start(&image, 0x2badb002);
	assert_int_equal(get(info, 4), 0x24d);
	assert_int_equal(get(info + 4, 4), 0x9f000 / 1024);
	assert_int_equal(get(info + 8, 4), (LINUX_MMIO_GPA - MIB) / 1024);
	assert_int_equal(get(info + 16, 4), LINUX_CMDLINE_GPA);
	assert_string_equal((char *)low + LINUX_CMDLINE_GPA - LINUX_LOW_GPA,
			    "a b");
	assert_int_equal(get(info + 20, 4), 1);
	module = low + get(info + 24, 4) - LINUX_LOW_GPA;
	assert_int_equal(get(module, 4), at.initrd_gpa);
	assert_int_equal(get(module + 4, 4), at.initrd_gpa + 26);
	assert_string_equal((char *)low + get(module + 8, 4) - LINUX_LOW_GPA,
			    "");
	assert_int_equal(get(info + 44, 4), 4 * 24);
	map = low + get(info + 48, 4) - LINUX_LOW_GPA;
	assert_int_equal(get(map + 24 * 2, 4), 20);
	assert_int_equal(get(map + 24 * 2 + 4, 8), MIB);
	assert_int_equal(get(map + 24 * 3 + 4, 8), 1ull << 32);
	assert_int_equal(get(map + 24 * 3 + 12, 8),
			 5120 * MIB - LINUX_MMIO_GPA);
	assert_int_equal(get(map + 24 * 1 + 20, 4), 2);
	assert_string_equal((char *)low + get(info + 64, 4) - LINUX_LOW_GPA,
			    "isthmus");
	memset(line, 'a', sizeof(line));
	line[4095] = '\0';
	assert_null(elf_image_low(low, &image, &at, line));
	line[4095] = 'a';
	line[4096] = '\0';
	assert_non_null(strstr(elf_image_low(low, &image, &at, line), "4095"));
}

static void told_by_pvh(void **state)
{
	struct linux_layout at = { .ram = 256 * MIB };
	const uint8_t *info = low + LINUX_BOOT_PARAMS_GPA - LINUX_LOW_GPA;
	const uint8_t *map, *module;
	struct elf_image image;

	(void)state;
	make(64, false, true);
	assert_null(parse(&image));
	assert_null(elf_image_place(&image, &at));
	memset(low, 0, sizeof(low));
	assert_null(elf_image_low(low, &image, &at, ""));
	check_start(&image, 0);
	assert_int_equal(get(info, 4), 0x336ec578);
	assert_int_equal(get(info + 4, 4), 1);
	assert_int_equal(get(info + 12, 4), 0);
	assert_int_equal(get(info + 24, 8), LINUX_CMDLINE_GPA);
	assert_int_equal(get(info + 32, 8), LINUX_ACPI_GPA);
	assert_int_equal(get(info + 48, 4), 3);
	map = low + get(info + 40, 8) - LINUX_LOW_GPA;
	assert_int_equal(get(map + 24 * 2, 8), MIB);
	assert_int_equal(get(map + 24 * 2 + 8, 8), 255 * MIB);
	assert_int_equal(get(map + 24 * 2 + 16, 4), 1);
	at.initrd_size = 3 * MIB;
	assert_null(elf_image_place(&image, &at));
	assert_null(elf_image_low(low, &image, &at, ""));
	assert_int_equal(get(info + 12, 4), 1);
	module = low + get(info + 16, 8) - LINUX_LOW_GPA;
	assert_int_equal(get(module, 8), at.initrd_gpa);
	assert_int_equal(get(module + 8, 8), 3 * MIB);
}

/* Pieces of any size make the whole: data, zeros between, and nothing where no
 * segment has data. */
static void pieces(void **state)
{
	static uint8_t want[0x8000], found[0x8000], window[0x2000];
	struct elf_image image;

	(void)state;
	make(32, true, false);
	assert_null(parse(&image));
	memcpy(want, file + DATA, 0x101);
	memset(want + 0x4ff0, 0x55, 0x20);
	for (unsigned size = 0x1000; size <= 0x2000; size += 0x1000) {
		unsigned some = 0;

		memset(found, 0, sizeof(found));
		for (uint64_t gpa = 0x1ff000; gpa < 0x207000; gpa += size) {
			memset(window, 0xee, sizeof(window));
			if (!elf_image_piece(&image, gpa, window, size)) {
				assert_int_equal(window[0], 0xee);
				continue;
			}
			some++;
			assert_true(gpa + size > 0x200000);
			for (unsigned i = 0; i < size; i++) {
				if (gpa + i >= 0x200000) {
					found[gpa + i - 0x200000] = window[i];
				}
			}
		}
		assert_int_equal(some, 3);
		assert_memory_equal(found, want, sizeof(want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_files),
		cmocka_unit_test(bad_files),
		cmocka_unit_test(bad_flags),
		cmocka_unit_test(every_length),
		cmocka_unit_test(notes_end_with_the_file),
		cmocka_unit_test(segments_are_bounded),
		cmocka_unit_test(placing),
		cmocka_unit_test(told_by_multiboot),
		cmocka_unit_test(told_by_pvh),
		cmocka_unit_test(pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
