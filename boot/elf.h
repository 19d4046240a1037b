/* SPDX-License-Identifier: MIT */
/*
 * Static ELF64 images for x86-64: check first, load afterwards.
 */
#ifndef ISTHMUS_BOOT_ELF_H
#define ISTHMUS_BOOT_ELF_H

#include <stdint.h>

struct elf_image {
	uint64_t end;		/* first address past the last segment */
	uint64_t filled;	/* past its bytes in the file: zeros up to end */
	uint64_t entry;
};

const char *elf_check(const void *file, uint64_t size, uint64_t low,
		      uint64_t high, struct elf_image *image);
void elf_load(const void *file, uint64_t low, void *dest);

#endif
