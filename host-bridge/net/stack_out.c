/* SPDX-License-Identifier: MIT */
/*
 * Packets of others onto the wire: lwIP finds the way, and the Ethernet address of
 * who is next on it. They are not copied for that. lwIP's description of a packet
 * lies before it, in the headroom, and the Ethernet header between the two; one
 * that has to wait for an address is copied by lwIP, because it is called volatile.
 *
 * A checksum that Linux has left to others is finished here: a packet that waits
 * would lose what is said beside it. Only what becomes several frames (GSO) is left
 * to the card, or who does it for one.
 */
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/pbuf.h"
#include "netif/ethernet.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/stack_int.h"

_Static_assert(sizeof(struct pbuf) + 7 + SIZEOF_ETH_HDR <= NET_HEADROOM,
	       "headroom");

/* The sum over the rest of the packet, where that of what comes before it already
 * is. */
static void finish_checksum(struct net_packet *packet)
{
	uint16_t sum = (uint16_t)~net_sum(0, packet->data + packet->csum_start,
					  packet->len - packet->csum_start);

	/* Of UDP 0 means that there is none. */
	net_put16(packet->data + packet->csum_start + packet->csum_offset,
		  sum ? sum : 0xffff);
}

/* What the card is to do with the packet, into *off; NULL: nothing. False: what is
 * said of it cannot be. */
static bool offload(struct net_packet *packet, struct nic_offload *off,
		    const struct nic_offload **use)
{
	uint8_t gso = packet->gso_type & (uint8_t)~NET_GSO_ECN;

	*use = NULL;
	if (!(packet->flags & NET_NEEDS_CSUM)) {
		return gso == NET_GSO_NONE;
	}
	if ((size_t)packet->csum_start + packet->csum_offset + 2 > packet->len) {
		return false;
	}
	if (gso == NET_GSO_NONE) {
		finish_checksum(packet);
		return true;
	}
	if (gso != NET_GSO_TCPV4 && gso != NET_GSO_TCPV6) {
		return false;
	}
	*off = (struct nic_offload){
		.csum = true,
		.csum_start = (uint16_t)(packet->csum_start + SIZEOF_ETH_HDR),
		.csum_offset = packet->csum_offset,
		.gso = gso == NET_GSO_TCPV4 ? NIC_TSO4 : NIC_TSO6,
		.gso_size = packet->gso_size,
	};
	*use = off;
	return true;
}

/* Neighbours of the wire that are asked for their addresses, for others, in so long:
 * lwIP knows 64, forgets for each further one the oldest that it knows, and those
 * that do not answer after 5 seconds. The gateway must stay. */
#define ASKED_MAX	24u
#define ASKED_MS	4096u

static bool may_ask(const ip4_addr_t *to)
{
	static ip4_addr_t last;
	static uint64_t window;
	static unsigned asked;
	struct eth_addr *ethernet;
	const ip4_addr_t *known;
	uint64_t now = loop_uptime_ms() / ASKED_MS;

	if (!ip4_addr_netcmp(to, netif_ip4_addr(&stack.wire),
			     netif_ip4_netmask(&stack.wire)) ||
	    ip4_addr_cmp(to, netif_ip4_gw(&stack.wire)) ||
	    ip4_addr_cmp(to, &last) ||
	    etharp_find_addr(&stack.wire, to, &ethernet, &known) >= 0) {
		return true;
	}
	if (now != window) {
		window = now;
		asked = 0;
	}
	if (asked == ASKED_MAX) {
		return false;
	}
	asked++;
	last = *to;
	return true;
}

static err_t output(struct pbuf *p, const uint8_t *data)
{
	ip4_addr_t to4;
	ip6_addr_t to6 = { 0 };

	if (data[0] >> 4 == 4) {
		memcpy(&to4.addr, data + 16, 4);
		return may_ask(&to4) ? etharp_output(&stack.wire, p, &to4) :
				       ERR_RTE;
	}
	if (data[0] >> 4 == 6 && p->len >= 40) {
		memcpy(to6.addr, data + 24, 16);
		ip6_addr_assign_zone(&to6, IP6_UNICAST, &stack.wire);
		return ethip6_output(&stack.wire, p, &to6);
	}
	return ERR_VAL;
}

/** See stack.h. */
bool stack_to_wire(struct net_packet *packet)
{
	uint8_t *room = packet->data - NET_HEADROOM;
	struct pbuf *p = (struct pbuf *)(room + (-(uintptr_t)room & 7));
	struct nic_offload off;
	const struct nic_offload *use;
	err_t error;

	if (!stack.added || !netif_is_link_up(&stack.wire) || packet->len < 20 ||
	    packet->len > UINT16_MAX || !offload(packet, &off, &use)) {
		return false;
	}
	*p = (struct pbuf){
		.payload = packet->data, .ref = 1,
		.tot_len = (uint16_t)packet->len,
		.len = (uint16_t)packet->len,
		.type_internal = PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS |
				 PBUF_TYPE_FLAG_DATA_VOLATILE,
	};
	stack.sending = p;
	stack.offload = use;
	error = output(p, packet->data);
	stack.sending = NULL;
	stack_left();
	return error == ERR_OK;
}
