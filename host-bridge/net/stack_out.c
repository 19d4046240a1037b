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
#include "lwip/priv/nd6_priv.h"
#include "netif/ethernet.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/neighbours.h"
#include "host-bridge/net/stack_int.h"

_Static_assert(sizeof(struct pbuf) + 7 + SIZEOF_ETH_HDR <= NET_HEADROOM,
	       "headroom");
/* There is room for what all may have waiting, and for those that are known. */
_Static_assert(NEIGHBOURS_SENDERS * NEIGHBOURS_ASKED < ARP_TABLE_SIZE &&
	       NEIGHBOURS_SENDERS * NEIGHBOURS_ASKED < LWIP_ND6_NUM_NEIGHBORS &&
	       NEIGHBOURS_SENDERS * NEIGHBOURS_PACKETS < MEMP_NUM_ARP_QUEUE &&
	       NEIGHBOURS_SENDERS * NEIGHBOURS_PACKETS < MEMP_NUM_ND6_QUEUE,
	       "neighbours");

/* What an IPv4 address has before it among those of IPv6. */
static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

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

/* Whether lwIP knows where a neighbour of the wire is. */
static bool known(const uint8_t address[16])
{
	struct eth_addr *ethernet;
	const ip4_addr_t *found;
	ip4_addr_t four;

	if (memcmp(address, mapped, sizeof(mapped)) == 0) {
		memcpy(&four.addr, address + 12, 4);
		return etharp_find_addr(&stack.wire, &four, &ethernet,
					&found) >= 0;
	}
	for (unsigned i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
		const struct nd6_neighbor_cache_entry *n = &neighbor_cache[i];

		if (n->state != ND6_NO_ENTRY &&
		    memcmp(n->next_hop_address.addr, address, 16) == 0) {
			return n->state != ND6_INCOMPLETE;
		}
	}
	return false;
}

/* Who is next on the way of an IPv4 packet. False: lwIP asks for nobody. */
static bool next4(const ip4_addr_t *to, uint8_t next[16])
{
	if (ip4_addr_isbroadcast(to, &stack.wire) || ip4_addr_ismulticast(to)) {
		return false;
	}
	if (!ip4_addr_netcmp(to, netif_ip4_addr(&stack.wire),
			     netif_ip4_netmask(&stack.wire))) {
		to = netif_ip4_gw(&stack.wire);
	}
	memcpy(next, mapped, sizeof(mapped));
	memcpy(next + 12, &to->addr, 4);
	return !ip4_addr_isany(to);
}

/* Whether the address is on the wire, as lwIP sees it. */
static bool on_wire6(const ip6_addr_t *to)
{
	for (unsigned i = 0; i < LWIP_ND6_NUM_PREFIXES; i++) {
		if (prefix_list[i].netif == &stack.wire &&
		    ip6_addr_netcmp(to, &prefix_list[i].prefix)) {
			return true;
		}
	}
	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		if (ip6_addr_isvalid(netif_ip6_addr_state(&stack.wire, i)) &&
		    netif_ip6_addr_isstatic(&stack.wire, i) &&
		    ip6_addr_netcmp(to, netif_ip6_addr(&stack.wire, i))) {
			return true;
		}
	}
	return false;
}

/* The same of an IPv6 packet. lwIP takes a router that it knows, if there is one. */
static bool next6(const ip6_addr_t *to, uint8_t next[16])
{
	const struct nd6_neighbor_cache_entry *unknown = NULL, *router;

	if (on_wire6(to)) {
		memcpy(next, to->addr, 16);
		return true;
	}
	for (unsigned i = 0; i < LWIP_ND6_NUM_ROUTERS; i++) {
		router = default_router_list[i].neighbor_entry;
		if (router && router->state != ND6_INCOMPLETE) {
			return false;
		}
		unknown = router ? router : unknown;
	}
	if (unknown) {
		memcpy(next, unknown->next_hop_address.addr, 16);
	}
	return unknown;
}

/* Whether it is next on the way, or may wait until that one is known. */
static bool may_wait(unsigned sender, const uint8_t next[16], size_t len)
{
	return known(next) ||
	       neighbours_wait(sender, next, len, loop_uptime_ms(), known);
}

static err_t output(unsigned sender, struct pbuf *p, const uint8_t *data)
{
	uint8_t next[16];
	ip4_addr_t to4;
	ip6_addr_t to6 = { 0 };

	if (data[0] >> 4 == 4) {
		memcpy(&to4.addr, data + 16, 4);
		return !next4(&to4, next) || may_wait(sender, next, p->len) ?
		       etharp_output(&stack.wire, p, &to4) : ERR_MEM;
	}
	if (data[0] >> 4 == 6 && p->len >= 40) {
		memcpy(to6.addr, data + 24, 16);
		ip6_addr_assign_zone(&to6, IP6_UNICAST, &stack.wire);
		return !next6(&to6, next) || may_wait(sender, next, p->len) ?
		       ethip6_output(&stack.wire, p, &to6) : ERR_MEM;
	}
	return ERR_VAL;
}

/** See stack.h. */
bool stack_to_wire(unsigned sender, struct net_packet *packet)
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
	error = output(sender, p, packet->data);
	stack.sending = NULL;
	stack_left();
	return error == ERR_OK;
}
