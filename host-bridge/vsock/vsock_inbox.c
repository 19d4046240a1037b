/* SPDX-License-Identifier: MIT */
/*
 * Bytes that wait until a service can use them: vsock_inbox.h. From the event
 * loop, in callbacks of the connection that they are of.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/vsock/vsock_inbox.h"

#define INBOX_MAX	(1u << 20)	/* far above any credit we give */

/**
 * In on_data: keeps bytes behind those that wait. Room at the front is used again
 * only when there is none behind, and more than half was taken: a byte is moved
 * at most once for each that was taken, and what is allocated stays below twice
 * the credit and a packet. False: no memory, or more than credit allows; nothing
 * was kept, and the stream has a hole.
 */
bool vsock_inbox_keep(struct vsock_inbox *in, struct vsock_conn *conn,
		      const void *data, size_t len)
{
	size_t rest = in->len - in->at;

	if (in->len + len > in->space && in->at > rest) {
		memmove(in->bytes, in->bytes + in->at, rest);
		in->at = 0;
		in->len = rest;
	}
	if (in->len + len > in->space) {
		size_t space = in->len + len;
		uint8_t *bigger = space > INBOX_MAX
				  ? NULL : realloc(in->bytes, space);

		if (bigger == NULL) {
			return false;
		}
		in->bytes = bigger;
		in->space = space;
	}
	memcpy(in->bytes + in->len, data, len);
	in->len += len;
	vsock_hold(conn, len);
	return true;
}

/**
 * The first count bytes of those that wait are served: only now may the peer
 * replace them. Not for a connection that was reset.
 */
void vsock_inbox_taken(struct vsock_inbox *in, struct vsock_conn *conn,
		       size_t count)
{
	in->at += count;
	if (in->at == in->len) {
		vsock_inbox_free(in);
	}
	if (count > 0) {
		vsock_release(conn, count);
	}
}

/** Drops what waits. May be called twice. */
void vsock_inbox_free(struct vsock_inbox *in)
{
	free(in->bytes);
	*in = (struct vsock_inbox){ 0 };
}
