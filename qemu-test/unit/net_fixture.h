/* SPDX-License-Identifier: MIT */
/*
 * A machine with a network card for the stack's tests: time, which passes when the
 * test says so; a wire; and at its other end a router (10.0.2.2) that answers ARP,
 * DHCP, DNS, SNTP and pings, and sends what the test wants.
 */
#ifndef NET_FIXTURE_H
#define NET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/nic.h"

#define HOST_IP		0x0a00020fu	/* what the router gives: 10.0.2.15 */
#define ROUTER_IP	0x0a000202u
#define SERVER_IP	0x0a000203u	/* that of names */

/* What the router does, and what it has seen. */
struct router {
	bool deaf;		/* it answers nothing */
	uint32_t lease;		/* seconds */
	uint32_t gives;		/* an address, */
	uint32_t names, names2;	/* name servers; 0: SERVER_IP, and no other */
	unsigned discovers, requests, queries, arps, pings, pongs, frames;
	int64_t ntp_ahead_ms;	/* its clock, of ours */
	uint8_t ntp_leap;	/* its leap indicator */
	unsigned ntp_asked;
	uint16_t asked_from;	/* port of the last DNS query, */
	uint16_t ntp_from;	/* and of the last one of NTP */
	uint16_t ping_id;	/* of the last echo request */
	/* Each DNS query, which is not answered then. */
	void (*query)(uint32_t to, uint16_t port, const uint8_t *data,
		      size_t len);
	/* Each IP packet that is not for one of its services, and each fragment. */
	void (*packet)(const uint8_t *ip, size_t len);
	/* Each UDP datagram that is not for one of them. */
	void (*datagram)(uint16_t port, const uint8_t *data, size_t len);
};

extern struct nic net_nic;
extern struct router router;
extern char net_said[8192];	/* by notice() */
extern uint64_t net_ms;		/* now */
extern struct notice_listener *net_listener;
extern int net_send_error;	/* of nic_send(), if not 0 */
extern unsigned net_flags;	/* of frames that come */

/* A card that has not started yet, and a router. */
void net_begin(void);
/* Time passes; frames go both ways. */
void net_run(uint64_t ms);
/* The cable is in, and what that begins is done. */
void net_plug(void);
/* A frame comes to the card. */
void net_frame(const void *frame, size_t len);
/* An IPv4 packet of the router's, checksum and frame around it. */
void net_ip(uint8_t protocol, uint32_t from, uint32_t to, const void *payload,
	    size_t len);
/* One of its fragments; frag: as in the header. */
void net_fragment(uint8_t protocol, uint32_t from, uint32_t to, uint16_t id,
		  uint16_t frag, const void *payload, size_t len);
void net_udp(uint32_t from, uint16_t from_port, uint16_t to_port,
	     const void *data, size_t len);
uint16_t test_sum(const void *data, size_t len, uint32_t sum);

static inline uint32_t get32(const void *at)
{
	const uint8_t *b = at;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	       (uint32_t)b[2] << 8 | b[3];
}

static inline uint16_t get16(const void *at)
{
	const uint8_t *b = at;

	return (uint16_t)(b[0] << 8 | b[1]);
}

static inline void put32(void *at, uint32_t value)
{
	uint8_t *b = at;

	b[0] = (uint8_t)(value >> 24);
	b[1] = (uint8_t)(value >> 16);
	b[2] = (uint8_t)(value >> 8);
	b[3] = (uint8_t)value;
}

static inline void put16(void *at, uint16_t value)
{
	uint8_t *b = at;

	b[0] = (uint8_t)(value >> 8);
	b[1] = (uint8_t)value;
}

#endif
