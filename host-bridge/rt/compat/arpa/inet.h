/* SPDX-License-Identifier: MIT */
/*
 * Network byte order for libext2fs' journal code (the journal on disk is
 * big-endian): newlib has no <arpa/inet.h> for this target.
 */
#ifndef COMPAT_ARPA_INET_H
#define COMPAT_ARPA_INET_H

#include <stdint.h>

static inline uint32_t htonl(uint32_t v)
{
	return __builtin_bswap32(v);
}

static inline uint32_t ntohl(uint32_t v)
{
	return __builtin_bswap32(v);
}

static inline uint16_t htons(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint16_t ntohs(uint16_t v)
{
	return __builtin_bswap16(v);
}

#endif
