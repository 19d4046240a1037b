/* SPDX-License-Identifier: MIT */
/* bzImage checks, placing, boot parameters, ACPI tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/guest/linux_acpi.h"
#include "host-bridge/guest/linux_image.h"
#include "host_bzimage.h"

static uint8_t *file;
static uint8_t low[LINUX_LOW_END - LINUX_LOW_GPA];

static void put(unsigned at, uint64_t value, unsigned bytes)
{
	bzimage_put(file, at, value, bytes);
}

static uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

static int setup(void **state)
{
	(void)state;
	file = calloc(1, FILE_SIZE);
	bzimage_make(file);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(file);
	return 0;
}

static void good_image(void **state)
{
	struct linux_image image;

	(void)state;
	assert_null(linux_image_parse(file, FILE_SIZE, &image));
	assert_int_equal(image.kernel_offset, 2048);
	assert_int_equal(image.kernel_size, KERNEL_SIZE);
	assert_int_equal(image.pref_address, 16 * MIB);
	assert_int_equal(image.init_size, 24 * MIB);
	assert_int_equal(image.initrd_max, 0x80000000u);
	assert_true(image.relocatable);
	file[0x1f1] = 0;		/* means 4 sectors: 512 bytes short */
	assert_non_null(linux_image_parse(file, FILE_SIZE, &image));
}

/* Each length shorter than the header says, and each broken field. */
static void bad_images(void **state)
{
	static const struct {
		unsigned at, bytes;
		uint64_t value;
		const char *what;
	} cases[] = {
		{ 0x1fe, 2, 0, "bzImage" },
		{ 0x202, 1, 'x', "bzImage" },
		{ 0x206, 2, 0x20b, "2.12" },
		{ 0x236, 2, 0, "64-bit" },
		{ 0x211, 1, 0, "zImage" },
		{ 0x201, 1, 0x10, "length" },
		{ 0x201, 1, 0xff, "length" },
		{ 0x1f4, 4, 0xffffffff, "truncated" },
		{ 0x1f4, 4, 0, "truncated" },
		{ 0x230, 4, 0, "alignment" },
		{ 0x230, 4, 3, "alignment" },
		{ 0x260, 4, 100, "init_size" },
	};
	struct linux_image image;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong;

		setup(state);
		put(cases[i].at, cases[i].value, cases[i].bytes);
		wrong = linux_image_parse(file, FILE_SIZE, &image);
		assert_non_null(wrong);
		assert_non_null(strstr(wrong, cases[i].what));
		teardown(state);
	}
	setup(state);
	for (size_t size = 0; size < FILE_SIZE - 15; size++) {
		uint8_t *cut = malloc(size ? size : 1);

		memcpy(cut, file, size);
		assert_non_null(linux_image_parse(cut, size, &image));
		free(cut);
	}
}

static void placing(void **state)
{
	struct linux_image image;
	struct linux_layout at = { .ram = 256 * MIB, .initrd_size = 5 * MIB };

	(void)state;
	assert_null(linux_image_parse(file, FILE_SIZE, &image));
	assert_null(linux_image_place(&image, &at));
	assert_int_equal(at.kernel_gpa, 16 * MIB);
	assert_int_equal(at.entry, 16 * MIB + 0x200);
	assert_int_equal(at.initrd_gpa, 250 * MIB);
	/* Odd sizes of memory: the initrd still ends inside. */
	at.ram = 64 * MIB + 4096;
	assert_null(linux_image_place(&image, &at));
	assert_int_equal(at.initrd_gpa, 58 * MIB);
	/* No room at the preferred address: moved, aligned. */
	at = (struct linux_layout){ .ram = 32 * MIB };
	assert_null(linux_image_place(&image, &at));
	assert_int_equal(at.kernel_gpa, 2 * MIB);
	image.relocatable = false;
	assert_non_null(linux_image_place(&image, &at));
	image.relocatable = true;
	at.ram = 25 * MIB;
	assert_non_null(linux_image_place(&image, &at));
	at = (struct linux_layout){ .ram = 44 * MIB, .initrd_size = 5 * MIB };
	assert_non_null(linux_image_place(&image, &at));
	/* Initrd below its limit, and below the MMIO window. */
	at = (struct linux_layout){ .ram = 8192 * MIB, .initrd_size = MIB };
	assert_null(linux_image_place(&image, &at));
	assert_int_equal(at.initrd_gpa, 0x80000000u - 2 * MIB);
	image.initrd_max = 1ull << 32;
	assert_null(linux_image_place(&image, &at));
	assert_int_equal(at.initrd_gpa, LINUX_MMIO_GPA - 2 * MIB);
	at.initrd_size = ~0ull;
	assert_non_null(linux_image_place(&image, &at));
}

static void check_e820(const uint8_t *params, unsigned i, uint64_t start,
		       uint64_t size, uint32_t type)
{
	const uint8_t *entry = params + 0x2d0 + i * 20;

	assert_int_equal(get(entry, 8), start);
	assert_int_equal(get(entry + 8, 8), size);
	assert_int_equal(get(entry + 16, 4), type);
}

static void boot_parameters(void **state)
{
	struct linux_layout at = { .ram = 5120 * MIB, .initrd_size = MIB };
	const uint8_t *params = low + LINUX_BOOT_PARAMS_GPA - LINUX_LOW_GPA;
	const uint8_t *pd = low + LINUX_PML4_GPA + 0x2000 - LINUX_LOW_GPA;
	struct linux_image image;

	(void)state;
	file[0x1ef] = 0xff;		/* sentinel: must not be copied */
	assert_null(linux_image_parse(file, FILE_SIZE, &image));
	assert_null(linux_image_place(&image, &at));
	memset(low, 0, sizeof(low));
	assert_null(linux_image_low(low, &image, &at, "console=ttyS0"));
	assert_int_equal(params[0x1ef], 0);
	assert_int_equal(params[0x210], 0xff);
	assert_int_equal(get(params + 0x218, 4), at.initrd_gpa);
	assert_int_equal(get(params + 0x21c, 4), MIB);
	assert_int_equal(get(params + 0x228, 4), LINUX_CMDLINE_GPA);
	assert_int_equal(get(params + 0x70, 8), LINUX_ACPI_GPA);
	assert_int_equal(get(params + 0x258, 8), 16 * MIB);
	assert_int_equal(params[0x1e8], 4);
	check_e820(params, 0, 0, 0x9f000, 1);
	check_e820(params, 1, 0xa0000, 0x60000, 2);
	check_e820(params, 2, MIB, LINUX_MMIO_GPA - MIB, 1);
	check_e820(params, 3, 1ull << 32, 5120 * MIB - LINUX_MMIO_GPA, 1);
	assert_string_equal((char *)low + LINUX_CMDLINE_GPA - LINUX_LOW_GPA,
			    "console=ttyS0");
	assert_int_equal(get(low + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(get(pd + 1000 * 8, 8), 1000 * 2 * MIB | 0xe3);
}

static void command_line_limits(void **state)
{
	struct linux_layout at = { .ram = 256 * MIB };
	struct linux_image image;
	char text[4200];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_null(linux_image_parse(file, FILE_SIZE, &image));
	assert_null(linux_image_place(&image, &at));
	text[2047] = '\0';
	assert_null(linux_image_low(low, &image, &at, text));
	text[2047] = 'a';
	text[2048] = '\0';
	assert_non_null(linux_image_low(low, &image, &at, text));
	image.cmdline_max = 100000;
	text[2048] = 'a';
	text[4096] = '\0';
	assert_non_null(linux_image_low(low, &image, &at, text));
}

/* At F000:FFF0 stands 16-bit code that writes the FADT's reset register. */
static void reset_vector(void **state)
{
	static const uint8_t want[16] = {
		0xba, 0x00, 0x06, 0xb0, 0x06, 0xee, 0xf4, 0xeb, 0xfd,
	};
	uint8_t page[4096] = { 0 };

	(void)state;
	assert_int_equal(LINUX_BIOS_GPA + 0xff0, 0xffff0);
	linux_image_bios(page);
	assert_memory_equal(page + 0xff0, want, sizeof(want));
	for (size_t i = 0; i < 0xff0; i++) {
		assert_int_equal(page[i], 0);
	}
}

static uint8_t sum(const uint8_t *at, size_t len)
{
	uint8_t total = 0;

	while (len-- > 0) {
		total = (uint8_t)(total + *at++);
	}
	return total;
}

static const uint8_t *table(const uint8_t *area, uint64_t gpa,
			    const char *signature)
{
	const uint8_t *at = area + (gpa - LINUX_ACPI_GPA);

	assert_memory_equal(at, signature, 4);
	assert_int_equal(sum(at, get(at + 4, 4)), 0);
	return at;
}

static void acpi_tables(void **state)
{
	static uint8_t area[LINUX_ACPI_SIZE];
	uint8_t dsdt[64] = "DSDT\100";
	const uint8_t *xsdt, *fadt, *madt;

	(void)state;
	dsdt[9] = (uint8_t)-sum(dsdt, sizeof(dsdt));
	assert_true(linux_acpi_build(area, sizeof(area), LINUX_ACPI_GPA, 3,
				     dsdt, sizeof(dsdt)) > 0);
	assert_memory_equal(area, "RSD PTR ", 8);
	assert_int_equal(sum(area, 20), 0);
	assert_int_equal(sum(area, 36), 0);
	xsdt = table(area, get(area + 24, 8), "XSDT");
	fadt = table(area, get(xsdt + 36, 8), "FACP");
	madt = table(area, get(xsdt + 44, 8), "APIC");
	assert_int_equal(get(fadt + 112, 4), 1u << 10 | 1u << 12 | 1u << 20);
	assert_int_equal(get(fadt + 120, 8), 0x600);
	assert_int_equal(fadt[128], 6);
	assert_int_equal(get(fadt + 248, 8), 0x604);
	assert_int_equal(get(fadt + 260, 8), 0x608);
	table(area, get(fadt + 140, 8), "DSDT");
	assert_int_equal(get(madt + 4, 4), 44 + 3 * 8);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(madt[44 + i * 8 + 3], i);
	}
	assert_int_equal(linux_acpi_build(area, 590, LINUX_ACPI_GPA, 3, dsdt,
					  sizeof(dsdt)), 0);
	assert_int_equal(linux_acpi_build(area, sizeof(area), LINUX_ACPI_GPA,
					  0, dsdt, sizeof(dsdt)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_image, setup, teardown),
		cmocka_unit_test_teardown(bad_images, teardown),
		cmocka_unit_test_setup_teardown(placing, setup, teardown),
		cmocka_unit_test_setup_teardown(boot_parameters, setup,
						teardown),
		cmocka_unit_test_setup_teardown(command_line_limits, setup,
						teardown),
		cmocka_unit_test(reset_vector),
		cmocka_unit_test(acpi_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
