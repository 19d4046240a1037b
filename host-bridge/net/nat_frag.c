// SPDX-License-Identifier: MIT
/*
 * Datagrams in fragments: only the first has ports. What became of it is kept, and
 * the others follow. Those that come before it are held, so many bytes of each
 * source, and none for long. Nothing is put together here, so what overlaps is
 * for the receiver to judge. [RFC 4787 REQ-14]
 */
#include <stdlib.h>

#include "host-bridge/net/nat_int.h"

/** What all fragments of a datagram have in common; before addresses change. */
void nat_frag_key(const struct look *k, uint8_t key[40])
{
	memset(key, 0, 40);
	memcpy(key, k->ip + k->addr[FROM], 2u * k->addr_len);
	memcpy(key + 32, &k->id, 4);
	key[36] = k->frag_proto;
	key[37] = k->six;
}

/* What is held of a datagram is nobody's any more, and not reckoned with. */
static struct nat_held *take_held(struct nat_part *part, struct nat_frag *f)
{
	struct nat_held *held = f->held;

	part->held -= f->bytes;
	f->bytes = 0;
	f->held = NULL;
	return held;
}

static struct nat_held *held_free(struct nat_held *held)
{
	struct nat_held *next = held->next;

	free(held);
	return next;
}

static void frag_free(struct nat_part *part, struct nat_frag *f)
{
	struct nat_held *held = take_held(part, f);

	for (; held != NULL; held = held_free(held)) {
		part->counts[NAT_LOST_FRAGMENT]++;
	}
	f->used = false;
}

/** Forgets datagrams of a source that are too old, or all. */
void nat_frag_expire(struct nat *n, unsigned from, bool all)
{
	struct nat_part *part = &n->part[from];

	for (unsigned i = 0; i < FRAGS; i++) {
		struct nat_frag *f = &part->frag[i];

		if (f->used && (all || n->now - f->born >= FRAG_MS)) {
			frag_free(part, f);
		}
	}
}

/* The datagram of that key, or a new one in the place of the oldest of its half of
 * the table: good is one whose first fragment is there and passes, which none
 * that is not so takes away. */
static struct nat_frag *frag_of(struct nat *n, unsigned from,
				const uint8_t key[40], bool good)
{
	struct nat_part *part = &n->part[from];
	struct nat_frag *old = &part->frag[good ? FRAGS / 2 : 0];

	for (unsigned i = 0; i < FRAGS; i++) {
		struct nat_frag *f = &part->frag[i];

		if (f->used && n->now - f->born < FRAG_MS &&
		    memcmp(f->key, key, sizeof(f->key)) == 0) {
			return f;
		}
		if (i / (FRAGS / 2) == good && old->used &&
		    (!f->used || f->born < old->born)) {
			old = f;
		}
	}
	frag_free(part, old);
	*old = (struct nat_frag){ .used = true, .born = n->now };
	memcpy(old->key, key, sizeof(old->key));
	return old;
}

/* Does to a later fragment what was done to the first. */
static enum nat_way follow(struct nat *n, unsigned from, struct nat_frag *f,
			   struct look *k, unsigned *to)
{
	*to = f->to;
	if (f->way != NAT_WIRE && f->way != NAT_LINUX) {
		return f->way == NAT_DROP ? nat_drop(n, from, NAT_LOST_FRAGMENT)
					  : f->way;
	}
	if (look_hops(k) <= 1) {
		return nat_drop(n, from, NAT_TTL);
	}
	look_change(k, FROM, f->addr[FROM], 0);
	look_change(k, TO, f->addr[TO], 0);
	look_hop(k);
	return f->way;
}

/** The first fragment went that way, changed; those that wait for it follow. */
void nat_frag_first(struct nat *n, unsigned from, const uint8_t key[40],
		    const struct look *k, enum nat_way way, unsigned to)
{
	struct nat_frag *f = frag_of(n, from, key, way != NAT_DROP);
	struct nat_held *held;

	f->known = true;
	f->way = way;
	f->to = to;
	memcpy(f->addr[FROM], k->ip + k->addr[FROM], k->addr_len);
	memcpy(f->addr[TO], k->ip + k->addr[TO], k->addr_len);
	held = take_held(&n->part[from], f);
	for (; held != NULL; held = held_free(held)) {
		struct net_packet p = {
			.data = held->data + NET_HEADROOM, .len = held->len,
			.space = held->len,
		};
		struct look later;

		way = look_at(&later, p.data, p.len, NULL) ?
		      follow(n, from, f, &later, &to) : NAT_DROP;
		if (way != NAT_DROP) {
			n->config.deliver(n->config.arg, way, to, &p);
		}
	}
}

/** A fragment that is not the first. */
enum nat_way nat_frag_later(struct nat *n, unsigned from, struct look *k,
			    unsigned *to)
{
	struct nat_part *part = &n->part[from];
	struct nat_held *held;
	struct nat_frag *f;
	uint8_t key[40];
	size_t size;

	nat_frag_key(k, key);
	part->counts[NAT_FRAGMENTS]++;
	f = frag_of(n, from, key, false);
	if (f->known) {
		return follow(n, from, f, k, to);
	}
	size = sizeof(*held) + NET_HEADROOM + k->len;
	held = part->held + size > HELD_BYTES ? NULL : malloc(size);
	if (held == NULL) {
		return nat_drop(n, from, NAT_LOST_FRAGMENT);
	}
	held->next = f->held;
	held->len = k->len;
	memcpy(held->data + NET_HEADROOM, k->ip, k->len);
	f->held = held;
	f->bytes += size;
	part->held += size;
	return NAT_HELD;
}
