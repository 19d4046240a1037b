/* SPDX-License-Identifier: MIT */
/*
 * Disks on a channel as it is, ring and credit and all, and a client that is as
 * Linux's driver: it sends a request as a whole, once it knows of credit for all of
 * it. Whatever the requests' sizes are, and whenever the store has them wait or
 * takes a part: all are answered. Else both ends would wait for each other for ever.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/blk/cache.h"
#include "host-bridge/fs/volume.h"
#include "host-bridge/nbd/nbd_server.h"
#include "proto/nbd.h"

static uint64_t slice;
#define PEER_SLICE	slice
#include "qemu-test/unit/vsock_peer.h"

#define GO		assert_int_equal
#define PORT		664u
#define SIZE		(1u << 20)
#define DEPTH		64u
#define WAITS		16u		/* at a time */
#define ROUNDS		300u
#define REQUESTS	60u		/* of a round */

/* ---- What chance decides ---- */

static unsigned round;
static uint64_t seed;

static uint32_t chance(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

/* ---- The store: says EAGAIN as it likes ---- */

static uint8_t content[SIZE];
static struct volume_wait *waits[WAITS];
static unsigned moody;			/* of 8 calls so many have to wait */
static uint64_t stuck = SIZE;		/* what is read from there has to */

static bool moods(void)
{
	return chance(8) < moody;
}

/* Its place, or a free one. */
static struct volume_wait **place(const struct volume_wait *wait)
{
	for (unsigned i = 0; i < WAITS; i++) {
		if (waits[i] == wait) {
			return &waits[i];
		}
	}
	return wait != NULL ? place(NULL) : NULL;
}

static void look(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	assert_non_null(place(wait));
	*place(wait) = wait;
}

static int begin(struct volume_turns *turns, struct volume_wait *wait)
{
	look(turns, wait);
	return moods() ? EAGAIN : 0;
}

static void end(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	*place(wait) = NULL;
}

static int store_map(struct nbd_store *store, uint64_t offset, size_t len,
		     struct volume_seg *segs, unsigned max, unsigned *count,
		     size_t *done)
{
	(void)store;
	(void)max;
	if (moods() || offset == stuck) {
		return EAGAIN;
	}
	*done = 1 + chance((uint32_t)len);
	segs[0] = (struct volume_seg){ content + offset, *done };
	*count = 1;
	return 0;
}

static int store_write(struct nbd_store *store, uint64_t offset,
		       const void *data, size_t len, size_t *done)
{
	(void)store;
	if (moods()) {
		return EAGAIN;
	}
	*done = moods() ? 1 + chance((uint32_t)len) : len;
	memcpy(content + offset, data, *done);
	return 0;
}

static const struct nbd_store_ops ops = {
	.map = store_map, .write = store_write,
};
static struct volume_turns turns = { look, begin, begin, end };
static struct nbd_store store = { .ops = &ops, .size = SIZE, .turns = &turns };

/* ---- The client ---- */

static struct peer peer;
static uint32_t sent, consumed, allowed, received;
static uint8_t got[NBD_DATA_MAX + RING_DATA_MIN];	/* of answers */
static uint32_t got_len;
static struct {
	bool open;
	uint32_t data;				/* bytes of its answer */
} asked[DEPTH];					/* by cookie, which goes round */
static unsigned first, last;			/* how many answered, and asked */

/* Packets from the host. */
static void take(void)
{
	struct ring_packet packet;

	while (peer_take(&peer, &packet) == RING_OK) {
		assert_true(packet.op == OP_RW || packet.op == OP_RESPONSE ||
			    packet.op == OP_CREDIT_UPDATE);
		consumed = packet.fwd_cnt;
		allowed = packet.buf_alloc;
		if (packet.op == OP_RW) {
			assert_true(got_len + packet.len <= sizeof(got));
			memcpy(got + got_len, peer.payload, packet.len);
			got_len += packet.len;
			received += packet.len;
		}
	}
}

static void drop(uint32_t len)
{
	got_len -= len;
	memmove(got, got + len, got_len);
}

/* Answers that are here as a whole, in any order. */
static void answers(void)
{
	while (first != last && got_len >= sizeof(struct nbd_answer)) {
		struct nbd_answer answer;
		unsigned at;

		memcpy(&answer, got, sizeof(answer));
		at = answer.cookie % DEPTH;
		GO(answer.magic, NBD_BE32(NBD_ANSWER_MAGIC));
		GO(answer.error, 0);
		assert_true(answer.cookie < last && asked[at].open);
		if (got_len < sizeof(answer) + asked[at].data) {
			break;
		}
		drop((uint32_t)sizeof(answer) + asked[at].data);
		asked[at].open = false;
		first++;
	}
}

/* A whole message, if credit and ring have room for it. */
static bool say(const uint8_t *data, uint32_t len)
{
	uint32_t used = peer.ring.prod - ring_load(&peer.ring.peer->cons);

	if (len > allowed - (sent - consumed) || peer.ring.size - used <
	    len + (len / RING_PAYLOAD_MAX + 2) * RING_RECORD(8)) {
		return false;
	}
	sent += len;
	while (len != 0) {
		struct ring_packet packet = {
			.src_port = PORT, .dst_port = NBD_PORT, .op = OP_RW,
			.len = len < RING_PAYLOAD_MAX ? len : RING_PAYLOAD_MAX,
			.buf_alloc = 1u << 30, .fwd_cnt = received,
		};

		GO(peer_put(&peer, &packet, data), RING_OK);
		data += packet.len;
		len -= packet.len;
	}
	return true;
}

static bool ask_at(uint16_t type, uint64_t offset, uint32_t len)
{
	static uint8_t message[sizeof(struct nbd_request) + NBD_DATA_MAX];
	struct nbd_request head = {
		.magic = NBD_BE32(NBD_REQUEST_MAGIC),
		.type = NBD_BE16(type), .cookie = last,
		.offset = NBD_BE64(offset), .len = NBD_BE32(len),
		.flags = NBD_BE16(type == NBD_WRITE && moods() ? NBD_FLAG_FUA
							       : 0),
	};
	uint32_t more = type == NBD_WRITE ? len : 0;

	memcpy(message, &head, sizeof(head));
	if (asked[last % DEPTH].open || !say(message, sizeof(head) + more)) {
		return false;
	}
	asked[last % DEPTH].open = true;
	asked[last++ % DEPTH].data = type == NBD_READ ? len : 0;
	return true;
}

static bool ask(uint16_t type, uint32_t len)
{
	return ask_at(type, chance((SIZE - len) / 512 + 1) * 512ull, len);
}

/* ---- The world ---- */

/* One step of somebody's. */
static void step(void)
{
	/* One of those who wait, or none. */
	if (chance(2) == 0) {
		unsigned from = chance(WAITS), i = 0;

		while (i < WAITS && waits[(from + i) % WAITS] == NULL) {
			i++;
		}
		if (i < WAITS) {
			waits[(from + i) % WAITS]->ready(
				waits[(from + i) % WAITS]);
		}
	}
	/* One packet, or all. */
	(void)vsock_event(peer.vs, chance(2) == 0 ? 0 : UINT64_MAX);
	take();
	answers();
}

/* Steps until it is so, which must be soon. */
#define UNTIL(what)							\
	for (unsigned until = 0; !(what); until++) {			\
		if (until == 20000) {					\
			fail_msg("round %u stands still: %u asked, %u "	\
				 "answered, credit for %u", round, last,	\
				 first, allowed - (sent - consumed));	\
		}							\
		step();							\
	}

static void connect_disk(void)
{
	static const uint8_t hello[] =
		"\0\0\0\3IHAVEOPT\0\0\0\7\0\0\0\7\0\0\0\1d\0\0";
	struct ring_packet packet = {
		.src_port = PORT, .dst_port = NBD_PORT, .op = OP_REQUEST,
		.buf_alloc = 1u << 30,
	};
	uint32_t want = sizeof(struct nbd_hello) +
			3 * sizeof(struct nbd_option_reply) +
			sizeof(struct nbd_info_export) +
			sizeof(struct nbd_info_block_size);

	sent = consumed = allowed = received = got_len = 0;
	first = last = 0;
	memset(asked, 0, sizeof(asked));
	GO(peer_put(&peer, &packet, NULL), RING_OK);
	UNTIL(allowed != 0);
	assert_true(say(hello, sizeof(hello) - 1));
	UNTIL(got_len == want);
	drop(want);
}

/* Of sectors: one, some, or as many as may be. */
static uint32_t size_of_some(void)
{
	static const uint32_t most[] = { 1, 8, 128, NBD_DATA_MAX / 512 };
	uint32_t sectors = most[chance(4)];

	return 512 * (chance(2) == 0 ? sectors : 1 + chance(sectors));
}

static struct nbd_service *service;

static void start(unsigned number)
{
	round = number;
	seed = number;
	moody = 0;
	peer_init(&peer);
	GO(nbd_service_start(peer.vs, &service), 0);
	GO(nbd_service_add(service, "d", &store), 0);
	connect_disk();
}

static void stop(void)
{
	peer_fini(&peer);
	free(service);
}

static void all_requests_are_answered(void **state)
{
	(void)state;
	for (unsigned number = 0; number < ROUNDS; number++) {
		slice = number % 3 == 0 ? 0 : UINT64_MAX / 4;
		start(number);
		moody = number % 8;
		for (unsigned i = 0; i < REQUESTS; i++) {
			uint16_t type = chance(4) == 0 ? NBD_READ : NBD_WRITE;
			uint32_t len = size_of_some();

			UNTIL(ask(type, len));
		}
		UNTIL(first == last);
		stop();
	}
}

/* Requests of all numbers are put off together and then carried out together: what
 * Linux is not told of then is as much as can be, and it asks for as much as it
 * may. */
static void the_largest_follows_any(void **state)
{
	(void)state;
	slice = UINT64_MAX / 4;
	for (unsigned count = 1; count < DEPTH; count++) {
		uint32_t head = sizeof(struct nbd_request);
		uint32_t sectors = (head + NBD_DATA_MAX - 1 - count * head) / 512;

		start(count);
		moody = 8;
		for (unsigned i = 0; i < count; i++) {
			uint32_t n = sectors / (count - i);

			UNTIL(ask(NBD_WRITE, 512 * n));
			sectors -= n;
		}
		for (unsigned i = 0; i < 10; i++) {
			step();
		}
		GO(first, 0);
		moody = 0;
		UNTIL(first == last);
		UNTIL(ask(NBD_WRITE, NBD_DATA_MAX));
		UNTIL(first == last);
		stop();
	}
}

/* Who waits for a block keeps nobody waiting, but that there may be so many of
 * them. */
static void nobody_waits_for_another(void **state)
{
	(void)state;
	slice = UINT64_MAX / 4;
	start(1);
	stuck = 0;
	UNTIL(ask_at(NBD_READ, 0, 4096));
	UNTIL(ask_at(NBD_READ, 8192, 4096));
	UNTIL(ask_at(NBD_WRITE, 4096, 4096));
	UNTIL(ask_at(NBD_FLUSH, 0, 0));
	UNTIL(first == 3);
	assert_true(asked[0].open);
	for (unsigned i = 1; i < WAITS; i++) {
		UNTIL(ask_at(NBD_READ, 0, 4096));
	}
	UNTIL(ask_at(NBD_READ, 8192, 4096));
	for (unsigned i = 0; i < 100; i++) {
		step();
	}
	GO(first, 3);
	stuck = SIZE;
	UNTIL(first == last);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_requests_are_answered),
		cmocka_unit_test(the_largest_follows_any),
		cmocka_unit_test(nobody_waits_for_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
