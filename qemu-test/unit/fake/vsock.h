/* SPDX-License-Identifier: MIT */
/*
 * For tests of a service: a vsock of the test's own, with one connection, which
 * takes as few bytes at a time as the test likes.
 */
#ifndef ISTHMUS_FAKE_VSOCK_H
#define ISTHMUS_FAKE_VSOCK_H

#include "host-bridge/vsock/vsock.h"

#define FAKE_QUEUE	(400u << 10)

/* The service's end. What it sends is in out; what it has not taken, with the
 * credit that it holds, counts against room. */
struct vsock_conn {
	void *arg;
	size_t len, held;		/* of in */
	bool want_room, gone, shut;
	uint8_t in[FAKE_QUEUE], out[FAKE_QUEUE];
	size_t out_len;
};

struct fake_vsock {
	struct vsock_conn end;
	const struct vsock_ops *ops;	/* as it listens, with its arg */
	void *service;
	uint32_t listens;		/* on that port */
	uint32_t port;			/* the client's */
	size_t room;			/* each way, bytes */
	size_t chunk;			/* of what the service gets at once */
	bool no_time;
};

extern struct fake_vsock fake_vsock;

void fake_vsock_setup(void);
void fake_vsock_open(void);
void fake_vsock_close(void);
size_t fake_vsock_send(const void *data, size_t len);
size_t fake_vsock_take(void *data);
void fake_vsock_step(void);

#endif
