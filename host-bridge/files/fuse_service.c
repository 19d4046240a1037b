/* SPDX-License-Identifier: MIT */
/*
 * The FUSE server on vsock. One message at most waits here for room towards the
 * peer; while it does, or when many requests came at once, for the others' turn,
 * requests that arrive are kept and their credit held, so that a peer that sends
 * without reading is stopped by its own credit, and one whose requests cost much
 * gets no more than its share of the time.
 *
 * All functions run from the event loop. A connection that fails is reset, no
 * other is touched; after vsock_reset() its struct lives on until on_close.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_server.h"
#include "host-bridge/files/fuse_service.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/vsock/vsock_inbox.h"

#define CONNS_MAX	64u		/* as many as Linux makes mounts */
#define PIECES_MAX	64u		/* sent at once */

struct link {
	struct fuse_service *service;
	struct vsock_conn *vsock;
	struct fuse_conn *conn;
	uint8_t *out;			/* the rest of a message, or NULL */
	size_t out_at, out_len;		/* sent so far; in all */
	struct vsock_inbox in;		/* requests that wait */
	bool failed;			/* was reset; on_close will follow */
};

/* The volume served to one peer; lives as long as its endpoint. */
struct fuse_service {
	struct fuse_server *server;
	struct vsock *vs;
	unsigned links;		/* against CONNS_MAX */
	uint32_t root;			/* 0: it has no files at all */
	bool read_only;
};

/* What a server does by itself, for all its peers; lives as long as it. */
struct upkeep {
	struct loop_work work;	/* goes on with what has waited, and ends
				 * what sessions had that are over */
	struct loop_timer tick;	/* set while somebody waits for a session */
	struct fuse_server *server;
};

#define TICK_MS		1000u

static void on_tick(struct loop_timer *timer)
{
	fuse_server_tick(CONTAINER(timer, struct upkeep, tick)->server);
}

static bool end_some(struct loop_work *work, uint64_t until)
{
	struct fuse_server *server = CONTAINER(work, struct upkeep,
					       work)->server;
	bool more = fuse_server_go_on(server, until);

	return fuse_server_end_some(server, until) || more;
}

/* Looked at before each wait, by which time a request, or the console, may have
 * begun to wait for a session. */
static bool is_ending(struct loop_work *work)
{
	struct upkeep *upkeep = CONTAINER(work, struct upkeep, work);

	if (fuse_server_waiting(upkeep->server) &&
	    upkeep->tick.deadline == 0) {
		loop_timer_set(&upkeep->tick, TICK_MS, on_tick);
	}
	return fuse_server_ending(upkeep->server) ||
	       fuse_server_ready(upkeep->server);
}

/* Resets the connection, once. Its callbacks may go on to the end of the
 * current one: they look at failed. */
static void link_fail(void *arg)
{
	struct link *link = arg;

	if (!link->failed) {
		link->failed = true;
		vsock_reset(link->vsock);
	}
}

/* Keeps what vsock did not take: from done bytes into piece number at on. A
 * copy, for the pieces are the volume's blocks, which the next request may
 * change, and the server's one reply buffer. */
static void link_keep(struct link *link, const struct volume_seg *segs,
		      unsigned count, unsigned at, size_t done)
{
	size_t len = 0;

	for (unsigned i = at; i < count; i++) {
		len += segs[i].len;
	}
	link->out = malloc(len - done);
	if (link->out == NULL) {
		link_fail(link);
		return;
	}
	link->out_at = link->out_len = 0;
	for (; at < count; at++) {
		memcpy(link->out + link->out_len,
		       (const uint8_t *)segs[at].data + done,
		       segs[at].len - done);
		link->out_len += segs[at].len - done;
		done = 0;
	}
}

/* Sends a message: fuse_conn_ops.send. False stops the connection: some of it is
 * kept, and vsock calls on_writable() when there is room again, because it took
 * less than it was given. */
static bool link_send(void *arg, const struct volume_seg *segs, unsigned count)
{
	struct link *link = arg;

	for (unsigned at = 0; at < count && !link->failed; ) {
		struct vsock_piece pieces[PIECES_MAX];
		unsigned first = at, n = 0;
		size_t done;

		for (; at < count && n < PIECES_MAX; at++) {
			if (segs[at].len != 0) {
				pieces[n++] = (struct vsock_piece){
					segs[at].data, segs[at].len };
			}
		}
		done = vsock_send_pieces(link->vsock, pieces, n);
		while (first < at && done >= segs[first].len) {
			done -= segs[first++].len;
		}
		if (first < at) {
			link_keep(link, segs, count, first, done);
			return false;
		}
	}
	return !link->failed;
}

/* Gives bytes to the server; returns how many it took: none while a message
 * waits, and no more than its slice of the time allows. */
static size_t link_input(struct link *link, const uint8_t *data, size_t len)
{
	size_t used = 0;

	if (link->failed || link->out != NULL) {
		return 0;
	}
	if (fuse_conn_input(link->conn, data, len,
			    vsock_slice_end(link->vsock), &used) != 0) {
		link_fail(link);
	}
	/* Not for want of room, which would bring on_writable() by itself. */
	if (used < len && link->out == NULL && !link->failed &&
	    !fuse_conn_held(link->conn)) {
		vsock_again(link->vsock);
	}
	return used;
}

/* fuse_conn_ops.go_on. */
static void link_go_on(void *arg)
{
	struct link *link = arg;

	if (!link->failed) {
		vsock_again(link->vsock);
	}
}

static const struct fuse_conn_ops conn_ops = {
	.send = link_send, .end = link_fail, .go_on = link_go_on,
};

static void on_data(struct vsock_conn *vsock, const void *data, size_t len)
{
	struct link *link = vsock_arg(vsock);
	/* What came before is served before: nothing overtakes the queue. */
	size_t used = link->in.len == 0 ? link_input(link, data, len) : 0;

	if (used < len && !link->failed &&
	    !vsock_inbox_keep(&link->in, vsock, (const uint8_t *)data + used,
			      len - used)) {
		link_fail(link);
	}
}

/* Sends the rest of the message that waits. Whether it is gone. */
static bool link_flush(struct link *link)
{
	if (link->out != NULL) {
		link->out_at += vsock_send(link->vsock,
					   link->out + link->out_at,
					   link->out_len - link->out_at);
		if (link->out_at < link->out_len) {
			return false;
		}
		free(link->out);
		link->out = NULL;
	}
	return true;
}

/* There is room, or it is our turn again: first the rest of the message that
 * waits, then those that the server kept, then the requests behind them, until
 * one of their replies has to wait in turn. */
static void on_writable(struct vsock_conn *vsock)
{
	struct link *link = vsock_arg(vsock);
	const uint8_t *data;
	size_t used, len = vsock_inbox_rest(&link->in, &data);

	if (link->failed || !link_flush(link) ||
	    !fuse_conn_writable(link->conn) || len == 0) {
		return;
	}
	used = link_input(link, data, len);
	if (!link->failed) {
		vsock_inbox_taken(&link->in, vsock, used);
	}
}

/* Whose a request is Linux says in it. Only its kernel and its root can have a
 * reserved port, so no other process can say so falsely. */
static bool is_trusted(const struct vsock_conn *vsock)
{
	return vsock_peer_port(vsock) < VSOCK_PORT_RIGHT;
}

/* A connection was accepted. Refused by a reset: one too many, from a port that any
 * process could have, or of a Linux that is not to have the files. */
static void on_open(struct vsock_conn *vsock)
{
	struct fuse_service *service = vsock_arg(vsock);
	struct link *link = NULL;

	/* on_close comes for a refused one too, and must find nothing. */
	vsock_set_arg(vsock, NULL);
	if (service->links < CONNS_MAX && is_trusted(vsock) &&
	    service->root != 0) {
		link = calloc(1, sizeof(*link));
	}
	if (link != NULL) {
		link->vsock = vsock;
		link->service = service;
		link->conn = fuse_conn_new(service->server, &conn_ops, link,
					   service->vs);
	}
	if (link == NULL || link->conn == NULL) {
		free(link);
		vsock_reset(vsock);
		return;
	}
	fuse_conn_confine(link->conn, service->root, service->read_only);
	service->links++;
	vsock_set_arg(vsock, link);
}

/* A client that stops sending is gone: there is nothing to tell it. What vsock
 * has queued still goes first. */
static void on_shutdown(struct vsock_conn *vsock, unsigned flags)
{
	if ((flags & VSOCK_SHUT_SEND) != 0) {
		vsock_shutdown(vsock, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

/* The connection is over, by whatever way; its session waits for another. */
static void on_close(struct vsock_conn *vsock, int error)
{
	struct link *link = vsock_arg(vsock);

	(void)error;
	if (link != NULL) {
		link->failed = true;
		fuse_conn_free(link->conn);
		free(link->out);
		vsock_inbox_free(&link->in);
		link->service->links--;
		free(link);
	}
}

static const struct vsock_ops service_ops = {
	.on_open = on_open,
	.on_data = on_data,
	.on_writable = on_writable,
	.on_shutdown = on_shutdown,
	.on_close = on_close,
	.reads_once = true,	/* fuse_conn_input() does */
	/* Linux's driver sends messages as a whole. */
	.credit = 2 * (FUSE_CHANNEL_DATA_MAX + FUSE_CHANNEL_HEAD_MAX),
};

/**
 * Gives a server its turns in the loop; once for each, which must then live for
 * ever. Returns 0 or ENOMEM.
 */
int fuse_service_run(struct fuse_server *server)
{
	struct upkeep *upkeep = calloc(1, sizeof(*upkeep));

	if (upkeep == NULL) {
		return ENOMEM;
	}
	upkeep->server = server;
	upkeep->work.fn = end_some;
	upkeep->work.due = is_ending;
	loop_work_add(&upkeep->work);
	return 0;
}

/**
 * Serves the peer of vs on port FUSE_CHANNEL_PORT; once for each. The server must
 * live as long as vs. NULL: no memory, or somebody has the port.
 */
struct fuse_service *fuse_service_start(struct vsock *vs,
					struct fuse_server *server)
{
	struct fuse_service *service = calloc(1, sizeof(*service));

	if (service != NULL) {
		service->server = server;
		service->vs = vs;
		service->root = VOLUME_ROOT;
		if (vsock_listen(vs, FUSE_CHANNEL_PORT, &service_ops,
				 service) != 0) {
			free(service);
			service = NULL;
		}
	}
	return service;
}

/**
 * What the peer has of the volume from its next mount on: this folder and what is
 * below it, or nothing if root is 0. service may be NULL.
 */
void fuse_service_give(struct fuse_service *service, uint32_t root,
		       bool read_only)
{
	if (service != NULL) {
		service->root = root;
		service->read_only = read_only;
	}
}

/**
 * The console is about to read files, or to change some: waits until Linux has
 * written what it had not written yet. server may be NULL. Top-level code only.
 */
void fuse_service_recall(struct fuse_server *server)
{
	if (server != NULL) {
		fuse_server_recall(server);
		while (!fuse_server_recalled(server)) {
			loop_step(LOOP_FOREVER);
		}
	}
}

/**
 * The console has changed files: waits until Linux knows. No longer than
 * FUSE_PATIENCE seconds for each session that does not listen. As above.
 */
void fuse_service_settle(struct fuse_server *server)
{
	if (server != NULL) {
		fuse_server_unlock(server);
		while (!fuse_server_settled(server)) {
			loop_step(LOOP_FOREVER);
		}
	}
}

/**
 * The console is about to change a file's content: waits until Linux has written
 * what it had of it, and will write nothing more until fuse_service_settle().
 * As above.
 */
void fuse_service_lock(struct fuse_server *server, uint32_t ino, uint32_t dir,
		       const char *name, size_t len)
{
	if (server != NULL) {
		fuse_server_lock(server, ino, dir, name, len);
		while (!fuse_server_settled(server)) {
			loop_step(LOOP_FOREVER);
		}
	}
}
