/* SPDX-License-Identifier: MIT */
/*
 * The 9P client's connection: sends a request, waits for the whole reply,
 * checks it. Whatever the server sends instead of the reply to that request
 * ends the connection; what it sends between two requests is dropped.
 *
 * The server is the agent in Linux and not trusted: it can refuse, lie about
 * files, or let us wait, but no length of its reaches beyond rx_buf. There is
 * no timeout: the caller's wait function says when to give up. While it waits
 * the event loop runs, so a call may be entered again from a handler: that one
 * gets EBUSY.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/files/linux_errno.h"
#include "host-bridge/files/p9_client_int.h"

#define TAG	1u	/* one request at a time needs only one */

/* Callbacks find no client (NULL) when the connection was dropped by us and
 * only its end is still to come. */
static void on_open(struct vsock_conn *conn)
{
	struct p9_client *c = vsock_arg(conn);

	if (c != NULL) {
		c->is_open = true;
	}
}

/* Gathers the reply. More than the largest one ends the connection. */
static void on_data(struct vsock_conn *conn, const void *data, size_t len)
{
	struct p9_client *c = vsock_arg(conn);

	if (c == NULL) {
		return;
	}
	if (len > sizeof(c->rx_buf) - c->rx_len) {
		vsock_set_arg(conn, NULL);
		vsock_reset(conn);
		c->conn = NULL;
		c->closed = EPROTO;
		return;
	}
	memcpy(c->rx_buf + c->rx_len, data, len);
	c->rx_len += len;
}

/* A server that half-closes serves no more. */
static void on_shutdown(struct vsock_conn *conn, unsigned flags)
{
	(void)flags;
	vsock_shutdown(conn, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
}

/* Refused, reset, timed out or closed: the call that waits gets to know by
 * c->closed, never 0. */
static void on_close(struct vsock_conn *conn, int error)
{
	struct p9_client *c = vsock_arg(conn);

	if (c != NULL) {
		c->conn = NULL;
		c->closed = error != 0 ? error : ECONNRESET;
	}
}

static const struct vsock_ops client_ops = {
	.on_open = on_open,
	.on_data = on_data,
	.on_shutdown = on_shutdown,
	.on_close = on_close,
};

/* Ends the connection, if there is one, so that the next call makes a new one.
 * Returns error. */
static int client_drop(struct p9_client *c, int error)
{
	if (c->conn != NULL) {
		/* Its on_close comes later, when c may have another one. */
		vsock_set_arg(c->conn, NULL);
		vsock_reset(c->conn);
		c->conn = NULL;
		/* what the rest of this call gets, clunks above all */
		c->closed = error != 0 ? error : ECONNRESET;
	}
	return error;
}

/* Waits until something has changed; an error when it never will: why the
 * connection ended, or EINTR, which ends it too: the reply to the request that
 * was given up could not be told from the next one's. */
static int client_wait(struct p9_client *c)
{
	if (c->conn == NULL) {
		return c->closed;
	}
	return c->wait(c->wait_arg) ? 0 : client_drop(c, EINTR);
}

/**
 * Begins a request; its fields are then put into c->tx. What does not fit there
 * is found by client_call() (ENAMETOOLONG).
 */
void client_request(struct p9_client *c, uint8_t type)
{
	p9_begin(&c->tx, c->tx_buf, sizeof(c->tx_buf), type, TAG);
}

/* Sends all of the request, waiting for room where vsock has none. Returns 0,
 * ENAMETOOLONG (nothing was sent), or why the connection ended. */
static int client_send(struct p9_client *c)
{
	size_t len = p9_end(&c->tx);
	size_t done = 0;
	int error = len == 0 || len > c->msize ? ENAMETOOLONG : 0;

	while (error == 0 && done < len) {
		error = c->conn == NULL ? c->closed : 0;
		if (error == 0) {
			done += vsock_send(c->conn, c->tx_buf + done,
					   len - done);
		}
		if (error == 0 && done < len) {
			error = client_wait(c);
		}
	}
	return error;
}

/* The size field of the reply; not yet checked. */
static uint32_t reply_size(const struct p9_client *c)
{
	uint32_t size;

	memcpy(&size, c->rx_buf, sizeof(size));
	return size;
}

/* Waits for all of the reply. Returns 0, or EPROTO for a size that cannot be,
 * or when more than one message has come: we asked one thing. Then, or for
 * another error, there is no connection any more. */
static int client_receive(struct p9_client *c)
{
	int error = 0;

	while (error == 0 && (c->rx_len < P9_HEADER ||
			      c->rx_len < reply_size(c))) {
		if (c->rx_len >= P9_HEADER &&
		    (reply_size(c) < P9_HEADER ||
		     reply_size(c) > sizeof(c->rx_buf))) {
			return client_drop(c, EPROTO);
		}
		error = client_wait(c);
	}
	if (error == 0 && c->rx_len != reply_size(c)) {
		error = client_drop(c, EPROTO);
	}
	return error;
}

/**
 * Sends the request and waits for its reply; the event loop runs meanwhile.
 * Returns 0, and c->rx is at the reply's first field, good until the next
 * request; or the server's error, ENAMETOOLONG, EPROTO, EINTR, or why the
 * connection ended. Only between client_begin() and client_end().
 */
int client_call(struct p9_client *c)
{
	uint8_t type = c->tx_buf[4];
	uint8_t got;
	int error;

	/* Drops what came unasked. */
	c->rx_len = 0;
	error = client_send(c);
	if (error == 0) {
		error = client_receive(c);
	}
	if (error != 0) {
		return error;
	}
	c->rx = (struct p9_reader){ c->rx_buf + 4, c->rx_buf + c->rx_len,
				    false };
	got = p9_get8(&c->rx);
	if (p9_get16(&c->rx) != (type == P9_TVERSION ? P9_NOTAG : TAG)) {
		return client_drop(c, EPROTO);
	}
	if (got == P9_RLERROR) {
		return linux_errno_from(p9_get32(&c->rx));
	}
	return got == type + 1 ? 0 : client_drop(c, EPROTO);
}

/* Tversion and Tattach: agrees on the size of messages and makes the fid of
 * Linux's root. A server that speaks another version, or wants longer messages
 * than we have room for, is none of ours. */
static int client_hello(struct p9_client *c)
{
	struct p9_str version;
	int error;

	c->msize = CLIENT_MSIZE;
	p9_begin(&c->tx, c->tx_buf, sizeof(c->tx_buf), P9_TVERSION, P9_NOTAG);
	p9_put32(&c->tx, CLIENT_MSIZE);
	p9_putstr(&c->tx, P9_VERSION, sizeof(P9_VERSION) - 1);
	error = client_call(c);
	if (error != 0) {
		return error;
	}
	c->msize = p9_get32(&c->rx);
	version = p9_getstr(&c->rx);
	if (!p9_complete(&c->rx) || c->msize < P9_MSIZE_MIN ||
	    c->msize > CLIENT_MSIZE || version.len != sizeof(P9_VERSION) - 1 ||
	    memcmp(version.s, P9_VERSION, version.len) != 0) {
		return EPROTO;
	}
	client_request(c, P9_TATTACH);
	p9_put32(&c->tx, CLIENT_ROOT);
	p9_put32(&c->tx, P9_NOFID);
	p9_putstr(&c->tx, "root", 4);
	p9_putstr(&c->tx, "/", 1);
	p9_put32(&c->tx, 0);
	return client_call(c);
}

/* Makes a connection and says hello. Returns 0 or an errno value; then there is
 * no connection. ENOTCONN: the channel is down. */
static int client_connect(struct p9_client *c)
{
	int error = 0;

	c->is_open = false;
	c->conn = vsock_connect(c->vs, c->port, &client_ops, c);
	if (c->conn == NULL) {
		return ENOTCONN;
	}
	while (error == 0 && !c->is_open) {
		error = client_wait(c);
	}
	if (error == 0) {
		error = client_hello(c);
	}
	return error != 0 ? client_drop(c, error) : 0;
}

/**
 * Begins a public call: keeps others out, and connects if need be. Returns 0,
 * EBUSY, or why there is no connection. Only after 0 must client_end() follow.
 */
int client_begin(struct p9_client *c)
{
	int error;

	if (c->busy) {
		return EBUSY;
	}
	c->busy = true;
	error = c->conn == NULL ? client_connect(c) : 0;
	return error != 0 ? client_end(c, error) : 0;
}

/** Ends a public call; returns error, for its last line. */
int client_end(struct p9_client *c, int error)
{
	c->busy = false;
	return error;
}

/**
 * Makes a client of the 9P server on a port of the peer's; nothing is sent yet.
 * wait(arg) is called from within calls that wait, and must let the event loop
 * run. Returns NULL when there is no memory.
 */
struct p9_client *p9_client_new(struct vsock *vs, uint32_t port,
				p9_wait_fn wait, void *arg)
{
	struct p9_client *c = calloc(1, sizeof(*c));

	if (c != NULL) {
		c->vs = vs;
		c->port = port;
		c->wait = wait;
		c->wait_arg = arg;
		/* Never begun anew: a fid of a lost connection means nothing in
		 * the next. */
		c->next_fid = CLIENT_ROOT + 1;
	}
	return c;
}

/** Ends a client and its connection; not from within a call. */
void p9_client_free(struct p9_client *c)
{
	client_drop(c, 0);
	free(c);
}
