/* SPDX-License-Identifier: MIT */
/*
 * Files read into memory, and the host partition's memory made of them: nothing
 * of what the firmware left there is in what the partition gets, and no file
 * that is not the one meant. The firmware is the test's: its memory is full of
 * 0xaa.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/loader.h"
#include "proto/sha256.h"

#define DIRTY	0xaa

EFI_HANDLE efi_image;
EFI_SYSTEM_TABLE *efi_st;
EFI_BOOT_SERVICES *efi_bs;

static const uint8_t *file;		/* what the boot volume holds .. */
static uint64_t file_size, file_told;	/* .. and says that it holds */
static uint64_t file_at;
static jmp_buf failed;
static char said[200];
static void *given[16];
static unsigned gifts;
static struct boot_info info;
static struct manifest manifest;
static uint8_t box[BOX_HOST_SIZE];
struct module box_module = { box, sizeof(box) };

void console_write(const char *text)
{
	(void)text;
}

void console_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
	longjmp(failed, 1);
}

/* One page more, which nobody may touch. */
void *memory_alloc(uint64_t size, uint64_t align, uint32_t type, const char *what)
{
	uint64_t room = round_up(size, PAGE_SIZE);
	void *p = aligned_alloc(align, round_up(room + PAGE_SIZE, align));

	(void)what;
	assert_int_equal(type, BOOT_MEM_PARTITION);
	assert_non_null(p);
	assert_true(gifts < sizeof(given) / sizeof(given[0]));
	given[gifts++] = p;
	return memset(p, DIRTY, room + PAGE_SIZE);
}

static EFI_STATUS EFIAPI file_open(EFI_FILE_HANDLE at, EFI_FILE_HANDLE *out, CHAR16 *name,
				   UINT64 mode, UINT64 attributes)
{
	assert_int_equal(name[0], '\\');
	assert_int_equal(mode, EFI_FILE_MODE_READ);
	assert_int_equal(attributes, 0);
	*out = at;
	file_at = 0;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI file_info(EFI_FILE_HANDLE at, EFI_GUID *type, UINTN *size, void *out)
{
	EFI_FILE_INFO *i = out;

	(void)at;
	(void)type;
	assert_true(*size >= sizeof(*i));
	memset(i, 0, sizeof(*i));
	i->FileSize = file_told;
	return EFI_SUCCESS;
}

/* Half of what is asked, at least a byte. */
static EFI_STATUS EFIAPI file_read(EFI_FILE_HANDLE at, UINTN *size, void *out)
{
	UINTN n = (*size + 1) / 2;

	(void)at;
	n = n < file_size - file_at ? n : file_size - file_at;
	memcpy(out, file + file_at, n);
	file_at += n;
	*size = n;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI file_close(EFI_FILE_HANDLE at)
{
	(void)at;
	return EFI_SUCCESS;
}

static EFI_FILE root = { .Open = file_open, .GetInfo = file_info,
			 .Read = file_read, .Close = file_close };

static EFI_STATUS EFIAPI volume_open(EFI_FILE_IO_INTERFACE *volume, EFI_FILE_HANDLE *out)
{
	(void)volume;
	*out = &root;
	return EFI_SUCCESS;
}

/* The image's, then the volume's: each has what is wanted of it. */
static EFI_STATUS EFIAPI protocol(EFI_HANDLE handle, EFI_GUID *type, void **out)
{
	static EFI_LOADED_IMAGE image;
	static EFI_FILE_IO_INTERFACE volume = { .OpenVolume = volume_open };

	(void)type;
	*out = handle == &efi_image ? (void *)&image : (void *)&volume;
	return EFI_SUCCESS;
}

static int start(void **state)
{
	static EFI_BOOT_SERVICES services = { .HandleProtocol = protocol };

	(void)state;
	efi_image = &efi_image;
	efi_bs = &services;
	files_open();
	memset(&info, 0, sizeof(info));
	memset(&manifest, 0, sizeof(manifest));
	said[0] = '\0';
	return 0;
}

static int end(void **state)
{
	(void)state;
	while (gifts > 0) {
		free(given[--gifts]);
	}
	return 0;
}

/* Whether the file is taken; sum: what its digest must be, NULL: any. */
static bool taken(const void *data, uint64_t size, const uint8_t *sum, struct module *module)
{
	file = data;
	file_size = file_told = size;
	if (setjmp(failed)) {
		return false;
	}
	files_read("\\file", sum, BOOT_MEM_PARTITION, module);
	return true;
}

static bool all(const uint8_t *data, uint64_t size, uint8_t value)
{
	while (size > 0 && data[size - 1] == value) {
		size--;
	}
	return size == 0;
}

static void last_page_is_clear(void **state)
{
	static const uint64_t sizes[] = { 1, 4095, 4096, 4097, 3 * 1048576 + 5 };
	static uint8_t text[3 * 1048576 + 5];
	struct module module;
	const uint8_t *data;

	(void)state;
	memset(text, 0x55, sizeof(text));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t whole = round_up(sizes[i], PAGE_SIZE);

		assert_true(taken(text, sizes[i], NULL, &module));
		assert_int_equal(module.size, sizes[i]);
		data = module.data;
		assert_true(all(data, sizes[i], 0x55));
		assert_true(all(data + sizes[i], whole - sizes[i], 0));
		assert_true(all(data + whole, PAGE_SIZE, DIRTY));
	}
}

static void only_the_one_meant(void **state)
{
	static uint8_t text[5000];
	uint8_t sum[SHA256_SIZE];
	struct sha256 hash;
	struct module module;

	(void)state;
	memset(text, 0x55, sizeof(text));
	sha256_init(&hash);
	sha256_add(&hash, text, sizeof(text));
	sha256_end(&hash, sum);
	assert_true(taken(text, sizeof(text), sum, &module));
	for (unsigned at = 0; at < SHA256_SIZE; at++) {
		sum[at] ^= 1;
		assert_false(taken(text, sizeof(text), sum, &module));
		assert_non_null(strstr(said, "SHA-256"));
		sum[at] ^= 1;
		end(state);
	}
	text[4999] ^= 1;
	assert_false(taken(text, sizeof(text), sum, &module));
	/* shorter than its entry says, empty, too large */
	file_told = sizeof(text) + 1;
	if (!setjmp(failed)) {
		files_read("\\file", NULL, BOOT_MEM_PARTITION, &module);
		fail();
	}
	assert_non_null(strstr(said, "at byte 5000"));
	assert_false(taken(text, 0, NULL, &module));
	assert_false(taken(text, (1ul << 30) + 1, NULL, &module));
}

/* A program at HOST_IMAGE_GPA: 10 bytes, a gap to 4,000, 100 there, zeros. */
static struct module program(void)
{
	static struct {
		uint8_t ident[16];
		uint16_t type, machine;
		uint32_t version;
		uint64_t entry, phoff, shoff;
		uint32_t flags;
		uint16_t ehsize, phentsize, phnum, rest[3];
		struct {
			uint32_t type, flags;
			uint64_t offset, vaddr, paddr, filesz, memsz, align;
		} ph[2];
		uint8_t text[100];
	} f = { .ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 }, .type = 2, .machine = 62,
		.entry = HOST_IMAGE_GPA + 4000, .phoff = 64, .phentsize = 56, .phnum = 2 };

	f.ph[0].type = f.ph[1].type = 1;
	f.ph[0].offset = f.ph[1].offset = offsetof(__typeof__(f), text);
	f.ph[0].vaddr = HOST_IMAGE_GPA;
	f.ph[0].filesz = f.ph[0].memsz = 10;
	f.ph[1].flags = 1;
	f.ph[1].vaddr = HOST_IMAGE_GPA + 4000;
	f.ph[1].filesz = 100;
	f.ph[1].memsz = 5000;
	memset(f.text, 0x77, sizeof(f.text));
	return (struct module){ &f, sizeof(f) };
}

static void host_partition(void **state)
{
	static uint8_t blob[100], disk[5000];
	struct module modules[3] = { program(), { disk, sizeof(disk) }, { disk, 1 } };
	struct module dtb = { blob, sizeof(blob) };
	const struct boot_region *r = info.partitions[0].regions;
	struct host_info *host;
	const uint8_t *data;

	(void)state;
	manifest.partition_count = 1;
	manifest.partition[0].mem_cap = 64 * MIB;
	manifest.partition[0].mem_min = MIB;
	manifest.dma_mib = 2;
	manifest.module_count = 3;
	manifest.module[0] = (struct manifest_module){ "host", "\\host", NULL };
	manifest.module[1] = (struct manifest_module){ "disk", "\\disk", NULL };
	manifest.module[2] = (struct manifest_module){ "hypervisor", "\\hv", NULL };
	manifest.hypervisor = 2;
	host = partitions_place(&info, &manifest, modules, &dtb);
	/* low memory, program, pool, the blob, the black box, and the one module
	 * that is its */
	assert_int_equal(info.partitions[0].region_count, 6);
	assert_int_equal(r[0].size, 0x9000);
	data = (const uint8_t *)r[0].hpa;
	assert_ptr_equal(host, data + HOST_INFO_GPA);
	assert_true(all(data, HOST_INFO_GPA, 0));
	/* from the GDT's end to the page tables */
	assert_true(all(data + HOST_BOOT_GPA + 32, PAGE_SIZE - 32, 0));
	assert_int_equal(host->module_count, 3);
	assert_string_equal(host->modules[1].name, HOST_BOX_MODULE);
	assert_int_equal(host->modules[1].size, sizeof(box));
	assert_int_equal(r[4].hpa, (uint64_t)box);
	assert_string_equal(host->modules[2].name, "disk");
	assert_int_equal(host->modules[2].size, sizeof(disk));
	/* the program, zeros between its segments and behind them */
	assert_int_equal(r[1].gpa, HOST_IMAGE_GPA);
	assert_int_equal(r[1].size, 2 * PAGE_SIZE);
	data = (const uint8_t *)r[1].hpa;
	assert_true(all(data, 10, 0x77));
	assert_true(all(data + 10, 3990, 0));
	assert_true(all(data + 4000, 100, 0x77));
	assert_true(all(data + 4100, 2 * PAGE_SIZE - 4100, 0));
	/* the pool, on top of what it may have */
	assert_int_equal(r[2].gpa, HOST_DMA_GPA);
	assert_int_equal(r[2].size, 2 * MIB);
	assert_true(all((const uint8_t *)r[2].hpa, r[2].size, 0));
	assert_memory_equal(&info.dma, &r[2], sizeof(info.dma));
	assert_int_equal(info.partitions[0].mem_cap, 66 * MIB + 3 * PAGE_SIZE + sizeof(box));
	assert_int_equal(info.partitions[0].mem_min, 3 * MIB + 3 * PAGE_SIZE + sizeof(box));
	assert_int_equal(info.partitions[0].start_rip, HOST_IMAGE_GPA + 4000);
	/* nothing else may be executed, and all may be written */
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(r[i].flags, i == 1 ? BOOT_MAP_WRITE | BOOT_MAP_EXEC :
				 BOOT_MAP_WRITE);
	}
}

/* What outlives its program, where there may be another. */
static void legacy(void **state)
{
	static uint8_t blob[100];
	struct module modules[1] = { program() }, dtb = { blob, sizeof(blob) };
	const struct boot_region *r = info.partitions[0].regions;
	struct host_info *host;

	(void)state;
	manifest.partition_count = 1;
	manifest.partition[0].mem_cap = 64 * MIB;
	manifest.partition[0].restarts = 1;
	manifest.dma_mib = 2;
	manifest.module_count = 1;
	manifest.module[0] = (struct manifest_module){ "host", "\\host", NULL };
	manifest.hypervisor = 1;
	host = partitions_place(&info, &manifest, modules, &dtb);
	assert_int_equal(info.partitions[0].restarts, 1);
	assert_int_equal(info.partitions[0].region_count, 6);
	assert_string_equal(host->modules[2].name, HOST_LEGACY_MODULE);
	assert_int_equal(host->modules[2].size, HOST_LEGACY_SIZE);
	assert_int_equal(r[5].gpa, host->modules[2].gpa);
	assert_true(all((const uint8_t *)r[5].hpa, HOST_LEGACY_SIZE, 0));
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(last_page_is_clear), TEST(only_the_one_meant), TEST(host_partition),
		TEST(legacy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
