// SPDX-License-Identifier: MIT
/*
 * The ring's four full fences (proto/ring.h): at each, the other end does its half
 * of the protocol, between this end's store and its load. Then both must see
 * the other's store, and a fence that is missing, or on the wrong side of the
 * store or of the load, shows. That the fences are enough is the model's to say:
 * qemu-test/spin/ring.pml.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void fence(int order);

#define __atomic_thread_fence(order)	fence(order)
#include "proto/ring.h"
#undef __atomic_thread_fence

#define SECTION	(RING_HEADER_SIZE + RING_DATA_MIN)

static struct ring tx, rx;
static uint8_t section[2][SECTION] __attribute__((aligned(4096)));
static void (*meanwhile)(void);		/* at the next full fence, once */
static bool seen;			/* what the other end found */

static void fence(int order)
{
	void (*now)(void) = meanwhile;

	if (order == __ATOMIC_SEQ_CST && now) {
		meanwhile = NULL;
		now();
	}
}

static int setup(void **state)
{
	(void)state;
	memset(section, 0, sizeof(section));
	meanwhile = NULL;
	seen = false;
	assert_int_equal(ring_init(&tx, section[0], section[1], SECTION, 7),
			 RING_OK);
	assert_int_equal(ring_init(&rx, section[1], section[0], SECTION, 7),
			 RING_OK);
	assert_int_equal(ring_attach(&tx), RING_OK);
	assert_int_equal(ring_attach(&rx), RING_OK);
	return 0;
}

static enum ring_status put(uint32_t len)
{
	static const uint8_t payload[RING_PAYLOAD_MAX];
	struct ring_packet packet = { .len = len };

	return ring_tx_packet(&tx, &packet, payload);
}

static void take(void)
{
	static uint8_t payload[RING_PAYLOAD_MAX];
	struct ring_packet packet;

	assert_int_equal(ring_rx_next(&rx, &packet), RING_OK);
	ring_rx_copy(&rx, 0, payload, packet.len);
	ring_rx_done(&rx);
}

static void receiver_arms(void)
{
	seen = ring_rx_arm(&rx);
}

static void sender_commits(void)
{
	assert_int_equal(put(5), RING_OK);
	seen = ring_tx_commit(&tx);
}

static void sender_arms(void)
{
	seen = ring_tx_arm(&tx, RING_PAYLOAD_MAX) == RING_OK;
}

static void receiver_commits(void)
{
	take();
	seen = ring_rx_commit(&rx);
}

/* A packet against a receiver that is about to sleep. */
static void tx_commit(void **state)
{
	(void)state;
	ring_rx_disarm(&rx);
	assert_int_equal(put(5), RING_OK);
	meanwhile = receiver_arms;
	assert_true(ring_tx_commit(&tx));
	assert_true(seen);
}

static void rx_arm(void **state)
{
	(void)state;
	ring_rx_disarm(&rx);
	meanwhile = sender_commits;
	assert_true(ring_rx_arm(&rx));
	assert_true(seen);
}

/* Space against a sender that is about to sleep. */
static void fill(void)
{
	while (put(RING_PAYLOAD_MAX) == RING_OK) {
	}
	ring_tx_commit(&tx);
}

static void rx_commit(void **state)
{
	(void)state;
	fill();
	take();
	meanwhile = sender_arms;
	assert_true(ring_rx_commit(&rx));
	assert_true(seen);
}

static void tx_arm(void **state)
{
	(void)state;
	fill();
	meanwhile = receiver_commits;
	assert_int_equal(ring_tx_arm(&tx, RING_PAYLOAD_MAX), RING_OK);
	assert_true(seen);
}

#define TEST(f)	cmocka_unit_test_setup(f, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(tx_commit), TEST(rx_arm), TEST(rx_commit), TEST(tx_arm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
