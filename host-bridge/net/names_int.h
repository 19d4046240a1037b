/* SPDX-License-Identifier: MIT */
/* What the relay's files share: names_udp.c is UDP and what both need, names_tcp.c TCP. */
#ifndef ISTHMUS_NAMES_INT_H
#define ISTHMUS_NAMES_INT_H

#include "lwip/ip_addr.h"

#include "host-bridge/net/names.h"

#define NAMES_PORT	53u
#define NAMES_LONGEST	4096u		/* of a query [RFC 5625 "Packet Size Limits"] */
/* A resolver asks again after 5 seconds: by then it is told that nobody knows. */
#define NAMES_TRIES	3u
#define NAMES_TRY_MS	1500u
#define NAMES_TICK_MS	250u

struct names_tcp;
struct netif;

/* names_udp.c */
extern struct names_status names_status;
extern unsigned names_good;		/* the server that answered last */
/* The server whose turn it is. NULL: there are none. */
const ip_addr_t *names_server(unsigned turn);
/* A query of Linux's. *made: the length of its answer, in out; 0: it is to be passed
 * on. False: it is dropped. */
bool names_take(struct names *n, const uint8_t *message, size_t len,
		struct names_question *q, uint8_t *out, size_t *made);

/* names_tcp.c: port 53 of a link's two addresses. Returns 0, ENOMEM or EADDRINUSE. */
int names_tcp_new(struct names *n, struct netif *netif, const ip_addr_t address[2],
		  struct names_tcp **out);
/* All connections end. */
void names_tcp_down(struct names_tcp *t);

#endif
