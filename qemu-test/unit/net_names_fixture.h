/* SPDX-License-Identifier: MIT */
/*
 * For tests of names for a Linux: what Linux asks and gets, and what servers are
 * asked and say, between a link and the wire of net_fixture.h.
 */
#ifndef NET_NAMES_FIXTURE_H
#define NET_NAMES_FIXTURE_H

#include "net_fixture.h"

#include "host-bridge/net/names.h"
#include "host-bridge/net/stack.h"

#define GO	assert_int_equal
#define SECOND_IP 0x0a000204u		/* another server */
#define QUESTION 12			/* where it begins */

/* What Linux got last. */
struct got {
	unsigned count;
	uint16_t port;			/* its own */
	uint8_t data[65536];
	size_t len;
};
/* What the servers have been asked last. */
struct asked {
	unsigned count;
	uint32_t server;
	uint16_t port;
	uint8_t data[5000];
	size_t len;
};

extern const struct names_ends ends;
extern struct names *names;
extern struct stack_link *link_to_linux;
extern struct got got;
extern struct asked asked;

/* The stack, a link and its names; then the card starts. */
void names_begin(void);
void names_wire(void);
/* Before each test: nothing is open. */
int names_setup(void **state);
/* Each packet to Linux that is no datagram; NULL: none. */
extern void (*linux_packet)(const uint8_t *ip, size_t len);
/* A packet of Linux's, from the address that ends so; a datagram. */
void linux_sends(bool six, uint8_t last, uint8_t proto, const void *payload,
		 size_t len);
void say(bool six, uint8_t last, uint16_t port, const void *data, size_t len);
/* A query; returns its length. */
size_t make(uint8_t *out, uint16_t id, const char *name, uint16_t type);
/* Linux asks; what is made here comes at once. Returns the code, or -1. */
int ask(const char *name, uint16_t type);
/* What a server says to what it was asked last. */
void answer(uint32_t from, uint16_t from_port, uint16_t to_port,
	    const uint8_t *data, size_t len);
size_t make_answer(uint8_t *out);
/* How many sockets there are. */
unsigned sockets(void);

#endif
