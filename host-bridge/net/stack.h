/* SPDX-License-Identifier: MIT */
/*
 * Room net: the network: between the wire, the host partition's own stack and
 * each Linux. Trusts none of them. May include rt, loop, dev, blk and vsock.
 *
 * The stack: lwIP between a network card and what this partition has to say and
 * hear. There is one, for lwIP has its state for itself. All from the event loop.
 */
#ifndef ISTHMUS_STACK_H
#define ISTHMUS_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lwip/ip_addr.h"

#include "host-bridge/net/packet.h"
#include "host-bridge/rt/config.h"

struct nic;

#define STACK_TEXT	48u	/* of an address, with its prefix */
#define STACK_SERVERS	3u
#define STACK_ADDRESSES	4u

/* Who else looks at packets, and is told of changes; what is NULL is not asked. */
struct stack_hooks {
	void *arg;
	/* Of a packet from the wire: true when it has been taken. It is not
	 * there any more when this returns. */
	bool (*from_wire)(void *arg, struct net_packet *packet);
	/* Whether an IP packet with TCP, not yet looked at but as far as its
	 * port, is one that from_wire() takes: such ones may be joined, and
	 * have NET_DATA_VALID or NET_NEEDS_CSUM then. NULL: none is. */
	bool (*joins)(void *arg, const uint8_t *ip);
	/* An address or the link is another. */
	void (*changed)(void *arg);
};

struct stack_status {
	const struct nic *nic;
	const char *how;		/* it got its IPv4 address; "": none */
	char address[STACK_TEXT], gateway[STACK_TEXT], server[STACK_TEXT];
	uint32_t lease;			/* seconds left of it; 0: none */
	char address6[STACK_ADDRESSES][STACK_TEXT];
	char router6[STACK_TEXT];
	char dns[STACK_SERVERS][STACK_TEXT];	/* "": no more */
	unsigned connections;
	/* Packets that were not understood, or for which nobody is here. */
	uint64_t refused;
};

/* Before all else here, once. */
void stack_init(void);
/* From now on the card is the stack's; *want must stay. Returns 0 or an errno value.
 * What of the manifest is wrong is said. */
int stack_start(struct nic *nic, const struct config_network *want);
/* NULL: there is none. */
struct nic *stack_nic(void);
/* By which this machine is known to others, once the stack has a card. */
const char *stack_hostname(void);
void stack_set_hooks(const struct stack_hooks *hooks);
void stack_get_status(struct stack_status *status);
/* An address of 4 bytes, of IPv6 of 16. */
void stack_address_of(ip_addr_t *address, bool six, const uint8_t *bytes);
/* An address as people write it. */
void stack_text(const ip_addr_t *address, char text[STACK_TEXT]);
/* The other way round; false: it is none. */
bool stack_read_address(const char *text, ip_addr_t *address);
/* An address of IPv6's that each link has its own of is the wire's. */
void stack_of_wire(ip_addr_t *address);
/* Addresses of the wire, in network order: false when there is none. */
bool stack_address4(uint32_t *address);
bool stack_address6(uint8_t address[16]);

/* A packet onto the wire, as it is; its memory is the caller's again. The headroom
 * is used. sender, below NEIGHBOURS_SENDERS: who pays if it has to wait. False:
 * there is no way, or no room. */
bool stack_to_wire(unsigned sender, struct net_packet *packet);

/* The stack's end of the link to a Linux. */
struct stack_link_user {
	void *arg;
	uint8_t address4[4];		/* ours; the other end is in its /24 */
	uint8_t address6[16];		/* in its /64 */
	/* A packet for that Linux, until this returns. False: there is no
	 * room. */
	bool (*send)(void *arg, const struct net_packet *packet);
};

struct netif;
struct stack_link;

/* *user must stay. Returns 0 or an errno value. */
int stack_link_new(const struct stack_link_user *user, struct stack_link **out);
/* For services that are that Linux's alone. */
struct netif *stack_link_netif(struct stack_link *link);
/* A packet of that Linux's for the host partition itself, which may be: it has been
 * looked at. link NULL: one of the wire's, that a hook has taken earlier; also from a
 * hook. False: there is no memory for it. */
bool stack_to_host(struct stack_link *link, const struct net_packet *packet);
/* That Linux is gone: what it had open here ends. Not from a callback of lwIP's. */
void stack_link_down(struct stack_link *link);

/* After each use of lwIP that is not one of its own callbacks: its timers, and what
 * it sends itself. */
void stack_left(void);

#endif
