/* SPDX-License-Identifier: MIT */
/*
 * What sessions leave to the next program, and what it takes up of them. A record is
 * written when what it says is so, and before anybody is told; it counts for what was
 * done in a transaction of the volume's only if that is lasting (legacy_settle()):
 * else Linux, which has had no answer, asks again.
 *
 * How often a node was counted is so at least. If Linux has counted it more often, it
 * goes with its FORGET, like one that was adopted. Notifications are not among it: of
 * which nodes the last were is, and Linux asks for those again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_legacy.h"
#include "host-bridge/files/fuse_lock_int.h"

/* One record more of a session's. */
static void *add(struct fuse_session *s, enum legacy_kind kind,
		 struct legacy *record, uint32_t change)
{
	void *left;

	if (s->left == NULL) {
		return NULL;
	}
	record->owner = s->left->number;
	record->change = change;
	left = legacy_add(kind, record);
	if (left == NULL) {
		s->left->partial = true;
	}
	return left;
}

/** Brings a session's own record up to date. */
void fuse_legacy_count(struct fuse_session *s)
{
	struct fuse_left *left = s->left;

	if (left != NULL) {
		left->root = s->root;
		left->read_only = s->read_only;
		left->minor = s->minor;
		left->init_flags = s->init_flags;
		left->last_unique = s->last_unique;
		left->forgets = s->forgets;
		left->last_fh = s->last_fh;
		left->done = s->notices.done;
		left->locked = s->server->coherence.locked;
	}
}

/** A new session, of a peer that has a number. */
void fuse_legacy_begin(struct fuse_session *s)
{
	union {
		struct fuse_left left;
		uint8_t all[LEGACY_SESSION_SIZE];
	} new = { .left.id = s->id };
	struct fuse_server *server = s->server;

	for (unsigned i = 0; server->leaves && i < server->peer_count; i++) {
		if (server->peers[i].peer == s->peer) {
			new.left.head.owner = server->peers[i].number;
			/* the low bits are the peer's: for its share */
			new.left.number = ++server->left_number * LEGACY_SHARERS +
					  server->peers[i].number % LEGACY_SHARERS;
			s->left = legacy_add(LEGACY_SESSION, &new);
		}
	}
	fuse_legacy_count(s);
}

/** The session is over; its other records go with what they are of. */
void fuse_legacy_end(struct fuse_session *s)
{
	legacy_drop(LEGACY_SESSION, s->left);
	s->left = NULL;
}

struct fuse_left_node *fuse_legacy_node(struct fuse_session *s,
					const struct fuse_node *node)
{
	struct fuse_left_node left = {
		.ino = node->ino, .gen = node->gen, .uid = node->user->uid,
	};

	return add(s, LEGACY_NODE, &left.head, s->server->change);
}

/** It was said something about the node, by that number, or will be. */
void fuse_legacy_told(struct fuse_node *node, uint64_t number)
{
	if (node->left != NULL) {
		node->left->told = (uint32_t)number;
	}
}

/** It was counted once more. Not by what may be done anew, and count it again: LINK,
 * which may be lost without the node, and READDIRPLUS, whose answer is too long to be
 * left. */
void fuse_legacy_counted(struct fuse_node *node, uint32_t opcode)
{
	if (node->left != NULL && opcode != FUSE_LINK &&
	    opcode != FUSE_READDIRPLUS) {
		node->left->nlookup++;
	}
}

/** It was counted so often less. */
void fuse_legacy_forgotten(struct fuse_node *node, uint64_t nlookup)
{
	if (node->left != NULL) {
		node->left->nlookup -= nlookup < node->left->nlookup
				       ? nlookup : node->left->nlookup;
	}
}

struct fuse_left_open *fuse_legacy_open(struct fuse_session *s,
					const struct fuse_open *open)
{
	struct fuse_left_open left = {
		.fh = open->fh, .ino = open->node->ino, .uid = open->user->uid,
	};

	return add(s, LEGACY_OPEN, &left.head, s->server->change);
}

struct fuse_left_lock *fuse_legacy_lock(const struct fuse_lock *lock,
					unsigned kind)
{
	struct fuse_left_lock left = {
		.owner = lock->owner, .fh = lock->fh, .start = lock->start,
		.end = lock->end, .ino = lock->node->ino, .kind = kind,
		.type = lock->type, .pid = lock->pid, .uid = lock->user->uid,
	};

	return add(lock->session, LEGACY_LOCK, &left.head, 0);
}

/** It has other bytes now. */
void fuse_legacy_lock_range(const struct fuse_lock *lock)
{
	if (lock->left != NULL) {
		lock->left->start = lock->start;
		lock->left->end = lock->end;
	}
}

/** An answer, if it is short, and has not been sent; change: if it was to something
 * that is to become lasting. */
struct fuse_left_answer *fuse_legacy_answer(struct fuse_session *s,
					    const struct volume_seg *segs,
					    unsigned count, uint32_t change)
{
	struct fuse_left_answer left = { .order = 0 };

	for (unsigned i = 0; s->left != NULL && i < count; i++) {
		if (segs[i].len > sizeof(left.bytes) - left.len) {
			return NULL;
		}
		memcpy(left.bytes + left.len, segs[i].data, segs[i].len);
		left.len += (uint32_t)segs[i].len;
	}
	if (s->left != NULL) {
		left.unique = ((const struct fuse_out_header *)
			       (const void *)segs[0].data)->unique;
	}
	return add(s, LEGACY_ANSWER, &left.head, change);
}

/** It is sent, or was once more. */
void fuse_legacy_sent(struct fuse_session *s, struct fuse_left_answer *left)
{
	if (left != NULL) {
		left->order = ++s->left_order;
	}
}

/* ---- The next program ---- */

/* The records of a session, or of those that are none's. */
static void drop_all(const struct fuse_server *server, uint32_t number)
{
	for (int kind = LEGACY_ANSWER; kind <= LEGACY_LOCK; kind++) {
		struct legacy *r = NULL;

		while ((r = legacy_next(kind, r)) != NULL) {
			const struct fuse_session *s = server->sessions;

			while (s != NULL && (s->left == NULL ||
					     s->left->number != r->owner)) {
				s = s->next;
			}
			if (number != 0 ? r->owner == number : s == NULL) {
				legacy_drop(kind, r);
			}
		}
	}
}

static int by_order(const void *a, const void *b)
{
	const struct fuse_left_answer *x =
		*(const struct fuse_left_answer *const *)a;
	const struct fuse_left_answer *y =
		*(const struct fuse_left_answer *const *)b;

	/* What was not sent yet is the newest. */
	return x->order - 1 < y->order - 1 ? -1 : x->order != y->order;
}

/* A session's answers, in their order, in memory that the caller frees. */
static struct fuse_left_answer **answers_of(const struct fuse_session *s,
					    size_t *count)
{
	struct fuse_left_answer *r = NULL, **all;

	*count = 0;
	while ((r = legacy_next(LEGACY_ANSWER, r)) != NULL) {
		*count += r->head.owner == s->left->number;
	}
	all = calloc(*count + 1, sizeof(*all));
	if (all == NULL) {
		*count = 0;
		return NULL;
	}
	for (size_t n = 0; n < *count;) {
		r = legacy_next(LEGACY_ANSWER, r);
		if (r->head.owner == s->left->number) {
			all[n++] = r;
		}
	}
	qsort(all, *count, sizeof(*all), by_order);
	return all;
}

static void take_nodes(struct fuse_session *s)
{
	struct fuse_left_node *node = NULL;
	struct fuse_left_open *open = NULL;

	while ((node = legacy_next(LEGACY_NODE, node)) != NULL) {
		if (node->head.owner == s->left->number &&
		    fuse_node_take_up(s, node) != 0) {
			legacy_drop(LEGACY_NODE, node);
		}
	}
	while ((open = legacy_next(LEGACY_OPEN, open)) != NULL) {
		struct fuse_node *of = fuse_node_find(s, open->ino);

		if (open->head.owner == s->left->number &&
		    (of == NULL ||
		     fuse_open_new(s, of, open->uid, open->fh, open) != 0)) {
			legacy_drop(LEGACY_OPEN, open);
		}
	}
}

static void take_locks(struct fuse_session *s)
{
	struct fuse_left_lock *lock = NULL;

	while ((lock = legacy_next(LEGACY_LOCK, lock)) != NULL) {
		if (lock->head.owner == s->left->number &&
		    !fuse_lock_take_up(s, lock)) {
			legacy_drop(LEGACY_LOCK, lock);
		}
	}
}

static void take_answers(struct fuse_session *s)
{
	size_t count;
	struct fuse_left_answer **all = answers_of(s, &count);

	for (size_t i = 0; i < count; i++) {
		struct fuse_left_answer *left = all[i];
		struct fuse_out_header header;
		struct volume_seg seg = { left->bytes, left->len };

		memcpy(&header, left->bytes, sizeof(header));
		/* It stays what it is: this may be interrupted, too. */
		if (left->order > s->left_order) {
			s->left_order = left->order - 1;
		}
		if (header.len == left->len && left->len >= sizeof(header) &&
		    left->len <= sizeof(left->bytes)) {
			fuse_kept_add(s, &seg, 1, left);
		} else {
			legacy_drop(LEGACY_ANSWER, left);
		}
	}
	free(all);
}

/* Nodes of which something was said that Linux may not have done, and no others: what
 * is said of a file's size takes away what Linux writes meanwhile. For the same reason
 * not of those that it has open for that, but for the one that the console had
 * locked; that one is let go. */
static void tell_again(struct fuse_session *s)
{
	struct fuse_node *node, *locked = fuse_node_find(s, s->left->locked);
	struct fuse_left_node *left = NULL;

	while ((left = legacy_next(LEGACY_NODE, left)) != NULL) {
		node = left->head.owner == s->left->number
		       ? fuse_node_find(s, left->ino) : NULL;
		if (node != NULL && left->told != 0 &&
		    (int32_t)(left->told - (uint32_t)s->notices.done) > 0 &&
		    (node->writers == 0 || node == locked)) {
			fuse_tell_all(s, node);
		}
	}
	if (locked != NULL) {
		fuse_tell_order(s, locked, FUSE_CHANNEL_NOTIFY_UNLOCK);
	}
	s->owed_before = fuse_tell_due(s);
}

static void take_session(struct fuse_server *server, const void *peer,
			 struct fuse_left *left)
{
	struct fuse_session *s = !server->leaves || left->partial ||
				 left->minor == 0
				 ? NULL : calloc(1, sizeof(*s));

	if (s == NULL) {
		drop_all(server, left->number);
		legacy_drop(LEGACY_SESSION, left);
		return;
	}
	s->server = server;
	s->vol = server->vol;
	s->peer = peer;
	s->seed = seed_make();
	s->id = left->id;
	s->root = left->root;
	s->read_only = left->read_only;
	s->minor = left->minor;
	s->init_flags = left->init_flags;
	s->last_unique = left->last_unique;
	s->forgets = left->forgets;
	s->last_fh = left->last_fh;
	s->notices.made = s->notices.sent = s->notices.done = left->done;
	s->fresh = true;
	s->left = left;
	s->next = server->sessions;
	server->sessions = s;
	take_nodes(s);
	take_locks(s);
	take_answers(s);
	tell_again(s);
}

/** See fuse_server.h. */
void fuse_server_peer(struct fuse_server *server, const void *peer,
		      uint32_t number)
{
	struct fuse_left *left = NULL;

	if (server->peer_count < FUSE_PEERS) {
		server->peers[server->peer_count++] =
			(struct fuse_peer){ peer, number };
		legacy_share(server->peer_count);
	}
	while ((left = legacy_next(LEGACY_SESSION, left)) != NULL) {
		if (left->number / LEGACY_SHARERS > server->left_number) {
			server->left_number = left->number / LEGACY_SHARERS;
		}
		if (left->head.owner == number) {
			take_session(server, peer, left);
		}
	}
}

/** See fuse_server.h. */
void fuse_server_peers_known(struct fuse_server *server)
{
	drop_all(server, 0);
	volume_end_orphans(server->vol);
}
