/* SPDX-License-Identifier: MIT */
/*
 * The host as a client of a socket that a program in a Linux has made: an end of a pair
 * that is no connection of vsock, for code at top level, which looks at it when the loop
 * has run. What the Linux sends is as little believed as what is relayed; it waits, with
 * its credit, until it is read.
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
	bool deaf;			/* the server takes no more */
	size_t at, len;			/* of out: to be sent */
	uint8_t out[HEAD + SOCKETS_OWN_MAX + HEAD];
};

/* Who is counted for these: as a Linux whose root is root. */
static struct sockets_linux host = { .root = true };

/* The Linux's end; NULL: it is not there yet, or any more. */
static struct sockets_link *link_of(const struct sockets_own *own)
{
	return own->pair ? own->pair->link[1] : NULL;
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

	if (!sockets_names_find(nodeid, as.node.type, &owner)) {
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

/** The pair has ended. */
void sockets_own_over(struct sockets_own *own)
{
	own->pair = NULL;
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

/** There is room at the Linux's end. */
void sockets_own_room(struct sockets_link *link)
{
	if (link->pair) {
		flush(link->pair->own);
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

/** See sockets.h. What was not sent is not. */
void sockets_own_close(struct sockets_own *own)
{
	if (own->pair) {
		sockets_pairs_end(own->pair);
	}
	free(own);
}
