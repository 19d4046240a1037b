/* SPDX-License-Identifier: MIT */
/*
 * For tests of coherence: sessions that are played message by message, each of
 * them a Linux as far as it matters, and what they were told.
 */
#ifndef ISTHMUS_FUSE_PEER_H
#define ISTHMUS_FUSE_PEER_H

#include "host-bridge/files/fuse_server.h"
#include "qemu-test/unit/volume_fixture.h"

#define PEERS		3
#define NONE		(-1)	/* no reply yet */
#define EV_MODIFY	0x2u
#define EV_MOVED_FROM	0x40u
#define EV_MOVED_TO	0x80u
#define EV_CREATE	0x100u
#define EV_DELETE	0x200u

struct said {
	int code;
	uint32_t len;
	_Alignas(8) uint8_t body[600];
};

/* One Linux, as far as it matters: what it sent and got. */
struct peer {
	struct fuse_conn *conn;
	bool ended;		/* its connection, by the server */
	uint64_t id, unique;
	struct said *said;	/* notifications, all that ever came */
	unsigned count, acked;
	uint64_t seen;		/* unique of the last reply */
	int error;		/* and its error */
	_Alignas(8) uint8_t body[4096];
};

extern struct fixture f;
extern struct fuse_server *server;
extern struct peer peers[PEERS];
/* Takes notifications as they come, where they are not to be kept; or NULL. */
extern void (*peer_told)(struct peer *p, const struct said *m);
#define A (&peers[0])
#define B (&peers[1])
#define C (&peers[2])

uint64_t ask(struct peer *p, uint32_t opcode, uint64_t nodeid,
		    const void *body, size_t len, const char *name);
int reply(const struct peer *p, uint64_t unique);
void connect_peer(struct peer *p);
void ack(struct peer *p, unsigned count);
void ack_all(struct peer *p);
int setup(void **state);
int teardown(void **state);
uint64_t look_up(struct peer *p, const char *name);
uint64_t node_of(struct peer *p, const char *name);
uint64_t make(struct peer *p, const char *name);
struct fuse_open_out open_it(struct peer *p, uint64_t nodeid);
uint64_t write_it(struct peer *p, uint64_t nodeid, uint64_t offset,
			 const char *text, uint32_t flags);
const struct said *said(const struct peer *p, int code, unsigned *at);
bool said_name(const struct peer *p, unsigned from, const char *name);
bool said_attr(const struct peer *p, unsigned from, uint64_t nodeid,
		      struct fuse_channel_attr *attr);
bool said_node(const struct peer *p, unsigned from, int code,
		      uint64_t nodeid);
bool said_event(const struct peer *p, unsigned from, uint32_t mask,
		       const char *name, uint32_t *cookie);
bool settle(void);

#endif
