/* SPDX-License-Identifier: MIT */
/*
 * Inside the FUSE server. A handler gets a request whose form has been checked
 * (the table in fuse_request.c), does it, writes the reply's
 * body to r->out, and returns 0, an errno value, or FUSE_LATER: then it has made
 * a struct fuse_later, by which the request is answered.
 */
#ifndef ISTHMUS_FUSE_SERVER_INT_H
#define ISTHMUS_FUSE_SERVER_INT_H

#include "host-bridge/blk/cache.h"
#include "host-bridge/files/fuse_limits.h"
#include "host-bridge/files/fuse_server.h"
#include "host-bridge/rt/latency.h"
#include "host-bridge/rt/seed.h"

/* Seconds for which Linux may keep what it was told: for ever, for it is told
 * of changes. */
#define FUSE_FOREVER		(1u << 30)

#define FUSE_LATER		(-1)

struct fuse_left;			/* fuse_legacy.h */
struct fuse_left_node;
struct fuse_left_open;
struct fuse_left_answer;
struct fuse_left_lock;

/* Who nodes, opens and locks are used for: fuse_quota.c. */
struct fuse_user {
	struct fuse_user *next;
	uint32_t uid;
	uint32_t nodes, opens, locks, waits;
	uint32_t busy;			/* a request that is carried out */
};

/* A file that a session knows: the kernel there has an inode for it. */
struct fuse_node {
	struct fuse_node *next;		/* in its hash chain */
	uint32_t ino, gen;
	uint64_t nlookup;
	struct fuse_user *user;
	uint32_t writers;		/* opens for writing */
	uint32_t locks;			/* had or waited for */
	bool held;			/* volume_hold() */
	bool adopted;			/* used without a look-up: see there */
	struct fuse_left_node *left;	/* fuse_legacy.c's, and so on */
	/* fuse_coherence.c's */
	bool unsure;			/* does the kernel know its size? */
	bool unflushed;
	uint8_t marks;			/* MARK_: in session->marked if not 0 */
	struct fuse_node *marked_next, *marked_before;
};

/* A file open for writing. */
struct fuse_open {
	struct fuse_open *next;
	uint64_t fh;
	struct fuse_node *node;
	struct fuse_user *user;
	struct fuse_left_open *left;
};

/* A request that will be answered later: part of what waits for something. */
struct fuse_later {
	struct fuse_later *next, **link;	/* of its session */
	struct fuse_session *session;
	uint64_t unique;
	uint32_t opcode;
	bool done;			/* carried out: only the reply waits */
	/* It is off the list, and nobody will answer it: ends what waits. */
	void (*cancel)(struct fuse_later *later);
};

/* A request that may have to wait for blocks: fuse_again.c. */
struct fuse_again {
	struct fuse_later later;
	struct fuse_server *server;
	struct volume_wait wait;
	struct fuse_again *next, **link;	/* those that are ready; or NULL */
	bool ready, waits;		/* waits: it is a session's */
	struct fuse_in_header in;
	uint32_t len;
	uint8_t *body;			/* of the message; NULL: not kept yet */
	/* WRITE: body is data that is not written yet. */
	struct fuse_write_in write;
	uint64_t begun;			/* FSYNC: TSC; 0: not yet */
	uint32_t count;			/* written before it */
};

/* An answer that is kept, for a request that may come again. */
struct fuse_kept {
	uint64_t unique;		/* 0: none */
	uint32_t len;
	uint8_t *big;			/* instead of bytes[] */
	struct fuse_left_answer *left;
	uint8_t bytes[sizeof(struct fuse_out_header) +
		      sizeof(struct fuse_entry_out) +
		      sizeof(struct fuse_open_out)];
};

/* A message that waits: one that is to be sent, a notification. */
struct fuse_message {
	struct fuse_message *next;
	uint32_t len;
	uint8_t bytes[];
};

/* Notifications are numbered from 1. */
struct fuse_notices {
	struct fuse_message *first, *last;	/* from number done + 1 on */
	struct fuse_message *unsent;		/* the first of these */
	uint64_t made, sent, done;
	size_t bytes;			/* of all these */
};

/* Notifications that have to be carried out: up to a number, if drains is 0; else
 * all that is said when what was marked has been said so often. */
struct fuse_due {
	uint64_t made, drains;
};

struct fuse_session {
	struct fuse_session *next;	/* in server's list, or of the ending */
	struct fuse_server *server;
	struct volume *vol;
	struct fuse_conn *conn;		/* NULL: detached, for now */
	const void *peer;
	uint32_t root;			/* inode of what it has as root */
	bool read_only;
	uint64_t id, detached_at;	/* the latter a count */
	uint32_t minor;			/* 0: no INIT yet */
	uint64_t init_flags;
	struct fuse_node **nodes;	/* hashed */
	struct fuse_node **nodes_old;	/* half as many: all from node_moved on */
	uint32_t node_bits, node_count, node_sweep, node_moved;
	struct fuse_node *node_spare;
	struct fuse_open **opens;	/* hashed */
	uint32_t open_count, lock_count, wait_count;
	uint64_t last_fh, seed;
	struct fuse_user *users[1u << FUSE_USER_BITS];
	struct fuse_later *later;
	uint32_t later_count, again_count;
	uint64_t forgets;		/* see fuse_channel_hello_out */
	uint64_t last_unique, again_unique;	/* up to it may come again */
	struct fuse_notices notices;
	/* fuse_coherence.c's: what is due for a request's sake, and for the
	 * console's; nodes of which something has to be said yet, and how often
	 * none were left, last when so many notifications were made. */
	struct fuse_due owed, owed_console;
	struct fuse_due owed_before;	/* for answers of the program before */
	struct fuse_node *marked, *marked_last;
	uint64_t drains, drained_made;
	struct volume_wait tell_wait;	/* for what marked ones are like */
	uint64_t heard;			/* last_unique at the last tick */
	uint64_t recalled;
	uint32_t kept_next;		/* the oldest */
	struct fuse_kept kept[FUSE_CHANNEL_OUT_MAX];
	struct fuse_left *left;		/* NULL: it ends with this program */
	bool fresh;			/* of the program before, and has not said
					 * yet what it has received */
	uint64_t left_order;		/* of answers */
};

struct fuse_wait;

struct fuse_coherence {
	struct volume_observer observer;
	struct fuse_wait *waits;
	struct fuse_wait *console;	/* the one of them that it waits for */
	const void *origin;		/* of the change being observed */
	uint32_t locked;		/* inode that the console changes, or 0 */
	uint32_t locked_dir;		/* its name is there */
	size_t locked_len;
	char locked_name[VOLUME_NAME_MAX];
	uint32_t cookie;		/* of the last move */
	uint64_t recall;		/* number of the last */
};

/* Who may have sessions, by a number that stays. */
struct fuse_peer {
	const void *peer;
	uint32_t number;
};

#define FUSE_PEERS	32u

/* Requests are carried out one by one, so all share the memory in which a
 * reply is made. */
struct fuse_server {
	struct volume *vol;
	struct volume_turns *turns;	/* NULL: nobody waits for blocks */
	struct fuse_again *again_first, **again_last;	/* that are ready */
	struct fuse_again *again_spare;
	struct volume_keeper keeper;
	struct fuse_session *sessions;	/* all that are not over */
	struct fuse_session *ending;
	uint64_t detach_count;
	struct fuse_lock_file **lock_files;	/* fuse_lock.c */
	uint64_t lock_seed;
	struct fuse_coherence coherence;
	const struct fuse_sockets *sockets;	/* NULL: nobody relays */
	/* What is changed is answered when it is lasting, for the next program to
	 * go on from there: fuse_lasting.c, fuse_legacy.c. */
	bool leaves;
	struct fuse_peer peers[FUSE_PEERS];
	unsigned peer_count;
	uint32_t left_number;		/* of the last session, without the
					 * peer's */
	uint32_t change;		/* what is done now belongs to this
					 * transaction; 0: to none */
	struct fuse_later_reply *lasting_first;
	struct volume_wait lasting_wait;
	bool lasting_due, tell_due;
	struct latency lasting;		/* of FSYNC */
	struct volume_seg segs[FUSE_SEGS_MAX];
	_Alignas(8) uint8_t reply[sizeof(struct fuse_out_header) +
				  FUSE_CHANNEL_DATA_MAX +
				  FUSE_CHANNEL_HEAD_MAX];
};

struct fuse_name {
	const char *s;
	size_t len;
};

struct fuse_request {
	struct fuse_session *session;
	struct volume *vol;
	struct fuse_in_header in;
	const void *arg;		/* the fixed part, 8-byte aligned */
	struct fuse_name name[2];
	const uint8_t *data;		/* behind it, if it has no names */
	uint32_t data_len;
	struct fuse_node *node;		/* of in.nodeid, if it has one */
	uint8_t *out;			/* the reply's body, aligned to 8 */
	uint32_t out_len;
	unsigned seg_count;		/* server->segs[1] on: behind it */
	size_t seg_bytes;
	struct fuse_again *again;	/* if it may have to wait */
	bool changed;			/* something of the volume, perhaps */
};

typedef int (*fuse_handler)(struct fuse_request *r);

/* fuse_node.c */
struct fuse_node *fuse_node_find(struct fuse_session *s, uint32_t ino);
int fuse_node_get(struct fuse_session *s, uint64_t nodeid, uint32_t uid,
		  struct fuse_node **out);
int fuse_node_look_up(struct fuse_session *s, const struct volume_attr *attr,
		      uint32_t uid, struct fuse_node **out);
void fuse_node_forget(struct fuse_session *s, uint64_t nodeid,
		      uint64_t nlookup);
void fuse_node_put(struct fuse_session *s, struct fuse_node *node);
uint32_t fuse_node_keep(struct volume_keeper *keeper, uint32_t ino);
int fuse_node_take_up(struct fuse_session *s, struct fuse_left_node *left);
bool fuse_node_end_some(struct fuse_session *s, uint64_t until);

static inline uint64_t fuse_node_id(const struct fuse_session *s, uint32_t ino,
				    uint32_t gen)
{
	return ino == s->root ? FUSE_ROOT_ID : (uint64_t)gen << 32 | ino;
}

/* What is not below its root it may not have by any way. */
static inline bool fuse_confined(const struct fuse_session *s)
{
	return s->root != VOLUME_ROOT;
}

/* fuse_open.c */
int fuse_open_new(struct fuse_session *s, struct fuse_node *node, uint32_t uid,
		  uint64_t fh, struct fuse_left_open *left);
void fuse_open_end(struct fuse_session *s, uint64_t fh);
bool fuse_open_end_some(struct fuse_session *s, uint64_t until);

/* fuse_quota.c */
bool fuse_quota(const struct fuse_user *user, size_t used, size_t all,
		size_t want, size_t limit);
struct fuse_user *fuse_user_get(struct fuse_session *s, uint32_t uid);
void fuse_user_put(struct fuse_session *s, struct fuse_user *user);

/* fuse_request.c */
#define FUSE_OP_NODE		1u	/* in.nodeid is a node's */
#define FUSE_OP_KEPT		2u	/* must not be carried out twice */
#define FUSE_OP_SILENT		4u	/* has no reply */
#define FUSE_OP_DATA		8u	/* more of any length follows */
#define FUSE_OP_NAMES		16u	/* changes names in its node */
#define FUSE_OP_CHANGES		32u	/* changes the volume */
#define FUSE_OP_LOCKS		64u	/* its EAGAIN is an answer */
unsigned fuse_request_flags(uint32_t opcode);
void fuse_request_begin(struct fuse_request *r, struct fuse_session *s,
			const struct fuse_in_header *in);
void fuse_request_run(struct fuse_request *r, const void *body, uint32_t len);
void fuse_request_done(struct fuse_request *r, int error);

/* fuse_later.c: requests and replies that wait */
bool fuse_later_add(struct fuse_session *s, struct fuse_later *later,
		    const struct fuse_in_header *in);
void fuse_later_remove(struct fuse_later *later);
void fuse_later_answer(struct fuse_later *later, int error);
void fuse_later_drop(struct fuse_session *s, bool all);
void fuse_later_interrupt(struct fuse_session *s, uint64_t unique);
bool fuse_later_known(const struct fuse_session *s, uint64_t unique);

/* fuse_again.c: requests that wait for blocks */
int fuse_again_turn(struct fuse_request *r, bool changes);
void fuse_again_changed(struct fuse_request *r);
int fuse_again_sync(struct fuse_request *r, uint32_t ino);
int fuse_again_put(struct fuse_request *r, const void *body, uint32_t len);
void fuse_again_end(struct fuse_again *again);
bool fuse_again_full(const struct fuse_session *s);

/* fuse_kept.c: answers that are kept */
void fuse_kept_add(struct fuse_session *s, const struct volume_seg *segs,
		   unsigned count, struct fuse_left_answer *left);
bool fuse_kept_send(struct fuse_session *s, const struct fuse_in_header *in);
void fuse_kept_end(struct fuse_session *s);

/* fuse_conn.c */
void fuse_send(struct fuse_session *s, const struct volume_seg *segs,
	       unsigned count);
void fuse_conn_go_on(struct fuse_session *s);
bool fuse_can_send(const struct fuse_session *s);
void fuse_cut_off(struct fuse_session *s);
void fuse_conn_forget(struct fuse_session *s);

/* fuse_notify.c */
uint64_t fuse_notify(struct fuse_session *s, int code, const void *body,
		     size_t len, const char *name, size_t name_len);
void fuse_notify_push(struct fuse_session *s);
int fuse_notify_again(struct fuse_session *s, uint64_t received);
int fuse_notify_acked(struct fuse_session *s, uint64_t done);
void fuse_notify_end(struct fuse_session *s);

/* fuse_session.c */
struct fuse_session *fuse_session_open(struct fuse_server *server,
				       const void *peer, uint64_t id,
				       bool *resumed);
void fuse_session_detach(struct fuse_session *s);
void fuse_session_end(struct fuse_session *s);

/* fuse_lock.c */
int fuse_lock_set(struct fuse_request *r);
int fuse_lock_wait(struct fuse_request *r);
int fuse_lock_get(struct fuse_request *r);
void fuse_lock_release(struct fuse_session *s, struct fuse_node *node,
		       uint64_t owner, bool flock);
void fuse_lock_close(struct fuse_session *s, struct fuse_node *node,
		     uint64_t fh);
void fuse_lock_end_session(struct fuse_session *s);
void fuse_lock_free(struct fuse_server *server);

/*
 * What waits for something that fuse_coherence.c knows is on a list of its own,
 * and is taken off by itself when the request is interrupted, its connection or
 * its session is over.
 */
/* The reply of one that was. It outlives its connection if it is one that is
 * kept: a request that comes again waits for it. */
struct fuse_later_reply {
	struct fuse_later later;
	struct fuse_later_reply *next, **link;
	uint64_t round;			/* that must be lasting; 0: none */
	struct fuse_left_answer *left;
	uint32_t len;
	_Alignas(8) uint8_t bytes[];
};

/* Takes it from its list, and sends it. */
void fuse_later_send(struct fuse_later_reply *waiting);
bool fuse_later_reply(struct fuse_request *r, const struct volume_seg *segs,
		      unsigned count, struct fuse_later_reply **list,
		      uint64_t round);
/* Puts it at a list's end. */
void fuse_later_link(struct fuse_later_reply *waiting,
		     struct fuse_later_reply **list);

/* fuse_lasting.c */
uint64_t fuse_lasting_round(const struct fuse_request *r, int error);
struct fuse_later_reply **fuse_lasting_list(struct fuse_server *server);
void fuse_lasting_begin(struct fuse_server *server);
void fuse_lasting_go_on(struct fuse_server *server);

/* fuse_legacy.c */
void fuse_legacy_begin(struct fuse_session *s);
void fuse_legacy_count(struct fuse_session *s);
void fuse_legacy_end(struct fuse_session *s);
struct fuse_left_node *fuse_legacy_node(struct fuse_session *s,
					const struct fuse_node *node);
void fuse_legacy_told(struct fuse_node *node, uint64_t number);
void fuse_legacy_counted(struct fuse_node *node, uint32_t opcode);
void fuse_legacy_forgotten(struct fuse_node *node, uint64_t nlookup);
struct fuse_left_open *fuse_legacy_open(struct fuse_session *s,
					const struct fuse_open *open);
struct fuse_lock;
struct fuse_left_lock *fuse_legacy_lock(const struct fuse_lock *lock,
					unsigned kind);
void fuse_legacy_lock_range(const struct fuse_lock *lock);
struct fuse_left_answer *fuse_legacy_answer(struct fuse_session *s,
					    const struct volume_seg *segs,
					    unsigned count, uint32_t change);
void fuse_legacy_sent(struct fuse_session *s, struct fuse_left_answer *left);

/*
 * fuse_coherence.c. All are called from within the server; what they learn of a
 * session is true until the next request.
 */
struct fuse_later_reply **fuse_coherence_after(struct fuse_request *r,
					       int error);
struct fuse_later_reply **fuse_coherence_again(struct fuse_session *s);
void fuse_coherence_closed(struct fuse_session *s, struct fuse_node *node);
void fuse_coherence_acked(struct fuse_session *s);
void fuse_coherence_gone(struct fuse_session *s);

/* fuse_tell.c */
void fuse_tell_begin(struct fuse_server *server);
void fuse_tell_end(struct fuse_server *server);
struct fuse_due fuse_tell_due(const struct fuse_session *s);
void fuse_tell_order(struct fuse_session *s, struct fuse_node *node, int code);
void fuse_tell_size(struct fuse_session *s, struct fuse_node *node);
void fuse_tell_marked(struct fuse_session *s);
void fuse_tell_go_on(struct fuse_server *server);
void fuse_tell_all(struct fuse_session *s, struct fuse_node *node);
void fuse_tell_unmark(struct fuse_session *s, struct fuse_node *node);

#endif
