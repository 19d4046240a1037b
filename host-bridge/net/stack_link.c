/* SPDX-License-Identifier: MIT */
/*
 * lwIP's end of the link to a Linux: what Linux says to the host partition itself,
 * and hears from it. Packets are as long as IP allows, for they go through memory;
 * so nobody reckons sums over them either: those of TCP and UDP are left as a card
 * is given them, for who passes such a packet on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ip.h"

#include "host-bridge/net/stack_int.h"

#define MTU	65520u		/* with IPv6's and TCP's headers: see TCP_MSS */
#define UNCHECKED (NETIF_CHECKSUM_GEN_TCP | NETIF_CHECKSUM_GEN_UDP | \
		   NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP | \
		   NETIF_CHECKSUM_CHECK_ICMP | NETIF_CHECKSUM_CHECK_ICMP6)

struct stack_link {
	struct netif netif;
	const struct stack_link_user *user;
};

/* Before a packet that is in pieces; one is sent at a time. */
static uint8_t flat[NET_HEADROOM + UINT16_MAX];

/* The sum of what TCP and UDP count besides themselves [RFC 9293 "Checksum",
 * RFC 8200 "Upper-Layer Checksums"], where theirs will be. */
static void leave_checksum(struct net_packet *packet)
{
	uint8_t *ip = packet->data;
	bool six = ip[0] >> 4 == 6;
	unsigned header = six ? 40 : (ip[0] & 15u) * 4;
	uint8_t proto = six ? ip[6] : ip[9];
	uint32_t sum;

	if ((proto != IP_PROTO_TCP && proto != IP_PROTO_UDP) ||
	    (!six && (net_get16(ip + 6) & (IP_MF | IP_OFFMASK)) != 0)) {
		return;		/* a fragment has none, or not only its own */
	}
	packet->flags = NET_NEEDS_CSUM;
	packet->csum_start = (uint16_t)header;
	packet->csum_offset = proto == IP_PROTO_TCP ? 16 : 6;
	sum = proto + (uint32_t)(packet->len - header);
	sum += six ? net_sum(0, ip + 8, 32) : net_sum(0, ip + 12, 8);
	net_put16(ip + header + packet->csum_offset, net_fold(sum));
}

static err_t send(struct netif *netif, struct pbuf *p)
{
	struct stack_link *link = netif->state;
	struct net_packet packet = {
		.data = p->payload, .len = p->tot_len, .space = p->tot_len,
	};

	if (p->len != p->tot_len) {
		packet.data = flat + NET_HEADROOM;
		(void)pbuf_copy_partial(p, packet.data, p->tot_len, 0);
	}
	leave_checksum(&packet);
	return link->user->send(link->user->arg, &packet) ? ERR_OK : ERR_MEM;
}

static err_t send4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
	(void)to;
	return send(netif, p);
}

static err_t send6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
	(void)to;
	return send(netif, p);
}

static err_t init(struct netif *netif)
{
	netif->name[0] = 'l';
	netif->name[1] = 'x';
	netif->output = send4;
	netif->output_ip6 = send6;
	netif->mtu = MTU;
	NETIF_SET_CHECKSUM_CTRL(netif, NETIF_CHECKSUM_ENABLE_ALL & ~UNCHECKED);
	return ERR_OK;
}

/**
 * See stack.h. The stack must have been started, with a card or without.
 */
int stack_link_new(const struct stack_link_user *user, struct stack_link **out)
{
	struct stack_link *link = calloc(1, sizeof(*link));
	ip4_addr_t address, mask, none = { 0 };
	ip6_addr_t six = { 0 };
	int8_t at;

	if (!link) {
		return ENOMEM;
	}
	link->user = user;
	memcpy(&address.addr, user->address4, 4);
	mask.addr = PP_HTONL(0xffffff00u);
	memcpy(six.addr, user->address6, 16);
	if (!netif_add(&link->netif, &address, &mask, &none, link, init,
		       ip_input)) {
		free(link);
		return ENOMEM;
	}
	if (netif_add_ip6_address(&link->netif, &six, &at) == ERR_OK) {
		/* There is nobody else who could have it. */
		netif_ip6_addr_set_state(&link->netif, at, IP6_ADDR_PREFERRED);
	}
	netif_set_up(&link->netif);
	netif_set_link_up(&link->netif);
	*out = link;
	return 0;
}

/** See stack.h. */
struct netif *stack_link_netif(struct stack_link *link)
{
	return &link->netif;
}

/** See stack.h. */
bool stack_to_host(struct stack_link *link, const struct net_packet *packet)
{
	struct netif *netif = link ? &link->netif : &stack.wire;
	bool inside = stack.inside;
	struct pbuf *p = NULL;

	/* lwIP reads the first byte of what comes without asking. */
	if (packet->len >= IP_HLEN && packet->len <= UINT16_MAX) {
		p = pbuf_alloc(PBUF_RAW, (uint16_t)packet->len, PBUF_RAM);
	}
	if (!p) {
		stack.lost++;
		return false;
	}
	memcpy(p->payload, packet->data, packet->len);
	stack.inside = stack.looked = true;
	if (ip_input(p, netif) != ERR_OK) {
		pbuf_free(p);
	}
	stack.inside = inside;
	stack.looked = false;
	stack_left();
	return true;
}

static bool is_beyond(const struct stack_link *link, const ip_addr_t *address)
{
	return IP_IS_V6(address) ?
	       memcmp(ip_2_ip6(address)->addr, link->user->address6, 8) == 0 :
	       memcmp(&ip_2_ip4(address)->addr, link->user->address4, 3) == 0;
}

/* Whoever is told of an end may end others of the list. */
static void end(const struct stack_link *link, struct tcp_pcb **list)
{
	struct tcp_pcb *tcp = *list;

	while (tcp) {
		if (is_beyond(link, &tcp->remote_ip)) {
			tcp_abort(tcp);
			tcp = *list;
		} else {
			tcp = tcp->next;
		}
	}
}

/** See stack.h. Closed ones go too: the next Linux may choose the same ports. */
void stack_link_down(struct stack_link *link)
{
	stack.inside = true;
	end(link, &tcp_active_pcbs);
	end(link, &tcp_tw_pcbs);
	stack.inside = false;
	stack_left();
}
