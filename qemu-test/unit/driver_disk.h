/* SPDX-License-Identifier: MIT */
/*
 * Disks on the driver's fixture: a host that serves them by NBD, to Linux' ports
 * from 664 on, as far as a test wants it; and requests of Linux'.
 */
#ifndef DRIVER_DISK_H
#define DRIVER_DISK_H

#include "qemu-test/unit/fake/kernel_blk.h"
#include "driver_fixture.h"
#include "guest/driver/disk.h"

#define GO	assert_int_equal
#define PORT	664u
#define DISK	(256u << 10)		/* bytes */
#define STREAM	0x80000u

struct conn {
	bool open, greeted, going;
	u32 disk, have;
	u64 received;
	u8 stream[STREAM];
};

static struct {
	struct conn conn[8];		/* by Linux' port */
	u32 credit;
	bool silent;			/* answers no requests */
	bool refuses;			/* any connection */
	unsigned int disks, requests, flushes, fuas, zeroes, trims, lists;
	u32 error;			/* of all requests */
	u32 piece;			/* of what it sends; 0: all at once */
	u64 size;			/* of each disk */
	u32 sector;
	u16 flags;
	const char *names[10];
	u64 cookies[100];		/* of requests, as they came */
	void (*instead)(struct conn *c, const struct nbd_request *rq);
	void (*says)(struct conn *c, u32 option);	/* to LIST and GO */
	u8 data[8][DISK];
} host;

static inline u32 port_of(const struct conn *c)
{
	return PORT + (u32)(c - host.conn);
}

static inline void host_packet(struct conn *c, u16 op, const void *data, u32 len)
{
	struct ring_packet packet = {
		.src_cid = 2, .dst_cid = 3, .src_port = NBD_PORT,
		.dst_port = port_of(c), .len = len, .op = op,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.buf_alloc = host.credit, .fwd_cnt = (u32)c->received,
	};

	assert(host_put(&packet, data) == RING_OK);
}

static inline void host_say(struct conn *c, const void *data, u32 len)
{
	u32 most = host.piece ? host.piece : RING_PAYLOAD_MAX;

	while (len != 0) {
		u32 n = min(len, most);

		host_packet(c, VIRTIO_VSOCK_OP_RW, data, n);
		data = (const u8 *)data + n;
		len -= n;
	}
}

static inline void host_reply(struct conn *c, u32 option, u32 type, const void *data,
		       u32 len)
{
	struct nbd_option_reply head = {
		.magic = NBD_BE64(NBD_REPLY_MAGIC),
		.option = NBD_BE32(option), .type = NBD_BE32(type),
		.len = NBD_BE32(len),
	};

	host_say(c, &head, sizeof(head));
	host_say(c, data, len);
}

static inline void host_list(struct conn *c)
{
	host.lists++;
	for (unsigned int i = 0; i < host.disks; i++) {
		u32 len = (u32)strlen(host.names[i]);
		u8 data[64];

		memcpy(data, &(u32){ NBD_BE32(len) }, 4);
		memcpy(data + 4, host.names[i], len);
		host_reply(c, NBD_OPT_LIST, NBD_REP_SERVER, data, 4 + len);
	}
	host_reply(c, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
}

static inline void host_go(struct conn *c, const u8 *data)
{
	struct nbd_info_export info = {
		.type = NBD_BE16(NBD_INFO_EXPORT),
		.size = NBD_BE64(host.size), .flags = NBD_BE16(host.flags),
	};
	struct nbd_info_block_size block = {
		.type = NBD_BE16(NBD_INFO_BLOCK_SIZE),
		.least = NBD_BE32(host.sector),
	};
	u32 len;

	memcpy(&len, data, 4);
	for (c->disk = 0; strncmp(host.names[c->disk], (const char *)data + 4,
				  NBD_BE32(len)) != 0; c->disk++) {
		assert(c->disk < host.disks);
	}
	host_reply(c, NBD_OPT_GO, NBD_REP_INFO, &info, sizeof(info));
	host_reply(c, NBD_OPT_GO, NBD_REP_INFO, &block, sizeof(block));
	host_reply(c, NBD_OPT_GO, NBD_REP_ACK, NULL, 0);
	c->going = true;
}

static inline void host_answer(struct conn *c, u64 cookie, u32 error,
			const void *data, u32 len)
{
	struct nbd_answer answer = {
		.magic = NBD_BE32(NBD_ANSWER_MAGIC),
		.error = NBD_BE32(error), .cookie = cookie,
	};

	host_say(c, &answer, sizeof(answer));
	host_say(c, data, len);
}

static inline void host_request(struct conn *c, const struct nbd_request *rq,
			 const u8 *data)
{
	u64 at = NBD_BE64(rq->offset);
	u32 len = NBD_BE32(rq->len);
	u16 type = NBD_BE16(rq->type), flags = NBD_BE16(rq->flags);

	assert(rq->magic == NBD_BE32(NBD_REQUEST_MAGIC));
	host.cookies[host.requests++ % 100] = rq->cookie;
	if (host.instead) {
		host.instead(c, rq);
		return;
	}
	assert(at + len <= host.size);
	host.fuas += (flags & NBD_FLAG_FUA) != 0;
	switch (type) {
	case NBD_READ:
		host_answer(c, rq->cookie, host.error, host.data[c->disk] + at,
			    host.error ? 0 : len);
		return;
	case NBD_WRITE:
		memcpy(host.data[c->disk] + at, data, len);
		break;
	case NBD_FLUSH:
		assert(at == 0 && len == 0);
		host.flushes++;
		break;
	case NBD_TRIM:
		host.trims++;
		break;
	default:
		assert(type == NBD_ZEROES);
		host.zeroes += flags & NBD_FLAG_NO_HOLE ? 100 : 1;
	}
	host_answer(c, rq->cookie, host.error, NULL, 0);
}

/* The next message in a connection's stream; its length, or 0: not all of it is
 * there. */
static inline u32 host_message(struct conn *c)
{
	const u8 *s = c->stream;
	u32 len;

	if (!c->greeted) {
		if (c->have < 4) {
			return 0;
		}
		assert(memcmp(s, "\0\0\0\3", 4) == 0);
		c->greeted = true;
		return 4;
	}
	if (!c->going) {
		struct nbd_option option;

		if (c->have < sizeof(option)) {
			return 0;
		}
		memcpy(&option, s, sizeof(option));
		assert(option.magic == NBD_BE64(NBD_OPTION_MAGIC));
		len = sizeof(option) + NBD_BE32(option.len);
		if (c->have < len) {
			return 0;
		}
		if (host.says) {
			host.says(c, NBD_BE32(option.option));
		} else if (NBD_BE32(option.option) == NBD_OPT_LIST) {
			host_list(c);
		} else {
			assert(NBD_BE32(option.option) == NBD_OPT_GO);
			host_go(c, s + sizeof(option));
		}
	} else {
		struct nbd_request rq;

		if (host.silent || c->have < sizeof(rq)) {
			return 0;
		}
		memcpy(&rq, s, sizeof(rq));
		len = sizeof(rq) + (NBD_BE16(rq.type) == NBD_WRITE ?
				    NBD_BE32(rq.len) : 0);
		if (c->have < len) {
			return 0;
		}
		host_request(c, &rq, s + sizeof(rq));
	}
	return len;
}

static inline void host_open(struct conn *c)
{
	struct nbd_hello hello = {
		.magic = NBD_BE64(NBD_MAGIC),
		.option_magic = NBD_BE64(NBD_OPTION_MAGIC),
		.flags = NBD_BE16(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES),
	};

	memset(c, 0, offsetof(struct conn, stream));
	if (host.refuses) {
		host_packet(c, VIRTIO_VSOCK_OP_RST, NULL, 0);
		return;
	}
	c->open = true;
	host_packet(c, VIRTIO_VSOCK_OP_RESPONSE, NULL, 0);
	host_say(c, &hello, sizeof(hello));
}

/* Serves what has come. */
static inline void host_serve(void)
{
	struct ring_packet packet;
	struct conn *c;
	u32 n;

	/* And asks for a doorbell when there is nothing more. */
	while (host_take(&packet) ||
	       (ring_rx_arm(&host_ring) && host_take(&packet))) {
		assert(packet.src_port - PORT < 8);
		c = &host.conn[packet.src_port - PORT];
		if (packet.op == VIRTIO_VSOCK_OP_REQUEST) {
			host_open(c);
		} else if (packet.op == VIRTIO_VSOCK_OP_RST) {
			c->open = false;
		} else if (c->open) {
			assert(packet.op == VIRTIO_VSOCK_OP_RW &&
			       c->have + packet.len <= STREAM);
			memcpy(c->stream + c->have, host_payload, packet.len);
			c->have += packet.len;
			c->received += packet.len;
		}
	}
	for (c = host.conn; c < host.conn + 8; c++) {
		while (c->open && (n = host_message(c)) != 0) {
			c->have -= n;
			memmove(c->stream, c->stream + n, c->have);
		}
	}
}

/* The whole world goes on until nothing changes. */
static inline void turn(void)
{
	for (int i = 0; i < 12; i++) {
		host_serve();
		ring_linux();
		fake_run();
		fake_run_queues();
	}
}

static inline void reconnect(void)
{
	turn();
	fake_run_work();
	turn();
}

/* ---- Linux ---- */

static struct page pages[80];

/* A request of whole pages, of as many bios. */
static inline struct request make(int tag, enum req_op op, u64 sector,
				  u32 bytes, unsigned int bios)
{
	struct request rq = { .tag = tag, .op = op, .pos = sector,
			      .bytes = bytes };
	u32 at = 0;

	if (bios == 0) {
		return rq;
	}
	for (unsigned int b = 0; b < bios; b++) {
		struct bio *bio = calloc(1, sizeof(*bio));
		u32 size = b + 1 < bios ? bytes / bios / 512 * 512
					: bytes - at, done = 0;

		bio->bi_iter.bi_size = size;
		for (unsigned int v = 0; done < size; v++) {
			u32 n = min(size - done, FAKE_PAGE - 512 * (v % 3));

			assert(v < 96);
			bio->vecs[v] = (struct bio_vec){
				&pages[(at + done) / FAKE_PAGE], n,
				(at + done) % FAKE_PAGE };
			bio->vecs[v].bv_len = n = min(n, FAKE_PAGE -
						(at + done) % FAKE_PAGE);
			done += n;
		}
		at += size;
		bio->bi_next = rq.bio;
		rq.bio = bio;
	}
	return rq;
}

/* bios were put in front: in their order. */
static inline void turn_bios(struct request *rq)
{
	struct bio *bio = rq->bio, *first = NULL;

	while (bio) {
		struct bio *next = bio->bi_next;

		bio->bi_next = first;
		first = bio;
		bio = next;
	}
	rq->bio = first;
}

static inline void drop(struct request *rq)
{
	while (rq->bio) {
		struct bio *next = rq->bio->bi_next;

		free(rq->bio);
		rq->bio = next;
	}
}

static inline blk_status_t issue(unsigned int disk, struct request *rq,
				 bool last)
{
	struct blk_mq_queue_data bd = { rq, last };

	return fake_disks[disk]->set->ops->queue_rq(&fake_disks[disk]->hctx,
						    &bd);
}

static inline void fill(unsigned int seed)
{
	for (size_t i = 0; i < sizeof(pages); i++) {
		((u8 *)pages)[i] = (u8)((i + seed) * 2654435761u >> 11);
	}
}

/* One request from beginning to end. */
static inline blk_status_t one(unsigned int disk, enum req_op op, u32 flags,
			       u64 sector, u32 bytes, unsigned int bios)
{
	struct request rq = make(5, op, sector, bytes, bios);
	blk_status_t status;

	turn_bios(&rq);
	rq.cmd_flags = flags;
	status = issue(disk, &rq, true);
	if (status == BLK_STS_OK) {
		turn();
		GO(rq.ended, 1);
		status = rq.status;
	}
	drop(&rq);
	return status;
}

/* The module is loaded anew, and its memory is. */
static inline void set_host(void)
{
	memset(isthmus_disks, 0, sizeof(isthmus_disks));
	memset(&host, 0, sizeof(host));
	host.credit = 0x100000;
	host.disks = 2;
	host.names[0] = "root";
	host.names[1] = "data";
	host.size = DISK;
	host.sector = 512;
	host.flags = NBD_HAS_FLAGS | NBD_HAS_FLUSH | NBD_HAS_FUA |
		     NBD_HAS_TRIM | NBD_HAS_ZEROES;
	host_disks = true;
}

static inline int setup(void **state)
{
	(void)state;
	set_host();
	driver_start();
	fake.doorbell = host_doorbell;
	turn();
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	driver_unload();
	GO(fake_tag_sets, 0);
	for (int i = 0; i < 8; i++) {
		assert_null(fake_disks[i]);
	}
	return 0;
}

/* A new generation: all that has no answer goes again, in its order. */
static inline void reset(void)
{
	host_table[CHANNEL_ST_GENERATION]++;
	*host_word(0) = CHANNEL_STATE_DOWN;
	for (int i = 0; i < 8; i++) {
		host.conn[i].open = false;
	}
	fake_interrupt(0);
	settle();
}

#endif
