// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: what a disk's host says, off the ring: a READ's data go straight to
 * where they are wanted, in whatever context finds them.
 *
 * All with ch->lock held, and so in hard interrupts too.
 *
 * Trust: the host may send anything. An answer's cookie is looked up among the
 * requests that are out, and what follows is as long as that request wants; what
 * is not the protocol's ends the connection.
 */
#include <linux/preempt.h>

#include "disk.h"

/** By local port. */
struct disk isthmus_disks[DISKS];
/** Makes disks, and ends requests. */
struct workqueue_struct *isthmus_disk_wq;

/* Of a sector: what any Linux takes, a page of the smallest kind. */
#define SECTOR_MAX	4096u

/* What finding an answer's request and ending it counts as. */
#define ANSWER_COST	256u

/* Of ours, or those that the protocol has. */
static blk_status_t status_of(u32 error)
{
	switch (error) {
	case 0:
		return BLK_STS_OK;
	case NBD_ENOSPC:
		return BLK_STS_NOSPC;
	case NBD_ENOTSUP:
		return BLK_STS_NOTSUPP;
	case NBD_ENOMEM:
		return BLK_STS_RESOURCE;
	default:
		return BLK_STS_IOERR;
	}
}

/* The answer is here, all of it: the request is ended by who may. */
static void answer_end(struct disk *d, struct request *rq, u32 error)
{
	struct disk_cmd *cmd = blk_mq_rq_to_pdu(rq);

	d->slot[rq->tag] = NULL;
	cmd->status = status_of(error);
	list_move_tail(&cmd->list, &d->done);
	/* In an interrupt, whose end sees to it: isthmus_disk_complete(). */
	if (d->collectors == 0 && !in_hardirq()) {
		queue_work(isthmus_disk_wq, &d->done_work);
	}
}

/* An answer's head. False: nobody has asked. */
static bool answer_begin(struct disk *d)
{
	struct disk_rx *rx = &d->rx;
	u64 cookie = rx->answer.cookie;
	struct request *rq = d->slot[cookie % DISK_DEPTH];
	u32 error = NBD_BE32(rx->answer.error);

	if (rx->answer.magic != NBD_BE32(NBD_ANSWER_MAGIC) || !rq ||
	    ((struct disk_cmd *)blk_mq_rq_to_pdu(rq))->cookie != cookie) {
		return false;
	}
	if (req_op(rq) == REQ_OP_READ && error == 0) {
		rx->rq = rq;
		rx->len = blk_rq_bytes(rq);
		rx->bio = rq->bio;
		rx->iter = rq->bio->bi_iter;
	} else {
		rx->len = 0;
		answer_end(d, rq, error);
	}
	return true;
}

/* The server's first words. */
static bool hello(struct disk *d)
{
	const struct nbd_hello *hello = &d->rx.hello;
	u16 flags = NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES;

	d->rx.len = 0;
	d->greet = true;
	d->ask = d->name[0] ? NBD_OPT_GO : NBD_OPT_LIST;
	d->state = d->name[0] ? DISK_GO : DISK_LIST;
	return hello->magic == NBD_BE64(NBD_MAGIC) &&
	       hello->option_magic == NBD_BE64(NBD_OPTION_MAGIC) &&
	       (NBD_BE16(hello->flags) & flags) == flags;
}

/* The head of a message is here. False: not NBD. */
static bool head_done(struct disk *d)
{
	struct disk_rx *rx = &d->rx;

	rx->body = true;
	rx->at = 0;
	rx->rq = NULL;
	switch (d->state) {
	case DISK_HELLO:
		return hello(d);
	case DISK_UP:
		return answer_begin(d);
	default:
		rx->len = NBD_BE32(rx->reply.len);
		return rx->reply.magic == NBD_BE64(NBD_REPLY_MAGIC) &&
		       rx->len <= sizeof(rx->data);
	}
}

static u32 head_size(const struct disk *d)
{
	return d->state == DISK_HELLO ? sizeof(struct nbd_hello)
	     : d->state == DISK_UP ? sizeof(struct nbd_answer)
				   : sizeof(struct nbd_option_reply);
}

/* LIST: the next disk's name, if it is one that can be shown. One that is too
 * many is left out. */
static bool listed(struct disk *d)
{
	const struct disk_rx *rx = &d->rx;
	struct disk *other = isthmus_disks;
	u32 len, i;

	memcpy(&len, rx->data, sizeof(len));
	len = NBD_BE32(len);
	if (rx->len < sizeof(len) || len == 0 || len > NBD_NAME_MAX ||
	    len > rx->len - sizeof(len)) {
		return false;
	}
	for (i = 0; i < len; i++) {
		u8 c = rx->data[sizeof(len) + i];

		if (c <= ' ' || c > '~' || c == '/') {
			return false;
		}
	}
	while (other < isthmus_disks + DISKS && other->name[0]) {
		other++;
	}
	if (other < isthmus_disks + DISKS) {
		memcpy(other->name, rx->data + sizeof(len), len);
		if (other->state == DISK_OFF) {
			other->state = DISK_DOWN;
		}
	}
	return true;
}

/* GO: how large its sectors are. They are what they were, or Linux has requests
 * that it would have to refuse. */
static bool sectors_described(struct disk *d)
{
	struct nbd_info_block_size info;
	u32 least;

	memcpy(&info, d->rx.data, sizeof(info));
	least = NBD_BE32(info.least);
	if (d->rx.len != sizeof(info) || least < SECTOR_SIZE ||
	    least > SECTOR_MAX || (least & (least - 1)) != 0) {
		return false;
	}
	if (d->sector == 0) {
		d->sector = least;
	}
	return d->sector == least;
}

/* GO: how large it is. */
static bool described(struct disk *d)
{
	struct nbd_info_export info;

	memcpy(&info, d->rx.data, sizeof(info));
	if (d->rx.len < sizeof(info.type)) {
		return false;
	}
	if (info.type == NBD_BE16(NBD_INFO_BLOCK_SIZE)) {
		return sectors_described(d);
	}
	if (info.type != NBD_BE16(NBD_INFO_EXPORT)) {
		return true;
	}
	if (d->rx.len != sizeof(info) || info.size == 0 ||
	    NBD_BE64(info.size) > S64_MAX) {
		return false;
	}
	d->size = NBD_BE64(info.size);
	d->flags = NBD_BE16(info.flags);
	return true;
}

/* A reply to an option, with its data. False: it ends the connection. */
static bool reply_done(struct disk *d)
{
	u32 type = NBD_BE32(d->rx.reply.type);

	switch (type) {
	case NBD_REP_SERVER:
		return d->state == DISK_LIST && listed(d);
	case NBD_REP_INFO:
		return d->state == DISK_GO && described(d);
	case NBD_REP_ACK:
		break;
	default:
		return false;
	}
	if (d->state == DISK_LIST) {
		d->ask = NBD_OPT_GO;
		d->state = DISK_GO;
		return d->name[0] != '\0';
	}
	/* Both have been told. */
	if (d->size == 0 || d->sector == 0 || d->size % d->sector != 0) {
		return false;
	}
	d->state = DISK_UP;
	queue_work(isthmus_disk_wq, &d->setup_work);
	return true;
}

/* n bytes, from offset in the packet on, to the READ's memory, which has room for
 * them. */
static void data_to_request(struct isthmus *ch, struct disk_rx *rx,
			    u32 offset, u32 n)
{
	while (n != 0) {
		struct bio_vec piece = bio_iter_iovec(rx->bio, rx->iter);
		u32 part = min(n, piece.bv_len);

		ring_rx_copy(&ch->ring, offset, page_address(piece.bv_page) +
			     piece.bv_offset, part);
		bio_advance_iter_single(rx->bio, &rx->iter, part);
		if (rx->iter.bi_size == 0 && rx->bio->bi_next) {
			rx->bio = rx->bio->bi_next;
			rx->iter = rx->bio->bi_iter;
		}
		offset += part;
		n -= part;
	}
}

/* The message is complete. False: it ends the connection. */
static bool body_done(struct isthmus *ch, struct disk *d)
{
	struct disk_rx *rx = &d->rx;
	bool handshake = d->state == DISK_LIST || d->state == DISK_GO;

	rx->body = false;
	rx->at = 0;
	isthmus_rx_charge(ch, ANSWER_COST);
	if (rx->rq) {
		answer_end(d, rx->rq, 0);
		rx->rq = NULL;
		return true;
	}
	/* The hello is no reply. */
	return !handshake || d->greet || reply_done(d);
}

/**
 * len bytes of the stream are in the current packet. False: not NBD. Packets and
 * messages need not begin together.
 */
bool disk_receive(struct isthmus *ch, struct disk *d, u32 len)
{
	struct disk_rx *rx = &d->rx;
	u32 offset = 0, n;

	while (offset < len) {
		if (!rx->body) {
			n = min(len - offset, head_size(d) - rx->at);
			ring_rx_copy(&ch->ring, offset, rx->head + rx->at, n);
			rx->at += n;
			offset += n;
			if (rx->at < head_size(d)) {
				break;
			}
			if (!head_done(d)) {
				return false;
			}
		}
		n = min(len - offset, rx->len - rx->at);
		if (rx->rq) {
			data_to_request(ch, rx, offset, n);
		} else if (n != 0) {
			ring_rx_copy(&ch->ring, offset, rx->data + rx->at, n);
		}
		rx->at += n;
		offset += n;
		if (rx->at == rx->len && !body_done(ch, d)) {
			return false;
		}
	}
	return true;
}
