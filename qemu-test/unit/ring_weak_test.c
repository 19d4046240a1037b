// SPDX-License-Identifier: MIT
/*
 * The ring's own code (proto/ring.h), compiled, under a memory weaker than x86's
 * (weak.c): a sender and a receiver, each of which sleeps when it has nothing to do,
 * in a ring of two packets. In all runs each packet comes, whole, in its order, and
 * nobody sleeps for ever; and without any one of the fences that is not so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weak.h"

#define RING_COPY	weak_copy
#include "proto/ring.h"

#define DATA	128u			/* two packets, and a half */
#define LEN	4u
#define HEADER	(sizeof(struct ring_header))

/* Sections without the unused rest of their first pages. */
static uint8_t memory[2][HEADER + DATA] __attribute__((aligned(8)));
static struct ring tx, rx;
static uint32_t packets;

static void end(struct ring *r, unsigned own)
{
	memset(r, 0, sizeof(*r));
	r->own = (struct ring_header *)(void *)memory[own];
	r->peer = (struct ring_header *)(void *)memory[!own];
	r->tx_data = memory[own] + HEADER;
	r->rx_data = memory[!own] + HEADER;
	r->size = DATA;
	r->own->cons_event = 0u - RING_ALIGN;
}

static void set_up(void)
{
	memset(memory, 0, sizeof(memory));
	end(&tx, 0);
	end(&rx, 1);
}

static void commit(void)
{
	if (ring_tx_commit(&tx)) {
		weak_ring();
	}
}

static void send(void)
{
	for (uint32_t i = 1; i <= packets; i++) {
		struct ring_packet packet = { .src_cid = i, .len = LEN };
		uint32_t payload = ~i;
		enum ring_status st;

		while ((st = ring_tx_packet(&tx, &packet, &payload)) ==
		       RING_FULL) {
			commit();
			if (ring_tx_arm(&tx, LEN) == RING_FULL) {
				weak_sleep();
			}
		}
		if (st != RING_OK) {
			weak_wrong("the receiver's index");
		}
		commit();
	}
}

static void take(uint32_t wanted)
{
	struct ring_packet packet = { 0 };
	uint32_t payload = 0;
	enum ring_status st;

	while ((st = ring_rx_next(&rx, &packet)) == RING_EMPTY) {
		if (!ring_rx_arm(&rx)) {
			weak_sleep();
		}
		ring_rx_disarm(&rx);
	}
	if (st != RING_OK || packet.len != LEN) {
		weak_wrong("the sender's index, or length");
	}
	ring_rx_copy(&rx, 0, &payload, LEN);
	if (packet.src_cid != wanted || payload != ~wanted) {
		weak_wrong("another packet");
	}
	ring_rx_done(&rx);
	if (ring_rx_commit(&rx)) {
		weak_ring();
	}
}

static void receive(void)
{
	for (uint32_t i = 1; i <= packets; i++) {
		take(i);
	}
}

static struct weak_result explore(uint32_t count, unsigned preemptions,
				  const void *without)
{
	const struct weak_test test = {
		.shared = memory, .size = sizeof(memory), .set_up = set_up,
		.thread = { send, receive }, .preemptions = preemptions,
		.runs_max = 5000000,
	};

	packets = count;
	return weak_explore(&test, without);
}

/* One packet with five changes of threads besides those that must be, three with two. */
static void each_packet_comes(void **state)
{
	struct weak_result one = explore(1, 5, NULL);
	struct weak_result three = explore(3, 2, NULL);

	(void)state;
	printf("%lu runs of one packet, %lu of three\n", one.runs, three.runs);
	assert_null(one.wrong);
	assert_null(three.wrong);
	assert_true(one.runs > 1000 && three.runs > 1000);
}

/* In ring_load() and ring_store(), and the four full ones. */
static void each_fence_is_needed(void **state)
{
	struct weak_result all = explore(3, 1, NULL);

	(void)state;
	assert_null(all.wrong);
	assert_int_equal(all.sites, 6);
	for (unsigned i = 0; i < all.sites; i++) {
		struct weak_result r = explore(3, 2, all.site[i]);

		printf("without the fence at %p: %s, after %lu runs\n",
		       all.site[i], r.wrong ? r.wrong : "nothing", r.runs);
		assert_non_null(r.wrong);
		assert_null(strstr(r.wrong, "too many"));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_packet_comes),
		cmocka_unit_test(each_fence_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
