// SPDX-License-Identifier: MIT
/*
 * Connections of the host's AF_VSOCK endpoint: the calls of vsock.h. Nothing
 * here touches shared memory; vsock_packet.c does.
 *
 * Bounds: VSOCK_CONNS connections, VSOCK_QUEUE_SIZE unsent bytes each. A
 * connection that has something to do is on the work list, once; the event loop
 * serves the list in turn, one packet a connection.
 *
 * States: CONNECTING, OPEN, CLOSING (both ways shut by us), DEAD, then free.
 * Only the work list frees: until on_close has returned a pointer to a
 * connection is good, whatever the peer or a callback does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/rt/tsc.h"
#include "vsock_internal.h"

/* The peer chooses its ports, but does not know the seed. */
static unsigned bucket_of(const struct vsock *vs, uint32_t local_port,
			  uint32_t peer_port)
{
	return seed_bucket(vs->seed, (uint64_t)local_port << 32 | peer_port,
			   VSOCK_BUCKET_BITS);
}

/**
 * The connection with these ports, in whatever state, or NULL. Ports name it:
 * the CIDs are always the same two.
 */
struct vsock_conn *vsock_conn_find(struct vsock *vs, uint32_t local_port,
				   uint32_t peer_port)
{
	struct vsock_conn *conn = vs->bucket[bucket_of(vs, local_port, peer_port)];

	while (conn != NULL && (conn->local_port != local_port ||
				conn->peer_port != peer_port)) {
		conn = conn->hash_next;
	}
	return conn;
}

/**
 * A fresh connection in the table, CONN_CONNECTING, with nothing owed; NULL:
 * table full. The ports must not be in use.
 */
struct vsock_conn *vsock_conn_new(struct vsock *vs, uint32_t local_port,
				  uint32_t peer_port,
				  const struct vsock_ops *ops, void *arg)
{
	unsigned bucket = bucket_of(vs, local_port, peer_port);
	struct vsock_conn *conn = vs->free;

	if (conn == NULL) {
		return NULL;
	}
	vs->free = conn->hash_next;
	memset(conn, 0, sizeof(*conn));
	conn->vs = vs;
	conn->ops = ops;
	conn->arg = arg;
	conn->state = CONN_CONNECTING;
	conn->buf_alloc = ops->credit != 0 ? ops->credit : VSOCK_CREDIT;
	conn->local_port = local_port;
	conn->peer_port = peer_port;
	conn->hash_next = vs->bucket[bucket];
	vs->bucket[bucket] = conn;
	vs->stats.connections++;
	return conn;
}

/**
 * Puts the connection at the work list's end, if it is not on it, and makes
 * vsock_due() true.
 */
void vsock_conn_work(struct vsock_conn *conn)
{
	struct vsock *vs = conn->vs;

	if (conn->on_work) {
		return;
	}
	vs->due = true;
	conn->on_work = true;
	conn->work_next = NULL;
	if (vs->work_head == NULL) {
		vs->work_head = conn;
	} else {
		vs->work_tail->work_next = conn;
	}
	vs->work_tail = conn;
}

/**
 * Ends the connection; on_close(error) follows from the work list. What it had
 * still to send is dropped; send_rst: the peer is to be told, so not when it
 * told us or the link is down. A dead one stays as it is: the first error
 * counts.
 */
void vsock_conn_kill(struct vsock_conn *conn, int error, bool send_rst)
{
	if (conn->state == CONN_DEAD) {
		return;
	}
	conn->state = CONN_DEAD;
	conn->error = error;
	conn->owed = send_rst ? OWE_RST : 0;
	conn->queued = 0;
	/* Its ports are to be free before the peer's next packet is looked
	 * at. */
	conn->vs->dead++;
	vsock_conn_work(conn);
}

/**
 * Takes a dead connection, off the work list, out of the table. Its struct
 * serves the next one.
 */
void vsock_conn_free(struct vsock_conn *conn)
{
	struct vsock *vs = conn->vs;
	struct vsock_conn **link =
		&vs->bucket[bucket_of(vs, conn->local_port, conn->peer_port)];

	while (*link != conn) {
		link = &(*link)->hash_next;
	}
	*link = conn->hash_next;
	free(conn->queue);
	conn->queue = NULL;
	conn->state = CONN_FREE;
	vs->dead--;
	conn->hash_next = vs->free;
	vs->free = conn;
	vs->stats.connections--;
}

/** The service offered on a port, or NULL. */
const struct vsock_listener *vsock_listener_find(const struct vsock *vs,
						 uint32_t port)
{
	for (uint32_t i = 0; i < vs->listeners; i++) {
		if (vs->listener[i].port == port) {
			return &vs->listener[i];
		}
	}
	return NULL;
}

/**
 * Offers a service on a port, for ever; arg becomes vsock_arg() of new
 * connections. ops must stay. Returns 0, EADDRINUSE, or ENOMEM when there are
 * VSOCK_LISTENERS.
 */
int vsock_listen(struct vsock *vs, uint32_t port, const struct vsock_ops *ops,
		 void *arg)
{
	if (vsock_listener_find(vs, port) != NULL) {
		return EADDRINUSE;
	}
	if (vs->listeners == VSOCK_LISTENERS) {
		return ENOMEM;
	}
	vs->listener[vs->listeners++] =
		(struct vsock_listener){ port, ops, arg };
	return 0;
}

/**
 * Starts a connection to a port of the peer's, from a port of our own above
 * those of services. Returns it, with on_open or on_close to follow, from the
 * loop: ETIMEDOUT after about VSOCK_CONNECT_MS without an answer. NULL, and no
 * callback, when the link is down or the table is full.
 */
struct vsock_conn *vsock_connect(struct vsock *vs, uint32_t port,
				 const struct vsock_ops *ops, void *arg)
{
	struct vsock_conn *conn;

	if (!vs->attached) {
		return NULL;
	}
	/* The table is far smaller than the port space: this ends. */
	do {
		if (vs->next_port < VSOCK_PORT_FIRST) {
			vs->next_port = VSOCK_PORT_FIRST;
		}
		conn = vsock_conn_find(vs, vs->next_port++, port);
	} while (conn != NULL);
	conn = vsock_conn_new(vs, vs->next_port - 1, port, ops, arg);
	if (conn != NULL) {
		conn->owed = OWE_REQUEST;
		/* now_ms is the last tick's, so it may be shorter by a tick. */
		conn->deadline = vs->now_ms + VSOCK_CONNECT_MS;
		vsock_conn_work(conn);
	}
	return conn;
}

/* Appends to the send queue what it has room for; returns how much. Without
 * memory for a queue the connection ends: the stream would have a hole. */
static size_t queue_put(struct vsock_conn *conn, const uint8_t *data,
			size_t len)
{
	uint32_t at = (conn->queue_head + conn->queued) % VSOCK_QUEUE_SIZE;
	size_t room = VSOCK_QUEUE_SIZE - conn->queued;
	size_t n = len < room ? len : room;
	size_t first = VSOCK_QUEUE_SIZE - at;

	if (n == 0) {
		return 0;
	}
	if (conn->queue == NULL) {
		conn->queue = malloc(VSOCK_QUEUE_SIZE);
		if (conn->queue == NULL) {
			vsock_conn_kill(conn, ENOMEM, true);
			return 0;
		}
	}
	first = first < n ? first : n;
	memcpy(conn->queue + at, data, first);
	memcpy(conn->queue, data + first, n - first);
	conn->queued += (uint32_t)n;
	vsock_conn_work(conn);
	return n;
}

/* Whether the user may still put data; while connecting it waits. */
static bool may_send(const struct vsock_conn *conn)
{
	return (conn->state == CONN_OPEN || conn->state == CONN_CONNECTING) &&
	       (conn->shut_wish & VSOCK_SHUT_SEND) == 0;
}

/**
 * Takes up to len bytes to send, as credit, ring space and the queue allow;
 * data is copied. Returns how many, in order and without gaps; if it is less
 * than len, on_writable follows when half the queue is free, unless the
 * connection ends. 0 for one that is ending or was shut for sending. The peer
 * sees nothing before vsock_event().
 */
size_t vsock_send(struct vsock_conn *conn, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	size_t done = 0;

	if (!may_send(conn)) {
		return 0;
	}
	/* Straight into the ring as long as nothing waits before it. */
	while (done < len && conn->queued == 0 && conn->state == CONN_OPEN &&
	       (conn->owed & OWE_RESPONSE) == 0) {
		/* In packets as large as may be: each costs both ends a
		 * look. */
		size_t n = vsock_conn_credit(conn);

		n = n < len - done ? n : len - done;
		n = n < RING_PAYLOAD_MAX ? n : RING_PAYLOAD_MAX;
		if (n == 0 || !vsock_send_data(conn, bytes + done,
					       (uint32_t)n)) {
			break;
		}
		done += n;
	}
	if (done < len) {
		done += queue_put(conn, bytes + done, len - done);
		conn->want_room = done < len;
	}
	return done;
}

/**
 * As vsock_send() for count pieces, none of them empty. What the ring has no room
 * for goes to the queue, piece by piece.
 */
size_t vsock_send_pieces(struct vsock_conn *conn,
			 const struct vsock_piece *pieces, unsigned count)
{
	size_t len = 0, done = 0, skip = 0;

	for (unsigned i = 0; i < count; i++) {
		len += pieces[i].len;
	}
	while (done < len && may_send(conn) && conn->queued == 0 &&
	       conn->state == CONN_OPEN && (conn->owed & OWE_RESPONSE) == 0) {
		size_t n = vsock_conn_credit(conn);

		n = n < len - done ? n : len - done;
		n = n < RING_PAYLOAD_MAX ? n : RING_PAYLOAD_MAX;
		if (n == 0 || !vsock_send_gathered(conn, pieces, skip,
						   (uint32_t)n)) {
			break;
		}
		done += n;
		for (skip += n; skip > 0 && skip >= pieces->len; pieces++) {
			skip -= pieces->len;
		}
	}
	for (; done < len; pieces++, skip = 0) {
		size_t n = vsock_send(conn, (const uint8_t *)pieces->data +
				      skip, pieces->len - skip);

		done += n;
		if (n < pieces->len - skip) {
			break;
		}
	}
	return done;
}

/**
 * Within on_data: takes bytes out of what is credited back to the peer when it
 * returns, so that a service that cannot use them now is sent no more than its
 * credit. They are counted, not named: any bytes will do.
 */
void vsock_hold(struct vsock_conn *conn, size_t bytes)
{
	uint32_t most = conn->rx_cnt - conn->fwd_sent - conn->held;

	/* Bytes the peer was already told it may replace cannot be held. */
	conn->held += bytes < most ? (uint32_t)bytes : most;
}

/**
 * Credits bytes that were held, at most as many. The peer gets to know with the
 * next packet, or by one of its own when they are many.
 */
void vsock_release(struct vsock_conn *conn, size_t bytes)
{
	conn->held -= bytes < conn->held ? (uint32_t)bytes : conn->held;
	vsock_credit_check(conn);
}

/**
 * When a callback that began now should end, so that the others get their turn:
 * a service with much to do looks at the TSC between two pieces of it.
 */
uint64_t vsock_slice_end(const struct vsock_conn *conn)
{
	return tsc_now() + conn->vs->channel.slice;
}

/**
 * From a callback that was not done when its time was up: on_writable follows,
 * from the work list's end, without a new packet of the peer's. Nothing for a
 * connection that is ending.
 */
void vsock_again(struct vsock_conn *conn)
{
	conn->want_room = true;
	vsock_conn_work(conn);
}

/**
 * Says that we shall send no more (VSOCK_SHUT_SEND), receive no more
 * (VSOCK_SHUT_RCV), or both, which ends the connection once the peer agrees or
 * VSOCK_CLOSE_MS are over; data taken before is sent first. A peer that gives
 * no credit for that data keeps the connection until it ends it. May be called
 * twice, flags add up. Nothing for a connection that is ending.
 * [virtio 1.2 "Socket Device: Device Operation"]
 */
void vsock_shutdown(struct vsock_conn *conn, unsigned flags)
{
	if (conn->state == CONN_OPEN || conn->state == CONN_CONNECTING) {
		conn->shut_wish |= flags & (VSOCK_SHUT_RCV | VSOCK_SHUT_SEND);
		vsock_conn_work(conn);
	}
}

/**
 * Ends the connection with RST: data not yet sent is lost. on_close(ECONNRESET)
 * follows from the loop, never from within this call.
 */
void vsock_reset(struct vsock_conn *conn)
{
	vsock_conn_kill(conn, ECONNRESET, true);
}

/**
 * The service's own, as set last; from vsock_listen() or vsock_connect() at
 * first.
 */
void *vsock_arg(const struct vsock_conn *conn)
{
	return conn->arg;
}

/** Sets the service's own; vsock never looks at it. */
void vsock_set_arg(struct vsock_conn *conn, void *arg)
{
	conn->arg = arg;
}

/** The peer's port. In Linux those below 1024 need privilege. */
uint32_t vsock_peer_port(const struct vsock_conn *conn)
{
	return conn->peer_port;
}
