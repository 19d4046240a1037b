/* SPDX-License-Identifier: MIT */
/*
 * Kernels that are ELF files and begin in 32-bit protected mode: multiboot's, and
 * those with the entry that Xen calls PVH. Pure functions: nothing here touches
 * a partition. docs/judges.md says what such a kernel finds.
 */
#ifndef ISTHMUS_ELF_IMAGE_H
#define ISTHMUS_ELF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/guest/linux_image.h"

#define ELF_SEGMENTS	16u

struct elf_segment {
	const uint8_t *data;		/* in the file */
	uint64_t data_size;
	uint64_t gpa;
	uint64_t size;			/* data, then zeros */
};

struct elf_image {
	struct elf_segment segments[ELF_SEGMENTS];
	unsigned count;
	bool pvh;
	uint32_t entry;			/* physical */
};

/* Whether it says that it is an ELF file. */
bool elf_image_is(const void *file, size_t size);
/* Checks the file and fills *image. NULL when it can be started, else a
 * sentence that says what is wrong with it. */
const char *elf_image_parse(const void *file, size_t size,
			    struct elf_image *image);
/* Looks whether it fits layout->ram bytes of memory, places the initrd beside it
 * and the start. NULL, or what does not fit. */
const char *elf_image_place(const struct elf_image *image,
			    struct linux_layout *layout);
/* Writes LINUX_LOW_GPA..LINUX_LOW_END to the zeroed buffer: the way from the
 * 64-bit start to the kernel's entry, what it is told of the machine, command
 * line. NULL, or what is wrong. */
const char *elf_image_low(uint8_t *low, const struct elf_image *image,
			  const struct linux_layout *layout,
			  const char *cmdline);
/* Fills the window with what of the image lies at gpa; false: nothing does. */
bool elf_image_piece(const struct elf_image *image, uint64_t gpa,
		     uint8_t *window, uint64_t size);

#endif
