/* SPDX-License-Identifier: MIT */
/*
 * A vsock for tests: fake/vsock.h. The calls of a service, and the client at the
 * other end.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/fake/vsock.h"

struct fake_vsock fake_vsock;

int vsock_listen(struct vsock *vs, uint32_t port, const struct vsock_ops *ops,
		 void *arg)
{
	assert_null(vs);
	fake_vsock.listens = port;
	fake_vsock.ops = ops;
	fake_vsock.service = arg;
	return 0;
}

/* A place for one, empty. */
static struct vsock_conn *place(const struct vsock_ops *ops, void *arg)
{
	struct vsock_conn *c = fake_vsock.end;

	while (c->used) {
		assert_true(++c < fake_vsock.end + FAKE_CONNS);
	}
	memset(c, 0, offsetof(struct vsock_conn, in));
	c->out_len = 0;
	c->ops = ops;
	c->arg = arg;
	c->takes = SIZE_MAX;
	c->used = true;
	return c;
}

struct vsock_conn *vsock_connect(struct vsock *vs, uint32_t port,
				 const struct vsock_ops *ops, void *arg)
{
	fake_vsock.called = vs;
	fake_vsock.calls = port;
	return fake_vsock.down ? NULL : place(ops, arg);
}

size_t vsock_send(struct vsock_conn *conn, const void *data, size_t len)
{
	size_t space = conn->out_len < fake_vsock.room
		       ? fake_vsock.room - conn->out_len : 0;
	size_t n = len < space ? len : space;

	n = n < conn->takes ? n : conn->takes;
	assert_true(conn->used && !conn->gone);
	if (conn->shut) {	/* nothing, as from ours */
		return 0;
	}
	if (n > 0) {
		memcpy(conn->out + conn->out_len, data, n);
	}
	conn->out_len += n;
	conn->takes -= n;
	conn->want_room |= n < len;
	return n;
}

size_t vsock_send_pieces(struct vsock_conn *conn,
			 const struct vsock_piece *pieces, unsigned count)
{
	size_t done = 0;

	for (unsigned i = 0; i < count; i++) {
		size_t n = vsock_send(conn, pieces[i].data, pieces[i].len);

		assert_true(pieces[i].len > 0);
		done += n;
		if (n < pieces[i].len) {
			break;
		}
	}
	return done;
}

void vsock_hold(struct vsock_conn *conn, size_t bytes)
{
	conn->held += bytes;
	assert_true(conn->held <= fake_vsock.room);
}

void vsock_release(struct vsock_conn *conn, size_t bytes)
{
	assert_true(conn->used && bytes <= conn->held);
	conn->held -= bytes;
}

void vsock_shutdown(struct vsock_conn *conn, unsigned flags)
{
	(void)flags;
	conn->shut = true;
}

void vsock_reset(struct vsock_conn *conn)
{
	conn->gone = true;
}

uint64_t vsock_slice_end(const struct vsock_conn *conn)
{
	assert_true(conn->used);
	return fake_vsock.no_time ? 0 : UINT64_MAX;
}

void vsock_again(struct vsock_conn *conn)
{
	assert_false(conn->gone);
	conn->want_room = true;
}

uint32_t vsock_peer_port(const struct vsock_conn *conn)
{
	return conn->port;
}

void *vsock_arg(const struct vsock_conn *conn)
{
	return conn->arg;
}

void vsock_set_arg(struct vsock_conn *conn, void *arg)
{
	conn->arg = arg;
}

/** For each test: room for all, time for all, a privileged port. */
void fake_vsock_setup(void)
{
	fake_vsock.room = fake_vsock.chunk = FAKE_QUEUE;
	fake_vsock.port = 600;
	fake_vsock.no_time = false;
}

/** A client at that port connects; our end. */
struct vsock_conn *fake_vsock_reach(uint32_t port)
{
	struct vsock_conn *c = place(fake_vsock.ops, fake_vsock.service);

	c->port = port;
	c->ops->on_open(c);
	return c;
}

/** The first one begins anew, by fake_vsock.port. */
void fake_vsock_open(void)
{
	fake_vsock.end->used = false;
	fake_vsock_reach(fake_vsock.port);
}

/** Its other end is gone. */
void fake_vsock_gone(struct vsock_conn *conn, int error)
{
	conn->ops->on_close(conn, error);
	conn->used = false;
}

void fake_vsock_close(void)
{
	fake_vsock.ops->on_close(fake_vsock.end, ECONNRESET);
}

/** The client sends; returns how much there was room for. */
size_t fake_vsock_send(const void *data, size_t len)
{
	struct vsock_conn *end = fake_vsock.end;
	size_t used = end->len + end->held;
	size_t space = used < fake_vsock.room ? fake_vsock.room - used : 0;
	size_t n = len < space ? len : space;

	if (n > 0) {
		memcpy(end->in + end->len, data, n);
	}
	end->len += n;
	return n;
}

/** The client reads all that is there; returns how much. */
size_t fake_vsock_take(void *data)
{
	size_t n = fake_vsock.end->out_len;

	if (n > 0) {
		memcpy(data, fake_vsock.end->out, n);
	}
	fake_vsock.end->out_len = 0;
	return n;
}

/** The event loop's next round. */
void fake_vsock_step(void)
{
	static uint8_t data[FAKE_QUEUE];
	struct vsock_conn *end = fake_vsock.end;
	size_t n = end->len < fake_vsock.chunk ? end->len : fake_vsock.chunk;

	if (n > 0 && !end->gone) {
		memcpy(data, end->in, n);
		end->len -= n;
		memmove(end->in, end->in + n, end->len);
		fake_vsock.ops->on_data(end, data, n);
	}
	if (end->want_room && !end->gone && end->out_len < fake_vsock.room) {
		end->want_room = false;
		fake_vsock.ops->on_writable(end);
	}
}
