/* SPDX-License-Identifier: MIT */
/* The network that the host offers: the interface (net.c), and names (net_names.c). */
#ifndef GUEST_NET_H
#define GUEST_NET_H

#include <stdbool.h>

#define NET_TEXT	64

/* Of one kind of IP. */
struct net_side {
	int family;
	unsigned char address[16], gateway[16];
	unsigned size;			/* of each, bytes */
	unsigned bits;
	bool there;
	char address_text[NET_TEXT], gateway_text[NET_TEXT];
};

/* net_reset.c */
void net_reset(struct net_side sides[2]);

/* Of IPv4 and IPv6. */
void net_names_make(const struct net_side side[2]);
void net_names_change(const struct net_side old[2], const struct net_side now[2]);

#endif
