/* SPDX-License-Identifier: MIT */
/* The stack's own state, among its files. */
#ifndef ISTHMUS_STACK_INT_H
#define ISTHMUS_STACK_INT_H

#include "lwip/netif.h"

#include "drivers/nic.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/net/stack.h"

struct stack {
	struct nic *nic;
	const struct config_network *want;
	const char *hostname;
	bool added;			/* lwIP knows the card */
	struct netif wire;
	struct loop_timer timer;	/* lwIP's next */
	bool inside;			/* lwIP is at work.. */
	bool looked;			/* .. on a packet for which no hook is asked */
	struct stack_hooks hooks;
	bool by_hand;			/* the IPv4 address is the manifest's */
	char told[STACK_TEXT];
	uint64_t lost;			/* frames, for want of memory */
	/* A packet of Linux's on its way out. */
	const struct pbuf *sending;
	const struct nic_offload *offload;
};

extern struct stack stack;

/* stack_addresses.c. What the manifest says; by_hand when there is an IPv4 address
 * in it. */
void stack_static(const struct config_network *want);
/* Name servers that DHCP or a router has named: the manifest's stay. */
void stack_forget_servers(void);
/* Its name for this machine, if that is one; else ours. */
const char *stack_read_hostname(const struct config_network *want);

#endif
