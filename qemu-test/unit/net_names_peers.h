/* SPDX-License-Identifier: MIT */
/*
 * Ends of TCP connections for the tests of names: Linux's, over its link, and those of
 * servers, on the wire. They are as simple as can be: nothing is lost, so nothing is
 * sent twice.
 */
#ifndef NET_NAMES_PEERS_H
#define NET_NAMES_PEERS_H

#include "net_names_fixture.h"

#define FIN	1u
#define SYN	2u
#define RST	4u
#define ACK	16u

struct peer {
	bool used, server, six;
	uint32_t address;		/* a server's */
	uint16_t port, to;
	uint32_t next, seen;		/* sent; received */
	bool open, ended, reset;
	bool silent;			/* acknowledges nothing */
	uint8_t data[70000];
	size_t len;
};

/* What servers do to who calls, and how many calls there were. */
extern enum peers_do { SERVE, REFUSE, SILENT } servers_do;
extern unsigned calls;

/* Before each test: there are none. */
void peers_setup(void);
/* Time passes, packets go both ways. */
void run(uint64_t ms);
/* A new one, from that port and to it; not used: gone. */
struct peer *make_peer(bool server, uint32_t address, uint16_t port, uint16_t to);
/* A segment; its data and flags count as sent. */
void put(struct peer *p, uint8_t flags, const void *data, size_t len);
/* Linux opens a connection to the relay. */
struct peer *dial(bool six);
/* The newest connection to a server that is not reset, or NULL. */
struct peer *server(void);
/* How many lwIP has. */
unsigned connections(void);

#endif
