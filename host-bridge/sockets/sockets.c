/* SPDX-License-Identifier: MIT */
/*
 * What Linuxes say of sockets: the service on vsock, what a connection is for, and an
 * agent's own. A Linux's first frame says what it wants; what it must not have, and
 * what is no frame, ends that connection and is a notice, a few for each start of a
 * Linux.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/rt/notice.h"
#include "host-bridge/sockets/sockets.h"
#include "host-bridge/sockets/sockets_int.h"

static struct {
	struct fuse_server *server;
	struct sockets_linux *all;
} hub;

/** All Linuxes that may have sockets. */
struct sockets_linux *sockets_all(void)
{
	return hub.all;
}

/** Who serves the files that they are among. */
struct fuse_server *sockets_server(void)
{
	return hub.server;
}

/**
 * A user's or group's number as other Linuxes have it. No number at all is nobody's:
 * to Linux it would mean "as before", which is root.
 */
uint32_t sockets_mapped(const struct sockets_linux *of, uint32_t id)
{
	return (id == 0 && !of->root) || id == UINT32_MAX ? SOCKETS_NOBODY : id;
}

/* Ends a connection, in order: what it was sent goes first. */
void sockets_let_go(struct sockets_link *link)
{
	if (!link->failed) {
		link->failed = true;
		vsock_inbox_free(&link->in);
		vsock_shutdown(link->conn, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

/** Ends a connection for what Linux did on it. */
void sockets_refuse(struct sockets_link *link, const char *why)
{
	if (link->failed) {
		return;
	}
	link->of->refused++;
	if (link->of->told++ < SOCKETS_TOLD) {
		notice("%s: sockets: %s", link->of->title, why);
	}
	link->failed = true;
	vsock_inbox_free(&link->in);
	vsock_reset(link->conn);
}

/** A frame to the agent. One that takes nothing for long has to come again. */
void sockets_say(struct sockets_linux *ln, uint32_t type, const void *body,
		 size_t len, const char *name, size_t name_len)
{
	struct sockets_head head = { .type = type,
				     .len = (uint32_t)(len + name_len) };
	uint8_t frame[sizeof(head) + sizeof(struct sockets_open) +
		      SOCKETS_NAME_MAX];
	size_t all = sizeof(head) + len + name_len;

	if (!ln->control || ln->control->failed) {
		return;
	}
	memcpy(frame, &head, sizeof(head));
	memcpy(frame + sizeof(head), body, len);
	if (name_len > 0) {
		memcpy(frame + sizeof(head) + len, name, name_len);
	}
	if (vsock_send(ln->control->conn, frame, all) < all) {
		sockets_refuse(ln->control, "its agent does not listen");
	}
}

/* ---- Frames ---- */

static const char *begin_control(struct sockets_link *link)
{
	struct sockets_linux *ln = link->of;

	if (ln->control) {
		sockets_let_go(ln->control);
		sockets_names_deaf(ln);
	}
	ln->control = link;
	link->phase = SOCKETS_CONTROLS;
	sockets_names_tell(ln);
	return NULL;
}

/* The first frame. Returns NULL, or why it may not be. */
static const char *begin(struct sockets_link *link)
{
	const struct sockets_frame *f = &link->frame;

	if (link->of->shut) {
		return "it may have none";
	}
	switch (f->head.type) {
	case SOCKETS_CONTROL:
		return begin_control(link);
	case SOCKETS_OPEN:
		return sockets_pairs_open(link, (const void *)f->body);
	case SOCKETS_ACCEPT:
		return sockets_pairs_accept(link, (const void *)f->body);
	case SOCKETS_PASS:
		return sockets_pairs_pass(link);
	default:
		return sockets_pairs_take(link, (const void *)f->body);
	}
}

static const char *control(struct sockets_link *link)
{
	const struct sockets_node *node = (const void *)link->frame.body;

	if (link->frame.head.type == SOCKETS_GONE) {
		sockets_names_gone(link->of, node->nodeid);
	} else if (!sockets_names_listens(link->of, node->nodeid, node->type)) {
		return "it offers what nobody can connect to";
	}
	return NULL;
}

/* Returns how many bytes it took; the others wait for the other end, or until the host's
 * own reads them. */
static size_t input(struct sockets_link *link, const uint8_t *data, size_t len)
{
	size_t at = 0;

	while (at < len && !link->failed && link->phase < SOCKETS_RELAYS) {
		enum sockets_phase phase = link->phase;
		const char *why = "it does not keep to the protocol";
		size_t used = 0;
		enum sockets_is is = sockets_frame_take(&link->frame, phase,
							data + at, len - at,
							&used);

		at += used;
		if (is == SOCKETS_MORE) {
			break;
		}
		if (is == SOCKETS_FRAME) {
			why = phase == SOCKETS_FIRST ? begin(link)
						     : control(link);
			sockets_frame_next(&link->frame);
		}
		if (why) {
			sockets_refuse(link, why);
		}
	}
	if (at < len && !link->failed && link->phase == SOCKETS_RELAYS) {
		at += sockets_relay_input(link, data + at, len - at);
	}
	return at;
}

/* ---- The service ---- */

static void on_data(struct vsock_conn *conn, const void *data, size_t len)
{
	struct sockets_link *link = vsock_arg(conn);
	size_t used;

	if (!link || link->failed) {
		return;
	}
	used = link->in.len == 0 ? input(link, data, len) : 0;
	if (used < len && !link->failed &&
	    !vsock_inbox_keep(&link->in, conn, (const uint8_t *)data + used,
			      len - used)) {
		sockets_refuse(link, "there is no memory");
	}
	if (link->phase == SOCKETS_OWN) {
		sockets_own_look(link);
	}
}

static void on_writable(struct vsock_conn *conn)
{
	struct sockets_link *link = vsock_arg(conn);

	if (link && link->phase == SOCKETS_RELAYS) {
		sockets_relay_room(link);
	} else if (link && link->phase == SOCKETS_OWN) {
		sockets_own_look(link);
	}
}

/* Only of Linux's root, who says there whose it is; one that is too many is reset. */
static void on_open(struct vsock_conn *conn)
{
	struct sockets_linux *ln = vsock_arg(conn);
	struct sockets_link *link = NULL;

	/* on_close comes for a refused one too, and must find nothing. */
	vsock_set_arg(conn, NULL);
	if (vsock_peer_port(conn) < SOCKETS_RIGHT &&
	    ln->links < SOCKETS_LINKS) {
		link = calloc(1, sizeof(*link));
	}
	if (!link) {
		vsock_reset(conn);
		return;
	}
	link->of = ln;
	link->conn = conn;
	ln->links++;
	vsock_set_arg(conn, link);
}

/* Who ends it before both have said END has broken it off. */
static void on_shutdown(struct vsock_conn *conn, unsigned flags)
{
	struct sockets_link *link = vsock_arg(conn);

	if (link && (flags & VSOCK_SHUT_SEND) != 0) {
		sockets_let_go(link);
		sockets_pairs_closed(link);
	}
}

static void on_close(struct vsock_conn *conn, int error)
{
	struct sockets_link *link = vsock_arg(conn);

	(void)error;
	if (!link) {
		return;
	}
	link->failed = true;
	if (link->of->control == link) {
		link->of->control = NULL;
		sockets_names_deaf(link->of);
	}
	sockets_pairs_closed(link);
	vsock_inbox_free(&link->in);
	link->of->links--;
	free(link);
}

static const struct vsock_ops service_ops = {
	.on_open = on_open, .on_data = on_data, .on_writable = on_writable,
	.on_shutdown = on_shutdown, .on_close = on_close, .credit = 1u << 16,
};

/* The manifest's words. False: one is none. */
static bool read_words(struct sockets_linux *ln, const char *words)
{
	for (; *words; words += strspn(words, " ")) {
		size_t n = strcspn(words, " ");

		if (n == 5 && memcmp(words, "offer", n) == 0) {
			ln->offer = true;
		} else if (n == 7 && memcmp(words, "connect", n) == 0) {
			ln->connect = true;
		} else if (n == 4 && memcmp(words, "root", n) == 0) {
			ln->root = true;
		} else if (n > 0) {
			return false;
		}
		words += n;
	}
	return true;
}

/** See sockets.h. All Linuxes have the same server. */
int sockets_new(struct fuse_server *server, struct vsock *vs, const char *words,
		const char *title, struct sockets_linux **out)
{
	struct sockets_linux *ln = calloc(1, sizeof(*ln));
	int error = ENOMEM;

	if (ln) {
		ln->vs = vs;
		ln->title = title;
		error = !read_words(ln, words) ? EINVAL :
			vsock_listen(vs, SOCKETS_PORT, &service_ops, ln);
	}
	if (error != 0) {
		free(ln);
		return error;
	}
	if (!hub.all) {
		hub.server = server;
		sockets_names_init(server);
	}
	ln->next = hub.all;
	hub.all = ln;
	*out = ln;
	return 0;
}

/** See sockets.h. Its connections end by their channel. */
void sockets_down(struct sockets_linux *ln)
{
	if (ln) {
		sockets_names_end(ln);
		sockets_pairs_drop(ln);
		ln->told = 0;
		ln->shut = false;
	}
}

/** See sockets.h. */
void sockets_get_status(const struct sockets_linux *ln,
			struct sockets_status *status)
{
	*status = (struct sockets_status){
		.made = ln->names, .begun = ln->begun, .led = ln->led,
		.refused = ln->refused,
	};
}

/** See sockets.h. Until it is told again. */
void sockets_reach(struct sockets_linux *ln, bool any)
{
	if (ln) {
		ln->shut = !any;
	}
}
