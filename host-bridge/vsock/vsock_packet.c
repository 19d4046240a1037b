// SPDX-License-Identifier: MIT
/*
 * Packets of the host's AF_VSOCK endpoint: what each one from the peer does to
 * its connection, and how a connection's own go out. A packet has been copied
 * out of shared memory before it comes here; nothing in it is believed: a
 * broken rule ends that connection with RST, no other.
 * [virtio 1.2 "Socket Device: Device Operation"]
 *
 * Credit: all counts of bytes run free over 32 bits, so only differences mean
 * anything. Towards the peer: rx_cnt received, of them held (by the service)
 * and busy (in on_data now) not yet consumed, fwd_sent the consumed ones it was
 * told of. From the peer: tx_cnt sent, peer_fwd it said it consumed, peer_alloc
 * its buffer.
 */
#include <errno.h>
#include <string.h>

#include "vsock_internal.h"

/* Bytes the peer may replace: received, and neither held by the service nor
 * just being looked at. */
static uint32_t consumed(const struct vsock_conn *conn)
{
	return conn->rx_cnt - conn->held - conn->busy;
}

/**
 * Payload bytes the peer's buffer has room for: 0 also when it made its buffer
 * smaller than what is under way, which it may.
 */
uint32_t vsock_conn_credit(const struct vsock_conn *conn)
{
	uint32_t in_flight = conn->tx_cnt - conn->peer_fwd;

	return in_flight < conn->peer_alloc ? conn->peer_alloc - in_flight : 0;
}

/**
 * Owes the peer a CREDIT_UPDATE once half of what it may use is consumed but
 * not yet reported: Linux limits itself to the smaller of the two ends' buffer
 * sizes, so that half is taken of the smaller.
 */
void vsock_credit_check(struct vsock_conn *conn)
{
	uint32_t window = conn->peer_alloc < conn->buf_alloc ?
			  conn->peer_alloc : conn->buf_alloc;
	uint32_t news = consumed(conn) - conn->fwd_sent;

	if (conn->state == CONN_OPEN && news != 0 && news >= window / 2) {
		conn->owed |= OWE_CREDIT;
		vsock_conn_work(conn);
	}
}

/* What became of a packet with len bytes, which the peer sees after finish().
 * False: no space now, or the ring is at fault; the loop deals with either. */
static bool put_done(struct vsock *vs, enum ring_status status, uint32_t len)
{
	/* Also when it failed: the loop is to look. */
	vs->due = true;
	if (status == RING_OK) {
		vs->stats.tx_packets++;
		vs->stats.tx_bytes += len;
		return true;
	}
	if (status == RING_FULL) {
		vs->tx_blocked = true;
		vs->tx_need = len;
	} else {
		vs->fault = status;
	}
	return false;
}

/* Puts a packet into the ring; payload is copied. False as put_done(). */
static bool put_packet(struct vsock *vs, const struct ring_packet *packet,
		       const void *payload)
{
	return put_done(vs, ring_tx_packet(&vs->ring, packet, payload),
			packet->len);
}

/* A packet's header for the connection, with the credit it tells of. */
static struct ring_packet conn_packet(const struct vsock_conn *conn,
				      enum vsock_op op, uint32_t flags,
				      uint32_t len)
{
	return (struct ring_packet){
		.src_cid = VSOCK_CID_HOST,
		.dst_cid = VSOCK_CID_GUEST,
		.src_port = conn->local_port,
		.dst_port = conn->peer_port,
		.len = len,
		.type = VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.flags = flags,
		.buf_alloc = conn->buf_alloc,
		.fwd_cnt = consumed(conn),
	};
}

/* Sends one packet of a connection. False as put_packet(); nothing is changed
 * then, and the caller tries again from the work list. */
static bool send_conn(struct vsock_conn *conn, enum vsock_op op,
		      uint32_t flags, const void *payload, uint32_t len)
{
	struct ring_packet packet = conn_packet(conn, op, flags, len);

	if (!put_packet(conn->vs, &packet, payload)) {
		return false;
	}
	/* Every packet tells of credit: a CREDIT_UPDATE is no longer owed. */
	conn->fwd_sent = packet.fwd_cnt;
	conn->owed &= (uint8_t)~OWE_CREDIT;
	return true;
}

/**
 * Sends len bytes (within credit and RING_PAYLOAD_MAX) as one packet. False: it
 * was not sent. data is copied.
 */
bool vsock_send_data(struct vsock_conn *conn, const void *data, uint32_t len)
{
	if (!send_conn(conn, VSOCK_OP_RW, 0, data, len)) {
		return false;
	}
	conn->tx_cnt += len;
	return true;
}

/**
 * Sends len bytes (within credit and RING_PAYLOAD_MAX) of pieces, from skip bytes
 * in the first one on, as one packet. False as vsock_send_data().
 */
bool vsock_send_gathered(struct vsock_conn *conn,
			 const struct vsock_piece *pieces, size_t skip,
			 uint32_t len)
{
	struct vsock *vs = conn->vs;
	struct ring_packet packet = conn_packet(conn, VSOCK_OP_RW, 0, len);
	enum ring_status status = ring_tx_begin(&vs->ring, len);
	uint32_t done = 0;

	if (!put_done(vs, status, len)) {
		return false;
	}
	ring_tx_put(&vs->ring, 0, &packet, RING_PACKET_HEADER);
	for (; done < len; pieces++) {
		size_t n = pieces->len - skip;

		n = n < len - done ? n : len - done;
		ring_tx_put(&vs->ring, RING_PACKET_HEADER + done,
			    (const uint8_t *)pieces->data + skip,
			    (uint32_t)n);
		done += (uint32_t)n;
		skip = 0;
	}
	ring_tx_end(&vs->ring, len);
	conn->fwd_sent = packet.fwd_cnt;
	conn->owed &= (uint8_t)~OWE_CREDIT;
	conn->tx_cnt += len;
	return true;
}

/* Answers a packet of no connection: same ports and type, swapped. A RST is
 * never answered, or two ends could go on for ever. */
static void send_rst(struct vsock *vs, const struct ring_packet *to)
{
	struct ring_packet packet = {
		.src_cid = to->dst_cid,
		.dst_cid = to->src_cid,
		.src_port = to->dst_port,
		.dst_port = to->src_port,
		.type = to->type,
		.op = VSOCK_OP_RST,
	};

	/* The loop takes no packet before one of this size fits. */
	if (to->op != VSOCK_OP_RST) {
		put_packet(vs, &packet, NULL);
	}
}

/* A REQUEST: makes the connection if somebody listens and there is room, and
 * lets the service know; else RST. Our own connections keep VSOCK_CONNS -
 * VSOCK_CONNS_PEER places, however many the peer opens; mounts, which come from
 * ports that need a right, find some however many any process opens. */
static void accept_conn(struct vsock *vs, const struct ring_packet *packet)
{
	const struct vsock_listener *listener =
		vsock_listener_find(vs, packet->dst_port);
	uint32_t most = packet->src_port < VSOCK_PORT_RIGHT ? VSOCK_CONNS_PEER
							    : VSOCK_CONNS_ANY;
	struct vsock_conn *conn = NULL;

	if (listener != NULL && vs->stats.connections < most) {
		conn = vsock_conn_new(vs, packet->dst_port, packet->src_port,
				      listener->ops, listener->arg);
	}
	if (conn == NULL) {
		send_rst(vs, packet);
		return;
	}
	conn->state = CONN_OPEN;
	conn->peer_alloc = packet->buf_alloc;
	/* Sent from the work list, before any data: vsock_send() waits for
	 * it. */
	conn->owed = OWE_RESPONSE;
	vsock_conn_work(conn);
	if (conn->ops->on_open != NULL) {
		conn->ops->on_open(conn);
	}
}

/* The peer's view of what we sent, in each of its packets. False: it claims
 * more than that, or takes back what it claimed; one comparison, modulo 2^32,
 * finds both. peer_alloc may be anything. */
static bool take_credit(struct vsock_conn *conn,
			const struct ring_packet *packet)
{
	if (packet->fwd_cnt - conn->peer_fwd > conn->tx_cnt - conn->peer_fwd) {
		return false;
	}
	conn->peer_fwd = packet->fwd_cnt;
	conn->peer_alloc = packet->buf_alloc;
	/* There may be room now for what waits. */
	if (conn->queued != 0) {
		vsock_conn_work(conn);
	}
	return true;
}

/* Payload for a connection. More than the credit it had, or any after it said
 * that it would send no more, breaks the rules. */
static void input_data(struct vsock_conn *conn,
		       const struct ring_packet *packet)
{
	struct vsock *vs = conn->vs;
	uint32_t len = packet->len;
	uint32_t used = conn->rx_cnt - conn->fwd_sent;

	/* len is at most RING_PAYLOAD_MAX, far below any credit. */
	if ((conn->shut_peer & VSOCK_SHUT_SEND) != 0 ||
	    used > conn->buf_alloc - len) {
		vsock_conn_kill(conn, ECONNRESET, true);
		return;
	}
	conn->rx_cnt += len;
	vs->stats.rx_bytes += len;
	/* After our own shutdown of receiving, late data is dropped. */
	if (len != 0 && conn->state == CONN_OPEN &&
	    (conn->shut_wish & VSOCK_SHUT_RCV) == 0 &&
	    conn->ops->on_data != NULL) {
		const void *data = conn->ops->reads_once ?
				   ring_rx_at(&vs->ring, len) : NULL;

		/* Out of shared memory first: the service may look at it
		 * twice. */
		if (data == NULL) {
			ring_rx_copy(&vs->ring, 0, vs->rx_buffer, len);
			data = vs->rx_buffer;
		}
		/* What is sent from within on_data must not give its credit
		 * back yet. */
		conn->busy = len;
		conn->ops->on_data(conn, data, len);
		conn->busy = 0;
	}
	vsock_credit_check(conn);
}

/* The peer shall not receive, or not send, any more; flags add up. Both: it is
 * over, what we had to send is dropped, and RST is the confirmation, for which
 * nobody waits. */
static void input_shutdown(struct vsock_conn *conn, uint32_t flags)
{
	uint8_t both = VSOCK_SHUT_RCV | VSOCK_SHUT_SEND;

	conn->shut_peer |= flags & both;
	if (conn->state == CONN_OPEN && conn->ops->on_shutdown != NULL) {
		conn->ops->on_shutdown(conn, conn->shut_peer);
	}
	/* on_shutdown may have reset it. */
	if (conn->shut_peer == both && conn->state != CONN_DEAD) {
		vsock_conn_kill(conn, 0, true);
		conn->owed |= OWE_LATE;
	}
}

/* The answer to our REQUEST; from one who was not asked, or not yet, or twice,
 * it breaks the rules. */
static void input_response(struct vsock_conn *conn)
{
	if (conn->state != CONN_CONNECTING ||
	    (conn->owed & OWE_REQUEST) != 0) {
		vsock_conn_kill(conn, ECONNRESET, true);
		return;
	}
	conn->state = CONN_OPEN;
	conn->deadline = 0;
	vsock_conn_work(conn);
	if (conn->ops->on_open != NULL) {
		conn->ops->on_open(conn);
	}
}

/* A packet for a connection that lives. */
static void input_conn(struct vsock_conn *conn,
		       const struct ring_packet *packet)
{
	bool connecting = conn->state == CONN_CONNECTING;

	if (packet->op == VSOCK_OP_RST) {
		/* In CLOSING it is what we wait for. */
		int error = connecting ? ECONNREFUSED : ECONNRESET;

		vsock_conn_kill(conn,
				conn->state == CONN_CLOSING ? 0 : error, false);
		return;
	}
	/* Nothing but an answer can come before the connection is there. */
	if (!take_credit(conn, packet) ||
	    (connecting && packet->op != VSOCK_OP_RESPONSE)) {
		vsock_conn_kill(conn, ECONNRESET, true);
		return;
	}
	switch (packet->op) {
	case VSOCK_OP_RESPONSE:
		input_response(conn);
		break;
	case VSOCK_OP_SHUTDOWN:
		input_shutdown(conn, packet->flags);
		break;
	case VSOCK_OP_RW:
		input_data(conn, packet);
		break;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		conn->owed |= OWE_CREDIT;
		vsock_conn_work(conn);
		break;
	default:	/* REQUEST on a live connection, or unknown */
		vsock_conn_kill(conn, ECONNRESET, true);
	}
}

/**
 * Deals with the packet that ring_rx_next() found; len was checked there. Makes
 * callbacks. Packets of others than the one peer are counted and dropped, not
 * answered: an answer would be to somebody else.
 */
void vsock_input(struct vsock *vs, const struct ring_packet *packet)
{
	struct vsock_conn *conn;

	vs->stats.rx_packets++;
	if (packet->src_cid != VSOCK_CID_GUEST ||
	    packet->dst_cid != VSOCK_CID_HOST) {
		vs->stats.dropped++;
		return;
	}
	conn = packet->type == VSOCK_TYPE_STREAM ?
	       vsock_conn_find(vs, packet->dst_port, packet->src_port) : NULL;
	if (conn != NULL) {
		/* A dead one keeps its ports until its RST is out: late packets
		 * end here. */
		if (conn->state != CONN_DEAD) {
			input_conn(conn, packet);
		}
	} else if (packet->type == VSOCK_TYPE_STREAM &&
		   packet->op == VSOCK_OP_REQUEST) {
		accept_conn(vs, packet);
	} else {
		send_rst(vs, packet);
	}
}

/* One packet from the send queue; nothing if there is no credit: take_credit()
 * puts the connection back on the list. False: no space in the ring. */
static bool service_queue(struct vsock_conn *conn)
{
	uint32_t n = vsock_conn_credit(conn);
	/* Up to the queue's end: a packet is one piece of memory. */
	uint32_t first = VSOCK_QUEUE_SIZE - conn->queue_head;

	n = n < conn->queued ? n : conn->queued;
	n = n < first ? n : first;
	n = n < RING_PAYLOAD_MAX ? n : RING_PAYLOAD_MAX;
	if (n == 0) {
		return true;
	}
	if (!vsock_send_data(conn, conn->queue + conn->queue_head, n)) {
		return false;
	}
	conn->queue_head = (conn->queue_head + n) % VSOCK_QUEUE_SIZE;
	conn->queued -= n;
	if (conn->queued != 0) {
		vsock_conn_work(conn);
	}
	return true;
}

/* SHUTDOWN, after the last byte. Both ways: then the peer's RST is awaited, not
 * for ever. */
static bool service_shutdown(struct vsock_conn *conn)
{
	if (conn->queued != 0 || conn->shut_sent == conn->shut_wish) {
		return true;
	}
	if (!send_conn(conn, VSOCK_OP_SHUTDOWN, conn->shut_wish, NULL, 0)) {
		return false;
	}
	conn->shut_sent = conn->shut_wish;
	if (conn->shut_sent == (VSOCK_SHUT_RCV | VSOCK_SHUT_SEND)) {
		conn->state = CONN_CLOSING;
		conn->deadline = conn->vs->now_ms + VSOCK_CLOSE_MS;
	}
	return true;
}

/**
 * Sends the RST packets that only confirm the peer's own shutdown. Nobody
 * there waits for them, so they are kept until the loop wakes for something
 * else, its tick at the latest: a wake-up of the peer for each would cost it
 * as much as the connection did. (It gives a connection up after 8 s.)
 */
void vsock_send_late(struct vsock *vs)
{
	while (vs->late_count > 0 &&
	       put_packet(vs, &vs->late[vs->late_count - 1], NULL)) {
		vs->late_count--;
	}
}

/* Sends the RST or keeps it for vsock_send_late(). When no more can be kept it
 * goes at once. */
static bool service_rst(struct vsock_conn *conn)
{
	struct vsock *vs = conn->vs;

	if ((conn->owed & OWE_LATE) != 0 && vs->late_count < VSOCK_LATE) {
		vs->late[vs->late_count++] =
			conn_packet(conn, VSOCK_OP_RST, 0, 0);
		return true;
	}
	return send_conn(conn, VSOCK_OP_RST, 0, NULL, 0);
}

/* The end of a connection: RST if it is owed, on_close, and the struct is free.
 * False: no space for the RST; nothing was done. */
static bool service_dead(struct vsock_conn *conn)
{
	if ((conn->owed & OWE_RST) != 0 && conn->vs->attached &&
	    !service_rst(conn)) {
		return false;
	}
	if (conn->ops->on_close != NULL) {
		conn->ops->on_close(conn, conn->error);
	}
	vsock_conn_free(conn);
	return true;
}

/* Sends a control packet if the connection owes it. False: no space. */
static bool service_owed(struct vsock_conn *conn, uint8_t bit,
			 enum vsock_op op)
{
	if ((conn->owed & bit) == 0) {
		return true;
	}
	if (!send_conn(conn, op, 0, NULL, 0)) {
		return false;
	}
	conn->owed &= (uint8_t)~bit;
	return true;
}

/**
 * Sends what the connection, just taken off the work list, has to send: at most
 * one data packet, so that all get their turn. A connection with more goes back
 * on the list. May call on_writable or on_close; after on_close conn is gone.
 * False: the ring had no space; it must stay at the head of the list.
 */
bool vsock_service(struct vsock_conn *conn)
{
	if (conn->state == CONN_DEAD) {
		return service_dead(conn);
	}
	/* Before data, in this order: neither end takes data of a connection it
	 * does not know. */
	if (!service_owed(conn, OWE_REQUEST, VSOCK_OP_REQUEST) ||
	    !service_owed(conn, OWE_RESPONSE, VSOCK_OP_RESPONSE)) {
		return false;
	}
	if (conn->state == CONN_OPEN &&
	    (!service_queue(conn) || !service_shutdown(conn))) {
		return false;
	}
	if (!service_owed(conn, OWE_CREDIT, VSOCK_OP_CREDIT_UPDATE)) {
		return false;
	}
	/* Half empty, so that the service is not called for every packet. */
	if (conn->want_room && conn->queued <= VSOCK_QUEUE_SIZE / 2 &&
	    conn->state == CONN_OPEN) {
		conn->want_room = false;
		if (conn->ops->on_writable != NULL) {
			conn->ops->on_writable(conn);
		}
	}
	return true;
}
