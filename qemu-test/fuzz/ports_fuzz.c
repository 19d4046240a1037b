// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: reports of ports, of two Linuxes, in pieces as the input says,
 * with others who come and go at the NAT. What must hold: no bad access; a port is
 * given to one at a time and taken back from who has it; what is shown as forwarded
 * is what the NAT was told; and the answer is as long as it says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/net/nat.h"
#include "host-bridge/net/ports.h"
#include "host-bridge/vsock/vsock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST	64u
#define SECOND	((void *)16)		/* the NAT of the second's calls */

struct vsock_conn {
	void *arg;
	bool gone, room;
	size_t sent, answer;
};

static const struct vsock_ops *ops;
static void *service;
static struct ports *linuxes[2];
/* Ports that somebody has. */
static struct port {
	unsigned which;			/* a Linux; 2: somebody else */
	bool six;
	uint8_t proto;
	uint16_t port;
} used[MOST];
static unsigned used_count, others, shown;

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

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
	size_t n = c->room || len < 100 ? len : 100;
	uint32_t count;

	check(!c->gone);
	if (c->sent == 0 && len > 0) {
		check(len >= sizeof(count));
		memcpy(&count, data, sizeof(count));
		check(count <= PORTS_MAX);
		c->answer = sizeof(count) + count * sizeof(struct ports_refusal);
	}
	c->sent += n;
	check(c->sent <= c->answer);
	return n;
}

void vsock_shutdown(struct vsock_conn *c, unsigned flags)
{
	(void)c;
	(void)flags;
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
	return 700;
}

static struct port *find(bool six, uint8_t proto, uint16_t port)
{
	check((proto == 6 || proto == 17) && port != 0);
	for (unsigned i = 0; i < used_count; i++) {
		if (used[i].six == six && used[i].proto == proto &&
		    used[i].port == port) {
			return &used[i];
		}
	}
	return NULL;
}

static void leave(struct port *p)
{
	others -= p->which == 2;
	*p = used[--used_count];
}

int nat_forward(struct nat *n, unsigned which, bool six, uint8_t proto,
		uint16_t outside, uint16_t inside)
{
	(void)n;
	check(inside != 0);
	if (find(six, proto, outside)) {
		return EADDRINUSE;
	}
	if (used_count == MOST) {
		return ENOSPC;
	}
	used[used_count++] = (struct port){ which, six, proto, outside };
	return 0;
}

void nat_unforward(struct nat *n, bool six, uint8_t proto, uint16_t outside)
{
	struct port *p = find(six, proto, outside);

	check(p && p->which == (n == SECOND));
	leave(p);
}

static void line(void *arg, const struct ports_line *l)
{
	unsigned which = l->name[0] == 'b';

	(void)arg;
	check(memchr(l->refused, 0, PORTS_TEXT) != NULL);
	for (unsigned six = 0; six < 2; six++) {
		if ((l->families & (six ? PORTS_IPV6 : PORTS_IPV4)) != 0) {
			const struct port *p = find(six, l->proto, l->outside);

			check(p && p->which == which);
			shown++;
		}
	}
}

static void link_down(unsigned which)
{
	for (unsigned i = used_count; i-- > 0;) {
		if (used[i].which == which) {
			leave(&used[i]);
		}
	}
	ports_linux_down(linuxes[which]);
}

/* Somebody else takes a port, or leaves it. */
static void other(bool six, uint16_t port)
{
	struct port *p = find(six, 6, port);

	if (p && p->which == 2) {
		leave(p);
	} else if (!p && used_count < MOST) {
		used[used_count++] = (struct port){ 2, six, 6, port };
		others++;
	}
}

/* One connection of that Linux's, with so many of its bytes in pieces. */
static void talk(unsigned which, const uint8_t *data, size_t len, unsigned piece)
{
	struct vsock_conn conn = { .arg = linuxes[which],
				   .room = (piece & 1) != 0 };

	ops->on_open(&conn);
	while (len > 0 && !conn.gone) {
		size_t n = len < piece ? len : piece;

		ops->on_data(&conn, data, n);
		data += n;
		len -= n;
		if (!conn.gone && conn.sent < conn.answer) {
			ops->on_writable(&conn);
		}
	}
	while (!conn.gone && conn.sent < conn.answer) {
		ops->on_writable(&conn);
	}
	ops->on_close(&conn, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ports_rules rules[2];

	if (!linuxes[0]) {
		const char *wrong[2];

		check(ports_rules_read(&rules[0], "tcp:80:81 udp:82", "tcp:90-99",
				       wrong));
		check(!ports_new(NULL, NULL, 0, "a", &rules[0], &linuxes[0]));
		check(!ports_new(NULL, SECOND, 1, "b", &rules[1], &linuxes[1]));
	}
	used_count = others = 0;
	ports_linux_up(linuxes[0]);
	ports_linux_up(linuxes[1]);
	while (size >= 2) {
		size_t len = data[1] < size - 2 ? data[1] : size - 2;
		unsigned which = data[0] & 1, what = data[0] >> 1 & 7;

		if (what == 0) {
			link_down(which);
			ports_linux_up(linuxes[which]);
		} else if (what == 1) {
			other(which == 1, (uint16_t)(data[1] + 1));
			len = 0;
		} else if (what == 2) {
			ports_tick();
			len = 0;
		} else {
			talk(which, data + 2, len, 1 + (data[0] >> 4));
		}
		shown = 0;
		ports_each(line, NULL);
		check(shown + others == used_count);
		data += 2 + len;
		size -= 2 + len;
	}
	link_down(0);
	link_down(1);
	return 0;
}
