// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: the host's end of Linux' network interface, and a Linux whose
 * stream of messages is the input, in pieces as that says. What must hold: no bad
 * access; a packet that is passed on is as long as it says, what is said of it lies
 * in it, and all of its memory is its receiver's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/net/link.h"
#include "host-bridge/vsock/vsock.h"
#include "proto/net_channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct vsock_conn {
	void *arg;
	bool gone, again;
	size_t held;
	uint64_t until;
};

static struct vsock_conn conn;
static const struct vsock_ops *ops;
static void *service;

int vsock_listen(struct vsock *vs, uint32_t port, const struct vsock_ops *o,
		 void *arg)
{
	(void)vs;
	(void)port;
	ops = o;
	service = arg;
	return 0;
}

size_t vsock_send(struct vsock_conn *c, const void *data, size_t len)
{
	(void)data;
	/* Never all of what is long. */
	c->again |= len > 100;
	return len > 100 ? 100 : len;
}

size_t vsock_send_pieces(struct vsock_conn *c, const struct vsock_piece *pieces,
			 unsigned count)
{
	size_t n = vsock_send(c, pieces[0].data, pieces[0].len);

	return count > 1 && n == pieces[0].len
	       ? n + vsock_send(c, pieces[1].data, pieces[1].len) : n;
}

void vsock_hold(struct vsock_conn *c, size_t bytes)
{
	c->held += bytes;
}

void vsock_release(struct vsock_conn *c, size_t bytes)
{
	if (bytes > c->held) {
		abort();
	}
	c->held -= bytes;
}

uint64_t vsock_slice_end(const struct vsock_conn *c)
{
	return c->until;
}

void vsock_again(struct vsock_conn *c)
{
	c->again = true;
}

void vsock_shutdown(struct vsock_conn *c, unsigned flags)
{
	(void)flags;
	c->gone = true;
}

void vsock_reset(struct vsock_conn *c)
{
	c->gone = true;
}

void *vsock_arg(const struct vsock_conn *c)
{
	return c->arg;
}

void vsock_set_arg(struct vsock_conn *c, void *arg)
{
	c->arg = arg;
}

uint32_t vsock_peer_port(const struct vsock_conn *c)
{
	(void)c;
	return 672;
}

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static void receive(void *arg, struct net_packet *p)
{
	size_t ip = p->data[0] >> 4 == 6 ? 40 : (p->data[0] & 15u) * 4u;
	struct link *l = *(struct link **)arg;

	check(p->len >= ip && ip >= 20 && p->len <= p->space);
	check(net_get16(p->data + (ip == 40 && p->data[0] >> 4 == 6 ? 4 : 2)) +
	      (p->data[0] >> 4 == 6 ? 40u : 0u) == p->len);
	check((p->flags & ~NET_NEEDS_CSUM) == 0);
	check(p->flags == 0 || (p->csum_start >= ip &&
	      p->csum_start + p->csum_offset + 2u <= p->len));
	check(p->gso_type == 0 || (p->flags != 0 && p->gso_size > 0 &&
	      p->hdr_len > ip && p->hdr_len + p->gso_size < p->len));
	(void)link_send(l, p);
	memset(p->data - NET_HEADROOM, 1, NET_HEADROOM + p->space);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct link *l = NULL;
	const struct link_user user = { .arg = &l, .receive = receive };

	link_new(NULL, &user, &l);
	conn = (struct vsock_conn){ .arg = service };
	ops->on_open(&conn);
	while (size > 2 && !conn.gone) {
		size_t n = data[0] | (data[1] & 3u) << 8;
		uint8_t *copy;

		conn.until = data[1] & 4 ? 0 : UINT64_MAX;
		data += 2;
		size -= 2;
		n = n < size ? n : size;
		/* Exactly as long, so that a byte behind it is seen. */
		copy = malloc(n + 1);
		memcpy(copy, data, n);
		if (n > 0) {
			ops->on_data(&conn, copy, n);
		}
		free(copy);
		data += n;
		size -= n;
		for (int i = 0; i < 8 && conn.again && !conn.gone; i++) {
			conn.again = false;
			ops->on_writable(&conn);
		}
	}
	ops->on_close(&conn, ECONNRESET);
	check(!link_up(l));
	free(l);
	return 0;
}
