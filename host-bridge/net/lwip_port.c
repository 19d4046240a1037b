/* SPDX-License-Identifier: MIT */
/*
 * What lwIP stands on: time, chance, memory. Peers decide how much memory is
 * asked for, so there is an end to it, and what has no more room is lost, as
 * packets may be.
 *
 * Random numbers, and the first numbers of connections, come from a keyed
 * function, so that who has seen some cannot tell others; the key is seed.c's, and
 * as good as that.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/opt.h"
#include "lwip/sys.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/lwip/hooks.h"
#include "host-bridge/net/lwip_port.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/rt/cpu.h"
#include "host-bridge/rt/seed.h"

static_assert(TCP_LOCAL_PORT_RANGE_START > NAT_LAST, "ports of two owners");

#define WORDS	6		/* of what is hashed */

static struct lwip_port_heap heap;

/* Before each piece, which stays aligned as malloc() has it. */
struct piece {
	_Alignas(16) size_t size;
};

/** See lwip_port.h. */
const struct lwip_port_heap *lwip_port_heap(void)
{
	return &heap;
}

/** lwIP's malloc(): NULL when all that the network may have is in use. */
void *lwip_port_malloc(size_t size)
{
	struct piece *piece = NULL;

	if (size <= LWIP_PORT_HEAP - heap.used) {
		piece = malloc(sizeof(*piece) + size);
	}
	if (!piece) {
		heap.refused++;
		return NULL;
	}
	piece->size = size;
	heap.used += size;
	if (heap.used > heap.most) {
		heap.most = heap.used;
	}
	return piece + 1;
}

/** The same, cleared. */
void *lwip_port_calloc(size_t count, size_t size)
{
	void *p = NULL;

	if (size == 0 || count <= LWIP_PORT_HEAP / size) {
		p = lwip_port_malloc(count * size);
	}
	return p ? memset(p, 0, count * size) : NULL;
}

/** What one of the two above has given. */
void lwip_port_free(void *p)
{
	struct piece *piece = (struct piece *)p - 1;

	heap.used -= piece->size;
	free(piece);
}

/** A check of lwIP's own has failed. */
void lwip_port_fail(const char *what)
{
	cpu_fatal("lwIP: %s", what);
}

/** Milliseconds, which may wrap. */
uint32_t sys_now(void)
{
	return (uint32_t)loop_uptime_ms();
}

/** Nothing: there are no threads. */
void sys_init(void)
{
}

static uint64_t turn(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void mix(uint64_t v[4], unsigned rounds)
{
	while (rounds-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = turn(v[1], 13) ^ v[0];
		v[3] = turn(v[3], 16) ^ v[2];
		v[0] = turn(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = turn(v[1], 17) ^ v[2];
		v[3] = turn(v[3], 21) ^ v[0];
		v[2] = turn(v[2], 32);
	}
}

/* SipHash-2-4 of whole words [Aumasson and Bernstein, "SipHash: a fast short-input
 * PRF"]. */
static uint64_t hash(const uint64_t *words, unsigned count)
{
	static uint64_t key[2];
	uint64_t v[4], last = (uint64_t)count * 8 << 56;

	if (key[0] == 0) {
		key[0] = seed_make();
		key[1] = seed_make() ^ seed_make() << 1;
	}
	v[0] = key[0] ^ 0x736f6d6570736575ull;
	v[1] = key[1] ^ 0x646f72616e646f6dull;
	v[2] = key[0] ^ 0x6c7967656e657261ull;
	v[3] = key[1] ^ 0x7465646279746573ull;
	for (unsigned i = 0; i <= count; i++) {
		uint64_t word = i < count ? words[i] : last;

		v[3] ^= word;
		mix(v, 2);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	mix(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/** See cc.h. */
uint32_t lwip_port_random(void)
{
	static uint64_t count;
	uint64_t words[2] = { ++count, 0 };

	return (uint32_t)hash(words, 2);
}

/** See hooks.h: a clock of 4 us, and what only we know of the two ends. */
uint32_t lwip_port_isn(const ip_addr_t *local, uint16_t local_port,
		       const ip_addr_t *peer, uint16_t peer_port)
{
	uint64_t words[WORDS] = { 1, (uint64_t)local_port << 16 | peer_port };

	if (IP_IS_V6(local)) {
		memcpy(words + 2, ip_2_ip6(local)->addr, 16);
		memcpy(words + 4, ip_2_ip6(peer)->addr, 16);
	} else {
		words[2] = ip_2_ip4(local)->addr;
		words[3] = ip_2_ip4(peer)->addr;
	}
	return (uint32_t)hash(words, WORDS) +
	       (uint32_t)(loop_uptime_ms() * 250);
}
