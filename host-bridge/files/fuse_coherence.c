/* SPDX-License-Identifier: MIT */
/*
 * What keeps the sessions' caches right. Linux may keep what it was told for ever,
 * so whoever else changes a file tells all sessions that know it, and nobody hears
 * that the change was made before they have carried that out: a session's reply
 * waits, the console's command does. [docs/files.md "Coherence"]
 *
 * A file that one session has open for writing, and that no other knows, is its
 * own: what is written stays in its kernel as long as that likes. Before another
 * one learns of it, it is *shared*: all write through, and each write is told to
 * the others before it is answered.
 *
 * No request waits here for another one, only for notifications to be carried
 * out; and a kernel carries those out without waiting for any answer that waits
 * here (guest/driver/fuse_notify.c). A session that does not is cut off.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_server_int.h"

/* Some sessions have to carry out notifications, up to a number each; then
 * replies go, and requests are carried out. With neither it is the console that
 * waits. */
struct fuse_wait {
	struct fuse_wait *next;
	struct fuse_later_reply *replies;
	struct fuse_later_request *requests;
	uint32_t ticks;			/* so often it was met */
	unsigned count;
	struct {
		struct fuse_session *s;
		struct fuse_due due;
	} on[];
};

/* Has s? Marks become messages only in time. */
static bool carried_out(const struct fuse_session *s, struct fuse_due *due)
{
	if (due->drains > s->drains) {
		return false;
	}
	if (due->drains != 0) {
		due->made = s->drained_made;
		due->drains = 0;
	}
	return s->notices.done >= due->made;
}

/* ---- Waiting ---- */

/* A wait for what need says of each session; NULL: nothing, or no memory. */
static struct fuse_wait *wait_new(struct fuse_server *server,
				  struct fuse_due (*need)(struct fuse_session *,
							  const void *arg),
				  const void *arg)
{
	struct fuse_wait *wait = NULL;
	unsigned max = 0;

	for (struct fuse_session *s = server->sessions; s; s = s->next) {
		max++;
	}
	for (struct fuse_session *s = server->sessions; s; s = s->next) {
		struct fuse_due due = need(s, arg);

		if (carried_out(s, &due)) {
			continue;
		}
		if (wait == NULL) {
			wait = calloc(1, sizeof(*wait) +
				      max * sizeof(wait->on[0]));
			if (wait == NULL) {
				return NULL;
			}
			wait->next = server->coherence.waits;
			server->coherence.waits = wait;
		}
		wait->on[wait->count].s = s;
		wait->on[wait->count++].due = due;
	}
	return wait;
}

static struct fuse_due need_owed(struct fuse_session *s, const void *arg)
{
	struct fuse_due due = s->owed;

	(void)arg;
	s->owed = (struct fuse_due){ 0 };
	return due;
}

static struct fuse_due need_owed_console(struct fuse_session *s,
					 const void *arg)
{
	struct fuse_due due = s->owed_console;

	(void)arg;
	s->owed_console = (struct fuse_due){ 0 };
	return due;
}

static struct fuse_due need_all(struct fuse_session *s, const void *but)
{
	return s == but ? (struct fuse_due){ 0 } : fuse_tell_due(s);
}

static struct fuse_due need_all_of(struct fuse_session *s, const void *only)
{
	return s == only ? fuse_tell_due(s) : (struct fuse_due){ 0 };
}

/* Is nothing of it missing? A session that is over is NULL there. */
static bool wait_over(struct fuse_wait *wait)
{
	for (unsigned i = 0; i < wait->count; i++) {
		if (wait->on[i].s != NULL &&
		    !carried_out(wait->on[i].s, &wait->on[i].due)) {
			return false;
		}
	}
	return true;
}

/* Ends waits that are over. What then runs may begin others, and end some. */
static void waits_check(struct fuse_server *server)
{
	struct fuse_coherence *c = &server->coherence;
	struct fuse_wait **link = &c->waits;

	while (*link != NULL) {
		struct fuse_wait *wait = *link;

		if (!wait_over(wait)) {
			link = &wait->next;
			continue;
		}
		*link = wait->next;
		while (wait->replies != NULL) {
			fuse_later_send(wait->replies);
		}
		while (wait->requests != NULL) {
			fuse_later_run(wait->requests);
		}
		if (c->console == wait) {
			c->console = NULL;
		}
		free(wait);
		link = &c->waits;
	}
}

/** Notifications were carried out: there is room for others, and who waited for
 * them goes on. */
void fuse_coherence_acked(struct fuse_session *s)
{
	fuse_tell_marked(s);
	waits_check(s->server);
}

/** The session is over: nobody waits for it any more. */
void fuse_coherence_gone(struct fuse_session *s)
{
	for (struct fuse_wait *w = s->server->coherence.waits; w; w = w->next) {
		for (unsigned i = 0; i < w->count; i++) {
			if (w->on[i].s == s) {
				w->on[i].s = NULL;
			}
		}
	}
	while (s->marked != NULL) {
		fuse_tell_unmark(s, s->marked);
	}
	s->minor = 0;
	waits_check(s->server);
}

/**
 * To be called once a second while fuse_server_waiting(). A session that has kept
 * others waiting for FUSE_PATIENCE of these is over: its connection ends, and
 * when it comes back it knows nothing.
 */
void fuse_server_tick(struct fuse_server *server)
{
	struct fuse_session *late;

	/* What had no memory when it was to be said; nothing that is carried
	 * out may come to remind us of it. */
	for (struct fuse_session *s = server->sessions; s != NULL; s = s->next) {
		if (s->marked != NULL) {
			fuse_coherence_acked(s);
		}
	}
	do {
		late = NULL;
		for (struct fuse_wait *w = server->coherence.waits; w;
		     w = w->next) {
			for (unsigned i = 0; i < w->count; i++) {
				if (w->ticks >= FUSE_PATIENCE && w->on[i].s &&
				    !carried_out(w->on[i].s, &w->on[i].due)) {
					late = w->on[i].s;
				}
			}
		}
		if (late != NULL) {
			fuse_cut_off(late);
			fuse_session_end(late);
		}
	} while (late != NULL);
	for (struct fuse_wait *w = server->coherence.waits; w; w = w->next) {
		w->ticks++;
	}
	volume_origin(server->vol, NULL);
}

/** Whether somebody waits for a session. */
bool fuse_server_waiting(const struct fuse_server *server)
{
	return server->coherence.waits != NULL;
}

/* ---- Sharing ---- */

/* Does another session have it open for writing, for itself? */
static bool written_elsewhere(struct fuse_session *s, uint32_t ino)
{
	for (struct fuse_session *o = s->server->sessions; o; o = o->next) {
		struct fuse_node *node = o == s ? NULL :
					 fuse_node_find(o, ino);

		if (node != NULL && node->writers > 0 && !node->shared) {
			return true;
		}
	}
	return false;
}

/** Whether a session must not learn yet what a file is like: READDIRPLUS gives
 * only its name then. */
bool fuse_coherence_hidden(struct fuse_session *s, uint32_t ino)
{
	return s->server->sessions->next != NULL && written_elsewhere(s, ino);
}

/* From now on all write through. Who has it open already is told, and the wait
 * for that is returned; NULL: nobody has, or no memory. */
static struct fuse_wait *share(struct fuse_server *server, uint32_t ino)
{
	struct fuse_session *told = NULL;

	for (struct fuse_session *s = server->sessions; s; s = s->next) {
		struct fuse_node *node = fuse_node_find(s, ino);

		if (node != NULL && !node->shared) {
			node->shared = true;
			if (node->writers > 0) {
				fuse_tell_order(s, node, FUSE_CHANNEL_NOTIFY_SHARE);
				node->told = true;
				/* Until now only one had. */
				told = s;
			}
		}
	}
	return told ? wait_new(server, need_all_of, told) : NULL;
}

/** FOPEN_ flags for a file that is being opened for writing: it is shared if
 * somebody else knows it. */
uint32_t fuse_coherence_open(struct fuse_session *s, struct fuse_node *node)
{
	for (struct fuse_session *o = s->server->sessions; o; o = o->next) {
		if (o != s && fuse_node_find(o, node->ino) != NULL) {
			(void)share(s->server, node->ino);
			break;
		}
	}
	return node->shared ? FOPEN_DIRECT_IO : 0;
}

/* Nobody writes it any more: the next one may have it for itself. */
static void unshare(struct fuse_server *server, uint32_t ino)
{
	for (struct fuse_session *s = server->sessions; s; s = s->next) {
		struct fuse_node *node = fuse_node_find(s, ino);

		if (node != NULL && node->writers > 0) {
			return;
		}
	}
	for (struct fuse_session *s = server->sessions; s; s = s->next) {
		struct fuse_node *node = fuse_node_find(s, ino);

		if (node != NULL && node->told) {
			fuse_tell_order(s, node, FUSE_CHANNEL_NOTIFY_ALONE);
		}
		if (node != NULL) {
			node->shared = node->told = false;
		}
	}
}

/** One writer less of a node, or it is about to be forgotten. */
void fuse_coherence_closed(struct fuse_session *s, struct fuse_node *node)
{
	if (node->shared && node->writers == 0) {
		unshare(s->server, node->ino);
	}
	if (node->marks != 0 && node->nlookup == 0) {
		fuse_tell_unmark(s, node);
	}
}

/* ---- Requests ---- */

/** Before data of a WRITE goes into the volume, and before its end. */
void fuse_coherence_write(struct fuse_request *r)
{
	r->session->server->coherence.cached_write = r->cached;
	volume_origin(r->vol, r->session);
}

/**
 * Before a request is carried out. NULL: it may be; else the list on which it
 * waits until nobody has changes of that file for himself.
 */
struct fuse_later_request **fuse_coherence_before(struct fuse_request *r)
{
	struct fuse_session *s = r->session;
	struct fuse_wait *wait;
	uint32_t ino = r->node != NULL ? r->node->ino : 0;

	s->server->coherence.cached_write = false;
	volume_origin(s->vol, s);
	if (s->server->sessions->next == NULL || ino == 0) {
		return NULL;
	}
	if ((r->in.opcode == FUSE_LOOKUP || r->in.opcode == FUSE_CREATE) &&
	    volume_lookup(s->vol, ino, r->name[0].s, r->name[0].len,
			  &ino) != 0) {
		return NULL;
	}
	if (!written_elsewhere(s, ino)) {
		return NULL;
	}
	wait = share(s->server, ino);
	return wait != NULL ? &wait->requests : NULL;
}

/* The attributes that a kernel asks for, for they have changed: it is told of
 * size and times too, which it does not take from the answer. */
static void answer_size(struct fuse_request *r)
{
	struct fuse_node *node = r->node;

	if ((r->in.opcode == FUSE_GETATTR || r->in.opcode == FUSE_STATX) &&
	    node != NULL && node->unsure) {
		if (node->writers == 0) {
			fuse_tell_size(r->session, node);
			r->session->owed = fuse_tell_due(r->session);
		}
		node->unsure = false;
	}
}

/**
 * A request was carried out, with error. NULL: its reply may go; else the list on
 * which it waits until all others have carried out what it means for them. What
 * a kernel writes of its own accord is answered at once: a page may wait for
 * that, and a notification for the page. Its FSYNC waits.
 */
struct fuse_later_reply **fuse_coherence_after(struct fuse_request *r,
					       int error)
{
	struct fuse_session *s = r->session;
	struct fuse_server *server = s->server;
	struct fuse_wait *wait;

	if (r->in.opcode == FUSE_WRITE && r->cached) {
		return NULL;
	}
	if (error == 0) {
		answer_size(r);
	}
	if (r->in.opcode == FUSE_FSYNC) {
		wait = wait_new(server, need_all, s);
	} else {
		wait = wait_new(server, need_owed, NULL);
	}
	return wait != NULL ? &wait->replies : NULL;
}

/* ---- The console ---- */

/* What a session has open for writing it shall write. */
static void flush_all(struct fuse_session *s)
{
	for (unsigned i = 0; s->opens != NULL && i < 1u << FUSE_OPEN_BITS;
	     i++) {
		for (struct fuse_open *o = s->opens[i]; o; o = o->next) {
			o->node->unflushed = true;
		}
	}
	for (unsigned i = 0; s->opens != NULL && i < 1u << FUSE_OPEN_BITS;
	     i++) {
		for (struct fuse_open *o = s->opens[i]; o; o = o->next) {
			if (o->node->unflushed) {
				o->node->unflushed = false;
				fuse_tell_order(s, o->node, FUSE_CHANNEL_NOTIFY_FLUSH);
			}
		}
	}
}

/** The console is about to read files: what Linux has not written yet shall be.
 * To be followed by fuse_server_recalled(). */
void fuse_server_recall(struct fuse_server *server)
{
	server->coherence.recall++;
}

/**
 * Whether it has been. One session after the other: one that writes may have to
 * wait for the others to carry out what that means.
 */
bool fuse_server_recalled(struct fuse_server *server)
{
	struct fuse_coherence *c = &server->coherence;

	for (struct fuse_session *s = server->sessions; s; s = s->next) {
		if (c->console != NULL) {
			return false;
		}
		if (s->recalled == c->recall) {
			continue;
		}
		s->recalled = c->recall;
		flush_all(s);
		c->console = wait_new(server, need_all_of, s);
	}
	return c->console == NULL;
}

/** Whether all have carried out what the console's changes mean for them. */
bool fuse_server_settled(struct fuse_server *server)
{
	struct fuse_coherence *c = &server->coherence;

	if (c->console == NULL) {
		c->console = wait_new(server, need_owed_console, NULL);
	}
	return c->console == NULL;
}
