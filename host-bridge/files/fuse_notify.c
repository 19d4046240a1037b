/* SPDX-License-Identifier: MIT */
/*
 * Notifications: what Linux is to forget, write or tell its watchers. They are
 * numbered, carried out there in order, acknowledged up to a number, and kept
 * here until then: those that a lost connection took along are sent again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_server_int.h"

/* Notifications of ours say how long a name is, the kernel's end it too. */
#define OURS	4096

/**
 * Makes a notification: a body and, with name not NULL, a name; sends it when
 * there is room. Returns its number, or 0: there is no memory, too many or too
 * long ones wait, or the session has not said INIT yet, and so knows nothing; or it
 * is not known yet how many it has received.
 */
uint64_t fuse_notify(struct fuse_session *s, int code, const void *body,
		     size_t len, const char *name, size_t name_len)
{
	struct fuse_notices *n = &s->notices;
	size_t end = name != NULL && code < OURS ? 1 : 0;
	size_t all = sizeof(struct fuse_out_header) + len + name_len + end;
	struct fuse_out_header header = {
		.len = (uint32_t)all, .error = code,
	};
	struct fuse_message *m;

	if (s->minor == 0 || s->fresh || n->made - n->sent >= FUSE_NOTIFY_QUEUE_MAX ||
	    n->bytes + sizeof(*m) + all > FUSE_NOTIFY_BYTES_MAX) {
		return 0;
	}
	m = malloc(sizeof(*m) + all);
	if (m == NULL) {
		return 0;
	}
	m->next = NULL;
	m->len = (uint32_t)all;
	memcpy(m->bytes, &header, sizeof(header));
	memcpy(m->bytes + sizeof(header), body, len);
	if (name != NULL) {
		memcpy(m->bytes + sizeof(header) + len, name, name_len);
		memset(m->bytes + sizeof(header) + len + name_len, 0, end);
	}
	if (n->first == NULL) {
		n->first = m;
	} else {
		n->last->next = m;
	}
	n->last = m;
	if (n->unsent == NULL) {
		n->unsent = m;
	}
	n->made++;
	n->bytes += sizeof(*m) + all;
	fuse_legacy_count(s);
	fuse_notify_push(s);
	return n->made;
}

/** Sends what there is, as far as there is room and Linux has kept up. */
void fuse_notify_push(struct fuse_session *s)
{
	struct fuse_notices *n = &s->notices;

	while (n->unsent != NULL && fuse_can_send(s) &&
	       n->sent - n->done < FUSE_CHANNEL_NOTIFY_MAX) {
		struct volume_seg seg = {
			.data = n->unsent->bytes, .len = n->unsent->len,
		};

		n->unsent = n->unsent->next;
		n->sent++;
		fuse_send(s, &seg, 1);
	}
}

/** All up to a number are done. Returns 0, or EPROTO: they cannot be. */
int fuse_notify_acked(struct fuse_session *s, uint64_t done)
{
	struct fuse_notices *n = &s->notices;

	if (done > n->sent || done < n->done) {
		return EPROTO;
	}
	while (n->done < done) {
		struct fuse_message *m = n->first;

		n->first = m->next;
		n->bytes -= sizeof(*m) + m->len;
		free(m);
		n->done++;
	}
	fuse_legacy_count(s);
	fuse_notify_push(s);
	return 0;
}

/* What the session has received of the program before, and has not said that it has
 * done, is counted, without what it was. */
static int count_received(struct fuse_session *s, uint64_t received)
{
	struct fuse_notices *n = &s->notices;

	if (received < n->done || received - n->done > FUSE_CHANNEL_NOTIFY_MAX) {
		return EPROTO;
	}
	for (n->made = n->sent = n->done; n->made < received; n->made++) {
		struct fuse_message *m = calloc(1, sizeof(*m));

		if (m == NULL) {
			return EPROTO;
		}
		*(n->first == NULL ? &n->first : &n->last->next) = m;
		n->last = m;
		n->bytes += sizeof(*m);
	}
	n->sent = received;
	s->fresh = false;
	return 0;
}

/**
 * The session has a connection again, and has done all up to a number: those
 * behind it will be sent again. As above.
 */
int fuse_notify_again(struct fuse_session *s, uint64_t received)
{
	struct fuse_notices *n = &s->notices;

	if (s->fresh) {
		return count_received(s, received);
	}
	if (received < n->done || received > n->made) {
		return EPROTO;
	}
	n->unsent = n->first;
	for (n->sent = n->done; n->sent < received; n->sent++) {
		n->unsent = n->unsent->next;
	}
	return 0;
}

/** The session is over. */
void fuse_notify_end(struct fuse_session *s)
{
	struct fuse_message *m = s->notices.first;

	while (m != NULL) {
		struct fuse_message *next = m->next;

		free(m);
		m = next;
	}
	s->notices = (struct fuse_notices){ 0 };
}
