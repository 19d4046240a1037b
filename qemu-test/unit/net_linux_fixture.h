/* SPDX-License-Identifier: MIT */
/*
 * For tests of the network of a Linux, from its link to the wire and the host
 * partition's stack: link and NAT are the real ones, wire and stack the test's.
 */
#ifndef NET_LINUX_FIXTURE_H
#define NET_LINUX_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host-bridge/net/linux_net.h"
#include "host-bridge/net/stack.h"
#include "qemu-test/unit/fake/vsock.h"

#define GO	assert_int_equal
#define UDP	17
#define TCP	6
#define ICMP	1
#define PUBLISHED	52022		/* a port that leads to ln */

/* ln's ends; the wire's address, and somebody's beyond it. */
extern const uint8_t linux_ip[4], host_ip[4], outside[4], peer[4];
extern struct linux_net *ln, *other;	/* other: never up */

/* What the stack and the wire are told and get. */
extern struct fake_stack {
	struct stack_hooks hooks;
	const struct stack_link_user *user;
	bool there;			/* the wire's address */
	unsigned wire, host, room, downs;
	unsigned sender;		/* of the last packet to the wire */
	unsigned back;			/* of these: the wire's, given back */
	uint8_t packet[2000];		/* the last one, to either */
	size_t len;
	uint16_t taken;
} fake_stack;

extern struct fake_names {
	const struct names_ends *ends;
	unsigned downs;
} fake_names;

/* TCP's flags, and the numbers that are not 0, in what is made next. */
extern struct tcp_next {
	uint8_t flags;
	uint32_t seq, ack;
} tcp;

/* Before and after each test: ln's link is up, then down. */
int linux_net_setup(void **state);
int linux_net_teardown(void **state);
/* A packet; returns its length. ICMP's ports: type and code, and id. */
size_t make(uint8_t *ip, const uint8_t *from, const uint8_t *to,
	    uint8_t proto, uint16_t from_port, uint16_t to_port);
/* A packet becomes a fragment of one datagram; frag: as in the header. */
void put_fragment(uint8_t *ip, uint16_t frag);
/* Linux sends a packet. */
void say(const uint8_t *ip, size_t len);
/* It sends one that is made so. */
void from_linux(const uint8_t *from, const uint8_t *to, uint8_t proto,
		uint16_t from_port, uint16_t to_port);
/* What Linux gets; its length, 0: nothing. */
size_t to_linux(uint8_t *ip);
/* One that is made so comes from the wire. Returns whether it was taken. */
bool from_wire(const uint8_t *from, const uint8_t *to, uint8_t proto,
	       uint16_t from_port, uint16_t to_port);

#endif
