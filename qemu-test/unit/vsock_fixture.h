/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the host's vsock endpoint share: a service that records
 * what it is told, and the peer's side of a connection.
 */
#ifndef VSOCK_FIXTURE_H
#define VSOCK_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vsock_peer.h"

#define BOTH	(VSOCK_SHUT_RCV | VSOCK_SHUT_SEND)

/* What a service under test saw. */
struct seen {
	unsigned opens, closes, writables;
	unsigned shutdown;
	int error;
	size_t bytes;
	size_t hold;		/* bytes of the next on_data to hold */
	struct vsock_conn *conn;
};

static struct seen seen;

static void on_open(struct vsock_conn *conn)
{
	seen.opens++;
	seen.conn = conn;
}

static void on_data(struct vsock_conn *conn, const void *data, size_t len)
{
	(void)data;
	seen.bytes += len;
	if (seen.hold != 0) {
		vsock_hold(conn, len);
	}
}

static void on_writable(struct vsock_conn *conn)
{
	(void)conn;
	seen.writables++;
}

static void on_shutdown(struct vsock_conn *conn, unsigned flags)
{
	(void)conn;
	seen.shutdown = flags;
}

static void on_close(struct vsock_conn *conn, int error)
{
	(void)conn;
	seen.closes++;
	seen.error = error;
}

static const struct vsock_ops seen_ops = {
	.on_open = on_open, .on_data = on_data, .on_writable = on_writable,
	.on_shutdown = on_shutdown, .on_close = on_close,
};

#define SEEN_PORT	100u

static uint64_t fixture_idle(void)
{
	return UINT64_MAX;
}

static int setup(void **state)
{
	struct peer *p = malloc(sizeof(*p));

	memset(&seen, 0, sizeof(seen));
	seen.error = -1;
	peer_init(p);
	assert_int_equal(services_init(p->vs, fixture_idle), 0);
	assert_int_equal(vsock_listen(p->vs, SEEN_PORT, &seen_ops, NULL), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	peer_fini(*state);
	free(*state);
	return 0;
}

static struct ring_packet expect(struct peer *p, uint16_t op)
{
	struct ring_packet packet;

	peer_run(p, 100);
	assert_int_equal(peer_take(p, &packet), RING_OK);
	assert_int_equal(packet.op, op);
	assert_int_equal(packet.src_cid, VSOCK_CID_HOST);
	assert_int_equal(packet.dst_cid, VSOCK_CID_GUEST);
	return packet;
}

static void expect_none(struct peer *p)
{
	struct ring_packet packet;

	peer_run(p, 100);
	assert_int_equal(peer_take(p, &packet), RING_EMPTY);
}

static void open_conn(struct peer *p, uint32_t src, uint32_t dst)
{
	struct ring_packet packet;

	peer_send(p, src, dst, OP_REQUEST, 0, NULL, 0);
	packet = expect(p, OP_RESPONSE);
	assert_int_equal(packet.src_port, dst);
	assert_int_equal(packet.dst_port, src);
	assert_int_equal(packet.type, 1);
	assert_int_equal(packet.buf_alloc, 0x40000);
}

#endif
