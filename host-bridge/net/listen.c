/* SPDX-License-Identifier: MIT */
/* A TCP port that is listened on: lwIP's three steps, and what is undone. */
#include <errno.h>

#include "host-bridge/net/listen.h"

/** See listen.h. */
int listen_tcp(uint16_t port, tcp_accept_fn accept)
{
	struct tcp_pcb *tcp = tcp_new_ip_type(IPADDR_TYPE_ANY), *listener;

	if (!tcp) {
		return ENOMEM;
	}
	if (tcp_bind(tcp, IP_ANY_TYPE, port) != ERR_OK) {
		tcp_abort(tcp);
		return EADDRINUSE;
	}
	listener = tcp_listen(tcp);
	if (!listener) {
		tcp_abort(tcp);
		return ENOMEM;
	}
	tcp_accept(listener, accept);
	return 0;
}
