/* SPDX-License-Identifier: MIT */
/*
 * The network of each Linux: its link, the NAT for all of them, and the two ways on
 * from there, the wire and the host partition's own stack. Each Linux is believed
 * by nobody here: link_check() has looked at what it says of a packet, the NAT
 * looks at the packet.
 */
#ifndef ISTHMUS_LINUX_NET_H
#define ISTHMUS_LINUX_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/net/link.h"

struct linux_net;
struct nat;
struct ports_rules;
struct vsock;

/* What Linux may speak to in the host partition beside ICMP and names. */
struct linux_net_policy {
	bool echo;			/* echo.h, measure.h */
};

/* What passes from it and to it. */
enum linux_net_reach {
	LINUX_NET_ALL,
	/* What it asks of the wire, and names, as the host partition's end has
	 * them: nothing else here, no other Linux, no ports that lead to it. */
	LINUX_NET_OUT,
	LINUX_NET_NONE,
};

/* Once, after stack_init(). Returns 0 or ENOMEM. */
int linux_net_start(const struct linux_net_policy *policy);
/* A network for the Linux with that number, 1 to NAT_LINUXES, and that name, which
 * must stay, on the other end of vs. Returns 0, EINVAL, EADDRINUSE or ENOMEM. */
int linux_net_new(struct vsock *vs, unsigned number, const char *name,
		  struct linux_net **out);
/* How far its packets come, from its next start on. ln may be NULL. */
void linux_net_reach(struct linux_net *ln, enum linux_net_reach reach);
/* Ports of the wire's address lead to it (ports.h), where it is called title. That
 * and *rules must stay. Returns 0, EADDRINUSE or ENOMEM. */
int linux_net_ports(struct linux_net *ln, struct vsock *vs, const char *title,
		    const struct ports_rules *rules);
/* The address of who is called so below isthmus.internal: "linux" is the first one,
 * "host" our end of its link. False: nobody is. address: 4 bytes, of IPv6 16. */
bool linux_net_named(const char *name, bool six, uint8_t *address);
/* For its command line: its addresses. */
const char *linux_net_words(const struct linux_net *ln);
/* For the console. NULL: not started. */
const struct nat *linux_net_nat(void);

struct linux_net_status {
	unsigned which;			/* as the NAT calls it */
	unsigned sessions, most;	/* it has, and may have */
	struct link_status link;
};

void linux_net_status(const struct linux_net *ln,
		      struct linux_net_status *status);

#endif
