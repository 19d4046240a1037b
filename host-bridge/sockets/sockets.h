/* SPDX-License-Identifier: MIT */
/*
 * Room sockets: AF_UNIX sockets of the volume from one Linux to another. Which are
 * there and who may have them (sockets_names.c), what Linux says (sockets_frame.c,
 * sockets.c), connections (sockets_pairs.c), what passes there (sockets_relay.c), and
 * the host at one end itself (sockets_own.c).
 * Trusts no Linux, and none for what another one sent: all is decoded once, and
 * counted to whom it is of. May include the rooms up to files, and proto/.
 * [docs/sockets.md]
 */
#ifndef ISTHMUS_SOCKETS_H
#define ISTHMUS_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuse_server;
struct sockets_own;
struct sockets_linux;
struct vsock;

struct sockets_status {
	unsigned made;		/* now: sockets that its programs have, */
	unsigned begun, led;	/* connections that it has begun, and to it */
	uint64_t refused;	/* of vsock: ended for what it did */
};

/* For a Linux that may have some by the manifest's words; before it is started. title:
 * what it is called in notices. Returns 0, EINVAL: a word is none, the Linux has
 * nothing; EADDRINUSE or ENOMEM. */
int sockets_new(struct fuse_server *server, struct vsock *vs, const char *words,
		const char *title, struct sockets_linux **out);
/* It is down: what it had is over. NULL is nothing. */
void sockets_down(struct sockets_linux *ln);
void sockets_get_status(const struct sockets_linux *ln,
			struct sockets_status *status);
/* Whether it may have any: a child for one command may not. NULL is nothing. */
void sockets_reach(struct sockets_linux *ln, bool any);

/* What is called from the loop of clients of the host's own socket: one is there, of
 * the Linux at the other end of vs; and that there may be something to read, or room to
 * write, or that it is gone. From there, and only there, it is read, written and ended;
 * false: it is closed when that returns. */
struct sockets_server {
	bool (*came)(struct sockets_own *own, const struct vsock *vs);
	bool (*event)(struct sockets_own *own);
};
/* From now on a stream socket of the host's, which is root's, is at this node: all
 * Linuxes that may connect are offered it. Once; *server must stay. 0 or ENOMEM. */
int sockets_own_listen(uint64_t nodeid, const struct sockets_server *server);
void *sockets_own_arg(const struct sockets_own *own);
void sockets_own_set_arg(struct sockets_own *own, void *arg);
/* Whether nothing passes any more. */
bool sockets_own_gone(const struct sockets_own *own);

/* A connection of the host's own, as root's, to the socket of a Linux that has this
 * node id. Returns 0; ECONNREFUSED: none listens there; EAGAIN: there are too many;
 * ENOMEM. All that comes of it comes while the loop runs. */
int sockets_own_connect(uint64_t nodeid, struct sockets_own **out);
enum sockets_own_is {
	SOCKETS_OWN_WAITS,		/* for the server's Linux */
	SOCKETS_OWN_OPEN,
	SOCKETS_OWN_ENDED,		/* all was read that the server will send */
	SOCKETS_OWN_OVER,		/* it was broken off, or refused */
};
enum sockets_own_is sockets_own_is(const struct sockets_own *own);
bool sockets_own_packets(const struct sockets_own *own);
/* Bytes that came, of one packet only; 0: there are none now. */
size_t sockets_own_read(struct sockets_own *own, void *to, size_t size);
/* Takes SOCKETS_OWN_MAX bytes at most, as one packet, or none: again when the loop has
 * run. */
#define SOCKETS_OWN_MAX		1024u
size_t sockets_own_write(struct sockets_own *own, const void *data, size_t len);
/* Nothing more will be written. */
void sockets_own_end(struct sockets_own *own);
void sockets_own_close(struct sockets_own *own);

#endif
