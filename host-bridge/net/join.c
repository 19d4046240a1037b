/* SPDX-License-Identifier: MIT */
/* See join.h. */
#include <string.h>

#include "host-bridge/net/join.h"

#define IP4		20u		/* bytes of a header without options */
#define IP6		40u
#define PROTO_TCP	6u
#define TCP		20u
#define SEQ		4u		/* of TCP's header, and what follows */
#define ACK		8u
#define OFFSET		12u
#define FLAGS		13u
#define WINDOW		14u
#define CSUM		16u
#define FLAG_PSH	8u
#define FLAG_ACK	16u

static size_t ip_header(const uint8_t *ip)
{
	return ip[0] >> 4 == 6 ? IP6 : IP4;
}

/* The sum of what TCP sums up besides itself. */
static uint16_t pseudo(const uint8_t *ip, size_t len)
{
	size_t at = ip_header(ip);
	uint16_t sum = at == IP6 ? net_sum(0, ip + 8, 32) :
		       net_sum(0, ip + 12, 8);

	return net_fold((uint64_t)sum + PROTO_TCP + len - at);
}

static bool sums_are_right(const uint8_t *ip, size_t len, enum join_sum sum)
{
	size_t at = ip_header(ip);

	return (at == IP6 || net_sum(0, ip, IP4) == 0xffff) &&
	       (sum != JOIN_UNKNOWN ||
		net_sum(pseudo(ip, len), ip + at, len - at) == 0xffff);
}

/** See join.h. Data or an acknowledgement of an open connection, with nothing else
 * to say. */
size_t join_header(const uint8_t *ip, size_t len)
{
	size_t at, header;

	if (len >= IP4 + TCP && ip[0] == 0x45) {
		at = IP4;
		if (ip[9] != PROTO_TCP || (net_get16(ip + 6) & 0x3fff) != 0) {
			return 0;
		}
	} else if (len >= IP6 + TCP && ip[0] >> 4 == 6) {
		at = IP6;
		if (ip[6] != PROTO_TCP) {
			return 0;
		}
	} else {
		return 0;
	}
	header = at + (ip[at + OFFSET] >> 4) * 4u;
	return header >= at + TCP && header <= len && len <= JOIN_MAX &&
	       (ip[at + FLAGS] == FLAG_ACK || (header < len &&
		ip[at + FLAGS] == (FLAG_ACK | FLAG_PSH))) ? header : 0;
}

/* Whether it goes on where what is held ends, and differs in nothing else but what
 * each segment has of its own. */
static bool follows(const struct join *j, const uint8_t *ip, size_t len,
		    size_t header)
{
	const uint8_t *held = j->room + NET_HEADROOM;
	size_t at = ip_header(ip), bytes = len - header;
	const uint8_t *tcp = ip + at, *was = held + at;
	int32_t ahead;

	if (j->count == 0 || header != j->header || held[0] != ip[0] ||
	    net_get32(tcp + SEQ) != j->next || bytes > j->size ||
	    (bytes == 0) != (j->size == 0) || j->len + bytes > JOIN_MAX) {
		return false;
	}
	/* all of IP but lengths, IPv4's number and sum */
	if (at == IP6 ? memcmp(ip, held, 4) || memcmp(ip + 6, held + 6, 34) :
	    ip[1] != held[1] || memcmp(ip + 6, held + 6, 4) ||
	    memcmp(ip + 12, held + 12, 8)) {
		return false;
	}
	if (memcmp(tcp, was, SEQ) != 0 || tcp[OFFSET] != was[OFFSET] ||
	    memcmp(tcp + CSUM + 2, was + CSUM + 2, header - at - CSUM - 2)) {
		return false;
	}
	/* One that says the same again says that something is missing. */
	ahead = (int32_t)(net_get32(tcp + ACK) - net_get32(was + ACK));
	return bytes == 0 ? ahead > 0 :
	       ahead == 0 && memcmp(tcp + WINDOW, was + WINDOW, 2) == 0;
}

/** See join.h. */
bool join_take(struct join *j, const uint8_t *ip, size_t len, size_t header,
	       enum join_sum sum)
{
	uint8_t *held = j->room + NET_HEADROOM;
	size_t at = ip_header(ip), bytes = len - header;

	if (!sums_are_right(ip, len, sum)) {
		return false;
	}
	if (!follows(j, ip, len, header)) {
		join_flush(j);
		memcpy(held, ip, header);
		j->len = header;
		j->header = header;
		j->size = (uint16_t)bytes;
		j->next = net_get32(ip + at + SEQ);
	} else if (bytes == 0) {
		memcpy(held, ip, len);
		j->open = sum == JOIN_OPEN;
		return true;
	}
	memcpy(held + j->len, ip + header, bytes);
	held[at + FLAGS] |= ip[at + FLAGS];
	j->count++;
	j->open = sum == JOIN_OPEN;
	j->len += bytes;
	j->next += (uint32_t)bytes;
	if (bytes < j->size || (held[at + FLAGS] & FLAG_PSH)) {
		join_flush(j);
	}
	return true;
}

/** See join.h. One of several has a sum that is to be finished, as a large one of
 * Linux's has. */
void join_flush(struct join *j)
{
	uint8_t *ip = j->room + NET_HEADROOM;
	struct net_packet p = {
		.data = ip, .len = j->len, .space = JOIN_MAX,
		.flags = NET_DATA_VALID,
	};
	size_t at = ip_header(ip);

	if (j->count == 0) {
		return;
	}
	if (j->count > 1 || j->open) {
		p.flags = NET_NEEDS_CSUM;
		p.csum_start = (uint16_t)at;
		p.csum_offset = CSUM;
	}
	if (j->count > 1) {
		p.gso_type = at == IP6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4;
		p.gso_size = j->size;
		p.hdr_len = (uint16_t)j->header;
		if (at == IP6) {
			net_put16(ip + 4, (uint16_t)(j->len - IP6));
		} else {
			net_put16(ip + 2, (uint16_t)j->len);
			net_put16(ip + 10, 0);
			net_put16(ip + 10, (uint16_t)~net_sum(0, ip, IP4));
		}
		net_put16(ip + at + CSUM, pseudo(ip, j->len));
	}
	j->count = 0;
	j->out(&p);
}
