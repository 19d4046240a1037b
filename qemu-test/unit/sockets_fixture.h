/* SPDX-License-Identifier: MIT */
/*
 * Sockets between Linuxes without Linuxes: three of them, as what they have said to
 * vsock and were answered. The FUSE server and vsock are this fixture's own.
 */
#ifndef ISTHMUS_SOCKETS_FIXTURE_H
#define ISTHMUS_SOCKETS_FIXTURE_H

#include "host-bridge/files/fuse_server.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/sockets/sockets.h"
#include "host-bridge/sockets/sockets_int.h"

#define CONNS		400u
#define OUT		(1u << 20)
#define A		0u		/* offers */
#define B		1u		/* connects, its root is root */
#define C		2u		/* both */
#define LINUXES		3u
#define NODE		0x500000007ull

struct vsock {
	void *service;
};

struct vsock_conn {
	void *arg;
	bool open, reset, shut, want;
	uint32_t port;
	size_t room, held;
	uint8_t *out;
	size_t len;
};

extern struct vsock vs[LINUXES];
extern struct vsock_conn conns[CONNS];
extern const struct vsock_ops *ops;
extern const struct fuse_sockets *fuse;
extern struct sockets_linux *linuxes[LINUXES];
extern struct loop_timer *ticking;
extern unsigned notices;
extern bool knows, read_only;		/* what the FUSE server says of a Linux */
extern struct vsock_conn *agent[LINUXES];	/* each one's control connection */

struct vsock_conn *connect_from(unsigned who, uint32_t port);
void close_conn(struct vsock_conn *c);
void raw(struct vsock_conn *c, const void *data, size_t len);
void say(struct vsock_conn *c, uint32_t type, const void *body,
		size_t len);
void expect(struct vsock_conn *c, uint32_t type, void *body, size_t len);
void expect_nothing(const struct vsock_conn *c);
void make(unsigned who, uint64_t nodeid, uint32_t uid);
struct sockets_open offered(uint32_t type, uint32_t uid);
void connected(struct sockets_open open, struct vsock_conn *end[2]);
int setup(void **state);
int teardown(void **state);

#endif
