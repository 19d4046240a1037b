// SPDX-License-Identifier: MIT
/* What sockets between Linuxes need, and three Linuxes: sockets_fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/rt/notice.h"
#include "qemu-test/unit/sockets_fixture.h"

/* ---- What is below ---- */


struct vsock vs[LINUXES];
struct vsock_conn conns[CONNS];
const struct vsock_ops *ops;
const struct fuse_sockets *fuse;
struct sockets_linux *linuxes[LINUXES];
struct loop_timer *ticking;
unsigned notices;
bool knows, read_only;
struct vsock_conn *agent[LINUXES];

int vsock_listen(struct vsock *v, uint32_t port, const struct vsock_ops *o,
		 void *arg)
{
	assert_int_equal(port, SOCKETS_PORT);
	v->service = arg;
	ops = o;
	return 0;
}

size_t vsock_send(struct vsock_conn *c, const void *data, size_t len)
{
	size_t n = len < c->room ? len : c->room;

	if (!c->open || c->shut || c->reset) {
		return 0;
	}
	c->out = realloc(c->out, c->len + n + 1);
	memcpy(c->out + c->len, data, n);
	c->len += n;
	c->room -= n;
	c->want |= n < len;
	return n;
}

void vsock_shutdown(struct vsock_conn *c, unsigned flags)
{
	(void)flags;
	assert_true(c->open);
	c->shut = true;
}

void vsock_reset(struct vsock_conn *c)
{
	assert_true(c->open);
	c->reset = true;
}

void vsock_hold(struct vsock_conn *c, size_t bytes)
{
	c->held += bytes;
	assert_true(c->held <= 1u << 16);
}

void vsock_release(struct vsock_conn *c, size_t bytes)
{
	assert_true(bytes <= c->held);
	c->held -= bytes;
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
	return c->port;
}

void loop_timer_set(struct loop_timer *t, uint64_t ms,
		    void (*fn)(struct loop_timer *))
{
	(void)ms;
	t->fn = fn;
	t->deadline = 1;
	ticking = t;
}

void notice(const char *fmt, ...)
{
	(void)fmt;
	notices++;
}

void fuse_server_sockets(struct fuse_server *server,
			 const struct fuse_sockets *sockets)
{
	(void)server;
	fuse = sockets;
}

bool fuse_server_knows(struct fuse_server *server, const void *peer,
		       uint64_t nodeid, bool write)
{
	(void)server;
	(void)peer;
	(void)nodeid;
	return knows && !(write && read_only);
}

/* ---- Linuxes ---- */

struct vsock_conn *connect_from(unsigned who, uint32_t port)
{
	struct vsock_conn *c = conns;

	while (c->open) {
		c++;
	}
	assert_true(c < conns + CONNS);
	*c = (struct vsock_conn){
		.arg = vs[who].service, .open = true, .port = port,
		.room = OUT,
	};
	ops->on_open(c);
	return c;
}

void close_conn(struct vsock_conn *c)
{
	if (c->open) {
		ops->on_close(c, 0);
		c->open = false;
		free(c->out);
		c->out = NULL;
		c->len = 0;
	}
}

void raw(struct vsock_conn *c, const void *data, size_t len)
{
	if (!c->reset && !c->shut) {
		ops->on_data(c, data, len);
	}
}

void say(struct vsock_conn *c, uint32_t type, const void *body,
		size_t len)
{
	struct sockets_head head = { .type = type, .len = (uint32_t)len };
	uint8_t *frame = malloc(sizeof(head) + len);

	memcpy(frame, &head, sizeof(head));
	if (len > 0) {
		memcpy(frame + sizeof(head), body, len);
	}
	raw(c, frame, sizeof(head) + len);
	free(frame);
}

/* The next frame that a connection was sent; returns its type, 0: none. */
static uint32_t hear(struct vsock_conn *c, void *body, size_t *len)
{
	struct sockets_head head;

	if (c->len < sizeof(head)) {
		return 0;
	}
	memcpy(&head, c->out, sizeof(head));
	assert_true(c->len >= sizeof(head) + head.len);
	memcpy(body, c->out + sizeof(head), head.len);
	*len = head.len;
	c->len -= sizeof(head) + head.len;
	memmove(c->out, c->out + sizeof(head) + head.len, c->len);
	c->room += sizeof(head) + head.len;
	return head.type;
}

void expect(struct vsock_conn *c, uint32_t type, void *body, size_t len)
{
	uint8_t got[SOCKETS_DATA_MAX];
	size_t is = 0;

	assert_int_equal(hear(c, got, &is), type);
	assert_int_equal(is, len);
	if (len > 0) {
		memcpy(body, got, len);
	}
}

void expect_nothing(const struct vsock_conn *c)
{
	assert_int_equal(c->len, 0);
}

void make(unsigned who, uint64_t nodeid, uint32_t uid)
{
	const struct fuse_made made = {
		.nodeid = nodeid, .uid = uid, .gid = 7, .name = "s", .len = 1,
	};

	fuse->made(fuse->arg, &vs[who], &made);
}

/* A socket of A's that listens, as B's agent hears of it. */
struct sockets_open offered(uint32_t type, uint32_t uid)
{
	struct sockets_node node = { .nodeid = NODE };
	struct sockets_open open;
	uint8_t watch[sizeof(node) + 1];

	make(A, NODE, uid);
	expect(agent[A], SOCKETS_WATCH, watch, sizeof(watch));
	assert_memory_equal(watch, &node, sizeof(node));
	assert_int_equal(watch[sizeof(node)], 's');
	node.type = type;
	say(agent[A], SOCKETS_LISTENS, &node, sizeof(node));
	expect(agent[C], SOCKETS_OFFER, &open, sizeof(open));
	expect(agent[B], SOCKETS_OFFER, &open, sizeof(open));
	expect_nothing(agent[A]);
	return open;
}

/* A connection from B to it. */
void connected(struct sockets_open open, struct vsock_conn *end[2])
{
	struct sockets_accept accept = { .error = 0 };
	struct sockets_open ask;

	end[0] = connect_from(B, 201);
	say(end[0], SOCKETS_OPEN, &open, sizeof(open));
	expect(agent[A], SOCKETS_CONNECT, &ask, sizeof(ask));
	end[1] = connect_from(A, 202);
	accept.token = ask.token;
	say(end[1], SOCKETS_ACCEPT, &accept, sizeof(accept));
	assert_false(end[1]->reset || end[1]->shut);
}

int setup(void **state)
{
	static const char *const words[] = { "offer", " connect  root",
					     "connect offer" };
	static bool there;

	(void)state;
	for (unsigned i = 0; i < LINUXES; i++) {
		if (!there) {
			assert_int_equal(sockets_new(NULL, &vs[i], words[i],
						     "Linux", &linuxes[i]), 0);
		}
	}
	there = true;
	for (unsigned i = 0; i < LINUXES; i++) {
		agent[i] = connect_from(i, 200);
		say(agent[i], SOCKETS_CONTROL, NULL, 0);
		assert_false(agent[i]->reset);
	}
	notices = 0;
	knows = read_only = false;
	return 0;
}

/* All is over; nothing is left that was counted. */
int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CONNS; i++) {
		close_conn(&conns[i]);
	}
	for (unsigned i = 0; i < LINUXES; i++) {
		struct sockets_linux *ln = linuxes[i];

		sockets_down(ln);
		assert_null(ln->control);
		assert_int_equal(ln->names + ln->begun + ln->led + ln->links, 0);
	}
	return 0;
}
