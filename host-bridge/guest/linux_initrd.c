/* SPDX-License-Identifier: MIT */
/*
 * An initramfs is cpio archives one after the other, each perhaps compressed. A
 * kernel that has too little memory to unpack it says so, cuts a file off, and
 * goes on without the rest; so this is found out before. Both figures err to
 * the side that lets it start. The file may hold anything, and nothing outside
 * of it is read. [Linux "Documentation/driver-api/early-userspace/
 * buffer-format.rst"]
 */
#include <stdbool.h>
#include <string.h>

#include "host-bridge/guest/linux_initrd.h"

#define PAGE		4096u
#define PAGE_STRUCT	64u	/* what Linux keeps about each page */

/* The "new ASCII" header: magic, then numbers of eight hexadecimal digits. */
#define HEADER		110u
#define AT_MODE		14u
#define AT_SIZE		54u
#define AT_NAME_SIZE	94u
#define S_IFMT		0170000u
#define S_IFREG		0100000u

/* Eight digits; false when there is something else among them. */
static bool number(const uint8_t *at, uint64_t *value)
{
	*value = 0;
	for (unsigned i = 0; i < 8; i++) {
		uint8_t digit = at[i] | 0x20;

		if (digit >= '0' && digit <= '9') {
			digit = (uint8_t)(digit - '0');
		} else if (digit >= 'a' && digit <= 'f') {
			digit = (uint8_t)(digit - 'a' + 10);
		} else {
			return false;
		}
		*value = *value << 4 | digit;
	}
	return true;
}

/* Adds the member whose header is at *at, and moves *at behind it. false: what
 * is there is no member. */
static bool member(const uint8_t *file, size_t size, size_t *at,
		   uint64_t *total)
{
	const uint8_t *head = file + *at;
	uint64_t mode, bytes, name, end;

	if (size - *at < HEADER || (memcmp(head, "070701", 6) != 0 &&
				    memcmp(head, "070702", 6) != 0) ||
	    !number(head + AT_MODE, &mode) || !number(head + AT_SIZE, &bytes) ||
	    !number(head + AT_NAME_SIZE, &name)) {
		return false;
	}
	if ((mode & S_IFMT) == S_IFREG) {
		*total += (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	}
	/* Two fields of 32 bits: the sum cannot wrap. */
	end = ((*at + HEADER + name + 3) & ~3ull) + bytes;
	end = (end + 3) & ~3ull;
	*at = end < size ? (size_t)end : size;
	return true;
}

/**
 * Bytes of memory that the files in it take, in whole pages. From where it is
 * compressed its own length counts: nothing grows by being compressed.
 */
uint64_t linux_initrd_unpacked(const void *file, size_t size)
{
	const uint8_t *bytes = file;
	uint64_t total = 0;
	size_t at = 0;

	while (at < size) {
		if (bytes[at] == 0) {		/* between archives */
			at++;
		} else if (!member(bytes, size, &at, &total)) {
			return total + (size - at);
		}
	}
	return total;
}

/* Whether a word of the command line begins so. */
static bool has_word(const char *cmdline, const char *begin)
{
	for (const char *at = cmdline; (at = strstr(at, begin)); at++) {
		if (at == cmdline || at[-1] == ' ') {
			return true;
		}
	}
	return false;
}

/**
 * What is left of ram bytes beside the kernel (unpacked it is larger still), the
 * initrd, which stays until all is unpacked, and Linux's account of pages. The
 * files go to a tmpfs, which takes half of that, unless the command line asks for
 * another root. [Linux "Documentation/filesystems/ramfs-rootfs-initramfs.rst"]
 */
uint64_t linux_initrd_room(uint64_t ram, uint64_t kernel, uint64_t initrd,
			   const char *cmdline)
{
	uint64_t taken = kernel + initrd + ram / PAGE * PAGE_STRUCT;
	uint64_t left = ram > taken ? ram - taken : 0;

	return has_word(cmdline, "root=") || has_word(cmdline, "rootfstype=") ?
	       left : left / 2;
}
