/* SPDX-License-Identifier: MIT */
/*
 * For tests of a service, and of who calls one: a vsock of the test's own, whose
 * other ends take as few bytes at a time as the test likes. Most need one connection.
 */
#ifndef ISTHMUS_FAKE_VSOCK_H
#define ISTHMUS_FAKE_VSOCK_H

#include "host-bridge/vsock/vsock.h"

#define FAKE_QUEUE	(600u << 10)
#define FAKE_CONNS	48u

/* Our end. What it sends is in out; what it has not taken, with the credit that it
 * holds, counts against room. */
struct vsock_conn {
	const struct vsock_ops *ops;
	void *arg;
	uint32_t port;			/* the other end's */
	bool used;
	size_t takes;			/* so much of out, and no more */
	size_t len, held;		/* of in */
	bool want_room, gone, shut;
	uint8_t in[FAKE_QUEUE], out[FAKE_QUEUE];
	size_t out_len;
};

struct fake_vsock {
	struct vsock_conn end[FAKE_CONNS];
	const struct vsock_ops *ops;	/* as it listens, with its arg */
	void *service;
	uint32_t listens;		/* on that port */
	uint32_t port;			/* of who connects next */
	const struct vsock *called;	/* whom we have called last, and where */
	uint32_t calls;
	bool down;			/* nobody can be called */
	size_t room;			/* each way, bytes */
	size_t chunk;			/* of what the service gets at once */
	bool no_time;
};

extern struct fake_vsock fake_vsock;

void fake_vsock_setup(void);
void fake_vsock_open(void);
struct vsock_conn *fake_vsock_reach(uint32_t port);
void fake_vsock_close(void);
void fake_vsock_gone(struct vsock_conn *conn, int error);
size_t fake_vsock_send(const void *data, size_t len);
size_t fake_vsock_take(void *data);
void fake_vsock_step(void);

#endif
