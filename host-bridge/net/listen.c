/* SPDX-License-Identifier: MIT */
/* A TCP port that is listened on: lwIP's three steps, and what is undone. */
#include <errno.h>

#include "host-bridge/net/listen.h"

/** See listen.h. */
int listen_tcp_at(struct netif *netif, const ip_addr_t *address, uint16_t port,
		  uint8_t backlog, tcp_accept_fn accept, struct tcp_pcb **out)
{
	struct tcp_pcb *tcp = tcp_new_ip_type(IP_GET_TYPE(address)), *listener;

	if (!tcp) {
		return ENOMEM;
	}
	if (tcp_bind(tcp, address, port) != ERR_OK) {
		tcp_abort(tcp);
		return EADDRINUSE;
	}
	tcp_bind_netif(tcp, netif);
	listener = tcp_listen_with_backlog(tcp, backlog);
	if (!listener) {
		tcp_abort(tcp);
		return ENOMEM;
	}
	tcp_accept(listener, accept);
	*out = listener;
	return 0;
}

/** See listen.h. */
int listen_tcp(uint16_t port, tcp_accept_fn accept)
{
	struct tcp_pcb *listener;

	return listen_tcp_at(NULL, IP_ANY_TYPE, port,
			     TCP_DEFAULT_LISTEN_BACKLOG, accept, &listener);
}
