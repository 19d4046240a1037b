/* SPDX-License-Identifier: MIT */
/*
 * Requests to a disk. A WRITE's data go to the store as they arrive, out of the
 * ring; a READ's go into the ring from where the store has them.
 * [NBD "The NBD protocol: Transmission"]
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/nbd/nbd_int.h"
#include "host-bridge/fs/volume.h"
#include "host-bridge/rt/container.h"

#define PIECES	40u		/* of one look at the store */

/** An errno value as the protocol has it. */
uint32_t nbd_error(int error)
{
	if (error == ENOTSUP) {		/* of a device; not always EOPNOTSUPP */
		return NBD_ENOTSUP;
	}
	switch (error) {
	case 0:
		return 0;
	case EROFS:
	case EPERM:
		return NBD_EPERM;
	case ENOMEM:
		return NBD_ENOMEM;
	case EINVAL:
		return NBD_EINVAL;
	case ENOSPC:
	case EFBIG:
		return NBD_ENOSPC;
	case EOPNOTSUPP:
		return NBD_ENOTSUP;
	default:
		return NBD_EIO;
	}
}

static struct nbd_answer answer_head(const struct nbd_conn *conn,
				     uint32_t error)
{
	return (struct nbd_answer){
		.magic = NBD_BE32(NBD_ANSWER_MAGIC),
		.error = NBD_BE32(error),
		.cookie = conn->request.cookie,
	};
}

/** volume_wait.ready: what is due is done when it is the connection's turn. */
void nbd_on_ready(struct volume_wait *wait)
{
	struct nbd_conn *conn = CONTAINER(wait, struct nbd_conn, wait);

	if (conn->waits && !conn->failed) {
		conn->waits = false;
		vsock_again(conn->vsock);
	}
}

/** Nobody waits any more. */
void nbd_wait_end(struct nbd_conn *conn)
{
	struct volume_turns *turns = conn->disk != NULL
				     ? conn->disk->store->turns : NULL;

	conn->waits = false;
	if (turns != NULL) {
		turns->end(turns, &conn->wait);
		conn->wait = (struct volume_wait){ .ready = nbd_on_ready };
	}
}

/* Before the store is asked for something; 0, EAGAIN, or what is wrong. */
static int turn(struct nbd_conn *conn, bool changes)
{
	struct volume_turns *turns = conn->disk->store->turns;

	if (turns == NULL) {
		return 0;
	}
	conn->wait.ready = nbd_on_ready;
	if (changes) {
		return turns->begin(turns, &conn->wait);
	}
	turns->look(turns, &conn->wait);
	return 0;
}

static int flush_store(struct nbd_conn *conn)
{
	struct nbd_store *store = conn->disk->store;
	int error = turn(conn, false);

	if (error != 0) {
		return error;
	}
	return store->turns != NULL
	       ? store->turns->sync(store->turns, &conn->wait)
	       : store->ops->flush(store);
}

/* Whether the request has to wait: what is due then. */
static bool put_off(struct nbd_conn *conn, int error, int due)
{
	if (conn->disk->store->turns == NULL || error != EAGAIN) {
		return false;
	}
	conn->waits = true;
	conn->due = due;
	return true;
}

static int map(struct nbd_conn *conn, struct volume_seg *segs, unsigned *count)
{
	struct nbd_store *store = conn->disk->store;
	size_t done;
	int error = turn(conn, false);

	return error != 0 ? error
			  : store->ops->map(store, conn->offset, conn->left,
					    segs, PIECES, count, &done);
}

static void answer(struct nbd_conn *conn, uint32_t error)
{
	nbd_wait_end(conn);
	struct nbd_answer head = answer_head(conn, error);

	conn->disk->errors += error != 0;
	conn->state = ON_REQUEST;
	nbd_conn_put(conn, &head, sizeof(head));
}

/* What the request is refused for, or 0. */
static uint32_t check(const struct nbd_conn *conn)
{
	const struct nbd_request *req = &conn->request;
	const struct nbd_store *store = conn->disk->store;
	unsigned known = NBD_FLAG_FUA;

	if (req->type == NBD_ZEROES) {
		known |= NBD_FLAG_NO_HOLE;
	}
	if (req->type > NBD_ZEROES || req->type == NBD_ZEROES - 1 ||
	    (req->flags & ~known) != 0) {
		return NBD_EINVAL;
	}
	if (req->type == NBD_FLUSH) {
		return 0;
	}
	if (req->offset > store->size || req->len > store->size - req->offset) {
		return req->type == NBD_WRITE || req->type == NBD_ZEROES
		       ? NBD_ENOSPC : NBD_EINVAL;
	}
	if (store->device &&
	    (req->offset | req->len) % nbd_sector(store) != 0) {
		return NBD_EINVAL;
	}
	if (req->len == 0 ||
	    (req->type == NBD_READ && req->len > NBD_DATA_MAX)) {
		return NBD_EINVAL;
	}
	return req->type != NBD_READ && store->read_only ? NBD_EPERM : 0;
}

/* What a WRITE, TRIM or ZEROES ends with. */
static void finish(struct nbd_conn *conn, int error)
{
	if (error == 0 && (conn->request.flags & NBD_FLAG_FUA) != 0) {
		error = flush_store(conn);
	}
	if (put_off(conn, error, FINISH_DUE)) {
		return;
	}
	answer(conn, nbd_error(error));
}

/* Sends pieces of a READ's data, behind the answer's head if there is one. What
 * of that has no room waits. False: there was no room for all. */
static bool send_pieces(struct nbd_conn *conn, const struct nbd_answer *head,
			const struct volume_seg *segs, unsigned count)
{
	struct vsock_piece pieces[PIECES + 1] = { { 0 } };
	size_t len = 0, sent, before = head != NULL ? sizeof(*head) : 0;
	unsigned n = 0;

	if (head != NULL) {
		pieces[n++] = (struct vsock_piece){ head, sizeof(*head) };
	}
	for (unsigned i = 0; i < count; i++) {
		pieces[n++] = (struct vsock_piece){ segs[i].data, segs[i].len };
		len += segs[i].len;
	}
	sent = vsock_send_pieces(conn->vsock, pieces, n);
	if (sent < before) {
		nbd_conn_later(conn, (const uint8_t *)head + sent,
			       before - sent);
		return false;
	}
	conn->offset += sent - before;
	conn->left -= (uint32_t)(sent - before);
	return sent - before == len;
}

/**
 * Goes on with a READ whose data are next to be sent. False: there is no room
 * for more now, or the connection has failed.
 */
bool nbd_read_more(struct nbd_conn *conn)
{
	struct volume_seg segs[PIECES];
	unsigned count;

	while (conn->left != 0) {
		int error = map(conn, segs, &count);

		if (put_off(conn, error, NOTHING_DUE)) {
			return false;
		}
		if (error != 0) {
			/* That it went well is said already: this answer has no
			 * end. */
			nbd_conn_fail(conn);
			return false;
		}
		if (!send_pieces(conn, NULL, segs, count)) {
			return false;
		}
	}
	conn->reading = false;
	nbd_wait_end(conn);
	return true;
}

/* The head, and what there is room for of the data. */
static void start_read(struct nbd_conn *conn)
{
	struct volume_seg segs[PIECES];
	struct nbd_answer head;
	unsigned count;
	int error = map(conn, segs, &count);

	if (put_off(conn, error, CARRY_DUE)) {
		return;
	}
	if (error != 0) {
		answer(conn, nbd_error(error));
		return;
	}
	head = answer_head(conn, 0);
	conn->disk->reads++;
	conn->disk->read_bytes += conn->left;
	conn->reading = true;
	if (send_pieces(conn, &head, segs, count)) {
		(void)nbd_read_more(conn);
	}
}

/* One that has no data to come, checked. */
static void carry_out(struct nbd_conn *conn)
{
	const struct nbd_request *req = &conn->request;
	struct nbd_store *store = conn->disk->store;
	int error;

	if (store->device) {
		if (!nbd_device_request(conn)) {
			conn->due = CARRY_DUE;
		}
		return;
	}
	switch (req->type) {
	case NBD_READ:
		start_read(conn);
		return;
	case NBD_FLUSH:
		error = flush_store(conn);
		break;
	default:
		error = turn(conn, true);
		if (error == 0) {
			error = store->ops->zero(store, req->offset, req->len,
						 req->flags & NBD_FLAG_NO_HOLE);
		}
	}
	if (put_off(conn, error, CARRY_DUE)) {
		return;
	}
	if (req->type == NBD_FLUSH) {
		conn->disk->flushes++;
		answer(conn, nbd_error(error));
	} else {
		finish(conn, error);
	}
}

/** What had to wait for the store is tried again. */
void nbd_go_on(struct nbd_conn *conn)
{
	int due = conn->due;

	conn->due = NOTHING_DUE;
	if (due == CARRY_DUE) {
		carry_out(conn);
	} else if (due == FINISH_DUE) {
		finish(conn, 0);
	}
}

/** A request's head is here. */
void nbd_on_request(struct nbd_conn *conn)
{
	struct nbd_request *req = &conn->request;

	memcpy(req, conn->head, sizeof(*req));
	if (req->magic != NBD_BE32(NBD_REQUEST_MAGIC)) {
		nbd_conn_fail(conn);
		return;
	}
	req->flags = NBD_BE16(req->flags);
	req->type = NBD_BE16(req->type);
	req->offset = NBD_BE64(req->offset);
	req->len = NBD_BE32(req->len);
	conn->offset = req->offset;
	conn->left = req->len;
	if (req->type == NBD_DISCONNECT) {
		conn->ending = true;
		vsock_shutdown(conn->vsock, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
		return;
	}
	conn->error = check(conn);
	if (req->type == NBD_WRITE) {
		/* A length that no error excuses: its data would never end. */
		if (req->len > NBD_DATA_MAX) {
			nbd_conn_fail(conn);
			return;
		}
		conn->state = ON_DATA;
		if (req->len != 0) {
			return;
		}
	}
	if (conn->error != 0) {
		answer(conn, conn->error);
		return;
	}
	carry_out(conn);
}

/**
 * Bytes of a WRITE's data; returns how many it took. Of one that fails the rest
 * is dropped, and the answer says so at its end.
 */
size_t nbd_on_data(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	struct nbd_store *store = conn->disk->store;
	size_t n = len < conn->left ? len : conn->left;
	size_t at = 0;

	if (store->device && conn->error == 0) {
		n = nbd_device_data(conn, data, n);
		conn->left -= (uint32_t)n;
		if (conn->left == 0) {
			conn->state = ON_REQUEST;
		}
		return n;
	}
	while (conn->error == 0 && at < n) {
		size_t done = 0;
		int error = turn(conn, true);

		if (error == 0) {
			error = store->ops->write(store, conn->offset + at,
						  data + at, n - at, &done);
		}
		at += done;
		/* They are given again from there. */
		if (put_off(conn, error, NOTHING_DUE)) {
			n = at;
			break;
		}
		conn->error = nbd_error(error);
	}
	conn->offset += n;
	conn->left -= (uint32_t)n;
	if (conn->left == 0 && conn->error != 0) {
		answer(conn, conn->error);
	} else if (conn->left == 0) {
		conn->disk->writes++;
		conn->disk->written_bytes += conn->request.len;
		finish(conn, 0);
	}
	return n;
}
