// SPDX-License-Identifier: MIT
/*
 * The functions of kernel_netdev.h. As in kernel.c, an assertion that fails is a
 * fault of the driver, or of the test.
 */
#include "kernel_netdev.h"

struct fake_net fake_net;

static void no_locks(void)
{
	assert(fake.locks + fake.rcu + fake.irq == 0);
}

/* ---- Interfaces ---- */

struct net_device *alloc_netdev(int size, const char *name, int type,
				void (*setup)(struct net_device *dev))
{
	struct net_device *dev = calloc(1, sizeof(*dev));

	no_locks();
	assert(size == 0 && type == NET_NAME_ENUM);
	dev->name = name;
	dev->carrier = true;
	setup(dev);
	return dev;
}

void free_netdev(struct net_device *dev)
{
	assert(!dev->registered && !fake_net.napi);
	free(dev);
}

int register_netdev(struct net_device *dev)
{
	no_locks();
	if (fake_net.no_device) {
		return -ENOMEM;
	}
	assert(!dev->carrier);
	dev->registered = true;
	fake_net.dev = dev;
	fake_net.budget = 64;
	return 0;
}

void unregister_netdev(struct net_device *dev)
{
	no_locks();
	fake_ifup(false);
	dev->registered = false;
	fake_net.dev = NULL;
}

/** As `ip link set up` and `down`. */
void fake_ifup(bool up)
{
	struct net_device *dev = fake_net.dev;

	if (up && !dev->running) {
		assert(dev->netdev_ops->ndo_open(dev) == 0);
	} else if (!up && dev->running) {
		assert(dev->netdev_ops->ndo_stop(dev) == 0);
	}
	dev->running = up;
}

void netif_carrier_on(struct net_device *dev)
{
	assert(!dev->carrier && dev->registered);
	dev->carrier = true;
}

void netif_carrier_off(struct net_device *dev)
{
	assert(dev->carrier);
	dev->carrier = false;
}

void netif_stop_queue(struct net_device *dev)
{
	dev->stopped = true;
}

void netif_start_queue(struct net_device *dev)
{
	dev->stopped = false;
}

void netif_wake_queue(struct net_device *dev)
{
	dev->stopped = false;
	dev->wakes++;
}

/** A packet of Linux', when the interface's queue is not stopped. The caller has it
 * still when that says NETDEV_TX_BUSY. */
netdev_tx_t fake_xmit(struct sk_buff *skb)
{
	struct net_device *dev = fake_net.dev;
	netdev_tx_t code;

	assert(dev->running && !dev->stopped);
	fake_net.bh++;
	code = dev->netdev_ops->ndo_start_xmit(skb, dev);
	assert(fake.locks == 0);
	local_bh_enable();
	return code;
}

/* ---- NAPI ---- */

void netif_napi_add(struct net_device *dev, struct napi_struct *napi,
		    int (*poll)(struct napi_struct *napi, int budget))
{
	(void)dev;
	*napi = (struct napi_struct){ .poll = poll };
	fake_net.napi = napi;
}

void netif_napi_del(struct napi_struct *napi)
{
	assert(fake_net.napi == napi && !napi->enabled);
	fake_net.napi = NULL;
}

void napi_enable(struct napi_struct *napi)
{
	assert(!napi->enabled);
	napi->enabled = true;
}

void napi_disable(struct napi_struct *napi)
{
	no_locks();
	assert(napi->enabled);
	napi->enabled = napi->scheduled = false;
}

/* Only where a softirq follows by itself. */
void napi_schedule(struct napi_struct *napi)
{
	assert(in_interrupt());
	if (!napi->enabled) {
		return;
	}
	if (napi->running) {
		napi->missed = true;
	} else {
		napi->scheduled = true;
	}
}

bool napi_complete_done(struct napi_struct *napi, int done)
{
	assert(napi->running && done < fake_net.budget);
	napi->scheduled = napi->missed;
	return !napi->missed;
}

/** Softirqs run, if they may. */
void fake_softirq(void)
{
	struct napi_struct *napi = fake_net.napi;

	if (fake.irq + fake_net.bh + fake.locks != 0 || !napi) {
		return;
	}
	while (napi->scheduled) {
		napi->running = true;
		napi->missed = false;
		fake_net.bh++;
		assert(napi->poll(napi, fake_net.budget) <= fake_net.budget);
		fake_net.bh--;
		napi->running = false;
	}
}

void napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb)
{
	assert(napi->running && fake.locks == 0 && fake_net.receive);
	fake_net.receive(skb);
}

void local_bh_disable(void)
{
	assert(fake.irq == 0);
	fake_net.bh++;
}

void local_bh_enable(void)
{
	assert(fake_net.bh > 0 && fake.locks == 0);
	fake_net.bh--;
	fake_softirq();
}

/* ---- Socket buffers ---- */

struct sk_buff *alloc_skb_with_frags(unsigned long head, unsigned long data,
				     int order, int *err, gfp_t gfp)
{
	struct sk_buff *skb;

	assert(gfp & GFP_ATOMIC);
	*err = -ENOBUFS;
	if (fake.no_memory) {
		return NULL;
	}
	skb = calloc(1, sizeof(*skb));
	skb->head = skb->data = malloc(head);
	skb->users = 1;
	for (int i = 0; data != 0; i++) {
		u32 n = min_t(u32, data, 4096u << order);

		skb->frags[i].bytes = malloc(n);
		skb->frags[i].size = n;
		data -= n;
	}
	return skb;
}

void dev_kfree_skb_any(struct sk_buff *skb)
{
	if (skb && --skb->users == 0) {
		for (int i = 0; i < FAKE_FRAGS; i++) {
			free(skb->frags[i].bytes);
		}
		free(skb->head);
		free(skb);
	}
}

void skb_queue_splice_tail_init(struct sk_buff_head *from,
				struct sk_buff_head *to)
{
	struct sk_buff *skb;

	while ((skb = skb_dequeue(from)) != NULL) {
		skb_queue_tail(to, skb);
	}
}

/* ---- virtio's words ---- */

int virtio_net_hdr_to_skb(struct sk_buff *skb, const struct virtio_net_hdr *hdr,
			  bool little_endian)
{
	assert(little_endian);
	if (hdr->flags & 1) {
		if (hdr->csum_start + hdr->csum_offset + 2u > skb->len) {
			return -EINVAL;
		}
		skb->ip_summed = CHECKSUM_PARTIAL;
	}
	skb->csum_start = hdr->csum_start;
	skb->csum_offset = hdr->csum_offset;
	skb->gso_type = hdr->gso_type;
	skb->gso_size = hdr->gso_size;
	return 0;
}

int virtio_net_hdr_from_skb(const struct sk_buff *skb,
			    struct virtio_net_hdr *hdr, bool little_endian,
			    bool has_data_valid, int vlan_hlen)
{
	assert(little_endian && !has_data_valid && vlan_hlen == 0);
	*hdr = (struct virtio_net_hdr){
		.flags = skb->ip_summed == CHECKSUM_PARTIAL,
		.gso_type = skb->gso_type, .gso_size = skb->gso_size,
		.csum_start = skb->csum_start,
		.csum_offset = skb->csum_offset,
	};
	return skb->gso_type > 4 ? -EINVAL : 0;
}
