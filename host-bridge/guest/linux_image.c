/* SPDX-License-Identifier: MIT */
/*
 * bzImage and boot parameters. The image is a module whose hash boot/ has
 * verified, but it may be anyone's kernel: every field is checked before it is
 * used, and nothing outside the file is read whatever it says. Pure: what is
 * written goes to the caller's buffers. [Linux "The Linux/x86 Boot Protocol"]
 */
#include <string.h>

#include "host-bridge/guest/linux_acpi.h"
#include "host-bridge/guest/linux_image.h"

#define SECTOR			512u
#define ALIGN_2M		(2ull << 20)
#define BELOW_4G		(1ull << 32)

/* Offsets in the setup header, which are the same in the file and in
 * struct boot_params. [Linux "The Real-Mode Kernel Header"] */
#define HDR_SETUP_SECTS		0x1f1
#define HDR_SYSSIZE		0x1f4
#define HDR_VID_MODE		0x1fa
#define HDR_BOOT_FLAG		0x1fe
#define HDR_JUMP		0x200	/* its operand ends the header */
#define HDR_MAGIC		0x202
#define HDR_VERSION		0x206
#define HDR_LOADER		0x210
#define HDR_LOADFLAGS		0x211
#define HDR_CODE32_START	0x214
#define HDR_RAMDISK		0x218
#define HDR_RAMDISK_SIZE	0x21c
#define HDR_CMDLINE		0x228
#define HDR_INITRD_MAX		0x22c
#define HDR_ALIGNMENT		0x230
#define HDR_RELOCATABLE		0x234
#define HDR_XLOADFLAGS		0x236
#define HDR_CMDLINE_SIZE	0x238
#define HDR_PREF_ADDRESS	0x258
#define HDR_INIT_SIZE		0x260
#define HDR_END_MIN		0x264
#define HDR_END_MAX		0x290	/* what boot_params has room for */

/* Offsets in struct boot_params, the "zero page". */
#define BP_ACPI_RSDP		0x070
#define BP_E820_ENTRIES		0x1e8
#define BP_E820_TABLE		0x2d0

#define BOOT_FLAG		0xaa55u
#define MAGIC_HDRS		0x53726448u	/* "HdrS" */
#define VERSION_MIN		0x020cu	/* 2.12: xloadflags */
#define XLF_KERNEL_64		0x01u
#define LOADED_HIGH		0x01u
#define LOADER_UNREGISTERED	0xffu
#define VID_MODE_NORMAL		0xffffu
#define ENTRY_64		0x200u	/* from the kernel's beginning */

/* Little-endian fields at any alignment, as this processor has them. */
static uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
	memcpy(at, &value, bytes);
}

/* The fields that say what kind of file this is. NULL, or what is wrong. */
static const char *check_header(const uint8_t *f, size_t size)
{
	size_t end;

	if (size < 2 * SECTOR) {
		return "it is shorter than a setup header";
	}
	if (get(f + HDR_BOOT_FLAG, 2) != BOOT_FLAG ||
	    get(f + HDR_MAGIC, 4) != MAGIC_HDRS) {
		return "it is no bzImage: boot flag or \"HdrS\" is missing";
	}
	if (get(f + HDR_VERSION, 2) < VERSION_MIN) {
		return "its boot protocol is older than 2.12";
	}
	if (!(get(f + HDR_XLOADFLAGS, 2) & XLF_KERNEL_64)) {
		return "it has no 64-bit entry (32-bit kernel?)";
	}
	if (!(f[HDR_LOADFLAGS] & LOADED_HIGH)) {
		return "it is a zImage, loaded low";
	}
	/* The header ends where its first jump leads. It must reach to
	 * init_size, the last field that is used, and fit the place it has in
	 * struct boot_params. */
	end = HDR_MAGIC + (size_t)f[HDR_JUMP + 1];
	if (end < HDR_END_MIN || end > HDR_END_MAX) {
		return "its setup header has an impossible length";
	}
	return NULL;
}

/**
 * Checks a bzImage of size bytes and describes it in *image, which points
 * into the file. Reads nothing outside the file whatever it contains.
 */
const char *linux_image_parse(const void *file, size_t size,
			      struct linux_image *image)
{
	const uint8_t *f = file;
	const char *wrong = check_header(f, size);
	uint64_t sects, paragraphs;

	if (wrong) {
		return wrong;
	}
	/* 0 means 4, for the sake of very old kernels; the boot sector is not
	 * counted. */
	sects = f[HDR_SETUP_SECTS] ? f[HDR_SETUP_SECTS] : 4;
	paragraphs = get(f + HDR_SYSSIZE, 4);
	*image = (struct linux_image){
		.file = f,
		.kernel_offset = (sects + 1) * SECTOR,
		.kernel_size = paragraphs * 16,
		.pref_address = get(f + HDR_PREF_ADDRESS, 8),
		.init_size = get(f + HDR_INIT_SIZE, 4),
		.alignment = get(f + HDR_ALIGNMENT, 4),
		.initrd_max = get(f + HDR_INITRD_MAX, 4) + 1,
		.cmdline_max = (uint32_t)get(f + HDR_CMDLINE_SIZE, 4),
		.version = (uint16_t)get(f + HDR_VERSION, 2),
		.relocatable = f[HDR_RELOCATABLE] != 0,
	};
	/* syssize counts whole paragraphs; the file may end inside the last. */
	if (image->kernel_size < ENTRY_64 + 16 ||
	    size < image->kernel_offset + image->kernel_size - 15) {
		return "it is truncated: shorter than its header says";
	}
	if (size - image->kernel_offset < image->kernel_size) {
		image->kernel_size = size - image->kernel_offset;
	}
	/* linux_image_place() makes an address of it. */
	if (image->alignment == 0 ||
	    (image->alignment & (image->alignment - 1)) != 0) {
		return "its kernel_alignment is not a power of two";
	}
	if (image->init_size < image->kernel_size) {
		return "its init_size is smaller than the kernel itself";
	}
	return NULL;
}

/**
 * End of the RAM below the MMIO window, in which everything is placed: kernel,
 * initrd and tables lie below 4 GiB, where the start's page tables reach.
 */
uint64_t linux_image_ram_end(const struct linux_layout *layout)
{
	return layout->ram < LINUX_MMIO_GPA ? layout->ram : LINUX_MMIO_GPA;
}

/**
 * As high as possible, on 2 MiB so that it moves in large pages. NULL, or that
 * it does not fit; of no bytes, at 0.
 */
const char *linux_image_place_initrd(struct linux_layout *layout,
				     uint64_t floor, uint64_t top)
{
	layout->initrd_gpa = 0;
	if (layout->initrd_size == 0) {
		return NULL;
	}
	if (top < layout->initrd_size ||
	    ((top - layout->initrd_size) & ~(ALIGN_2M - 1)) < floor) {
		return "the initrd does not fit into the memory beside it";
	}
	layout->initrd_gpa = (top - layout->initrd_size) & ~(ALIGN_2M - 1);
	return NULL;
}

/**
 * Kernel at its preferred address, or as low as its alignment allows; the
 * initrd as high as possible. Between kernel and initrd init_size bytes are
 * kept: the kernel unpacks itself over them. NULL, or what does not fit;
 * layout->ram and initrd_size are the caller's.
 */
const char *linux_image_place(const struct linux_image *image,
			      struct linux_layout *layout)
{
	uint64_t end = linux_image_ram_end(layout) & ~0xfffull;
	uint64_t gpa = image->pref_address;

	/* Tested in this order: each difference is of a larger and a smaller
	 * number. */
	if (gpa < LINUX_HIGH_RAM || gpa > end ||
	    image->init_size > end - gpa) {
		if (!image->relocatable) {
			return "its fixed load address is outside the memory";
		}
		gpa = image->alignment > LINUX_HIGH_RAM ? image->alignment :
							  LINUX_HIGH_RAM;
		if (gpa > end || image->init_size > end - gpa) {
			return "its init_size does not fit into the memory";
		}
	}
	if (gpa & 0xfff) {
		return "its load address is not page aligned";
	}
	layout->kernel_gpa = gpa;
	layout->entry = gpa + ENTRY_64;
	/* initrd_addr_max: the kernel's own limit, mostly 2 GiB - 1. */
	return linux_image_place_initrd(layout, gpa + image->init_size,
					end < image->initrd_max ?
					end : image->initrd_max);
}

/**
 * What is where, as a PC has it. The ACPI tables lie in the reserved part; from
 * 0x9f000 to 0xa0000, where PCs have an EBDA, there is nothing.
 */
unsigned linux_image_map(const struct linux_layout *layout,
			 struct linux_range map[LINUX_RANGES])
{
	unsigned n = 0;

	map[n++] = (struct linux_range){ 0, LINUX_LOW_RAM_END,
					 LINUX_RANGE_RAM };
	map[n++] = (struct linux_range){ 0xa0000, LINUX_HIGH_RAM,
					 LINUX_RANGE_RESERVED };
	map[n++] = (struct linux_range){ LINUX_HIGH_RAM,
		linux_image_ram_end(layout), LINUX_RANGE_RAM };
	if (layout->ram > LINUX_MMIO_GPA) {
		map[n++] = (struct linux_range){ BELOW_4G,
			BELOW_4G + layout->ram - LINUX_MMIO_GPA,
			LINUX_RANGE_RAM };
	}
	return n;
}

/* The zero page: the file's setup header, and what a loader fills in; fields
 * that stay 0 mean "absent" by the protocol. */
static void boot_params(uint8_t *params, const struct linux_image *image,
			const struct linux_layout *layout)
{
	size_t end = HDR_MAGIC + image->file[HDR_JUMP + 1];
	struct linux_range map[LINUX_RANGES];
	unsigned count = linux_image_map(layout, map);

	memcpy(params + HDR_SETUP_SECTS, image->file + HDR_SETUP_SECTS,
	       end - HDR_SETUP_SECTS);
	params[HDR_LOADER] = LOADER_UNREGISTERED;
	put(params + HDR_VID_MODE, VID_MODE_NORMAL, 2);
	/* 32-bit fields hold all addresses: linux_image_ram_end() is below 4
	 * GiB. */
	put(params + HDR_CODE32_START, layout->kernel_gpa, 4);
	put(params + HDR_RAMDISK, layout->initrd_gpa, 4);
	put(params + HDR_RAMDISK_SIZE, layout->initrd_size, 4);
	put(params + HDR_CMDLINE, LINUX_CMDLINE_GPA, 4);
	put(params + BP_ACPI_RSDP, LINUX_ACPI_GPA, 8);
	params[BP_E820_ENTRIES] = (uint8_t)count;
	for (unsigned i = 0; i < count; i++) {
		uint8_t *entry = params + BP_E820_TABLE + i * 20;

		put(entry, map[i].start, 8);
		put(entry + 8, map[i].end - map[i].start, 8);
		put(entry + 16, map[i].type, 4);
	}
}

/**
 * GDT, and the identity map of the first 4 GiB in 2 MiB pages, at LINUX_PML4_GPA.
 * Kernel, zero page and command line must be in it, by the 64-bit boot protocol;
 * Linux soon makes its own. Of the GDT's entries the first after the null one is
 * of no use there: 32-bit code (elf_image.c).
 */
void linux_image_tables(uint8_t *low)
{
	/* __BOOT_CS 0x10 and __BOOT_DS 0x18, flat. */
	static const uint64_t gdt[4] = {
		0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff
	};
	const uint64_t attr = 0x63;	/* present, writable, accessed, dirty */
	const uint64_t large = 0x80;
	uint8_t *table = low + LINUX_PML4_GPA - LINUX_LOW_GPA;

	memcpy(low + LINUX_GDT_GPA - LINUX_LOW_GPA, gdt, sizeof(gdt));
	put(table, (LINUX_PML4_GPA + 0x1000) | attr, 8);
	for (unsigned i = 0; i < 4; i++) {
		put(table + 0x1000 + i * 8,
		    (LINUX_PML4_GPA + 0x2000 + i * 0x1000) | attr, 8);
	}
	for (unsigned i = 0; i < 4 * 512; i++) {
		put(table + 0x2000 + i * 8, i * ALIGN_2M | attr | large, 8);
	}
}

/**
 * A BIOS that can do one thing: 16-bit code at the reset vector, F000:FFF0, that
 * asks for a reset as the FADT's register does. A kernel on hardware-reduced
 * ACPI takes us for an EFI machine, finds no runtime services, and goes back to
 * real mode to jump there. [Linux "arch/x86/kernel/reboot.c"]
 */
void linux_image_bios(uint8_t *page)
{
	static const uint8_t vector[16] = {
		0xba, LINUX_PORT_RESET & 0xff, LINUX_PORT_RESET >> 8,
						/* mov $port, %dx */
		0xb0, LINUX_RESET_VALUE,	/* mov $value, %al */
		0xee,				/* out %al, (%dx) */
		0xf4, 0xeb, 0xfd,		/* hlt, and again */
	};

	memcpy(page + 0xff0, vector, sizeof(vector));
}

/**
 * Fills the low pages; low is zeroed and LINUX_LOW_END - LINUX_LOW_GPA bytes
 * long. NULL, or what is wrong: only a command line that is longer than the
 * kernel, or its page, takes.
 */
const char *linux_image_low(uint8_t *low, const struct linux_image *image,
			    const struct linux_layout *layout,
			    const char *cmdline)
{
	size_t len = strlen(cmdline);

	if (len > image->cmdline_max || len >= LINUX_CMDLINE_SIZE) {
		return "the command line is longer than it allows";
	}
	boot_params(low + LINUX_BOOT_PARAMS_GPA - LINUX_LOW_GPA, image,
		    layout);
	memcpy(low + LINUX_CMDLINE_GPA - LINUX_LOW_GPA, cmdline, len + 1);
	linux_image_tables(low);
	return NULL;
}
