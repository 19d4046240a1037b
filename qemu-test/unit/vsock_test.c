/* SPDX-License-Identifier: MIT */
/*
 * The host's vsock endpoint with a peer that keeps the rules.
 */
#include "vsock_fixture.h"

static void test_echo(void **state)
{
	struct peer *p = *state;
	struct ring_packet packet;

	open_conn(p, 5000, VSOCK_PORT_ECHO);
	peer_send(p, 5000, VSOCK_PORT_ECHO, OP_RW, 0, "hello", 5);
	packet = expect(p, OP_RW);
	assert_int_equal(packet.len, 5);
	assert_memory_equal(p->payload, "hello", 5);
	peer_send(p, 5000, VSOCK_PORT_ECHO, OP_SHUTDOWN, 5, NULL, 0);
	packet = expect(p, OP_RST);
	assert_int_equal(packet.dst_port, 5000);
	expect_none(p);
}

/* The line, and the end. */
static void test_idle(void **state)
{
	static const char line[] = "18446744073709551615\n";
	struct peer *p = *state;
	struct ring_packet packet;

	open_conn(p, 5000, VSOCK_PORT_IDLE);
	packet = expect(p, OP_RW);
	assert_int_equal(packet.len, sizeof(line) - 1);
	assert_memory_equal(p->payload, line, sizeof(line) - 1);
	packet = expect(p, OP_SHUTDOWN);
	expect_none(p);
}

/* 8 MiB through echo, with a peer that reads only now and then: the credit
 * rules hold both ways and every byte comes back in order. */
static void test_echo_bulk(void **state)
{
	struct peer *p = *state;
	static uint8_t block[RING_PAYLOAD_MAX];
	struct ring_packet packet;
	uint32_t sent = 0, back = 0, fwd = 0, total = 8u << 20, turn = 0;

	open_conn(p, 5000, VSOCK_PORT_ECHO);
	while (back < total) {
		uint32_t n = turn * 977u % RING_PAYLOAD_MAX + 1;

		n = n < total - sent ? n : total - sent;
		if (n != 0 && sent + n - fwd <= PEER_CREDIT) {
			for (uint32_t i = 0; i < n; i++) {
				block[i] = (uint8_t)((sent + i) * 2654435761u
						     >> 24);
			}
			if (peer_send(p, 5000, VSOCK_PORT_ECHO, OP_RW, back,
				      block, n) == RING_OK) {
				sent += n;
			}
		}
		peer_run(p, 100);
		if (turn++ % 7 < 4 && sent != total) {
			continue;
		}
		while (peer_take(p, &packet) == RING_OK) {
			fwd = packet.fwd_cnt;
			if (packet.op == OP_CREDIT_UPDATE) {
				continue;
			}
			assert_int_equal(packet.op, OP_RW);
			for (uint32_t i = 0; i < packet.len; i++) {
				assert_int_equal(p->payload[i], (uint8_t)(
					(back + i) * 2654435761u >> 24));
			}
			back += packet.len;
			assert_true(back <= sent);
		}
		peer_send(p, 5000, VSOCK_PORT_ECHO, OP_CREDIT_UPDATE, back,
			  NULL, 0);
		assert_true(turn < 100000);
	}
	assert_int_equal(sent, total);
}

static void test_echo_half_close(void **state)
{
	struct peer *p = *state;
	struct ring_packet packet = {
		.src_port = 5000, .dst_port = VSOCK_PORT_ECHO,
		.op = OP_SHUTDOWN, .flags = VSOCK_SHUT_SEND,
		.buf_alloc = PEER_CREDIT,
	};

	open_conn(p, 5000, VSOCK_PORT_ECHO);
	peer_send(p, 5000, VSOCK_PORT_ECHO, OP_RW, 0, "tail", 4);
	peer_put(p, &packet, NULL);
	packet = expect(p, OP_RW);
	assert_int_equal(packet.len, 4);
	packet = expect(p, OP_SHUTDOWN);
	assert_int_equal(packet.flags, BOTH);
	peer_send(p, 5000, VSOCK_PORT_ECHO, OP_RST, 4, NULL, 0);
	expect_none(p);
	/* The ports are free again. */
	open_conn(p, 5000, VSOCK_PORT_ECHO);
}

/* Flags that there are not do not count, with others or alone. */
static void test_shutdown_flags(void **state)
{
	struct peer *p = *state;
	struct ring_packet packet = {
		.src_port = 5000, .dst_port = SEEN_PORT, .op = OP_SHUTDOWN,
		.flags = (uint32_t)~BOTH, .buf_alloc = PEER_CREDIT,
	};

	open_conn(p, 5000, SEEN_PORT);
	peer_put(p, &packet, NULL);
	expect_none(p);
	assert_int_equal(seen.shutdown, 0);
	peer_send(p, 5000, SEEN_PORT, OP_RW, 0, "x", 1);
	expect_none(p);
	assert_int_equal(seen.bytes, 1);
	packet.flags = UINT32_MAX;
	peer_put(p, &packet, NULL);
	expect(p, OP_RST);
	assert_int_equal(seen.shutdown, BOTH);
	assert_int_equal(seen.closes, 1);
	assert_int_equal(seen.error, 0);
}

static void test_refused(void **state)
{
	struct peer *p = *state;
	struct ring_packet packet = {
		.src_port = 5000, .dst_port = VSOCK_PORT_ECHO,
		.op = OP_REQUEST, .type = 2,
	};
	struct vsock_status status;

	peer_send(p, 5000, 12345, OP_REQUEST, 0, NULL, 0);
	expect(p, OP_RST);			/* no such service */
	peer_send(p, 5000, VSOCK_PORT_ECHO, OP_RW, 0, "x", 1);
	expect(p, OP_RST);			/* no such connection */
	peer_send(p, 5000, VSOCK_PORT_ECHO, OP_RST, 0, NULL, 0);
	expect_none(p);				/* never RST for RST */
	peer_put(p, &packet, NULL);		/* seqpacket */
	packet = expect(p, OP_RST);
	assert_int_equal(packet.type, 2);

	packet = (struct ring_packet){ .src_cid = 9, .dst_cid = 2,
		.src_port = 1, .dst_port = VSOCK_PORT_ECHO, .op = OP_REQUEST };
	peer_put(p, &packet, NULL);		/* not its address */
	expect_none(p);
	vsock_get_status(p->vs, &status);
	assert_int_equal(status.dropped, 1);
	assert_int_equal(status.connections, 0);
}

static void test_connect(void **state)
{
	struct peer *p = *state;
	struct vsock_conn *conn;
	struct ring_packet packet;

	conn = vsock_connect(p->vs, 1023, &seen_ops, (void *)&seen);
	assert_non_null(conn);
	assert_ptr_equal(vsock_arg(conn), &seen);
	assert_int_equal(vsock_peer_port(conn), 1023);
	/* What is sent before the answer waits for it. */
	assert_int_equal(vsock_send(conn, "early", 5), 5);
	packet = expect(p, OP_REQUEST);
	expect_none(p);
	assert_int_equal(seen.opens, 0);
	peer_send(p, 1023, packet.src_port, OP_RESPONSE, 0, NULL, 0);
	packet = expect(p, OP_RW);
	assert_int_equal(seen.opens, 1);
	assert_memory_equal(p->payload, "early", 5);

	vsock_shutdown(conn, BOTH);
	packet = expect(p, OP_SHUTDOWN);
	peer_send(p, 1023, packet.src_port, OP_RST, 5, NULL, 0);
	expect_none(p);
	assert_int_equal(seen.closes, 1);
	assert_int_equal(seen.error, 0);
}

static void test_connect_refused(void **state)
{
	struct peer *p = *state;
	struct ring_packet packet;

	vsock_connect(p->vs, 1023, &seen_ops, NULL);
	packet = expect(p, OP_REQUEST);
	peer_send(p, 1023, packet.src_port, OP_RST, 0, NULL, 0);
	expect_none(p);
	assert_int_equal(seen.error, ECONNREFUSED);

	vsock_connect(p->vs, 1023, &seen_ops, NULL);
	packet = expect(p, OP_REQUEST);
	vsock_tick(p->vs, 4999);
	expect_none(p);
	assert_int_equal(seen.closes, 1);
	vsock_tick(p->vs, 5000);
	expect(p, OP_RST);
	assert_int_equal(seen.error, ETIMEDOUT);
}

static void test_close_timeout(void **state)
{
	struct peer *p = *state;

	open_conn(p, 5000, SEEN_PORT);
	vsock_shutdown(seen.conn, BOTH);
	expect(p, OP_SHUTDOWN);
	vsock_tick(p->vs, 8000);
	expect(p, OP_RST);
	assert_int_equal(seen.closes, 1);
	assert_int_equal(seen.error, 0);
}

static void test_peer_reset(void **state)
{
	struct peer *p = *state;

	open_conn(p, 5000, SEEN_PORT);
	peer_send(p, 5000, SEEN_PORT, OP_RST, 0, NULL, 0);
	expect_none(p);
	assert_int_equal(seen.error, ECONNRESET);

	open_conn(p, 5000, SEEN_PORT);
	vsock_reset(seen.conn);
	expect(p, OP_RST);
	assert_int_equal(seen.closes, 2);
	assert_int_equal(vsock_send(seen.conn, "x", 1), 0);
}

/* We send no more than the peer's credit, queue a bounded rest, and say when
 * there is room again. */
static void test_send_credit(void **state)
{
	struct peer *p = *state;
	static uint8_t data[0x100000];
	struct ring_packet packet;
	size_t taken, got = 0;

	open_conn(p, 5000, SEEN_PORT);
	taken = vsock_send(seen.conn, data, sizeof(data));
	assert_in_range(taken, 0x40000, 0x80000);
	assert_int_equal(vsock_send(seen.conn, data, 1), 0);
	for (unsigned i = 0; i < 100; i++) {
		peer_run(p, 10);
		while (peer_take(p, &packet) == RING_OK) {
			got += packet.len;
		}
	}
	assert_int_equal(got, PEER_CREDIT);
	assert_int_equal(seen.writables, taken == PEER_CREDIT);
	while (got < taken) {
		peer_send(p, 5000, SEEN_PORT, OP_CREDIT_UPDATE, (uint32_t)got,
			  NULL, 0);
		peer_run(p, 10);
		while (peer_take(p, &packet) == RING_OK) {
			got += packet.len;
		}
	}
	assert_int_equal(got, taken);
	assert_int_equal(seen.writables, 1);
	assert_in_range(vsock_send(seen.conn, data, sizeof(data)), 0x40000,
			0x80000);
}

/* Not a byte more than the peer's credit, whatever that is, straight from
 * vsock_send() or from the queue. */
static void test_odd_credit(void **state)
{
	struct peer *p = *state;
	static uint8_t data[5000];
	struct ring_packet packet = {
		.src_port = 5000, .dst_port = SEEN_PORT, .op = OP_REQUEST,
		.buf_alloc = 1001,
	};

	peer_put(p, &packet, NULL);
	expect(p, OP_RESPONSE);
	assert_int_equal(vsock_send(seen.conn, data, sizeof(data)), 5000);
	assert_int_equal(expect(p, OP_RW).len, 1001);
	expect_none(p);
	packet.op = OP_CREDIT_UPDATE;
	packet.fwd_cnt = 7;
	peer_put(p, &packet, NULL);
	assert_int_equal(expect(p, OP_RW).len, 7);
	expect_none(p);
	packet.fwd_cnt = 1008;
	peer_put(p, &packet, NULL);
	assert_int_equal(expect(p, OP_RW).len, 1001);
	expect_none(p);
}

/* Pieces are one stream, in as few packets as may be, whatever their sizes and
 * however much there is room for; what was not taken can be sent on. */
static void test_pieces(void **state)
{
	struct peer *p = *state;
	static uint8_t data[0x50000], back[sizeof(data)];
	struct vsock_piece pieces[64];
	size_t pieces_sent = 0;
	struct ring_packet packet;

	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i * 2654435761u >> 23);
	}
	open_conn(p, 5000, SEEN_PORT);
	for (unsigned seed = 1; seed < 60; seed++) {
		size_t len = 0, sent = 0, got = 0;
		unsigned count = 0, first = 0, packets = 0;
		size_t skip = 0;

		while (count < 1 + seed && len + 20000 < sizeof(data)) {
			size_t n = 1 + (seed * 7919u + count * 104729u) %
				   (seed % 3 == 0 ? 20000 : 4096);

			pieces[count++] = (struct vsock_piece){ data + len, n };
			len += n;
		}
		for (int turns = 0; got < len; turns++) {
			assert_true(turns < 1000);
			if (sent < len) {
				size_t n = vsock_send_pieces(seen.conn,
						pieces + first, count - first);

				sent += n;
				for (skip = n; skip > 0 &&
				     skip >= pieces[first].len; first++) {
					skip -= pieces[first].len;
				}
				if (skip > 0) {
					pieces[first].data = (const uint8_t *)
						pieces[first].data + skip;
					pieces[first].len -= skip;
				}
			}
			peer_run(p, 10);
			while (peer_take(p, &packet) == RING_OK) {
				memcpy(back + got, p->payload, packet.len);
				got += packet.len;
				packets++;
			}
			peer_send(p, 5000, SEEN_PORT, OP_CREDIT_UPDATE,
				  (uint32_t)(pieces_sent + got), NULL, 0);
		}
		pieces_sent += got;
		assert_memory_equal(back, data, len);
		if (len <= RING_PAYLOAD_MAX) {
			assert_int_equal(packets, 1);
		}
	}
	vsock_reset(seen.conn);
	assert_int_equal(vsock_send_pieces(seen.conn, pieces, 1), 0);
}

/* Held bytes are not credited; released ones are. */
static void test_hold(void **state)
{
	struct peer *p = *state;
	static uint8_t data[RING_PAYLOAD_MAX];
	struct ring_packet packet;

	open_conn(p, 5000, SEEN_PORT);
	seen.hold = 1;
	for (unsigned i = 0; i < 4; i++) {
		peer_send(p, 5000, SEEN_PORT, OP_RW, 0, data, sizeof(data));
		expect_none(p);
	}
	assert_int_equal(seen.bytes, PEER_CREDIT);
	vsock_release(seen.conn, 1000);
	expect_none(p);
	vsock_release(seen.conn, PEER_CREDIT - 1000);
	packet = expect(p, OP_CREDIT_UPDATE);
	assert_int_equal(packet.fwd_cnt, PEER_CREDIT);
	peer_send(p, 5000, SEEN_PORT, OP_CREDIT_REQUEST, 0, NULL, 0);
	expect(p, OP_CREDIT_UPDATE);
}

/* Answers first, and holds then. */
static void answer_on_data(struct vsock_conn *conn, const void *data, size_t len)
{
	assert_int_equal(vsock_send(conn, data, 1), 1);
	vsock_hold(conn, len);
}

/* What a service is just being shown is not credited by what it sends meanwhile. */
static void test_hold_after_an_answer(void **state)
{
	static const struct vsock_ops ops = { .on_data = answer_on_data };
	struct peer *p = *state;
	uint8_t data[3000] = { 0 };

	assert_int_equal(vsock_listen(p->vs, 200, &ops, NULL), 0);
	open_conn(p, 5000, 200);
	for (unsigned i = 0; i < 4; i++) {
		peer_send(p, 5000, 200, OP_RW, i, data, sizeof(data));
		assert_int_equal(expect(p, OP_RW).fwd_cnt, 0);
	}
}

/* Linux with a small socket buffer limits itself to it: it must not have to
 * wait for credit that never comes. */
static void test_small_window(void **state)
{
	struct peer *p = *state;
	uint8_t data[2048] = { 0 };
	struct ring_packet packet = {
		.src_port = 5000, .dst_port = SEEN_PORT, .op = OP_REQUEST,
		.buf_alloc = 4096,
	};

	peer_put(p, &packet, NULL);
	expect(p, OP_RESPONSE);
	packet.op = OP_RW;
	packet.len = sizeof(data);
	peer_put(p, &packet, data);
	packet = expect(p, OP_CREDIT_UPDATE);
	assert_int_equal(packet.fwd_cnt, 2048);
}

/* A service with more credit says so. Whatever came, was held or answered, when
 * all is consumed the peer knows of room for half of it. */
static void test_own_credit(void **state)
{
	static struct vsock_ops ops;
	static uint8_t data[RING_PAYLOAD_MAX];
	struct peer *p = *state;
	struct ring_packet packet = {
		.src_port = 5000, .dst_port = 201, .op = OP_REQUEST,
		.buf_alloc = 1u << 30,
	};
	uint32_t credit = 301000, told = 0, sent = 0, held = 0;

	ops = seen_ops;
	ops.credit = credit;
	assert_int_equal(vsock_listen(p->vs, 201, &ops, NULL), 0);
	peer_put(p, &packet, NULL);
	assert_int_equal(expect(p, OP_RESPONSE).buf_alloc, credit);
	packet.op = OP_RW;
	for (unsigned i = 1; i < 3000; i++) {
		packet.len = 1 + i * 2654435761u % sizeof(data);
		if (packet.len > credit - (sent - told)) {
			packet.len = credit - (sent - told);
		}
		seen.hold = i % 3;
		assert_int_equal(peer_put(p, &packet, data), RING_OK);
		sent += packet.len;
		peer_run(p, 10);
		held += seen.hold != 0 ? packet.len : 0;
		if (i % 7 == 0) {
			(void)vsock_send(seen.conn, data, 1);
		}
		if (i % 3 == 0 || held > credit / 2) {
			vsock_release(seen.conn, held);
			held = 0;
		}
		peer_run(p, 10);
		while (peer_take(p, &packet) == RING_OK) {
			told = packet.fwd_cnt;
			assert_int_equal(packet.buf_alloc, credit);
		}
		packet = (struct ring_packet){
			.src_port = 5000, .dst_port = 201, .op = OP_RW,
			.buf_alloc = 1u << 30,
		};
		assert_true(held != 0 || sent - told < credit / 2);
	}
}

/* What a service got that reads each byte once: from the ring, or copied. */
static struct {
	unsigned in_ring, copied;
	uint8_t next;
} once;

static void once_on_data(struct vsock_conn *conn, const void *data, size_t len)
{
	const struct peer *p = vsock_arg(conn);
	const uint8_t *bytes = data;

	if (bytes >= p->region &&
	    bytes < p->region + CHANNEL_REGION_SIZE(PEER_SECTION)) {
		once.in_ring++;
	} else {
		once.copied++;
	}
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(bytes[i], once.next++);
	}
}

/* It gets the ring's memory, but for a packet that lies on both ends of it. */
static void test_reads_once(void **state)
{
	static const struct vsock_ops ops = {
		.on_data = once_on_data, .reads_once = true,
	};
	struct peer *p = *state;
	uint8_t data[5000];

	assert_int_equal(vsock_listen(p->vs, 200, &ops, p), 0);
	open_conn(p, 5000, 200);
	for (unsigned i = 0; i < 120; i++) {
		for (size_t n = 0; n < sizeof(data); n++) {
			data[n] = (uint8_t)(i * sizeof(data) + n);
		}
		assert_int_equal(peer_send(p, 5000, 200, OP_RW, 0, data,
					   sizeof(data)), RING_OK);
		peer_run(p, 10);
	}
	assert_int_equal(once.copied, 2);
	assert_int_equal(once.in_ring, 118);
}

/* Who may read twice gets a copy, wherever it lies. */
static void test_reads_twice(void **state)
{
	static const struct vsock_ops ops = { .on_data = once_on_data };
	struct peer *p = *state;

	memset(&once, 0, sizeof(once));
	assert_int_equal(vsock_listen(p->vs, 200, &ops, p), 0);
	open_conn(p, 5000, 200);
	assert_int_equal(peer_send(p, 5000, 200, OP_RW, 0, "\0\1\2", 3),
			 RING_OK);
	peer_run(p, 10);
	assert_int_equal(once.copied, 1);
	assert_int_equal(once.in_ring, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_echo),
		T(test_idle),
		T(test_echo_bulk),
		T(test_echo_half_close),
		T(test_shutdown_flags),
		T(test_refused),
		T(test_connect),
		T(test_connect_refused),
		T(test_close_timeout),
		T(test_peer_reset),
		T(test_send_credit),
		T(test_odd_credit),
		T(test_pieces),
		T(test_hold),
		T(test_hold_after_an_answer),
		T(test_small_window),
		T(test_own_credit),
		T(test_reads_once),
		T(test_reads_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
