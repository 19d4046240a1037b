/* SPDX-License-Identifier: MIT */
/*
 * The 9P server's front: cuts the byte stream into messages, hands each to its
 * handler, sends what comes back. A message is copied before it is looked at,
 * so the transport's memory may be the peer's; only Twrite's data goes
 * straight from there to the volume, as it arrives. A message that cannot be
 * read is answered with Rlerror and skipped; only a size that leaves no way to
 * find the next message ends the connection. [diod "protocol.md"]
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/p9_server_int.h"

static int p9_version(struct p9_session *s, struct p9_reader *r,
		      struct p9_reply *p)
{
	uint32_t msize = p9_get32(r);
	struct p9_str version = p9_getstr(r);
	size_t len = sizeof(P9_VERSION) - 1;
	bool known = version.len >= len &&
		     memcmp(version.s, P9_VERSION, len) == 0;

	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (msize < P9_MSIZE_MIN) {
		return EMSGSIZE;
	}
	p9_fid_free_all(s);
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

/* Requests are over before the next is read: there is nothing to flush. */
static int p9_flush(struct p9_session *s, struct p9_reader *r,
		    struct p9_reply *p)
{
	(void)s;
	(void)p;
	p9_get16(r);
	return p9_complete(r) ? 0 : EINVAL;
}

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

static bool reply_send(struct p9_session *s, struct p9_reply *p)
{
	p->segs[0].data = p->w.start;
	p->segs[0].len = p9_end(&p->w, p->extra);
	return s->send(s->arg, p->segs, p->count);
}

static void reply_begin(struct p9_session *s, struct p9_reply *p,
			uint8_t type, uint16_t tag)
{
	p->segs = s->server->segs;
	p->count = 1;
	p->extra = 0;
	p9_begin(&p->w, s->server->reply, sizeof(s->server->reply), type, tag);
}

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

/* All of a Twrite's data has arrived. */
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
 * upon; all of it, but for a Twrite. */
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

/* A message that is too long to be read: says so, and drops the rest of it. */
static int request_check(struct p9_session *s, bool *more)
{
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

	memcpy(&size, s->request, sizeof(size));
	memcpy(&tag, s->request + 5, sizeof(tag));
	if (type == P9_TWRITE) {
		struct p9_reader r = {
			.at = s->request + P9_HEADER,
			.end = s->request + s->have,
		};

		s->write = (struct p9_write){ .left = size - s->have };
		s->write.tag = tag;
		s->write.error = s->msize == 0 ? EPROTO
					       : p9_write_begin(s, &r);
		s->have = 0;
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

/* Takes the next piece of the stream; *used is its length. */
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
	want = request_wants(s);
	*used = at_most(len, want - s->have);
	memcpy(s->request + s->have, data, *used);
	s->have += *used;
	if (s->have == P9_HEADER && want == P9_HEADER) {
		error = request_check(s, more);
	}
	if (error == 0 && s->have >= P9_HEADER &&
	    s->have == request_wants(s)) {
		*more = request_act(s);
	}
	return error;
}

int p9_session_input(struct p9_session *s, const void *data, size_t len,
		     size_t *used)
{
	bool more = true;
	int error = 0;

	for (*used = 0; error == 0 && more && *used < len; ) {
		uint32_t n = 0;

		error = session_step(s, (const uint8_t *)data + *used,
				     len - *used, &n, &more);
		*used += n;
	}
	return error;
}

/** Makes a server for a volume, which must outlive it. NULL: no memory. */
struct p9_server *p9_server_new(struct volume *vol)
{
	struct p9_server *server = malloc(sizeof(*server));

	if (server != NULL) {
		server->vol = vol;
		server->locks = NULL;
		server->lock_count = 0;
	}
	return server;
}

/** Ends a server that has no sessions any more. */
void p9_server_free(struct p9_server *server)
{
	free(server);
}

/** Begins a session; replies go to send(arg). NULL: no memory. */
struct p9_session *p9_session_new(struct p9_server *server, p9_send_fn send,
				  void *arg)
{
	struct p9_session *s = calloc(1, sizeof(*s));

	if (s != NULL) {
		s->server = server;
		s->vol = server->vol;
		s->send = send;
		s->arg = arg;
	}
	return s;
}

/** Ends a session: its fids, locks and memory. */
void p9_session_free(struct p9_session *s)
{
	p9_fid_free_all(s);
	free(s);
}
