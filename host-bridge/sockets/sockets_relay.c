/* SPDX-License-Identifier: MIT */
/*
 * What passes over a pair of connections: what comes from one end goes as far as the
 * other's takes it; what is left keeps its credit. Heads are looked at, and what is
 * passed on besides bytes; data is not.
 */
#include "host-bridge/sockets/sockets_int.h"

/* O_ACCMODE, O_APPEND, O_NONBLOCK, O_DIRECT, O_LARGEFILE, O_DIRECTORY, O_NOATIME. */
#define FILE_FLAGS	(03u | 02000u | 04000u | 040000u | 0100000u | \
			 0200000u | 01000000u)

static struct sockets_link *other(const struct sockets_link *link)
{
	return link->pair->link[link->pair->link[0] == link];
}

/* What a Linux passes must be its own to pass. */
static bool may_pass(struct sockets_link *link, const struct sockets_fd *fd,
		     struct sockets_linux *to)
{
	struct sockets_pair *pair;

	if (fd->kind == SOCKETS_FD_FILE) {
		return (fd->flags & ~FILE_FLAGS) == 0 &&
		       fuse_server_knows(sockets_server(), link->of->vs,
					 fd->id, (fd->flags & 03) != 0);
	}
	pair = sockets_pairs_find(fd->id);
	if (fd->kind != SOCKETS_FD_SOCKET || !pair || pair->wanted ||
	    pair == link->pair || pair->begun_by != link->of ||
	    (fd->flags != SOCKETS_STREAM && fd->flags != SOCKETS_SEQPACKET) ||
	    !sockets_pairs_want(pair, to)) {
		return false;
	}
	pair->carrier = link->pair;
	pair->ticks = 0;
	return true;
}

static bool is_good(struct sockets_link *link, const struct sockets_link *to)
{
	const struct sockets_frame *f = &link->frame;
	const struct sockets_fd *fd = (const void *)f->body;
	size_t count = f->head.type == SOCKETS_FDS ? f->head.len / sizeof(*fd)
						   : 0;

	for (size_t i = 0; i < count; i++) {
		if (!may_pass(link, &fd[i], to->of)) {
			return false;
		}
	}
	return true;
}

/* The next frame of len bytes; *used of them are it. False: there is none yet, or the
 * pair is over. */
static bool next_frame(struct sockets_link *link, struct sockets_link *to,
		       const uint8_t *data, size_t len, size_t *used)
{
	enum sockets_is is = sockets_frame_take(&link->frame, SOCKETS_RELAYS,
						data, len, used);

	if (is == SOCKETS_MORE) {
		return false;
	}
	if (is == SOCKETS_FRAME && is_good(link, to)) {
		link->ready = true;
		link->sent = 0;
		return true;
	}
	sockets_refuse(link, is == SOCKETS_BAD ?
		       "it does not keep to the protocol" :
		       "it passes what it does not have");
	sockets_pairs_end(link->pair);
	return false;
}

/* What is kept of the frame. False: there is no room for all. */
static bool send_kept(struct sockets_link *link, struct sockets_link *to)
{
	const struct sockets_frame *f = &link->frame;
	const uint32_t head = sizeof(f->head);

	if (link->sent < head) {
		link->sent += (uint32_t)vsock_send(
			to->conn, (const uint8_t *)&f->head + link->sent,
			head - link->sent);
	}
	if (link->sent >= head && link->sent < f->have) {
		link->sent += (uint32_t)vsock_send(
			to->conn, f->body + link->sent - head,
			f->have - link->sent);
	}
	return link->sent == f->have;
}

/* A frame has gone. True: it was the last of both. */
static bool was_last(struct sockets_link *link, const struct sockets_link *to)
{
	link->ready = false;
	sockets_frame_next(&link->frame);
	return link->frame.ended && to->frame.ended && !to->ready;
}

/**
 * Passes bytes on; returns how many were taken: the others wait until the other end
 * is there, or has room.
 */
size_t sockets_relay_input(struct sockets_link *link, const uint8_t *data,
			   size_t len)
{
	struct sockets_frame *f = &link->frame;
	struct sockets_link *to;
	size_t at = 0, used = 0, n;

	while (link->pair && (to = other(link)) != NULL) {
		if (!link->ready) {
			if (at == len || !next_frame(link, to, data + at,
						     len - at, &used)) {
				return at == len ? len : at + used;
			}
			at += used;
		}
		if (!send_kept(link, to)) {
			return at;
		}
		n = f->through < len - at ? f->through : len - at;
		used = n > 0 ? vsock_send(to->conn, data + at, n) : 0;
		at += used;
		f->through -= (uint32_t)used;
		if (f->through > 0) {
			return at;
		}
		if (was_last(link, to)) {
			sockets_pairs_end(link->pair);
		}
	}
	return link->pair ? at : len;
}

/** What waits of a link goes on. */
void sockets_relay_go_on(struct sockets_link *link)
{
	const uint8_t *data;
	size_t used, len = vsock_inbox_rest(&link->in, &data);

	used = sockets_relay_input(link, data, len);
	if (!link->failed) {
		vsock_inbox_taken(&link->in, link->conn, used);
	}
}

/** There is room at this end, for what comes from the other. */
void sockets_relay_room(struct sockets_link *link)
{
	struct sockets_link *from = link->pair ? other(link) : NULL;

	if (from) {
		sockets_relay_go_on(from);
	}
}
