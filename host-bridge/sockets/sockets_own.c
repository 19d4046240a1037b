/* SPDX-License-Identifier: MIT */
/*
 * The host as a client of a socket that a program in a Linux has made, and with one of
 * its own: an end of a pair that is no connection of vsock. A client is code at top
 * level, which looks at it when the loop has run; a server is called. What the Linux
 * sends is as little believed as what is relayed; it waits, with its credit, until it is
 * read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/sockets/sockets.h"
#include "host-bridge/sockets/sockets_int.h"

#define HEAD	sizeof(struct sockets_head)

struct sockets_own {
	struct sockets_pair *pair;	/* NULL: it is over */
	uint32_t type;
	bool ends, got_end;		/* END: to be sent, or sent; was read */
	bool deaf;			/* the other end takes no more */
	bool called;			/* the server is, about it */
	void *arg;
	const struct sockets_server *of;	/* or NULL: of a client */
	size_t at, len;			/* of out: to be sent */
	uint8_t out[HEAD + SOCKETS_OWN_MAX + HEAD];
};

/* Who is counted for these: as a Linux whose root is root. */
static struct sockets_linux host = { .root = true };
static const struct sockets_server *server;

/* The Linux's end: who began, or came; NULL: it is not there yet, or any more. */
static struct sockets_link *link_of(const struct sockets_own *own)
{
	struct sockets_pair *pair = own->pair;

	return pair ? pair->link[pair->link[0] == NULL] : NULL;
}

/** See sockets.h. */
int sockets_own_connect(uint64_t nodeid, struct sockets_own **out)
{
	const struct sockets_open as = {
		.node = { .nodeid = nodeid,
			  .type = sockets_names_type(nodeid) },
	};
	struct sockets_linux *owner;
	struct sockets_own *own;

	if (!sockets_names_find(nodeid, as.node.type, &owner) ||
	    owner == &host) {
		return ECONNREFUSED;
	}
	own = calloc(1, sizeof(*own));
	if (!own) {
		return ENOMEM;
	}
	own->type = as.node.type;
	own->pair = sockets_pairs_own(own, &host, owner, &as);
	if (!own->pair) {
		free(own);
		return EAGAIN;
	}
	*out = own;
	return 0;
}

/** See sockets.h. */
enum sockets_own_is sockets_own_is(const struct sockets_own *own)
{
	return own->got_end ? SOCKETS_OWN_ENDED :
	       !own->pair ? SOCKETS_OWN_OVER :
	       link_of(own) ? SOCKETS_OWN_OPEN : SOCKETS_OWN_WAITS;
}

/** Whether each write is a message of its own. */
bool sockets_own_packets(const struct sockets_own *own)
{
	return own->type == SOCKETS_SEQPACKET;
}

/* What comes of its calls a server sees itself. */
static void tell(struct sockets_own *own)
{
	bool keep = true;

	if (own->of && !own->called) {
		own->called = true;
		keep = own->of->event(own);
		own->called = false;
	}
	if (!keep) {
		sockets_own_close(own);
	}
}

/** The pair has ended. */
void sockets_own_over(struct sockets_own *own)
{
	own->pair = NULL;
	tell(own);
}

/* Sends what waits. When both have said END all is over, in order. */
static void flush(struct sockets_own *own)
{
	struct sockets_link *link = link_of(own);

	if (!link) {
		return;
	}
	own->at += vsock_send(link->conn, own->out + own->at,
			      own->len - own->at);
	if (own->at == own->len) {
		own->at = own->len = 0;
		if (own->ends && own->got_end) {
			sockets_pairs_end(own->pair);
		}
	}
}

/** There is something, or room, at the Linux's end. */
void sockets_own_look(struct sockets_link *link)
{
	struct sockets_own *own = link->pair ? link->pair->own : NULL;

	if (own) {
		own->called = true;
		flush(own);
		own->called = false;
		tell(own);
	}
}

static void put_head(struct sockets_own *own, uint32_t type, size_t len)
{
	const struct sockets_head head = { .type = type, .len = (uint32_t)len };

	memcpy(own->out + own->len, &head, HEAD);
	own->len += HEAD;
}

/** See sockets.h. What nobody will take is taken here. */
size_t sockets_own_write(struct sockets_own *own, const void *data, size_t len)
{
	size_t n = len < SOCKETS_OWN_MAX ? len : SOCKETS_OWN_MAX;

	if (own->deaf) {
		return len;
	}
	if (!link_of(own) || own->ends || own->len > 0) {
		return 0;
	}
	put_head(own, SOCKETS_DATA, n);
	memcpy(own->out + own->len, data, n);
	own->len += n;
	flush(own);
	return n;
}

/** See sockets.h. May be called before the server is there, and twice. */
void sockets_own_end(struct sockets_own *own)
{
	if (!own->ends) {
		own->ends = true;
		put_head(own, SOCKETS_END, 0);
		flush(own);
	}
}

/* A frame is there, of DATA its head. False: it is not for us. */
static bool take(struct sockets_own *own, const struct sockets_frame *f)
{
	own->got_end |= f->head.type == SOCKETS_END;
	own->deaf |= f->head.type == SOCKETS_NOREAD;
	return f->head.type != SOCKETS_FDS;
}

/* The next frame that has bytes. False: there is none yet. */
static bool next_data(struct sockets_own *own, struct sockets_link *link)
{
	struct sockets_frame *f = &link->frame;

	while (f->through == 0) {
		const uint8_t *data;
		size_t used = 0, len = vsock_inbox_rest(&link->in, &data);
		enum sockets_is is = SOCKETS_MORE;

		if (len > 0) {
			is = sockets_frame_take(f, SOCKETS_RELAYS, data, len,
						&used);
		}
		if (is == SOCKETS_BAD ||
		    (is == SOCKETS_FRAME && !take(own, f))) {
			sockets_refuse(link, is == SOCKETS_BAD ?
				       "it does not keep to the protocol" :
				       "it passes descriptors to the host");
			sockets_pairs_end(own->pair);
			return false;
		}
		vsock_inbox_taken(&link->in, link->conn, used);
		if (is == SOCKETS_MORE) {
			return false;
		}
		if (f->through == 0) {
			sockets_frame_next(f);
		}
	}
	return true;
}

/** See sockets.h. */
size_t sockets_own_read(struct sockets_own *own, void *to, size_t size)
{
	struct sockets_link *link = link_of(own);
	const uint8_t *data;
	size_t n = 0;

	if (link && next_data(own, link)) {
		n = vsock_inbox_rest(&link->in, &data);
		n = n < size ? n : size;
		n = n < link->frame.through ? n : link->frame.through;
		memcpy(to, data, n);
		link->frame.through -= (uint32_t)n;
		vsock_inbox_taken(&link->in, link->conn, n);
		if (link->frame.through == 0) {
			sockets_frame_next(&link->frame);
		}
	}
	flush(own);
	return n;
}

/** See sockets.h. */
bool sockets_own_gone(const struct sockets_own *own)
{
	return own->pair == NULL;
}

/** See sockets.h. */
void *sockets_own_arg(const struct sockets_own *own)
{
	return own->arg;
}

/** See sockets.h. */
void sockets_own_set_arg(struct sockets_own *own, void *arg)
{
	own->arg = arg;
}

/** See sockets.h. What was not sent is not. */
void sockets_own_close(struct sockets_own *own)
{
	own->of = NULL;
	if (own->pair) {
		sockets_pairs_end(own->pair);
	}
	free(own);
}

/* ---- The host's own socket ---- */

/** See sockets.h. */
int sockets_own_listen(uint64_t nodeid, const struct sockets_server *of)
{
	server = of;
	return sockets_names_own(&host, nodeid) ? 0 : ENOMEM;
}

/** Whether a socket's owner is the host. */
bool sockets_own_is_host(const struct sockets_linux *owner)
{
	return owner == &host;
}

/** A client is at the one end of a new pair. */
void sockets_own_came(struct sockets_link *link)
{
	struct sockets_own *own = calloc(1, sizeof(*own));

	if (!own || !sockets_pairs_want(link->pair, &host)) {
		free(own);
		sockets_pairs_end(link->pair);
		return;
	}
	own->type = SOCKETS_STREAM;
	own->pair = link->pair;
	own->of = server;
	own->called = true;
	link->pair->own = own;
	link->pair->ticks = 0;
	link->phase = SOCKETS_OWN;
	if (server->came(own, link->of->vs)) {
		own->called = false;
	} else {
		sockets_own_close(own);
	}
}
