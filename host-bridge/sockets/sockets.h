/* SPDX-License-Identifier: MIT */
/*
 * Room sockets: AF_UNIX sockets of the volume from one Linux to another. Which are
 * there and who may have them (sockets_names.c), what Linux says (sockets_frame.c,
 * sockets.c), connections (sockets_pairs.c) and what passes there (sockets_relay.c).
 * Trusts no Linux, and none for what another one sent: all is decoded once, and
 * counted to whom it is of. May include the rooms up to files, and proto/.
 * [docs/sockets.md]
 */
#ifndef ISTHMUS_SOCKETS_H
#define ISTHMUS_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

struct fuse_server;
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

#endif
