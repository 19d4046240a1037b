// SPDX-License-Identifier: MIT
/*
 * The ring (proto/ring.h): two ends back to back in ordinary memory, and one end
 * against a peer that writes nonsense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/ring.h"

#define SECTION	(RING_HEADER_SIZE + RING_DATA_MIN)

struct pair {
	uint8_t *section[2];
	struct ring end[2];
};

static uint32_t seed = 1;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)seed * below) >> 32);
}

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	seed = 1;
	for (int i = 0; i < 2; i++) {
		p->section[i] = calloc(1, SECTION);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ring_init(&p->end[i], p->section[i],
					   p->section[1 - i], SECTION, 7),
				 RING_OK);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ring_attach(&p->end[i]), RING_OK);
	}
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	free(p->section[0]);
	free(p->section[1]);
	free(p);
	return 0;
}

/* Both ends as if bytes had gone each way already. */
static void start_at(struct pair *p, uint32_t index)
{
	for (int i = 0; i < 2; i++) {
		struct ring *r = &p->end[i];

		r->prod = r->published = r->peer_cons = index;
		r->cons = r->cons_published = r->peer_prod = index;
		r->own->prod = r->own->cons = index;
		r->own->prod_event = index;
		r->own->cons_event = index - RING_ALIGN;
	}
}

static uint8_t pattern(uint32_t seq, uint32_t i)
{
	return (uint8_t)(seq * 31 + i * 7 + (i >> 8));
}

static enum ring_status put(struct ring *r, uint32_t seq, uint32_t len)
{
	static uint8_t payload[RING_PAYLOAD_MAX];
	struct ring_packet packet = { .len = len, .flags = seq };

	for (uint32_t i = 0; i < len; i++) {
		payload[i] = pattern(seq, i);
	}
	return ring_tx_packet(r, &packet, payload);
}

static void take(struct ring *r, uint32_t seq)
{
	static uint8_t payload[RING_PAYLOAD_MAX];
	struct ring_packet packet;

	assert_int_equal(ring_rx_next(r, &packet), RING_OK);
	assert_int_equal(packet.flags, seq);
	ring_rx_copy(r, 0, payload, packet.len);
	for (uint32_t i = 0; i < packet.len; i++) {
		assert_int_equal(payload[i], pattern(seq, i));
	}
	ring_rx_done(r);
}

static void test_sizes(void **state)
{
	struct pair *p = *state;
	struct ring r;
	static const uint32_t bad[] = {
		0, 1, 4095, 4096, 4097, SECTION - 1, SECTION + 1,
		RING_HEADER_SIZE + RING_DATA_MIN / 2,
		RING_HEADER_SIZE + RING_DATA_MAX * 2, 0xffffffffu,
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ring_init(&r, p->section[0], p->section[1],
					   bad[i], 1), RING_BAD_SIZE);
	}
}

/* An end that comes again leaves nothing of before to the peer; one that
 * begins does not touch its data area, which is zero. */
static void test_data_cleared(void **state)
{
	struct pair *p = *state;
	uint8_t *data = p->section[0] + RING_HEADER_SIZE;

	assert_int_equal(put(&p->end[0], 1, 1000), RING_OK);
	data[RING_DATA_MIN - 1] = 1;
	assert_int_equal(ring_init(&p->end[0], p->section[0], p->section[1],
				   SECTION, 8), RING_OK);
	for (uint32_t i = 0; i < RING_DATA_MIN; i++) {
		assert_int_equal(data[i], 0);
	}
	memset(p->section[0], 0, RING_HEADER_SIZE);
	data[0] = 1;
	assert_int_equal(ring_init(&p->end[0], p->section[0], p->section[1],
				   SECTION, 8), RING_OK);
	assert_int_equal(data[0], 1);
}

static void test_attach(void **state)
{
	struct pair *p = *state;
	struct ring_header *peer = (struct ring_header *)p->section[1];

	peer->magic++;
	assert_int_equal(ring_attach(&p->end[0]), RING_BAD_HEADER);
	peer->magic--;
	peer->version++;
	assert_int_equal(ring_attach(&p->end[0]), RING_BAD_HEADER);
	peer->version--;
	peer->generation++;
	assert_int_equal(ring_attach(&p->end[0]), RING_BAD_HEADER);
	peer->generation--;
	assert_int_equal(ring_attach(&p->end[0]), RING_OK);
}

/* Random lengths and batches for many rounds of the data area; the start makes
 * the 32-bit indices wrap on the way. */
static void stream(struct pair *p, uint32_t start)
{
	struct ring *tx = &p->end[0], *rx = &p->end[1];
	uint32_t sent = 0, taken = 0;

	start_at(p, start);
	while (taken < 2000) {
		for (uint32_t n = rnd(8); n != 0; n--) {
			uint32_t len = rnd(4) ? rnd(300) :
				       rnd(RING_PAYLOAD_MAX + 1);
			enum ring_status status = put(tx, sent, len);

			assert_true(status == RING_OK || status == RING_FULL);
			sent += status == RING_OK;
		}
		ring_tx_commit(tx);
		for (uint32_t n = rnd(8); n != 0 && taken != sent; n--) {
			take(rx, taken++);
		}
		ring_rx_commit(rx);
		assert_true(tx->prod - rx->cons <= tx->size);
	}
}

static void test_stream(void **state)
{
	stream(*state, 0);
	stream(*state, 0u - 0x10000u);
	stream(*state, 0x80000000u - 0x10000u);
}

static void test_empty_full(void **state)
{
	struct pair *p = *state;
	struct ring *tx = &p->end[0], *rx = &p->end[1];
	struct ring_packet packet;
	uint32_t n = 0;

	assert_int_equal(ring_rx_next(rx, &packet), RING_EMPTY);
	assert_int_equal(put(tx, 0, 0), RING_OK);
	/* Not published: not seen. */
	assert_int_equal(ring_rx_next(rx, &packet), RING_EMPTY);
	ring_tx_commit(tx);
	take(rx, 0);
	assert_int_equal(ring_rx_next(rx, &packet), RING_EMPTY);
	ring_rx_commit(rx);

	/* 48-byte records fill the area but for what is no multiple of 48. */
	while (put(tx, n, 0) == RING_OK) {
		n++;
	}
	assert_int_equal(n, RING_DATA_MIN / 48);
	ring_tx_commit(tx);
	take(rx, 0);
	assert_int_equal(put(tx, n, 0), RING_FULL);
	ring_rx_commit(rx);
	assert_int_equal(put(tx, n, 0), RING_OK);
	assert_int_equal(put(tx, n + 1, 0), RING_FULL);
}

static void test_largest(void **state)
{
	struct pair *p = *state;

	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(put(&p->end[0], i, RING_PAYLOAD_MAX),
				 RING_OK);
	}
	assert_int_equal(put(&p->end[0], 3, RING_PAYLOAD_MAX), RING_FULL);
	ring_tx_commit(&p->end[0]);
	for (uint32_t i = 0; i < 3; i++) {
		take(&p->end[1], i);
	}
}

static void test_doorbell_data(void **state)
{
	struct pair *p = *state;
	struct ring *tx = &p->end[0], *rx = &p->end[1];

	assert_false(ring_tx_commit(tx));	/* nothing to publish */
	assert_false(ring_rx_arm(rx));
	put(tx, 0, 5);
	assert_true(ring_tx_commit(tx));	/* armed */
	put(tx, 1, 5);
	assert_false(ring_tx_commit(tx));	/* passed already */
	take(rx, 0);
	assert_true(ring_rx_arm(rx));		/* one is left: do not wait */
	take(rx, 1);
	assert_false(ring_rx_arm(rx));
	put(tx, 2, 5);
	assert_true(ring_tx_commit(tx));
	take(rx, 2);
	assert_false(ring_rx_arm(rx));
	ring_rx_disarm(rx);
	put(tx, 3, 5);
	assert_false(ring_tx_commit(tx));
}

static void test_doorbell_space(void **state)
{
	struct pair *p = *state;
	struct ring *tx = &p->end[0], *rx = &p->end[1];
	uint32_t n = 0;

	start_at(p, 0u - 4096u);
	while (put(tx, n, 1000) == RING_OK) {
		n++;
	}
	ring_tx_commit(tx);
	take(rx, 0);
	assert_false(ring_rx_commit(rx));	/* not asked for */
	assert_int_equal(ring_tx_arm(tx, 1000), RING_OK);
	assert_int_equal(put(tx, n, 1000), RING_OK);
	ring_tx_commit(tx);

	assert_int_equal(ring_tx_arm(tx, 5000), RING_FULL);
	for (uint32_t i = 1; i <= 5; i++) {
		take(rx, i);
		/* The doorbell comes with the packet that makes the space. */
		if (ring_rx_commit(rx)) {
			assert_int_equal(put(tx, n + 1, 5000), RING_OK);
			return;
		}
		assert_int_equal(ring_tx_begin(tx, 5000), RING_FULL);
	}
	fail_msg("no doorbell for space");
}

static void test_bad_prod(void **state)
{
	struct pair *p = *state;
	struct ring *rx = &p->end[1];
	struct ring_header *peer = (struct ring_header *)p->section[0];
	struct ring_packet packet;
	static const uint32_t bad[] = {
		1, 4, 47, RING_DATA_MIN + 8, RING_DATA_MIN + 1, 0x7fffffffu,
		0x80000000u, 0xfffffff8u, 0xffffffffu,
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		peer->prod = bad[i];
		assert_int_equal(ring_rx_next(rx, &packet), RING_BAD_PROD);
	}
	/* Within the ring, but not a whole packet. */
	peer->prod = 40;
	assert_int_equal(ring_rx_next(rx, &packet), RING_BAD_LENGTH);
}

static void test_bad_cons(void **state)
{
	struct pair *p = *state;
	struct ring *tx = &p->end[0];
	struct ring_header *peer = (struct ring_header *)p->section[1];
	static const uint32_t back[] = { 40, 0, 4, 0xfffffff8u, 0x80000000u };
	uint32_t n = 0;

	while (put(tx, n, 0) == RING_OK) {
		n++;
	}
	ring_tx_commit(tx);
	peer->cons = n * 48 + 8;	/* more than we sent */
	assert_int_equal(ring_tx_begin(tx, 0), RING_BAD_CONS);
	peer->cons = 44;		/* not aligned */
	assert_int_equal(ring_tx_begin(tx, 0), RING_BAD_CONS);
	peer->cons = 48;
	assert_int_equal(put(tx, n, 0), RING_OK);
	assert_int_equal(put(tx, n, 0), RING_FULL);
	for (size_t i = 0; i < sizeof(back) / sizeof(back[0]); i++) {
		peer->cons = back[i];	/* moves back */
		assert_int_equal(ring_tx_begin(tx, 0), RING_BAD_CONS);
	}
	/* What is put but not published cannot have been taken. */
	peer->cons = n * 48 + 48;
	assert_int_equal(ring_tx_begin(tx, 0), RING_BAD_CONS);
}

static void test_bad_length(void **state)
{
	struct pair *p = *state;
	struct ring *rx = &p->end[1];
	struct ring_header *peer = (struct ring_header *)p->section[0];
	struct ring_packet packet = { 0 };
	static const uint32_t bad[] = {
		5, 4096, RING_PAYLOAD_MAX, RING_PAYLOAD_MAX + 1, 0x7fffffffu,
		0xffffffd4u, 0xffffffcfu, 0xffffffffu,
	};

	peer->prod = 48;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		packet.len = bad[i];
		memcpy(p->section[0] + RING_HEADER_SIZE, &packet,
		       RING_PACKET_HEADER);
		rx->peer_prod = rx->cons;
		assert_int_equal(ring_rx_next(rx, &packet), RING_BAD_LENGTH);
	}
	packet.len = 4;		/* fits the padding exactly */
	memcpy(p->section[0] + RING_HEADER_SIZE, &packet, RING_PACKET_HEADER);
	assert_int_equal(ring_rx_next(rx, &packet), RING_OK);
}

/* A peer that writes random words in its header and data at every step: nothing
 * outside the buffers is touched (ASan), every status is a known one. */
static void test_storm(void **state)
{
	struct pair *p = *state;
	struct ring *r = &p->end[1];
	uint32_t *words = (uint32_t *)p->section[0];
	static uint8_t payload[RING_PAYLOAD_MAX];
	struct ring_packet packet;
	uint32_t resets = 0, packets = 0;

	for (uint32_t i = 0; i < 300000; i++) {
		uint32_t word = rnd(4) ? 16 * (1 + rnd(5)) :
				rnd(SECTION / 4);
		enum ring_status status;

		words[word] = rnd(2) ? rnd(RING_DATA_MIN / 8) * 8 + r->cons :
			      rnd(0xffffffffu);
		/* Often plausible lengths, so that packets get through. */
		words[(RING_HEADER_SIZE + ((r->cons + 24) &
		       (r->size - 1))) / 4] = rnd(4) ? rnd(2000) : rnd(0x20000);
		status = ring_rx_next(r, &packet);
		if (status == RING_OK) {
			ring_rx_copy(r, 0, payload, packet.len);
			ring_rx_done(r);
			packets++;
			status = put(r, i, rnd(200));
		}
		ring_rx_commit(r);
		ring_tx_commit(r);
		ring_rx_arm(r);
		if (status > RING_FULL) {
			assert_true(status <= RING_BAD_LENGTH);
			ring_init(r, p->section[1], p->section[0], SECTION, 8);
			resets++;
		}
	}
	assert_true(resets > 1000 && packets > 1000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_sizes), T(test_data_cleared), T(test_attach),
		T(test_stream),
		T(test_empty_full), T(test_largest), T(test_doorbell_data),
		T(test_doorbell_space), T(test_bad_prod), T(test_bad_cons),
		T(test_bad_length), T(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
