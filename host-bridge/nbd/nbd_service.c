/* SPDX-License-Identifier: MIT */
/*
 * Disks on vsock: the connections, and which bytes of them are what. While an
 * answer waits for room, or a connection's time is up, what arrives is kept and
 * its credit held (vsock_inbox.h): so one answer at most waits here, and of a
 * READ not even its data, which are looked up again when there is room. Requests
 * that wait for the store wait beside each other, NBD_TASKS at most.
 *
 * All functions run from the event loop. A connection that fails is reset, no
 * other is touched; its struct lives on until on_close.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/nbd/nbd_int.h"
#include "host-bridge/loop/loop.h"

/** Resets the connection, once. Callbacks go on to their end: they look at
 * failed. */
void nbd_conn_fail(struct nbd_conn *conn)
{
	if (!conn->failed) {
		conn->failed = true;
		vsock_reset(conn->vsock);
	}
}

/* Sends what waits, as far as there is room. Whether all of it is gone. */
static bool flush(struct nbd_conn *conn)
{
	if (conn->out_at < conn->out_len) {
		conn->out_at += vsock_send(conn->vsock,
					   conn->out + conn->out_at,
					   conn->out_len - conn->out_at);
	}
	if (conn->out_at < conn->out_len) {
		return false;
	}
	conn->out_at = conn->out_len = 0;
	if (conn->done != NULL && !nbd_device_answer(conn)) {
		return false;
	}
	return nbd_go_on(conn);
}

/**
 * An answer, or a part of it: what has to wait for room is kept. At most OUT_MAX
 * bytes wait, which is room for all that one option or request makes.
 */
void nbd_conn_put(struct nbd_conn *conn, const void *data, size_t len)
{
	size_t done = conn->out_len == 0
		      ? vsock_send(conn->vsock, data, len) : 0;

	if (done < len) {
		memcpy(conn->out + conn->out_len,
		       (const uint8_t *)data + done, len - done);
		conn->out_len += len - done;
	}
}

/** The end of a head for which there was no room; nothing waits. */
void nbd_conn_later(struct nbd_conn *conn, const void *data, size_t len)
{
	memcpy(conn->out, data, len);
	conn->out_at = 0;
	conn->out_len = len;
}

/* How long what is next in state is: a head, or an option's data. */
static size_t head_size(const struct nbd_conn *conn)
{
	switch (conn->state) {
	case ON_FLAGS:
		return sizeof(uint32_t);
	case ON_OPTION:
		return sizeof(struct nbd_option);
	case ON_OPTION_DATA:
		return conn->option.len < OPTION_MAX ? conn->option.len
						     : OPTION_MAX;
	default:
		return sizeof(struct nbd_request);
	}
}

/* The head is here: what it says is done. */
static void head_done(struct nbd_conn *conn)
{
	conn->head_len = 0;
	switch (conn->state) {
	case ON_FLAGS:
		nbd_on_flags(conn);
		break;
	case ON_OPTION:
		nbd_on_option(conn);
		break;
	case ON_OPTION_DATA:
		nbd_on_option_data(conn);
		break;
	default:
		nbd_on_request(conn);
	}
}

/* Takes bytes of a head, or of what is skipped behind it; returns how many. */
static size_t head_input(struct nbd_conn *conn, const uint8_t *data,
			 size_t len)
{
	size_t size = head_size(conn), n = size - conn->head_len;

	n = n < len ? n : len;
	memcpy(conn->head + conn->head_len, data, n);
	conn->head_len += n;
	if (conn->head_len == size && conn->skip != 0) {
		size_t more = len - n < conn->skip ? len - n : conn->skip;

		conn->skip -= (uint32_t)more;
		n += more;
	}
	if (conn->head_len == size && conn->skip == 0) {
		head_done(conn);
	}
	return n;
}

/* Serves what came, as long as no answer waits and there is time; returns the
 * bytes that it took. */
static size_t input(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	uint64_t until = vsock_slice_end(conn->vsock);
	size_t used = 0;

	while (used < len && !conn->failed && !conn->ending &&
	       flush(conn) && nbd_can_take(conn)) {
		used += conn->state == ON_DATA
			? nbd_on_data(conn, data + used, len - used)
			: head_input(conn, data + used, len - used);
		if (loop_now() >= until && used < len) {
			vsock_again(conn->vsock);
			break;
		}
	}
	/* Nobody serves what comes after the end. */
	return conn->ending ? len : used;
}

static void on_data(struct vsock_conn *vsock, const void *data, size_t len)
{
	struct nbd_conn *conn = vsock_arg(vsock);
	size_t used = conn->in.len == 0 ? input(conn, data, len) : 0;

	if (used < len && !conn->failed &&
	    !vsock_inbox_keep(&conn->in, vsock, (const uint8_t *)data + used,
			      len - used)) {
		nbd_conn_fail(conn);
	}
}

static void on_writable(struct vsock_conn *vsock)
{
	struct nbd_conn *conn = vsock_arg(vsock);
	const uint8_t *data;
	size_t used, len = vsock_inbox_rest(&conn->in, &data);

	if (conn->failed || !flush(conn) || len == 0) {
		return;
	}
	used = input(conn, data, len);
	if (!conn->failed) {
		vsock_inbox_taken(&conn->in, vsock, used);
	}
}

/* A disk is for Linux's kernel and its root, who alone can have a reserved
 * port. One connection more than twice the disks is refused by a reset. */
static void on_open(struct vsock_conn *vsock)
{
	struct nbd_service *service = vsock_arg(vsock);
	struct nbd_conn *conn = NULL;

	/* on_close comes for a refused one too, and must find nothing. */
	vsock_set_arg(vsock, NULL);
	if (service->conns < NBD_DISKS * 2 &&
	    vsock_peer_port(vsock) < VSOCK_PORT_RIGHT) {
		conn = calloc(1, sizeof(*conn));
	}
	if (conn == NULL) {
		vsock_reset(vsock);
		return;
	}
	conn->service = service;
	conn->vsock = vsock;
	service->conn[service->conns++] = conn;
	vsock_set_arg(vsock, conn);
	nbd_on_hello(conn);
}

static void on_shutdown(struct vsock_conn *vsock, unsigned flags)
{
	if ((flags & VSOCK_SHUT_SEND) != 0) {
		vsock_shutdown(vsock, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

static void on_close(struct vsock_conn *vsock, int error)
{
	struct nbd_conn *conn = vsock_arg(vsock);
	struct nbd_service *service;
	unsigned i = 0;

	(void)error;
	if (conn == NULL) {
		return;
	}
	service = conn->service;
	while (service->conn[i] != conn) {
		i++;
	}
	service->conn[i] = service->conn[--service->conns];
	if (conn->disk != NULL) {
		conn->disk->users--;
		if (conn->disk->store->device) {
			nbd_device_gone(conn);
		}
	}
	nbd_tasks_end(conn);
	vsock_inbox_free(&conn->in);
	free(conn);
}

static const struct vsock_ops service_ops = {
	.on_open = on_open,
	.on_data = on_data,
	.on_writable = on_writable,
	.on_shutdown = on_shutdown,
	.on_close = on_close,
	.reads_once = true,	/* copied into head[], or by the store */
	/* Linux's driver sends requests as a whole. */
	.credit = 2 * (sizeof(struct nbd_request) + NBD_DATA_MAX),
};

/**
 * Serves disks to the peer of vs on port NBD_PORT; once for each. There are none
 * until nbd_service_add(). Returns 0, EADDRINUSE or ENOMEM.
 */
int nbd_service_start(struct vsock *vs, struct nbd_service **out)
{
	struct nbd_service *service = calloc(1, sizeof(*service));
	int error = ENOMEM;

	if (service != NULL) {
		service->vs = vs;
		error = vsock_listen(vs, NBD_PORT, &service_ops, service);
	}
	if (error != 0) {
		free(service);
		return error;
	}
	*out = service;
	return 0;
}

/**
 * One more disk for that Linux, which finds them when it starts, in this order.
 * name: 1 to NBD_NAME_MAX bytes, no other's; both stay as long as the service.
 * Returns 0, ENOSPC (there are NBD_DISKS) or EINVAL (name, or size).
 */
int nbd_service_add(struct nbd_service *service, const char *name,
		     struct nbd_store *store)
{
	size_t len = strlen(name);

	if (len == 0 || len > NBD_NAME_MAX || store->size == 0 ||
	    store->size % NBD_SECTOR != 0) {
		return EINVAL;
	}
	for (unsigned i = 0; i < service->count; i++) {
		if (strcmp(service->disk[i].name, name) == 0) {
			return EINVAL;
		}
	}
	if (service->count == NBD_DISKS) {
		return ENOSPC;
	}
	service->disk[service->count++] =
		(struct nbd_disk){ .name = name, .store = store };
	return 0;
}

const struct nbd_disk *nbd_service_get(const struct nbd_service *service,
				    unsigned index)
{
	return index < service->count ? &service->disk[index] : NULL;
}

/**
 * The store has another size now. The protocol has no word for that: connections
 * are ended, and the next handshake tells; what had no answer comes again.
 */
void nbd_service_resized(struct nbd_service *service, unsigned index)
{
	for (unsigned i = 0; i < service->conns; i++) {
		if (service->conn[i]->disk == &service->disk[index]) {
			nbd_conn_fail(service->conn[i]);
		}
	}
}
