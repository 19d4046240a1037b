/* SPDX-License-Identifier: MIT */
/*
 * Room vsock: sockets over a channel to a Linux: connections (vsock_conn.c),
 * packets (vsock_packet.c), the channel's life (vsock_link.c), its wires to loop
 * and hypercalls (vsock_channel.c). Calls go down only: who offers or uses a
 * service registers its callbacks here. Does not trust the other end: what it
 * wrote is copied, checked, then used. May include rt and loop.
 *
 * AF_VSOCK as the host partition sees it: connections with the Linux
 * partition (CID VSOCK_CID_GUEST) over a channel, with the packet header,
 * operations and credit rules of virtio-vsock. One event loop, no threads:
 * every call below is made from the loop, and callbacks come from
 * vsock_input(). A connection is valid until its on_close has returned.
 * [virtio 1.2 "Socket Device"]
 */
#ifndef ISTHMUS_VSOCK_H
#define ISTHMUS_VSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VSOCK_CID_HOST		2u
#define VSOCK_CID_GUEST		3u
#define VSOCK_PORT_ANY		0xffffffffu

/* Ports of ours. */
#define VSOCK_PORT_ECHO		7u
#define VSOCK_PORT_DISCARD	9u
#define VSOCK_PORT_CHARGEN	19u
#define VSOCK_PORT_IDLE		20u

/* Below it only Linux's kernel, and who may, can have a port. */
#define VSOCK_PORT_RIGHT	1024u

#define VSOCK_CREDIT		0x40000u

#define VSOCK_SHUT_RCV		1u
#define VSOCK_SHUT_SEND		2u

struct vsock;		/* one endpoint: a channel and its connections */
struct vsock_conn;

struct vsock_ops {
	/* A connection is up (accepted, or our connect was answered). */
	void (*on_open)(struct vsock_conn *conn);
	/* len bytes arrived; all are consumed by this call. The peer's credit
	 * is returned when it comes back, unless vsock_hold() was called. */
	void (*on_data)(struct vsock_conn *conn, const void *data, size_t len);
	/* vsock_send() took less than asked before; now there is room. */
	void (*on_writable)(struct vsock_conn *conn);
	/* The peer shut down: VSOCK_SHUT_* as it sees them. */
	void (*on_shutdown)(struct vsock_conn *conn, unsigned flags);
	/* The connection is gone. error: 0 orderly, else an errno value
	 * (ECONNRESET, ECONNREFUSED, ETIMEDOUT). Last callback. */
	void (*on_close)(struct vsock_conn *conn, int error);
	/* on_data reads each byte once: data may be the peer's own memory. */
	bool reads_once;
	/* Bytes that the peer may send before it is told that they were
	 * consumed; 0: VSOCK_CREDIT. As it is told of half of them at a time, a
	 * message that it sends as a whole or not at all must not be longer
	 * than half. */
	uint32_t credit;
};

/* Offers a service on a port. arg becomes vsock_arg() of new connections.
 * Returns 0, EADDRINUSE or ENOMEM. */
int vsock_listen(struct vsock *vs, uint32_t port,
		 const struct vsock_ops *ops, void *arg);

/* Starts a connection; on_open or on_close follows. NULL: no memory, too
 * many connections, or the peer is down. */
struct vsock_conn *vsock_connect(struct vsock *vs, uint32_t port,
				 const struct vsock_ops *ops, void *arg);

/* Queues up to len bytes as credit, ring space and the connection's own
 * bound allow. Returns the bytes taken (0: wait for on_writable). */
size_t vsock_send(struct vsock_conn *conn, const void *data, size_t len);

/* The same for pieces that are one stream: packets as large as may be, whatever
 * the pieces are. */
struct vsock_piece {
	const void *data;
	size_t len;
};
size_t vsock_send_pieces(struct vsock_conn *conn,
			 const struct vsock_piece *pieces, unsigned count);

/* Flow control towards the peer: while held, received bytes are not
 * credited back. vsock_release() credits bytes that were held. */
void vsock_hold(struct vsock_conn *conn, size_t bytes);
void vsock_release(struct vsock_conn *conn, size_t bytes);

/* Sharing the time: the TSC by which a callback that could go on for long, made
 * now, should return, having done something. What it has left to do it does in
 * on_writable, which follows vsock_again() after the others had their turn. */
uint64_t vsock_slice_end(const struct vsock_conn *conn);
void vsock_again(struct vsock_conn *conn);

/* Half-close (VSOCK_SHUT_SEND) or full; data queued before goes first. */
void vsock_shutdown(struct vsock_conn *conn, unsigned flags);
/* Ends the connection now with RST; on_close follows from the loop. */
void vsock_reset(struct vsock_conn *conn);

void *vsock_arg(const struct vsock_conn *conn);
void vsock_set_arg(struct vsock_conn *conn, void *arg);
uint32_t vsock_peer_port(const struct vsock_conn *conn);

#endif
