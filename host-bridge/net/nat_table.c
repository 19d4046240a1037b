// SPDX-License-Identifier: MIT
/*
 * Mappings and sessions. A mapping joins a port of Linux's to one of the outside
 * address, whoever it speaks to [RFC 4787 REQ-1; RFC 5382 REQ-1], and is there
 * while it has a session or is fixed. A session is a mapping's with one other
 * address, of TCP with one port of it. All of a Linux's are its own, in number
 * fixed; when they are used up, the one goes that has been idle longest among the
 * first class that has any, but none of an open TCP connection.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/net/nat_int.h"

#define SEEN_SYN_LINUX	1u
#define SEEN_SYN_WIRE	2u
#define SEEN_FIN_LINUX	4u
#define SEEN_FIN_WIRE	8u
#define SEEN_RST	16u
#define SEEN_OPEN	32u		/* the wire knows the number of Linux's SYN */
#define SEEN_LINUX	64u
#define SEEN_WIRE	128u

#define TRIES		64u		/* ports, by chance */
#define WINDOW		0x10000u	/* an acknowledged SYN, and what came with it */

/** Whether there may be one more of what there may be rate of in a second. */
bool nat_pass(struct nat_bucket *b, uint64_t now, unsigned rate)
{
	uint64_t most = (uint64_t)rate * 500 + 1000;

	b->tokens += (now - b->at) * rate;
	b->tokens = b->tokens < most && now - b->at < 10000 ? b->tokens : most;
	b->at = now;
	if (b->tokens < 1000) {
		return false;
	}
	b->tokens -= 1000;
	return true;
}

/* ---- Tables ---- */

/* Multiplied by odd numbers that nobody knows, and added; the upper bits. */
static struct nat_session **session_bucket(const struct nat *n,
					   const struct nat_key *key)
{
	uint64_t word[3], sum = 0;

	static_assert(sizeof(*key) == sizeof(word), "hashed as bytes");
	memcpy(word, key, sizeof(word));
	for (unsigned i = 0; i < 3; i++) {
		sum += (word[i] ^ word[i] >> 32) * n->config.seed[i];
	}
	return &n->sessions[sum * n->config.seed[3] >> (64 - n->bits)];
}

static struct nat_mapping **mapping_bucket(const struct nat *n,
					   struct nat_mapping **table,
					   unsigned who, bool six,
					   uint8_t proto, uint16_t port)
{
	uint64_t key = (uint64_t)who << 32 | (uint64_t)six << 24 |
		       (uint64_t)proto << 16 | port;

	return &table[key * n->config.seed[0] >> (64 - n->bits)];
}

/** The mapping that a port of the outside address has, or NULL. */
struct nat_mapping *nat_by_outside(const struct nat *n, bool six, uint8_t proto,
				   uint16_t port)
{
	struct nat_mapping *m = *mapping_bucket(n, n->outer, 0, six, proto, port);

	while (m != NULL && (m->outside != port || m->proto != proto ||
			     m->six != six)) {
		m = m->outer;
	}
	return m;
}

static struct nat_mapping *by_inside(const struct nat *n, unsigned which,
				     bool six, uint8_t proto, uint16_t port)
{
	struct nat_mapping *m = *mapping_bucket(n, n->inside, which, six, proto,
						port);

	while (m != NULL && (m->inside != port || m->proto != proto ||
			     m->six != six || m->which != which)) {
		m = m->inner;
	}
	return m;
}

/* A mapping in both tables, the newest first; NULL: no more. */
static struct nat_mapping *mapping_new(struct nat *n, unsigned which, bool six,
				       uint8_t proto, uint16_t inside,
				       uint16_t outside)
{
	struct nat_mapping *m = pool_take(&n->part[which].mappings), **in, **out;

	if (m == NULL) {
		return NULL;
	}
	in = mapping_bucket(n, n->inside, which, six, proto, inside);
	out = mapping_bucket(n, n->outer, 0, six, proto, outside);
	*m = (struct nat_mapping){
		.inner = *in, .outer = *out, .inside = inside,
		.outside = outside, .which = (uint8_t)which, .proto = proto,
		.six = six,
	};
	*in = *out = m;
	return m;
}

/* It goes, unless it is needed. */
static void mapping_put(struct nat *n, struct nat_mapping *m)
{
	struct nat_mapping **in, **out;

	if (m->sessions != 0 || m->fixed) {
		return;
	}
	in = mapping_bucket(n, n->inside, m->which, m->six, m->proto, m->inside);
	out = mapping_bucket(n, n->outer, 0, m->six, m->proto, m->outside);
	while (*in != m) {
		in = &(*in)->inner;
	}
	while (*out != m) {
		out = &(*out)->outer;
	}
	*in = m->inner;
	*out = m->outer;
	pool_give(&n->part[m->which].mappings, m);
}

static void unfix(struct nat *n, struct nat_mapping *m)
{
	n->part[m->which].fixed -= m->fixed;
	m->fixed = false;
	mapping_put(n, m);
}

static uint32_t chance(struct nat *n)
{
	n->random += 0x9e3779b97f4a7c15u;
	return (uint32_t)((n->random ^ n->random >> 29) * n->config.seed[1] >> 32);
}

static bool is_free(const struct nat *n, bool six, uint8_t proto, uint16_t port)
{
	return nat_by_outside(n, six, proto, port) == NULL &&
	       !n->config.taken(n->config.arg, six, proto, port);
}

/* A port of the outside address for one of Linux's: the same, or one of the same
 * range and parity; 0: none is free. [RFC 4787 REQ-3, REQ-4] */
static uint16_t choose(struct nat *n, bool six, uint8_t proto, uint16_t inside)
{
	uint16_t first = inside < NAT_FIRST ? NAT_FIRST / 2 : NAT_RANDOM;
	uint16_t last = inside < NAT_FIRST ? NAT_FIRST - 1 : NAT_LAST;

	if (inside != 0 && inside <= NAT_LAST && is_free(n, six, proto, inside)) {
		return inside;
	}
	for (unsigned i = 0; i < TRIES; i++) {
		uint16_t port = (uint16_t)(first + chance(n) % (last - first + 1u));

		port = (uint16_t)((port & ~1u) | (inside & 1u));
		if (is_free(n, six, proto, port)) {
			return port;
		}
	}
	return 0;
}

/* ---- Sessions ---- */

static void unlist(struct nat_part *part, struct nat_session *s)
{
	*(s->older != NULL ? &s->older->newer : &part->list[s->class].oldest) =
		s->newer;
	*(s->newer != NULL ? &s->newer->older : &part->list[s->class].newest) =
		s->older;
}

/* Into a class, as its newest. */
static void list(struct nat *n, struct nat_session *s, uint8_t class)
{
	struct nat_part *part = &n->part[s->key.which];

	s->class = class;
	s->used = n->now;
	s->newer = NULL;
	s->older = part->list[class].newest;
	*(s->older != NULL ? &s->older->newer : &part->list[class].oldest) = s;
	part->list[class].newest = s;
}

/** A session ends. */
void nat_session_free(struct nat *n, struct nat_session *s)
{
	struct nat_part *part = &n->part[s->key.which];
	struct nat_session **link = session_bucket(n, &s->key);

	while (*link != s) {
		link = &(*link)->next;
	}
	*link = s->next;
	unlist(part, s);
	s->mapping->sessions--;
	mapping_put(n, s->mapping);
	pool_give(&part->sessions, s);
	part->count--;
}

static bool is_over(const struct nat *n, const struct nat_session *s)
{
	return n->now - s->used >= n->config.timeout[s->class];
}

/** The session of that key, or NULL. */
struct nat_session *nat_find(struct nat *n, const struct nat_key *key)
{
	struct nat_session *s = *session_bucket(n, key);

	while (s != NULL && memcmp(&s->key, key, sizeof(*key)) != 0) {
		s = s->next;
	}
	if (s != NULL && is_over(n, s)) {
		n->part[key->which].counts[NAT_EXPIRED]++;
		nat_session_free(n, s);
		return NULL;
	}
	return s;
}

/* A session, if need be by ending another; or NULL. */
static struct nat_session *make_room(struct nat *n, struct nat_part *part)
{
	struct nat_session *room = pool_take(&part->sessions);

	for (unsigned i = 0; room == NULL && i < NAT_CLASSES; i++) {
		struct nat_session *s = part->list[i].oldest;

		if (s != NULL && (i != NAT_TCP || is_over(n, s))) {
			part->counts[NAT_EVICTED]++;
			nat_session_free(n, s);
			room = pool_take(&part->sessions);
		}
	}
	return room;
}

/* The mapping that one of Linux's ports has, or gets; NULL with *why. */
static struct nat_mapping *mapping_for(struct nat *n, const struct nat_key *key,
				       enum nat_count *why)
{
	struct nat_mapping *m = by_inside(n, key->which, key->six, key->proto,
					  key->inside);
	uint16_t port;

	if (m != NULL) {
		return m;
	}
	port = choose(n, key->six, key->proto, key->inside);
	if (port == 0) {
		*why = NAT_NO_PORT;
		return NULL;
	}
	return mapping_new(n, key->which, key->six, key->proto, key->inside, port);
}

/**
 * A session begins; there is none of that key. m: it came from the wire to this
 * mapping; NULL: from Linux, which gets one if it has none. NULL with *why if
 * there can be none.
 */
struct nat_session *nat_begin(struct nat *n, const struct nat_key *key,
			      struct nat_mapping *m, enum nat_count *why)
{
	struct nat_part *part = &n->part[key->which];
	struct nat_part *who = m != NULL ? &n->part[NAT_LINUXES] : part;
	struct nat_session *s, **link = session_bucket(n, key);

	*why = NAT_TOO_FAST;
	if (!nat_pass(&who->fresh, n->now, n->config.rate)) {
		return NULL;
	}
	*why = NAT_FULL;
	if (m != NULL) {
		m->sessions++;		/* so that it stays now */
	}
	s = make_room(n, part);
	if (m == NULL && s != NULL) {
		m = mapping_for(n, key, why);
		if (m == NULL) {
			pool_give(&part->sessions, s);
			return NULL;
		}
		m->sessions++;
	}
	if (s == NULL) {
		if (m != NULL) {
			m->sessions--;
			mapping_put(n, m);
		}
		return NULL;
	}
	*s = (struct nat_session){ .next = *link, .mapping = m, .key = *key };
	*link = s;
	list(n, s, key->proto == TCP ? NAT_TCP_NEW :
	     key->proto == UDP ? NAT_UDP_NEW : NAT_ICMP);
	part->count++;
	part->counts[NAT_BEGUN]++;
	return s;
}

/* What a TCP segment does to the connection. It is open when both ends have sent a
 * SYN and the wire has acknowledged Linux's, which who only pretends to be there
 * cannot do. [RFC 5382 REQ-2, REQ-5] */
static uint8_t track_tcp(struct nat_session *s, const uint8_t *tcp, bool wire)
{
	const unsigned fins = SEEN_FIN_LINUX | SEEN_FIN_WIRE;
	const unsigned syns = SEEN_SYN_LINUX | SEEN_SYN_WIRE;
	uint8_t flags = tcp[13];
	bool closed = (s->seen & SEEN_RST) != 0 || (s->seen & fins) == fins;

	if ((flags & TCP_RST) != 0) {
		s->seen |= SEEN_RST;
	} else if ((flags & TCP_SYN) != 0) {
		if (closed && (flags & TCP_ACK) == 0) {
			s->seen = 0;		/* the ports are used again */
		}
		s->seen |= wire ? SEEN_SYN_WIRE : SEEN_SYN_LINUX;
		s->isn = wire ? s->isn : net_get32(tcp + 4);
	} else if (!wire) {
		s->seen &= (uint8_t)~SEEN_RST;	/* the RST was none of its */
	}
	if ((flags & TCP_FIN) != 0) {
		s->seen |= wire ? SEEN_FIN_WIRE : SEEN_FIN_LINUX;
	}
	if (wire && (flags & TCP_ACK) != 0 && (s->seen & syns) == syns &&
	    net_get32(tcp + 8) - s->isn - 1 < WINDOW) {
		s->seen |= SEEN_OPEN;
	}
	return (s->seen & SEEN_OPEN) != 0 && (s->seen & SEEN_RST) == 0 &&
	       (s->seen & fins) != fins ? NAT_TCP : NAT_TCP_NEW;
}

/** A packet of a session's passes. */
void nat_track(struct nat *n, struct nat_session *s, const struct look *k,
	       bool wire)
{
	uint8_t class = s->class;

	if (k->proto == TCP) {
		class = track_tcp(s, k->ip + k->l4, wire);
	} else if (k->proto == UDP) {
		s->seen |= wire ? SEEN_WIRE : SEEN_LINUX;
		class = s->seen == (SEEN_WIRE | SEEN_LINUX) ? NAT_UDP
							    : NAT_UDP_NEW;
	}
	unlist(&n->part[s->key.which], s);
	list(n, s, class);
}

/** Ends a Linux's sessions of a family; its fixed mappings too, if fixed. */
void nat_forget(struct nat *n, unsigned which, bool six, bool fixed)
{
	struct nat_part *part = &n->part[which];

	for (unsigned i = 0; i < NAT_CLASSES; i++) {
		struct nat_session *s = part->list[i].oldest, *newer;

		for (; s != NULL; s = newer) {
			newer = s->newer;
			if (s->key.six == six) {
				nat_session_free(n, s);
			}
		}
	}
	for (size_t i = 0; fixed && i < (size_t)1 << n->bits; i++) {
		struct nat_mapping *m = n->outer[i], *next;

		for (; m != NULL; m = next) {
			next = m->outer;
			if (m->which == which && m->six == six) {
				unfix(n, m);
			}
		}
	}
}

/* ---- Ports that are always mapped ---- */

/**
 * What comes from the wire to the outside port goes to that port of a Linux.
 * Returns 0, EADDRINUSE: the port is another's, or the host's, or ENOSPC.
 */
int nat_forward(struct nat *n, unsigned which, bool six, uint8_t proto,
		uint16_t outside, uint16_t inside)
{
	struct nat_mapping *m = nat_by_outside(n, six, proto, outside);
	struct nat_part *part = &n->part[which];

	if (!part->up || (part->fixed == NAT_FIXED && (m == NULL || !m->fixed))) {
		return ENOSPC;
	}
	if (m != NULL && (m->which != which || m->inside != inside)) {
		return EADDRINUSE;
	}
	if (m == NULL) {
		if (!is_free(n, six, proto, outside)) {
			return EADDRINUSE;
		}
		m = mapping_new(n, which, six, proto, inside, outside);
	}
	if (m == NULL) {
		return ENOSPC;
	}
	part->fixed += !m->fixed;
	m->fixed = true;
	return 0;
}

/** No more; connections that there are stay. */
void nat_unforward(struct nat *n, bool six, uint8_t proto, uint16_t outside)
{
	struct nat_mapping *m = nat_by_outside(n, six, proto, outside);

	if (m != NULL) {
		unfix(n, m);
	}
}

/** Whether packets to this port of the outside address are a Linux's. */
bool nat_uses(const struct nat *n, bool six, uint8_t proto, uint16_t port)
{
	return nat_by_outside(n, six, proto, port) != NULL;
}

/** What has been idle for too long goes, some at a time. To be called each
 * second or so. */
void nat_tick(struct nat *n, uint64_t now_ms)
{
	n->now = now_ms > n->now ? now_ms : n->now;
	for (unsigned which = 0; which <= NAT_LINUXES; which++) {
		struct nat_part *part = &n->part[which];

		for (unsigned i = 0; i < NAT_CLASSES; i++) {
			struct nat_session *s = part->list[i].oldest;

			for (unsigned done = 0; done < 256 && s != NULL &&
			     is_over(n, s); done++) {
				part->counts[NAT_EXPIRED]++;
				nat_session_free(n, s);
				s = part->list[i].oldest;
			}
		}
		nat_frag_expire(n, which, false);
	}
}
