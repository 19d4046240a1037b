/* SPDX-License-Identifier: MIT */
/*
 * See neighbours.h. Pure. lwIP says nothing of an address that it gives up, which it
 * does within 5 seconds, of IPv6 within 3, but not before 2; and one that it gets a
 * packet for afterwards it asks for anew. So there are packets for it in the first 2
 * seconds alone, and its place is kept until lwIP's is free for sure.
 */
#include <string.h>

#include "host-bridge/net/neighbours.h"

#define GIVEN_MS	2000u
#define KEPT_MS		5000u
/* Who has answered keeps his place so long: a sender can have only so many others
 * pushed out of lwIP's table by those that do answer. */
#define ANSWERED_MS	250u

struct neighbour {
	bool used;
	uint8_t address[16];
	uint64_t asked;			/* ms */
	unsigned packets;		/* that may be waiting yet */
	size_t bytes;
};

struct sender {
	uint64_t looked;		/* ms */
	struct neighbour asked[NEIGHBOURS_ASKED];
};

static struct sender senders[NEIGHBOURS_SENDERS];

/* Forgets who is over. Once in a millisecond: who floods pays for no more. */
static void look(struct sender *s, uint64_t now,
		 bool (*known)(const uint8_t address[16]))
{
	if (s->looked == now) {
		return;
	}
	s->looked = now;
	for (unsigned i = 0; i < NEIGHBOURS_ASKED; i++) {
		struct neighbour *n = &s->asked[i];
		uint64_t age = now - n->asked;

		if (!n->used) {
			continue;
		}
		if (known(n->address)) {
			n->packets = 0;
			n->bytes = 0;
			n->used = age < ANSWERED_MS;
		} else if (age >= KEPT_MS) {
			n->used = false;
		}
	}
}

/** See neighbours.h. */
bool neighbours_wait(unsigned sender, const uint8_t address[16], size_t len,
		     uint64_t now_ms,
		     bool (*known)(const uint8_t address[16]))
{
	struct sender *s = &senders[sender];
	struct neighbour *at = NULL, *room = NULL;
	unsigned packets = 1;
	size_t bytes = len;

	look(s, now_ms, known);
	for (unsigned i = 0; i < NEIGHBOURS_ASKED; i++) {
		struct neighbour *n = &s->asked[i];

		if (!n->used) {
			room = n;
			continue;
		}
		if (memcmp(n->address, address, 16) == 0) {
			at = n;
		}
		packets += n->packets;
		bytes += n->bytes;
	}
	if (packets > NEIGHBOURS_PACKETS || bytes > NEIGHBOURS_BYTES ||
	    (at ? now_ms - at->asked >= GIVEN_MS : !room)) {
		return false;
	}
	if (!at) {
		at = room;
		*at = (struct neighbour){ .used = true, .asked = now_ms };
		memcpy(at->address, address, 16);
	}
	at->packets++;
	at->bytes += len;
	return true;
}
