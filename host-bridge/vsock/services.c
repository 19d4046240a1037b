// SPDX-License-Identifier: MIT
/*
 * Services on vsock for tests and benches: echo, discard and chargen, after RFC
 * 862, 863 and 864, and idle, which tells how long this CPU has had nothing to do.
 * Any process in Linux may use them; each connection is bounded by the credit it
 * is given and by its send queue.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vsock_endpoint.h"

/* ---- Echo: bytes the connection does not take now wait here. The peer gets
 * no new credit for them, so that they are bounded by its credit. A connection
 * has a struct echo from the first such byte on. ---- */

struct echo {
	uint8_t *bytes;
	size_t start;
	size_t len;
	size_t size;
	bool ended;		/* the peer sends no more */
};

/* Keeps bytes for later and holds their credit; echo is NULL the first time.
 * Without memory the connection is reset: bytes that were taken cannot be given
 * back. */
static void echo_keep(struct vsock_conn *conn, struct echo *echo,
		      const uint8_t *data, size_t len)
{
	size_t size;

	if (echo == NULL) {
		echo = calloc(1, sizeof(*echo));
		vsock_set_arg(conn, echo);
	}
	if (echo == NULL) {
		vsock_reset(conn);
		return;
	}
	size = echo->len + len;
	/* Twice what is needed, so that bytes are moved rarely. What was sent
	 * from the front is left behind. */
	if (echo->start + size > echo->size) {
		uint8_t *bytes = malloc(2 * size);

		if (bytes == NULL) {
			vsock_reset(conn);
			return;
		}
		if (echo->len != 0) {
			memcpy(bytes, echo->bytes + echo->start, echo->len);
		}
		free(echo->bytes);
		echo->bytes = bytes;
		echo->start = 0;
		echo->size = 2 * size;
	}
	memcpy(echo->bytes + echo->start + echo->len, data, len);
	echo->len += len;
	vsock_hold(conn, len);
}

/* What came before goes first: straight through only if nothing waits. */
static void echo_on_data(struct vsock_conn *conn, const void *data, size_t len)
{
	struct echo *echo = vsock_arg(conn);
	size_t sent = echo == NULL || echo->len == 0 ?
		      vsock_send(conn, data, len) : 0;

	if (sent < len) {
		echo_keep(conn, echo, (const uint8_t *)data + sent,
			  len - sent);
	}
}

/* Shuts down once the peer sends no more and all is echoed; echo NULL: nothing
 * ever waited. */
static void echo_end(struct vsock_conn *conn, const struct echo *echo)
{
	if (echo == NULL || (echo->ended && echo->len == 0)) {
		vsock_shutdown(conn, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

/* Only after echo_keep() had to keep something, so echo is there. */
static void echo_on_writable(struct vsock_conn *conn)
{
	struct echo *echo = vsock_arg(conn);
	size_t sent = vsock_send(conn, echo->bytes + echo->start, echo->len);

	echo->start += sent;
	echo->len -= sent;
	if (echo->len == 0) {
		echo->start = 0;
	}
	/* The peer gets credit for what went back to it, no sooner. */
	vsock_release(conn, sent);
	echo_end(conn, echo);
}

/* What waits is still echoed before we follow the peer. */
static void echo_on_shutdown(struct vsock_conn *conn, unsigned flags)
{
	struct echo *echo = vsock_arg(conn);

	if ((flags & VSOCK_SHUT_SEND) != 0) {
		if (echo != NULL) {
			echo->ended = true;
		}
		echo_end(conn, echo);
	}
}

/* Also after a reset, with bytes waiting. */
static void echo_on_close(struct vsock_conn *conn, int error)
{
	struct echo *echo = vsock_arg(conn);

	(void)error;
	if (echo != NULL) {
		free(echo->bytes);
		free(echo);
	}
}

static const struct vsock_ops echo_ops = {
	.on_data = echo_on_data,
	.on_writable = echo_on_writable,
	.on_shutdown = echo_on_shutdown,
	.on_close = echo_on_close,
};

/* ---- Discard ---- */

/* Without on_data, what arrives is consumed at once. */
static void discard_on_shutdown(struct vsock_conn *conn, unsigned flags)
{
	if ((flags & VSOCK_SHUT_SEND) != 0) {
		vsock_shutdown(conn, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

static const struct vsock_ops discard_ops = {
	.on_shutdown = discard_on_shutdown,
};

/* ---- Chargen: lines of 72 characters, each shifted by one, for ever. ---- */

#define CHARGEN_FIRST	' '
#define CHARGEN_COUNT	95u	/* printable characters */
#define CHARGEN_LINE	74u	/* with CR LF */
#define CHARGEN_PERIOD	(CHARGEN_COUNT * CHARGEN_LINE)

/* The text repeats after as many lines as there are characters. */
static char chargen_text[CHARGEN_PERIOD];

static void chargen_make(void)
{
	for (unsigned line = 0; line < CHARGEN_COUNT; line++) {
		char *text = chargen_text + line * CHARGEN_LINE;

		for (unsigned i = 0; i < CHARGEN_LINE - 2; i++) {
			text[i] = (char)(CHARGEN_FIRST +
					 (line + i) % CHARGEN_COUNT);
		}
		text[CHARGEN_LINE - 2] = '\r';
		text[CHARGEN_LINE - 1] = '\n';
	}
}

/* Sends until no more is taken: at the latest when credit or ring and the
 * connection's queue are full, so this ends. The connection's argument is the
 * offset in the text that comes next; no memory is needed. */
static void chargen_fill(struct vsock_conn *conn)
{
	uintptr_t at = (uintptr_t)vsock_arg(conn);
	size_t sent;

	do {
		sent = vsock_send(conn, chargen_text + at,
				  CHARGEN_PERIOD - at);
		at = (at + sent) % CHARGEN_PERIOD;
	} while (sent != 0);
	vsock_set_arg(conn, (void *)at);
}

static const struct vsock_ops chargen_ops = {
	.on_open = chargen_fill,
	.on_writable = chargen_fill,
	.on_shutdown = discard_on_shutdown,
};

/* ---- Idle: one line, the ticks of the time stamp counter since the start in which
 * CPU 0 had nobody to run, and the end. With it a bench leaves out what it waited
 * for a disk. ---- */

static uint64_t (*idle_ticks)(void);

static void idle_on_open(struct vsock_conn *conn)
{
	char line[24];
	int len = snprintf(line, sizeof(line), "%llu\n",
			   (unsigned long long)idle_ticks());

	/* A connection's queue takes as much, whatever its credit. */
	(void)vsock_send(conn, line, (size_t)len);
	vsock_shutdown(conn, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
}

static const struct vsock_ops idle_ops = {
	.on_open = idle_on_open,
};

/**
 * Offers the services on ports 7, 9, 19 and 20; called once. They are open to
 * every process in Linux: what each can use of host-bridge is bounded by its
 * credit and queue. idle: what the last of them tells. Returns 0, EADDRINUSE or
 * ENOMEM.
 */
int services_init(struct vsock *vs, uint64_t (*idle)(void))
{
	int error = vsock_listen(vs, VSOCK_PORT_ECHO, &echo_ops, NULL);

	chargen_make();
	if (error == 0) {
		error = vsock_listen(vs, VSOCK_PORT_DISCARD, &discard_ops,
				     NULL);
	}
	if (error == 0) {
		error = vsock_listen(vs, VSOCK_PORT_CHARGEN, &chargen_ops,
				     NULL);
	}
	idle_ticks = idle;
	if (error == 0) {
		error = vsock_listen(vs, VSOCK_PORT_IDLE, &idle_ops, NULL);
	}
	return error;
}
