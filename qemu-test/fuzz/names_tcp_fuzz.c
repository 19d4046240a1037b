// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: connections of a Linux's and to servers, as the input says;
 * lwIP's packets and connections are the fuzzer's. What must hold: no bad access;
 * answers have the ids of the queries, in their order; lwIP is told of what was
 * reset and of nothing else, and none takes the place of one that it is at work on;
 * and in the end, when nobody speaks any more, nothing is open.
 */
#include <stdlib.h>
#include <string.h>

#include "lwip/netif.h"
#include "lwip/tcp.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/listen.h"
#include "host-bridge/net/names_int.h"
#include "host-bridge/net/packet.h"
#include "host-bridge/net/stack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SOCKETS		20u
#define END_MS		60000u

enum kind { DIAL, DATA, ASK, OWN, ACKS, ENDS, RESETS, CONNECTED, SPEAK, ANSWER, TIME,
	    FAILS, DOWN, KINDS };

static struct socket {
	struct tcp_pcb pcb;
	bool open, server, asked, ended;
	tcp_connected_fn connected;
	err_t (*sent)(void *arg, struct tcp_pcb *tcp, u16_t len);
	/* What the relay was given, and what it has said. */
	uint8_t given[20000], said[70000];
	size_t given_len, said_len, at, unacked;
} sockets[SOCKETS];
static struct socket *at_work;		/* in a callback of its own */
static bool was_reset;
static struct netif wire;
static struct names_tcp *names;
static tcp_accept_fn accept;
static ip_addr_t address;
static unsigned servers;
static struct loop_timer *timer;
static uint64_t now_ms;
static bool write_fails, connect_fails;
static unsigned pieces;
struct names_status names_status;
unsigned names_good;
struct netif *netif_default = &wire;

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

/* ---- What the relay asks of others ---- */

struct piece {
	struct pbuf pbuf;
	uint8_t *all;
};

static struct pbuf *make_pbuf(const uint8_t *data, size_t len)
{
	struct piece *p = calloc(1, sizeof(*p));

	p->pbuf.payload = p->all = memcpy(malloc(len), data, len);
	p->pbuf.len = p->pbuf.tot_len = (u16_t)len;
	pieces++;
	return &p->pbuf;
}

u8_t pbuf_free(struct pbuf *p)
{
	while (p) {
		struct pbuf *next = p->next;

		free(((struct piece *)p)->all);
		free(p);
		pieces--;
		p = next;
	}
	return 1;
}

struct pbuf *pbuf_free_header(struct pbuf *p, u16_t size)
{
	check(size <= p->tot_len);
	while (p && size >= p->len) {
		struct pbuf *next = p->next;

		size = (u16_t)(size - p->len);
		p->next = NULL;
		pbuf_free(p);
		p = next;
	}
	if (p) {
		p->payload = (uint8_t *)p->payload + size;
		p->len = (u16_t)(p->len - size);
		p->tot_len = (u16_t)(p->tot_len - size);
	}
	return p;
}

void pbuf_cat(struct pbuf *head, struct pbuf *tail)
{
	for (; head->next; head = head->next) {
		head->tot_len = (u16_t)(head->tot_len + tail->tot_len);
	}
	head->tot_len = (u16_t)(head->tot_len + tail->tot_len);
	head->next = tail;
}

u16_t pbuf_clen(const struct pbuf *p)
{
	u16_t count = 0;

	for (; p; p = p->next) {
		count++;
	}
	return count;
}

u16_t pbuf_copy_partial(const struct pbuf *p, void *to, u16_t len, u16_t at)
{
	size_t done = 0;

	check(at + (size_t)len <= p->tot_len);
	for (; p; p = p->next) {
		for (size_t i = 0; i < p->len; i++, at -= at > 0) {
			if (at == 0 && done < len) {
				((uint8_t *)to)[done++] =
					((const uint8_t *)p->payload)[i];
			}
		}
	}
	return len;
}

u8_t pbuf_get_at(const struct pbuf *p, u16_t at)
{
	u8_t byte;

	(void)pbuf_copy_partial(p, &byte, 1, at);
	return byte;
}

static struct socket *find(const struct tcp_pcb *pcb)
{
	struct socket *s = (struct socket *)(uintptr_t)pcb;

	check(s >= sockets && s < sockets + SOCKETS && s->open);
	return s;
}

struct tcp_pcb *tcp_new_ip_type(u8_t type)
{
	struct socket *s = sockets;

	(void)type;
	while (s->open) {
		check(++s < sockets + SOCKETS);
	}
	check(s != at_work);
	memset(&s->pcb, 0, sizeof(s->pcb));
	s->open = s->server = true;
	s->asked = s->ended = false;
	s->connected = NULL;
	s->sent = NULL;
	s->given_len = s->said_len = s->at = s->unacked = 0;
	s->pcb.rcv_wnd = 65535;
	return &s->pcb;
}

void tcp_abort(struct tcp_pcb *pcb)
{
	struct socket *s = find(pcb);

	s->open = false;
	was_reset |= s == at_work;
	check(!pcb->errf);		/* it is not to be told */
}

err_t tcp_shutdown(struct tcp_pcb *pcb, int receive, int send)
{
	struct socket *s = find(pcb);

	check(!receive && send && !pcb->recv && !s->sent && !pcb->errf);
	check(!s->server);
	s->open = write_fails;
	return write_fails ? ERR_MEM : ERR_OK;
}

void tcp_arg(struct tcp_pcb *pcb, void *arg)
{
	find(pcb)->pcb.callback_arg = arg;
}

void tcp_recv(struct tcp_pcb *pcb, tcp_recv_fn fn)
{
	find(pcb)->pcb.recv = fn;
}

void tcp_sent(struct tcp_pcb *pcb, tcp_sent_fn fn)
{
	find(pcb)->sent = fn;
}

void tcp_err(struct tcp_pcb *pcb, tcp_err_fn fn)
{
	find(pcb)->pcb.errf = fn;
}

void tcp_bind_netif(struct tcp_pcb *pcb, const struct netif *netif)
{
	check(find(pcb)->server && netif == &wire);
}

err_t tcp_connect(struct tcp_pcb *pcb, const ip_addr_t *to, u16_t port,
		  tcp_connected_fn fn)
{
	check(to == &address && port == 53);
	find(pcb)->connected = connect_fails ? NULL : fn;
	return connect_fails ? ERR_RTE : ERR_OK;
}

/* A whole answer has the id of the query whose turn it is. */
static void look_at_answer(struct socket *s)
{
	size_t len = s->said_len >= 2 ? 2u + net_get16(s->said) : SIZE_MAX;

	if (s->server || s->said_len < len) {
		return;
	}
	check(len == s->said_len && len >= 14 && (s->said[4] & 0x80));
	check(s->at + 14 <= s->given_len);
	check(memcmp(s->said + 2, s->given + s->at + 2, 2) == 0);
	s->at += 2u + net_get16(s->given + s->at);
	check(s->at <= s->given_len);
	s->said_len = 0;
}

err_t tcp_write(struct tcp_pcb *pcb, const void *data, u16_t len, u8_t flags)
{
	struct socket *s = find(pcb);

	check((flags & TCP_WRITE_FLAG_COPY) && len > 0);
	if (write_fails) {
		return ERR_MEM;
	}
	check(s->said_len + len <= sizeof(s->said));
	memcpy(s->said + s->said_len, data, len);
	s->said_len += len;
	s->unacked += len;
	s->asked = true;
	look_at_answer(s);
	return ERR_OK;
}

err_t tcp_output(struct tcp_pcb *pcb)
{
	(void)find(pcb);
	return ERR_OK;
}

void tcp_recved(struct tcp_pcb *pcb, u16_t len)
{
	find(pcb)->pcb.rcv_wnd += len;
	check(pcb->rcv_wnd <= 65535);
}

err_t tcp_close(struct tcp_pcb *pcb)
{
	(void)pcb;
	abort();
}

int listen_tcp_at(struct netif *netif, const ip_addr_t *at, uint16_t port,
		  uint8_t backlog, tcp_accept_fn fn, struct tcp_pcb **out)
{
	static unsigned count;

	check(netif == &wire && at && port == 53 && backlog > 0 && count < 2);
	accept = fn;
	*out = (struct tcp_pcb *)&sockets[count];	/* for tcp_arg() */
	sockets[count++].open = true;
	return 0;
}

const ip_addr_t *names_server(unsigned turn)
{
	(void)turn;
	return servers > 0 ? &address : NULL;
}

bool names_take(struct names *n, const uint8_t *message, size_t len,
		struct names_question *q, uint8_t *out, size_t *made)
{
	static const struct names_ends who = {
		.host4 = { 10, 77, 1, 1 }, .linux4 = { 10, 77, 1, 2 },
		.title = "work",
	};

	check(n == NULL && len <= NAMES_LONGEST);
	if (!names_is(message, len, false)) {
		return false;
	}
	*made = names_parse(message, len, q) ?
		names_own(message, q, &who, out) :
		names_refuse(message, NULL, NAMES_FORMERR, out);
	return true;
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

/* Around a callback of a connection's own. */
static void begin(struct socket *s)
{
	was_reset = false;
	at_work = s;
}

static void end(err_t error)
{
	at_work = NULL;
	check((error == ERR_ABRT) == was_reset);
}

static void dial(void)
{
	struct socket *s = (struct socket *)tcp_new_ip_type(IPADDR_TYPE_V4);
	err_t error;

	s->server = false;
	error = accept(sockets[0].pcb.callback_arg, &s->pcb, ERR_OK);
	s->open = error == ERR_OK;	/* else lwIP resets it */
}

static void give(struct socket *s, const uint8_t *data, size_t len)
{
	if (len > s->pcb.rcv_wnd || len == 0 || s->ended ||
	    s->given_len + len > sizeof(s->given)) {
		return;
	}
	memcpy(s->given + s->given_len, data, len);
	s->given_len += len;
	s->pcb.rcv_wnd -= (tcpwnd_size_t)len;
	begin(s);
	end(s->pcb.recv(s->pcb.callback_arg, &s->pcb, make_pbuf(data, len),
			ERR_OK));
}

/* A query whose header is one; its id, its flags and its name are the input's. */
static void ask(struct socket *s, bool own, const uint8_t *data, size_t len)
{
	static const uint8_t zone[] = "\7isthmus\10internal\0\0\1\0";
	uint8_t m[400] = { [7] = 1 };
	size_t label = len > 6 ? len - 6 : 0, at = 14;

	if (len < 5) {
		return;
	}
	memcpy(m + 2, data, 2);
	m[4] = data[2] & 0x79;
	label = label < 60 ? label : 60;
	if (own && (data[3] & 1)) {
		memcpy(m + at, "\4host", 5);
		at += 5;
	} else {
		m[at++] = (uint8_t)(label + 1);
		memcpy(m + at, data + 5, label);
		m[at + label] = 'x';
		at += label + 1;
	}
	if (own) {
		memcpy(m + at, zone, sizeof(zone));
		at += sizeof(zone);
	} else {
		memcpy(m + at, "\0\0\1\0\1", 5);
		at += 5;
	}
	m[at++] = 1;
	net_put16(m, (uint16_t)(at - 2));
	give(s, m, at);
}

/* The right answer, but for a byte of it. */
static void answer(struct socket *s, const uint8_t *data, size_t len)
{
	static uint8_t m[5000];

	if (s->said_len < 14 || s->said_len > 4200 || len < 2 || !s->asked) {
		return;
	}
	memcpy(m, s->said, s->said_len);
	memcpy(m + s->said_len, data, len);
	net_put16(m, (uint16_t)(s->said_len - 2 + len));
	m[4] |= 0x80;
	if (data[0] < 40) {
		m[data[0] % s->said_len] ^= data[1];
	}
	give(s, m, s->said_len + len);
}

static void step(enum kind kind, const uint8_t *data, size_t len)
{
	struct socket *s = NULL;
	size_t n;

	for (unsigned i = 0; len > 0 && i < SOCKETS; i++) {
		struct socket *it = &sockets[(data[0] + i) % SOCKETS];

		if (it->open && it->pcb.callback_arg && it > sockets + 1 &&
		    it->server == (kind == CONNECTED || kind == SPEAK ||
				   kind == ANSWER || (data[0] & 0x80))) {
			s = it;
			break;
		}
	}
	if (kind == DIAL) {
		dial();
	} else if (kind == TIME) {
		pass(len > 0 ? data[0] * 20u : 500);
	} else if (kind == FAILS && len > 0) {
		servers = data[0] & 1;
		write_fails = (data[0] & 14) == 14;
		connect_fails = (data[0] & 0x70) == 0x70;
	} else if (kind == DOWN) {
		names_tcp_down(names);
	} else if (!s) {
		return;
	} else if (kind == DATA || (kind == SPEAK && !s->connected)) {
		give(s, data + 1, len - 1);
	} else if (kind == ASK || kind == OWN) {
		ask(s, kind == OWN, data + 1, len - 1);
	} else if (kind == ANSWER && !s->connected) {
		answer(s, data + 1, len - 1);
	} else if (kind == ACKS && s->sent && s->unacked > 0) {
		n = len > 1 && data[1] < s->unacked ? data[1] : s->unacked;
		n = n < 65535 ? n : 65535;
		s->unacked -= n;
		begin(s);
		end(s->sent(s->pcb.callback_arg, &s->pcb, (u16_t)n));
	} else if (kind == ENDS && !s->ended && !s->connected) {
		s->ended = true;
		begin(s);
		end(s->pcb.recv(s->pcb.callback_arg, &s->pcb, NULL, ERR_OK));
	} else if (kind == RESETS) {
		s->open = false;
		s->pcb.errf(s->pcb.callback_arg, ERR_RST);
	} else if (kind == CONNECTED && s->connected) {
		tcp_connected_fn fn = s->connected;

		s->connected = NULL;
		begin(s);
		end(fn(s->pcb.callback_arg, &s->pcb, ERR_OK));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const ip_addr_t at[2];

	if (!names) {
		check(names_tcp_new(NULL, &wire, at, &names) == 0);
	}
	servers = 1;
	write_fails = connect_fails = false;
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
	/* Else each query that waits has its time for three tries. */
	servers = 0;
	pass(END_MS);
	check(pieces == 0);
	for (unsigned i = 2; i < SOCKETS; i++) {
		check(!sockets[i].open);
	}
	return 0;
}
