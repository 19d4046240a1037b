/* SPDX-License-Identifier: MIT */
/* HMAC-SHA-256 [FIPS 198-1 "HMAC Specification"]. */
#include <string.h>

#include "host-bridge/rt/hmac.h"

#define BLOCK	64u		/* of SHA-256 */

/* The digest of the key's block, with each byte changed so, and of data. */
static void half(const uint8_t key[SHA256_SIZE], uint8_t change,
		 const void *data, size_t size, uint8_t digest[SHA256_SIZE])
{
	uint8_t block[BLOCK] = { 0 };
	struct sha256 s;

	memcpy(block, key, SHA256_SIZE);
	for (unsigned i = 0; i < BLOCK; i++) {
		block[i] ^= change;
	}
	sha256_init(&s);
	sha256_add(&s, block, BLOCK);
	sha256_add(&s, data, size);
	sha256_end(&s, digest);
}

/** See hmac.h. */
void hmac(const uint8_t key[SHA256_SIZE], const void *data, size_t size,
	  uint8_t digest[SHA256_SIZE])
{
	uint8_t inner[SHA256_SIZE];

	half(key, 0x36, data, size, inner);
	half(key, 0x5c, inner, sizeof(inner), digest);
}
