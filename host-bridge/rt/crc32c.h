/* SPDX-License-Identifier: MIT */
/* CRC-32C: the checksum of all that ext4 and its journal write. */
#ifndef ISTHMUS_CRC32C_H
#define ISTHMUS_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * CRC-32C of some bytes, going on from crc; without the inversions before and
 * after, as all of ext4 has it. The instruction is there wherever XSAVE is, which
 * the hypervisor asks for. Blocks are long: eight words in a row, then single ones.
 * [SDM2 "CRC32"]
 */
static inline uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *at = data;
	uint64_t wide = crc;

#define CRC32C_WORD(n)	do { \
		uint64_t word; \
 \
		memcpy(&word, at + 8 * (n), sizeof(word)); \
		__asm__("crc32q %1, %0" : "+r"(wide) : "rm"(word)); \
	} while (0)
	for (; len >= 64; at += 64, len -= 64) {
		CRC32C_WORD(0);
		CRC32C_WORD(1);
		CRC32C_WORD(2);
		CRC32C_WORD(3);
		CRC32C_WORD(4);
		CRC32C_WORD(5);
		CRC32C_WORD(6);
		CRC32C_WORD(7);
	}
	for (; len >= 8; at += 8, len -= 8) {
		CRC32C_WORD(0);
	}
#undef CRC32C_WORD
	crc = (uint32_t)wide;
	for (; len > 0; at++, len--) {
		__asm__("crc32b %1, %0" : "+r"(crc) : "rm"(*at));
	}
	return crc;
}

#endif
