// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: AF_VSOCK transport. Connections, credit, accept and shutdown are
 * Linux' own virtio_transport_* helpers; this file moves their packets.
 *
 * Trust: a packet from the host has a header of checked length (proto/ring.h);
 * its ports, operations and credit are for the helpers to check, which are
 * written for a host that is not believed either. Addresses are fixed: this
 * partition is CID 3, the host CID 2 (docs/channel.md). [virtio 1.2 "Socket
 * Device"]
 */
#include <linux/module.h>
#include <net/af_vsock.h>
#include <net/sock.h>

#include "compat.h"
#include "isthmus.h"

/* Answers to packets of no connection that may wait for ring space. A host that
 * never reads could make us queue one for each packet it sends; all other
 * packets are bounded by their sockets' buffers. */
#define REPLY_QUEUE_MAX	1024

/* Up to which byte the host may send, as it knows at least: of each connection, or
 * of the last one of those that share a place. Under ch->lock. */
#define TOLD		64u
/* Bytes of credit that it need not know of; much less than what Linux keeps back
 * before it tells of credit to who reads without an end: 64 KiB. */
#define IDLE_MAX	0x4000u
static struct told {
	u64 ports;
	u32 limit;
} told[TOLD];

static u32 get_local_cid(void)
{
	return ISTHMUS_CID_LOCAL;
}

/* Streams only; the helpers are there because the table wants them. */
static bool seqpacket_allow(u32 remote_cid)
{
	return false;
}

/* A connect that was given up takes its packets off the queue; what is in the
 * ring already stays there. */
static int cancel_pkt(struct vsock_sock *vsk)
{
	virtio_transport_purge_skbs(vsk, &isthmus_channel.tx_queue);
	return 0;
}

static struct told *told_of(u32 port, u32 other)
{
	return &told[(port ^ other) % TOLD];
}

/* Need the host not hear this (lock held)? Linux tells of credit whenever a reader
 * has emptied its socket, though the host knows of nearly all of it: what it does
 * not know of may add up to a sixteenth of the buffer, or IDLE_MAX, unless the
 * reader waits for much of that at once. Every packet tells of credit; what is told
 * by those that do no more, and by a connection's first, is noted. */
static bool is_idle(const struct sk_buff *skb)
{
	const struct ring_packet *packet = (const void *)skb->head;
	u64 ports = (u64)packet->src_port << 32 | packet->dst_port;
	u32 limit = packet->fwd_cnt + packet->buf_alloc;
	struct told *last = told_of(packet->src_port, packet->dst_port);

	if (packet->op == VIRTIO_VSOCK_OP_CREDIT_UPDATE) {
		if (last->ports == ports &&
		    limit - last->limit <=
		    min_t(u32, packet->buf_alloc / 16, IDLE_MAX) &&
		    skb->sk->sk_rcvlowat <= packet->buf_alloc / 2) {
			return true;
		}
	} else if (packet->op > VIRTIO_VSOCK_OP_RESPONSE) {
		return false;
	}
	last->ports = ports;
	last->limit = limit;
	return false;
}

/* Into the ring at once; behind others, or when it is full, into the queue that
 * the interrupt thread empties. Takes skb over. Returns the bytes of payload,
 * or -ENODEV while the channel is down: the helpers then fail the call. */
static int send_pkt(struct sk_buff *skb)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;
	int len = skb->len;
	bool sent = false;

	virtio_transport_deliver_tap_pkt(skb);
	spin_lock_irqsave(&ch->lock, flags);
	if (!ch->up) {
		len = -ENODEV;
	} else if (is_idle(skb)) {
		spin_unlock_irqrestore(&ch->lock, flags);
		compat_skb_sent(skb);
		return len;
	} else if (skb_queue_empty(&ch->tx_queue)) {
		/* The second try is for space that came while we asked for
		 * it. */
		sent = isthmus_tx_put_skb(ch, skb) ||
		       (!isthmus_tx_wait(ch, skb->len) &&
			isthmus_tx_put_skb(ch, skb));
	}
	if (sent) {
		isthmus_tx_done(ch, flags);
		compat_skb_sent(skb);
		return len;
	}
	/* A reply too many is dropped: the host gets no RST, and times out. */
	if (len >= 0 && (!virtio_vsock_skb_reply(skb) ||
			 skb_queue_len(&ch->tx_queue) < REPLY_QUEUE_MAX)) {
		skb_queue_tail(&ch->tx_queue, skb);
		skb = NULL;
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	/* NULL when it was queued. */
	kfree_skb(skb);
	return len;
}

static struct virtio_transport transport = {
	.transport = {
		.module			= THIS_MODULE,
		.get_local_cid		= get_local_cid,
		.init			= virtio_transport_do_socket_init,
		.destruct		= virtio_transport_destruct,
		.release		= virtio_transport_release,
		.connect		= virtio_transport_connect,
		.shutdown		= virtio_transport_shutdown,
		.cancel_pkt		= cancel_pkt,
		.dgram_bind		= virtio_transport_dgram_bind,
		.dgram_dequeue		= virtio_transport_dgram_dequeue,
		.dgram_enqueue		= virtio_transport_dgram_enqueue,
		.dgram_allow		= virtio_transport_dgram_allow,
		.stream_dequeue		= virtio_transport_stream_dequeue,
		.stream_enqueue		= virtio_transport_stream_enqueue,
		.stream_has_data	= virtio_transport_stream_has_data,
		.stream_has_space	= virtio_transport_stream_has_space,
		.stream_rcvhiwat	= virtio_transport_stream_rcvhiwat,
		.stream_is_active	= virtio_transport_stream_is_active,
		.stream_allow		= virtio_transport_stream_allow,
		.seqpacket_dequeue	= virtio_transport_seqpacket_dequeue,
		.seqpacket_enqueue	= virtio_transport_seqpacket_enqueue,
		.seqpacket_allow	= seqpacket_allow,
		.seqpacket_has_data	= virtio_transport_seqpacket_has_data,
		.notify_poll_in		= virtio_transport_notify_poll_in,
		.notify_poll_out	= virtio_transport_notify_poll_out,
		.notify_recv_init	= virtio_transport_notify_recv_init,
		.notify_recv_pre_block	=
			virtio_transport_notify_recv_pre_block,
		.notify_recv_pre_dequeue =
			virtio_transport_notify_recv_pre_dequeue,
		.notify_recv_post_dequeue =
			virtio_transport_notify_recv_post_dequeue,
		.notify_send_init	= virtio_transport_notify_send_init,
		.notify_send_pre_block	=
			virtio_transport_notify_send_pre_block,
		.notify_send_pre_enqueue =
			virtio_transport_notify_send_pre_enqueue,
		.notify_send_post_enqueue =
			virtio_transport_notify_send_post_enqueue,
		.notify_buffer_size	= virtio_transport_notify_buffer_size,
		COMPAT_VSOCK_TRANSPORT
	},
	.send_pkt = send_pkt,
};

/* A socket buffer with the packet's header and n bytes of its payload. Copied
 * out of the ring before anything looks at them. */
static struct sk_buff *copy_packet(struct isthmus *ch,
				   const struct ring_packet *packet,
				   u32 offset, u32 n, gfp_t gfp)
{
	struct sk_buff *skb;

	/* Not virtio_vsock_alloc_skb(): its packets may be in pieces. */
	skb = alloc_skb(VIRTIO_VSOCK_SKB_HEADROOM + n, gfp);
	if (skb) {
		skb_reserve(skb, VIRTIO_VSOCK_SKB_HEADROOM);
		memcpy(virtio_vsock_hdr(skb), packet, RING_PACKET_HEADER);
		/* As if the host had sent this piece as a packet. */
		virtio_vsock_hdr(skb)->len = cpu_to_le32(n);
		ring_rx_copy(&ch->ring, offset, skb_put(skb, n), n);
	}
	return skb;
}

/* The host asks for credit: its answer goes, whatever the host knows of. */
static void asked(struct isthmus *ch, const struct ring_packet *packet)
{
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	told_of(packet->src_port, packet->dst_port)->ports = 0;
	spin_unlock_irqrestore(&ch->lock, flags);
}

/* A packet without payload: to make a buffer and to free it costs more than what
 * it says, so there is one, ch->empty, which is used again. It may be somebody
 * else's from now on (a host may send no bytes of data, which wait to be read):
 * then the next packet has a new one. */
static void receive_empty(struct isthmus *ch, const struct ring_packet *packet)
{
	struct sk_buff *skb = ch->empty;

	if (packet->op == VIRTIO_VSOCK_OP_CREDIT_REQUEST) {
		asked(ch, packet);
	}
	if (skb) {
		memcpy(virtio_vsock_hdr(skb), packet, RING_PACKET_HEADER);
		memset(skb->cb, 0, sizeof(skb->cb));
	} else {
		skb = copy_packet(ch, packet, 0, 0, GFP_KERNEL | __GFP_NOFAIL);
		ch->empty = skb;
	}
	virtio_transport_deliver_tap_pkt(skb);
	virtio_transport_recv_pkt(&transport, skb_get(skb));
	if (skb_shared(skb)) {
		ch->empty = NULL;
		kfree_skb(skb);
	} else {
		/* As when it is freed: no socket's any more. */
		skb_orphan(skb);
	}
}

/**
 * Hands the current packet's payload from offset on to its socket: the whole of
 * it or, when free memory is in small pieces, a part. Returns the bytes taken.
 * Process context, rx_mutex held. Cannot fail: bytes of a stream cannot be
 * dropped, so the second allocation waits for memory.
 */
u32 isthmus_vsock_receive(struct isthmus *ch,
			  const struct ring_packet *packet, u32 offset)
{
	u32 n = packet->len - offset;
	struct sk_buff *skb;

	if (n == 0) {
		receive_empty(ch, packet);
		return 0;
	}
	skb = copy_packet(ch, packet, offset, n, GFP_KERNEL | __GFP_NOWARN |
			  __GFP_NORETRY);
	if (!skb) {
		n = min_t(u32, n, VIRTIO_VSOCK_DEFAULT_RX_BUF_SIZE -
				  VIRTIO_VSOCK_SKB_HEADROOM);
		skb = copy_packet(ch, packet, offset, n,
				  GFP_KERNEL | __GFP_NOFAIL);
	}
	virtio_transport_deliver_tap_pkt(skb);
	virtio_transport_recv_pkt(&transport, skb);
	return n;
}

/* Called by vsock_for_each_connected_socket(), under its spin lock: must not
 * sleep. Who waits on the socket is woken and sees the error. */
static void reset_sock(struct sock *sk)
{
	sk->sk_state = TCP_CLOSE;
	sk->sk_err = ECONNRESET;
	sk_error_report(sk);
}

/** Resets every connection: the host lost them. Listening sockets stay. */
void isthmus_vsock_reset(void)
{
	vsock_for_each_connected_socket(&transport.transport, reset_sock);
}

/** Makes this the transport from guest to host; -EBUSY when there is one. */
int isthmus_vsock_register(void)
{
	return vsock_core_register(&transport.transport,
				   VSOCK_TRANSPORT_F_G2H);
}

/** Only when no socket uses it: each holds the module. */
void isthmus_vsock_unregister(void)
{
	vsock_core_unregister(&transport.transport);
}
