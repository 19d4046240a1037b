// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: the interface isthmus0, which carries IP packets to the host and back,
 * point to point, without any header below IP. Its address is for init to set.
 *
 * The cheap round trip: who sends a packet looks for the answer in the ring
 * himself, and then it is dealt with where his sending ends, which is before he
 * goes to sleep for it. A TCP segment of up to 64 KiB is one packet each way, and
 * has no checksum.
 */
#include <linux/if_arp.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/virtio_net.h>

#include "net.h"

/* Towards anywhere; the host itself takes more, by the route to it. */
#define MTU		1500
#define QUEUE_LEN	1000

/* The head of a packet. False: it is of a kind that we have not offered. */
static bool make_head(struct net_channel_head *head, const struct sk_buff *skb)
{
	struct virtio_net_hdr hdr;

	if (skb->len > NET_CHANNEL_PACKET_MAX ||
	    virtio_net_hdr_from_skb(skb, &hdr, true, false, 0) != 0) {
		return false;
	}
	*head = (struct net_channel_head){
		.len = sizeof(*head) + skb->len,
		.flags = hdr.flags,
		.gso_type = hdr.gso_type,
		.hdr_len = (__force u16)hdr.hdr_len,
		.gso_size = (__force u16)hdr.gso_size,
		.csum_start = (__force u16)hdr.csum_start,
		.csum_offset = (__force u16)hdr.csum_offset,
	};
	return true;
}

/* Publishes, looks for the answer, and drops the lock. */
static void publish(struct isthmus *ch, unsigned long flags)
{
	if (ch->up) {
		isthmus_tx_done(ch, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
}

static netdev_tx_t start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct isthmus *ch = &isthmus_channel;
	struct net_link *n = &isthmus_net;
	struct net_channel_head head;
	bool good = make_head(&head, skb);
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	good = good && n->state == NET_UP;
	if (good && !net_put(ch, n, skb, &head)) {
		netif_stop_queue(dev);
		publish(ch, flags);
		return NETDEV_TX_BUSY;
	}
	if (good) {
		dev->stats.tx_packets++;
		dev->stats.tx_bytes += skb->len;
	} else {
		dev->stats.tx_dropped++;
	}
	if (good && netdev_xmit_more()) {
		spin_unlock_irqrestore(&ch->lock, flags);
	} else {
		publish(ch, flags);
	}
	dev_consume_skb_any(skb);
	return NETDEV_TX_OK;
}

/* NAPI's own packets: the rest of the last turn, then what has come. */
static void take_queue(struct isthmus *ch, struct net_link *n)
{
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	skb_queue_splice_tail_init(&n->queue, &n->batch);
	if (net_taken(ch, n)) {
		isthmus_tx_done(ch, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
}

static int poll(struct napi_struct *napi, int budget)
{
	struct net_link *n = container_of(napi, struct net_link, napi);
	struct sk_buff *skb;
	int done = 0;

	if (skb_queue_empty(&n->batch)) {
		take_queue(&isthmus_channel, n);
	}
	while (done < budget && (skb = __skb_dequeue(&n->batch)) != NULL) {
		n->dev->stats.rx_packets++;
		n->dev->stats.rx_bytes += skb->len;
		napi_gro_receive(napi, skb);
		done++;
	}
	if (done < budget) {
		napi_complete_done(napi, done);
	}
	return done;
}

/** In the thread: packets were found where no softirq followed. */
void isthmus_net_turn(struct isthmus *ch)
{
	struct net_link *n = &isthmus_net;

	if (READ_ONCE(n->due)) {
		WRITE_ONCE(n->due, false);
		local_bh_disable();
		napi_schedule(&n->napi);
		local_bh_enable();
	}
}

static void set_open(struct net_link *n, bool open)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	n->open = open;
	spin_unlock_irqrestore(&ch->lock, flags);
}

static int open(struct net_device *dev)
{
	napi_enable(&isthmus_net.napi);
	set_open(&isthmus_net, true);
	netif_start_queue(dev);
	return 0;
}

/* What waits for NAPI is lost. */
static int stop(struct net_device *dev)
{
	struct isthmus *ch = &isthmus_channel;
	struct net_link *n = &isthmus_net;

	netif_stop_queue(dev);
	set_open(n, false);
	napi_disable(&n->napi);
	take_queue(ch, n);
	__skb_queue_purge(&n->batch);
	return 0;
}

static const struct net_device_ops ops = {
	.ndo_open = open,
	.ndo_stop = stop,
	.ndo_start_xmit = start_xmit,
};

/* As a tun device without Ethernet. */
static void setup(struct net_device *dev)
{
	dev->netdev_ops = &ops;
	dev->type = ARPHRD_NONE;
	dev->flags = IFF_POINTOPOINT | IFF_NOARP;
	dev->mtu = MTU;
	dev->min_mtu = 68;
	dev->max_mtu = NET_CHANNEL_PACKET_MAX;
	dev->tx_queue_len = QUEUE_LEN;
	dev->hw_features = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_TSO |
			   NETIF_F_TSO6 | NETIF_F_RXCSUM;
	dev->features = dev->hw_features;
	netif_set_tso_max_size(dev, NET_CHANNEL_PACKET_MAX);
}

/** Before the first device: from then on the host is asked for a network. */
int isthmus_net_register(void)
{
	struct net_link *n = &isthmus_net;
	struct net_device *dev;
	int err;

	dev = alloc_netdev(0, "isthmus%d", NET_NAME_ENUM, setup);
	if (!dev) {
		return -ENOMEM;
	}
	__skb_queue_head_init(&n->queue);
	__skb_queue_head_init(&n->batch);
	n->dev = dev;
	netif_napi_add(dev, &n->napi, poll);
	netif_carrier_off(dev);
	err = register_netdev(dev);
	if (err) {
		netif_napi_del(&n->napi);
		free_netdev(dev);
		return err;
	}
	n->stream.port = NET_PORT;
	n->stream.peer = NET_CHANNEL_PORT;
	n->stream.less = NET_LESS;
	n->state = NET_DOWN;
	return 0;
}

/** The module's end: there is no device any more. May sleep. */
void isthmus_net_unregister(void)
{
	struct net_link *n = &isthmus_net;

	net_watch_stop();
	unregister_netdev(n->dev);
	n->state = NET_OFF;
	netif_napi_del(&n->napi);
	free_netdev(n->dev);
}
