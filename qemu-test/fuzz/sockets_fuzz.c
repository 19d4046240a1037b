// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: sockets between Linuxes. The input is what three Linuxes do, each
 * of them as it likes: frames in pieces, of any type and length, connections that come
 * and go, and the host as a client and as a server. What must hold: no bad access, and
 * nothing left in the end; bounds; what a Linux is sent are whole frames of the kinds
 * that are for it, none of which says "root" for another than a Linux whose root may be
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/sockets_fixture.h"

#define USED		24u		/* connections at a time */
#define OWNS		3u
#define NODES		6u
#define HOST_NODE	(NODE + NODES - 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *in;
static size_t left;
static uint64_t first_token;
static struct sockets_own *owns[OWNS];

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static uint8_t byte(void)
{
	left -= left > 0;
	return left > 0 ? *in++ : 0;
}

static uint64_t node(void)
{
	return NODE + byte() % NODES;
}

/* ---- What Linuxes hear ---- */

static bool is_users(const struct sockets_open *open)
{
	return open->uid != UINT32_MAX && open->gid != UINT32_MAX;
}

/* Nobody is told of a root but of B's, and of the host's own. */
static void check_open(uint32_t type, const struct sockets_open *open)
{
	const struct sockets_pair *pair = sockets_pairs_find(open->token);

	check(is_users(open));
	if (open->node.nodeid == HOST_NODE && type == SOCKETS_OFFER) {
		/* The host's, or a Linux's, as the names here have it. */
		return;
	}
	if (type == SOCKETS_OFFER) {
		check(open->uid != 0 && open->gid != 0);
	} else if (pair && !pair->begun_by->root) {
		check(open->uid != 0 && open->gid != 0);
	}
}

static void check_frame(const struct sockets_link *link,
			const struct sockets_head *head, const uint8_t *body)
{
	struct sockets_open open;

	switch (head->type) {
	case SOCKETS_WATCH:
		check(head->len == sizeof(struct sockets_node) + 1);
		break;
	case SOCKETS_OFFER:
	case SOCKETS_CONNECT:
		check(head->len == sizeof(open));
		memcpy(&open, body, sizeof(open));
		check_open(head->type, &open);
		break;
	case SOCKETS_WITHDRAW:
		check(head->len == sizeof(struct sockets_node));
		break;
	case SOCKETS_TOKEN:
		check(head->len == sizeof(struct sockets_token));
		break;
	case SOCKETS_DATA:
		check(head->len <= SOCKETS_DATA_MAX);
		break;
	case SOCKETS_FDS:
		check(head->len > 0 && head->len <= SOCKETS_BODY_MAX &&
		      head->len % sizeof(struct sockets_fd) == 0);
		break;
	default:
		check(head->type == SOCKETS_END || head->type == SOCKETS_NOREAD);
		check(head->len == 0);
	}
	check((link->phase == SOCKETS_CONTROLS) ==
	      (head->type >= SOCKETS_WATCH && head->type <= SOCKETS_CONNECT));
}

/* Takes the whole frames off what a connection was sent; makes room. */
static void hear(struct vsock_conn *c, size_t room)
{
	const struct sockets_link *link = c->arg;
	struct sockets_head head;
	size_t at = 0;

	while (link && c->len - at >= sizeof(head)) {
		memcpy(&head, c->out + at, sizeof(head));
		check(head.len <= SOCKETS_DATA_MAX);
		if (c->len - at - sizeof(head) < head.len) {
			break;
		}
		check_frame(link, &head, c->out + at + sizeof(head));
		at += sizeof(head) + head.len;
	}
	if (at > 0) {
		c->len -= at;
		memmove(c->out, c->out + at, c->len);
	}
	c->room = room;
	if (c->want) {
		c->want = false;
		ops->on_writable(c);
	}
}

/* ---- What they do ---- */

union body {
	struct sockets_open open;
	struct sockets_node node;
	struct sockets_accept accept;
	struct sockets_token token;
	struct sockets_fd fd[4];
	uint8_t bytes[600];
};

/* Mostly as it should be; returns its length. */
static size_t make_body(uint32_t type, union body *b)
{
	memset(b, 0, sizeof(*b));
	switch (type) {
	case SOCKETS_OPEN:
		b->open.node.nodeid = node();
		b->open.node.type = byte() & 1 ? SOCKETS_STREAM
					       : SOCKETS_SEQPACKET;
		b->open.uid = (uint32_t)(int8_t)byte();
		b->open.gid = (uint32_t)(int8_t)byte();
		return sizeof(b->open);
	case SOCKETS_LISTENS:
	case SOCKETS_GONE:
		b->node.nodeid = node();
		b->node.type = byte() & 1 ? SOCKETS_STREAM : SOCKETS_SEQPACKET;
		return sizeof(b->node);
	case SOCKETS_ACCEPT:
		b->accept.token = first_token + byte() % 32;
		b->accept.error = byte() & 3 ? 0 : 111;
		return sizeof(b->accept);
	case SOCKETS_TAKE:
		b->token.token = first_token + byte() % 32;
		return sizeof(b->token);
	case SOCKETS_FDS:
		for (unsigned i = 0; i < 4; i++) {
			uint8_t what = byte();

			b->fd[i].kind = what & 3;
			b->fd[i].id = first_token + (what >> 2) % 32;
			b->fd[i].flags = byte() & 7;
		}
		return (1u + byte() % 4) * sizeof(b->fd[0]);
	case SOCKETS_DATA:
		b->bytes[0] = byte();
		return byte() * 2;
	default:
		return 0;
	}
}

static void send_frame(struct vsock_conn *c)
{
	uint8_t what = byte(), how = byte();
	uint32_t type = what % 18;
	uint8_t frame[sizeof(struct sockets_head) + sizeof(union body)];
	struct sockets_head head = { .type = type };
	union body body;
	size_t len = make_body(type, &body), all;

	head.len = (uint32_t)len;
	if (how == 0) {
		head.len = (uint32_t)byte() << (byte() % 24);
	}
	memcpy(frame, &head, sizeof(head));
	memcpy(frame + sizeof(head), &body, sizeof(body));
	all = sizeof(head) + len;
	/* In one piece, or in two, or with an end that is missing. */
	if (how & 1) {
		size_t first = byte() % all;

		raw(c, frame, first + 1);
		if (how & 2 && first + 1 < all) {
			raw(c, frame + first + 1, all - first - 1);
		}
	} else {
		raw(c, frame, all);
	}
}

static void use_own(void)
{
	uint8_t what = byte();
	struct sockets_own **own = &owns[what % OWNS];
	uint8_t text[2000] = { 0 };

	if (!*own) {
		(void)sockets_own_connect(node(), own);
		return;
	}
	switch (what >> 4) {
	case 0:
		sockets_own_close(*own);
		*own = NULL;
		break;
	case 1:
		sockets_own_end(*own);
		break;
	case 2:
	case 3:
		check(sockets_own_write(*own, text, byte() * 8u) <= sizeof(text) + 40);
		break;
	default:
		check(sockets_own_read(*own, text, what) <= what);
	}
}

/* ---- The host's own ---- */

static unsigned served;

static bool came(struct sockets_own *own, const struct vsock *of)
{
	bool takes = of != &vs[C] || served < 2;

	sockets_own_set_arg(own, own);
	served += takes;
	return takes;
}

/* As what it reads says. */
static bool event(struct sockets_own *own)
{
	uint8_t text[64] = { 0 };
	size_t n = sockets_own_read(own, text, sizeof(text));

	check(n <= sizeof(text));
	if (text[0] & 1 || sockets_own_is(own) == SOCKETS_OWN_ENDED) {
		sockets_own_end(own);
	}
	if (text[0] & 2) {
		(void)sockets_own_write(own, text, n);
	}
	if (sockets_own_gone(own) || text[0] & 4) {
		served--;
		return false;
	}
	return true;
}

static void serve(void)
{
	static const struct sockets_server server = { came, event };
	static bool is_there;

	if (!is_there) {
		check(sockets_own_listen(HOST_NODE, &server) == 0);
	}
	is_there = true;
	for (unsigned i = 0; i < LINUXES; i++) {
		agent[i]->len = 0;
	}
}

static void use_conn(struct vsock_conn *c, uint8_t what)
{
	switch (what % 16) {
	case 0:
		close_conn(c);
		break;
	case 1:
		hear(c, byte() * 16u);
		break;
	case 2:
		if (!c->reset && !c->shut) {
			ops->on_shutdown(c, 1u + byte() % 3);
		}
		break;
	default:
		send_frame(c);
	}
}

static void step(void)
{
	uint8_t what = byte();
	struct vsock_conn *c = &conns[what % USED];

	what = byte();
	if (what >= 250) {
		make(what % LINUXES, node(), byte() & 1);
	} else if (what >= 225) {
		use_own();
	} else if (what == 224 && ticking && ticking->deadline != 0) {
		ticking->deadline = 0;
		ticking->fn(ticking);
	} else if (what == 223) {
		knows = byte() & 1;
		read_only = byte() & 1;
	} else if (what == 222) {
		sockets_reach(linuxes[byte() % LINUXES], byte() & 1);
	} else if (what == 221) {
		(void)fuse->stands_for(NULL, &vs[byte() % LINUXES], byte());
	} else if (c->open && (c->reset || c->shut)) {
		close_conn(c);
	} else if (c->open) {
		use_conn(c, what);
	} else {
		(void)connect_from(what % LINUXES,
				   byte() == 0 ? SOCKETS_RIGHT : 200);
	}
}

/* For half of the inputs a connection from B to A is there already. */
static void begin(void)
{
	struct vsock_conn *end[2];

	if (byte() & 1) {
		connected(offered(byte() & 1 ? SOCKETS_STREAM :
				  SOCKETS_SEQPACKET, byte() & 1), end);
	}
}

/* Tokens go on from one input to the next, but for what they are counted from. */
static void find_token(void)
{
	struct vsock_conn *c = connect_from(C, 200);
	struct sockets_token token;

	say(c, SOCKETS_PASS, NULL, 0);
	expect(c, SOCKETS_TOKEN, &token, sizeof(token));
	first_token = token.token + 1;
	close_conn(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = data;
	left = size + 1;
	check(setup(NULL) == 0);
	serve();
	find_token();
	begin();
	while (left > 1) {
		step();
		for (unsigned i = 0; i < LINUXES; i++) {
			check(linuxes[i]->begun <= SOCKETS_BEGUN &&
			      linuxes[i]->led <= SOCKETS_LED &&
			      linuxes[i]->names <= SOCKETS_NAMES &&
			      linuxes[i]->links <= SOCKETS_LINKS);
		}
	}
	for (unsigned i = 0; i < USED; i++) {
		if (conns[i].open) {
			hear(&conns[i], OUT);
		}
	}
	for (unsigned i = 0; i < OWNS; i++) {
		if (owns[i]) {
			sockets_own_close(owns[i]);
			owns[i] = NULL;
		}
	}
	for (unsigned i = 0; i < LINUXES; i++) {
		sockets_reach(linuxes[i], true);
	}
	check(teardown(NULL) == 0 && served == 0);
	return 0;
}
