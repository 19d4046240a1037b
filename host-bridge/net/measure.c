// SPDX-License-Identifier: MIT
/*
 * Services for measuring one way at a time, after RFC 863 and 864: discard, TCP port
 * 9, which closes when the peer has; and a sender, port 19, which closes after a
 * mebibyte. Open to whoever can reach them, so only the manifest starts them. What a
 * peer does not take is sent by reference, and so costs no memory.
 */
#include <stdint.h>
#include <stddef.h>

#include "lwip/tcp.h"

#include "host-bridge/net/listen.h"
#include "host-bridge/net/measure.h"

#define PORT_DISCARD	9u
#define PORT_SENDER	19u
#define SENT		(1u << 20)
#define PIECE		32768u
#define POLL		4u	/* half seconds between looks when memory lacks */

static const uint8_t bytes[PIECE];

/* ERR_ABRT: it is gone. */
static err_t end(struct tcp_pcb *tcp)
{
	tcp_arg(tcp, NULL);
	tcp_recv(tcp, NULL);
	tcp_sent(tcp, NULL);
	tcp_poll(tcp, NULL, 0);
	if (tcp_close(tcp) == ERR_OK) {
		return ERR_OK;
	}
	tcp_abort(tcp);
	return ERR_ABRT;
}

static err_t take(void *arg, struct tcp_pcb *tcp, struct pbuf *p, err_t error)
{
	(void)arg;
	(void)error;
	if (!p) {
		return end(tcp);
	}
	tcp_recved(tcp, p->tot_len);
	pbuf_free(p);
	return ERR_OK;
}

/* What there is room for. The argument is how much is still to be sent. */
static err_t give(void *arg, struct tcp_pcb *tcp)
{
	size_t left = (size_t)(uintptr_t)arg;

	while (left > 0 && tcp_sndbuf(tcp) >= PIECE &&
	       tcp_write(tcp, bytes, PIECE, left > PIECE ?
			 TCP_WRITE_FLAG_MORE : 0) == ERR_OK) {
		left -= PIECE;
	}
	if (left == 0) {
		return end(tcp);
	}
	tcp_arg(tcp, (void *)(uintptr_t)left);
	(void)tcp_output(tcp);
	return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *tcp, uint16_t len)
{
	(void)len;
	return give(arg, tcp);
}

static err_t on_taker(void *arg, struct tcp_pcb *tcp, err_t error)
{
	(void)arg;
	(void)error;
	if (!tcp) {
		return ERR_MEM;
	}
	tcp_recv(tcp, take);
	return ERR_OK;
}

static err_t on_giver(void *arg, struct tcp_pcb *tcp, err_t error)
{
	(void)arg;
	(void)error;
	if (!tcp) {
		return ERR_MEM;
	}
	tcp_nagle_disable(tcp);
	tcp_recv(tcp, take);
	tcp_sent(tcp, on_sent);
	tcp_poll(tcp, give, POLL);
	return give((void *)(uintptr_t)SENT, tcp);
}

/** See measure.h. */
int measure_start(void)
{
	int error = listen_tcp(PORT_DISCARD, on_taker);

	return error != 0 ? error : listen_tcp(PORT_SENDER, on_giver);
}
