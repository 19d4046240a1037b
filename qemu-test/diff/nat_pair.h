/* SPDX-License-Identifier: MIT */
/* The NAT and netfilter side by side: nat_pair.c. */
#ifndef NAT_PAIR_H
#define NAT_PAIR_H

#include "qemu-test/unit/nat_fixture.h"

#define RESULTS	16u

/* Where the two differ, and why that is right. */
enum difference {
	SAME,
	OTHER_PORT,	/* UDP of another port of an address that Linux spoke to:
			 * filtering is by address here [RFC 4787 REQ-8], by
			 * address and port there */
	LINUXS_PORT,	/* to a port that Linux has outside, but not from whom it
			 * spoke to: dropped here, there for the host itself, as
			 * if the port were not taken */
	NO_STATE,	/* TCP that fits no state of netfilter's: here the ends
			 * judge, as long as the session lasts */
	MORE_STATE,	/* an ICMP error, or a packet, of such a connection */
	DIFFERENCES,
};

struct result {
	enum nat_way way;
	unsigned to;
	size_t len;
	uint8_t data[4096];
};

struct list {
	struct result r[RESULTS];
	unsigned count;
};

/* One that Linux has begun, or, inward, one on the wire to a forwarded port. */
struct flow {
	bool used, six, inward, odd;	/* odd: had TCP that fits no state */
	uint8_t proto, stage;
	unsigned which;
	enum who peer;
	uint16_t mine, peers;		/* ports */
	uint16_t seen[2];		/* outside, by ours and theirs; 0: none */
};

/* What came out: of ours, of netfilter's. */
extern struct list got[2];
extern unsigned failures;
extern const struct flow *current;	/* whose packet it is, or NULL */
extern bool show;

void pair_open(void);
void pair_flush(void);
void pair_give(unsigned from, struct packet *ours, struct packet *theirs);
enum nat_way pair_way(unsigned i);
bool pair_compare(const char *what, enum difference may, enum nat_way ours,
		  enum nat_way theirs);
void pair_summary(unsigned long sequences);

#endif
