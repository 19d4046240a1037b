/* SPDX-License-Identifier: MIT */
/* A NAT between two Linuxes and a wire, packets to send, and a second opinion on
 * checksums. */
#ifndef NAT_FIXTURE_H
#define NAT_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/net/nat.h"

#define FIN	1u
#define SYN	2u
#define RST	4u
#define ACK	16u

#define ICMP	1u
#define TCP	6u
#define UDP	17u
#define ICMPV6	58u

/* Who: an address of both families. */
enum who { LINUX_0, LINUX_1, GATE_0, GATE_1, OUTSIDE, PEER, OTHER, WHOS };

extern const struct nat_addr whos[WHOS][2];

/* A packet to be made. */
struct spec {
	bool six;
	uint8_t proto;
	enum who from, to;
	uint16_t sport, dport;		/* ICMP: id, and nothing */
	uint8_t type, code;		/* ICMP */
	uint8_t flags, hops;		/* TCP; 0: 64 hops */
	uint32_t seq, ack;
	unsigned payload;
	bool df, more, partial, no_csum, options;
	uint16_t offset;		/* of the fragment, in bytes */
	uint32_t id;
	const uint8_t *inner;		/* an ICMP error's */
	unsigned inner_len;
};

struct packet {
	uint8_t room[NET_HEADROOM + 70000];
	struct net_packet p;
};

void make(struct packet *packet, const struct spec *spec);
/* Whether all checksums that can be judged are right, of what is within too. */
bool sums_right(const uint8_t *ip, size_t len, bool partial);
/* Without what is within an ICMP error. */
bool header_right(const uint8_t *ip, size_t len);

/* What the NAT delivered by itself. */
struct delivered {
	enum nat_way way;
	unsigned to;
	size_t len;
	uint8_t data[1600];
};

extern struct nat *nat;
extern struct delivered delivered[64];
extern unsigned deliveries;
extern uint64_t now;
extern bool down_by_delivery;		/* each ends LINUX_0 */
extern unsigned host_proto, host_port;	/* open to Linux */
extern unsigned taken_from, taken_to;	/* ports of the host's own */

struct nat_config fixture_config(unsigned sessions);
void fixture_begin(const struct nat_config *config);
void fixture_end(void);
/* Which way a packet went; *to as nat_from_linux() says it. */
enum nat_way out(unsigned which, struct packet *packet);
enum nat_way in(struct packet *packet);
extern unsigned to;

uint16_t sport(const struct packet *packet);
uint16_t dport(const struct packet *packet);
bool is_from(const struct packet *packet, enum who who);
bool is_to(const struct packet *packet, enum who who);

#endif
