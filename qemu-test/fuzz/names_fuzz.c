// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: datagrams of a Linux's and of servers, as the input says; lwIP's
 * packets and sockets are the fuzzer's. What must hold: no bad access; who is answered
 * is who asked; no socket is lost, none is used that is closed; and in the end, when
 * nobody speaks any more, nothing is open.
 */
#include <stdlib.h>
#include <string.h>

#include "lwip/dns.h"
#include "lwip/netif.h"
#include "lwip/udp.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/names_int.h"
#include "host-bridge/net/packet.h"
#include "host-bridge/net/stack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SOCKETS		40u
#define MANY		40u	/* more than are open at once */
#define END_MS		10000u

enum kind { QUERY, ASK, OWN, ANSWER, RIGHT_ANSWER, TIME, SERVERS, DOWN, KINDS };

/* The first two are Linux's. */
static struct socket {
	struct udp_pcb pcb;
	bool open;
	uint8_t asked[5000];
	size_t len;
} sockets[SOCKETS];
static struct netif wire;
static struct names *names;
static ip_addr_t servers[DNS_MAX_SERVERS];
static struct loop_timer *timer;
static uint64_t now_ms;
static bool wire_fails;
/* What Linux asked last, if its answer may come at once. */
static const uint8_t *query;
struct netif *netif_default = &wire;
const ip_addr_t ip_addr_any, ip6_addr_any = IPADDR6_INIT(0, 0, 0, 0);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

/* ---- lwIP, the stack and the loop ---- */

static struct socket *find(const struct udp_pcb *pcb)
{
	struct socket *s = (struct socket *)(uintptr_t)pcb;

	check(s >= sockets && s < sockets + SOCKETS && s->open);
	return s;
}

static unsigned pieces;

/* A packet's bytes are exactly so many. */
struct pbuf *pbuf_alloc(pbuf_layer layer, u16_t len, pbuf_type type)
{
	struct pbuf *p = calloc(1, sizeof(*p));

	(void)layer;
	(void)type;
	p->payload = malloc(len > 0 ? len : 1);
	p->len = p->tot_len = len;
	pieces++;
	return p;
}

u8_t pbuf_free(struct pbuf *p)
{
	while (p) {
		struct pbuf *next = p->next;

		pieces--;
		free(p->payload);
		free(p);
		p = next;
	}
	return 1;
}

u16_t pbuf_copy_partial(const struct pbuf *p, void *to, u16_t len, u16_t at)
{
	size_t done = 0;

	check(at == 0 && len == p->tot_len);
	for (; p; p = p->next) {
		memcpy((uint8_t *)to + done, p->payload, p->len);
		done += p->len;
	}
	return len;
}

struct pbuf *pbuf_clone(pbuf_layer layer, pbuf_type type, struct pbuf *p)
{
	struct pbuf *copy = pbuf_alloc(layer, p->tot_len, type);

	(void)pbuf_copy_partial(p, copy->payload, p->tot_len, 0);
	return copy;
}

struct udp_pcb *udp_new_ip_type(u8_t type)
{
	for (unsigned i = 0; i < SOCKETS; i++) {
		if (!sockets[i].open) {
			memset(&sockets[i].pcb, 0, sizeof(sockets[i].pcb));
			IP_SET_TYPE_VAL(sockets[i].pcb.local_ip, type);
			sockets[i].open = true;
			sockets[i].len = 0;
			return &sockets[i].pcb;
		}
	}
	abort();
}

err_t udp_bind(struct udp_pcb *pcb, const ip_addr_t *address, u16_t port)
{
	(void)address;
	find(pcb)->pcb.local_port = port;
	return port % 16 == 3 ? ERR_USE : ERR_OK;
}

void udp_bind_netif(struct udp_pcb *pcb, const struct netif *netif)
{
	(void)find(pcb);
	check(netif != NULL);
}

err_t udp_connect(struct udp_pcb *pcb, const ip_addr_t *to, u16_t port)
{
	check(port == 53);
	find(pcb)->pcb.remote_ip = *to;
	return ERR_OK;
}

void udp_recv(struct udp_pcb *pcb, udp_recv_fn recv, void *arg)
{
	find(pcb)->pcb.recv = recv;
	pcb->recv_arg = arg;
}

void udp_remove(struct udp_pcb *pcb)
{
	find(pcb)->open = false;
}

err_t udp_send(struct udp_pcb *pcb, struct pbuf *p)
{
	struct socket *s = find(pcb);

	check(p->tot_len <= sizeof(s->asked));
	s->len = pbuf_copy_partial(p, s->asked, p->tot_len, 0);
	return wire_fails ? ERR_RTE : ERR_OK;
}

/* To Linux. Its port is its query's id. */
err_t udp_sendto(struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *to,
		 u16_t port)
{
	const uint8_t *answer = p->payload;

	check(find(pcb) < sockets + 2 && p->len == p->tot_len && p->len >= 12);
	check((net_get16(answer + 2) & 0x8000) != 0);
	check(net_get16(answer) == port && IP_IS_V4(to));
	check(!query || net_get16(query) != port ||
	      net_get16(answer + 4) <= net_get16(query + 4));
	return ERR_OK;
}

const ip_addr_t *dns_getserver(u8_t number)
{
	return &servers[number];
}

struct netif *stack_link_netif(struct stack_link *link)
{
	(void)link;
	return &wire;
}

/* TCP is another target's: names_tcp_fuzz.c. */
int names_tcp_new(struct names *n, struct netif *netif, const ip_addr_t address[2],
		  struct names_tcp **out)
{
	check(n && netif == &wire && address);
	*out = NULL;
	return 0;
}

void names_tcp_down(struct names_tcp *t)
{
	check(!t);
}

void stack_left(void)
{
}

uint32_t lwip_port_random(void)
{
	static uint32_t number;

	return number = number * 1664525u + 1013904223u;
}

uint64_t loop_uptime_ms(void)
{
	return now_ms;
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	t->fn = fn;
	t->deadline = now_ms + delay_ms;
	timer = t;
}

/* ---- The script ---- */

static void pass(uint64_t ms)
{
	for (uint64_t end = now_ms + ms; now_ms < end; now_ms += 50) {
		if (timer && timer->deadline <= now_ms) {
			struct loop_timer *t = timer;

			timer = NULL;
			t->fn(t);
		}
	}
}

/* A datagram, in one piece or in two. */
static void give(struct socket *s, const ip_addr_t *from, uint16_t port,
		 const uint8_t *data, size_t len, bool torn)
{
	size_t first = torn ? len / 2 : len;
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (uint16_t)first, PBUF_RAM);

	memcpy(p->payload, data, first);
	if (torn) {
		struct pbuf *q = pbuf_alloc(PBUF_RAW, (uint16_t)(len - first),
					    PBUF_RAM);

		memcpy(q->payload, data + first, len - first);
		p->tot_len = (uint16_t)len;
		p->next = q;
	}
	s->pcb.recv(s->pcb.recv_arg, &s->pcb, p, from, port);
}

static void ask(const uint8_t *data, size_t len)
{
	ip_addr_t linux_end = IPADDR4_INIT_BYTES(10, 77, 1, 2);

	query = len >= 12 ? data : NULL;
	give(&sockets[0], &linux_end, len >= 2 ? net_get16(data) : 0, data, len,
	     len > 80);
	query = NULL;
}

/* A query that is one, as far as the header: its id, its flags and the number of
 * its last records are the input's, then a name and what follows it. Or many. */
static void make(enum kind kind, const uint8_t *data, size_t len)
{
	static const uint8_t zone[] = "\7isthmus\10internal";
	uint8_t message[300] = { [5] = 1 };
	size_t at = 12;
	unsigned times;

	if (len < 3) {
		return;
	}
	times = data[2] & 0x80 ? MANY : 1;
	message[1] = data[0];
	message[2] = data[1] & 0x79;
	message[11] = data[2] & 1;
	data += 3;
	len -= 3;
	if (kind == OWN) {
		size_t label = len > 5 ? 5 : len;

		message[at++] = (uint8_t)label;
		memcpy(message + at, data, label);
		memcpy(message + at + label, zone, sizeof(zone));
		at += label + sizeof(zone);
		data += label;
		len -= label;
	}
	memcpy(message + at, data, len < sizeof(message) - at ? len :
	       sizeof(message) - at);
	at += len < sizeof(message) - at ? len : sizeof(message) - at;
	for (unsigned i = 0; i < times; i++, message[0]++) {
		ask(message, at);
	}
}

static void speak(enum kind kind, const uint8_t *data, size_t len)
{
	static uint8_t whole[5000];
	struct socket *s = &sockets[2];

	for (unsigned i = 2; i < SOCKETS && len > 0 && !s->open; i++) {
		s = &sockets[2 + (data[0] + i) % (SOCKETS - 2)];
	}
	if (!s->open) {
		return;
	}
	if (len > 0) {
		data++;
		len--;
	}
	if (kind == RIGHT_ANSWER && s->len > 0) {
		memcpy(whole, s->asked, s->len);
		whole[2] |= 0x80;
		if (len > 0 && data[0] < s->len) {
			whole[data[0]] ^= data[len - 1];
		}
		memcpy(whole + s->len, data, len);
		len += s->len;
		data = whole;
	}
	give(s, &s->pcb.remote_ip, 53, data, len, len > 60);
}

static void step(enum kind kind, const uint8_t *data, size_t len)
{
	switch (kind) {
	case QUERY:
		ask(data, len);
		break;
	case ASK:
	case OWN:
		make(kind, data, len);
		break;
	case TIME:
		pass(len > 0 ? data[0] * 20u : 500);
		break;
	case SERVERS:
		memset(servers, 0, sizeof(servers));
		for (unsigned i = 0; i < DNS_MAX_SERVERS && i < len; i++) {
			ip_addr_set_ip4_u32_val(servers[i], data[i]);
		}
		wire_fails = len > 3 && data[3] & 1;
		break;
	case DOWN:
		names_linux_down(names);
		break;
	default:
		speak(kind, data, len);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct names_ends ends = {
		.host4 = { 10, 77, 1, 1 }, .linux4 = { 10, 77, 1, 2 },
		.host6 = { 0xfd, [15] = 1 }, .linux6 = { 0xfd, [15] = 2 },
		.title = "work",
	};

	if (!names) {
		check(names_new(NULL, &ends, &names) == 0);
	}
	ip_addr_set_ip4_u32_val(servers[0], 0x0302000a);
	while (size >= 2) {
		size_t len = data[1] < size - 2 ? data[1] : size - 2;
		/* Exactly so long, for reads beyond it. */
		uint8_t *copy = malloc(len > 0 ? len : 1);

		memcpy(copy, data + 2, len);
		step(data[0] % KINDS, copy, len);
		free(copy);
		data += 2 + len;
		size -= 2 + len;
	}
	pass(END_MS);
	check(pieces == 0);
	for (unsigned i = 2; i < SOCKETS; i++) {
		check(!sockets[i].open);
	}
	return 0;
}
