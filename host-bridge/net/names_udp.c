// SPDX-License-Identifier: MIT
/*
 * The relay of names.h, over UDP, and what names_tcp.c needs as well. A query is
 * passed on as it came, but for its id, and so is its answer: of what is in them
 * nothing is read but the question, so whatever is new in DNS passes [RFC 5625 "The
 * Transparency Principle"].
 *
 * Each try has a socket of its own, with a port and an id by chance, and takes an
 * answer from the server that was asked, on that port, with that id and that question
 * [RFC 5452 "Query Matching Rules"]: who is not on the way has 28 bits to guess.
 * Nothing is kept, so there is nothing to poison.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/dns.h"
#include "lwip/netif.h"
#include "lwip/udp.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/names_int.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/packet.h"
#include "host-bridge/net/stack.h"

#define AT_ONCE		32u		/* queries of a Linux */
#define RATE		1000u		/* of a Linux, a second */
#define PORTS_TRIED	16u

static_assert(MEMP_NUM_UDP_PCB >= 32 + NAT_LINUXES * (AT_ONCE + 2),
	      "a Linux could take the sockets of another");

/* One that was passed on. */
struct query {
	struct udp_pcb *pcb;		/* to the server; NULL: there is none */
	uint8_t *message;		/* NULL: not in use */
	size_t len;
	struct names_question question;
	struct udp_pcb *end;		/* where it came, from: */
	ip_addr_t from;
	uint16_t port;
	uint16_t id;			/* for the server */
	unsigned first, tries;		/* servers */
	uint64_t begun, until;		/* ms */
};

struct names {
	struct names *next;
	struct udp_pcb *ends[2];
	ip_addr_t linux_end[2];
	const struct names_ends *what;
	uint64_t second;		/* that is being counted */
	unsigned count;			/* of queries in it */
	struct query queries[AT_ONCE];
	struct names_tcp *tcp;
};

struct names_status names_status;
unsigned names_good;

static struct names *all;
static struct loop_timer timer;
static bool ticking;

/* ---- To Linux ---- */

static void reply(struct udp_pcb *end, const ip_addr_t *to, uint16_t port,
		  const uint8_t *data, size_t len)
{
	struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (uint16_t)len, PBUF_RAM);

	if (!p) {
		names_status.dropped++;
		return;
	}
	memcpy(p->payload, data, len);
	(void)udp_sendto(end, p, to, port);
	pbuf_free(p);
}

static void forget(struct query *q)
{
	if (q->pcb) {
		udp_remove(q->pcb);
	}
	free(q->message);
	memset(q, 0, sizeof(*q));
}

static void fail(struct query *q)
{
	uint8_t out[NAMES_MADE];
	size_t len = names_refuse(q->message, &q->question, NAMES_SERVFAIL, out);

	names_status.failed++;
	reply(q->end, &q->from, q->port, out, len);
	forget(q);
}

/* ---- To the servers ---- */

static void on_answer(void *arg, struct udp_pcb *pcb, struct pbuf *p,
		      const ip_addr_t *from, uint16_t port);

/** See names_int.h. */
const ip_addr_t *names_server(unsigned turn)
{
	const ip_addr_t *there[DNS_MAX_SERVERS];
	unsigned count = 0;

	for (uint8_t i = 0; i < DNS_MAX_SERVERS; i++) {
		if (!ip_addr_isany(dns_getserver(i))) {
			there[count++] = dns_getserver(i);
		}
	}
	return count > 0 ? there[turn % count] : NULL;
}

/* A socket on the wire, on a port that nobody can foresee. */
static struct udp_pcb *make_socket(bool six)
{
	struct udp_pcb *pcb = udp_new_ip_type(six ? IPADDR_TYPE_V6 :
					      IPADDR_TYPE_V4);

	for (unsigned i = 0; pcb && i < PORTS_TRIED; i++) {
		uint16_t port = UDP_ENSURE_LOCAL_PORT_RANGE(LWIP_RAND());

		if (udp_bind(pcb, six ? IP6_ADDR_ANY : IP4_ADDR_ANY, port) ==
		    ERR_OK) {
			udp_bind_netif(pcb, netif_default);
			return pcb;
		}
	}
	if (pcb) {
		udp_remove(pcb);
	}
	return NULL;
}

/* What the card has no room for is lost, as on the wire. */
static bool send(struct query *q)
{
	struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (uint16_t)q->len, PBUF_RAM);
	err_t error;

	if (!p) {
		return false;
	}
	memcpy(p->payload, q->message, q->len);
	net_put16(p->payload, q->id);
	error = udp_send(q->pcb, p);
	pbuf_free(p);
	return error == ERR_OK || error == ERR_MEM;
}

/* Asks the next server; false: it cannot be. */
static bool try(struct query *q)
{
	const ip_addr_t *to = names_server(q->first + q->tries++);

	if (q->pcb) {
		udp_remove(q->pcb);
		q->pcb = NULL;
	}
	if (!to || !netif_default) {
		return false;
	}
	q->pcb = make_socket(IP_IS_V6(to));
	if (!q->pcb || udp_connect(q->pcb, to, NAMES_PORT) != ERR_OK) {
		return false;
	}
	udp_recv(q->pcb, on_answer, q);
	q->id = (uint16_t)LWIP_RAND();
	q->until = loop_uptime_ms() + NAMES_TRY_MS;
	return send(q);
}

static void go_on(struct query *q)
{
	while (q->tries < NAMES_TRIES) {
		if (try(q)) {
			return;
		}
	}
	fail(q);
}

static void on_tick(struct loop_timer *t)
{
	uint64_t now = loop_uptime_ms();

	ticking = false;
	for (struct names *n = all; n; n = n->next) {
		for (unsigned i = 0; i < AT_ONCE; i++) {
			if (n->queries[i].message && n->queries[i].until <= now) {
				go_on(&n->queries[i]);
			}
			ticking |= n->queries[i].message != NULL;
		}
	}
	if (ticking) {
		loop_timer_set(t, NAMES_TICK_MS, on_tick);
	}
	stack_left();
}

/* lwIP has looked at the address and both ports. */
static void on_answer(void *arg, struct udp_pcb *pcb, struct pbuf *p,
		      const ip_addr_t *from, uint16_t port)
{
	struct pbuf *whole = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
	struct query *q = arg;

	(void)pcb;
	(void)from;
	(void)port;
	pbuf_free(p);
	if (!whole) {
		names_status.dropped++;
		return;
	}
	if (!names_answers(whole->payload, whole->len, q->id, &q->question)) {
		names_status.refused++;
	} else {
		names_status.answered++;
		names_good = q->first + q->tries - 1;
		memcpy(whole->payload, q->message, 2);
		reply(q->end, &q->from, q->port, whole->payload, whole->len);
		forget(q);
	}
	pbuf_free(whole);
}

/* ---- From Linux ---- */

/* Room for one more, if need be that of the oldest. NULL: Linux asks again what is
 * being asked. */
static struct query *make_room(struct names *n, const struct udp_pcb *end,
			       uint16_t port, const uint8_t *message, size_t len)
{
	struct query *oldest = n->queries;

	for (struct query *q = n->queries; q < n->queries + AT_ONCE; q++) {
		if (q->message && q->port == port && q->end == end &&
		    q->len == len && memcmp(q->message, message, len) == 0) {
			return NULL;
		}
		if (!q->message || (oldest->message && q->begun < oldest->begun)) {
			oldest = q;
		}
	}
	if (oldest->message) {
		names_status.dropped++;
		forget(oldest);
	}
	return oldest;
}

static void pass_on(struct names *n, struct udp_pcb *end, const ip_addr_t *from,
		    uint16_t port, const uint8_t *message, size_t len,
		    const struct names_question *question)
{
	struct query *q = make_room(n, end, port, message, len);

	if (!q) {
		return;
	}
	q->message = malloc(len);
	if (!q->message) {
		names_status.dropped++;
		return;
	}
	memcpy(q->message, message, len);
	q->len = len;
	q->question = *question;
	q->end = end;
	q->from = *from;
	q->port = port;
	q->first = names_good;
	q->begun = loop_uptime_ms();
	names_status.passed++;
	if (!ticking) {
		ticking = true;
		loop_timer_set(&timer, NAMES_TICK_MS, on_tick);
	}
	go_on(q);
}

static bool too_fast(struct names *n)
{
	uint64_t second = loop_uptime_ms() / 1000;

	if (second != n->second) {
		n->second = second;
		n->count = 0;
	}
	return ++n->count > RATE;
}

/** See names_int.h. Answers, or what calls itself one, are not answered: two that do
 * so would never end. */
bool names_take(struct names *n, const uint8_t *message, size_t len,
		struct names_question *q, uint8_t *out, size_t *made)
{
	if (!names_is(message, len, false) || too_fast(n)) {
		names_status.dropped++;
		return false;
	}
	if (!names_parse(message, len, q)) {
		*made = names_refuse(message, NULL, NAMES_FORMERR, out);
	} else {
		*made = names_own(message, q, n->what, out);
		names_status.own += *made > 0;
	}
	return true;
}

/* A datagram of Linux's. */
static void on_query(void *arg, struct udp_pcb *end, struct pbuf *p,
		     const ip_addr_t *from, uint16_t port)
{
	struct names *n = arg;
	static uint8_t message[NAMES_LONGEST];
	struct names_question question;
	uint8_t out[NAMES_MADE];
	size_t len = p->tot_len, made;

	names_status.asked++;
	if (len <= NAMES_LONGEST) {
		(void)pbuf_copy_partial(p, message, (uint16_t)len, 0);
	}
	pbuf_free(p);
	if (len > NAMES_LONGEST ||
	    !ip_addr_cmp(from, &n->linux_end[IP_IS_V6(from)])) {
		names_status.dropped++;
	} else if (!names_take(n, message, len, &question, out, &made)) {
		return;
	} else if (made > 0) {
		reply(end, from, port, out, made);
	} else {
		pass_on(n, end, from, port, message, len, &question);
	}
}

/* ---- The calls ---- */

static int open_end(struct names *n, struct netif *netif, bool six,
		    const ip_addr_t *address)
{
	struct udp_pcb *pcb = udp_new_ip_type(six ? IPADDR_TYPE_V6 :
					      IPADDR_TYPE_V4);

	if (!pcb) {
		return ENOMEM;
	}
	n->ends[six] = pcb;
	if (udp_bind(pcb, address, NAMES_PORT) != ERR_OK) {
		return EADDRINUSE;
	}
	/* The wire's packets for that address are not its [RFC 5625 "Interface
	 * Binding"]. */
	udp_bind_netif(pcb, netif);
	udp_recv(pcb, on_query, n);
	return 0;
}

static void set_address(ip_addr_t *address, const uint8_t *bytes, bool six)
{
	uint32_t four;

	memset(address, 0, sizeof(*address));
	if (six) {
		memcpy(ip_2_ip6(address)->addr, bytes, 16);
		IP_SET_TYPE(address, IPADDR_TYPE_V6);
	} else {
		memcpy(&four, bytes, 4);
		ip_addr_set_ip4_u32_val(*address, four);
	}
}

/** See names.h. */
int names_new(struct stack_link *link, const struct names_ends *ends,
	      struct names **out)
{
	struct names *n = calloc(1, sizeof(*n));
	ip_addr_t address[2];
	int error;

	if (!n) {
		return ENOMEM;
	}
	n->what = ends;
	set_address(&address[0], ends->host4, false);
	set_address(&address[1], ends->host6, true);
	set_address(&n->linux_end[0], ends->linux4, false);
	set_address(&n->linux_end[1], ends->linux6, true);
	error = open_end(n, stack_link_netif(link), false, &address[0]);
	if (error == 0) {
		error = open_end(n, stack_link_netif(link), true, &address[1]);
	}
	if (error == 0) {
		error = names_tcp_new(n, stack_link_netif(link), address,
				      &n->tcp);
	}
	if (error != 0) {
		for (unsigned i = 0; i < 2; i++) {
			if (n->ends[i]) {
				udp_remove(n->ends[i]);
			}
		}
		free(n);
		return error;
	}
	n->next = all;
	all = n;
	*out = n;
	return 0;
}

/** See names.h. */
void names_linux_down(struct names *n)
{
	for (unsigned i = 0; i < AT_ONCE; i++) {
		if (n->queries[i].message) {
			forget(&n->queries[i]);
		}
	}
	names_tcp_down(n->tcp);
}

/** See names.h. */
void names_get_status(struct names_status *s)
{
	*s = names_status;
}
