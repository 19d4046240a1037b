/* SPDX-License-Identifier: MIT */
/*
 * A connection: cuts the byte stream into messages and hands each on; sends, and
 * keeps what cannot be sent at once. A message is copied before it is looked at,
 * so the transport's memory may be the peer's; only WRITE's data goes straight
 * from there to the volume, as it arrives. A message that cannot be read is
 * answered with an error and skipped; only a length that leaves no way to find
 * the next one ends the connection.
 *
 * The peer is Linux's kernel, which is not trusted: a length, a node id, an
 * offset may be anything. What a connection can cost is bounded by what one
 * message may be (FUSE_CHANNEL_DATA_MAX) and by FUSE_CHANNEL_OUT_MAX. One thread:
 * a handler runs to its end, and no handler calls the event loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"
#include "host-bridge/files/linux_errno.h"
#include "host-bridge/rt/tsc.h"

#define HEADER		sizeof(struct fuse_in_header)
#define WRITE_HEAD	(HEADER + sizeof(struct fuse_write_in))
#define MESSAGE_MAX	(FUSE_CHANNEL_DATA_MAX + FUSE_CHANNEL_HEAD_MAX)
/* A value, its name, and what says how long they are. */
#define LONG_MAX_BYTES	(FUSE_XATTR_MAX + 4096u)
#define HELLO_UNIQUE	UINT64_MAX

/* A WRITE whose data is still arriving. */
struct write {
	struct fuse_request r;
	uint64_t offset;		/* where the next byte goes */
	uint32_t left;			/* bytes to come; 0: none under way */
	uint32_t count;			/* written */
	uint32_t ino;
	int error;			/* EAGAIN: the rest is gathered */
	struct fuse_again *again;	/* who has to wait for blocks */
};

struct fuse_conn {
	struct fuse_server *server;
	const struct fuse_conn_ops *ops;
	void *arg;
	const void *peer;
	uint32_t root;			/* of a new session */
	bool read_only;
	struct fuse_session *session;	/* NULL: no HELLO yet, or over */
	bool over;			/* nothing more is to be done */
	bool blocked;			/* send() wants no more now */
	struct fuse_message *first, *last;	/* that wait for that */
	size_t waiting;			/* bytes of these */
	uint32_t have;			/* bytes of a message in request */
	uint32_t skip;			/* bytes to drop */
	uint32_t acted;			/* messages of this fuse_conn_input() */
	struct write write;
	uint8_t *request;		/* small, or memory for a long one */
	_Alignas(8) uint8_t small[FUSE_REQUEST_MAX];
};

/* Keeps a message until there is room: one whose request waited, for others do not
 * begin meanwhile. Without memory, or with more than such can be, the stream would
 * have a hole: the connection ends, and Linux asks again on the next. */
static void conn_keep(struct fuse_conn *conn, const struct volume_seg *segs,
		      unsigned count)
{
	struct fuse_message *m;
	size_t len = 0;

	if (conn->over) {
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		len += segs[i].len;
	}
	m = conn->waiting + len <= FUSE_ANSWERS_BYTES_MAX ?
	    malloc(sizeof(*m) + len) : NULL;
	if (m == NULL) {
		fuse_cut_off(conn->session);
		return;
	}
	m->next = NULL;
	m->len = 0;
	for (unsigned i = 0; i < count; i++) {
		memcpy(m->bytes + m->len, segs[i].data, segs[i].len);
		m->len += (uint32_t)segs[i].len;
	}
	if (conn->first == NULL) {
		conn->first = m;
	} else {
		conn->last->next = m;
	}
	conn->last = m;
	conn->waiting += len;
}

/**
 * Sends a message of a session's, in pieces that are good only now; when there is
 * no room it waits, without a connection it is dropped.
 */
void fuse_send(struct fuse_session *s, const struct volume_seg *segs,
	       unsigned count)
{
	struct fuse_conn *conn = s->conn;

	if (conn == NULL) {
		return;
	}
	if (conn->blocked) {
		conn_keep(conn, segs, count);
		return;
	}
	conn->blocked = !conn->ops->send(conn->arg, segs, count);
}

/** Whether a session's message would be sent at once. */
bool fuse_can_send(const struct fuse_session *s)
{
	return s->conn != NULL && !s->conn->blocked;
}

/** Its input was held, for too many requests waited, and need not be. */
void fuse_conn_go_on(struct fuse_session *s)
{
	struct fuse_conn *conn = s->conn;

	if (conn != NULL && !conn->over && conn->ops->go_on != NULL) {
		conn->ops->go_on(conn->arg);
	}
}

/**
 * A session's connection, if it has one, is of no use any more. From anywhere:
 * that the session has none is seen when fuse_conn_free() is called.
 */
void fuse_cut_off(struct fuse_session *s)
{
	struct fuse_conn *conn = s->conn;

	if (conn != NULL && !conn->over) {
		conn->over = conn->blocked = true;
		conn->ops->end(conn->arg);
	}
}

/**
 * The session is over, or has another connection: its connection, if it has one,
 * has no session any more.
 */
void fuse_conn_forget(struct fuse_session *s)
{
	if (s->conn != NULL) {
		s->conn->session = NULL;
		s->conn->write.error = EIO;
		fuse_again_end(s->conn->write.again);
		s->conn->write.again = NULL;
		s->conn = NULL;
	}
}

/**
 * Sends what has waited for room, and then notifications. Returns whether input
 * can go on.
 */
bool fuse_conn_writable(struct fuse_conn *conn)
{
	conn->blocked = conn->over;
	while (!conn->blocked && conn->first != NULL) {
		struct fuse_message *m = conn->first;
		struct volume_seg seg = { .data = m->bytes, .len = m->len };

		conn->first = m->next;
		conn->waiting -= m->len;
		conn->blocked = !conn->ops->send(conn->arg, &seg, 1);
		free(m);
	}
	if (!conn->blocked && conn->session != NULL) {
		fuse_notify_push(conn->session);
	}
	return !conn->blocked;
}

/* HELLO: which mount this is. Returns 0 or EPROTO. */
static int conn_hello(struct fuse_conn *conn)
{
	struct {
		struct fuse_out_header header;
		struct fuse_channel_hello_out out;
	} reply = {
		.header = { .len = sizeof(reply), .unique = HELLO_UNIQUE },
		.out = { .version = FUSE_CHANNEL_VERSION },
	};
	struct volume_seg seg = { .data = &reply, .len = sizeof(reply) };
	struct fuse_channel_hello hello;
	struct fuse_session *s = NULL;
	bool resumed = false;

	memcpy(&hello, conn->request + HEADER, sizeof(hello));
	if (hello.session == 0) {
		return EPROTO;
	}
	if (hello.version == FUSE_CHANNEL_VERSION) {
		s = fuse_session_open(conn->server, conn->peer, hello.session,
				      &resumed);
	}
	if (s == NULL) {
		reply.header.error = -linux_errno(hello.version ==
						 FUSE_CHANNEL_VERSION ?
						 EMFILE : EPROTONOSUPPORT);
		reply.header.len = seg.len = sizeof(reply.header);
		conn->blocked = !conn->ops->send(conn->arg, &seg, 1);
		return 0;
	}
	/* Who finds his session over has counted another's notifications. */
	if (resumed && fuse_notify_again(s, hello.notified) != 0) {
		return EPROTO;
	}
	if (!resumed) {
		s->root = conn->root;
		s->read_only = conn->read_only;
		fuse_legacy_count(s);
	}
	conn->session = s;
	s->conn = conn;
	reply.out.flags = resumed ? FUSE_CHANNEL_RESUMED : 0;
	reply.out.forgets = s->forgets;
	reply.out.room = fuse_room(s->vol);
	fuse_send(s, &seg, 1);
	fuse_notify_push(s);
	fuse_tell_marked(s);
	return 0;
}

/* The rest of a WRITE, beginning with these bytes, is kept until its blocks have
 * come. 0 or ENOMEM. */
static int write_gather(struct write *w, const uint8_t *data, uint32_t len)
{
	struct fuse_again *again = w->again;

	if (again->body == NULL) {
		again->body = malloc(w->left);
		again->len = 0;
		again->count = w->count;
		if (again->body == NULL) {
			return ENOMEM;
		}
	}
	memcpy(again->body + again->len, data, len);
	again->len += len;
	return EAGAIN;
}

/* A WRITE's head is there: its data follows, and is written as it comes, or taken
 * off the stream unused. */
static void write_begin(struct fuse_conn *conn, const struct fuse_in_header *in)
{
	struct write *w = &conn->write;
	const struct fuse_write_in *arg =
		(const void *)(conn->request + HEADER);

	w->left = in->len - WRITE_HEAD;
	w->count = 0;
	w->offset = arg->offset;
	fuse_request_begin(&w->r, conn->session, in);
	w->error = fuse_again_turn(&w->r, true);
	if (w->error == 0) {
		w->error = fuse_write_begin(&w->r, arg, w->left);
	}
	w->ino = w->error == 0 ? w->r.node->ino : 0;
	w->again = w->r.again;
	if (w->again != NULL) {
		w->again->write = *arg;
	}
}

/* The next bytes of a WRITE; after an error they are dropped, so that what was
 * written is the beginning and count says how much. */
static void write_data(struct write *w, const uint8_t *data, uint32_t len)
{
	size_t done = 0;

	if (w->error == 0) {
		w->error = fuse_write_some(&w->r, w->ino, w->offset, data, len,
					   &done);
		w->offset += done;
		w->count += (uint32_t)done;
		w->left -= (uint32_t)done;
	}
	if (w->error == EAGAIN) {
		w->error = write_gather(w, data + done, len - (uint32_t)done);
	}
	w->left -= len - (uint32_t)done;
}

/* All of a WRITE's data was there. An error after the first bytes is a short
 * count, as in write(2). */
static void write_end(struct fuse_conn *conn)
{
	struct write *w = &conn->write;

	struct fuse_again *again = w->again;

	w->again = NULL;
	if (conn->session == NULL) {
		return;			/* and again has ended */
	}
	/* Others had their turn meanwhile. */
	fuse_request_begin(&w->r, conn->session, &w->r.in);
	w->r.again = again;
	if (w->error == 0 && again != NULL) {
		w->error = fuse_write_lasts(&w->r, &again->write, w->ino);
		again->count = w->count;
	}
	if (w->error == EAGAIN) {
		w->error = fuse_again_put(&w->r, "", 0);
		if (w->error == 0) {
			return;
		}
	}
	if (w->error != 0 && w->count > 0) {
		fuse_again_changed(&w->r);	/* the rest was no turn of ours */
	}
	fuse_write_end(&w->r, w->ino, w->count, w->error);
	fuse_again_end(again);
}

/* Whether a message may be longer than conn->small. */
static bool may_be_long(uint32_t opcode)
{
	return opcode == FUSE_SETXATTR || opcode == FUSE_BATCH_FORGET;
}

/* Bytes of the message in conn->request that must be there before it is acted
 * upon: all of it, but for a WRITE. */
static uint32_t wanted(const struct fuse_conn *conn)
{
	const struct fuse_in_header *in = (const void *)conn->request;

	if (conn->have < HEADER) {
		return HEADER;
	}
	return in->opcode == FUSE_WRITE && in->len > WRITE_HEAD ? WRITE_HEAD
								: in->len;
}

/* Answers a message that is not looked at, and skips the rest of it. */
static void refuse(struct fuse_conn *conn, const struct fuse_in_header *in,
		   int error)
{
	struct fuse_request r;

	conn->skip = in->len - conn->have;
	conn->have = 0;
	if ((fuse_request_flags(in->opcode) & FUSE_OP_SILENT) == 0) {
		fuse_request_begin(&r, conn->session, in);
		fuse_request_done(&r, error);
	}
}

/* Judges a message by its header, once. Returns 0, or EPROTO: nothing says where
 * the next one begins, or it is not the one that is due. */
static int judge(struct fuse_conn *conn)
{
	const struct fuse_in_header *in = (const void *)conn->request;
	uint8_t *more;

	/* A reply to number 0 would look like a notification. */
	if (in->len < HEADER || in->len > MESSAGE_MAX ||
	    (in->unique == 0 && (fuse_request_flags(in->opcode) &
				 FUSE_OP_SILENT) == 0)) {
		return EPROTO;
	}
	if (conn->session == NULL || in->opcode == FUSE_CHANNEL_HELLO) {
		return conn->session == NULL &&
		       in->opcode == FUSE_CHANNEL_HELLO &&
		       in->len == HEADER + sizeof(struct fuse_channel_hello)
		       ? 0 : EPROTO;
	}
	if (in->opcode == FUSE_WRITE) {
		if (in->len < WRITE_HEAD ||
		    in->len - WRITE_HEAD > FUSE_CHANNEL_DATA_MAX) {
			refuse(conn, in, EINVAL);
		}
	} else if (in->len > FUSE_REQUEST_MAX) {
		if (!may_be_long(in->opcode) || in->len > LONG_MAX_BYTES) {
			refuse(conn, in, ENAMETOOLONG);
			return 0;
		}
		more = malloc(in->len);
		if (more == NULL) {
			refuse(conn, in, ENOMEM);
			return 0;
		}
		memcpy(more, in, HEADER);
		conn->request = more;
	}
	return 0;
}

/* The message is there, or a WRITE's head. Returns 0 or EPROTO. */
static int act(struct fuse_conn *conn)
{
	struct fuse_session *s = conn->session;
	struct fuse_in_header in;
	struct fuse_request r;
	int error = 0;

	memcpy(&in, conn->request, sizeof(in));
	conn->acted++;
	if (s != NULL && in.unique > s->last_unique) {
		s->last_unique = in.unique;
		fuse_legacy_count(s);
	}
	if (in.opcode == FUSE_CHANNEL_HELLO) {
		error = conn_hello(conn);
	} else if (in.unique <= s->again_unique && in.unique != 0 &&
		   (fuse_later_known(s, in.unique) ||
		    fuse_kept_send(s, &in))) {
		/* It was carried out before its connection was lost. */
		conn->skip = in.len - conn->have;
	} else if (in.opcode == FUSE_WRITE) {
		write_begin(conn, &in);
		if (conn->write.left == 0) {
			write_end(conn);
		}
	} else if (in.opcode == FUSE_DESTROY) {
		fuse_request_begin(&r, s, &in);
		fuse_request_done(&r, 0);
		fuse_session_end(s);
	} else {
		fuse_request_begin(&r, s, &in);
		fuse_request_run(&r, conn->request + HEADER,
				 in.len - HEADER);
	}
	conn->have = 0;
	if (conn->request != conn->small) {
		free(conn->request);
		conn->request = conn->small;
	}
	return error;
}

/** Whether the next message must not begin yet, for too many requests wait. */
bool fuse_conn_held(const struct fuse_conn *conn)
{
	return conn->session != NULL && conn->have == 0 && conn->skip == 0 &&
	       conn->write.left == 0 && fuse_again_full(conn->session);
}

static uint32_t at_most(size_t n, uint32_t most)
{
	return n < most ? (uint32_t)n : most;
}

/* Takes the next piece of the stream; *used is its length, at least 1. Returns 0
 * or EPROTO. A step ends where a decision is due, so that no byte of the next
 * message is taken before this one is answered. */
static int step(struct fuse_conn *conn, const uint8_t *data, size_t len,
		uint32_t *used)
{
	uint32_t want;
	int error = 0;

	if (conn->skip > 0) {
		*used = at_most(len, conn->skip);
		conn->skip -= *used;
		return 0;
	}
	if (conn->write.left > 0) {
		*used = at_most(len, conn->write.left);
		write_data(&conn->write, data, *used);
		if (conn->write.left == 0) {
			write_end(conn);
		}
		return 0;
	}
	want = wanted(conn);
	*used = at_most(len, want - conn->have);
	memcpy(conn->request + conn->have, data, *used);
	conn->have += *used;
	/* Its length has just become known. It is judged here only: later the
	 * bytes of request are those that were judged. */
	if (conn->have == HEADER && want == HEADER) {
		error = judge(conn);
		/* Mostly the rest is there too. */
		if (error == 0 && conn->have == HEADER) {
			uint32_t more = at_most(len - *used,
						wanted(conn) - HEADER);

			memcpy(conn->request + HEADER, data + *used, more);
			conn->have += more;
			*used += more;
		}
	}
	if (error == 0 && conn->have >= HEADER && conn->have == wanted(conn)) {
		error = act(conn);
	}
	return error;
}

/**
 * Takes bytes that the peer sent, in pieces of any length; data may be shared
 * memory, each byte is read once. Acts on each message that becomes complete.
 * *used is less than len only when a reply waits for room, or when, after at
 * least one message, it is later than until: the rest is to be given again.
 * Returns 0, or EPROTO: the stream makes no sense any more, or was cut off, and
 * the connection should be reset.
 */
int fuse_conn_input(struct fuse_conn *conn, const void *data, size_t len,
		    uint64_t until, size_t *used)
{
	int error = 0;

	conn->acted = 0;
	volume_origin(conn->server->vol, conn->session);
	for (*used = 0; error == 0 && !conn->over && !conn->blocked &&
	     *used < len; ) {
		uint32_t n = 0;

		/* A stamp costs less than a message. */
		if (conn->acted > 0 && conn->have == 0 && tsc_now() >= until) {
			break;
		}
		if (fuse_conn_held(conn)) {
			break;
		}
		error = step(conn, (const uint8_t *)data + *used, len - *used,
			     &n);
		*used += n;
	}
	volume_origin(conn->server->vol, NULL);
	return conn->over ? EPROTO : error;
}

/**
 * A connection without a session; ops->send() is called from within the calls
 * on any connection of the server. NULL: no memory.
 */
struct fuse_conn *fuse_conn_new(struct fuse_server *server,
				const struct fuse_conn_ops *ops, void *arg,
				const void *peer)
{
	struct fuse_conn *conn = calloc(1, sizeof(*conn));

	if (conn != NULL) {
		conn->server = server;
		conn->ops = ops;
		conn->arg = arg;
		conn->peer = peer;
		conn->root = VOLUME_ROOT;
		conn->request = conn->small;
	}
	return conn;
}

/**
 * A session that begins with this connection has that folder as its root, and
 * nothing else of the volume; it may not change or lock anything if read_only.
 * Before the first input.
 */
void fuse_conn_confine(struct fuse_conn *conn, uint32_t root, bool read_only)
{
	conn->root = root;
	conn->read_only = read_only;
}

/** Ends a connection; its session waits for another. Not from within send(). */
void fuse_conn_free(struct fuse_conn *conn)
{
	struct fuse_session *s = conn->session;

	if (s != NULL) {
		fuse_conn_forget(s);
		fuse_session_detach(s);
	}
	while (conn->first != NULL) {
		struct fuse_message *m = conn->first;

		conn->first = m->next;
		free(m);
	}
	if (conn->request != conn->small) {
		free(conn->request);
	}
	free(conn);
}
