// SPDX-License-Identifier: MIT
/*
 * The relay of names.h, over TCP, which who asks takes for what had no room in a
 * datagram [RFC 5625 "TCP Transport", RFC 7766]. A message has its length before
 * it. Queries of a connection are served one after the other, and so are their
 * answers in order; each that is passed on has a connection of its own to a server.
 *
 * Linux and servers say what they want, and as slowly as they want. So connections
 * are few, what each can have here is bounded by its window, and each query and each
 * silence by time. Who does not keep to that is reset, for that leaves nothing to
 * be kept; so are servers that have answered.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/netif.h"
#include "lwip/tcp.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/listen.h"
#include "host-bridge/net/names_int.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/packet.h"
#include "host-bridge/net/stack.h"

#define AT_ONCE		8u		/* connections of a Linux, and.. */
#define HALF_OPEN	8u		/* .. of each of its addresses, half open */
#define WINDOW		8192u		/* bytes of queries that wait in each */
#define PIECES		64u		/* and packets that these came in */
#define SERVER_WINDOW	65535u
#define LENGTH		2u		/* of what is before a message */
#define IDLE_MS		10000u		/* [RFC 7766 "Idle Timeouts"]: seconds */

static_assert(MEMP_NUM_TCP_PCB >= 256 + NAT_LINUXES * (2 * AT_ONCE + 2 * HALF_OPEN),
	      "a Linux could take the connections of others");
static_assert(WINDOW >= LENGTH + NAMES_LONGEST, "a query has no room");

/* A query that was passed on. */
struct passed {
	struct tcp_pcb *server;		/* NULL: there is none */
	struct names_question question;
	unsigned first, tries;		/* servers */
	uint16_t id;			/* for the server */
	size_t len, got;		/* of the two below */
	uint8_t query[NAMES_LONGEST];
	uint8_t answer[LENGTH + UINT16_MAX];
};

/* A connection of Linux's. */
struct call {
	struct names_tcp *of;
	struct tcp_pcb *tcp;		/* NULL: not in use */
	struct pbuf *in;		/* what has come and was not read */
	bool ended;			/* by Linux */
	size_t owed;			/* bytes of answers that Linux has not got */
	struct passed *passed;		/* NULL: none is at work */
	uint64_t until;			/* ms; then the server is late, or Linux */
};

struct names_tcp {
	struct names_tcp *next;
	struct names *names;
	struct call calls[AT_ONCE];
};

static struct names_tcp *all;
static struct loop_timer timer;
static bool ticking;

/* In what follows false means: the connection to Linux was reset, which its callbacks
 * must tell lwIP. */

static void reset(struct tcp_pcb *tcp)
{
	tcp_err(tcp, NULL);
	tcp_abort(tcp);
}

static void drop_passed(struct call *c)
{
	if (c->passed && c->passed->server) {
		reset(c->passed->server);
	}
	free(c->passed);
	c->passed = NULL;
}

/* The connection is not ours any more. */
static void forget(struct call *c)
{
	drop_passed(c);
	if (c->in) {
		pbuf_free(c->in);
	}
	memset(c, 0, sizeof(*c));
}

static bool hang_up(struct call *c)
{
	struct tcp_pcb *tcp = c->tcp;

	forget(c);
	reset(tcp);
	return false;
}

static bool drop(struct call *c)
{
	names_status.dropped++;
	return hang_up(c);
}

/* Linux has ended, and has all answers, or will have. tcp_close() would take the small
 * window for data that was not read. */
static bool finish(struct call *c)
{
	struct tcp_pcb *tcp = c->tcp;

	forget(c);
	tcp_arg(tcp, NULL);
	tcp_recv(tcp, NULL);
	tcp_sent(tcp, NULL);
	tcp_err(tcp, NULL);
	if (tcp_shutdown(tcp, 0, 1) != ERR_OK) {
		tcp_abort(tcp);
		return false;
	}
	return true;
}

static bool say(struct call *c, const uint8_t *message, size_t len)
{
	uint8_t length[LENGTH];

	net_put16(length, (uint16_t)len);
	if (tcp_write(c->tcp, length, LENGTH, TCP_WRITE_FLAG_COPY |
		      TCP_WRITE_FLAG_MORE) != ERR_OK ||
	    tcp_write(c->tcp, message, (uint16_t)len, TCP_WRITE_FLAG_COPY) !=
	    ERR_OK) {
		return drop(c);
	}
	c->owed += LENGTH + len;
	c->until = loop_uptime_ms() + IDLE_MS;
	(void)tcp_output(c->tcp);
	return true;
}

/* ---- To the servers ---- */

static err_t on_connected(void *arg, struct tcp_pcb *tcp, err_t error);
static err_t on_answer(void *arg, struct tcp_pcb *tcp, struct pbuf *p,
		       err_t error);
static void on_server_error(void *arg, err_t error);

/* Calls the next server; false: it cannot be. */
static bool try(struct call *c)
{
	struct passed *q = c->passed;
	const ip_addr_t *to = names_server(q->first + q->tries++);

	if (q->server) {
		reset(q->server);
		q->server = NULL;
	}
	if (!to || !netif_default) {
		return false;
	}
	q->server = tcp_new_ip_type(IP_GET_TYPE(to));
	if (!q->server) {
		return false;
	}
	tcp_arg(q->server, c);
	tcp_recv(q->server, on_answer);
	tcp_err(q->server, on_server_error);
	tcp_bind_netif(q->server, netif_default);
	q->got = 0;
	q->id = (uint16_t)LWIP_RAND();
	c->until = loop_uptime_ms() + NAMES_TRY_MS;
	return tcp_connect(q->server, to, NAMES_PORT, on_connected) == ERR_OK;
}

static bool ask_next(struct call *c)
{
	struct passed *q = c->passed;
	uint8_t out[NAMES_MADE];
	size_t len;

	while (q->tries < NAMES_TRIES) {
		if (try(c)) {
			return true;
		}
	}
	names_status.failed++;
	len = names_refuse(q->query, &q->question, NAMES_SERVFAIL, out);
	drop_passed(c);
	return say(c, out, len);
}

static bool pass_on(struct call *c, const uint8_t *message, size_t len,
		    const struct names_question *question)
{
	struct passed *q = malloc(sizeof(*q));

	if (!q) {
		return drop(c);
	}
	q->server = NULL;
	q->question = *question;
	q->first = names_good;
	q->tries = 0;
	q->len = len;
	memcpy(q->query, message, len);
	c->passed = q;
	names_status.passed++;
	return ask_next(c);
}

/* ---- From Linux ---- */

/* How long the next query is, with its length; 0: it is not all there. */
static size_t next_query(const struct call *c)
{
	size_t there = c->in ? c->in->tot_len : 0, len;

	if (there < LENGTH) {
		return 0;
	}
	len = LENGTH + (size_t)(pbuf_get_at(c->in, 0) << 8 |
				pbuf_get_at(c->in, 1));
	return len <= there || len > LENGTH + NAMES_LONGEST ? len : 0;
}

static bool take(struct call *c, const uint8_t *message, size_t len)
{
	struct names_question question;
	uint8_t out[NAMES_MADE];
	size_t made;

	names_status.asked++;
	if (!names_take(c->of->names, message, len, &question, out, &made)) {
		return hang_up(c);
	}
	return made > 0 ? say(c, out, made)
			: pass_on(c, message, len, &question);
}

/* Serves queries, as far as they are there, and Linux takes the answers. */
static bool go_on(struct call *c)
{
	static uint8_t message[NAMES_LONGEST];

	while (!c->passed && c->owed <= NAMES_LONGEST) {
		size_t len = next_query(c);

		if (len == 0) {
			return !c->ended || finish(c);
		}
		if (len > LENGTH + NAMES_LONGEST) {
			return drop(c);
		}
		(void)pbuf_copy_partial(c->in, message, (uint16_t)(len - LENGTH),
					LENGTH);
		c->in = pbuf_free_header(c->in, (uint16_t)len);
		tcp_recved(c->tcp, (uint16_t)len);
		if (!take(c, message, len - LENGTH)) {
			return false;
		}
	}
	return true;
}

static err_t on_data(void *arg, struct tcp_pcb *tcp, struct pbuf *p, err_t error)
{
	struct call *c = arg;

	(void)tcp;
	(void)error;
	if (!p) {
		c->ended = true;
	} else if (c->in) {
		pbuf_cat(c->in, p);
	} else {
		c->in = p;
	}
	return (c->in && pbuf_clen(c->in) > PIECES ? drop(c) : go_on(c)) ?
	       ERR_OK : ERR_ABRT;
}

static err_t on_sent(void *arg, struct tcp_pcb *tcp, uint16_t len)
{
	struct call *c = arg;

	(void)tcp;
	c->owed -= len;
	return go_on(c) ? ERR_OK : ERR_ABRT;
}

static void on_error(void *arg, err_t error)
{
	(void)error;
	forget(arg);
}

static void on_tick(struct loop_timer *t)
{
	uint64_t now = loop_uptime_ms();

	ticking = false;
	for (struct names_tcp *n = all; n; n = n->next) {
		for (struct call *c = n->calls; c < n->calls + AT_ONCE; c++) {
			if (c->tcp && c->until <= now) {
				(void)(c->passed ? ask_next(c) && go_on(c) :
				       hang_up(c));
			}
			ticking |= c->tcp != NULL;
		}
	}
	if (ticking) {
		loop_timer_set(t, NAMES_TICK_MS, on_tick);
	}
	stack_left();
}

static err_t on_connection(void *arg, struct tcp_pcb *tcp, err_t error)
{
	struct names_tcp *n = arg;
	struct call *c = n->calls;

	(void)error;
	while (c < n->calls + AT_ONCE && c->tcp) {
		c++;
	}
	if (!tcp || c == n->calls + AT_ONCE) {
		names_status.dropped++;
		return ERR_MEM;		/* lwIP resets it */
	}
	*c = (struct call){
		.of = n, .tcp = tcp, .until = loop_uptime_ms() + IDLE_MS,
	};
	tcp->rcv_wnd = WINDOW;
	tcp_arg(tcp, c);
	tcp_recv(tcp, on_data);
	tcp_sent(tcp, on_sent);
	tcp_err(tcp, on_error);
	tcp_nagle_disable(tcp);
	if (!ticking) {
		ticking = true;
		loop_timer_set(&timer, NAMES_TICK_MS, on_tick);
	}
	return ERR_OK;
}

/* ---- From the servers ---- */

/* The connection to a server is over, in a callback of its own, and then this is
 * done. It is reset last: the next one must not have its place in memory as long as
 * lwIP is at work on it, or would not be begun before a timer's turn. */
static err_t leave(struct call *c, struct tcp_pcb *tcp,
		   bool (*then)(struct call *c))
{
	tcp_err(tcp, NULL);
	c->passed->server = NULL;
	(void)(then(c) && go_on(c));
	tcp_abort(tcp);
	return ERR_ABRT;
}

static err_t on_connected(void *arg, struct tcp_pcb *tcp, err_t error)
{
	struct call *c = arg;
	struct passed *q = c->passed;
	uint8_t head[LENGTH + 2];

	(void)error;
	tcp->rcv_wnd = SERVER_WINDOW;
	net_put16(head, (uint16_t)q->len);
	net_put16(head + LENGTH, q->id);
	if (tcp_write(tcp, head, sizeof(head), TCP_WRITE_FLAG_COPY |
		      TCP_WRITE_FLAG_MORE) == ERR_OK &&
	    tcp_write(tcp, q->query + 2, (uint16_t)(q->len - 2),
		      TCP_WRITE_FLAG_COPY) == ERR_OK) {
		(void)tcp_output(tcp);
		return ERR_OK;
	}
	return leave(c, tcp, ask_next);
}

/* A whole message from the server, to *c's query or not. */
static bool answered(struct call *c)
{
	struct passed *q = c->passed;
	uint8_t *message = q->answer + LENGTH;
	size_t len = net_get16(q->answer);

	if (!names_answers(message, len, q->id, &q->question)) {
		names_status.refused++;
		return ask_next(c);
	}
	names_status.answered++;
	names_good = q->first + q->tries - 1;
	memcpy(message, q->query, 2);
	if (!say(c, message, len)) {
		return false;
	}
	drop_passed(c);
	return true;
}

static err_t on_answer(void *arg, struct tcp_pcb *tcp, struct pbuf *p,
		       err_t error)
{
	struct call *c = arg;
	struct passed *q = c->passed;
	size_t room = sizeof(q->answer) - q->got;

	(void)error;
	if (!p) {
		return leave(c, tcp, ask_next);
	}
	q->got += pbuf_copy_partial(p, q->answer + q->got, (uint16_t)
			(p->tot_len < room ? p->tot_len : room), 0);
	tcp_recved(tcp, p->tot_len);
	pbuf_free(p);
	if (q->got < LENGTH || q->got < LENGTH + net_get16(q->answer)) {
		return ERR_OK;
	}
	return leave(c, tcp, answered);
}

/* lwIP has ended it, and forgotten. */
static void on_server_error(void *arg, err_t error)
{
	struct call *c = arg;

	(void)error;
	c->passed->server = NULL;
	(void)(ask_next(c) && go_on(c));
}

/* ---- The calls ---- */

/** See names_int.h. */
int names_tcp_new(struct names *n, struct netif *netif, const ip_addr_t address[2],
		  struct names_tcp **out)
{
	struct names_tcp *t = calloc(1, sizeof(*t));
	struct tcp_pcb *ends[2] = { NULL };
	int error = t ? 0 : ENOMEM;

	for (unsigned i = 0; error == 0 && i < 2; i++) {
		error = listen_tcp_at(netif, &address[i], NAMES_PORT, HALF_OPEN,
				      on_connection, &ends[i]);
	}
	if (error != 0) {
		if (ends[0]) {
			(void)tcp_close(ends[0]);
		}
		free(t);
		return error;
	}
	tcp_arg(ends[0], t);
	tcp_arg(ends[1], t);
	t->names = n;
	t->next = all;
	all = t;
	*out = t;
	return 0;
}

/** See names_int.h. */
void names_tcp_down(struct names_tcp *t)
{
	for (struct call *c = t->calls; c < t->calls + AT_ONCE; c++) {
		if (c->tcp) {
			(void)hang_up(c);
		}
	}
}
