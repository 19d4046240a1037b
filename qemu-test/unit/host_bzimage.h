/* SPDX-License-Identifier: MIT */
/* A kernel image that is right, and as small as one can be. */
#ifndef HOST_BZIMAGE_H
#define HOST_BZIMAGE_H

#include <stdint.h>
#include <string.h>

#define MIB		(1ull << 20)
#define SETUP_SECTS	3u
#define KERNEL_SIZE	8192u
#define FILE_SIZE	((SETUP_SECTS + 1) * 512 + KERNEL_SIZE)

static inline void bzimage_put(uint8_t *file, unsigned at, uint64_t value,
			       unsigned bytes)
{
	memcpy(file + at, &value, bytes);
}

/* file: FILE_SIZE zeros. */
static inline void bzimage_make(uint8_t *file)
{
	file[0x1f1] = SETUP_SECTS;
	bzimage_put(file, 0x1f4, KERNEL_SIZE / 16, 4);
	bzimage_put(file, 0x1fe, 0xaa55, 2);
	bzimage_put(file, 0x200, 0x6aeb, 2);	/* jmp: header ends 0x26c */
	memcpy(file + 0x202, "HdrS", 4);
	bzimage_put(file, 0x206, 0x20f, 2);
	file[0x211] = 1;
	bzimage_put(file, 0x22c, 0x7fffffff, 4);
	bzimage_put(file, 0x230, 0x200000, 4);
	file[0x234] = 1;
	bzimage_put(file, 0x236, 0x3f, 2);
	bzimage_put(file, 0x238, 2047, 4);
	bzimage_put(file, 0x258, 16 * MIB, 8);
	bzimage_put(file, 0x260, 24 * MIB, 4);
}

#endif
