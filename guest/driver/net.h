/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * isthmus driver: a network interface whose other end is the host's, by messages
 * over a connection of the driver's own (proto/net_channel.h). net.c is the
 * interface, net_conn.c its connection and packets into the ring, net_receive.c
 * packets off it.
 *
 * The interface outlives its connection: when that is lost, it has no carrier, and
 * what was under way is lost, as on any network.
 *
 * ch->lock covers everything here that is not marked otherwise.
 */
#ifndef ISTHMUS_NET_H
#define ISTHMUS_NET_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>

#include "stream.h"
#include "proto/net_channel.h"

/* The local port. [docs/channel.md "Packets: vsock"] */
#define NET_PORT	ISTHMUS_PORT_LAST
/* Bytes of packets that may wait for Linux to take them: as many the host may
 * send beyond what was taken. */
#define NET_QUEUE_MAX	0x80000u
#define NET_LESS	(STREAM_ALLOC - NET_QUEUE_MAX)	/* stream.less */

/* DOWN: no connection, one is wanted; FAILED: not before the watch's turn. NONE:
 * this host has no network. */
enum net_state { NET_OFF, NET_DOWN, NET_FAILED, NET_CONNECTING, NET_UP, NET_NONE };

/* The message being received: its head, then len bytes. */
struct net_rx {
	struct net_channel_head head;
	u32 at;				/* bytes of it received */
	struct sk_buff *skb;		/* NULL: nobody wants it */
};

struct net_link {
	struct stream stream;
	enum net_state state;
	bool rst;			/* the host must be told its end */
	bool open;			/* the interface is up */
	bool full;			/* its queue waits for credit or space */
	bool due;			/* NAPI's turn is, by the thread */
	bool starved;			/* the host may be out of credit */
	struct net_rx rx;
	struct sk_buff_head queue;	/* received */
	u32 held;			/* bytes in it */
	struct net_device *dev;		/* fixed while the module is there */
	/* NAPI's own. */
	struct napi_struct napi;
	struct sk_buff_head batch;
};

/* net_conn.c */
extern struct net_link isthmus_net;
bool net_put(struct isthmus *ch, struct net_link *n, struct sk_buff *skb,
	     const struct net_channel_head *head);
bool net_taken(struct isthmus *ch, struct net_link *n);
void net_watch_stop(void);

/* net_receive.c */
bool net_receive(struct isthmus *ch, struct net_link *n, u32 len);
void net_receive_drop(struct net_link *n);

#endif
