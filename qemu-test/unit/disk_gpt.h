/* SPDX-License-Identifier: MIT */
/* For tests: what a GPT is written with. */
#ifndef ISTHMUS_DISK_GPT_H
#define ISTHMUS_DISK_GPT_H

#include <stddef.h>
#include <stdint.h>

static inline void put(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		at[i] = (uint8_t)(value >> 8 * i);
	}
}

static inline uint32_t crc(const uint8_t *data, size_t len)
{
	uint32_t value = ~0u;

	for (size_t i = 0; i < len; i++) {
		value ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++) {
			value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
		}
	}
	return ~value;
}

#endif
