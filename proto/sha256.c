/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 [FIPS 180-4 "Secure Hash Standard"]. The rounds are unrolled by the
 * compiler, which then keeps the working variables in registers and renames
 * them instead of moving them: an emulator spends much of the boot here.
 */
#include <string.h>

#include "sha256.h"

static const uint32_t K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

/* n: 1 to 31. */
static inline uint32_t rotr(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

static inline uint32_t bytes_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

/* Word i of the message schedule; w holds the last sixteen. */
static inline uint32_t schedule(uint32_t w[16], const uint8_t *p, unsigned i)
{
	uint32_t x = w[(i + 1) % 16], y = w[(i + 14) % 16];

	if (i < 16) {
		return w[i] = bytes_be32(p + 4 * i);
	}
	return w[i % 16] += (rotr(rotr(x, 11) ^ x, 7) ^ x >> 3) + w[(i + 9) % 16] +
			    (rotr(rotr(y, 2) ^ y, 17) ^ y >> 10);
}

/* [FIPS 180-4 "SHA-256 Hash Computation"]. Rotations are nested: rotr(rotr(x,
 * 11) ^ x, 7) is ROTR 18 ^ ROTR 7. Ch and Maj are written with one operation
 * less than in the standard. */
static void blocks(uint32_t state[8], const uint8_t *p, size_t count)
{
	uint32_t w[16], v[8];

	for (; count > 0; count--, p += 64) {
		memcpy(v, state, sizeof(v));
#pragma GCC unroll 64
		for (unsigned i = 0; i < 64; i++) {
			/* Variable n of round i, for a = 0 .. h = 7. */
#define V(n) v[(64 - i + (n)) % 8]
			uint32_t t = V(7) + K[i] + schedule(w, p, i) +
				     rotr(rotr(rotr(V(4), 14) ^ V(4), 5) ^ V(4), 6) +
				     (((V(5) ^ V(6)) & V(4)) ^ V(6));

			V(3) += t;
			V(7) = t + rotr(rotr(rotr(V(0), 9) ^ V(0), 11) ^ V(0), 2) +
			       (((V(0) ^ V(1)) & (V(1) ^ V(2))) ^ V(1));
#undef V
		}
		for (unsigned i = 0; i < 8; i++) {
			state[i] += v[i];
		}
	}
}

/** Starts a new digest in *s. */
void sha256_init(struct sha256 *s)
{
	*s = (struct sha256) { .state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

/**
 * Adds size bytes, any number, also none; whole blocks are taken where they
 * lie.
 */
void sha256_add(struct sha256 *s, const void *data, size_t size)
{
	const uint8_t *p = data;
	size_t have = s->length % 64;
	size_t n = have == 0 ? 0 : size < 64 - have ? size : 64 - have;

	s->length += size;
	memcpy(s->block + have, p, n);
	if (have + n == 64) {
		blocks(s->state, s->block, 1);
		have = 0;
	} else if (have > 0) {
		return;
	}
	p += n;
	size -= n;
	blocks(s->state, p, size / 64);
	memcpy(s->block, p + size / 64 * 64, size % 64);
}

/**
 * Pads, and writes the digest; *s is used up. [FIPS 180-4 "Padding the
 * Message"]
 */
void sha256_end(struct sha256 *s, uint8_t digest[SHA256_SIZE])
{
	uint64_t bits = __builtin_bswap64(s->length * 8);
	uint8_t pad[72] = { 0x80 };
	/* the 1 bit's byte, zeros, and 8 bytes of length fill the last block */
	size_t zeros = (119 - s->length % 64) % 64;

	memcpy(pad + 1 + zeros, &bits, sizeof(bits));
	sha256_add(s, pad, zeros + 9);
	for (unsigned i = 0; i < 8; i++) {
		uint32_t v = __builtin_bswap32(s->state[i]);

		memcpy(digest + 4 * i, &v, sizeof(v));
	}
}
