/* SPDX-License-Identifier: MIT */
/* Shared by the files of room sockets. */
#ifndef ISTHMUS_SOCKETS_INT_H
#define ISTHMUS_SOCKETS_INT_H

#include <stdint.h>

#include "host-bridge/files/fuse_server.h"
#include "host-bridge/sockets/sockets_frame.h"
#include "host-bridge/vsock/vsock_inbox.h"

/* Of one Linux. */
#define SOCKETS_NAMES	256u	/* that it has made */
#define SOCKETS_BEGUN	48u	/* connections that it has begun */
#define SOCKETS_LED	128u	/* that lead to it */
#define SOCKETS_LINKS	200u	/* of vsock; those that say nothing, too */
#define SOCKETS_TOLD	16u	/* notices about it */

struct sockets_own;
struct sockets_pair;

/* One Linux, for ever. */
struct sockets_linux {
	struct sockets_linux *next;
	struct vsock *vs;
	const char *title;
	bool offer, connect, root;	/* the manifest's words */
	bool shut;
	struct sockets_link *control;	/* NULL: its agent is not there */
	unsigned names, begun, led, links, told;
	uint64_t refused;
};

/* A vsock connection; lives until its on_close. */
struct sockets_link {
	struct sockets_linux *of;
	struct vsock_conn *conn;
	enum sockets_phase phase;
	struct sockets_pair *pair;	/* RELAYS, OWN; NULL: it is over */
	bool failed;			/* reset or shut by us */
	bool ready;			/* RELAYS: frame is to be sent: */
	uint32_t sent;			/* of its head and body */
	struct vsock_inbox in;
	struct sockets_frame frame;
};

/* A connection from one Linux to another, or the host's own to one. */
struct sockets_pair {
	struct sockets_pair *next;
	/* Who began, and who came; NULL: is to come, or has gone before that. */
	struct sockets_link *link[2];
	struct sockets_own *own;	/* the host at one end, or NULL */
	struct sockets_linux *begun_by;
	struct sockets_linux *wanted;	/* who may come, or has */
	const struct sockets_pair *carrier;	/* PASS: on which it is on its way */
	uint64_t token, nodeid;		/* nodeid: of OPEN; else 0 */
	unsigned ticks;			/* to wait; 0: for ever */
};

/* sockets.c */
struct sockets_linux *sockets_all(void);
struct fuse_server *sockets_server(void);
uint32_t sockets_mapped(const struct sockets_linux *of, uint32_t id);
void sockets_say(struct sockets_linux *ln, uint32_t type, const void *body,
		 size_t len, const char *name, size_t name_len);
void sockets_refuse(struct sockets_link *link, const char *why);
void sockets_let_go(struct sockets_link *link);

/* sockets_names.c */
void sockets_names_init(struct fuse_server *server);
bool sockets_names_find(uint64_t nodeid, uint32_t type,
			struct sockets_linux **owner);
uint32_t sockets_names_type(uint64_t nodeid);
bool sockets_names_own(struct sockets_linux *host, uint64_t nodeid);
void sockets_names_tell(struct sockets_linux *ln);
bool sockets_names_listens(struct sockets_linux *ln, uint64_t nodeid,
			   uint32_t type);
void sockets_names_gone(struct sockets_linux *ln, uint64_t nodeid);
void sockets_names_deaf(struct sockets_linux *ln);
void sockets_names_end(struct sockets_linux *ln);

/* sockets_pairs.c */
const char *sockets_pairs_open(struct sockets_link *link,
			       const struct sockets_open *open);
const char *sockets_pairs_accept(struct sockets_link *link,
				 const struct sockets_accept *accept);
const char *sockets_pairs_pass(struct sockets_link *link);
const char *sockets_pairs_take(struct sockets_link *link,
			       const struct sockets_token *take);
struct sockets_pair *sockets_pairs_own(struct sockets_own *own,
				       struct sockets_linux *host,
				       struct sockets_linux *owner,
				       const struct sockets_open *as);
struct sockets_pair *sockets_pairs_find(uint64_t token);
bool sockets_pairs_want(struct sockets_pair *pair, struct sockets_linux *ln);
void sockets_pairs_end(struct sockets_pair *pair);
void sockets_pairs_closed(struct sockets_link *link);
void sockets_pairs_drop(const struct sockets_linux *ln);

/* sockets_relay.c */
size_t sockets_relay_input(struct sockets_link *link, const uint8_t *data,
			   size_t len);
void sockets_relay_go_on(struct sockets_link *link);
void sockets_relay_room(struct sockets_link *link);

/* sockets_own.c */
bool sockets_own_is_host(const struct sockets_linux *owner);
void sockets_own_came(struct sockets_link *link);
void sockets_own_look(struct sockets_link *link);
void sockets_own_over(struct sockets_own *own);

#endif
