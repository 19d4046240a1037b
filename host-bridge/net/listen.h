/* SPDX-License-Identifier: MIT */
/* How services of the host partition's own are offered. */
#ifndef ISTHMUS_LISTEN_H
#define ISTHMUS_LISTEN_H

#include <stdint.h>

#include "lwip/tcp.h"

/* From now on accept() gets who connects to that TCP port, of IPv4 and IPv6. After
 * stack_init(), from the loop or before it; waits for nothing. Returns 0, EADDRINUSE
 * or ENOMEM. */
int listen_tcp(uint16_t port, tcp_accept_fn accept);
/* The same at one address, of one interface (NULL: any), with at most backlog that
 * are half open. *out: the listener. */
int listen_tcp_at(struct netif *netif, const ip_addr_t *address, uint16_t port,
		  uint8_t backlog, tcp_accept_fn accept, struct tcp_pcb **out);

#endif
