/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * isthmus driver: disks of the host's, by the NBD protocol over the channel
 * (proto/nbd.h). disk.c is the block devices, disk_conn.c their connections:
 * requests into the ring; disk_receive.c what comes off it.
 *
 * A disk outlives its connection: when that is lost, by a reset of the channel or
 * because the host ends it, requests stay, and go again over the next one, in
 * their order. To do one twice is to do it once: Linux does not begin another
 * that overlaps it before it is answered. When the channel's device is taken
 * away, requests fail.
 *
 * ch->lock covers everything here that is not marked otherwise.
 */
#ifndef ISTHMUS_DISK_H
#define ISTHMUS_DISK_H

#include <linux/blk-mq.h>
#include <linux/workqueue.h>

#include "stream.h"
#include "proto/nbd.h"

/* Local ports from here on. [docs/channel.md "Packets: vsock"] */
#define DISK_PORT_FIRST		664
#define DISKS			8u
#define DISK_DEPTH		64u	/* requests at once */

/* What comes next from the host. DOWN: no connection, one is wanted; FAILED: not
 * before the watch's turn. NONE: the host has no such disk. */
enum disk_state {
	DISK_OFF, DISK_DOWN, DISK_FAILED, DISK_CONNECTING, DISK_HELLO,
	DISK_LIST, DISK_GO, DISK_UP, DISK_NONE
};

/* What a request has of ours. */
struct disk_cmd {
	struct list_head list;		/* pending, out or done */
	u64 cookie;			/* 0: not out */
	blk_status_t status;
};

/* The message being received: its head, then len bytes. */
struct disk_rx {
	union {
		struct nbd_hello hello;
		struct nbd_option_reply reply;
		struct nbd_answer answer;
		u8 head[sizeof(struct nbd_option_reply)];
	};
	u32 at;				/* bytes of the head, then of the rest */
	bool body;			/* the head is here */
	u32 len;
	u8 data[64];			/* an option's */
	struct request *rq;		/* READ: where the data go */
	struct bio *bio;
	struct bvec_iter iter;
};

struct disk {
	struct stream stream;
	enum disk_state state;
	bool rst;			/* the host must be told its end */
	bool greet;			/* our flags are due */
	u32 ask;			/* an option is: NBD_OPT_*; 0: none */
	char name[NBD_NAME_MAX + 1];
	u64 size;			/* bytes; of the last handshake */
	u16 flags;
	u32 sector;			/* bytes; of the first */
	struct list_head pending, out, done;
	u32 collectors;			/* who will end what is in `done` */
	u64 next;			/* cookie */
	struct request *slot[DISK_DEPTH];	/* by tag: those that are out */
	struct disk_rx rx;
	struct work_struct setup_work, done_work;
	/* The work queue's. */
	struct gendisk *gendisk;
	struct blk_mq_tag_set set;
};

/* disk_conn.c */
bool disk_send(struct isthmus *ch, struct disk *d, struct request *rq);
void disk_step(struct isthmus *ch, struct disk *d);
void disk_watch_stop(void);

/* disk_receive.c */
extern struct disk isthmus_disks[DISKS];
extern struct workqueue_struct *isthmus_disk_wq;
bool disk_receive(struct isthmus *ch, struct disk *d, u32 len);

#endif
