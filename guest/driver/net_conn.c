// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: the network interface's connection to the host, and packets into the
 * ring. When the connection ends so does the carrier; it is wanted again at once
 * when the channel is up again, or a moment later if it was not the channel's end.
 *
 * All with ch->lock held but for the watch.
 */
#include <linux/skbuff.h>

#include "net.h"

/* How long after a connection's end, which was not the channel's, the next one
 * is tried. */
#define WATCH_TIME	(HZ / 4)

struct net_link isthmus_net;

static void watch_turn(struct work_struct *work);
static DECLARE_DELAYED_WORK(watch, watch_turn);

/* Has the host room for the longest packet? */
static bool has_credit(const struct stream *s)
{
	return s->peer_alloc - (s->tx_cnt - s->peer_fwd) >=
	       sizeof(struct net_channel_head) + NET_CHANNEL_PACKET_MAX;
}

/* The interface may send again: credit or space has come. */
static void wake(struct net_link *n)
{
	if (n->full) {
		n->full = false;
		netif_wake_queue(n->dev);
	}
}

/* The connection's end. Who sends now finds no carrier. */
static void connection_lost(struct net_link *n)
{
	net_receive_drop(n);
	if (n->state == NET_UP) {
		netif_carrier_off(n->dev);
	}
	n->state = NET_DOWN;
	wake(n);
}

/* The host is told that it is over; when there is no space now, later. */
static void hang_up(struct isthmus *ch, struct net_link *n)
{
	n->rst = !stream_packet(ch, &n->stream, VIRTIO_VSOCK_OP_RST);
}

/* Does what is due (ch->up). */
static void step(struct isthmus *ch, struct net_link *n)
{
	if (n->rst) {
		hang_up(ch, n);
	}
	if (!n->rst && n->state == NET_DOWN &&
	    stream_connect(ch, &n->stream)) {
		n->state = NET_CONNECTING;
	}
	wake(n);
}

/**
 * A packet with its head, the whole of it or nothing (NET_UP). False: no credit
 * or space now. Then the interface's queue is to be stopped: it is woken.
 */
bool net_put(struct isthmus *ch, struct net_link *n, struct sk_buff *skb,
	     const struct net_channel_head *head)
{
	struct skb_seq_state pieces;
	struct stream_put p;
	u32 done = 0, len;
	const u8 *data;

	if (!stream_begin(ch, &n->stream, &p, head->len)) {
		n->full = true;
		return false;
	}
	stream_bytes(&p, head, sizeof(*head));
	if (!skb_is_nonlinear(skb)) {
		stream_bytes(&p, skb->data, skb->len);
		return true;
	}
	skb_prepare_seq_read(skb, 0, skb->len, &pieces);
	while ((len = skb_seq_read(done, &data, &pieces)) != 0) {
		stream_bytes(&p, data, len);
		done += len;
	}
	return true;
}

/** What has come is NAPI's: the host may send as much anew. It gets to know with
 * the next packet, or by one of its own where it may be waiting for it: true, and
 * that is to be published. */
bool net_taken(struct isthmus *ch, struct net_link *n)
{
	n->held = 0;
	n->stream.less = NET_LESS;
	if (!n->starved || n->state != NET_UP) {
		return false;
	}
	n->starved = !stream_packet(ch, &n->stream,
				    VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	return true;
}

/* The host, or what it sent, has ended the connection. A host that refuses the
 * first one has no network. */
static void ended(struct isthmus *ch, struct net_link *n, bool by_host)
{
	bool never = n->state == NET_CONNECTING;

	if (!by_host) {
		hang_up(ch, n);
	}
	connection_lost(n);
	if (never) {
		n->state = NET_NONE;
		return;
	}
	n->state = NET_FAILED;
	if (!delayed_work_pending(&watch)) {
		schedule_delayed_work(&watch, WATCH_TIME);
	}
}

static void input(struct isthmus *ch, struct net_link *n,
		  const struct ring_packet *packet)
{
	bool ok = stream_credit(&n->stream, packet);

	switch (packet->op) {
	case VIRTIO_VSOCK_OP_RW:
		ok = ok && n->state == NET_UP &&
		     net_receive(ch, n, packet->len);
		break;
	case VIRTIO_VSOCK_OP_RESPONSE:
		ok = ok && n->state == NET_CONNECTING;
		if (ok) {
			n->state = NET_UP;
			netif_carrier_on(n->dev);
		}
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		/* Each packet tells, and it is told when it may need it. */
		break;
	default:	/* RST, SHUTDOWN */
		ok = false;
	}
	if (!ok) {
		ended(ch, n, packet->op == VIRTIO_VSOCK_OP_RST);
	} else if (unlikely(n->full) && has_credit(&n->stream)) {
		wake(n);
	}
}

/**
 * Deals with a packet if it is the interface's (any context). False: it is for
 * somebody else.
 */
bool isthmus_net_input(struct isthmus *ch, const struct ring_packet *packet)
{
	struct net_link *n = &isthmus_net;

	if (packet->dst_port != NET_PORT || n->state == NET_OFF ||
	    packet->type != VIRTIO_VSOCK_TYPE_STREAM) {
		return false;
	}
	if (n->state == NET_CONNECTING || n->state == NET_UP) {
		input(ch, n, packet);
	}
	return true;
}

/** There may be space, or the channel is up again (ch->up): does what is due. */
void isthmus_net_flush(struct isthmus *ch)
{
	if (isthmus_net.state != NET_OFF) {
		step(ch, &isthmus_net);
	}
}

/** The channel went down: no carrier until it is up again. */
void isthmus_net_reset(struct isthmus *ch)
{
	struct net_link *n = &isthmus_net;

	if (n->state != NET_OFF) {
		n->rst = false;
		connection_lost(n);
	}
}

static void watch_turn(struct work_struct *work)
{
	struct isthmus *ch = &isthmus_channel;
	struct net_link *n = &isthmus_net;
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	if (n->state == NET_FAILED) {
		n->state = NET_DOWN;
	}
	if (ch->up) {
		step(ch, n);
		isthmus_tx_done(ch, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
}

/** At the module's end. */
void net_watch_stop(void)
{
	cancel_delayed_work_sync(&watch);
}
