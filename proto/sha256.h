/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 [FIPS 180-4 "Secure Hash Standard"]: the loader's, of modules, and
 * host-bridge's, of who knows a key.
 */
#ifndef ISTHMUS_SHA256_H
#define ISTHMUS_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE	32

struct sha256 {
	uint32_t state[8];
	uint64_t length;	/* bytes so far */
	uint8_t block[64];	/* length % 64 bytes wait here */
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t size);
void sha256_end(struct sha256 *s, uint8_t digest[SHA256_SIZE]);

#endif
