/* SPDX-License-Identifier: MIT */
/*
 * bulk FILE: writes 64 MiB of pseudo-random bytes to FILE, reads them back
 * and compares SHA-256. Each MiB has a digest of its own; four at a time are
 * computed side by side in vector registers, because an emulator runs this.
 * [FIPS 180-4 "SHA-256"]
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB	(1u << 20)
#define LANES	4
#define CHUNKS	16		/* of LANES MiB */

typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));

static uint32_t K[64];
static uint32_t first[8];
static uint8_t buffer[LANES * MIB];

/* The first 32 bits of a number's fractional part; roots by bisection. */
static uint32_t root_bits(unsigned prime, int power)
{
	/* the largest r with (r / 2^36)^power <= prime, in 128 bits */
	unsigned __int128 low = 0, high = (unsigned __int128)32 << 36;

	while (high - low > 1) {
		unsigned __int128 mid = (low + high) / 2, p = mid;

		for (int i = 1; i < power; i++) {
			p = p * mid >> 36;
		}
		if (p < (unsigned __int128)prime << 36) {
			low = mid;
		} else {
			high = mid;
		}
	}
	return (uint32_t)(low >> 4);
}

static void constants(void)
{
	unsigned prime = 2;

	for (int n = 0; n < 64; prime++) {
		unsigned d = 2;

		while (d * d <= prime && prime % d) {
			d++;
		}
		if (d * d <= prime) {
			continue;
		}
		K[n] = root_bits(prime, 3);
		if (n < 8) {
			first[n] = root_bits(prime, 2);
		}
		n++;
	}
}

static lanes rotr(lanes v, int n)
{
	return v >> n | v << (32 - n);
}

/* Block number `at` of every lane. */
static void load(lanes w[16], size_t at)
{
	for (int i = 0; i < 16; i++) {
		for (int lane = 0; lane < LANES; lane++) {
			uint32_t v;

			memcpy(&v, buffer + (size_t)lane * MIB + at * 64 +
			       4 * i, 4);
			w[i][lane] = __builtin_bswap32(v);
		}
	}
}

static void block(lanes state[8], lanes w[16])
{
	lanes v[8];

	memcpy(v, state, sizeof(v));
#pragma GCC unroll 64
	for (int i = 0; i < 64; i++) {
#define V(n)	v[(64 - i + (n)) % 8]
		lanes x = w[(i + 1) % 16], y = w[(i + 14) % 16], t;

		if (i >= 16) {
			w[i % 16] += (rotr(x, 7) ^ rotr(x, 18) ^ x >> 3) +
				     w[(i + 9) % 16] +
				     (rotr(y, 17) ^ rotr(y, 19) ^ y >> 10);
		}
		t = V(7) + K[i] + w[i % 16] +
		    (rotr(V(4), 6) ^ rotr(V(4), 11) ^ rotr(V(4), 25)) +
		    (((V(5) ^ V(6)) & V(4)) ^ V(6));
		V(3) += t;
		V(7) = t + (rotr(V(0), 2) ^ rotr(V(0), 13) ^ rotr(V(0), 22)) +
		       (((V(0) ^ V(1)) & (V(1) ^ V(2))) ^ V(1));
#undef V
	}
	for (int i = 0; i < 8; i++) {
		state[i] += v[i];
	}
}

/* The digests of the buffer's LANES MiB. */
static void digests(uint32_t out[LANES][8])
{
	lanes state[8], w[16] = { 0 };

	for (int i = 0; i < 8; i++) {
		state[i] = (lanes){ 0 } + first[i];
	}
	for (size_t at = 0; at < MIB / 64; at++) {
		load(w, at);
		block(state, w);
	}
	memset(w, 0, sizeof(w));
	w[0] += 0x80000000;
	w[15] += 8 * MIB;
	block(state, w);
	for (int lane = 0; lane < LANES; lane++) {
		for (int i = 0; i < 8; i++) {
			out[lane][i] = state[i][lane];
		}
	}
}

static void print(const char *what, const uint32_t d[8])
{
	printf("%s ", what);
	for (int i = 0; i < 8; i++) {
		printf("%08x", d[i]);
	}
	printf("\n");
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void transfer(int fd, int out)
{
	for (size_t at = 0; at < sizeof(buffer);) {
		ssize_t n = out ? write(fd, buffer + at, sizeof(buffer) - at) :
				  read(fd, buffer + at, sizeof(buffer) - at);

		if (n <= 0) {
			fail(out ? "write" : "read");
		}
		at += (size_t)n;
	}
}

static void fill(void)
{
	static uint64_t x = 88172645463325252ull;	/* xorshift64 */

	for (size_t i = 0; i < sizeof(buffer); i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(buffer + i, &x, 8);
	}
}

int main(int argc, char **argv)
{
	static uint32_t wanted[CHUNKS][LANES][8], got[CHUNKS][LANES][8];
	struct stat st;
	int fd;

	constants();
	memset(buffer, 'a', sizeof(buffer));
	digests(got[0]);
	print("a-mib", got[0][LANES - 1]);	/* the caller knows this one */
	fd = open(argc == 2 ? argv[1] : "", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0) {
		fail("open for writing");
	}
	for (int i = 0; i < CHUNKS; i++) {
		fill();
		digests(wanted[i]);
		transfer(fd, 1);
	}
	if (fsync(fd) || close(fd)) {
		fail("close");
	}
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || fstat(fd, &st)) {
		fail("open for reading");
	}
	for (int i = 0; i < CHUNKS; i++) {
		memset(buffer, 0, sizeof(buffer));
		transfer(fd, 0);
		digests(got[i]);
	}
	print("first", got[0][0]);
	print("last", got[CHUNKS - 1][LANES - 1]);
	printf("size %lld, digests %s\n", (long long)st.st_size,
	       memcmp(got, wanted, sizeof(got)) ? "differ" : "equal");
	return 0;
}
