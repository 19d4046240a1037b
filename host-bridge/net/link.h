/* SPDX-License-Identifier: MIT */
/*
 * Room net: networks: Linux' packets, and the way of them from here on. Does not
 * trust Linux: what it says of a packet is checked before anybody else sees it.
 * May include rt, loop, dev, blk and vsock.
 *
 * The link to one Linux: packets to its network interface and from there, by
 * messages on a connection of vsock (proto/net_channel.h). All from the event loop.
 */
#ifndef ISTHMUS_LINK_H
#define ISTHMUS_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/net/packet.h"

struct link;
struct vsock;

/* Who has the packets. All but receive may be NULL. */
struct link_user {
	void *arg;
	/* Whether Linux is to have a network; one that is refused does not ask
	 * again in this life. NULL: yes. */
	bool (*wanted)(void *arg);
	/* A packet of Linux's, until this returns: an IP packet as long as it says,
	 * whose flags, offsets and sizes agree with it. */
	void (*receive)(void *arg, struct net_packet *packet);
	/* link_send() has refused one: now there is room. */
	void (*writable)(void *arg);
	/* Linux is there, or is not any more. */
	void (*changed)(void *arg, bool up);
};

/* Since the start. */
struct link_status {
	bool up;
	uint64_t starts;
	uint64_t rx_packets, rx_bytes;
	uint64_t rx_nonsense;		/* packets that were none */
	uint64_t tx_packets, tx_bytes;
	uint64_t tx_dropped;		/* for want of room, or of Linux */
};

int link_new(struct vsock *vs, const struct link_user *user,
	     struct link **out);
int link_send(struct link *l, const struct net_packet *packet);
bool link_up(const struct link *l);
void link_get_status(const struct link *l, struct link_status *status);

/* link_check.c */
bool link_check(struct net_packet *packet);

#endif
