/* SPDX-License-Identifier: MIT */
/*
 * Segments of TCP that come one after the other, made one: who gets them has a
 * packet of up to 64 KiB to do with in place of 45. Of acknowledgements with no data
 * the last one is enough [RFC 3449 "ACK Filtering"]. Each is held for as long as the
 * card's turn is, and is looked at closely: what does not fit goes its own way, in
 * order. Pure. [RFC 9293; RFC 791; RFC 8200]
 */
#ifndef ISTHMUS_JOIN_H
#define ISTHMUS_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/net/packet.h"

#define JOIN_MAX	65520u		/* bytes of a packet */

/* What is known of a packet's sum of TCP: nothing; it is right; it is that of the
 * addresses, as the sender is in this computer. */
enum join_sum { JOIN_UNKNOWN, JOIN_RIGHT, JOIN_OPEN };

struct join {
	/* A packet, whole or made of several, until this returns. */
	void (*out)(struct net_packet *packet);
	unsigned count;			/* segments that are held */
	size_t len, header;		/* of all; before TCP's bytes */
	uint16_t size;			/* TCP's bytes in each but the last; or 0 */
	uint32_t next;			/* sequence number */
	bool open;			/* the sum of the last one */
	uint8_t room[NET_HEADROOM + JOIN_MAX];
};

/* The bytes before TCP's of a packet that may be joined; 0: it may not. len: as its
 * IP header says. */
size_t join_header(const uint8_t *ip, size_t len);
/* Such a packet: true, it is held; else it has a wrong sum. */
bool join_take(struct join *j, const uint8_t *ip, size_t len, size_t header,
	       enum join_sum sum);
/* What is held goes out: before all that is not taken, and when a turn ends. */
void join_flush(struct join *j);

#endif
