/* SPDX-License-Identifier: MIT */
/*
 * Room nbd: disks for a Linux. A disk is bytes somewhere (nbd_store), under a
 * name, served over a channel by the NBD protocol (proto/nbd.h). Does not trust
 * Linux: each field of a request is checked before it is used, and a connection
 * that breaks the protocol is reset, no other touched. May include rt, loop,
 * dev, blk, fs and vsock.
 *
 * Everything runs from the event loop. Requests of a connection are begun in the
 * order in which they come. One that has to wait for the store, or for a device
 * (nbd_device.c), does so beside others, and is answered when it is done.
 */
#ifndef ISTHMUS_NBD_SERVER_H
#define ISTHMUS_NBD_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/rt/latency.h"

struct block_dev;
struct volume;
struct volume_turns;
struct volume_seg;
struct vsock;

#define NBD_SECTOR		512u	/* all sizes are multiples */
#define NBD_SECTOR_MAX		4096u	/* what any Linux takes */
#define NBD_DISKS		8u	/* of one Linux */

struct nbd_store;

/* All return 0 or an errno value. The range has bytes, and lies within size;
 * offset and len are of any alignment. */
struct nbd_store_ops {
	/* The bytes from offset on, in at most max pieces, which stay until
	 * the next call: *done of them, at least one. */
	int (*map)(struct nbd_store *store, uint64_t offset, size_t len,
		   struct volume_seg *segs, unsigned max, unsigned *count,
		   size_t *done);
	/* *done: how many were written, at least one if 0 is returned. data
	 * may be shared memory, and is read once. */
	int (*write)(struct nbd_store *store, uint64_t offset,
		     const void *data, size_t len, size_t *done);
	/* The range has no more use; it reads as zeros. keep: its room stays
	 * set aside. */
	int (*zero)(struct nbd_store *store, uint64_t offset, uint64_t len,
		    bool keep);
	/* What was written lasts. */
	int (*flush)(struct nbd_store *store);
};

struct nbd_store {
	const struct nbd_store_ops *ops;
	uint64_t size;			/* bytes */
	uint32_t sector;		/* requests are of these; 0: NBD_SECTOR */
	bool read_only;
	bool device;			/* nbd_device.c: no ops, no turns */
	bool no_trim, no_zeroes;	/* what it cannot do */
	/* What is changed is answered when it lasts: another program may go on
	 * from there. */
	bool leaves;
	/* What goes before the functions above, which may say EAGAIN then, and
	 * instead of flush(); NULL: nothing. */
	struct volume_turns *turns;
};

/* A disk as Linux has it. Counts are since the start. */
struct nbd_disk {
	const char *name;
	struct nbd_store *store;
	uint64_t reads, writes, read_bytes, written_bytes, flushes, errors;
	unsigned users;			/* connections */
	struct latency lasting;		/* of flushes, and writes that are one */
};

struct nbd_service;

int nbd_service_start(struct vsock *vs, struct nbd_service **out);
int nbd_service_add(struct nbd_service *service, const char *name,
		     struct nbd_store *store);
/* The disk of that index, or NULL. */
const struct nbd_disk *nbd_service_get(const struct nbd_service *service,
				    unsigned index);
/* The store has another size now: who has it is told. */
void nbd_service_resized(struct nbd_service *service, unsigned index);

/* Both at top level: they may wait. */
int nbd_file_open(struct volume *vol, struct volume_turns *turns,
		  const char *path, uint64_t size, struct nbd_store **out);
int nbd_file_grow(struct nbd_store *store, uint64_t size);
int nbd_device_open(struct block_dev *dev, struct nbd_store **out);
void nbd_device_close(struct nbd_store *store);

#endif
