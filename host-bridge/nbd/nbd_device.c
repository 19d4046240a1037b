/* SPDX-License-Identifier: MIT */
/*
 * A disk or a part of one as a disk of Linux's. Requests go on to the block device as
 * they are, several at a time, and are answered as they end, in any order: Linux
 * begins no two that overlap. Data go between the ring and memory that the device
 * reaches, one copy; nothing is kept.
 *
 * A connection's end leaves requests under way. Their memory is theirs until they
 * are done, and nothing new begins before: Linux asks again for what had no answer,
 * and may ask for something else then, which an old write must not overtake.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/blk/block.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/nbd/nbd_int.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/rt/tsc.h"

#define IOS		8u		/* requests at a time */

struct nbd_io {
	struct block_req req;
	struct block_seg seg;
	struct nbd_device *device;
	struct nbd_conn *conn;		/* NULL: nobody wants its answer */
	struct nbd_io *next;		/* free, or done */
	struct nbd_request request;
	uint8_t *data;			/* NBD_DATA_MAX bytes */
	uint32_t at;			/* bytes of it that came, or went */
	uint32_t left;			/* sectors not begun yet */
	uint32_t error;			/* as the protocol has it */
	bool busy;			/* with the device */
	bool headed;			/* its answer's head has gone */
	uint64_t begun;			/* as of the task */
};

struct nbd_device {
	struct nbd_store store;
	struct block_dev *dev;
	struct nbd_service *service;
	struct nbd_io ios[IOS], *free;
	unsigned orphans;		/* busy, without a connection */
};

static struct nbd_device *of(struct nbd_conn *conn)
{
	return CONTAINER(conn->disk->store, struct nbd_device, store);
}

/* Those who wait for an io try again. */
static void wake(struct nbd_device *device)
{
	struct nbd_service *service = device->service;

	for (unsigned i = 0; i < service->conns; i++) {
		struct nbd_conn *conn = service->conn[i];

		if (conn->waits && conn->disk != NULL &&
		    conn->disk->store == &device->store) {
			conn->waits = false;
			vsock_again(conn->vsock);
		}
	}
}

static void release(struct nbd_io *io)
{
	struct nbd_device *device = io->device;

	io->conn = NULL;
	io->next = device->free;
	device->free = io;
	wake(device);
}

/* One for the connection's request. NULL: it waits for one. */
static struct nbd_io *take(struct nbd_conn *conn, const struct nbd_task *task)
{
	struct nbd_device *device = of(conn);
	struct nbd_io *io = device->free;

	device->service = conn->service;
	if (io == NULL || device->orphans > 0) {
		conn->waits = true;
		return NULL;
	}
	device->free = io->next;
	io->conn = conn;
	io->next = NULL;
	io->request = task->request;
	io->begun = task->begun;
	io->at = io->error = 0;
	io->headed = false;
	return io;
}

/* The request is over: its answer is due. */
static void ended(struct nbd_io *io)
{
	struct nbd_conn *conn = io->conn;
	struct nbd_io **at;

	if (conn == NULL) {
		io->device->orphans--;
		release(io);
		return;
	}
	for (at = &conn->done; *at != NULL; at = &(*at)->next) {
	}
	*at = io;
	if (!conn->failed) {
		vsock_again(conn->vsock);
	}
}

static void begin(struct nbd_io *io, enum block_op op);

static void on_done(struct block_req *req)
{
	struct nbd_io *io = CONTAINER(req, struct nbd_io, req);
	bool space = req->op == BLOCK_DISCARD || req->op == BLOCK_ZERO;

	io->busy = false;
	if (req->error != 0) {
		io->error = nbd_error(req->error);
	} else if (io->left > 0) {
		begin(io, req->op);
		return;
	} else if (space && (io->request.flags & NBD_FLAG_FUA) != 0) {
		begin(io, BLOCK_FLUSH);
		return;
	}
	ended(io);
}

/* Begins what is left of it, as much as the device takes at a time. */
static void begin(struct nbd_io *io, enum block_op op)
{
	struct block_dev *dev = io->device->dev;
	bool data = op == BLOCK_READ || op == BLOCK_WRITE;
	uint64_t end = (io->request.offset + io->request.len) /
		       dev->sector_size;
	uint32_t n = op == BLOCK_FLUSH ? 0 : io->left;

	if (data && n > dev->max_sectors) {
		n = dev->max_sectors;
	}
	io->req = (struct block_req){
		.op = op, .sector = end - io->left, .sectors = n,
		.done = on_done,
		.flags = op == BLOCK_WRITE &&
			 (io->request.flags & NBD_FLAG_FUA) != 0
			 ? BLOCK_FUA : 0,
	};
	if (data) {
		io->seg = (struct block_seg){
			io->data + io->request.len -
				io->left * dev->sector_size,
			n * dev->sector_size,
		};
		io->req.segs = &io->seg;
		io->req.seg_count = 1;
	}
	io->left -= n;
	io->busy = true;
	block_submit(dev, &io->req);
}

static void start(struct nbd_io *io)
{
	static const enum block_op ops[] = {
		[NBD_READ] = BLOCK_READ, [NBD_WRITE] = BLOCK_WRITE,
		[NBD_FLUSH] = BLOCK_FLUSH, [NBD_TRIM] = BLOCK_DISCARD,
		[NBD_ZEROES] = BLOCK_ZERO,
	};

	io->left = io->request.type == NBD_FLUSH ? 0
		   : io->request.len / io->device->dev->sector_size;
	begin(io, ops[io->request.type]);
}

/** Begins a request without data to come, which has been checked, or has it wait:
 * false. */
bool nbd_device_request(struct nbd_conn *conn, struct nbd_task *task)
{
	struct nbd_io *io = take(conn, task);

	if (io == NULL) {
		return false;
	}
	start(io);
	return true;
}

/** Bytes of a WRITE's data, task->left at most; returns how many it took. */
size_t nbd_device_data(struct nbd_conn *conn, struct nbd_task *task,
		       const uint8_t *data, size_t len)
{
	struct nbd_io *io = conn->io;

	if (io == NULL) {
		io = conn->io = take(conn, task);
	}
	if (io == NULL) {
		return 0;
	}
	memcpy(io->data + io->at, data, len);
	io->at += (uint32_t)len;
	if (io->at == io->request.len) {
		conn->io = NULL;
		start(io);
	}
	return len;
}

static void count(struct nbd_disk *disk, const struct nbd_io *io)
{
	const struct nbd_request *req = &io->request;

	if (io->error != 0) {
		disk->errors++;
	} else if (req->type == NBD_READ) {
		disk->reads++;
		disk->read_bytes += req->len;
	} else if (req->type == NBD_WRITE) {
		disk->writes++;
		disk->written_bytes += req->len;
	} else if (req->type == NBD_FLUSH) {
		disk->flushes++;
	}
	if (io->error == 0 && nbd_lasts(req)) {
		latency_add(&disk->lasting, tsc_now() - io->begun);
	}
}

/* Sends an answer, or what is left of it. False: there is no room for all. */
static bool send(struct nbd_conn *conn, struct nbd_io *io)
{
	const struct nbd_answer head = {
		.magic = NBD_BE32(NBD_ANSWER_MAGIC),
		.error = NBD_BE32(io->error), .cookie = io->request.cookie,
	};
	uint32_t len = io->request.type == NBD_READ && io->error == 0
		       ? io->request.len : 0;
	struct vsock_piece pieces[2];
	size_t before = io->headed ? 0 : sizeof(head), sent;
	unsigned n = 0;

	if (!io->headed) {
		io->at = 0;
		pieces[n++] = (struct vsock_piece){ &head, sizeof(head) };
	}
	if (io->at < len) {
		pieces[n++] = (struct vsock_piece){
			io->data + io->at, len - io->at,
		};
	}
	sent = n > 0 ? vsock_send_pieces(conn->vsock, pieces, n) : 0;
	io->headed = true;
	if (sent < before) {
		nbd_conn_later(conn, (const uint8_t *)&head + sent,
			       before - sent);
		return false;
	}
	io->at += (uint32_t)(sent - before);
	return io->at == len || len == 0;
}

/** Sends the answers that are due, as far as there is room; nothing waits before
 * them. Whether all have gone. */
bool nbd_device_answer(struct nbd_conn *conn)
{
	struct nbd_io *io;

	while ((io = conn->done) != NULL) {
		if (!send(conn, io)) {
			return false;
		}
		count(conn->disk, io);
		conn->done = io->next;
		release(io);
	}
	return true;
}

/** The connection is over. */
void nbd_device_gone(struct nbd_conn *conn)
{
	struct nbd_device *device = of(conn);

	conn->done = conn->io = NULL;
	for (unsigned i = 0; i < IOS; i++) {
		struct nbd_io *io = &device->ios[i];

		if (io->conn == conn && io->busy) {
			io->conn = NULL;
			device->orphans++;
		} else if (io->conn == conn) {
			release(io);
		}
	}
}

/** For one that no connection has; nothing is under way. */
void nbd_device_close(struct nbd_store *store)
{
	struct nbd_device *device = CONTAINER(store, struct nbd_device, store);

	for (unsigned i = 0; i < IOS; i++) {
		dma_free(device->ios[i].data, NBD_DATA_MAX);
	}
	free(device);
}

/**
 * A store that is a block device, which nobody else uses and which may be written to.
 * Returns 0, ENOMEM, or EINVAL (it has no sectors, or of less than NBD_SECTOR or more
 * than NBD_SECTOR_MAX bytes).
 */
int nbd_device_open(struct block_dev *dev, struct nbd_store **out)
{
	struct nbd_device *device;

	if (dev->sector_size < NBD_SECTOR ||
	    dev->sector_size > NBD_SECTOR_MAX || dev->sectors == 0) {
		return EINVAL;
	}
	device = calloc(1, sizeof(*device));
	if (device == NULL) {
		return ENOMEM;
	}
	device->dev = dev;
	device->store = (struct nbd_store){
		.size = dev->sectors * dev->sector_size,
		.sector = dev->sector_size, .device = true,
		.no_trim = (dev->features & BLOCK_HAS_DISCARD) == 0,
		.no_zeroes = (dev->features & BLOCK_HAS_ZERO) == 0,
	};
	for (unsigned i = 0; i < IOS; i++) {
		struct nbd_io *io = &device->ios[i];

		io->data = dma_alloc(NBD_DATA_MAX, 4096);
		if (io->data == NULL) {
			nbd_device_close(&device->store);
			return ENOMEM;
		}
		io->device = device;
		io->next = device->free;
		device->free = io;
	}
	*out = &device->store;
	return 0;
}
