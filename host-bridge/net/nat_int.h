/* SPDX-License-Identifier: MIT */
/* What the files of the NAT share. */
#ifndef ISTHMUS_NAT_INT_H
#define ISTHMUS_NAT_INT_H

#include "host-bridge/net/look.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/pool.h"

#define FRAGS		64u		/* datagrams of each source at once */
#define FRAG_MS		30000u
#define HELD_BYTES	0x20000u	/* of each source */

/* Of a mapping: a port of Linux's, and one of the host's outside address. */
struct nat_mapping {
	struct nat_mapping *inner, *outer;	/* the next in each table */
	unsigned sessions;
	uint16_t inside, outside;
	uint8_t which, proto;
	bool six, fixed;
};

/* Which session: hashed and compared as bytes. port: UDP and ICMP have none, so
 * that all ports of an address that Linux has spoken to may answer. */
struct nat_key {
	uint8_t remote[16];
	uint16_t port, inside;
	uint8_t proto, six, which, zero;
};

struct nat_session {
	struct nat_session *next;	/* of its bucket */
	struct nat_session *older, *newer;
	struct nat_mapping *mapping;
	uint64_t used;
	struct nat_key key;
	uint32_t isn;			/* of Linux's SYN */
	uint8_t class, seen;		/* SEEN_ */
};

struct nat_bucket {
	uint64_t at, tokens;		/* thousandths */
};

struct nat_held {
	struct nat_held *next;
	size_t len;
	uint8_t data[];			/* NET_HEADROOM, and the packet */
};

/* A datagram in fragments. */
struct nat_frag {
	uint64_t born;
	uint8_t key[40];		/* addresses, id, protocol */
	bool used, known;		/* known: the first has come */
	enum nat_way way;
	unsigned to;
	uint8_t addr[2][16];
	struct nat_held *held;
	size_t bytes;			/* of these, as the part reckons */
};

/* A Linux, or the wire: who sends. */
struct nat_part {
	bool up, known;			/* known: has ever been up */
	struct nat_link link;
	struct pool sessions, mappings;
	unsigned count, fixed;		/* sessions; fixed mappings */
	struct { struct nat_session *oldest, *newest; } list[NAT_CLASSES];
	struct nat_bucket fresh, errors;
	struct nat_frag frag[FRAGS];
	size_t held;
	uint64_t counts[NAT_COUNTS];
};

struct nat {
	struct nat_config config;
	struct nat_addr outside[2];
	bool has[2];
	unsigned mtu, bits, links;	/* links: that may be known */
	uint64_t now, random;
	struct nat_session **sessions;
	struct nat_mapping **inside, **outer;
	struct nat_part part[NAT_LINUXES + 1];
};

enum nat_refusal { ERROR_TTL, ERROR_TOO_BIG, ERROR_NO_ROUTE, ERROR_REFUSED };

/* nat_table.c */
bool nat_pass(struct nat_bucket *b, uint64_t now, unsigned rate);
struct nat_mapping *nat_by_outside(const struct nat *n, bool six, uint8_t proto,
				   uint16_t port);
struct nat_session *nat_find(struct nat *n, const struct nat_key *key);
struct nat_session *nat_begin(struct nat *n, const struct nat_key *key,
			      struct nat_mapping *m, enum nat_count *why);
void nat_track(struct nat *n, struct nat_session *s, const struct look *k,
	       bool wire);
void nat_session_free(struct nat *n, struct nat_session *s);
void nat_forget(struct nat *n, unsigned which, bool six, bool fixed);

/* nat_way.c */
struct nat_key nat_key(const struct look *k, unsigned which,
		       enum look_side remote, uint16_t inside);

/* nat_icmp.c */
bool nat_error_out(struct nat *n, unsigned which, struct look *k);
enum nat_way nat_error_in(struct nat *n, struct look *k, unsigned from,
			  unsigned *to);
void nat_refuse(struct nat *n, unsigned which, const struct look *k,
		enum nat_refusal why);

/* nat_frag.c */
void nat_frag_key(const struct look *k, uint8_t key[40]);
void nat_frag_first(struct nat *n, unsigned from, const uint8_t key[40],
		    const struct look *k, enum nat_way way, unsigned to);
enum nat_way nat_frag_later(struct nat *n, unsigned from, struct look *k,
			    unsigned *to);
void nat_frag_expire(struct nat *n, unsigned from, bool all);

/* Of the inside of a Linux, by family. */
static inline const uint8_t *nat_inside(const struct nat *n, unsigned which,
					bool six)
{
	return n->part[which].link.linux_end[six].b;
}

static inline enum nat_way nat_drop(struct nat *n, unsigned from,
				    enum nat_count why)
{
	n->part[from].counts[why]++;
	return NAT_DROP;
}

#endif
