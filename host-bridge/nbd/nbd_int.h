/* SPDX-License-Identifier: MIT */
/*
 * Inside the room: a connection of a disk's. nbd_service.c has the connections
 * and their bytes; nbd_options.c the handshake, nbd_requests.c what comes
 * after it.
 */
#ifndef ISTHMUS_NBD_INT_H
#define ISTHMUS_NBD_INT_H

#include "host-bridge/blk/cache.h"
#include "host-bridge/nbd/nbd_server.h"
#include "host-bridge/vsock/vsock_inbox.h"
#include "proto/nbd.h"

/* The longest option that is looked at: a name, and what may be asked of it. */
#define OPTION_MAX	256u
/* One answer without a READ's data: to LIST, all names. */
#define OUT_MAX		((NBD_DISKS + 1) * (sizeof(struct nbd_option_reply) + \
					   4 + NBD_NAME_MAX))

/* Requests of a connection that may be under way. */
#define NBD_TASKS	16u

/* What comes next on a connection: the client's flags, an option's head, its
 * data; a request, the data of a WRITE. */
enum nbd_state {
	ON_FLAGS, ON_OPTION, ON_OPTION_DATA, ON_REQUEST, ON_DATA,
};

struct nbd_conn;

/* A request, from its head to its answer. One that has to wait for the store is put
 * aside, and those behind it go on: but for a WRITE whose data are still to come, and
 * a READ some of whose data have gone. */
struct nbd_task {
	struct nbd_conn *conn;		/* NULL: there is none */
	struct nbd_request request;	/* checked */
	uint64_t offset;		/* of the next byte */
	uint32_t left;			/* bytes still to be moved */
	uint32_t error;			/* of a WRITE, whose data are skipped */
	uint64_t begun;			/* TSC, if nbd_lasts() */
	struct volume_wait wait;
	bool waits;			/* and ready() will be called */
	enum { NOTHING_DUE, CARRY_DUE, FINISH_DUE } due;	/* then */
};

struct nbd_conn {
	struct nbd_service *service;
	struct vsock_conn *vsock;
	struct nbd_disk *disk;		/* from GO on */
	enum nbd_state state;
	bool failed;			/* was reset; on_close will follow */
	bool ending;			/* no more is served */
	struct vsock_inbox in;
	/* The part of a head that is here, or of an option's data. */
	uint8_t head[OPTION_MAX];
	size_t head_len;
	uint32_t skip;			/* of an option that is too long */
	struct nbd_option option;	/* as it came */
	/* What is to be sent: bytes, then the data of a READ. */
	uint8_t out[OUT_MAX];
	size_t out_at, out_len;
	struct nbd_task *reading;
	struct nbd_task *writing;	/* its data come */
	struct nbd_task tasks[NBD_TASKS];
	/* On a block device: what a WRITE's data come into, and those that are to
	 * be answered. */
	struct nbd_io *io, *done;
	bool waits;			/* for an io */
};

struct nbd_service {
	struct vsock *vs;
	struct nbd_disk disk[NBD_DISKS];
	unsigned count, conns;
	struct nbd_conn *conn[NBD_DISKS * 2];
};

/** What a disk's requests are multiples of. */
static inline uint32_t nbd_sector(const struct nbd_store *store)
{
	return store->sector != 0 ? store->sector : NBD_SECTOR;
}

/** Whether what was written lasts, once it is answered. */
static inline bool nbd_lasts(const struct nbd_request *req)
{
	return req->type == NBD_FLUSH || (req->flags & NBD_FLAG_FUA) != 0;
}

/* nbd_service.c */
void nbd_conn_fail(struct nbd_conn *conn);
void nbd_conn_put(struct nbd_conn *conn, const void *data, size_t len);
void nbd_conn_later(struct nbd_conn *conn, const void *data, size_t len);

/* nbd_options.c: the whole of what state says is in head[]. */
void nbd_on_hello(struct nbd_conn *conn);
void nbd_on_flags(struct nbd_conn *conn);
void nbd_on_option(struct nbd_conn *conn);
void nbd_on_option_data(struct nbd_conn *conn);

/* nbd_device.c */
bool nbd_device_request(struct nbd_conn *conn, struct nbd_task *task);
size_t nbd_device_data(struct nbd_conn *conn, struct nbd_task *task,
		       const uint8_t *data, size_t len);
bool nbd_device_answer(struct nbd_conn *conn);
void nbd_device_gone(struct nbd_conn *conn);

/* nbd_requests.c */
uint32_t nbd_error(int error);
bool nbd_can_take(const struct nbd_conn *conn);
void nbd_on_request(struct nbd_conn *conn);
size_t nbd_on_data(struct nbd_conn *conn, const uint8_t *data, size_t len);
bool nbd_go_on(struct nbd_conn *conn);
void nbd_tasks_end(struct nbd_conn *conn);

#endif
