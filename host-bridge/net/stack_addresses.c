/* SPDX-License-Identifier: MIT */
/*
 * The stack's addresses: what the manifest says of them, and what they are.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/ip.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/dhcp.h"
#include "lwip/stats.h"

#include "host-bridge/net/stack_int.h"
#include "host-bridge/rt/notice.h"

#define NAME	"isthmus"

/* Of IPv6 as RFC 5952 has it. */
static void text6(const ip6_addr_t *address, char text[STACK_TEXT])
{
	ip6addr_ntoa_r(address, text, STACK_TEXT);
	for (; *text; text++) {
		*text = (char)tolower((unsigned char)*text);
	}
}

/** See stack.h. */
void stack_address_of(ip_addr_t *address, bool six, const uint8_t *bytes)
{
	if (six) {
		ip_addr_set_zero_ip6(address);
		memcpy(ip_2_ip6(address)->addr, bytes, 16);
	} else {
		ip_addr_set_zero_ip4(address);
		memcpy(&ip_2_ip4(address)->addr, bytes, 4);
	}
}

/** See stack.h. */
void stack_text(const ip_addr_t *address, char text[STACK_TEXT])
{
	if (IP_IS_V6(address)) {
		text6(ip_2_ip6(address), text);
	} else {
		ip4addr_ntoa_r(ip_2_ip4(address), text, STACK_TEXT);
	}
}

/** See stack.h. One that says which link it is of stays so. */
void stack_of_wire(ip_addr_t *address)
{
	if (IP_IS_V6(address) &&
	    ip6_addr_lacks_zone(ip_2_ip6(address), IP6_UNICAST)) {
		ip6_addr_assign_zone(ip_2_ip6(address), IP6_UNICAST,
				     &stack.wire);
	}
}

/* Letters, digits, hyphens and dots [RFC 1123 "Host Names and Numbers"]: it is a
 * word in DHCP's messages and in syslog's. */
static bool is_hostname(const char *text)
{
	const char *c = text;

	while (isalnum((unsigned char)*c) || *c == '-' || *c == '.') {
		c++;
	}
	return c > text && *c == '\0' && *text != '-' && *text != '.';
}

/** See stack_int.h. */
const char *stack_read_hostname(const struct config_network *want)
{
	if (want->hostname && !is_hostname(want->hostname)) {
		notice("network: hostname: \"%s\" is not of letters, digits and "
		       "hyphens", want->hostname);
	} else if (want->hostname) {
		return want->hostname;
	}
	return NAME;
}

/**
 * See stack.h. lwIP takes more: half of an address of IPv4's, numbers to other bases,
 * and of IPv6's what comes before something else.
 */
bool stack_read_address(const char *text, ip_addr_t *address)
{
	char back[STACK_TEXT];

	if (!ipaddr_aton(text, address)) {
		return false;
	}
	stack_text(address, back);
	return IP_IS_V4(address) ? strcmp(back, text) == 0 :
	       text[strspn(text, "0123456789abcdefABCDEF:.")] == '\0';
}

static bool read_address4(const char *text, ip4_addr_t *address)
{
	ip_addr_t any;
	bool is = stack_read_address(text, &any) && IP_IS_V4(&any);

	if (is) {
		*address = *ip_2_ip4(&any);
	}
	return is;
}

/* "192.0.2.1/24": the prefix from 1 to 30, as an address among others needs. */
static bool read_prefixed(const char *text, ip4_addr_t *address,
			  ip4_addr_t *mask)
{
	char copy[STACK_TEXT], *slash, *end;
	unsigned long bits;

	if (strlen(text) >= sizeof(copy)) {
		return false;
	}
	strcpy(copy, text);
	slash = strchr(copy, '/');
	if (!slash || slash[1] < '0' || slash[1] > '9') {
		return false;
	}
	*slash = '\0';
	bits = strtoul(slash + 1, &end, 10);
	if (*end || bits < 1 || bits > 30 || !read_address4(copy, address)) {
		return false;
	}
	mask->addr = lwip_htonl(~0u << (32 - bits));
	return true;
}

/* Words, up to three. */
static void read_servers(const char *text)
{
	char word[STACK_TEXT];
	unsigned count = 0;
	ip_addr_t address;

	while (*(text += strspn(text, " "))) {
		size_t len = strcspn(text, " ");

		snprintf(word, sizeof(word), "%.*s", (int)len, text);
		if (count == DNS_MAX_SERVERS || len >= sizeof(word) ||
		    !stack_read_address(word, &address)) {
			notice("network: dns: \"%s\" is no address, or one too "
			       "many", word);
			return;
		}
		stack_of_wire(&address);
		dns_setserver((uint8_t)count++, &address);
		text += len;
	}
}

/** See stack_int.h. lwIP only replaces one by another. */
void stack_forget_servers(void)
{
	for (uint8_t i = 0; i < DNS_MAX_SERVERS && !stack.want->dns; i++) {
		dns_setserver(i, NULL);
	}
}

static void read_address6(const char *text)
{
	ip_addr_t address;
	int8_t at;

	if (!stack_read_address(text, &address) || !IP_IS_V6(&address) ||
	    netif_add_ip6_address(&stack.wire, ip_2_ip6(&address), &at) !=
	    ERR_OK) {
		notice("network: address6: \"%s\" is no address, or it cannot be "
		       "had", text);
		return;
	}
	netif_ip6_addr_set_state(&stack.wire, at, IP6_ADDR_TENTATIVE);
}

/**
 * See stack_int.h. What is wrong is said, and is as if it were not there: a machine
 * that DHCP gives an address can be reached, and told.
 */
void stack_static(const struct config_network *want)
{
	ip4_addr_t address, mask, gateway = { 0 };

	if (want->dns) {
		read_servers(want->dns);
	}
	if (want->address6) {
		read_address6(want->address6);
	}
	if (want->gateway && !read_address4(want->gateway, &gateway)) {
		notice("network: gateway: \"%s\" is no IPv4 address",
		       want->gateway);
	}
	if (!want->address) {
		if (want->gateway) {
			notice("network: gateway: it takes an address in the "
			       "manifest too");
		}
		return;
	}
	if (!read_prefixed(want->address, &address, &mask)) {
		notice("network: address: \"%s\" is not as \"192.0.2.1/24\"; "
		       "DHCP is asked", want->address);
		return;
	}
	stack.by_hand = true;		/* which is said with it */
	netif_set_addr(&stack.wire, &address, &mask, &gateway);
}

/** See stack.h. */
bool stack_address4(uint32_t *address)
{
	*address = stack.added ? netif_ip4_addr(&stack.wire)->addr : 0;
	return *address != 0;
}

static bool usable(int i)
{
	return ip6_addr_isvalid(netif_ip6_addr_state(&stack.wire, i)) != 0;
}

/** See stack.h. One that others than neighbours can answer to. */
bool stack_address6(uint8_t address[16])
{
	for (int i = 0; stack.added && i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		const ip6_addr_t *a = netif_ip6_addr(&stack.wire, i);

		if (usable(i) && !ip6_addr_islinklocal(a)) {
			memcpy(address, a->addr, 16);
			return true;
		}
	}
	return false;
}

static void get_address4(struct stack_status *s)
{
	const struct dhcp *dhcp = netif_dhcp_data(&stack.wire);
	const ip4_addr_t *address = netif_ip4_addr(&stack.wire);
	unsigned bits = 0;

	if (address->addr == 0) {
		return;
	}
	for (uint32_t m = lwip_ntohl(netif_ip4_netmask(&stack.wire)->addr); m;
	     m <<= 1) {
		bits++;
	}
	s->how = stack.by_hand ? "the manifest" : "DHCP";
	ip4addr_ntoa_r(address, s->address, STACK_TEXT);
	snprintf(s->address + strlen(s->address),
		 STACK_TEXT - strlen(s->address), "/%u", bits);
	if (netif_ip4_gw(&stack.wire)->addr != 0) {
		ip4addr_ntoa_r(netif_ip4_gw(&stack.wire), s->gateway,
			       STACK_TEXT);
	}
	if (!stack.by_hand && dhcp && dhcp_supplied_address(&stack.wire)) {
		stack_text(&dhcp->server_ip_addr, s->server);
		s->lease = (uint32_t)(dhcp->t0_timeout - dhcp->lease_used) *
			   DHCP_COARSE_TIMER_SECS;
	}
}

static void get_address6(struct stack_status *s)
{
	unsigned count = 0;

	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		if (usable(i)) {
			text6(netif_ip6_addr(&stack.wire, i),
			      s->address6[count++]);
		}
	}
	for (int i = 0; i < LWIP_ND6_NUM_ROUTERS; i++) {
		const struct nd6_neighbor_cache_entry *router =
			default_router_list[i].neighbor_entry;

		if (router && default_router_list[i].invalidation_timer > 0) {
			text6(&router->next_hop_address, s->router6);
			return;
		}
	}
}

/** See stack.h. */
void stack_get_status(struct stack_status *s)
{
	unsigned count = 0;

	*s = (struct stack_status){ .nic = stack.nic, .how = "" };
	if (!stack.added) {
		return;
	}
	get_address4(s);
	get_address6(s);
	for (uint8_t i = 0; i < DNS_MAX_SERVERS; i++) {
		if (!ip_addr_isany(dns_getserver(i))) {
			stack_text(dns_getserver(i), s->dns[count++]);
		}
	}
	for (const struct tcp_pcb *c = tcp_active_pcbs; c; c = c->next) {
		s->connections++;
	}
	s->refused = stack.lost + lwip_stats.link.drop + lwip_stats.etharp.drop +
		     lwip_stats.ip.drop + lwip_stats.ip6.drop +
		     lwip_stats.icmp.drop + lwip_stats.udp.drop +
		     lwip_stats.tcp.drop;
}
