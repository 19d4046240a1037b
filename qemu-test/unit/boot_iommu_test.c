/* SPDX-License-Identifier: MIT */
/*
 * DMAR and IVRS: what they say comes out as boot_info has it, whatever order it
 * stands in; what is malformed or too much is refused as a whole; each table,
 * cut anywhere, is read within its bytes (ASan).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/iommu.h"

#define IOAPIC_ID	5

static uint8_t table[8192];
static uint32_t size;
static struct boot_iommus out;

/* Structures are put down one after the other; the length follows. */
static void begin(uint8_t flags)
{
	memset(table, 0, sizeof(table));
	memset(&out, 0, sizeof(out));
	table[37] = flags;
	size = 48;
}

static void put(uint64_t v, unsigned bytes)
{
	memcpy(table + size, &v, bytes);
	size += bytes;
}

static void set16(uint32_t at, uint16_t v)
{
	memcpy(table + at, &v, sizeof(v));
}

static uint32_t drhd(uint8_t flags, uint16_t segment, uint64_t base)
{
	uint32_t at = size;

	put(0, 2);
	put(16, 2);
	put(flags, 1);
	put(0, 1);
	put(segment, 2);
	put(base, 8);
	return at;
}

static uint32_t rmrr(uint16_t segment, uint64_t base, uint64_t limit)
{
	uint32_t at = size;

	put(1, 2);
	put(24, 2);
	put(0, 2);
	put(segment, 2);
	put(base, 8);
	put(limit, 8);
	return at;
}

/* A scope's entry with a path of one or two steps, in the structure at. */
static void scope(uint32_t at, uint8_t type, uint8_t id, uint8_t bus, const uint8_t *path,
		  unsigned steps)
{
	put(type, 1);
	put(6 + 2 * steps, 1);
	put(0, 2);
	put(id, 1);
	put(bus, 1);
	for (unsigned i = 0; i < 2 * steps; i++) {
		put(path[i], 1);
	}
	set16(at + 2, (uint16_t)(size - at));
}

/* One bridge, 00:1c.0, to buses 3 to 5; one disk, 00:1f.2. */
static uint32_t config(uint32_t function, uint32_t reg)
{
	switch (function) {
	case 0x1c << 3:
		return reg == 0x0c ? 0x010000 : reg == 0x18 ? 0x050300 : 0;
	case 0x1f << 3 | 2:
		return 0;
	default:
		return UINT32_MAX;
	}
}

static const char *dmar(void)
{
	uint8_t *copy = malloc(size);
	const char *wrong;

	memcpy(copy, table, size);
	memset(&out, 0, sizeof(out));
	wrong = iommu_dmar(copy, size, IOAPIC_ID, config, &out);
	free(copy);
	return wrong;
}

static const char *ivrs(void)
{
	uint8_t *copy = malloc(size);
	const char *wrong;

	memcpy(copy, table, size);
	memset(&out, 0, sizeof(out));
	wrong = iommu_ivrs(copy, size, IOAPIC_ID, &out);
	free(copy);
	return wrong;
}

static const uint8_t disk[] = { 0x1f, 2 }, root_port[] = { 0x1c, 0 },
	behind[] = { 0x1c, 0, 2, 1 }, nowhere[] = { 0x1d, 0, 2, 1 }, first[] = { 0, 0 };

/* Two units, the second for all else, and a range of a disk's. */
static void dmar_typical(void)
{
	uint32_t at;

	begin(1);
	at = drhd(0, 0, 0xfed90000);
	scope(at, 1, 0, 0, behind, 2);
	scope(at, 2, 0, 0, root_port, 1);
	scope(at, 1, 0, 0, nowhere, 2);
	at = drhd(1, 0, 0xfed91000);
	scope(at, 3, IOAPIC_ID + 1, 0xf0, disk, 1);
	scope(at, 3, IOAPIC_ID, 0xff, first, 1);
	at = rmrr(0, 0x7b000000, 0x7b000fff);
	scope(at, 1, 0, 0, disk, 1);
}

static void dmar_is_read(void **state)
{
	(void)state;
	dmar_typical();
	assert_null(dmar());
	assert_int_equal(out.kind, BOOT_IOMMU_INTEL);
	assert_int_equal(out.flags, BOOT_IOMMUS_INTERRUPTS);
	assert_int_equal(out.unit_count, 2);
	assert_int_equal(out.units[0].base, 0xfed90000);
	assert_int_equal(out.units[0].flags, 0);
	assert_int_equal(out.units[1].flags, BOOT_IOMMU_ALL);
	/* by way of the bridge; all that is behind it, and itself; the path
	 * through a bridge that is not there names nothing */
	assert_int_equal(out.scope_count, 3);
	assert_int_equal(out.scopes[0].first, 0x0311);
	assert_int_equal(out.scopes[0].last, 0x0311);
	assert_int_equal(out.scopes[1].first, 0x0300);
	assert_int_equal(out.scopes[1].last, 0x05ff);
	assert_int_equal(out.scopes[2].first, 0x00e0);
	assert_int_equal(out.ioapic_unit, 1);
	assert_int_equal(out.ioapic_function, 0xff00);
	assert_int_equal(out.reserved_count, 1);
	assert_int_equal(out.reserved[0].base, 0x7b000000);
	assert_int_equal(out.reserved[0].size, 0x1000);
	assert_int_equal(out.reserved[0].first, 0x00fa);
	assert_int_equal(out.reserved[0].last, 0x00fa);
	assert_true(iommu_overlaps(&out, 0xfed90000, 0xfed91000));
	assert_true(iommu_overlaps(&out, 0, UINT64_MAX));
	assert_false(iommu_overlaps(&out, 0xfec00000, 0xfed90000));
	/* no interrupt remapping; what a later revision adds is passed over */
	begin(0);
	put(5 | 4ull << 16, 4);
	drhd(1, 2, 0xfed90000);
	assert_null(dmar());
	assert_int_equal(out.flags, 0);
	assert_int_equal(out.units[0].segment, 2);
	assert_int_equal(out.ioapic_function, BOOT_FUNCTION_NONE);
	/* a unit at address 0 is none */
	begin(0);
	drhd(1, 0, 0);
	assert_null(dmar());
	assert_int_equal(out.unit_count, 0);
}

static void dmar_is_refused(void **state)
{
	uint32_t at, whole;

	(void)state;
	dmar_typical();
	whole = size;
	/* cut anywhere: refused, but between two structures */
	for (size = 0; size < whole; size++) {
		bool between = size == 48 || size == 48 + 44 || size == 48 + 44 + 32;

		assert_true((dmar() == NULL) == between);
	}
	size = whole;
	set16(48 + 2, 3);
	assert_non_null(strstr(dmar(), "malformed"));
	dmar_typical();
	table[48 + 17] = 5;		/* a scope's length */
	assert_non_null(strstr(dmar(), "malformed"));
	table[48 + 17] = 200;		/* behind its structure */
	assert_non_null(strstr(dmar(), "malformed"));
	for (unsigned bad = 0; bad < 5; bad++) {
		static const uint64_t base[] = { 0x1800, 0x2000, 0x2000, 0, 1ull << 52 };
		static const uint64_t last[] = { 0x1fff, 0x1fff, 0x2800, UINT64_MAX,
						 (1ull << 52) + 0xfff };

		begin(1);
		at = rmrr(0, base[bad], last[bad]);
		scope(at, 1, 0, 0, disk, 1);
		assert_non_null(strstr(dmar(), "a range that is none"));
	}
	begin(1);
	drhd(1, 0, 0xfed90800);
	assert_non_null(strstr(dmar(), "where none can be"));
	begin(1);
	for (unsigned i = 0; i <= BOOT_MAX_IOMMUS; i++) {
		drhd(0, 0, 0xfed00000 + i * 0x1000);
	}
	assert_non_null(strstr(dmar(), "more units"));
	size -= 16;
	assert_null(dmar());
	begin(1);
	at = drhd(0, 0, 0xfed00000);
	for (unsigned i = 0; i <= BOOT_MAX_SCOPES; i++) {
		scope(at, 1, 0, 0, disk, 1);
	}
	assert_non_null(strstr(dmar(), "more devices"));
	begin(1);
	at = rmrr(0, 0x1000, 0x1fff);
	for (unsigned i = 0; i <= BOOT_MAX_RESERVED; i++) {
		scope(at, 1, 0, 0, disk, 1);
	}
	assert_non_null(strstr(dmar(), "more ranges"));
}

static uint32_t ivhd(uint8_t type, uint16_t self, uint16_t segment, uint64_t base)
{
	uint32_t at = size;

	put(type, 1);
	put(0xf, 1);
	put(type == 0x10 ? 24 : 40, 2);
	put(self, 2);
	put(0x40, 2);
	put(base, 8);
	put(segment, 2);
	put(0, 6);
	if (type != 0x10) {
		put(0, 8);
		put(0, 8);
	}
	return at;
}

static void special(uint32_t at, uint8_t id, uint16_t function)
{
	put(72, 1);
	put(0, 3);
	put(id, 1);
	put(function, 2);
	put(1, 1);
	set16(at + 2, (uint16_t)(size - at));
}

static void ivmd(uint8_t type, uint8_t flags, uint16_t from, uint16_t to, uint64_t base,
		 uint64_t bytes)
{
	put(type, 1);
	put(flags, 1);
	put(32, 2);
	put(from, 2);
	put(to, 2);
	put(0, 8);
	put(base, 8);
	put(bytes, 8);
}

static void ivrs_typical(void)
{
	uint32_t at;

	begin(0);
	at = ivhd(0x10, 0x10, 0, 0xfed80000);
	put(1, 4);			/* all */
	special(at, IOAPIC_ID + 1, 0x00);
	special(at, IOAPIC_ID, 0xa0);
	at = ivhd(0x40, 0x10, 0, 0xfed80000);
	/* a device that ACPI names, with four bytes of that */
	put(240, 1);
	size += 20;
	put(4, 1);
	size += 4;
	set16(at + 2, (uint16_t)(size - at));
	ivmd(0x22, 0x7, 0x100, 0x1ff, 0x7c000000, 0x2000);
	ivmd(0x21, 0x3, 0x98, 0, 0x7d000000, 0x1000);
	ivmd(0x20, 0x8, 0, 0, 0x7e000000, 0x1000);
	ivmd(0x20, 0x6, 0, 0, 0x7f000000, 0x1000);	/* neither kind */
}

static void ivrs_is_read(void **state)
{
	(void)state;
	ivrs_typical();
	assert_null(ivrs());
	assert_int_equal(out.kind, BOOT_IOMMU_AMD);
	assert_int_equal(out.flags, BOOT_IOMMUS_INTERRUPTS);
	/* two forms of one unit */
	assert_int_equal(out.unit_count, 1);
	assert_int_equal(out.units[0].base, 0xfed80000);
	assert_int_equal(out.units[0].function, 0x10);
	assert_int_equal(out.units[0].settings, 0xb02);
	assert_int_equal(out.ioapic_unit, 0);
	assert_int_equal(out.ioapic_function, 0xa0);
	assert_int_equal(out.reserved_count, 3);
	assert_int_equal(out.reserved[0].first, 0x100);
	assert_int_equal(out.reserved[0].last, 0x1ff);
	assert_int_equal(out.reserved[0].flags, BOOT_MAP_WRITE);
	assert_int_equal(out.reserved[1].first, 0x98);
	assert_int_equal(out.reserved[1].last, 0x98);
	assert_int_equal(out.reserved[1].flags, 0);
	assert_int_equal(out.reserved[2].first, 0);
	assert_int_equal(out.reserved[2].last, 0xffff);
	assert_int_equal(out.reserved[2].flags, BOOT_MAP_WRITE);
}

static void ivrs_is_refused(void **state)
{
	uint32_t whole;

	(void)state;
	ivrs_typical();
	whole = size;
	for (size = 0; size < whole; size++) {
		const char *wrong = ivrs();
		bool between = size == 48 || size == 48 + 44 || size == 48 + 44 + 66 ||
			       (size > 48 + 44 + 66 && (size - 48 - 44 - 66) % 32 == 0);

		assert_true((wrong == NULL) == between);
	}
	size = whole;
	table[48 + 24] = 255;		/* a device entry that nobody knows */
	assert_non_null(strstr(ivrs(), "malformed"));
	begin(0);
	ivhd(0x11, 0x10, 0, 0xfed80001);
	assert_non_null(strstr(ivrs(), "where none can be"));
	begin(0);
	ivmd(0x20, 0x7, 0, 0, 0x1000, 0x800);
	assert_non_null(strstr(ivrs(), "a range that is none"));
	begin(0);
	for (unsigned i = 0; i <= BOOT_MAX_IOMMUS; i++) {
		ivhd(0x10, (uint16_t)(8 * i), 1, 0xfed00000 + i * 0x4000);
	}
	assert_non_null(strstr(ivrs(), "more units"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(dmar_is_read),
		cmocka_unit_test(dmar_is_refused),
		cmocka_unit_test(ivrs_is_read),
		cmocka_unit_test(ivrs_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
