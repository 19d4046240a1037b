/* SPDX-License-Identifier: MIT */
/*
 * What keeps the sessions' caches right. Linux may keep what it was told for ever,
 * so whoever else changes a file tells all sessions that know it, and nobody hears
 * that the change was made before they have carried that out: a session's reply
 * waits, the console's command does. [docs/files.md "Coherence"]
 *
 * A Linux is one session, so that today the only other reader and writer is the
 * host's side: the console. What Linux has not written it shall write before the
 * console reads; a file that the console changes Linux does not write meanwhile.
 *
 * No request waits here for another one, only for notifications to be carried
 * out; and a kernel carries those out without waiting for any answer that waits
 * here (guest/driver/fuse_notify.c). A session that does not is cut off.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_server_int.h"

/* Some sessions have to carry out notifications, up to a number each; then
 * replies go. Without any it is the console that waits. */
struct fuse_wait {
	struct fuse_wait *next;
	struct fuse_later_reply *replies;
	uint32_t ticks;			/* so often it was met, */
	uint32_t quiet;			/* the last times without a request */
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

/* Of all others: what is in several turns, as others have theirs between, waits at
 * its end for all of it; and nobody waits for himself. */
static struct fuse_due need_owed(struct fuse_session *s, const void *who)
{
	return s == who ? (struct fuse_due){ 0 } : s->owed;
}

static struct fuse_due need_owed_console(struct fuse_session *s,
					 const void *arg)
{
	struct fuse_due due = s->owed_console;

	(void)arg;
	s->owed_console = (struct fuse_due){ 0 };
	return due;
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
	if (s->server->turns != NULL) {
		s->server->turns->end(s->server->turns, &s->tell_wait);
	}
	s->minor = 0;
	waits_check(s->server);
}

/* The session that a wait has not heard of for too long; NULL: none. One that
 * sends requests is at work: it may have much to write. */
static struct fuse_session *late_of(struct fuse_wait *wait)
{
	struct fuse_session *late = NULL;

	for (unsigned i = 0; i < wait->count; i++) {
		struct fuse_session *s = wait->on[i].s;

		if (s == NULL || carried_out(s, &wait->on[i].due)) {
			continue;
		}
		if (s->last_unique != s->heard) {
			wait->quiet = 0;
		}
		late = s;
	}
	return wait->quiet >= FUSE_PATIENCE || wait->ticks >= FUSE_PATIENCE_MAX
	       ? late : NULL;
}

/**
 * To be called once a second while fuse_server_waiting(). A session that has kept
 * others waiting for FUSE_PATIENCE of these without a request, or for
 * FUSE_PATIENCE_MAX in all, is over: its connection ends, and it does not come
 * back.
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
		for (struct fuse_wait *w = server->coherence.waits;
		     w != NULL && late == NULL; w = w->next) {
			late = late_of(w);
		}
		if (late != NULL) {
			fuse_cut_off(late);
			fuse_session_end(late);
		}
	} while (late != NULL);
	for (struct fuse_wait *w = server->coherence.waits; w; w = w->next) {
		w->ticks++;
		w->quiet++;
	}
	for (struct fuse_session *s = server->sessions; s; s = s->next) {
		s->heard = s->last_unique;
	}
	volume_origin(server->vol, NULL);
}

/** Whether somebody waits for a session. */
bool fuse_server_waiting(const struct fuse_server *server)
{
	return server->coherence.waits != NULL;
}

/** A node is about to be forgotten, or has one writer less. */
void fuse_coherence_closed(struct fuse_session *s, struct fuse_node *node)
{
	if (node->marks != 0 && node->nlookup == 0) {
		fuse_tell_unmark(s, node);
	}
}

/* ---- Requests ---- */

/* The attributes that a kernel asks for, for they have changed: it is told of
 * size and times too, which it does not take from the answer. Nobody waits for
 * that: who asks may hold the lock that a notification before it wants. */
static void answer_size(struct fuse_request *r)
{
	struct fuse_node *node = r->node;

	if ((r->in.opcode == FUSE_GETATTR || r->in.opcode == FUSE_STATX) &&
	    node != NULL && node->unsure) {
		if (node->writers == 0) {
			fuse_tell_size(r->session, node);
		}
		node->unsure = false;
	}
}

/**
 * A request was carried out, with error. NULL: its reply may go; else the list on
 * which it waits until all other sessions have carried out what it means for
 * them.
 */
struct fuse_later_reply **fuse_coherence_after(struct fuse_request *r,
					       int error)
{
	struct fuse_server *server = r->session->server;
	struct fuse_wait *wait;

	if (error == 0) {
		answer_size(r);
	}
	if (server->sessions == NULL || server->sessions->next == NULL ||
	    !r->changed) {
		return NULL;
	}
	wait = wait_new(server, need_owed, r->session);
	return wait != NULL ? &wait->replies : NULL;
}

static struct fuse_due need_before(struct fuse_session *s, const void *who)
{
	return s == who ? (struct fuse_due){ 0 } : s->owed_before;
}

/**
 * An answer goes to s once more. Where the program before had made it, others may not
 * have been told what it means: as above.
 */
struct fuse_later_reply **fuse_coherence_again(struct fuse_session *s)
{
	struct fuse_wait *wait = wait_new(s->server, need_before, s);

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

/* LOCK or UNLOCK for all that know a file. */
static void order_all(struct fuse_server *server, uint32_t ino, int code)
{
	for (struct fuse_session *s = server->sessions; s; s = s->next) {
		struct fuse_node *node = fuse_node_find(s, ino);

		if (node != NULL) {
			fuse_tell_order(s, node, code);
			s->owed_console = fuse_tell_due(s);
		}
	}
}

/**
 * The console is about to change a file's content: Linux shall write what it has
 * of it, and then nothing until fuse_server_unlock(). One file at a time. To be
 * followed by fuse_server_settled(). A name of it is for those who watch its
 * directory.
 */
void fuse_server_lock(struct fuse_server *server, uint32_t ino, uint32_t dir,
		      const char *name, size_t len)
{
	struct fuse_coherence *c = &server->coherence;

	fuse_server_unlock(server);
	c->locked = ino;
	c->locked_dir = dir;
	c->locked_len = len <= VOLUME_NAME_MAX ? len : 0;
	memcpy(c->locked_name, name, c->locked_len);
	order_all(server, ino, FUSE_CHANNEL_NOTIFY_LOCK);
}

/** It has been changed, or there is none. */
void fuse_server_unlock(struct fuse_server *server)
{
	if (server->coherence.locked != 0) {
		order_all(server, server->coherence.locked,
			  FUSE_CHANNEL_NOTIFY_UNLOCK);
		server->coherence.locked = 0;
	}
}
