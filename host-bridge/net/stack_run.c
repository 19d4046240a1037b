/* SPDX-License-Identifier: MIT */
/*
 * lwIP on a network card. A frame is the card's until its callback returns, so it
 * is copied once, into a packet of lwIP's with room before it: the NAT, which sees
 * packets before lwIP does, can put other headers there.
 *
 * Addresses come from the manifest, or from whoever answers: DHCP, router
 * advertisements. Nobody on a wire can be believed more than that.
 */
#include <errno.h>
#include <string.h>

#include "lwip/dhcp.h"
#include "lwip/ethip6.h"
#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

#include "drivers/nic.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/net/join.h"
#include "host-bridge/net/lwip/hooks.h"
#include "host-bridge/net/ntp.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/net/stack_int.h"
#include "host-bridge/rt/notice.h"

#define SEGS		16u	/* of a frame that is sent */
/* Bytes of a frame on a wire [IEEE 802.3 "minFrameSize"], without what the card
 * checks. */
#define FRAME_LEAST	60u
/* Bytes behind a frame that are nobody's: lwIP takes the address out of an option of
 * a neighbour's whose length says that there is none (nd6_input()). */
#define BEHIND		8u

struct stack stack;

static void on_timer(struct loop_timer *timer);

/** See stack.h. Within lwIP nothing: it is looked at when that is left. lwIP always
 * has a timer. */
void stack_left(void)
{
	uint32_t ms;

	if (stack.inside) {
		return;
	}
	stack.inside = true;
	netif_poll_all();
	stack.inside = false;
	ms = sys_timeouts_sleeptime();
	loop_timer_set(&stack.timer, ms > 0 ? ms : 1, on_timer);
}

static void on_timer(struct loop_timer *timer)
{
	(void)timer;
	stack.inside = true;
	sys_check_timeouts();
	stack.inside = false;
	stack_left();
}

/* The length of an IP packet, as its header says, or 0: that is for lwIP to
 * refuse. What follows it in a frame is padding. */
static size_t packet_length(const uint8_t *data, size_t len)
{
	size_t said = 0;

	if (len >= 20 && data[0] >> 4 == 4) {
		said = (size_t)data[2] << 8 | data[3];
	} else if (len >= 40 && data[0] >> 4 == 6) {
		said = 40 + ((size_t)data[4] << 8 | data[5]);
	}
	return said >= 20 && said <= len ? said : 0;
}

/* Who said that it is his takes it, or it is lost: lwIP would find its sum wrong. */
static void on_joined(struct net_packet *packet)
{
	if (!stack.hooks.from_wire(stack.hooks.arg, packet)) {
		stack.lost++;
	}
}

static struct join joined = { .out = on_joined };

/* What the card says of the sum of a packet's TCP, which begins there. */
static enum join_sum sum_of(const uint8_t *ip, unsigned flags)
{
	const struct nic_offload *open = &stack.nic->open;
	unsigned at = SIZEOF_ETH_HDR + (ip[0] >> 4 == 4 ? 20u : 40u);

	if (flags & NIC_RX_CSUM_OPEN) {
		return open->csum_start == at && open->csum_offset == 16 ?
		       JOIN_OPEN : JOIN_UNKNOWN;
	}
	return flags & NIC_RX_CSUM_GOOD ? JOIN_RIGHT : JOIN_UNKNOWN;
}

/* Whether a frame has been taken, to be joined with others. */
static bool joins(const uint8_t *frame, size_t len, unsigned flags)
{
	const uint8_t *ip = frame + SIZEOF_ETH_HDR;
	unsigned type = net_get16(frame + 12);
	size_t header;

	if (!stack.hooks.joins || (frame[0] & 1) ||
	    (type != ETHTYPE_IP && type != ETHTYPE_IPV6) ||
	    (type == ETHTYPE_IP) != (ip[0] >> 4 == 4)) {
		return false;
	}
	len = packet_length(ip, len - SIZEOF_ETH_HDR);
	header = len ? join_header(ip, len) : 0;
	return header && stack.hooks.joins(stack.hooks.arg, ip) &&
	       join_take(&joined, ip, len, header, sum_of(ip, flags));
}

/* The card's turn is over. */
static void on_frames(void *arg)
{
	(void)arg;
	if (joined.count == 0) {
		return;
	}
	stack.inside = true;
	join_flush(&joined);
	stack.inside = false;
	stack_left();
}

/* A frame from the card: ours only until we return. What there is no room for is
 * lost. lwIP looks at headers of ARP and IP without asking whether they are there,
 * and where there is no wire a frame may be shorter than they are. */
static void on_frame(void *arg, const void *frame, size_t len, unsigned flags)
{
	size_t all = len > FRAME_LEAST ? len : FRAME_LEAST;
	struct pbuf *p = NULL;

	(void)arg;
	if (len > SIZEOF_ETH_HDR && joins(frame, len, flags)) {
		return;
	}
	stack.inside = true;
	join_flush(&joined);
	if (stack.added && len >= SIZEOF_ETH_HDR &&
	    len <= UINT16_MAX - NET_HEADROOM - BEHIND) {
		p = pbuf_alloc(PBUF_RAW, (uint16_t)(NET_HEADROOM + all + BEHIND),
			       PBUF_RAM);
	}
	if (p) {
		(void)pbuf_remove_header(p, NET_HEADROOM);
		memcpy(p->payload, frame, len);
		memset((uint8_t *)p->payload + len, 0, all - len + BEHIND);
		pbuf_realloc(p, (uint16_t)all);
		if (flags & NIC_RX_CSUM_OPEN) {
			nic_soft_csum(p->payload, len, &stack.nic->open);
		}
	} else {
		stack.lost++;
	}
	if (p && stack.wire.input(p, &stack.wire) != ERR_OK) {
		pbuf_free(p);
	}
	stack.inside = false;
	stack_left();
}

/** See hooks.h. Some packets have been looked at on their way here. */
int stack_hook_input(struct pbuf *p, struct netif *from)
{
	struct net_packet packet = { .data = p->payload };

	packet.len = packet_length(packet.data, p->len);
	packet.space = packet.len;
	if (packet.len != 0) {
		ntp_look(packet.data, packet.len);
	}
	if (from != &stack.wire || stack.looked || !stack.hooks.from_wire ||
	    packet.len == 0 ||
	    !stack.hooks.from_wire(stack.hooks.arg, &packet)) {
		return 0;
	}
	pbuf_free(p);
	return 1;
}

/* lwIP's way out. What offload a packet of Linux's wants is not in it, but beside
 * it, as long as it is being sent. */
static err_t send_frame(struct netif *netif, struct pbuf *p)
{
	struct nic_seg segs[SEGS];
	struct pbuf *flat = NULL;
	unsigned count = 0;
	int error;

	(void)netif;
	if (pbuf_clen(p) > SEGS) {
		flat = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
		if (!flat) {
			return ERR_MEM;
		}
	}
	for (const struct pbuf *at = flat ? flat : p; at; at = at->next) {
		segs[count++] = (struct nic_seg){ at->payload, at->len };
	}
	error = nic_send(stack.nic, segs, count,
			 p == stack.sending ? stack.offload : NULL);
	if (flat) {
		pbuf_free(flat);
	}
	return error == 0 ? ERR_OK : error == ENOBUFS ? ERR_MEM : ERR_IF;
}

/* What is said of an address when it is there, or another. */
static void on_address(struct netif *netif)
{
	struct stack_status s;

	(void)netif;
	stack_get_status(&s);
	if (strcmp(s.address, stack.told) != 0) {
		strlcpy(stack.told, s.address, sizeof(stack.told));
		notice("network: %s%s%s", s.address[0] ? s.address :
		       "no address any more", s.address[0] ? " by " : "",
		       s.how);
	}
	if (stack.hooks.changed) {
		stack.hooks.changed(stack.hooks.arg);
	}
}

/* After the card had none: what TCP could not send. */
static void on_room(void *arg)
{
	(void)arg;
	stack.inside = true;
	for (struct tcp_pcb *tcp = tcp_active_pcbs; tcp; tcp = tcp->next) {
		(void)tcp_output(tcp);
	}
	stack.inside = false;
	stack_left();
}

static err_t init_wire(struct netif *netif)
{
	netif->name[0] = 'w';
	netif->name[1] = 'i';
	netif->output = etharp_output;
	netif->output_ip6 = ethip6_output;
	netif->linkoutput = send_frame;
	netif->mtu = (uint16_t)stack.nic->mtu;
	netif->hwaddr_len = ETH_HWADDR_LEN;
	memcpy(netif->hwaddr, stack.nic->mac, ETH_HWADDR_LEN);
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP |
		       NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6;
	return ERR_OK;
}

/* Its address is known. Without one of ours in the manifest DHCP begins as soon as
 * there is a link, and goes on without end. */
static void add_wire(void)
{
	if (!netif_add_noaddr(&stack.wire, NULL, init_wire, ethernet_input)) {
		return;
	}
	stack.added = true;
	netif_set_hostname(&stack.wire, stack.hostname);
	netif_set_default(&stack.wire);
	netif_set_status_callback(&stack.wire, on_address);
	netif_set_up(&stack.wire);
	netif_create_ip6_linklocal_address(&stack.wire, 1);
	netif_set_ip6_autoconfig_enabled(&stack.wire, 1);
	stack_static(stack.want);
	if (!stack.by_hand && dhcp_start(&stack.wire) != ERR_OK) {
		notice("network: no memory for DHCP");
	}
}

/* The card has started, or its link is another. */
static void on_link(void *arg)
{
	(void)arg;
	if (!stack.added && stack.nic->known) {
		add_wire();
	}
	if (stack.added && stack.nic->link && !netif_is_link_up(&stack.wire)) {
		stack_forget_servers();
		netif_set_link_up(&stack.wire);
	} else if (stack.added && !stack.nic->link &&
		   netif_is_link_up(&stack.wire)) {
		netif_set_link_down(&stack.wire);
	}
	if (stack.hooks.changed) {
		stack.hooks.changed(stack.hooks.arg);
	}
	stack_left();
}

/** See stack.h. lwIP can be set up a single time. */
void stack_init(void)
{
	lwip_init();
	stack_left();
}

/** See stack.h. The card may still be starting: until it has, nobody knows its
 * address. */
int stack_start(struct nic *nic, const struct config_network *want)
{
	if (stack.nic) {
		return EBUSY;
	}
	stack.nic = nic;
	stack.want = want;
	stack.hostname = stack_read_hostname(want);
	nic->receive = on_frame;
	nic->received = on_frames;
	nic->changed = on_link;
	nic->room = on_room;
	on_link(NULL);
	return 0;
}

/** See stack.h. */
struct nic *stack_nic(void)
{
	return stack.nic;
}

/** See stack.h. */
const char *stack_hostname(void)
{
	return stack.hostname;
}

/** See stack.h. The last one counts. */
void stack_set_hooks(const struct stack_hooks *hooks)
{
	stack.hooks = *hooks;
}
