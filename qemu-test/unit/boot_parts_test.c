/* SPDX-License-Identifier: MIT */
/*
 * The loader's other pure parts: ELF, memory map, ACPI tables, SHA-256,
 * virtualization verdict, page tables, message formatting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/acpi.h"
#include "boot/elf.h"
#include "text/fmt.h"
#include "boot/memmap.h"
#include "boot/paging.h"
#include "boot/virt.h"
#include "proto/sha256.h"

static void put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* ---- fmt ---- */

static void fmt_prints_and_bounds(void **state)
{
	char b[32];

	(void)state;
	fmt(b, sizeof(b), "%s %u 0x%x %lu %lx", "a\033b", 0u, 0xbeefu, ~0ul, 1ul << 63);
	assert_string_equal(b, "a?b 0 0xbeef 184467440737095516");
	assert_int_equal(fmt(b, 4, "%s", "abcdef"), 3);
	assert_string_equal(b, "abc");
}

/* ---- SHA-256: the standard's own examples, and every split ---- */

static void digest_is(const char *text, const uint8_t digest[32])
{
	char hex[65];

	for (unsigned i = 0; i < 32; i++) {
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	}
	assert_string_equal(hex, text);
}

static void sha256_matches_the_standard(void **state)
{
	struct sha256 s;
	uint8_t d[32], whole[32], data[300];

	(void)state;
	sha256_init(&s);
	sha256_end(&s, d);
	digest_is("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", d);
	sha256_init(&s);
	sha256_add(&s, "abc", 3);
	sha256_end(&s, d);
	digest_is("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", d);
	sha256_init(&s);
	memset(data, 'a', 250);
	for (unsigned i = 0; i < 4000; i++) {
		sha256_add(&s, data, 250);
	}
	sha256_end(&s, d);
	digest_is("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", d);
	for (unsigned i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i * 7);
	}
	sha256_init(&s);
	sha256_add(&s, data, sizeof(data));
	sha256_end(&s, whole);
	for (unsigned cut = 0; cut <= sizeof(data); cut++) {
		sha256_init(&s);
		sha256_add(&s, data, cut);
		sha256_add(&s, data + cut, sizeof(data) - cut);
		sha256_end(&s, d);
		assert_memory_equal(d, whole, sizeof(d));
	}
}

/* ---- ELF ---- */

#define LOW	0x200000ull
#define HIGH	0x300000ull
#define ELF_SIZE 256u

/* One executable segment: the file's last 16 bytes at LOW + 0x1000, with as
 * many zeros behind it. */
static void elf_make(uint8_t *f)
{
	static const uint8_t ident[] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };

	memset(f, 0, ELF_SIZE);
	memcpy(f, ident, sizeof(ident));
	put16(f + 16, 2);
	put16(f + 18, 62);
	put64(f + 24, LOW + 0x1004);
	put64(f + 32, 64);
	put16(f + 54, 56);
	put16(f + 56, 1);
	put32(f + 64, 1);
	put32(f + 68, 5);
	put64(f + 72, ELF_SIZE - 16);
	put64(f + 80, LOW + 0x1000);
	put64(f + 96, 16);
	put64(f + 104, 32);
	memset(f + ELF_SIZE - 16, 0x90, 16);
}

static void elf_loads(void **state)
{
	static uint8_t memory[0x2000];
	struct elf_image image;
	uint8_t f[ELF_SIZE];

	(void)state;
	elf_make(f);
	assert_null(elf_check(f, sizeof(f), LOW, HIGH, &image));
	assert_int_equal(image.end, LOW + 0x1020);
	assert_int_equal(image.filled, LOW + 0x1010);
	assert_int_equal(image.entry, LOW + 0x1004);
	elf_load(f, LOW, memory);
	assert_int_equal(memory[0x100f], 0x90);
	assert_int_equal(memory[0x1010], 0);
}

static void elf_refuses(void **state)
{
	static const struct {
		unsigned at, width;
		uint64_t value;
	} spoil[] = {
		{ 0, 2, 0x4d5a },			/* no ELF */
		{ 4, 1, 1 },				/* 32 bits */
		{ 16, 2, 3 },				/* position independent */
		{ 18, 2, 183 },				/* another processor */
		{ 24, 8, LOW + 0x1010 },		/* entry in the zeros */
		{ 24, 8, 0 },
		{ 32, 8, ~0ull },			/* headers outside */
		{ 32, 8, ELF_SIZE - 55 },
		{ 54, 2, 32 },
		{ 56, 2, 0 },
		{ 56, 2, 33 },
		{ 64, 4, 2 },				/* dynamic */
		{ 68, 4, 4 },				/* not executable */
		{ 72, 8, ELF_SIZE - 15 },		/* segment outside */
		{ 72, 8, ~0ull - 7 },
		{ 80, 8, LOW - 1 },			/* address outside */
		{ 80, 8, HIGH - 31 },
		{ 80, 8, ~0ull },
		{ 104, 8, 15 },				/* file > memory */
		{ 104, 8, ~0ull },			/* wraps around */
		{ 104, 8, HIGH - LOW },
	};
	struct elf_image image;
	uint8_t f[ELF_SIZE];

	(void)state;
	for (unsigned i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
		elf_make(f);
		memcpy(f + spoil[i].at, &spoil[i].value, spoil[i].width);
		if (elf_check(f, sizeof(f), LOW, HIGH, &image) == NULL) {
			fail_msg("change %u was accepted", i);
		}
	}
	elf_make(f);
	for (unsigned size = 0; size < sizeof(f); size++) {
		uint8_t *cut = malloc(size + 1);

		memcpy(cut, f, size);
		assert_non_null(elf_check(cut, size, LOW, HIGH, &image));
		free(cut);
	}
}

/* What only the other headers have wrong, in a file that is large enough. */
static void elf_refuses_more_headers(void **state)
{
	struct elf_image image;
	uint8_t f[2048] = { 0 };

	(void)state;
	elf_make(f);
	put16(f + 56, 32);
	assert_null(elf_check(f, sizeof(f), LOW, HIGH, &image));
	put16(f + 56, 33);
	assert_non_null(elf_check(f, sizeof(f), LOW, HIGH, &image));
	put16(f + 56, 2);
	put32(f + 120, 2);
	assert_string_equal(elf_check(f, sizeof(f), LOW, HIGH, &image),
			    "it is dynamically linked");
}

static void elf_segments_must_not_overlap(void **state)
{
	struct elf_image image;
	uint8_t f[ELF_SIZE];

	(void)state;
	elf_make(f);
	put16(f + 56, 2);
	memcpy(f + 120, f + 64, 56);
	put64(f + 120 + 16, LOW + 0x101f);
	assert_non_null(elf_check(f, sizeof(f), LOW, HIGH, &image));
	put64(f + 120 + 16, LOW + 0x1020);
	assert_null(elf_check(f, sizeof(f), LOW, HIGH, &image));
}

/* ---- memory map ---- */

struct descriptor {
	uint32_t type, pad;
	uint64_t physical, virtual, pages, attribute;
};

static struct memmap map;

static bool map_from(const struct descriptor *d, unsigned count)
{
	map.inputs = 0;
	return memmap_add_efi(&map, d, count * sizeof(*d), sizeof(*d));
}

static void entry_is(unsigned i, uint64_t base, uint64_t end, uint32_t type)
{
	assert_true(i < map.count);
	assert_int_equal(map.mem[i].base, base);
	assert_int_equal(map.mem[i].base + map.mem[i].size, end);
	assert_int_equal(map.mem[i].type, type);
}

static void memmap_sorts_and_merges(void **state)
{
	static const struct descriptor d[] = {
		{ 7, 0, 0x300000, 0, 0x100, 0 },	/* conventional, out of order */
		{ 4, 0, 0x100000, 0, 0x100, 0 },	/* boot services */
		{ 2, 0, 0x200000, 0, 0x100, 0 },	/* ours */
		{ 7, 0, 0x500000, 0, 0, 0 },		/* empty */
		{ 9, 0, 0x340000, 0, 1, 0 },		/* ACPI, inside free memory */
		{ 11, 0, 0x350000, 0, 1, 0 },		/* device, the same */
		{ 7, 0, MEMMAP_LIMIT - 4096, 0, 2, 0 },	/* reaches past the limit */
		{ 7, 0, MEMMAP_LIMIT + 4096, 0, 2, 0 },
	};

	(void)state;
	assert_true(map_from(d, sizeof(d) / sizeof(d[0])));
	assert_true(memmap_add(&map, 0x240000, 0x2000, BOOT_MEM_PARTITION));
	assert_true(memmap_make(&map));
	assert_int_equal(map.count, 7);
	entry_is(0, 0x100000, 0x240000, BOOT_MEM_FREE);
	entry_is(1, 0x240000, 0x242000, BOOT_MEM_PARTITION);
	entry_is(2, 0x242000, 0x340000, BOOT_MEM_FREE);
	entry_is(3, 0x340000, 0x341000, BOOT_MEM_FIRMWARE);
	entry_is(4, 0x341000, 0x350000, BOOT_MEM_FREE);
	entry_is(5, 0x351000, 0x400000, BOOT_MEM_FREE);
	entry_is(6, MEMMAP_LIMIT - 4096, MEMMAP_LIMIT, BOOT_MEM_FREE);
	assert_int_equal(memmap_total(&map, BOOT_MEM_PARTITION), 0x2000);
	assert_int_equal(memmap_total(&map, BOOT_MEM_FIRMWARE), 0x1000);
	assert_int_equal(memmap_total(&map, 0), 0x300000 - 0x2000 + 0x1000);
	assert_true(memmap_overlaps(&map, 0x34f000, 0x351000));
	assert_false(memmap_overlaps(&map, 0x350000, 0x351000));
}

static void memmap_rounds_to_pages(void **state)
{
	(void)state;
	map.inputs = 0;
	assert_true(memmap_add(&map, 0x1001, 0x2fff, BOOT_MEM_FREE));
	assert_true(memmap_add(&map, 0x8001, 1, BOOT_MEM_FIRMWARE));
	/* whoever comes last, less is free */
	assert_true(memmap_add(&map, 0x7000, 0x3000, BOOT_MEM_FREE));
	assert_true(memmap_make(&map));
	entry_is(0, 0x2000, 0x4000, BOOT_MEM_FREE);
	entry_is(1, 0x7000, 0x8000, BOOT_MEM_FREE);
	entry_is(2, 0x8000, 0x9000, BOOT_MEM_FIRMWARE);
	entry_is(3, 0x9000, 0xa000, BOOT_MEM_FREE);
}

static void memmap_refuses_absurdity(void **state)
{
	static const struct descriptor wraps = { 7, 0, ~0ull << 12, 0, 2, 0 };
	static const struct descriptor huge = { 7, 0, 0, 0, 1ull << 52, 0 };
	static struct descriptor many[MEMMAP_MAX_INPUT + 1];

	(void)state;
	assert_false(map_from(&wraps, 1));
	assert_false(map_from(&huge, 1));
	map.inputs = 0;
	assert_false(memmap_add_efi(&map, &huge, sizeof(huge), sizeof(huge) - 1));
	assert_false(memmap_add_efi(&map, &huge, sizeof(huge), sizeof(huge) + 1));
	/* half a descriptor each */
	assert_false(memmap_add_efi(&map, many, sizeof(*many), sizeof(*many) / 2));
	for (unsigned i = 0; i < MEMMAP_MAX_INPUT + 1; i++) {
		many[i] = (struct descriptor) { 7, 0, i * 0x2000ull, 0, 1, 0 };
	}
	assert_false(map_from(many, MEMMAP_MAX_INPUT + 1));
	assert_true(map_from(many, BOOT_MAX_MEM + 1));
	assert_false(memmap_make(&map));
	assert_true(map_from(many, BOOT_MAX_MEM));
	assert_true(memmap_make(&map));
	assert_int_equal(map.count, BOOT_MAX_MEM);
}

/* ---- ACPI ---- */

static uint32_t madt_make(uint8_t *t)
{
	static const uint8_t entries[] = {
		0, 8, 0, 0, 1, 0, 0, 0,				/* CPU 0 */
		0, 8, 1, 2, 1, 0, 0, 0,				/* CPU 2 */
		0, 8, 2, 4, 0, 0, 0, 0,				/* disabled */
		9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, /* x2APIC 256 */
		0, 8, 9, 2, 1, 0, 0, 0,				/* CPU 2 again */
		1, 12, 0, 0, 0, 0, 0xc1, 0xfe, 24, 0, 0, 0,	/* GSI 24 on */
		1, 12, 0, 0, 0, 0, 0xc2, 0xfe, 0, 0, 0, 0,	/* GSI 0 on */
		0x7f, 3, 0,					/* unknown */
		5, 12, 0, 0, 0, 0, 0xe1, 0xfe, 1, 0, 0, 0,	/* LAPIC, 64 bits */
	};

	memset(t, 0, 44);
	put32(t + 36, 0xfee00000);
	memcpy(t + 44, entries, sizeof(entries));
	return 44 + sizeof(entries);
}

static void madt_is_read(void **state)
{
	struct acpi_machine machine;
	uint8_t t[256];
	uint32_t size = madt_make(t);

	(void)state;
	acpi_init(&machine);
	assert_true(acpi_madt(t, size, &machine));
	assert_int_equal(machine.cpu_count, 3);
	assert_int_equal(machine.apic_id[1], 2);
	assert_int_equal(machine.apic_id[2], 256);
	assert_int_equal(machine.ioapic, 0xfec20000);
	assert_int_equal(machine.lapic, 0x1fee10000);
	for (uint32_t cut = 0; cut < size; cut++) {
		uint8_t *exact = malloc(cut + 1);

		memcpy(exact, t, cut);
		acpi_init(&machine);
		acpi_madt(exact, cut, &machine);
		free(exact);
	}
	t[45] = 0;				/* an entry of no length */
	acpi_init(&machine);
	assert_false(acpi_madt(t, size, &machine));
}

static void mcfg_names_windows(void **state)
{
	static const struct {
		uint64_t base;
		uint8_t segment, first, last;
	} entries[] = {
		{ 0xe0000000, 0, 0, 0xff },
		{ 0, 1, 0, 0xff },			/* nowhere */
		{ 0xd0000800, 1, 0, 0xff },		/* no window starts there */
		{ 0x4000000000, 1, 0x80, 0x7f },	/* no bus */
		{ 0xb0000000, 0, 0x10, 0x20 },		/* there already */
		{ 1ull << 52, 3, 0, 0 },		/* no address */
		{ 0x4000000000, 1, 0x40, 0x7f },
		{ 0xc0000000, 2, 0, 0 },		/* one too many */
	};
	const unsigned count = sizeof(entries) / sizeof(entries[0]);
	uint8_t t[44 + 16 * 8] = { 0 };
	struct boot_ecam ecam[2];

	(void)state;
	for (unsigned i = 0; i < count; i++) {
		put64(t + 44 + 16 * i, entries[i].base);
		put16(t + 52 + 16 * i, entries[i].segment);
		t[54 + 16 * i] = entries[i].first;
		t[55 + 16 * i] = entries[i].last;
	}
	assert_int_equal(acpi_mcfg(t, sizeof(t), ecam, 2), 2);
	assert_int_equal(ecam[0].base, 0xe0000000);
	assert_int_equal(ecam[0].bus_last, 0xff);
	assert_int_equal(ecam[1].base, 0x4000000000);
	assert_int_equal(ecam[1].segment, 1);
	assert_int_equal(ecam[1].bus_first, 0x40);
	/* an entry that is cut off is none */
	assert_int_equal(acpi_mcfg(t, 44 + 15, ecam, 2), 0);
	assert_int_equal(acpi_mcfg(t, 0, ecam, 2), 0);
}

static void cpus_are_capped(void **state)
{
	struct acpi_machine machine;

	(void)state;
	acpi_init(&machine);
	for (uint32_t i = 0; i < BOOT_MAX_CPUS + 3; i++) {
		acpi_add_cpu(&machine, i);
	}
	assert_int_equal(machine.cpu_count, BOOT_MAX_CPUS);
	assert_int_equal(machine.cpus_left_out, 3);
}

static void checksum_fix(uint8_t *p, uint32_t size, uint32_t at)
{
	uint8_t sum = 0;

	p[at] = 0;
	for (uint32_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + p[i]);
	}
	p[at] = (uint8_t)-sum;
}

static void tables_are_found(void **state)
{
	uint8_t rsdp[36] = "RSD PTR ", xsdt[52] = "XSDT", fadt[116] = "FACP", other[36] = "OEM0";
	uint32_t size;

	(void)state;
	put32(other + 4, sizeof(other));
	checksum_fix(other, sizeof(other), 9);
	put32(fadt + 4, sizeof(fadt));
	put32(fadt + 76, 0x608);
	fadt[91] = 4;
	checksum_fix(fadt, sizeof(fadt), 9);
	put32(xsdt + 4, sizeof(xsdt));
	put64(xsdt + 36, (uintptr_t)other);
	put64(xsdt + 44, (uintptr_t)fadt);
	checksum_fix(xsdt, sizeof(xsdt), 9);
	rsdp[15] = 2;
	put64(rsdp + 24, (uintptr_t)xsdt);
	checksum_fix(rsdp, 20, 8);
	assert_ptr_equal(acpi_find((uintptr_t)rsdp, "FACP", &size), fadt);
	assert_int_equal(acpi_pm_timer(fadt, size), 0x608);
	assert_null(acpi_find((uintptr_t)rsdp, "APIC", &size));
	put32(fadt + 112, 1u << 20);		/* hardware-reduced; bad sum */
	assert_int_equal(acpi_pm_timer(fadt, sizeof(fadt)), 0);
	assert_null(acpi_find((uintptr_t)rsdp, "FACP", &size));
	rsdp[0] = 'X';
	assert_null(acpi_find((uintptr_t)rsdp, "FACP", &size));
	assert_null(acpi_find(0, "FACP", &size));
}

/* ---- virtualization ---- */

static void verdicts(void **state)
{
	static const struct virt_raw intel = {
		.leaf1_ecx = 1u << 5 | 1u << 26, .leaf80000001_edx = 1u << 20,
		.pinbased = 1ull << 38, .procbased = 1ull << 63,
		.procbased2 = 1ull << 33 | 1ull << 39,
		.ept_vpid_cap = 1ull << 6 | 1ull << 14 | 1ull << 16 | 1ull << 20 };
	static const struct virt_raw amd = { .leaf1_ecx = 1u << 26, .leaf80000001_ecx = 1u << 2,
		.leaf80000001_edx = 1u << 20, .leaf8000000a_edx = 1 };
	struct virt_raw raw = intel;

	(void)state;
	assert_null(virt_check(&intel));
	assert_null(virt_check(&amd));
	raw.feature_control = 1;
	assert_non_null(strstr(virt_check(&raw), "locked off"));
	raw.feature_control = 5;
	assert_null(virt_check(&raw));
	raw.procbased2 = 1ull << 39;
	assert_non_null(strstr(virt_check(&raw), "no EPT"));
	raw.procbased2 = 1ull << 33;
	assert_non_null(strstr(virt_check(&raw), "no unrestricted guest"));
	raw = intel;
	raw.ept_vpid_cap &= ~(1ull << 16);
	assert_non_null(strstr(virt_check(&raw), "2 MiB"));
	raw = intel;
	raw.pinbased = 0;
	assert_non_null(strstr(virt_check(&raw), "preemption timer"));
	raw = intel;
	raw.cr4 = 1u << 12;
	assert_non_null(strstr(virt_check(&raw), "5-level"));
	raw = intel;
	raw.leaf1_ecx = 1u << 26;
	assert_non_null(strstr(virt_check(&raw), "no VT-x"));
	raw = amd;
	raw.vm_cr = 1u << 4;
	assert_non_null(strstr(virt_check(&raw), "AMD-V is locked off"));
	raw = amd;
	raw.leaf8000000a_edx = 0;
	assert_non_null(strstr(virt_check(&raw), "nested paging"));
	raw = amd;
	raw.leaf1_ecx = 0;
	assert_non_null(strstr(virt_check(&raw), "no XSAVE"));
	/* a processor needs no XSAVEOPT, QEMU's emulation does */
	raw = amd;
	raw.tcg = true;
	assert_non_null(strstr(virt_check(&raw), "+xsaveopt"));
	raw.leafd1_eax = 1;
	assert_null(virt_check(&raw));
}

/* ---- page tables ---- */

static void tables_map_what_they_should(void **state)
{
	static uint64_t t[(PAGING_TABLES(2) + 2) * 512];
	const uint64_t at = 0x10000;
	uint64_t *high = t + PAGING_TABLES(2) * 512;

	(void)state;
	memset(t, 0xff, sizeof(t));
	paging_identity(t, at, 2);
	paging_map_image(t, high, at + 4 * 4096, 0x40000000, 4u << 20);
	assert_int_equal(t[0], (at + 4096) | 3);
	assert_int_equal(t[511], (at + 4 * 4096) | 3);
	assert_int_equal(t[512 + 1], (at + 3 * 4096) | 3);
	assert_int_equal(t[512 + 2], 0);
	assert_int_equal(t[2 * 512 + 1023], (1023ull << 21) | 0x83);
	assert_int_equal(high[510], (at + 5 * 4096) | 3);
	assert_int_equal(high[512 + 1], 0x40200083);
	assert_int_equal(high[512 + 2], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fmt_prints_and_bounds),
		cmocka_unit_test(sha256_matches_the_standard),
		cmocka_unit_test(elf_loads), cmocka_unit_test(elf_refuses),
		cmocka_unit_test(elf_refuses_more_headers),
		cmocka_unit_test(elf_segments_must_not_overlap),
		cmocka_unit_test(memmap_sorts_and_merges),
		cmocka_unit_test(memmap_rounds_to_pages),
		cmocka_unit_test(memmap_refuses_absurdity),
		cmocka_unit_test(madt_is_read), cmocka_unit_test(mcfg_names_windows),
		cmocka_unit_test(cpus_are_capped),
		cmocka_unit_test(tables_are_found), cmocka_unit_test(verdicts),
		cmocka_unit_test(tables_map_what_they_should),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
