/* SPDX-License-Identifier: MIT */
/* Where lwIP asks this program, in packets and connections: stack_run.c, lwip_port.c. */
#ifndef ISTHMUS_LWIP_HOOKS_H
#define ISTHMUS_LWIP_HOOKS_H

#include <stdint.h>

#include "lwip/ip_addr.h"

struct netif;
struct pbuf;

/* A packet has come in: 1 when it has been taken, and lwIP shall forget it. */
int stack_hook_input(struct pbuf *p, struct netif *from);
/* The first number of a connection [RFC 6528]. */
uint32_t lwip_port_isn(const ip_addr_t *local, uint16_t local_port,
		       const ip_addr_t *peer, uint16_t peer_port);

#define LWIP_HOOK_IP4_INPUT(p, from)	stack_hook_input(p, from)
#define LWIP_HOOK_IP6_INPUT(p, from)	stack_hook_input(p, from)
#define LWIP_HOOK_TCP_ISN		lwip_port_isn

#endif
