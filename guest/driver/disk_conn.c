// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: a disk's connection to the host. The first disk asks what disks there
 * are; each then names itself and gets its size. When the connection ends requests
 * wait, and go to the next one. [NBD "The NBD protocol"]
 *
 * All with ch->lock held but for the watch.
 */
#include "disk.h"

/* How long after a connection's end, which was not the channel's, the next one
 * is tried. */
#define WATCH_TIME	(HZ / 4)

static void watch_turn(struct work_struct *work);
static DECLARE_DELAYED_WORK(watch, watch_turn);

/* Nobody will answer these. */
static void fail_all(struct disk *d)
{
	struct disk_cmd *cmd;

	list_for_each_entry(cmd, &d->pending, list) {
		cmd->status = BLK_STS_IOERR;
	}
	if (!list_empty(&d->pending)) {
		list_splice_tail_init(&d->pending, &d->done);
		queue_work(isthmus_disk_wq, &d->done_work);
	}
}

/* The connection's end. What was sent waits in front of what was not. */
static void connection_lost(struct isthmus *ch, struct disk *d)
{
	memset(&d->rx, 0, sizeof(d->rx));
	memset(d->slot, 0, sizeof(d->slot));
	list_splice_init(&d->out, &d->pending);
	d->greet = false;
	d->ask = 0;
	d->state = DISK_DOWN;
	if (!READ_ONCE(ch->bound)) {
		fail_all(d);
	}
}

/* The host is told that it is over; when there is no space now, later. */
static void hang_up(struct isthmus *ch, struct disk *d)
{
	d->rst = !stream_packet(ch, &d->stream, VIRTIO_VSOCK_OP_RST);
}

/* What the host is to be told before it serves: flags, and an option. */
static bool put_ask(struct isthmus *ch, struct disk *d)
{
	u32 len = strlen(d->name), name_len = NBD_BE32(len);
	u32 more = d->ask == NBD_OPT_GO ? sizeof(len) + len + sizeof(u16) : 0;
	struct nbd_option head = {
		.magic = NBD_BE64(NBD_OPTION_MAGIC),
		.option = NBD_BE32(d->ask), .len = NBD_BE32(more),
	};
	u32 flags = NBD_BE32(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	u16 infos = 0;
	struct stream_put p;

	if (!stream_begin(ch, &d->stream, &p, (d->greet ? sizeof(flags) : 0) +
			  sizeof(head) + more)) {
		return false;
	}
	if (d->greet) {
		stream_bytes(&p, &flags, sizeof(flags));
	}
	stream_bytes(&p, &head, sizeof(head));
	if (more != 0) {
		stream_bytes(&p, &name_len, sizeof(name_len));
		stream_bytes(&p, d->name, len);
		stream_bytes(&p, &infos, sizeof(infos));
	}
	d->greet = false;
	d->ask = 0;
	return true;
}

/* What a request is in the protocol. */
static void make_request(struct nbd_request *head, struct request *rq)
{
	u16 type, flags = rq->cmd_flags & REQ_FUA ? NBD_FLAG_FUA : 0;
	u64 offset = blk_rq_pos(rq) << SECTOR_SHIFT;

	switch (req_op(rq)) {
	case REQ_OP_WRITE:
		type = NBD_WRITE;
		break;
	case REQ_OP_FLUSH:
		type = NBD_FLUSH;
		offset = 0;
		break;
	case REQ_OP_DISCARD:
		type = NBD_TRIM;
		break;
	case REQ_OP_WRITE_ZEROES:
		type = NBD_ZEROES;
		if (rq->cmd_flags & REQ_NOUNMAP) {
			flags |= NBD_FLAG_NO_HOLE;
		}
		break;
	default:
		type = NBD_READ;
		flags = 0;
	}
	*head = (struct nbd_request){
		.magic = NBD_BE32(NBD_REQUEST_MAGIC),
		.flags = NBD_BE16(flags), .type = NBD_BE16(type),
		.offset = NBD_BE64(offset),
		.len = NBD_BE32(type == NBD_FLUSH ? 0 : blk_rq_bytes(rq)),
	};
}

/* Writes the request, a WRITE with its data from where they lie. False: no credit
 * or space; nothing was written. */
static bool put_request(struct isthmus *ch, struct disk *d,
			struct request *rq)
{
	struct disk_cmd *cmd = blk_mq_rq_to_pdu(rq);
	bool write = req_op(rq) == REQ_OP_WRITE;
	struct nbd_request head;
	struct req_iterator iter;
	struct stream_put p;
	struct bio_vec piece;

	if (!stream_begin(ch, &d->stream, &p, sizeof(head) +
			  (write ? blk_rq_bytes(rq) : 0))) {
		return false;
	}
	cmd->cookie = ++d->next * DISK_DEPTH + rq->tag;
	d->slot[rq->tag] = rq;
	make_request(&head, rq);
	head.cookie = cmd->cookie;
	stream_bytes(&p, &head, sizeof(head));
	if (write) {
		rq_for_each_segment(piece, rq, iter) {
			stream_bytes(&p, page_address(piece.bv_page) +
				     piece.bv_offset, piece.bv_len);
		}
	}
	return true;
}

/* Requests that wait, as far as it goes. */
static void pump(struct isthmus *ch, struct disk *d)
{
	struct disk_cmd *cmd;

	while (d->state == DISK_UP && !list_empty(&d->pending)) {
		cmd = list_first_entry(&d->pending, struct disk_cmd, list);
		if (!put_request(ch, d, blk_mq_rq_from_pdu(cmd))) {
			break;
		}
		list_move_tail(&cmd->list, &d->out);
	}
}

/**
 * A request that has begun: sends it, or has it wait for its turn. False: there
 * is no device; it is not taken.
 */
bool disk_send(struct isthmus *ch, struct disk *d, struct request *rq)
{
	struct disk_cmd *cmd = blk_mq_rq_to_pdu(rq);

	if (!READ_ONCE(ch->bound)) {
		return false;
	}
	if (d->state == DISK_UP && list_empty(&d->pending) &&
	    put_request(ch, d, rq)) {
		list_add_tail(&cmd->list, &d->out);
	} else {
		list_add_tail(&cmd->list, &d->pending);
	}
	return true;
}

/** Does what is due (ch->up). */
void disk_step(struct isthmus *ch, struct disk *d)
{
	if (d->rst) {
		hang_up(ch, d);
	}
	if (d->rst) {
		return;
	}
	if (d->state == DISK_DOWN && stream_connect(ch, &d->stream)) {
		d->state = DISK_CONNECTING;
	}
	if (d->ask != 0 && !put_ask(ch, d)) {
		return;
	}
	pump(ch, d);
}

/* The host, or what it sent, has ended the connection. A disk that there was
 * comes back; one that there never was is not asked for again. */
static void ended(struct isthmus *ch, struct disk *d, bool by_host)
{
	if (!by_host) {
		hang_up(ch, d);
	}
	connection_lost(ch, d);
	if (d->size == 0) {
		d->state = DISK_NONE;
		return;
	}
	d->state = DISK_FAILED;
	if (!delayed_work_pending(&watch)) {
		schedule_delayed_work(&watch, WATCH_TIME);
	}
}

static void input(struct isthmus *ch, struct disk *d,
		  const struct ring_packet *packet)
{
	bool ok;

	if (d->state < DISK_CONNECTING || d->state == DISK_NONE) {
		return;
	}
	ok = stream_credit(&d->stream, packet);
	switch (packet->op) {
	case VIRTIO_VSOCK_OP_RW:
		ok = ok && d->state >= DISK_HELLO &&
		     disk_receive(ch, d, packet->len);
		break;
	case VIRTIO_VSOCK_OP_RESPONSE:
		ok = ok && d->state == DISK_CONNECTING;
		d->state = DISK_HELLO;
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		/* Every request tells the host our count. */
		break;
	default:	/* RST, SHUTDOWN */
		ok = false;
	}
	if (!ok) {
		ended(ch, d, packet->op == VIRTIO_VSOCK_OP_RST);
	} else if (unlikely(d->ask != 0 || !list_empty(&d->pending))) {
		/* Credit, or an answer that is an option's. */
		isthmus_flush_later(ch);
	}
}

/**
 * Deals with a packet if it is for a disk (any context). False: it is for
 * somebody else.
 */
bool isthmus_disk_input(struct isthmus *ch, const struct ring_packet *packet)
{
	u32 index = packet->dst_port - DISK_PORT_FIRST;

	if (packet->src_port != NBD_PORT || index >= DISKS ||
	    isthmus_disks[index].state == DISK_OFF ||
	    packet->type != VIRTIO_VSOCK_TYPE_STREAM) {
		return false;
	}
	input(ch, &isthmus_disks[index], packet);
	return true;
}

/** There may be space, or the channel is up again (ch->up): does what is due. */
void isthmus_disk_flush(struct isthmus *ch)
{
	struct disk *d;

	for (d = isthmus_disks; d < isthmus_disks + DISKS; d++) {
		if (d->state != DISK_OFF) {
			disk_step(ch, d);
		}
	}
}

/**
 * The channel went down: requests wait for it to come back. When there is no
 * device any more, they fail. Returns how many had been sent and had no answer
 * yet.
 */
u32 isthmus_disk_reset(struct isthmus *ch)
{
	struct list_head *item;
	struct disk *d;
	u32 count = 0;

	for (d = isthmus_disks; d < isthmus_disks + DISKS; d++) {
		if (d->state == DISK_OFF) {
			continue;
		}
		list_for_each(item, &d->out) {
			count++;
		}
		d->rst = false;
		connection_lost(ch, d);
	}
	return count;
}

static void watch_turn(struct work_struct *work)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;
	struct disk *d;

	spin_lock_irqsave(&ch->lock, flags);
	for (d = isthmus_disks; d < isthmus_disks + DISKS; d++) {
		if (d->state == DISK_FAILED) {
			d->state = DISK_DOWN;
		}
		if (ch->up && d->state == DISK_DOWN) {
			disk_step(ch, d);
		}
	}
	if (ch->up) {
		isthmus_tx_done(ch, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
}

/** At the module's end. */
void disk_watch_stop(void)
{
	cancel_delayed_work_sync(&watch);
}
