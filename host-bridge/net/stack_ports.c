// SPDX-License-Identifier: MIT
/*
 * The stack's connections. Which ports they have: nobody else's packets may seem to
 * come from there, nor answers to them go elsewhere. And those that had no room: TCP
 * would try again by itself, when its time has come.
 */
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ip.h"
#include "lwip/udp.h"

#include "host-bridge/net/stack_int.h"
#include "host-bridge/net/stack_ports.h"

/* Whether it is the wire's. netif: what it is bound to, as lwIP numbers it. */
static bool is_wires(uint8_t netif)
{
	return netif == NETIF_NO_INDEX ||
	       netif == netif_get_index(&stack.wire);
}

/** See stack_ports.h. */
bool stack_ports_used(uint8_t proto, uint16_t port)
{
	if (proto == IP_PROTO_UDP) {
		for (const struct udp_pcb *u = udp_pcbs; u; u = u->next) {
			if (u->local_port == port && is_wires(u->netif_idx)) {
				return true;
			}
		}
		return false;
	}
	for (unsigned i = 0; proto == IP_PROTO_TCP && i < NUM_TCP_PCB_LISTS;
	     i++) {
		for (const struct tcp_pcb *t = *tcp_pcb_lists[i]; t;
		     t = t->next) {
			if (t->local_port == port && is_wires(t->netif_idx)) {
				return true;
			}
		}
	}
	return false;
}

/** See stack_ports.h. */
void stack_ports_go_on(void)
{
	stack.inside = true;
	for (struct tcp_pcb *tcp = tcp_active_pcbs; tcp; tcp = tcp->next) {
		(void)tcp_output(tcp);
	}
	stack.inside = false;
	stack_left();
}
