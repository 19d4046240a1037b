/* SPDX-License-Identifier: MIT */
/*
 * Room files: protocols for files, both ways. The server that gives the volume
 * to Linux (fuse_*.c) and its way over vsock (fuse_service.h); the client for
 * Linux's own files (p9_client.h). Neither trusts the other end. May include the
 * rooms up to vsock, and proto/ for the messages themselves.
 *
 * A FUSE server for a volume: bytes in, replies and notifications out, over any
 * transport. A connection (struct fuse_conn) carries one mount's messages; what
 * the mount has here, its session, outlives it and is found again by HELLO.
 * Requests are carried out one after the other; a few are answered later.
 * [proto/fuse_channel.h, docs/files.md]
 */
#ifndef ISTHMUS_FUSE_SERVER_H
#define ISTHMUS_FUSE_SERVER_H

#include "host-bridge/fs/volume.h"
#include "host-bridge/rt/latency.h"
#include "proto/fuse.h"
#include "proto/fuse_channel.h"

/* The shortest blocks have 1024 bytes, and before a disk lie anywhere. */
#define FUSE_SEGS_MAX	(FUSE_CHANNEL_DATA_MAX / 1024 + 3)

struct fuse_server;		/* a volume as it is served */
struct fuse_conn;

struct fuse_conn_ops {
	/* Sends one message, in count pieces that are good only during the
	 * call: it must take them all. Returns whether more can be sent at
	 * once; after false fuse_conn_writable() is due when it can. */
	bool (*send)(void *arg, const struct volume_seg *segs, unsigned count);
	/* Its session has another connection now, or was cut off: it is of no
	 * use any more. fuse_conn_free() is still due, but not from here. */
	void (*end)(void *arg);
	/* Input that fuse_conn_input() did not take may be given again. NULL: it
	 * is anyway. */
	void (*go_on)(void *arg);
};

/* turns: of a volume on a disk; NULL: of one in memory. */
struct fuse_server *fuse_server_new(struct volume *vol,
				    struct volume_turns *turns);
void fuse_server_free(struct fuse_server *server);
/* How long FSYNC has taken, from the request to the answer. */
const struct latency *fuse_server_lasting(const struct fuse_server *server);
/* peer says who it is: a session is found only by the peer it was made by. */
struct fuse_conn *fuse_conn_new(struct fuse_server *server,
				const struct fuse_conn_ops *ops, void *arg,
				const void *peer);
/* Before its first input: its session has only this folder, and what is below. */
void fuse_conn_confine(struct fuse_conn *conn, uint32_t root, bool read_only);
void fuse_conn_free(struct fuse_conn *conn);

/* Takes received bytes; *used is how many, less than len only when send
 * returned false, or when it is later than until (TSC), a message in any case; or
 * when too many requests wait for blocks, until go_on().
 * Returns 0, or EPROTO: the stream makes no sense any more and the connection
 * should be reset. */
int fuse_conn_input(struct fuse_conn *conn, const void *data, size_t len,
		    uint64_t until, size_t *used);
/* Whether it takes nothing for now: see there. */
bool fuse_conn_held(const struct fuse_conn *conn);
/* Sends what has waited for room. Returns whether input can go on. */
bool fuse_conn_writable(struct fuse_conn *conn);

/* The console, before it reads files: what sessions have not written yet they
 * shall; and after it has changed some. Both are over when it says true; until
 * then the loop has to run. */
void fuse_server_recall(struct fuse_server *server);
bool fuse_server_recalled(struct fuse_server *server);
bool fuse_server_settled(struct fuse_server *server);
/* While it changes a file's content. */
void fuse_server_lock(struct fuse_server *server, uint32_t ino, uint32_t dir,
		      const char *name, size_t len);
void fuse_server_unlock(struct fuse_server *server);
/* A session may keep others waiting for so many ticks, of a second each while
 * somebody waits, without a request and in all; then it is cut off. */
#define FUSE_PATIENCE		5u
#define FUSE_PATIENCE_MAX	60u
bool fuse_server_waiting(const struct fuse_server *server);
void fuse_server_tick(struct fuse_server *server);

/* Who relays connections to sockets in the volume. */
struct fuse_made {
	uint64_t nodeid;
	uint32_t uid, gid;		/* who made it */
	const char *name;		/* not terminated, good during the call */
	size_t len;
};

struct fuse_sockets {
	/* A peer has made a socket. */
	void (*made)(void *arg, const void *peer, const struct fuse_made *made);
	/* The node id of the socket of that number, if it is for that peer; or 0. */
	uint64_t (*stands_for)(void *arg, const void *peer, uint32_t number);
	void *arg;
};
void fuse_server_sockets(struct fuse_server *server,
			 const struct fuse_sockets *sockets);
bool fuse_server_knows(struct fuse_server *server, const void *peer,
		       uint64_t nodeid, bool write);

/* Who may have sessions, by a number of his that stays, before any connection of his:
 * what the program before has left of them is taken up. Then, when all are known,
 * what nobody has taken up is gone. */
void fuse_server_peer(struct fuse_server *server, const void *peer,
		      uint32_t number);
void fuse_server_peers_known(struct fuse_server *server);

/* All sessions of a peer are over: it is not there any more. */
void fuse_server_peer_gone(struct fuse_server *server, const void *peer);
/* What sessions had that are over is ended in pieces. Whether some is left. */
bool fuse_server_end_some(struct fuse_server *server, uint64_t until);
bool fuse_server_ending(const struct fuse_server *server);
/* Requests whose blocks have come are gone on with. Whether some are left. */
bool fuse_server_go_on(struct fuse_server *server, uint64_t until);
bool fuse_server_ready(const struct fuse_server *server);

#endif
