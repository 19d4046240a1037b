/* SPDX-License-Identifier: MIT */
/*
 * The sums of the Internet's checksum. They are added as the processor has the words,
 * 8 bytes at once: neither the order of bytes in a word nor how many words are added
 * together matters to the sum, but in how it is written. [RFC 1071 "Byte Order
 * Independence", "Parallel Summation"]
 */
#ifndef ISTHMUS_NETSUM_H
#define ISTHMUS_NETSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t net_fold(uint64_t sum)
{
	while (sum >> 16 != 0) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static inline uint64_t netsum_load(const uint8_t *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return word;
}

/* Big-endian words of 16 bits, onto another sum; an odd byte at the end is followed
 * by 0. */
static inline uint16_t net_sum(uint16_t sum, const uint8_t *data, size_t len)
{
	unsigned __int128 all = 0;
	uint64_t word = 0;
	uint32_t half;

	for (; len >= 32; data += 32, len -= 32) {
		all += netsum_load(data);
		all += netsum_load(data + 8);
		all += netsum_load(data + 16);
		all += netsum_load(data + 24);
	}
	for (; len >= 8; data += 8, len -= 8) {
		all += netsum_load(data);
	}
	if (len >= 4) {
		memcpy(&half, data, 4);
		all += half;
		data += 4;
		len -= 4;
	}
	if (len != 0) {
		memcpy(&word, data, len);
		all += word;
	}
	word = (uint64_t)(all >> 64) + ((uint64_t)all >> 32) + (uint32_t)all;
	return net_fold((uint64_t)sum + __builtin_bswap16(net_fold(word)));
}

#endif
