/* SPDX-License-Identifier: MIT */
/*
 * The addresses and ports of Linux's packets become the host partition's, and
 * back: NAPT of IPv4 and, in the same way, of IPv6. Works on flat packets and
 * knows neither stack nor card. Linux means harm to the wire, to the host partition
 * and to other Linuxes, the wire to all. Each Linux has its own tables of a fixed
 * size.
 * [RFC 4787: UDP; RFC 5382: TCP; RFC 5508: ICMP; RFC 7857: what became of them]
 */
#ifndef ISTHMUS_NAT_H
#define ISTHMUS_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/net/packet.h"

#define NAT_LINUXES	17u
#define NAT_FIXED	512u		/* ports forwarded to each */
#define NAT_FIRST	1024u		/* ports that are kept where they are free.. */
#define NAT_RANDOM	32768u		/* .. and, from here on, given by chance */
#define NAT_LAST	61439u		/* those above are the host's, for calls */

enum nat_way {
	NAT_DROP,			/* is counted */
	NAT_WIRE,			/* may be longer than the MTU, if it may be cut */
	NAT_LINUX,			/* to the Linux that *to says */
	NAT_HOST,			/* to the host's own stack; as it came */
	NAT_HELD,			/* a copy waits for the first fragment */
};

/* How long nothing may come, in ms, until all is forgotten. */
enum nat_class {
	NAT_TCP_NEW,			/* not open yet, or closed: 4 min */
	NAT_ICMP,			/* 60 s */
	NAT_UDP_NEW,			/* no answer yet: 2 min */
	NAT_UDP,			/* 5 min */
	NAT_TCP,			/* open: 2 h 4 min. Never taken for others */
	NAT_CLASSES,
};

/* What was done, and why packets were dropped; nat_count_name(). */
enum nat_count {
	NAT_PASSED, NAT_HAIRPINS, NAT_BEGUN, NAT_EXPIRED, NAT_EVICTED,
	NAT_ERRORS_MADE, NAT_FRAGMENTS,
	NAT_MALFORMED, NAT_SPOOFED, NAT_FORBIDDEN, NAT_POLICY, NAT_OPTIONS,
	NAT_PROTOCOL, NAT_NO_ADDRESS, NAT_TTL, NAT_TOO_BIG, NAT_NO_SESSION,
	NAT_FILTERED, NAT_FULL, NAT_TOO_FAST, NAT_NO_PORT, NAT_LOST_FRAGMENT,
	NAT_COUNTS,
};

struct nat_config {
	unsigned sessions;		/* of each Linux; at least 1 */
	unsigned rate;			/* new ones a second; and half as many at once */
	uint32_t timeout[NAT_CLASSES];	/* ms; 0: as above */
	bool open;			/* endpoint-independent filtering */
	uint64_t seed[4];		/* that nobody knows; odd */
	void *arg;
	/* Whether Linux may speak to the host's port; ICMP has none, 0. */
	bool (*host_port)(void *arg, unsigned which, uint8_t proto,
			  uint16_t port);
	/* Whether the host itself uses this one of its outside address. */
	bool (*taken)(void *arg, bool six, uint8_t proto, uint16_t port);
	/* A packet more: a held fragment, which may be the host's (to: of which
	 * Linux, or NAT_LINUXES, of the wire), or an ICMP error made here. It
	 * stays until this returns, which calls nothing of here but
	 * nat_linux_down(). */
	void (*deliver)(void *arg, enum nat_way way, unsigned to,
			struct net_packet *packet);
};

/* Addresses, IPv4 in the first 4 bytes. All zero: none. */
struct nat_addr {
	uint8_t b[16];
};

/* A link's two ends: [0] IPv4, [1] IPv6. */
struct nat_link {
	struct nat_addr linux_end[2], host_end[2];
};

/* One line for `net nat`. remote is not there for a fixed mapping. */
struct nat_line {
	unsigned which;
	bool six, fixed;
	uint8_t proto;
	uint16_t inside, outside;
	const struct nat_addr *remote;
	uint16_t port;
	uint32_t isn;			/* of TCP: the number of Linux's SYN */
	enum nat_class class;
	uint64_t idle;			/* ms */
};

struct nat;

struct nat *nat_new(const struct nat_config *config);
void nat_free(struct nat *n);
int nat_linux_up(struct nat *n, unsigned which, const struct nat_link *link);
void nat_linux_down(struct nat *n, unsigned which);
void nat_outside(struct nat *n, const struct nat_addr addr[2], unsigned mtu);

enum nat_way nat_from_linux(struct nat *n, unsigned which,
			    struct net_packet *p, uint64_t now_ms, unsigned *to);
enum nat_way nat_from_wire(struct nat *n, struct net_packet *p, uint64_t now_ms,
			   unsigned *to);
void nat_tick(struct nat *n, uint64_t now_ms);

int nat_forward(struct nat *n, unsigned which, bool six, uint8_t proto,
		uint16_t outside, uint16_t inside);
void nat_unforward(struct nat *n, bool six, uint8_t proto, uint16_t outside);
/* Whether packets to this port of the host's are a Linux's. */
bool nat_uses(const struct nat *n, bool six, uint8_t proto, uint16_t port);

/* which NAT_LINUXES: of what came from the wire. */
const uint64_t *nat_counts(const struct nat *n, unsigned which);
unsigned nat_sessions(const struct nat *n, unsigned which);
const char *nat_count_name(enum nat_count count);
void nat_each(const struct nat *n, void (*line)(void *arg, const struct nat_line *),
	      void *arg);

#endif
