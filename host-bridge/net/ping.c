/* SPDX-License-Identifier: MIT */
/*
 * Echo requests [RFC 792, RFC 4443]. What answers is anybody's: it must have the
 * number of the last request, and what was sent with it.
 */
#include <errno.h>
#include <string.h>

#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/raw.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/lwip/arch/cc.h"
#include "host-bridge/net/packet.h"
#include "host-bridge/net/ping.h"
#include "host-bridge/net/stack.h"

#define HEADER		8u

static struct {
	struct raw_pcb *pcb;
	ip_addr_t to;
	uint8_t sent[HEADER + PING_BYTES];
	uint16_t sequence;
	uint64_t at;			/* TSC, when it was sent */
	bool answered;
	struct ping_reply reply;
} ping;

static bool six(void)
{
	return IP_IS_V6(&ping.to);
}

/* Everything of ICMP's: 1 if it was ours, and lwIP shall not look at it. */
static uint8_t on_packet(void *arg, struct raw_pcb *pcb, struct pbuf *p,
			 const ip_addr_t *from)
{
	uint8_t got[HEADER + PING_BYTES];
	uint64_t ticks = loop_now() - ping.at;

	(void)arg;
	(void)pcb;
	(void)from;
	if (pbuf_copy_partial(p, got, sizeof(got),
			      ip_current_header_tot_len()) != sizeof(got) ||
	    got[0] != (six() ? ICMP6_TYPE_EREP : ICMP_ER) ||
	    memcmp(got + 4, ping.sent + 4, sizeof(got) - 4) != 0) {
		return 0;
	}
	ping.answered = true;
	ping.reply.sequence = ping.sequence;
	ping.reply.us = ticks * 1000 / loop_ms_to_ticks(1);
	pbuf_free(p);
	return 1;
}

/** See ping.h. The id is one that the NAT gives to no Linux, as the ports of other
 * calls are (lwipopts.h). */
int ping_open(const ip_addr_t *to)
{
	uint32_t random = lwip_port_random();

	ping.to = *to;
	stack_of_wire(&ping.to);
	ping.pcb = raw_new_ip_type(IP_GET_TYPE(to), six() ? IP6_NEXTH_ICMP6 :
				   IP_PROTO_ICMP);
	if (!ping.pcb) {
		return ENOMEM;
	}
	raw_recv(ping.pcb, on_packet, NULL);
	if (six()) {
		ping.pcb->chksum_reqd = 1;
		ping.pcb->chksum_offset = 2;
	}
	memset(ping.sent, 0, sizeof(ping.sent));
	net_put16(ping.sent + 4, UDP_ENSURE_LOCAL_PORT_RANGE(random));
	memcpy(ping.sent + HEADER, &random, sizeof(random));
	ping.sequence = 0;
	return 0;
}

/** See ping.h. */
int ping_send(void)
{
	struct pbuf *p = pbuf_alloc(PBUF_IP, sizeof(ping.sent), PBUF_RAM);
	uint16_t sum;
	err_t error;

	if (!p) {
		return ENOMEM;
	}
	ping.answered = false;
	ping.sequence++;
	ping.sent[0] = six() ? ICMP6_TYPE_EREQ : ICMP_ECHO;
	ping.sent[6] = (uint8_t)(ping.sequence >> 8);
	ping.sent[7] = (uint8_t)ping.sequence;
	memset(ping.sent + 2, 0, 2);
	if (!six()) {
		sum = inet_chksum(ping.sent, sizeof(ping.sent));
		memcpy(ping.sent + 2, &sum, 2);
	}
	memcpy(p->payload, ping.sent, sizeof(ping.sent));
	ping.at = loop_now();
	error = raw_sendto(ping.pcb, p, &ping.to);
	pbuf_free(p);
	stack_left();
	return error == ERR_OK ? 0 : error == ERR_MEM ? ENOBUFS : EHOSTUNREACH;
}

/** See ping.h. */
bool ping_look(struct ping_reply *reply)
{
	bool answered = ping.answered;

	ping.answered = false;
	*reply = ping.reply;
	return answered;
}

/** See ping.h. */
void ping_close(void)
{
	raw_remove(ping.pcb);
	ping.pcb = NULL;
}
