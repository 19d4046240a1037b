/* SPDX-License-Identifier: MIT */
/*
 * Bytes of a connection that arrived and cannot be served yet: they are kept, in
 * their order, and their credit with them, so that a peer that sends without
 * reading is stopped by its own credit.
 */
#ifndef ISTHMUS_VSOCK_INBOX_H
#define ISTHMUS_VSOCK_INBOX_H

#include "host-bridge/vsock/vsock.h"

struct vsock_inbox {
	uint8_t *bytes;
	size_t at, len, space;		/* taken; kept; allocated */
};

bool vsock_inbox_keep(struct vsock_inbox *in, struct vsock_conn *conn,
		      const void *data, size_t len);
void vsock_inbox_taken(struct vsock_inbox *in, struct vsock_conn *conn,
		       size_t count);
void vsock_inbox_free(struct vsock_inbox *in);

/** What waits, and how much of it; 0: nothing. */
static inline size_t vsock_inbox_rest(const struct vsock_inbox *in,
				      const uint8_t **data)
{
	*data = in->bytes ? in->bytes + in->at : NULL;
	return in->len - in->at;
}

#endif
