/* SPDX-License-Identifier: MIT */
/*
 * Room files: protocols for files, both ways. The server that gives the volume
 * to Linux (p9_session.c, p9_ops_*.c) and its way over vsock (p9_service.h); the
 * client for Linux's own files (p9_client.h). Neither trusts the other end. May
 * include the rooms up to vsock, and proto/ for the messages themselves.
 *
 * A 9P2000.L server for a volume: bytes in, replies out, over any transport.
 * Each connection is a session of its own, with its own fids; requests are
 * carried out one after the other, and each is answered before the next is
 * looked at.
 */
#ifndef ISTHMUS_P9_SERVER_H
#define ISTHMUS_P9_SERVER_H

#include "proto/p9.h"
#include "host-bridge/fs/volume.h"

#define P9_SEGS_MAX	(P9_MSIZE_MAX / 4096 + 3)

struct p9_server;		/* a volume as it is served */
struct p9_session;

/*
 * Sends one reply, in count pieces that are good only during the call: it
 * must take them all. Returns whether more can be sent at once; false stops
 * the session until p9_session_input() is called again.
 */
typedef bool (*p9_send_fn)(void *arg, const struct volume_seg *segs,
			   unsigned count);

struct p9_server *p9_server_new(struct volume *vol);
void p9_server_free(struct p9_server *server);
struct p9_session *p9_session_new(struct p9_server *server, p9_send_fn send,
				  void *arg);
void p9_session_free(struct p9_session *session);

/* A session may have had so many files that ending them takes long: it is done
 * in pieces. Whether some are left, and of how many sessions. */
bool p9_server_end_some(struct p9_server *server, uint64_t until);
unsigned p9_server_ending(const struct p9_server *server);

/* Takes received bytes; *used is how many, less than len only after send
 * returned false, or when it is later than until (TSC); a message in any
 * case. Returns 0, or EPROTO: the stream makes no sense any more
 * and the connection should be reset. */
int p9_session_input(struct p9_session *session, const void *data, size_t len,
		     uint64_t until, size_t *used);

#endif
