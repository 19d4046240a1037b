/* SPDX-License-Identifier: MIT */
/*
 * Whether an initramfs can be unpacked in the memory that Linux has. Pure.
 */
#ifndef ISTHMUS_LINUX_INITRD_H
#define ISTHMUS_LINUX_INITRD_H

#include <stddef.h>
#include <stdint.h>

/* The memory its files need at least, whatever is compressed of them. */
uint64_t linux_initrd_unpacked(const void *file, size_t size);
/* The most that a Linux with ram bytes has for them: kernel and initrd are the
 * sizes of the two files. */
uint64_t linux_initrd_room(uint64_t ram, uint64_t kernel, uint64_t initrd,
			   const char *cmdline);

#endif
