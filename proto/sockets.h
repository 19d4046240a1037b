/* SPDX-License-Identifier: MIT */
/*
 * Sockets under /mnt/host, as host-bridge and the agent in Linux speak of them over
 * vsock: docs/sockets.md. All connections are Linux's, to SOCKETS_PORT, from a
 * reserved port. On each, both ways, are frames: struct sockets_head, then as many
 * bytes as it says; little-endian. Linux's first frame says what the connection is
 * for:
 *   CONTROL  one for each Linux. The host says WATCH, OFFER, WITHDRAW, CONNECT; Linux
 *            LISTENS and GONE.
 *   OPEN     a client of a socket that was offered
 *   ACCEPT   the answer to CONNECT: the server, if error is 0
 *   PASS     a connected socket that is to be passed on; the host says TOKEN
 *   TAKE     who has got a FDS with that token
 * The latter four are relayed: two make a pair. From then on both send DATA, FDS
 * (what belongs to the DATA behind it), END (no more is sent, but NOREAD) and NOREAD
 * (no more is taken). When both have sent END the host ends the connections, having
 * passed all on; who ends his before has it ended at the other end, too.
 */
#ifndef ISTHMUS_PROTO_SOCKETS_H
#define ISTHMUS_PROTO_SOCKETS_H

#include <stdint.h>

#define SOCKETS_PORT		569u	/* the host's */
#define SOCKETS_RIGHT		1024u	/* Linux's are below */
#define SOCKETS_WORD		"isthmus.sockets=on"	/* on the command line */
/* Of names that are made in the root of the mount by user 0: then decimal digits. */
#define SOCKETS_STAND_IN	".isthmus-socket-"

#define SOCKETS_DATA_MAX	0x40000u	/* bytes; a whole message */
#define SOCKETS_FDS_MAX		32u
#define SOCKETS_NAME_MAX	255u
#define SOCKETS_NOBODY		65534u	/* a user, and a group */

enum sockets_type {
	SOCKETS_CONTROL = 1,	/* no body */
	SOCKETS_OPEN = 2,	/* struct sockets_open */
	SOCKETS_ACCEPT = 3,	/* struct sockets_accept */
	SOCKETS_PASS = 4,	/* no body */
	SOCKETS_TAKE = 5,	/* struct sockets_token */
	SOCKETS_LISTENS = 6,	/* struct sockets_node */
	SOCKETS_GONE = 7,	/* struct sockets_node */
	SOCKETS_WATCH = 8,	/* struct sockets_node, the name it was given */
	SOCKETS_OFFER = 9,	/* struct sockets_open, of who made it */
	SOCKETS_WITHDRAW = 10,	/* struct sockets_node */
	SOCKETS_CONNECT = 11,	/* struct sockets_open, with a token */
	SOCKETS_TOKEN = 12,	/* struct sockets_token */
	SOCKETS_DATA = 13,
	SOCKETS_FDS = 14,	/* struct sockets_fd, SOCKETS_FDS_MAX at most */
	SOCKETS_END = 15,	/* no body */
	SOCKETS_NOREAD = 16,	/* no body */
};

struct sockets_head {
	uint32_t type;
	uint32_t len;
};

/* Linux's numbers of types. */
#define SOCKETS_STREAM		1u
#define SOCKETS_SEQPACKET	5u

/* A socket, by the node id that the FUSE server has for it. */
struct sockets_node {
	uint64_t nodeid;
	uint32_t type;		/* SOCKETS_STREAM, _SEQPACKET; GONE, WATCH: 0 */
	uint32_t number;	/* OFFER: of its name; else 0 */
};

struct sockets_open {
	struct sockets_node node;
	uint32_t uid, gid;
	uint64_t token;		/* CONNECT: for ACCEPT; else 0 */
};

struct sockets_accept {
	uint64_t token;
	uint32_t error;		/* Linux's number */
	uint32_t zero;
};

struct sockets_token {
	uint64_t token;
};

enum sockets_fd_kind {
	SOCKETS_FD_FILE = 1,	/* id: its node id */
	SOCKETS_FD_SOCKET = 2,	/* id: its token */
};

/* A descriptor that is passed. */
struct sockets_fd {
	uint64_t id;
	uint64_t offset;	/* of a file */
	uint32_t kind;
	uint32_t flags;		/* of a file, as open(2) has them; a socket's type */
};

#endif
