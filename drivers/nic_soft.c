/* SPDX-License-Identifier: MIT */
/*
 * What a network card may do to what is sent, done here: checksums [RFC 1071], and
 * frames made of more TCP than one has. Pure, on a flat copy. What is asked for may
 * come from a Linux: nothing is touched before nic_soft_check() has said yes.
 */
#include <string.h>

#include "drivers/netsum.h"
#include "drivers/nic.h"

#define TYPE_AT		12u
#define TYPE_IP4	0x0800u
#define TYPE_IP6	0x86ddu
#define IP4_BYTES	20u
#define IP6_BYTES	40u
#define TCP_BYTES	20u
#define PROTO_TCP	6u
#define TCP_CSUM_AT	16u
#define TCP_FLAGS_AT	13u
#define TCP_FIN		0x01u
#define TCP_PSH		0x08u
#define TCP_CWR		0x80u
/* Fewer bytes in a frame than any TCP has [RFC 879]; Linux's least is 48. */
#define GSO_LEAST	48u

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

/* TCP that begins where the sum does, with headers in what there is of it. */
static bool check_gso(const struct nic *nic, const uint8_t *head, size_t have,
		      size_t len, const struct nic_offload *off, size_t *header)
{
	const uint8_t *ip = head + NIC_HEADER;
	size_t tcp = off->csum_start;
	bool six = off->gso == NIC_TSO6;

	if (!off->csum || off->csum_offset != TCP_CSUM_AT ||
	    (off->gso != NIC_TSO4 && !six) ||
	    tcp < NIC_HEADER + (six ? IP6_BYTES : IP4_BYTES) ||
	    tcp + TCP_BYTES > have ||
	    get16(head + TYPE_AT) != (six ? TYPE_IP6 : TYPE_IP4) ||
	    ip[0] >> 4 != (six ? 6 : 4)) {
		return false;
	}
	if (!six && (NIC_HEADER + (ip[0] & 15) * 4u != tcp ||
		     ip[9] != PROTO_TCP)) {
		return false;
	}
	*header = tcp + (head[tcp + 12] >> 4) * 4u;
	return *header >= tcp + TCP_BYTES && *header <= have &&
	       *header < len && off->gso_size >= GSO_LEAST &&
	       *header + off->gso_size <= NIC_HEADER + nic->mtu;
}

/** See nic.h. head: the first "have" of len bytes, 128 of them if there are so
 * many. */
bool nic_soft_check(const struct nic *nic, const uint8_t *head, size_t have,
		    size_t len, const struct nic_offload *off, size_t *header)
{
	if (off->csum && (off->csum_start < NIC_HEADER ||
			  off->csum_start + off->csum_offset + 2u > len)) {
		return false;
	}
	*header = 0;
	return !off->gso || check_gso(nic, head, have, len, off, header);
}

/** See nic.h. Where the sum comes has the part of it that lies before csum_start
 * [virtio 1.2 "Packet Transmission"]. 0 is no sum in UDP, all ones means the same. */
void nic_soft_csum(uint8_t *frame, size_t len, const struct nic_offload *off)
{
	uint8_t *at = frame + off->csum_start + off->csum_offset;
	uint16_t value = (uint16_t)~net_sum(0, frame + off->csum_start,
					    len - off->csum_start);

	put16(at, value ? value : 0xffff);
}

/* The IP header of frame number i; the sum of the addresses. */
static uint16_t set_ip(uint8_t *frame, size_t len, unsigned i)
{
	uint8_t *ip = frame + NIC_HEADER;
	size_t head;

	if (ip[0] >> 4 == 6) {
		put16(ip + 4, (unsigned)(len - NIC_HEADER - IP6_BYTES));
		return net_sum(0, ip + 8, 32);
	}
	head = (ip[0] & 15) * 4u;
	put16(ip + 2, (unsigned)(len - NIC_HEADER));
	put16(ip + 4, get16(ip + 4) + i);
	put16(ip + 10, 0);
	put16(ip + 10, (uint16_t)~net_sum(0, ip, head));
	return net_sum(0, ip + 12, 8);
}

/** See nic.h. The sum in what is made is anew, the pseudo header's too. */
size_t nic_soft_frame(const uint8_t *all, size_t len,
		      const struct nic_offload *off, size_t header, unsigned i,
		      uint8_t *out)
{
	size_t at = (size_t)i * off->gso_size, rest = len - header, part;
	uint8_t *tcp = out + off->csum_start;
	uint32_t seq;
	uint16_t total;
	size_t bytes;

	if (at >= rest) {
		return 0;
	}
	part = rest - at < off->gso_size ? rest - at : off->gso_size;
	memcpy(out, all, header);
	memcpy(out + header, all + header + at, part);
	bytes = header - off->csum_start + part;
	total = set_ip(out, header + part, i);
	seq = (uint32_t)get16(tcp + 4) << 16 | get16(tcp + 6);
	put32(tcp + 4, seq + (uint32_t)at);
	if (at + part < rest) {
		tcp[TCP_FLAGS_AT] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	}
	if (i > 0) {
		tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR;
	}
	put16(tcp + TCP_CSUM_AT, 0);
	total = net_fold((uint64_t)total + PROTO_TCP + bytes);
	put16(tcp + TCP_CSUM_AT, (uint16_t)~net_sum(total, tcp, bytes));
	return header + part;
}
