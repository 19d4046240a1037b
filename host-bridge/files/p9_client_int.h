/* SPDX-License-Identifier: MIT */
/*
 * Inside the 9P client: one request and its reply.
 */
#ifndef ISTHMUS_P9_CLIENT_INT_H
#define ISTHMUS_P9_CLIENT_INT_H

#include "host-bridge/files/p9_client.h"

#define CLIENT_DATA	(64u * 1024)
#define CLIENT_MSIZE	(CLIENT_DATA + P9_IOHDR)
#define CLIENT_ROOT	0u		/* the fid of Linux's root */

struct p9_client {
	struct vsock *vs;
	struct vsock_conn *conn;	/* NULL: none */
	uint32_t port;
	p9_wait_fn wait;
	void *wait_arg;
	bool busy, is_open;
	int closed;			/* why the connection ended */
	uint32_t next_fid;
	uint32_t msize;
	struct p9_writer tx;		/* the request */
	struct p9_reader rx;		/* the reply's body */
	size_t rx_len;			/* bytes of it so far */
	uint8_t tx_buf[CLIENT_MSIZE];
	uint8_t rx_buf[CLIENT_MSIZE];
};

/* Begins and ends a public call: connects, and keeps others out. */
int client_begin(struct p9_client *c);
int client_end(struct p9_client *c, int error);

/* A request is client_request(), p9_put..(&c->tx), client_call(); then the
 * reply's fields are read from c->rx. */
void client_request(struct p9_client *c, uint8_t type);
int client_call(struct p9_client *c);

#endif
