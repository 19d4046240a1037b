/* SPDX-License-Identifier: MIT */
/* IP packets taken apart, and changed in place with their checksums. */
#ifndef ISTHMUS_LOOK_H
#define ISTHMUS_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/net/packet.h"

#define ICMP4		1u
#define TCP		6u
#define UDP		17u
#define ICMP6		58u
#define TCP_FIN		1u
#define TCP_SYN		2u
#define TCP_RST		4u
#define TCP_ACK		16u

/* What a packet is to a NAT. */
enum look_kind {
	LOOK_OTHER,
	LOOK_PORTS,			/* TCP, UDP */
	LOOK_QUERY, LOOK_REPLY,		/* ICMP, with an id */
	LOOK_ERROR,			/* ICMP, with a packet in it */
	LOOK_LATER,			/* a fragment that is not the first */
};

enum look_side { FROM, TO };

/* A packet taken apart: offsets are from ip on, 0 where there is none. */
struct look {
	uint8_t *ip;
	size_t len;			/* what is there of it */
	bool six, more, options, partial;
	uint8_t proto, frag_proto;
	enum look_kind kind;
	unsigned addr[2], addr_len;	/* by enum look_side */
	unsigned at[2];			/* of the ports, or of the id */
	uint16_t port[2];
	unsigned l4, csum;
	uint32_t id;
	const struct look *outer;	/* the ICMP error that it is in */
};

bool look_at(struct look *k, uint8_t *ip, size_t len, const struct look *outer);
bool look_offload(struct look *k, const struct net_packet *p);
void look_change(struct look *k, enum look_side side, const uint8_t *addr,
		 uint16_t port);
void look_hop(struct look *k);
unsigned look_hops(const struct look *k);
bool look_error_valid(const struct look *k);

#endif
