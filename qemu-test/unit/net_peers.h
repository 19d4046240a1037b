/* SPDX-License-Identifier: MIT */
/* Peers on TCP, at the router's address, for tests of services of the stack's. */
#ifndef NET_PEERS_H
#define NET_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEERS	48u

struct peer {
	uint16_t port, to;	/* its own, and the service's */
	uint32_t next, got;	/* numbers: of what it sends, of what has come */
	uint32_t acked, room;	/* of its own, and how much more it may send */
	bool open, reset, ended;
	bool deaf;		/* acknowledges nothing */
	size_t len;		/* of all it got; the last of that: */
	char said[4096];
};

extern struct peer peers[PEERS];

/* For router.packet. */
void peers_take(const uint8_t *ip, size_t len);
/* Calls a port; what is open 50 ms later. */
struct peer *peer_connect(unsigned i, uint16_t to);
/* A segment with these flags and text, or with len bytes. */
void peer_segment(struct peer *p, uint8_t flags, const char *text);
void peer_send(struct peer *p, uint8_t flags, const void *data, size_t len);
/* Forgets what it got, says something, and waits for 300 ms. */
void peer_say(struct peer *p, const char *text);

#endif
