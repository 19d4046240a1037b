/* SPDX-License-Identifier: MIT */
/*
 * The 9P server's front: cuts the byte stream into messages, hands each to its
 * handler, sends what comes back. A message is copied before it is looked at,
 * so the transport's memory may be the peer's; only Twrite's data goes straight
 * from there to the volume, as it arrives. A message that cannot be read is
 * answered with Rlerror and skipped; only a size that leaves no way to find the
 * next message ends the connection. [diod "protocol.md"]
 *
 * The peer is Linux's kernel, which is not trusted: a size, a fid, an offset
 * may be anything. What a session can cost is bounded by P9_REQUEST_MAX,
 * P9_FIDS_MAX and the one reply being made. One thread: a handler runs to its
 * end, and no handler calls the event loop.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/files/p9_server_int.h"
#include "host-bridge/rt/tsc.h"

/* Puts a session that is over to those whose fids end bit by bit. */
static void session_end(struct p9_session *s)
{
	s->next = s->server->ending;
	s->server->ending = s;
	s->server->ending_count++;
}

/* Begins a session anew: what it had goes to one that is over; without memory
 * for that it ends at once. */
static void session_anew(struct p9_session *s)
{
	struct p9_session *old = NULL;

	p9_locks_end(s);
	if (s->fid_count > 0) {
		old = malloc(sizeof(*old));
	}
	if (old == NULL) {
		(void)p9_fid_end_some(s, UINT64_MAX);
		return;
	}
	*old = *s;
	session_end(old);
	s->fids = NULL;
	s->fid_spare = NULL;
	s->fid_count = 0;
	memset(s->users, 0, sizeof(s->users));
}

/* Tversion: msize[4] version -> msize[4] version. It begins the session anew:
 * what fids and locks there were are gone. An unknown version is answered, not
 * refused; until a known one comes every other request gets EPROTO.
 * [9P2000.L "version"] */
static int p9_version(struct p9_session *s, struct p9_reader *r,
		      struct p9_reply *p)
{
	uint32_t msize = p9_get32(r);
	struct p9_str version = p9_getstr(r);
	size_t len = sizeof(P9_VERSION) - 1;
	/* Whatever follows the name is a dialect's: we answer with ours. */
	bool known = version.len >= len &&
		     memcmp(version.s, P9_VERSION, len) == 0;

	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (msize < P9_MSIZE_MIN) {
		return EMSGSIZE;
	}
	session_anew(s);
	/* Never above what was asked for: the client has no more room. */
	msize = msize < P9_MSIZE_MAX ? msize : P9_MSIZE_MAX;
	s->msize = known ? msize : 0;
	p9_put32(&p->w, msize);
	if (known) {
		p9_putstr(&p->w, P9_VERSION, len);
	} else {
		p9_putstr(&p->w, "unknown", 7);
	}
	return 0;
}

/* Tflush: oldtag[2] -> (nothing). Requests are over before the next is read, so
 * the old one was answered before this: there is nothing to flush, and the
 * order that a client relies on holds. [9P2000.L "flush"] */
static int p9_flush(struct p9_session *s, struct p9_reader *r,
		    struct p9_reply *p)
{
	(void)s;
	(void)p;
	p9_get16(r);
	return p9_complete(r) ? 0 : EINVAL;
}

/* By message type; NULL is EOPNOTSUPP, which Linux takes as "do without".
 * Twrite is not here: request_act() begins it before its data has arrived.
 * Tauth is not either: a client proves nothing but its port (p9_service.c). */
static const p9_handler handlers[256] = {
	[P9_TSTATFS] = p9_statfs,
	[P9_TLOPEN] = p9_lopen,
	[P9_TLCREATE] = p9_lcreate,
	[P9_TSYMLINK] = p9_symlink,
	[P9_TMKNOD] = p9_mknod,
	[P9_TRENAME] = p9_rename,
	[P9_TREADLINK] = p9_readlink,
	[P9_TGETATTR] = p9_stat,
	[P9_TSETATTR] = p9_setattr,
	[P9_TXATTRWALK] = p9_xattrwalk,
	[P9_TXATTRCREATE] = p9_xattrcreate,
	[P9_TREADDIR] = p9_readdir,
	[P9_TFSYNC] = p9_fsync,
	[P9_TLOCK] = p9_lock,
	[P9_TGETLOCK] = p9_getlock,
	[P9_TLINK] = p9_link,
	[P9_TMKDIR] = p9_mkdir,
	[P9_TRENAMEAT] = p9_renameat,
	[P9_TUNLINKAT] = p9_unlinkat,
	[P9_TVERSION] = p9_version,
	[P9_TATTACH] = p9_attach,
	[P9_TFLUSH] = p9_flush,
	[P9_TWALK] = p9_walk,
	[P9_TREAD] = p9_read,
	[P9_TCLUNK] = p9_clunk,
	[P9_TREMOVE] = p9_remove,
};

/* Fills the size in and hands over head and data. The handlers see to it that
 * the reply fits; p9_end() would say 0 if one did not. */
static bool reply_send(struct p9_session *s, struct p9_reply *p)
{
	p->segs[0].data = p->w.start;
	p->segs[0].len = p9_end(&p->w, p->extra);
	return s->send(s->arg, p->segs, p->count);
}

/* All replies are made in the server's one buffer: a reply is sent, or copied
 * by send(), before the next request is looked at. */
static void reply_begin(struct p9_session *s, struct p9_reply *p,
			uint8_t type, uint16_t tag)
{
	p->segs = s->server->segs;
	p->count = 1;
	p->extra = 0;
	p9_begin(&p->w, s->server->reply, sizeof(s->server->reply), type, tag);
}

/* Rlerror. Starts the reply anew, so a handler may fail after it has written
 * fields. [9P2000.L "lerror"] */
static bool reply_error(struct p9_session *s, uint16_t tag, int error)
{
	struct p9_reply p;

	reply_begin(s, &p, P9_RLERROR, tag);
	p9_put32(&p.w, p9_errno_to_wire(error));
	return reply_send(s, &p);
}

/* Carries out the message in s->request. Returns what send returned. */
static bool session_request(struct p9_session *s, uint8_t type, uint16_t tag)
{
	struct p9_reader r = {
		.at = s->request + P9_HEADER,
		.end = s->request + s->have,
	};
	p9_handler handler = handlers[type];
	struct p9_reply p;
	int error;

	/* An R message's number is its T message's plus 1. */
	reply_begin(s, &p, (uint8_t)(type + 1), tag);
	if (handler == NULL) {
		error = EOPNOTSUPP;
	} else if (s->msize == 0 && type != P9_TVERSION) {
		error = EPROTO;
	} else {
		error = handler(s, &r, &p);
	}
	return error == 0 ? reply_send(s, &p) : reply_error(s, tag, error);
}

/* All of a Twrite's data has arrived, or has been dropped. An error after the
 * first bytes is a short count, as in write(2): the client sees the error
 * itself when it goes on. */
static bool write_end(struct p9_session *s)
{
	struct p9_write *write = &s->write;
	struct p9_reply p;

	if (write->error != 0 && write->count == 0) {
		return reply_error(s, write->tag, write->error);
	}
	reply_begin(s, &p, P9_TWRITE + 1, write->tag);
	p9_put32(&p.w, write->count);
	return reply_send(s, &p);
}

/* Bytes of the message in s->request that must be there before it is acted
 * upon; all of it, but for a Twrite. request_check() let only a Twrite be
 * longer than P9_REQUEST_MAX, so what is wanted always fits the buffer. */
static uint32_t request_wants(const struct p9_session *s)
{
	uint32_t size;

	if (s->have < P9_HEADER) {
		return P9_HEADER;
	}
	memcpy(&size, s->request, sizeof(size));
	return s->request[4] == P9_TWRITE && size > P9_WRITE_HEAD
	       ? P9_WRITE_HEAD : size;
}

/* Judges a message by its first seven bytes, once. One that is too long to be
 * read is answered and the rest of it dropped: the stream stays usable. Returns
 * 0, or EPROTO when the size is below a header's, for then nothing says where
 * the next one begins. */
static int request_check(struct p9_session *s, bool *more)
{
	/* Before Tversion nothing longer than a Tversion is due. */
	uint32_t limit = s->msize != 0 ? s->msize : P9_REQUEST_MAX;
	uint32_t size;
	uint16_t tag;
	int error = 0;

	memcpy(&size, s->request, sizeof(size));
	memcpy(&tag, s->request + 5, sizeof(tag));
	if (size < P9_HEADER) {
		return EPROTO;
	}
	if (size > limit) {
		error = EMSGSIZE;
	} else if (size > P9_REQUEST_MAX && s->request[4] != P9_TWRITE) {
		error = ENAMETOOLONG;
	}
	if (error != 0) {
		s->skip = size - P9_HEADER;
		s->have = 0;
		*more = reply_error(s, tag, error);
	}
	return 0;
}

/* Acts on the message in s->request, or on the beginning of a Twrite. */
static bool request_act(struct p9_session *s)
{
	uint8_t type = s->request[4];
	uint16_t tag;
	uint32_t size;
	bool more;

	s->acted++;
	memcpy(&size, s->request, sizeof(size));
	memcpy(&tag, s->request + 5, sizeof(tag));
	if (type == P9_TWRITE) {
		struct p9_reader r = {
			.at = s->request + P9_HEADER,
			.end = s->request + s->have,
		};

		/* The size says how much data follows; Twrite's own count must
		 * agree, or the data is taken off the stream unused. */
		s->write = (struct p9_write){ .left = size - s->have };
		s->write.tag = tag;
		s->write.error = s->msize == 0 ? EPROTO
					       : p9_write_begin(s, &r);
		s->have = 0;
		/* Without data it is over already. */
		return s->write.left > 0 || write_end(s);
	}
	more = session_request(s, type, tag);
	s->have = 0;
	return more;
}

static uint32_t at_most(size_t n, uint32_t most)
{
	return n < most ? (uint32_t)n : most;
}

/* Takes the next piece of the stream; *used is its length, at least 1. *more is
 * cleared when send() wants no further reply now. Returns 0 or EPROTO. A step
 * ends where a decision is due, so that no byte of the next message is taken
 * before this one is answered. */
static int session_step(struct p9_session *s, const uint8_t *data, size_t len,
			uint32_t *used, bool *more)
{
	uint32_t want;
	int error = 0;

	if (s->skip > 0) {
		*used = at_most(len, s->skip);
		s->skip -= *used;
		return 0;
	}
	if (s->write.left > 0) {
		*used = at_most(len, s->write.left);
		p9_write_data(s, data, *used);
		s->write.left -= *used;
		*more = s->write.left > 0 || write_end(s);
		return 0;
	}
	/* First the head, then what its size asks for. */
	want = request_wants(s);
	*used = at_most(len, want - s->have);
	memcpy(s->request + s->have, data, *used);
	s->have += *used;
	/* The size has just become known. It is judged here only: later the
	 * bytes of s->request are those that were judged. */
	if (s->have == P9_HEADER && want == P9_HEADER) {
		error = request_check(s, more);
	}
	if (error == 0 && s->have >= P9_HEADER &&
	    s->have == request_wants(s)) {
		*more = request_act(s);
	}
	return error;
}

/**
 * Takes bytes that the peer sent, in pieces of any length; data may be shared
 * memory, each byte is read once. Acts on each message that becomes complete
 * and calls send() for its reply, from within this call. *used is less than len
 * only when send() returned false, or when, after at least one message, it is
 * later than until: the rest is to be given again when there is room, or when
 * others have had their turn. Returns 0, or EPROTO: the stream makes no sense any more and the
 * connection should be reset.
 */
int p9_session_input(struct p9_session *s, const void *data, size_t len,
		     uint64_t until, size_t *used)
{
	bool more = true;
	int error = 0;

	s->acted = 0;
	for (*used = 0; error == 0 && more && *used < len; ) {
		uint32_t n = 0;

		/* A stamp costs less than a message. */
		if (s->acted > 0 && s->have == 0 && tsc_now() >= until) {
			break;
		}

		error = session_step(s, (const uint8_t *)data + *used,
				     len - *used, &n, &more);
		*used += n;
	}
	return error;
}

/**
 * Makes a server for a volume, which must outlive it. It holds the memory in
 * which replies are made (P9_MSIZE_MAX) and the locks of all its sessions.
 * Returns NULL when there is no memory.
 */
struct p9_server *p9_server_new(struct volume *vol)
{
	struct p9_server *server = malloc(sizeof(*server));

	if (server != NULL) {
		server->vol = vol;
		server->locks = NULL;
		server->lock_count = 0;
		server->xattr_bytes = 0;
		server->ending = NULL;
		server->ending_count = 0;
	}
	return server;
}

/** Sessions that are over and still have fids. */
unsigned p9_server_ending(const struct p9_server *server)
{
	return server->ending_count;
}

/**
 * Goes on ending what sessions had that are over, some of it in any case and then
 * until it is later than until (TSC). Returns whether something is left. Not
 * from within send().
 */
bool p9_server_end_some(struct p9_server *server, uint64_t until)
{
	while (server->ending != NULL) {
		struct p9_session *s = server->ending;

		if (!p9_fid_end_some(s, until)) {
			return true;
		}
		server->ending = s->next;
		server->ending_count--;
		free(s);
	}
	return false;
}

/** Ends a server that has no sessions any more. */
void p9_server_free(struct p9_server *server)
{
	(void)p9_server_end_some(server, UINT64_MAX);
	free(server);
}

/**
 * Begins a session, without a version or a fid; replies go to send(arg), only
 * ever from within p9_session_input(). Returns NULL when there is no memory.
 */
struct p9_session *p9_session_new(struct p9_server *server, p9_send_fn send,
				  void *arg)
{
	struct p9_session *s = calloc(1, sizeof(*s));

	if (s != NULL) {
		s->server = server;
		s->seed = seed_make();
		s->vol = server->vol;
		s->send = send;
		s->arg = arg;
	}
	return s;
}

/**
 * Ends a session: its locks at once, its fids and its memory as
 * p9_server_end_some() is called. Not from within send().
 */
void p9_session_free(struct p9_session *s)
{
	p9_locks_end(s);
	session_end(s);
}
