/* SPDX-License-Identifier: MIT */
/*
 * Requests that are not answered at once: a lock that is waited for, a reply that
 * waits for other sessions (fuse_coherence.c). Each is on its session's list, so
 * that INTERRUPT finds it, and is dropped with its connection: Linux sends it
 * again. Only a reply to what must not be carried out twice stays, and is kept as
 * if it had been sent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_legacy.h"
#include "host-bridge/files/linux_errno.h"
#include "host-bridge/rt/container.h"

/**
 * Puts a request on its session's list; done and cancel are set. False: there
 * are as many as may be without an answer.
 */
bool fuse_later_add(struct fuse_session *s, struct fuse_later *later,
		    const struct fuse_in_header *in)
{
	if (s->later_count >= FUSE_CHANNEL_OUT_MAX + FUSE_CHANNEL_WAITS_MAX) {
		return false;
	}
	later->session = s;
	later->unique = in->unique;
	later->opcode = in->opcode;
	later->next = s->later;
	later->link = &s->later;
	if (later->next != NULL) {
		later->next->link = &later->next;
	}
	s->later = later;
	s->later_count++;
	return true;
}

/** Takes it off: it is answered, or will not be. */
void fuse_later_remove(struct fuse_later *later)
{
	*later->link = later->next;
	if (later->next != NULL) {
		later->next->link = later->link;
	}
	later->session->later_count--;
}

/** Takes it off and answers it, with an error or without a body. */
void fuse_later_answer(struct fuse_later *later, int error)
{
	struct fuse_session *s = later->session;
	struct fuse_out_header out = {
		.len = sizeof(out), .error = -linux_errno(error),
		.unique = later->unique,
	};
	struct volume_seg seg = { .data = &out, .len = sizeof(out) };

	fuse_later_remove(later);
	if ((fuse_request_flags(later->opcode) & FUSE_OP_KEPT) != 0) {
		fuse_kept_add(s, &seg, 1, NULL);
	}
	fuse_send(s, &seg, 1);
}

/**
 * The session's connection is over: drops what will come again; all: the session
 * is over too.
 */
void fuse_later_drop(struct fuse_session *s, bool all)
{
	struct fuse_later *later = s->later;

	while (later != NULL) {
		struct fuse_later *next = later->next;

		if (all || !later->done ||
		    (fuse_request_flags(later->opcode) & FUSE_OP_KEPT) == 0) {
			fuse_later_remove(later);
			later->cancel(later);
		}
		later = next;
	}
}

/** INTERRUPT: what has not been carried out yet will not be. */
void fuse_later_interrupt(struct fuse_session *s, uint64_t unique)
{
	struct fuse_later *later = s->later;

	while (later != NULL && later->unique != unique) {
		later = later->next;
	}
	if (later != NULL && !later->done) {
		fuse_later_answer(later, EINTR);
		later->cancel(later);
	}
}

/** Whether a request of that number waits for its answer. */
bool fuse_later_known(const struct fuse_session *s, uint64_t unique)
{
	const struct fuse_later *later = s->later;

	while (later != NULL && later->unique != unique) {
		later = later->next;
	}
	return later != NULL;
}

/* Takes a reply off its list. */
static void reply_unlink(struct fuse_later_reply *waiting)
{
	*waiting->link = waiting->next;
	if (waiting->next != NULL) {
		waiting->next->link = waiting->link;
	}
}

static void reply_cancel(struct fuse_later *later)
{
	struct fuse_later_reply *waiting =
		CONTAINER(later, struct fuse_later_reply, later);

	reply_unlink(waiting);
	legacy_drop(LEGACY_ANSWER, waiting->left);
	free(waiting);
}

/** See fuse_server_int.h. */
void fuse_later_link(struct fuse_later_reply *waiting,
		     struct fuse_later_reply **list)
{
	while (*list != NULL) {
		list = &(*list)->next;
	}
	waiting->next = NULL;
	waiting->link = list;
	*list = waiting;
}

/**
 * Puts a whole reply at a list's end, to be sent later, when also that round is
 * lasting, if it is not 0. False: as above.
 */
bool fuse_later_reply(struct fuse_request *r, const struct volume_seg *segs,
		      unsigned count, struct fuse_later_reply **list,
		      uint64_t round)
{
	struct fuse_later_reply *waiting;
	uint32_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		len += (uint32_t)segs[i].len;
	}
	waiting = malloc(sizeof(*waiting) + len);
	if (waiting == NULL) {
		return false;
	}
	waiting->later.done = true;
	waiting->later.cancel = reply_cancel;
	if (!fuse_later_add(r->session, &waiting->later, &r->in)) {
		free(waiting);
		return false;
	}
	waiting->len = 0;
	for (unsigned i = 0; i < count; i++) {
		memcpy(waiting->bytes + waiting->len, segs[i].data,
		       segs[i].len);
		waiting->len += (uint32_t)segs[i].len;
	}
	waiting->round = round;
	waiting->left = (fuse_request_flags(r->in.opcode) & FUSE_OP_KEPT) != 0
			? fuse_legacy_answer(r->session, segs, count,
					     r->session->server->change)
			: NULL;
	fuse_later_link(waiting, list);
	return true;
}

/** Sends a reply that has waited, or keeps it if there is no connection now; or has
 * it wait on, for what it says to be lasting. */
void fuse_later_send(struct fuse_later_reply *waiting)
{
	struct fuse_session *s = waiting->later.session;
	struct volume_seg seg = { .data = waiting->bytes, .len = waiting->len };

	reply_unlink(waiting);
	if (waiting->round != 0) {
		fuse_later_link(waiting, fuse_lasting_list(s->server));
		return;
	}
	fuse_later_remove(&waiting->later);
	if ((fuse_request_flags(waiting->later.opcode) & FUSE_OP_KEPT) != 0) {
		fuse_kept_add(s, &seg, 1, waiting->left);
	}
	fuse_send(s, &seg, 1);
	free(waiting);
}
