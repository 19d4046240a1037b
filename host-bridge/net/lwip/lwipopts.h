/* SPDX-License-Identifier: MIT */
/*
 * lwIP as this program has it: one thread, no sockets, IPv4 and IPv6; limits for
 * all that peers can make it keep. What is not here is as lwIP's opt.h says.
 */
#ifndef ISTHMUS_LWIPOPTS_H
#define ISTHMUS_LWIPOPTS_H

/* Everything runs in the event loop. */
#define NO_SYS				1
#define SYS_LIGHTWEIGHT_PROT		0
#define LWIP_NETCONN			0
#define LWIP_SOCKET			0

/* Packets and what is sent live in a heap of our own that is bounded and counted
 * (lwip_port.c); what there is of each kind of thing is set below, and is
 * there as it is needed (stack_pools.c). */
#define MEM_ALIGNMENT			8
#define MEM_LIBC_MALLOC			1
#define mem_clib_malloc			lwip_port_malloc
#define mem_clib_calloc			lwip_port_calloc
#define mem_clib_free			lwip_port_free
void *lwip_port_malloc(__SIZE_TYPE__ size);
void *lwip_port_calloc(__SIZE_TYPE__ count, __SIZE_TYPE__ size);
void lwip_port_free(void *p);

#define MEMP_NUM_PBUF			512
/* Nobody takes packets out of this: they are in the heap, as long as they are. */
#define PBUF_POOL_SIZE			4
#define PBUF_POOL_BUFSIZE		1600
#define MEMP_NUM_RAW_PCB		8
/* 32 queries of each Linux, and its two ports (names_udp.c). */
#define MEMP_NUM_UDP_PCB		(32 + 17 * 34)
/* 8 of each Linux and their 8 to servers, 16 half open; its two ports (names_tcp.c). */
#define MEMP_NUM_TCP_PCB		(256 + 17 * 32)
#define MEMP_NUM_TCP_PCB_LISTEN		(32 + 17 * 2)
#define MEMP_NUM_TCP_SEG		4096
#define MEMP_NUM_REASSDATA		16
#define IP_REASS_MAX_PBUFS		96
#define MEMP_NUM_FRAG_PBUF		64
/* A datagram of 64 KiB, 45 frames, waits whole for who is next on its way; of all
 * Linuxes wait 1,152 packets at most (neighbours.h). Tables are as long as lwIP can
 * count. */
#define MEMP_NUM_ARP_QUEUE		1280
#define ARP_QUEUE_LEN			48
#define MEMP_NUM_ND6_QUEUE		1280
#define MEMP_NUM_MLD6_GROUP		16
#define ARP_TABLE_SIZE			127
#define LWIP_ND6_NUM_NEIGHBORS		127
#define LWIP_ND6_NUM_DESTINATIONS	64
/* lwIP's own are a dozen; SNTP has three. */
#define MEMP_NUM_SYS_TIMEOUT		32

/* The wire, and the link to each Linux. */
#define LWIP_NETIF_STATUS_CALLBACK	1
#define LWIP_NETIF_HOSTNAME		1
#define LWIP_NETIF_EXT_STATUS_CALLBACK	0
#define LWIP_CHECKSUM_CTRL_PER_NETIF	1
#define ARP_QUEUEING			1
#define ETHARP_SUPPORT_STATIC_ENTRIES	0
#define LWIP_SINGLE_NETIF		0
#define LWIP_NETIF_LOOPBACK		1
#define LWIP_HAVE_LOOPIF		1
#define LWIP_LOOPBACK_MAX_PBUFS		64
/* Nothing is passed from one to another: that is the NAT's. */
#define IP_FORWARD			0
#define LWIP_IPV6_FORWARD		0

#define LWIP_IPV4			1
#define LWIP_IPV6			1
#define LWIP_IPV6_MLD			1
#define LWIP_IPV6_AUTOCONFIG		1
#define LWIP_IPV6_NUM_ADDRESSES		4
#define LWIP_IPV6_DHCP6			0
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS	2
/* Pointers are longer than what a fragment's header has room for. */
#define IPV6_FRAG_COPYHEADER		1
#define LWIP_RAW			1
#define LWIP_MULTICAST_PING		0
#define LWIP_BROADCAST_PING		0

/* An address is used at once: who has it besides us would keep a boot waiting for
 * seconds to be found out. */
#define LWIP_DHCP			1
#define DHCP_DOES_ARP_CHECK		0
#define LWIP_DHCP_DOES_ACD_CHECK	0
#define LWIP_DHCP_GET_NTP_SRV		1
#define LWIP_DHCP_MAX_NTP_SERVERS	2
#define LWIP_DHCP_MAX_DNS_SERVERS	3

#define LWIP_DNS			1
#define DNS_MAX_SERVERS			3
#define DNS_TABLE_SIZE			16
#define DNS_MAX_NAME_LENGTH		256
#define DNS_MAX_REQUESTS		16

/* Of a link, whose MTU is next to 64 KiB, a segment is that long; on a wire it is
 * what its MTU says. So a small write must not set a whole segment aside. */
#define TCP_MSS				65460
#define TCP_OVERSIZE			1024
#define LWIP_WND_SCALE			1
#define TCP_RCV_SCALE			4
#define TCP_WND				(8 * TCP_MSS)
#define TCP_SND_BUF			(8 * TCP_MSS)
#define TCP_SND_QUEUELEN		1024
#define TCP_SNDLOWAT			(2 * TCP_MSS)
#define TCP_OOSEQ_MAX_BYTES		TCP_WND
#define TCP_OOSEQ_MAX_PBUFS		512
#define TCP_LISTEN_BACKLOG		1
#define TCP_DEFAULT_LISTEN_BACKLOG	32
#define LWIP_TCP_KEEPALIVE		1
#define LWIP_TCP_SACK_OUT		1
#define TCP_MSL				30000ul
/* They reckon with 16-bit windows, and with packets from the pool. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS	1

/* Ports of what we begin ourselves: above all that the NAT gives Linux's packets
 * (NAT_LAST, nat.h), so that neither has to ask the other. */
#define TCP_LOCAL_PORT_RANGE_START	0xf000
#define TCP_LOCAL_PORT_RANGE_END	0xffff
#define TCP_ENSURE_LOCAL_PORT_RANGE(p)	((u16_t)((p) | TCP_LOCAL_PORT_RANGE_START))
#define UDP_LOCAL_PORT_RANGE_START	TCP_LOCAL_PORT_RANGE_START
#define UDP_LOCAL_PORT_RANGE_END	TCP_LOCAL_PORT_RANGE_END
#define UDP_ENSURE_LOCAL_PORT_RANGE(p)	TCP_ENSURE_LOCAL_PORT_RANGE(p)
/* DNS takes one by chance: with the query's id, who guesses has 28 bits to guess. */
#define DNS_PORT_ALLOWED(port)		((port) >= UDP_LOCAL_PORT_RANGE_START)

#define LWIP_STATS			1
#define LWIP_STATS_LARGE		1
#define MEM_STATS			0
#define MEMP_STATS			0

#define LWIP_HOOK_FILENAME		"host-bridge/net/lwip/hooks.h"

/* The time of NTP: net/ntp.c. */
#define SNTP_SERVER_DNS			1
#define SNTP_MAX_SERVERS		3
#define SNTP_GET_SERVERS_FROM_DHCP	1
#define SNTP_STARTUP_DELAY		0
#define SNTP_CHECK_RESPONSE		2
#define SNTP_COMP_ROUNDTRIP		1
#define SNTP_UPDATE_DELAY		900000
#define SNTP_GET_SYSTEM_TIME(sec, us)	lwip_port_time_get(&(sec), &(us))
#define SNTP_SET_SYSTEM_TIME_US(sec, us) lwip_port_time_set(sec, us)
void lwip_port_time_get(__UINT32_TYPE__ *sec, __UINT32_TYPE__ *us);
void lwip_port_time_set(__UINT32_TYPE__ sec, __UINT32_TYPE__ us);

#endif
