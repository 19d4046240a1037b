/* SPDX-License-Identifier: MIT */
/*
 * The echo service [RFC 862], for measuring, and for seeing that a network is
 * there. It is open to whoever can reach it, so only the manifest starts it. What a
 * peer of TCP sends and does not take back is bounded by its window: bytes count as
 * received when they are on their way back.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lwip/ip.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

#include "host-bridge/net/echo.h"
#include "host-bridge/net/listen.h"

#define PORT		7u
#define RESERVED	1024u	/* below it are services */
#define POLL		4u	/* half seconds between looks when memory lacks */

struct echo {
	struct pbuf *held;	/* not sent back yet */
	bool ended;		/* by the peer */
};

static void end(struct echo *echo, struct tcp_pcb *tcp)
{
	tcp_arg(tcp, NULL);
	tcp_recv(tcp, NULL);
	tcp_sent(tcp, NULL);
	tcp_poll(tcp, NULL, 0);
	tcp_err(tcp, NULL);
	if (echo->held) {
		pbuf_free(echo->held);
	}
	free(echo);
}

/* Sends back what there is room for. False: the connection is gone. */
static bool go_on(struct echo *echo, struct tcp_pcb *tcp)
{
	while (echo->held) {
		uint16_t len = echo->held->len;
		bool more = echo->held->next || len > tcp_sndbuf(tcp);

		len = len < tcp_sndbuf(tcp) ? len : (uint16_t)tcp_sndbuf(tcp);
		if (len == 0 && echo->held->len > 0) {
			break;
		}
		if (tcp_write(tcp, echo->held->payload, len, TCP_WRITE_FLAG_COPY |
			      (more ? TCP_WRITE_FLAG_MORE : 0)) != ERR_OK) {
			break;
		}
		tcp_recved(tcp, len);
		echo->held = pbuf_free_header(echo->held, len);
	}
	if (!echo->held && echo->ended) {
		end(echo, tcp);
		if (tcp_close(tcp) != ERR_OK) {
			tcp_abort(tcp);
			return false;
		}
		return true;
	}
	(void)tcp_output(tcp);
	return true;
}

static err_t on_data(void *arg, struct tcp_pcb *tcp, struct pbuf *p, err_t error)
{
	struct echo *echo = arg;

	(void)error;
	if (!p) {
		echo->ended = true;
	} else if (echo->held) {
		pbuf_cat(echo->held, p);
	} else {
		echo->held = p;
	}
	return go_on(echo, tcp) ? ERR_OK : ERR_ABRT;
}

static err_t on_sent(void *arg, struct tcp_pcb *tcp, uint16_t len)
{
	(void)len;
	return go_on(arg, tcp) ? ERR_OK : ERR_ABRT;
}

static err_t on_poll(void *arg, struct tcp_pcb *tcp)
{
	return go_on(arg, tcp) ? ERR_OK : ERR_ABRT;
}

/* lwIP has ended it, and forgotten. */
static void on_error(void *arg, err_t error)
{
	struct echo *echo = arg;

	(void)error;
	if (echo->held) {
		pbuf_free(echo->held);
	}
	free(echo);
}

static err_t on_connection(void *arg, struct tcp_pcb *tcp, err_t error)
{
	struct echo *echo = tcp ? calloc(1, sizeof(*echo)) : NULL;

	(void)arg;
	(void)error;
	if (!echo) {
		return ERR_MEM;
	}
	tcp_arg(tcp, echo);
	tcp_recv(tcp, on_data);
	tcp_sent(tcp, on_sent);
	tcp_err(tcp, on_error);
	tcp_poll(tcp, on_poll, POLL);
	ip_set_option(tcp, SOF_KEEPALIVE);
	tcp_nagle_disable(tcp);
	return ERR_OK;
}

/* Back the way it came. Not what is for many, nor what comes from a service: two that
 * answer each other would never end. */
static void on_datagram(void *arg, struct udp_pcb *udp, struct pbuf *p,
			const ip_addr_t *from, uint16_t port)
{
	struct netif *netif = ip_current_input_netif();
	const ip_addr_t *to = ip_current_dest_addr();

	(void)arg;
	if (port >= RESERVED && !ip_addr_ismulticast(to) &&
	    !ip_addr_isbroadcast(to, netif)) {
		(void)udp_sendto_if_src(udp, p, from, port, netif, to);
	}
	pbuf_free(p);
}

/** See echo.h. */
int echo_start(void)
{
	struct udp_pcb *udp = udp_new_ip_type(IPADDR_TYPE_ANY);

	if (!udp) {
		return ENOMEM;
	}
	udp_recv(udp, on_datagram, NULL);
	if (udp_bind(udp, IP_ANY_TYPE, PORT) != ERR_OK) {
		udp_remove(udp);
		return EADDRINUSE;
	}
	return listen_tcp(PORT, on_connection);
}
