/* SPDX-License-Identifier: MIT */
/* A segment that is answered: probe.h. */
#include <string.h>

#include "host-bridge/net/nat.h"
#include "host-bridge/net/packet.h"
#include "host-bridge/net/probe.h"

#define TCP		6u
#define TCP_LEN		32u
#define FLAG_ACK	0x10u
#define HOPS		64u

/* The header below TCP's; returns the sum of the pseudo-header. */
static uint16_t put_ip(uint8_t *ip, bool six, const struct nat_addr *from,
		       const struct nat_addr *to)
{
	size_t size = six ? 16 : 4, at = six ? 8 : 12;

	if (six) {
		ip[0] = 0x60;
		net_put16(ip + 4, TCP_LEN);
		ip[6] = TCP;
		ip[7] = HOPS;
	} else {
		ip[0] = 0x45;
		net_put16(ip + 2, 20 + TCP_LEN);
		ip[8] = HOPS;
		ip[9] = TCP;
	}
	memcpy(ip + at, from->b, size);
	memcpy(ip + at + size, to->b, size);
	if (!six) {
		net_put16(ip + 10, (uint16_t)~net_sum(0, ip, 20));
	}
	return net_sum(TCP + TCP_LEN, ip + at, 2 * size);
}

/**
 * See probe.h. It has a time stamp, which who agreed to them wants to see, and one
 * that is too old is answered too. [RFC 7323 "PAWS"]
 */
size_t probe_make(uint8_t ip[PROBE_MAX], const struct nat_line *session,
		  const struct nat_addr *outside)
{
	static const uint8_t stamp[] = { 1, 1, 8, 10 };
	uint8_t *tcp = ip + (session->six ? 40 : 20);
	uint16_t sum;

	memset(ip, 0, PROBE_MAX);
	sum = put_ip(ip, session->six, outside, session->remote);
	net_put16(tcp, session->outside);
	net_put16(tcp + 2, session->port);
	net_put16(tcp + 4, (uint16_t)(session->isn >> 16));
	net_put16(tcp + 6, (uint16_t)session->isn);
	tcp[12] = TCP_LEN / 4 << 4;
	tcp[13] = FLAG_ACK;
	memcpy(tcp + 20, stamp, sizeof(stamp));
	net_put16(tcp + 16, (uint16_t)~net_sum(sum, tcp, TCP_LEN));
	return (size_t)(tcp - ip) + TCP_LEN;
}
