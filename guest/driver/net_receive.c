// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: packets off the ring, in whatever context finds them: each is copied
 * once, into memory of its own, and waits there for NAPI's turn, which deals with
 * it. So the ring goes on for others, and how much waits is bounded by the credit
 * that the host has.
 *
 * All with ch->lock held, and so in hard interrupts too.
 *
 * Trust: the host may send anything. What is no message ends the connection; what
 * is in a packet is for Linux' network to check, as of any that comes.
 */
#include <linux/if_ether.h>
#include <linux/skbuff.h>
#include <linux/virtio_net.h>

#include "net.h"

/* What finding memory for a packet counts as. */
#define PACKET_COST	512u
/* A packet up to this long is in one piece; of a longer one so much, which all of
 * its headers fit in. */
#define LINEAR_MAX	1600u
#define LINEAR_PART	128u
/* The rest is in pieces of up to 32 KiB. */
#define PIECE_ORDER	3

/** The packet that is being received is lost. */
void net_receive_drop(struct net_link *n)
{
	dev_kfree_skb_any(n->rx.skb);
	n->rx.skb = NULL;
	n->rx.at = 0;
}

/* Memory for a packet; NULL: there is none. */
static struct sk_buff *make_skb(u32 len)
{
	u32 linear = len <= LINEAR_MAX ? len : LINEAR_PART;
	struct sk_buff *skb;
	int err;

	skb = alloc_skb_with_frags(NET_SKB_PAD + linear, len - linear,
				   PIECE_ORDER, &err,
				   GFP_ATOMIC | __GFP_NOWARN);
	if (skb) {
		skb_reserve(skb, NET_SKB_PAD);
		skb_put(skb, linear);
		skb->data_len = len - linear;
		skb->len = len;
	}
	return skb;
}

/* The head is here. False: no message. */
static bool message_begin(struct isthmus *ch, struct net_link *n)
{
	u32 len = n->rx.head.len - sizeof(n->rx.head);

	if (len == 0 || len > NET_CHANNEL_PACKET_MAX) {
		return false;
	}
	isthmus_rx_charge(ch, PACKET_COST);
	if (n->open) {
		n->rx.skb = make_skb(len);
		n->dev->stats.rx_dropped += !n->rx.skb;
	}
	return true;
}

/* Bytes of the packet, the first of which is its at-th. */
static void fill(struct isthmus *ch, struct sk_buff *skb, u32 at, u32 offset,
		 u32 len)
{
	u32 begin = skb_headlen(skb), n;
	int i;

	if (at < begin) {
		n = min(len, begin - at);
		ring_rx_copy(&ch->ring, offset, skb->data + at, n);
		at += n;
		offset += n;
		len -= n;
	}
	for (i = 0; len != 0; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		n = min(len, begin + skb_frag_size(frag) - at);
		if (at < begin + skb_frag_size(frag)) {
			ring_rx_copy(&ch->ring, offset,
				     skb_frag_address(frag) + (at - begin), n);
			at += n;
			offset += n;
			len -= n;
		}
		begin += skb_frag_size(frag);
	}
}

/* A whole packet: what Linux has to know of it. False: it is none. */
static bool finish(struct net_link *n, struct sk_buff *skb)
{
	const struct net_channel_head *head = &n->rx.head;
	const struct virtio_net_hdr hdr = {
		.flags = head->flags,
		.gso_type = head->gso_type,
		.hdr_len = (__force __virtio16)head->hdr_len,
		.gso_size = (__force __virtio16)head->gso_size,
		.csum_start = (__force __virtio16)head->csum_start,
		.csum_offset = (__force __virtio16)head->csum_offset,
	};

	skb->dev = n->dev;
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	switch (skb->data[0] >> 4) {
	case 4:
		skb->protocol = htons(ETH_P_IP);
		break;
	case 6:
		skb->protocol = htons(ETH_P_IPV6);
		break;
	default:
		return false;
	}
	if (head->flags & NET_CHANNEL_DATA_VALID) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	}
	return virtio_net_hdr_to_skb(skb, &hdr, true) == 0;
}

/* The message is complete. */
static void message_end(struct isthmus *ch, struct net_link *n)
{
	struct sk_buff *skb = n->rx.skb;

	n->rx.skb = NULL;
	n->rx.at = 0;
	if (!skb) {
		return;
	}
	if (!n->open || !finish(n, skb)) {
		n->dev->stats.rx_errors++;
		dev_kfree_skb_any(skb);
		return;
	}
	__skb_queue_tail(&n->queue, skb);
	n->held += skb->len;
	n->stream.less = NET_LESS + n->held;
	n->starved |= n->held > NET_QUEUE_MAX / 2;
	/* Where no softirq follows by itself, the thread sees to it. */
	if (in_interrupt()) {
		napi_schedule_irqoff(&n->napi);
	} else {
		n->due = true;
		isthmus_flush_later(ch);
	}
}

/**
 * len bytes of the stream are in the current packet. False: no messages. Packets
 * of the ring and messages need not begin together.
 */
bool net_receive(struct isthmus *ch, struct net_link *n, u32 len)
{
	struct net_rx *rx = &n->rx;
	u32 offset = 0, part;

	while (offset < len) {
		if (rx->at < sizeof(rx->head)) {
			part = min_t(u32, len - offset,
				     sizeof(rx->head) - rx->at);
			ring_rx_copy(&ch->ring, offset,
				     (u8 *)&rx->head + rx->at, part);
			rx->at += part;
			offset += part;
			if (rx->at < sizeof(rx->head)) {
				break;
			}
			if (!message_begin(ch, n)) {
				return false;
			}
		}
		part = min(len - offset, rx->head.len - rx->at);
		if (rx->skb && part != 0) {
			fill(ch, rx->skb, rx->at - sizeof(rx->head), offset,
			     part);
		}
		rx->at += part;
		offset += part;
		if (rx->at == rx->head.len) {
			message_end(ch, n);
		}
	}
	return true;
}
