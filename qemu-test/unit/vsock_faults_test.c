/* SPDX-License-Identifier: MIT */
/*
 * The host's vsock endpoint with a peer that breaks the rules, floods it, or
 * starts anew.
 */
#include "host-bridge/vsock/vsock_internal.h"
#include "vsock_fixture.h"

static void test_over_credit(void **state)
{
	struct peer *p = *state;
	static uint8_t data[RING_PAYLOAD_MAX];

	open_conn(p, 5000, SEEN_PORT);
	open_conn(p, 5001, VSOCK_PORT_ECHO);
	seen.hold = 1;
	for (unsigned i = 0; i < 4; i++) {
		peer_send(p, 5000, SEEN_PORT, OP_RW, 0, data, sizeof(data));
		expect_none(p);
	}
	peer_send(p, 5000, SEEN_PORT, OP_RW, 0, data, 1);
	assert_int_equal(expect(p, OP_RST).dst_port, 5000);
	assert_int_equal(seen.error, ECONNRESET);
	/* Nobody else is harmed. */
	peer_send(p, 5001, VSOCK_PORT_ECHO, OP_RW, 0, "on", 2);
	expect(p, OP_RW);
}

static void test_false_credit(void **state)
{
	struct peer *p = *state;
	static const uint32_t claims[] = { 6, 0x80000000u, 0xffffffffu };

	for (unsigned i = 0; i < 3; i++) {
		open_conn(p, 5000, SEEN_PORT);
		vsock_send(seen.conn, "12345", 5);
		expect(p, OP_RW);
		peer_send(p, 5000, SEEN_PORT, OP_CREDIT_UPDATE, claims[i],
			  NULL, 0);
		expect(p, OP_RST);
	}
	open_conn(p, 5000, SEEN_PORT);
	vsock_send(seen.conn, "12345", 5);
	expect(p, OP_RW);
	peer_send(p, 5000, SEEN_PORT, OP_CREDIT_UPDATE, 5, NULL, 0);
	expect_none(p);
	peer_send(p, 5000, SEEN_PORT, OP_CREDIT_UPDATE, 4, NULL, 0);
	expect(p, OP_RST);	/* takes back */
}

static void test_wrong_packets(void **state)
{
	struct peer *p = *state;
	static const uint16_t ops[] = { 0, OP_REQUEST, OP_RESPONSE, 8, 0xffff };
	struct ring_packet packet;

	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		open_conn(p, 5000, SEEN_PORT);
		peer_send(p, 5000, SEEN_PORT, ops[i], 0, NULL, 0);
		expect(p, OP_RST);
	}
	/* Data before the answer to our REQUEST. */
	vsock_connect(p->vs, 1023, &seen_ops, NULL);
	packet = expect(p, OP_REQUEST);
	peer_send(p, 1023, packet.src_port, OP_RW, 0, "x", 1);
	expect(p, OP_RST);
	/* Data after its own shutdown of sending. */
	open_conn(p, 5000, SEEN_PORT);
	packet = (struct ring_packet){ .src_port = 5000, .dst_port = SEEN_PORT,
		.op = OP_SHUTDOWN, .flags = VSOCK_SHUT_SEND };
	peer_put(p, &packet, NULL);
	expect_none(p);
	assert_int_equal(seen.shutdown, VSOCK_SHUT_SEND);
	peer_send(p, 5000, SEEN_PORT, OP_RW, 0, "x", 1);
	expect(p, OP_RST);
	assert_int_equal(seen.bytes, 0);
}

static void test_table_full(void **state)
{
	struct peer *p = *state;
	struct vsock_status status;

	for (uint32_t i = 0; i < 176; i++) {
		open_conn(p, 10000 + i, SEEN_PORT);
	}
	peer_send(p, 1024, SEEN_PORT, OP_REQUEST, 0, NULL, 0);
	expect(p, OP_RST);
	/* Those who may have such ports find 64 more. */
	for (uint32_t i = 0; i < 64; i++) {
		open_conn(p, 1023 - i, SEEN_PORT);
	}
	peer_send(p, 1, SEEN_PORT, OP_REQUEST, 0, NULL, 0);
	expect(p, OP_RST);
	/* Our own connections have some left. */
	for (uint32_t i = 0; i < 16; i++) {
		assert_non_null(vsock_connect(p->vs, 1, &seen_ops, NULL));
		expect(p, OP_REQUEST);
	}
	assert_null(vsock_connect(p->vs, 1, &seen_ops, NULL));
	for (uint32_t i = 0; i < 240; i++) {
		peer_send(p, i < 176 ? 10000 + i : 1023 - (i - 176), SEEN_PORT,
			  OP_SHUTDOWN, 0, NULL, 0);
		expect(p, OP_RST);
	}
	vsock_get_status(p->vs, &status);
	assert_int_equal(status.connections, 16);
}

/* A peer that takes nothing: our memory stays bounded, its packets wait in the
 * ring, and all goes on when it takes again. */
static void test_back_pressure(void **state)
{
	struct peer *p = *state;
	struct ring_packet packet;
	uint32_t sent = 0, answered = 0;

	while (peer_send(p, 5000, 12345, OP_REQUEST, 0, NULL, 0) == RING_OK) {
		sent++;
		peer_run(p, 10);
	}
	assert_true(sent > 2 * RING_DATA_MIN / 48 - 10);
	p->doorbells = 0;
	while (peer_take(p, &packet) == RING_OK) {
		assert_int_equal(packet.op, OP_RST);
		answered++;
		peer_run(p, 100);
	}
	assert_int_equal(answered, sent);
}

/* Three connections with much to send get equal shares, to a packet. */
static void test_fair(void **state)
{
	struct peer *p = *state;
	static uint8_t data[0x80000];
	struct vsock_conn *conn[3];
	struct ring_packet packet;
	size_t got[3] = { 0 };

	for (uint32_t i = 0; i < 3; i++) {
		open_conn(p, 5000 + i, SEEN_PORT);
		conn[i] = seen.conn;
	}
	for (uint32_t i = 0; i < 3; i++) {
		vsock_send(conn[i], data, sizeof(data));
	}
	for (unsigned n = 0; n < 8; n++) {
		peer_run(p, 10);
		assert_int_equal(peer_take(p, &packet), RING_OK);
		if (n >= 3) {	/* after what went straight to the ring */
			got[packet.dst_port - 5000] += packet.len;
		}
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_true(got[i] >= 0x10000);
	}
}

/* When the time is up, one packet is taken and one connection served: there is
 * progress, and no more of it. */
static void test_time_is_up(void **state)
{
	struct peer *p = *state;
	struct ring_packet packet;

	open_conn(p, 5000, SEEN_PORT);
	open_conn(p, 5001, SEEN_PORT);
	for (uint32_t i = 0; i < 4; i++) {
		peer_send(p, 5000 + i % 2, SEEN_PORT, OP_RW, 0, "abc", 3);
	}
	for (size_t i = 1; i <= 4; i++) {
		assert_int_equal(vsock_event(p->vs, 0), i < 4);
		assert_int_equal(seen.bytes, 3 * i);
	}
	assert_false(vsock_event(p->vs, 0));
	/* Both ask to be called again: in turn. */
	for (uint32_t i = 0; i < 2; i++) {
		vsock_again(vsock_conn_find(p->vs, SEEN_PORT, 5000 + i));
	}
	assert_true(vsock_due(p->vs));
	assert_true(vsock_event(p->vs, 0));
	assert_int_equal(seen.writables, 1);
	assert_false(vsock_event(p->vs, 0));
	assert_int_equal(seen.writables, 2);
	/* One that ends, and one with the same ports right behind it: the old
	 * one is over before the new one begins, in however many turns. */
	for (uint32_t i = 0; i < 2; i++) {
		vsock_again(vsock_conn_find(p->vs, SEEN_PORT, 5000 + i));
	}
	peer_send(p, 5001, SEEN_PORT, OP_RST, 0, NULL, 0);
	peer_send(p, 5001, SEEN_PORT, OP_REQUEST, 0, NULL, 0);
	while (vsock_event(p->vs, 0)) {
	}
	assert_int_equal(seen.closes, 1);
	assert_int_equal(seen.opens, 3);
	assert_int_equal(peer_take(p, &packet), RING_OK);
	assert_int_equal(packet.op, OP_RESPONSE);
}

static void test_restart(void **state)
{
	struct peer *p = *state;
	struct vsock_status status;

	for (unsigned i = 0; i < 20; i++) {
		open_conn(p, 5000, SEEN_PORT);
		vsock_connect(p->vs, 1, &seen_ops, NULL);
		p->table[CHANNEL_ST_GENERATION]++;
		peer_restart(p);
		assert_int_equal(seen.closes, 2 * (i + 1));
		assert_int_equal(seen.error, ECONNRESET);
		vsock_get_status(p->vs, &status);
		assert_true(status.up);
		assert_int_equal(status.connections, 0);
		assert_int_equal(status.generation, i + 2);
	}
	open_conn(p, 5000, VSOCK_PORT_ECHO);
}

/* Each broken ring rule: the channel goes down with its reason, the host waits
 * for Linux to start over, and works again. */
static void test_faults(void **state)
{
	struct peer *p = *state;
	struct vsock_status status;

	for (unsigned i = 0; i < 4; i++) {
		struct ring_header *own = p->ring.own;

		open_conn(p, 5000, SEEN_PORT);
		switch (i) {
		case 0:
			own->prod += 3;
			break;
		case 1:
			own->prod += 0x40000008u;
			break;
		case 2:		/* a length that reaches past prod */
			memset(p->ring.tx_data + p->ring.prod, 0x11, 48);
			own->prod += 48;
			break;
		case 3:
			own->cons += 8192;
			vsock_send(seen.conn, p->payload, 0x10000);
			vsock_send(seen.conn, p->payload, 0x10000);
			vsock_send(seen.conn, p->payload, 0x10000);
			vsock_send(seen.conn, p->payload, 0x10000);
			break;
		}
		peer_run(p, 10);
		vsock_get_status(p->vs, &status);
		assert_false(status.up);
		assert_string_not_equal(status.reason, "none");
		assert_int_equal(seen.closes, i + 1);
		/* READY in our word is stale until we were seen to go down. */
		assert_int_equal(p->table[CHANNEL_ST_STATE(0)],
				 CHANNEL_STATE_DOWN);
		peer_restart(p);
	}
	p->table[CHANNEL_ST_STATE(1)] = CHANNEL_STATE_DOWN;
	peer_run(p, 10);
	p->table[CHANNEL_ST_STATE(1)] = CHANNEL_STATE_INIT;
	peer_run(p, 10);
	peer_up(p);
	p->ring.own->generation++;
	peer_run(p, 10);
	vsock_get_status(p->vs, &status);
	assert_false(status.up);
	peer_restart(p);
	open_conn(p, 5000, VSOCK_PORT_ECHO);
}

static void test_doorbells(void **state)
{
	struct peer *p = *state;

	open_conn(p, 5000, VSOCK_PORT_ECHO);
	ring_rx_arm(&p->ring);
	p->doorbells = 0;
	peer_send(p, 5000, VSOCK_PORT_ECHO, OP_RW, 0, "a", 1);
	peer_send(p, 5000, VSOCK_PORT_ECHO, OP_RW, 0, "b", 1);
	peer_run(p, 10);
	assert_int_equal(p->doorbells, 1);	/* one for both answers */
	peer_send(p, 5000, VSOCK_PORT_ECHO, OP_RW, 0, "c", 1);
	peer_run(p, 10);
	assert_int_equal(p->doorbells, 1);	/* not asked for again */
}

/* A peer that waits for space is rung when there is some, whatever else it is
 * not told of. */
static void test_doorbell_for_space(void **state)
{
	struct peer *p = *state;

	while (peer_send(p, 5000, 4444, OP_RW, 0, p->payload, 20000) ==
	       RING_OK) {
	}
	assert_int_equal(ring_tx_arm(&p->ring, 20000), RING_FULL);
	/* for the answers it has not asked */
	ring_rx_disarm(&p->ring);
	p->doorbells = 0;
	peer_run(p, 100);
	assert_int_equal(p->doorbells, 1);
}

/* What ends a life: a peer that is READY no more, and a new generation, whatever
 * its word says. */
static void test_ends(void **state)
{
	struct peer *p = *state;
	struct vsock_status status;

	open_conn(p, 5000, SEEN_PORT);
	p->table[CHANNEL_ST_STATE(1)] = CHANNEL_STATE_INIT;
	peer_run(p, 10);
	vsock_get_status(p->vs, &status);
	assert_false(status.up);
	assert_int_equal(seen.closes, 1);
	peer_restart(p);
	open_conn(p, 5000, SEEN_PORT);
	p->table[CHANNEL_ST_GENERATION]++;
	peer_run(p, 10);
	vsock_get_status(p->vs, &status);
	assert_false(status.up);
	assert_int_equal(seen.closes, 2);
	/* its READY is one from before: we wait until it has seen us go */
	assert_int_equal(p->table[CHANNEL_ST_STATE(0)], CHANNEL_STATE_DOWN);
}

static void test_chargen(void **state)
{
	struct peer *p = *state;
	struct ring_packet packet;
	uint32_t got = 0;

	open_conn(p, 5000, VSOCK_PORT_CHARGEN);
	while (got < 1000000) {
		peer_run(p, 10);
		while (peer_take(p, &packet) == RING_OK) {
			uint32_t line = got / 74 % 95, column = got % 74;

			assert_int_equal(packet.op, OP_RW);
			if (column < 72) {
				assert_int_equal(p->payload[0],
						 ' ' + (line + column) % 95);
			}
			got += packet.len;
		}
		peer_send(p, 5000, VSOCK_PORT_CHARGEN, OP_CREDIT_UPDATE, got,
			  NULL, 0);
	}
}

/* Packets at random, most on a few live connections: bounded, no crash, and
 * the endpoint still serves afterwards. */
static void test_storm(void **state)
{
	struct peer *p = *state;
	static const uint32_t ports[] = { 7, 9, 19, SEEN_PORT, 12345, 0x10000 };
	struct ring_packet packet;
	struct vsock_status status;
	uint32_t seed = 1;

	for (unsigned i = 0; i < 200000; i++) {
		seed = seed * 1664525u + 1013904223u;
		struct ring_packet in = {
			.src_port = seed >> 30, .dst_port = ports[seed % 6],
			.op = (seed >> 8) % 9, .flags = (seed >> 12) % 4,
			.buf_alloc = (seed >> 3) % 5 ? PEER_CREDIT : seed,
			.fwd_cnt = (seed >> 5) % 7 ? 0 : seed >> 16,
			.len = (seed >> 7) % 11 ? 0 : (seed >> 9) % 3000,
			.type = (seed >> 17) % 50 ? 1 : seed >> 9,
		};
		if (peer_put(p, &in, p->payload) == RING_FULL || i % 5 == 0) {
			peer_run(p, 20);
			while (peer_take(p, &packet) == RING_OK) {
			}
		}
		if (i % 1000 == 0) {
			vsock_tick(p->vs, i);
		}
	}
	vsock_get_status(p->vs, &status);
	assert_true(status.up);
	assert_int_equal(status.resets, 0);
	peer_restart(p);
	open_conn(p, 5000, VSOCK_PORT_ECHO);
}

/* Ports far apart, whose low bits are all the same: they do not make the table a
 * list. */
/* An answer to a request that has not been sent, whose port was guessed. */
static void test_early_answer(void **state)
{
	struct peer *p = *state;
	struct vsock_conn *conn = vsock_connect(p->vs, 1023, &seen_ops, NULL);

	assert_non_null(conn);
	assert_true(conn->owed & OWE_REQUEST);
	peer_send(p, 1023, conn->local_port, OP_RESPONSE, 0, NULL, 0);
	peer_run(p, 100);
	assert_int_equal(seen.opens, 0);
	assert_int_equal(seen.closes, 1);
	assert_int_equal(seen.error, ECONNRESET);
}

static void test_chosen_ports(void **state)
{
	struct peer *p = *state;
	unsigned longest = 0;

	for (uint32_t i = 1; i <= 120; i++) {
		open_conn(p, i << 25, SEEN_PORT);
	}
	for (unsigned i = 0; i < 1u << VSOCK_BUCKET_BITS; i++) {
		unsigned n = 0;

		for (struct vsock_conn *c = p->vs->bucket[i]; c != NULL;
		     c = c->hash_next) {
			n++;
		}
		longest = n > longest ? n : longest;
	}
	assert_in_range(longest, 1, 30);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_over_credit),
		T(test_false_credit),
		T(test_wrong_packets),
		T(test_table_full),
		T(test_back_pressure),
		T(test_fair),
		T(test_time_is_up),
		T(test_restart),
		T(test_faults),
		T(test_doorbells),
		T(test_chargen),
		T(test_storm),
		T(test_early_answer),
		T(test_doorbell_for_space),
		T(test_ends),
		T(test_chosen_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
