/* SPDX-License-Identifier: MIT */
/*
 * The part of the fake kernel that is network interfaces. One interface; what
 * Linux sends the test gives to it with fake_xmit(), what it receives goes to
 * fake_net.receive. NAPI's turn is where softirqs are: at the end of an interrupt,
 * of a section without them, and of fake_xmit().
 */
#ifndef FAKE_KERNEL_NETDEV_H
#define FAKE_KERNEL_NETDEV_H

#include "qemu-test/unit/fake/kernel.h"

#define __force
#define htons(x)		((u16)__builtin_bswap16(x))
#define ETH_P_IP		0x0800
#define ETH_P_IPV6		0x86dd
#define ARPHRD_NONE		0xfffe
#define IFF_POINTOPOINT		0x10u
#define IFF_NOARP		0x80u
#define NET_NAME_ENUM		1
#define NET_SKB_PAD		64u
#define NETIF_F_SG		1u
#define NETIF_F_HW_CSUM		2u
#define NETIF_F_TSO		4u
#define NETIF_F_TSO6		8u
#define NETIF_F_RXCSUM		16u

typedef int netdev_tx_t;
enum { NETDEV_TX_OK = 0, NETDEV_TX_BUSY = 16 };
enum { CHECKSUM_NONE, CHECKSUM_UNNECESSARY, CHECKSUM_COMPLETE,
       CHECKSUM_PARTIAL };

struct net_device_stats {
	unsigned long rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors,
		rx_dropped, tx_dropped;
};

struct net_device {
	const char *name;
	const struct net_device_ops *netdev_ops;
	unsigned int flags, type, mtu, min_mtu, max_mtu, tx_queue_len;
	u64 features, hw_features;
	struct net_device_stats stats;
	bool registered, carrier, stopped, running;
	unsigned int wakes, tso_max;
};

struct net_device_ops {
	int (*ndo_open)(struct net_device *dev);
	int (*ndo_stop)(struct net_device *dev);
	netdev_tx_t (*ndo_start_xmit)(struct sk_buff *skb,
				      struct net_device *dev);
};

struct napi_struct {
	int (*poll)(struct napi_struct *napi, int budget);
	bool enabled, scheduled, running, missed;
};

typedef u16 __virtio16;
struct virtio_net_hdr {
	u8 flags, gso_type;
	__virtio16 hdr_len, gso_size, csum_start, csum_offset;
};

struct fake_net {
	struct net_device *dev;
	struct napi_struct *napi;
	void (*receive)(struct sk_buff *skb);	/* takes it over */
	bool more;				/* netdev_xmit_more() */
	int bh;					/* softirqs are off */
	int budget;				/* of a poll */
	bool no_device;				/* register_netdev() fails */
};

extern struct fake_net fake_net;
netdev_tx_t fake_xmit(struct sk_buff *skb);
void fake_ifup(bool up);
void fake_softirq(void);

struct net_device *alloc_netdev(int size, const char *name, int type,
				void (*setup)(struct net_device *dev));
void free_netdev(struct net_device *dev);
int register_netdev(struct net_device *dev);
void unregister_netdev(struct net_device *dev);
void netif_carrier_on(struct net_device *dev);
void netif_carrier_off(struct net_device *dev);
void netif_stop_queue(struct net_device *dev);
void netif_start_queue(struct net_device *dev);
void netif_wake_queue(struct net_device *dev);
void netif_napi_add(struct net_device *dev, struct napi_struct *napi,
		    int (*poll)(struct napi_struct *napi, int budget));
void netif_napi_del(struct napi_struct *napi);
void napi_enable(struct napi_struct *napi);
void napi_disable(struct napi_struct *napi);
void napi_schedule(struct napi_struct *napi);
bool napi_complete_done(struct napi_struct *napi, int done);
void napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb);
void local_bh_disable(void);
void local_bh_enable(void);
#define napi_schedule_irqoff(n)		napi_schedule(n)
#define netif_set_tso_max_size(d, n)	((d)->tso_max = (n))
#define netdev_xmit_more()		(fake_net.more)
#define in_interrupt()			(fake.irq + fake_net.bh != 0)

struct sk_buff *alloc_skb_with_frags(unsigned long head, unsigned long data,
				     int order, int *err, gfp_t gfp);
void dev_kfree_skb_any(struct sk_buff *skb);
void skb_queue_splice_tail_init(struct sk_buff_head *from,
				struct sk_buff_head *to);
#define dev_consume_skb_any(skb)	dev_kfree_skb_any(skb)
#define __skb_queue_purge(list)		skb_queue_purge(list)
#define skb_headlen(skb)		((skb)->len - (skb)->data_len)
#define skb_shinfo(skb)			(skb)
#define skb_frag_size(frag)		((frag)->size)
#define skb_frag_address(frag)		((frag)->bytes)
#define skb_reset_mac_header(skb)	((void)(skb))
#define skb_reset_network_header(skb)	((void)(skb))

int virtio_net_hdr_to_skb(struct sk_buff *skb, const struct virtio_net_hdr *hdr,
			  bool little_endian);
int virtio_net_hdr_from_skb(const struct sk_buff *skb,
			    struct virtio_net_hdr *hdr, bool little_endian,
			    bool has_data_valid, int vlan_hlen);

#endif
