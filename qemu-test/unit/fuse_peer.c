/* SPDX-License-Identifier: MIT */
/* Sessions that are played: see fuse_peer.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/rt/seed.h"
#include "qemu-test/unit/fuse_peer.h"

struct fixture f;
struct fuse_server *server;
struct peer peers[PEERS];
void (*peer_told)(struct peer *p, const struct said *m);

uint64_t seed_make(void)
{
	return 1;
}

/* What the server sends arrives whole. */
static bool arrive(void *arg, const struct volume_seg *segs, unsigned count)
{
	static _Alignas(8) uint8_t all[160 << 10];
	struct peer *p = arg;
	struct fuse_out_header h;
	size_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		memcpy(all + len, segs[i].data, segs[i].len);
		len += segs[i].len;
	}
	memcpy(&h, all, sizeof(h));
	assert_int_equal(h.len, len);
	len -= sizeof(h);
	if (h.unique != 0) {
		p->seen = h.unique;
		p->error = -h.error;
		memcpy(p->body, all + sizeof(h), len < sizeof(p->body) ? len :
		       sizeof(p->body));
		return true;
	}
	assert_true(len <= sizeof(p->said->body));
	if (peer_told != NULL) {
		struct said one = { .code = h.error, .len = (uint32_t)len };

		memcpy(one.body, all + sizeof(h), len);
		p->count++;
		peer_told(p, &one);
		return true;
	}
	if ((p->count & (p->count + 1)) == 0) {
		p->said = realloc(p->said, (2 * p->count + 1) *
				  sizeof(struct said));
		assert_non_null(p->said);
	}
	p->said[p->count] = (struct said){ .code = h.error,
					   .len = (uint32_t)len };
	memcpy(p->said[p->count++].body, all + sizeof(h), len);
	return true;
}

static void end(void *arg)
{
	((struct peer *)arg)->ended = true;
}

static const struct fuse_conn_ops ops = { .send = arrive, .end = end };

/* Sends a request: body, then names with their NULs. */
uint64_t ask(struct peer *p, uint32_t opcode, uint64_t nodeid,
		    const void *body, size_t len, const char *name)
{
	_Alignas(8) uint8_t message[2048];
	size_t name_len = name ? strlen(name) + 1 : 0;
	struct fuse_in_header h = {
		.len = (uint32_t)(sizeof(h) + len + name_len),
		.opcode = opcode, .nodeid = nodeid,
		.unique = opcode == FUSE_CHANNEL_HELLO ? UINT64_MAX :
			  (p->unique += 2),
	};
	size_t used;

	memcpy(message, &h, sizeof(h));
	if (body != NULL) {
		memcpy(message + sizeof(h), body, len);
	}
	if (name != NULL) {
		memcpy(message + sizeof(h) + len, name, name_len);
	}
	(void)fuse_conn_input(p->conn, message, h.len, UINT64_MAX, &used);
	return h.unique;
}

/* Its reply's error, or NONE. */
int reply(const struct peer *p, uint64_t unique)
{
	return p->seen == unique ? p->error : NONE;
}

void connect_peer(struct peer *p)
{
	struct fuse_channel_hello hello = {
		.version = FUSE_CHANNEL_VERSION, .session = p->id,
		.notified = p->acked,
	};

	p->ended = false;
	p->conn = fuse_conn_new(server, &ops, p, p);
	assert_int_equal(reply(p, ask(p, FUSE_CHANNEL_HELLO, 0, &hello,
				      sizeof(hello), NULL)), 0);
}

void ack(struct peer *p, unsigned count)
{
	struct fuse_channel_done done = { .notified = count };

	p->acked = count;
	(void)ask(p, FUSE_NOTIFY_REPLY, 0, &done, sizeof(done), NULL);
}

void ack_all(struct peer *p)
{
	while (p->acked < p->count) {
		ack(p, p->count);
	}
}

int setup(void **state)
{
	(void)state;
	fixture_open(&f, 16, "-N 4096");
	server = fuse_server_new(f.vol, NULL);
	for (unsigned i = 0; i < PEERS; i++) {
		struct peer *p = &peers[i];
		struct fuse_init_in in = {
			.major = FUSE_KERNEL_VERSION, .minor = 36,
		};

		*p = (struct peer){ .id = i + 1 };
		connect_peer(p);
		assert_int_equal(reply(p, ask(p, FUSE_INIT, 0, &in, sizeof(in),
					      NULL)), 0);
		/* So that it knows the root. */
		assert_int_equal(reply(p, ask(p, FUSE_LOOKUP, FUSE_ROOT_ID,
					      NULL, 0, "nothing")), 0);
	}
	return 0;
}

int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PEERS; i++) {
		fuse_conn_free(peers[i].conn);
		free(peers[i].said);
	}
	fuse_server_free(server);
	fixture_close(&f);
	return 0;
}

/* ---- Requests ---- */

uint64_t look_up(struct peer *p, const char *name)
{
	return ask(p, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, name);
}

/* LOOKUP that must be answered at once; the node, 0 if there is none. */
uint64_t node_of(struct peer *p, const char *name)
{
	assert_int_equal(reply(p, look_up(p, name)), 0);
	return ((struct fuse_entry_out *)p->body)->nodeid;
}

uint64_t make(struct peer *p, const char *name)
{
	struct fuse_mknod_in in = { .mode = VOLUME_S_IFREG | 0644 };

	return ask(p, FUSE_MKNOD, FUSE_ROOT_ID, &in, sizeof(in), name);
}

/* OPEN for writing, answered at once. */
struct fuse_open_out open_it(struct peer *p, uint64_t nodeid)
{
	struct fuse_open_in in = { .flags = 1 };

	assert_int_equal(reply(p, ask(p, FUSE_OPEN, nodeid, &in, sizeof(in),
				      NULL)), 0);
	return *(struct fuse_open_out *)p->body;
}

uint64_t write_it(struct peer *p, uint64_t nodeid, uint64_t offset,
			 const char *text, uint32_t flags)
{
	struct {
		struct fuse_write_in in;
		char text[64];
	} body = { .in = { .offset = offset, .size = (uint32_t)strlen(text),
			   .write_flags = flags } };

	memcpy(body.text, text, strlen(text));
	return ask(p, FUSE_WRITE, nodeid, &body,
		   sizeof(body.in) + strlen(text), NULL);
}

/* ---- What was said ---- */

/* The first message with that code from number *at on; NULL: none. */
const struct said *said(const struct peer *p, int code, unsigned *at)
{
	for (; *at < p->count; (*at)++) {
		if (p->said[*at].code == code) {
			return &p->said[(*at)++];
		}
	}
	return NULL;
}

bool said_name(const struct peer *p, unsigned from, const char *name)
{
	const struct said *m;

	while ((m = said(p, FUSE_NOTIFY_INVAL_ENTRY, &from)) != NULL) {
		struct fuse_notify_inval_entry_out out;

		memcpy(&out, m->body, sizeof(out));
		if (out.parent == FUSE_ROOT_ID &&
		    strcmp((const char *)m->body + sizeof(out), name) == 0) {
			return true;
		}
	}
	return false;
}

/* The last ATTR of a node from a number on. */
bool said_attr(const struct peer *p, unsigned from, uint64_t nodeid,
		      struct fuse_channel_attr *attr)
{
	const struct said *m;
	bool found = false;

	while ((m = said(p, FUSE_CHANNEL_NOTIFY_ATTR, &from)) != NULL) {
		struct fuse_channel_attr one;

		memcpy(&one, m->body, sizeof(one));
		if (one.nodeid == nodeid) {
			*attr = one;
			found = true;
		}
	}
	return found;
}

bool said_node(const struct peer *p, unsigned from, int code,
		      uint64_t nodeid)
{
	const struct said *m;

	while ((m = said(p, code, &from)) != NULL) {
		if (memcmp(m->body, &nodeid, sizeof(nodeid)) == 0) {
			return true;
		}
	}
	return false;
}

/* An event with that mask and name; *cookie is its. */
bool said_event(const struct peer *p, unsigned from, uint32_t mask,
		       const char *name, uint32_t *cookie)
{
	const struct said *m;

	while ((m = said(p, FUSE_CHANNEL_NOTIFY_EVENT, &from)) != NULL) {
		struct fuse_channel_event ev;

		memcpy(&ev, m->body, sizeof(ev));
		assert_int_equal(m->len, sizeof(ev) + ev.namelen);
		if ((ev.mask & mask) && ev.namelen == strlen(name) &&
		    memcmp(m->body + sizeof(ev), name, ev.namelen) == 0) {
			*cookie = ev.cookie;
			return true;
		}
	}
	return false;
}

bool settle(void)
{
	for (unsigned i = 0; i < PEERS; i++) {
		ack_all(&peers[i]);
	}
	return fuse_server_settled(server);
}
