/* SPDX-License-Identifier: MIT */
/*
 * Requests that wait for blocks of a disk. A function of the volume that misses a
 * block changes nothing and says EAGAIN; its request is put aside with its body, and
 * carried out again from its start when the block has come. Only a WRITE goes on
 * where it was, as what it has written is written. Others have their turn
 * meanwhile: Linux orders what must be ordered by waiting for answers.
 *
 * One that waits is on its session's list of those that are answered later, and so
 * is interrupted, and dropped with its connection. A session has FUSE_AGAIN_MAX of
 * them; then its connection's input is held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/rt/tsc.h"

/* volume_wait.ready: it is carried out from the loop, not from here. */
static void on_ready(struct volume_wait *wait)
{
	struct fuse_again *again = CONTAINER(wait, struct fuse_again, wait);
	struct fuse_server *server = again->server;

	again->ready = true;
	if (again->waits && again->link == NULL) {
		again->next = NULL;
		again->link = server->again_last;
		*server->again_last = again;
		server->again_last = &again->next;
	}
}

/* Takes it from those that are ready. */
static void unqueue(struct fuse_again *again)
{
	if (again->link == NULL) {
		return;
	}
	*again->link = again->next;
	if (again->next != NULL) {
		again->next->link = again->link;
	} else {
		again->server->again_last = again->link;
	}
	again->link = NULL;
}

/* One for a request, which mostly does not wait: what is only looked at then is
 * written only then. */
static struct fuse_again *again_new(struct fuse_server *server)
{
	struct fuse_again *again = server->again_spare;

	server->again_spare = NULL;
	if (again == NULL) {
		again = calloc(1, sizeof(*again));
		if (again == NULL) {
			return NULL;
		}
		again->server = server;
		again->wait.ready = on_ready;
	}
	again->ready = again->waits = false;
	again->len = again->count = 0;
	again->begun = 0;
	again->wait.number = 0;
	return again;
}

/**
 * It has run to its end, or will not: what it has fetched may go. NULL is nothing.
 */
void fuse_again_end(struct fuse_again *again)
{
	if (again == NULL) {
		return;
	}
	unqueue(again);
	again->server->turns->end(again->server->turns, &again->wait);
	if (again->body != NULL) {
		free(again->body);
		again->body = NULL;
	}
	if (again->server->again_spare == NULL) {
		again->server->again_spare = again;
	} else {
		free(again);
	}
}

/**
 * Before functions of the volume for a request; changes: one that changes something
 * may be among them. Returns 0, EAGAIN: it has to wait first, EROFS, or what is wrong.
 */
int fuse_again_turn(struct fuse_request *r, bool changes)
{
	struct volume_turns *turns = r->session->server->turns;

	if (changes && r->session->read_only) {
		return EROFS;
	}
	r->changed = r->changed || changes;
	if (turns == NULL) {
		return 0;
	}
	r->session->server->change = changes ? volume_transaction(r->vol) : 0;
	if (r->again == NULL) {
		r->again = again_new(r->session->server);
		if (r->again == NULL) {
			return ENOMEM;
		}
	}
	if (changes) {
		return turns->begin(turns, &r->again->wait);
	}
	turns->look(turns, &r->again->wait);
	return 0;
}

/** What is answered now belongs to the transaction that runs: the request's last turn
 * may be over, and others' have been since. */
void fuse_again_changed(struct fuse_request *r)
{
	if (r->session->server->turns != NULL) {
		r->session->server->change = volume_transaction(r->vol);
	}
}

/** All that was done before the request becomes lasting; or what was done to a file,
 * if ino is not 0, with or without more. As above. */
int fuse_again_sync(struct fuse_request *r, uint32_t ino)
{
	struct volume_turns *turns = r->session->server->turns;

	if (turns == NULL) {
		return volume_flush(r->vol);
	}
	if (ino != 0 && r->again->wait.number == 0) {
		r->again->wait.number = volume_round(r->vol, ino);
	}
	return turns->sync(turns, &r->again->wait);
}

/* One less waits: its connection's input may go on. */
static void again_less(struct fuse_session *s)
{
	if (s->again_count-- == FUSE_AGAIN_MAX) {
		fuse_conn_go_on(s);
	}
}

static void on_cancel(struct fuse_later *later)
{
	struct fuse_again *again = CONTAINER(later, struct fuse_again, later);
	struct fuse_session *s = later->session;

	again_less(s);
	fuse_again_end(again);
}

/**
 * Puts a request aside that got EAGAIN. Returns 0, or ENOMEM: it can be answered
 * with that. body is copied, if it is not r->again's own.
 */
int fuse_again_put(struct fuse_request *r, const void *body, uint32_t len)
{
	struct fuse_again *again = r->again;

	if (again->body == NULL) {
		again->body = malloc(len + 1);
		if (again->body == NULL) {
			return ENOMEM;
		}
		memcpy(again->body, body, len);
		again->len = len;
	}
	again->in = r->in;
	again->later.done = false;
	again->later.cancel = on_cancel;
	if (!fuse_later_add(r->session, &again->later, &r->in)) {
		return ENOMEM;
	}
	r->session->again_count++;
	again->waits = true;
	r->again = NULL;
	if (again->ready) {
		on_ready(&again->wait);
	}
	return 0;
}

/** Whether a session has so many that no more may begin. */
bool fuse_again_full(const struct fuse_session *s)
{
	return s->again_count >= FUSE_AGAIN_MAX;
}

/* Carries one out anew. */
static void run(struct fuse_again *again)
{
	struct fuse_session *s = again->later.session;
	struct fuse_request r;

	unqueue(again);
	fuse_later_remove(&again->later);
	again_less(s);
	again->waits = again->ready = false;
	fuse_request_begin(&r, s, &again->in);
	r.again = again;
	volume_origin(s->vol, s);
	if (again->in.opcode == FUSE_WRITE) {
		fuse_write_again(&r);
	} else {
		fuse_request_run(&r, again->body, again->len);
	}
	volume_origin(s->vol, NULL);
}

/**
 * Goes on with requests whose blocks have come, one in any case and then until it
 * is later than until (TSC). Returns whether some are left.
 */
bool fuse_server_go_on(struct fuse_server *server, uint64_t until)
{
	if (server->lasting_due) {
		fuse_lasting_go_on(server);
	}
	if (server->tell_due) {
		fuse_tell_go_on(server);
	}
	while (server->again_first != NULL) {
		run(server->again_first);
		if (tsc_now() >= until) {
			break;
		}
	}
	return server->again_first != NULL;
}

/** Whether there are any. */
bool fuse_server_ready(const struct fuse_server *server)
{
	return server->again_first != NULL || server->lasting_due ||
	       server->tell_due;
}
