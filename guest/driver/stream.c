// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: connections of the driver's own: stream.h. Messages go into the ring
 * from where they lie, the whole of one or nothing.
 *
 * All with ch->lock held, and so in hard interrupts too.
 */
#include "stream.h"

static void put_begin(struct stream_put *p)
{
	p->packet.len = min(p->left, RING_PAYLOAD_MAX);
	p->at = 0;
	ring_tx_put(&p->ch->ring, 0, &p->packet, RING_PACKET_HEADER);
}

/** The next n bytes of a message that was begun. */
void stream_bytes(struct stream_put *p, const void *data, u32 n)
{
	while (n != 0) {
		u32 part = min(n, p->packet.len - p->at);

		ring_tx_put(&p->ch->ring, RING_PACKET_HEADER + p->at, data,
			    part);
		p->at += part;
		data += part;
		n -= part;
		if (p->at == p->packet.len) {
			ring_tx_end(&p->ch->ring, p->packet.len);
			p->left -= p->packet.len;
			if (p->left != 0) {
				put_begin(p);
			}
		}
	}
}

/* All bytes received count as consumed (fwd_cnt): they are where they belong. */
static void fill_packet(struct stream *s, struct ring_packet *packet, u16 op)
{
	*packet = (struct ring_packet){
		.src_cid = ISTHMUS_CID_LOCAL,
		.dst_cid = ISTHMUS_CID_HOST,
		.src_port = s->port,
		.dst_port = s->peer,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		/* Replies go to memory their requests have set aside: no need
		 * to slow the host down. Elsewhere what waits counts here, not
		 * as received, so that there is one number to keep. */
		.buf_alloc = STREAM_ALLOC - s->less,
		.fwd_cnt = s->rx_cnt,
	};
}

/**
 * A packet without payload. False: no space; ch->wq and the thread will be told
 * of it. The second try is for space that came while we asked for it.
 */
bool stream_packet(struct isthmus *ch, struct stream *s, u16 op)
{
	struct ring_packet packet;

	fill_packet(s, &packet, op);
	return isthmus_tx_put(ch, &packet, NULL) ||
	       (!isthmus_tx_wait(ch, 0) && isthmus_tx_put(ch, &packet, NULL));
}

/**
 * Asks the host for the connection, whose ports are set. False: the channel is
 * down, or has no space now; then the thread tries, or tells ch->wq.
 */
bool stream_connect(struct isthmus *ch, struct stream *s)
{
	if (!ch->up || !skb_queue_empty(&ch->tx_queue) ||
	    !stream_packet(ch, s, VIRTIO_VSOCK_OP_REQUEST)) {
		return false;
	}
	s->tx_cnt = s->peer_fwd = s->peer_alloc = s->rx_cnt = 0;
	return true;
}

/** Is there credit and space for a message of size bytes? Then it is begun, and
 * stream_bytes() has to be given as many. */
bool stream_begin(struct isthmus *ch, struct stream *s, struct stream_put *p,
		  u32 size)
{
	u32 packets = DIV_ROUND_UP(size, RING_PAYLOAD_MAX);
	/* With all headers and padding: ring_tx_begin() adds one more
	 * header. */
	u32 whole = size + packets * (RING_PACKET_HEADER + RING_ALIGN);

	if (size > s->peer_alloc - (s->tx_cnt - s->peer_fwd)) {
		return false;
	}
	/* Socket packets that wait for space go first: else requests could keep
	 * them waiting for ever. */
	if (!skb_queue_empty(&ch->tx_queue) ||
	    (ring_tx_begin(&ch->ring, whole) != RING_OK &&
	     isthmus_tx_wait(ch, whole))) {
		return false;
	}
	s->tx_cnt += size;
	p->ch = ch;
	p->left = size;
	fill_packet(s, &p->packet, VIRTIO_VSOCK_OP_RW);
	put_begin(p);
	return true;
}

/** What a packet of the host's says of credit, and that its payload has come.
 * False: it cannot be true, and ends the connection. */
bool stream_credit(struct stream *s, const struct ring_packet *packet)
{
	bool ok = packet->fwd_cnt - s->peer_fwd <= s->tx_cnt - s->peer_fwd;

	s->peer_fwd = packet->fwd_cnt;
	s->peer_alloc = packet->buf_alloc;
	if (packet->op == VIRTIO_VSOCK_OP_RW) {
		/* Not checked against our buf_alloc: nothing is buffered, a
		 * host that sends more than it may gains nothing. */
		s->rx_cnt += packet->len;
	}
	return ok;
}
