/* SPDX-License-Identifier: MIT */
/*
 * The 9P server on vsock: a session for each connection to VSOCK_PORT_9P. One
 * reply at most waits for room towards the peer; while it does, or when many
 * requests came at once, for the others' turn, requests that arrive are kept
 * and their credit held, so that a peer that sends without reading is stopped
 * by its own credit, and one whose requests cost much gets no more than its
 * share of the time.
 *
 * All functions run from the event loop, as callbacks of vsock. A connection
 * that fails is reset, no other is touched; after vsock_reset() its struct
 * lives on until on_close.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/p9_server.h"
#include "host-bridge/files/p9_service.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/vsock/vsock.h"

#define RESERVED_PORT_LAST 1023u	/* bind() needs privilege */
#define CONNS_MAX	64u		/* as many as Linux makes mounts */
#define INPUT_MAX	(1u << 20)	/* far above any credit we give */
#define GATHER_MAX	4096u		/* replies sent as one piece */

struct p9_conn {
	struct p9_service *service;
	struct vsock_conn *vsock;
	struct p9_session *session;
	uint8_t *out;			/* the rest of a reply, or NULL */
	size_t out_at, out_len;		/* sent so far; in all */
	uint8_t *in;			/* requests that wait */
	size_t in_at, in_len, in_space;	/* taken; kept; allocated */
	bool failed;			/* was reset; on_close will follow */
};

/* A volume served to one peer; lives as long as its endpoint. */
struct p9_service {
	struct p9_server *server;
	unsigned conns;		/* that have a session, against CONNS_MAX */
	struct loop_work work;	/* ends what sessions had that are over */
};

static bool end_some(struct loop_work *work, uint64_t until)
{
	return p9_server_end_some(CONTAINER(work, struct p9_service,
					    work)->server, until);
}

static bool is_ending(struct loop_work *work)
{
	return p9_server_ending(CONTAINER(work, struct p9_service,
					  work)->server) > 0;
}

/* Resets the connection, once. Its callbacks may go on to the end of the
 * current one: they look at failed. */
static void conn_fail(struct p9_conn *conn)
{
	if (!conn->failed) {
		conn->failed = true;
		vsock_reset(conn->vsock);
	}
}

/* Keeps what vsock did not take: from done bytes into piece number at on. A
 * copy, for the pieces are the volume's blocks, which the next request may
 * change, and the server's one reply buffer. */
static void conn_keep(struct p9_conn *conn, const struct volume_seg *segs,
		      unsigned count, unsigned at, size_t done)
{
	size_t len = 0;

	for (unsigned i = at; i < count; i++) {
		len += segs[i].len;
	}
	conn->out = malloc(len - done);
	if (conn->out == NULL) {
		conn_fail(conn);
		return;
	}
	conn->out_at = conn->out_len = 0;
	for (; at < count; at++) {
		memcpy(conn->out + conn->out_len,
		       (const uint8_t *)segs[at].data + done,
		       segs[at].len - done);
		conn->out_len += segs[at].len - done;
		done = 0;
	}
}

/* Joins the pieces of a short reply, head and data: one packet is cheaper than
 * two. Returns 1, or 0 when they are too long to be worth a copy. The buffer is
 * good until vsock_send() has returned, which copies. */
static unsigned conn_gather(struct volume_seg *to,
			    const struct volume_seg *segs, unsigned count)
{
	static uint8_t joined[GATHER_MAX];
	size_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		if (segs[i].len > sizeof(joined) - len) {
			return 0;
		}
		memcpy(joined + len, segs[i].data, segs[i].len);
		len += segs[i].len;
	}
	to->data = joined;
	to->len = len;
	return 1;
}

/* Sends a reply: p9_send_fn. False stops the session: some of the reply is
 * kept, and vsock calls on_writable() when there is room again, because it took
 * less than it was given. */
static bool conn_send(void *arg, const struct volume_seg *segs, unsigned count)
{
	struct p9_conn *conn = arg;
	struct volume_seg one;

	if (count > 1 && conn_gather(&one, segs, count) == 1) {
		segs = &one;
		count = 1;
	}
	for (unsigned i = 0; i < count && !conn->failed; i++) {
		size_t done = vsock_send(conn->vsock, segs[i].data,
					 segs[i].len);

		if (done < segs[i].len) {
			conn_keep(conn, segs, count, i, done);
			return false;
		}
	}
	return !conn->failed;
}

/* Gives bytes to the session; returns how many it took: none while a reply
 * waits, and no more than its slice of the time allows. */
static size_t conn_input(struct p9_conn *conn, const uint8_t *data, size_t len)
{
	size_t used = 0;

	if (conn->failed || conn->out != NULL) {
		return 0;
	}
	if (p9_session_input(conn->session, data, len,
			     vsock_slice_end(conn->vsock), &used) != 0) {
		conn_fail(conn);
	}
	/* Not for want of room, which would bring on_writable() by itself. */
	if (used < len && conn->out == NULL && !conn->failed) {
		vsock_again(conn->vsock);
	}
	return used;
}

/* Keeps bytes for later, and the peer's credit with them. Room at the front is
 * used again only when there is none behind, and more than half was taken: a
 * byte is moved at most once for each that was taken, and what is allocated
 * stays below twice the credit and a packet. */
static void conn_queue(struct p9_conn *conn, const uint8_t *data, size_t len)
{
	size_t rest = conn->in_len - conn->in_at;

	if (conn->in_len + len > conn->in_space && conn->in_at > rest) {
		memmove(conn->in, conn->in + conn->in_at, rest);
		conn->in_at = 0;
		conn->in_len = rest;
	}
	if (conn->in_len + len > conn->in_space) {
		size_t space = conn->in_len + len;
		uint8_t *bigger = space > INPUT_MAX ? NULL
						    : realloc(conn->in, space);

		if (bigger == NULL) {
			conn_fail(conn);
			return;
		}
		conn->in = bigger;
		conn->in_space = space;
	}
	memcpy(conn->in + conn->in_len, data, len);
	conn->in_len += len;
	vsock_hold(conn->vsock, len);
}

static void on_data(struct vsock_conn *vsock, const void *data, size_t len)
{
	struct p9_conn *conn = vsock_arg(vsock);
	/* What came before is served before: nothing overtakes the queue. */
	size_t used = conn->in_len == 0 ? conn_input(conn, data, len) : 0;

	if (used < len && !conn->failed) {
		conn_queue(conn, (const uint8_t *)data + used, len - used);
	}
}

/* There is room, or it is our turn again: first the rest of the reply that waits, then the requests
 * behind it, until one of their replies has to wait in turn. */
static void on_writable(struct vsock_conn *vsock)
{
	struct p9_conn *conn = vsock_arg(vsock);
	size_t used;

	if (conn->out != NULL && !conn->failed) {
		conn->out_at += vsock_send(vsock, conn->out + conn->out_at,
					   conn->out_len - conn->out_at);
		if (conn->out_at < conn->out_len) {
			return;
		}
		free(conn->out);
		conn->out = NULL;
	}
	used = conn_input(conn, conn->in + conn->in_at,
			  conn->in_len - conn->in_at);
	conn->in_at += used;
	if (conn->in_at == conn->in_len) {
		free(conn->in);
		conn->in = NULL;
		conn->in_at = conn->in_len = conn->in_space = 0;
	}
	/* Only now may the peer replace them. */
	if (used > 0 && !conn->failed) {
		vsock_release(vsock, used);
	}
}

/* A client says itself for which user it attaches. Only Linux's kernel and its
 * root can have a reserved port, so no other process can say so falsely. */
static bool is_trusted(const struct vsock_conn *vsock)
{
	return vsock_peer_port(vsock) <= RESERVED_PORT_LAST;
}

/* A connection was accepted. Refused by a reset: one too many, or from a port
 * that any process could have. */
static void on_open(struct vsock_conn *vsock)
{
	struct p9_service *service = vsock_arg(vsock);
	struct p9_conn *conn = NULL;

	/* on_close comes for a refused one too, and must find nothing. */
	vsock_set_arg(vsock, NULL);
	if (service->conns + p9_server_ending(service->server) < CONNS_MAX &&
	    is_trusted(vsock)) {
		conn = calloc(1, sizeof(*conn));
	}
	if (conn != NULL) {
		conn->vsock = vsock;
		conn->service = service;
		conn->session = p9_session_new(service->server, conn_send,
					       conn);
	}
	if (conn == NULL || conn->session == NULL) {
		free(conn);
		vsock_reset(vsock);
		return;
	}
	service->conns++;
	vsock_set_arg(vsock, conn);
}

/* A client that stops sending is gone: there is nothing to tell it. What vsock
 * has queued still goes first. */
static void on_shutdown(struct vsock_conn *vsock, unsigned flags)
{
	if ((flags & VSOCK_SHUT_SEND) != 0) {
		vsock_shutdown(vsock, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

/* The connection is over, by whatever way: its fids, and the locks and held
 * files with them. */
static void on_close(struct vsock_conn *vsock, int error)
{
	struct p9_conn *conn = vsock_arg(vsock);

	(void)error;
	if (conn != NULL) {
		p9_session_free(conn->session);
		free(conn->out);
		free(conn->in);
		conn->service->conns--;
		free(conn);
	}
}

static const struct vsock_ops service_ops = {
	.on_open = on_open,
	.on_data = on_data,
	.on_writable = on_writable,
	.on_shutdown = on_shutdown,
	.on_close = on_close,
};

/**
 * Serves a volume to the peer on port VSOCK_PORT_9P; once for each peer. vol
 * must live as long as vs. Returns 0, EADDRINUSE or ENOMEM.
 */
int p9_service_start(struct vsock *vs, struct volume *vol)
{
	struct p9_service *service = calloc(1, sizeof(*service));
	int error = ENOMEM;

	if (service != NULL) {
		service->server = p9_server_new(vol);
	}
	if (service != NULL && service->server != NULL) {
		error = vsock_listen(vs, VSOCK_PORT_9P, &service_ops, service);
	}
	if (error != 0 && service != NULL) {
		p9_server_free(service->server);
		free(service);
	}
	if (error == 0) {
		service->work.fn = end_some;
		service->work.due = is_ending;
		loop_work_add(&service->work);
	}
	return error;
}
