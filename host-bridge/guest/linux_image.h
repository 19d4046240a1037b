/* SPDX-License-Identifier: MIT */
/*
 * A Linux kernel image and what it wants to find in memory at its 64-bit
 * entry. Pure functions: nothing here touches the Linux partition.
 * [Linux "The Linux/x86 Boot Protocol"]
 */
#ifndef ISTHMUS_LINUX_IMAGE_H
#define ISTHMUS_LINUX_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The Linux partition's guest-physical memory below 1 MiB, as prepared. */
#define LINUX_LOW_GPA		0x1000u		/* GDT and what follows */
#define LINUX_GDT_GPA		0x1000u
#define LINUX_GDT_CODE32	0x08u		/* a selector in it */
#define LINUX_BOOT_PARAMS_GPA	0x2000u
#define LINUX_CMDLINE_GPA	0x3000u
#define LINUX_CMDLINE_SIZE	4096u
#define LINUX_PML4_GPA		0x4000u		/* then PDPT, four PDs */
#define LINUX_LOW_END		0xa000u
#define LINUX_ACPI_GPA		0xe0000u
#define LINUX_ACPI_SIZE		0x4000u
#define LINUX_LOW_RAM_END	0x9f000u
#define LINUX_BIOS_GPA		0xff000u	/* the page of the reset vector */
#define LINUX_HIGH_RAM		0x100000u
#define LINUX_MMIO_GPA		0xe0000000u	/* no RAM from here to 4 GiB */

struct linux_image {
	const uint8_t *file;
	uint64_t kernel_offset;		/* in the file */
	uint64_t kernel_size;
	uint64_t pref_address;
	uint64_t init_size;
	uint64_t alignment;
	uint64_t initrd_max;		/* highest address of initrd's end */
	uint32_t cmdline_max;		/* without the NUL */
	uint16_t version;
	bool relocatable;
};

struct linux_layout {
	uint64_t ram;		/* bytes of RAM the partition may use */
	uint64_t kernel_gpa;
	uint64_t initrd_gpa;
	uint64_t initrd_size;
	uint64_t entry;
};

/* A piece of the memory map, [start, end). */
struct linux_range {
	uint64_t start, end;
	uint32_t type;		/* as the BIOS's map has it */
};
#define LINUX_RANGES	4u
#define LINUX_RANGE_RAM		1u
#define LINUX_RANGE_RESERVED	2u

/* Checks the file and fills *image. NULL when it can be started, else a
 * sentence that says what is wrong with it. */
const char *linux_image_parse(const void *file, size_t size,
			      struct linux_image *image);
/* Places kernel and initrd in layout->ram bytes of memory (set by the
 * caller, as is initrd_size). NULL, or what does not fit. */
const char *linux_image_place(const struct linux_image *image,
			      struct linux_layout *layout);
/* Where that memory ends. */
uint64_t linux_image_ram_end(const struct linux_layout *layout);
/* Places an initrd of layout->initrd_size bytes in [floor, top). NULL, or that it
 * does not fit; with none initrd_gpa is 0. */
const char *linux_image_place_initrd(struct linux_layout *layout,
				     uint64_t floor, uint64_t top);
/* What is where in the partition's memory; returns how many of map[]. */
unsigned linux_image_map(const struct linux_layout *layout,
			 struct linux_range map[LINUX_RANGES]);
/* Writes GDT and page tables, of the 64-bit entry, to the zeroed low. */
void linux_image_tables(uint8_t *low);
/* Writes the page at LINUX_BIOS_GPA: what a jump to the PC's reset vector
 * finds. The page is zeroed. */
void linux_image_bios(uint8_t *page);
/* Writes LINUX_LOW_GPA..LINUX_LOW_END to the zeroed buffer: GDT, boot
 * parameters, command line, page tables. NULL, or what is wrong. */
const char *linux_image_low(uint8_t *low, const struct linux_image *image,
			    const struct linux_layout *layout,
			    const char *cmdline);

#endif
