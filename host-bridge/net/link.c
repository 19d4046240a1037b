// SPDX-License-Identifier: MIT
/*
 * The host's end of Linux' network interface: link.h. Each packet is copied once,
 * out of shared memory into memory of ours, and dealt with before the next; while
 * the time of a turn is up, what comes is kept with its credit (vsock_inbox.h). So
 * a Linux that floods holds up nobody but itself.
 *
 * To Linux: what its credit and the ring have no room for goes to the connection's
 * queue, and of one message the rest here. While that waits, packets are dropped
 * and counted, as where any wire is busy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/link.h"
#include "host-bridge/vsock/vsock.h"
#include "host-bridge/vsock/vsock_inbox.h"
#include "proto/net_channel.h"

#define HEAD	sizeof(struct net_channel_head)

struct link_conn {
	struct vsock_conn *vsock;
	bool failed;			/* was reset; on_close will follow */
	struct vsock_inbox in;
	/* The message that comes: its head, then its packet. */
	struct net_channel_head head;
	size_t at;			/* bytes of it here */
	uint8_t packet[NET_HEADROOM + NET_CHANNEL_PACKET_MAX];
	/* What has no room yet. */
	size_t out_at, out_len;
	uint8_t out[HEAD + NET_CHANNEL_PACKET_MAX];
};

struct link {
	struct link_user user;
	struct link_conn *conn;		/* NULL: none */
	bool refused;			/* writable is due */
	struct link_status status;
};

static void fail(struct link_conn *conn)
{
	if (!conn->failed) {
		conn->failed = true;
		vsock_reset(conn->vsock);
	}
}

/* A packet has come. */
static void deliver(struct link *l, struct link_conn *conn)
{
	const struct net_channel_head *head = &conn->head;
	struct net_packet packet = {
		.data = conn->packet + NET_HEADROOM,
		.len = head->len - HEAD,
		.space = NET_CHANNEL_PACKET_MAX,
		.flags = head->flags, .gso_type = head->gso_type,
		.hdr_len = head->hdr_len, .gso_size = head->gso_size,
		.csum_start = head->csum_start,
		.csum_offset = head->csum_offset,
	};

	conn->at = 0;
	if (!link_check(&packet)) {
		l->status.rx_nonsense++;
		return;
	}
	l->status.rx_packets++;
	l->status.rx_bytes += packet.len;
	l->user.receive(l->user.arg, &packet);
}

/* Takes bytes of one message; returns how many. A length that cannot be ends the
 * connection: where the next message begins is not known. */
static size_t take(struct link *l, struct link_conn *conn, const uint8_t *data,
		   size_t len)
{
	size_t used = 0, n;

	if (conn->at < HEAD) {
		used = HEAD - conn->at < len ? HEAD - conn->at : len;
		memcpy((uint8_t *)&conn->head + conn->at, data, used);
		conn->at += used;
		if (conn->at < HEAD) {
			return used;
		}
		if (conn->head.len <= HEAD ||
		    conn->head.len > HEAD + NET_CHANNEL_PACKET_MAX) {
			fail(conn);
			return used;
		}
	}
	n = conn->head.len - conn->at;
	n = n < len - used ? n : len - used;
	memcpy(conn->packet + NET_HEADROOM + conn->at - HEAD, data + used, n);
	conn->at += n;
	if (conn->at == conn->head.len) {
		deliver(l, conn);
	}
	return used + n;
}

/* Serves what came, as long as there is time; returns the bytes that it took. */
static size_t input(struct link *l, struct link_conn *conn,
		    const uint8_t *data, size_t len)
{
	uint64_t until = vsock_slice_end(conn->vsock);
	size_t used = 0;

	while (used < len && !conn->failed) {
		used += take(l, conn, data + used, len - used);
		if (used < len && loop_now() >= until) {
			vsock_again(conn->vsock);
			break;
		}
	}
	return used;
}

static void on_data(struct vsock_conn *vsock, const void *data, size_t len)
{
	struct link *l = vsock_arg(vsock);
	struct link_conn *conn = l->conn;
	size_t used = conn->in.len == 0 ? input(l, conn, data, len) : 0;

	if (used < len && !conn->failed &&
	    !vsock_inbox_keep(&conn->in, vsock, (const uint8_t *)data + used,
			      len - used)) {
		fail(conn);
	}
}

/* Sends what waits. Whether all of it is gone. */
static bool flush(struct link_conn *conn)
{
	if (conn->out_at < conn->out_len) {
		conn->out_at += vsock_send(conn->vsock,
					   conn->out + conn->out_at,
					   conn->out_len - conn->out_at);
	}
	return conn->out_at == conn->out_len;
}

static void on_writable(struct vsock_conn *vsock)
{
	struct link *l = vsock_arg(vsock);
	struct link_conn *conn = l->conn;
	const uint8_t *data;
	size_t used, len;

	if (conn->failed) {
		return;
	}
	if (flush(conn) && l->refused) {
		l->refused = false;
		if (l->user.writable) {
			l->user.writable(l->user.arg);
		}
	}
	if (conn->in.len != 0 && !conn->failed) {
		len = vsock_inbox_rest(&conn->in, &data);
		used = input(l, conn, data, len);
		if (!conn->failed) {
			vsock_inbox_taken(&conn->in, vsock, used);
		}
	}
}

/* The interface is the kernel's: others cannot have a reserved port, but for root.
 * There is one. */
static void on_open(struct vsock_conn *vsock)
{
	struct link *l = vsock_arg(vsock);
	struct link_conn *conn = NULL;

	/* on_close comes for a refused one too, and must find nothing. */
	vsock_set_arg(vsock, NULL);
	if (!l->conn && vsock_peer_port(vsock) < VSOCK_PORT_RIGHT &&
	    (!l->user.wanted || l->user.wanted(l->user.arg))) {
		conn = calloc(1, sizeof(*conn));
	}
	if (!conn) {
		vsock_reset(vsock);
		return;
	}
	conn->vsock = vsock;
	l->conn = conn;
	vsock_set_arg(vsock, l);
	l->refused = false;
	l->status.starts++;
	if (l->user.changed) {
		l->user.changed(l->user.arg, true);
	}
}

static void on_shutdown(struct vsock_conn *vsock, unsigned flags)
{
	if ((flags & VSOCK_SHUT_SEND) != 0) {
		vsock_shutdown(vsock, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

static void on_close(struct vsock_conn *vsock, int error)
{
	struct link *l = vsock_arg(vsock);
	struct link_conn *conn = l ? l->conn : NULL;

	(void)error;
	if (!conn) {
		return;
	}
	l->conn = NULL;
	vsock_inbox_free(&conn->in);
	free(conn);
	if (l->user.changed) {
		l->user.changed(l->user.arg, false);
	}
}

static const struct vsock_ops link_ops = {
	.on_open = on_open,
	.on_data = on_data,
	.on_writable = on_writable,
	.on_shutdown = on_shutdown,
	.on_close = on_close,
	.reads_once = true,	/* copied by take() */
	/* Linux' driver sends messages as a whole; several of the longest. */
	.credit = 6 * (HEAD + NET_CHANNEL_PACKET_MAX),
};

/**
 * Offers Linux a network, on port NET_CHANNEL_PORT of vs; once for each. *user is
 * copied. Returns 0, EADDRINUSE or ENOMEM.
 */
int link_new(struct vsock *vs, const struct link_user *user, struct link **out)
{
	struct link *l = calloc(1, sizeof(*l));
	int error = ENOMEM;

	if (l) {
		l->user = *user;
		error = vsock_listen(vs, NET_CHANNEL_PORT, &link_ops, l);
	}
	if (error != 0) {
		free(l);
		return error;
	}
	*out = l;
	return 0;
}

/* Puts a message; what there is no room for is kept. */
static void put(struct link_conn *conn, const struct net_channel_head *head,
		const struct net_packet *p)
{
	const struct vsock_piece pieces[] = {
		{ head, HEAD }, { p->data, p->len },
	};
	size_t done = vsock_send_pieces(conn->vsock, pieces, 2);

	if (done < head->len) {
		size_t first = done < HEAD ? HEAD - done : 0;
		size_t skip = done < HEAD ? 0 : done - HEAD;

		memcpy(conn->out, (const uint8_t *)head + HEAD - first, first);
		memcpy(conn->out + first, p->data + skip, p->len - skip);
		conn->out_at = 0;
		conn->out_len = first + p->len - skip;
	}
}

/**
 * A packet to Linux: it is copied. Linux sees it when the loop's turn ends. Returns
 * 0, ENETDOWN, EMSGSIZE, or ENOBUFS, after which writable follows.
 */
int link_send(struct link *l, const struct net_packet *p)
{
	struct link_conn *conn = l->conn;
	const struct net_channel_head head = {
		.len = (uint32_t)(HEAD + p->len),
		.flags = p->flags, .gso_type = p->gso_type,
		.hdr_len = p->hdr_len, .gso_size = p->gso_size,
		.csum_start = p->csum_start, .csum_offset = p->csum_offset,
	};
	int error = 0;

	if (!conn || conn->failed) {
		error = ENETDOWN;
	} else if (p->len == 0 || p->len > NET_CHANNEL_PACKET_MAX) {
		error = EMSGSIZE;
	} else if (conn->out_at < conn->out_len) {
		l->refused = true;
		error = ENOBUFS;
	}
	if (error != 0) {
		l->status.tx_dropped++;
		return error;
	}
	put(conn, &head, p);
	l->status.tx_packets++;
	l->status.tx_bytes += p->len;
	return 0;
}

/** Whether Linux is there. */
bool link_up(const struct link *l)
{
	return l->conn != NULL;
}

/** For the console. */
void link_get_status(const struct link *l, struct link_status *status)
{
	*status = l->status;
	status->up = link_up(l);
}
