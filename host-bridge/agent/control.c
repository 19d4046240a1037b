/* SPDX-License-Identifier: MIT */
/*
 * The control service: sessions with agents for programs outside, as many beside
 * each other as there is room for, over TCP. A peer says that it knows the key, and
 * which Linux it wants; from then on the connection is one of the agent's
 * (proto/agent.h), whose bytes are passed on both ways and not looked at. It is off
 * unless the manifest has a port and a key, and nothing of it is encrypted: for a
 * network that is trusted.
 *
 *   host  "isthmus control, challenge C: "
 *   peer  the answer (challenge.h), or it and a blank and a Linux's name; newline
 *   host  "ok\n", or "wrong\n" and the end
 *
 * A peer that ends its connection has gone: so has its session. What either end has
 * sent and the other not taken is bounded for each session: by its window and by its
 * credit, which come back when the other end has it. Strangers have few places, the
 * one who waits longest makes room, and after a wrong answer nobody is let in for
 * some seconds; who is in stays.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/tcp.h"

#include "host-bridge/agent/control.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/net/challenge.h"
#include "host-bridge/net/listen.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/vsock/vsock.h"
#include "proto/agent.h"

#define SESSIONS	32u
#define STRANGERS	4u		/* that have not answered yet */
#define WINDOW		65535u		/* bytes from a peer, */
#define CREDIT		65536u		/* and from an agent */
#define LOGIN_LINE	128u
#define LOGIN_MS	15000u
#define WRONG_MS	5000u
#define ENDING_MS	10000u		/* for a peer that has all to end, too */
#define TICK_MS		100u
#define TOLD_MS		60000u		/* who comes again is not told again */

enum state {
	STRANGER,	/* has not answered */
	WAITING,	/* for its Linux to be up */
	RELAYING,	/* conn is asked for, or there */
	ENDING,		/* what is left goes to the peer, then the end */
};

/* What waits for the other end: len bytes from at on. */
struct pipe {
	size_t at, len;
	uint8_t data[CREDIT];
};

struct session {
	struct session *next;		/* the newest first */
	enum state state;
	struct tcp_pcb *tcp;
	struct vsock_conn *conn;	/* NULL: not yet, or over */
	struct guest *guest;
	struct vsock *vs;
	char challenge[CHALLENGE_LEN + 1], peer[STACK_TEXT];
	uint64_t until;			/* ms; of STRANGER and ENDING */
	bool heard;			/* the agent has said something */
	bool shut;			/* our end to the peer is */
	size_t fresh;			/* of the window: not announced */
	size_t ours;			/* bytes in TCP that no agent has sent, */
	size_t owed;			/* and all there that have not arrived */
	struct pipe in, out;		/* to the agent; to the peer */
};

_Static_assert(WINDOW <= CREDIT && WINDOW <= UINT16_MAX, "all may wait");

static struct {
	control_find *find;
	uint8_t key[SHA256_SIZE];
	struct session *all;
	struct control_status status;
	uint64_t closed_until;		/* ms: after a wrong answer */
	struct loop_timer timer;
	bool ticking;
	char told[STACK_TEXT];		/* who was said to have come, and */
	uint64_t told_at;
} control;

/* ---- Bytes that wait ---- */

/* len bytes more, for which there is room. */
static void pipe_put(struct pipe *p, const uint8_t *data, size_t len)
{
	if (p->at + p->len + len > sizeof(p->data)) {
		memmove(p->data, p->data + p->at, p->len);
		p->at = 0;
	}
	memcpy(p->data + p->at + p->len, data, len);
	p->len += len;
}

static void pipe_drop(struct pipe *p, size_t len)
{
	p->len -= len;
	p->at = p->len > 0 ? p->at + len : 0;
}

/* ---- The session's ends. What returns bool is false when the connection to the peer
 * was reset, which its callbacks must tell lwIP, and the session is gone. ---- */

static void forget(struct session *s)
{
	struct session **at = &control.all;

	while (*at != s) {
		at = &(*at)->next;
	}
	*at = s->next;
	control.status.sessions--;
	if (s->conn) {
		vsock_set_arg(s->conn, NULL);
		vsock_reset(s->conn);
	}
	if (s->tcp) {
		tcp_arg(s->tcp, NULL);
		tcp_recv(s->tcp, NULL);
		tcp_sent(s->tcp, NULL);
		tcp_err(s->tcp, NULL);
	}
	free(s);
}

static bool reset(struct session *s)
{
	struct tcp_pcb *tcp = s->tcp;

	forget(s);
	tcp_abort(tcp);
	return false;
}

/* As much of len bytes as TCP takes now. */
static size_t write_some(struct session *s, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len && tcp_sndbuf(s->tcp) > 0) {
		size_t part = len - done < 16384 ? len - done : 16384;

		part = part < tcp_sndbuf(s->tcp) ? part : tcp_sndbuf(s->tcp);
		if (tcp_write(s->tcp, data + done, (uint16_t)part,
			      TCP_WRITE_FLAG_COPY) != ERR_OK) {
			break;		/* no memory: at the next tick */
		}
		done += part;
	}
	s->owed += done;
	return done;
}

/* Gives the peer what waits for it; when there is nothing more to come, the end, too,
 * by which an end that is not a reset is known: tcp_close() would take what was not
 * read for a reason to reset. */
static bool to_peer(struct session *s)
{
	pipe_drop(&s->out, write_some(s, s->out.data + s->out.at, s->out.len));
	if (s->state == ENDING && s->out.len == 0 && !s->shut) {
		if (tcp_shutdown(s->tcp, 0, 1) != ERR_OK) {
			return reset(s);
		}
		s->shut = true;
		s->until = loop_uptime_ms() + ENDING_MS;
	}
	(void)tcp_output(s->tcp);
	return true;
}

/* A few bytes of ours, before an agent's or instead of them. */
static void say(struct session *s, const void *data, size_t len)
{
	s->ours += len;
	pipe_put(&s->out, data, len);
}

static bool end(struct session *s)
{
	s->state = ENDING;
	pipe_drop(&s->in, s->in.len);
	return to_peer(s);
}

/* The session could not begin: in the agent's place. */
static bool refuse(struct session *s, const char *why)
{
	uint8_t header[AGENT_HEADER];

	agent_frame_header(header, AGENT_ERROR, (uint32_t)strlen(why));
	say(s, header, sizeof(header));
	say(s, why, strlen(why));
	return end(s);
}

/* The peer may send so much more. lwIP would tell it only when that is a good part of
 * the largest window that there can be, which is more than all of this one. */
static void give_window(struct session *s, size_t len)
{
	if (len == 0) {
		return;
	}
	tcp_recved(s->tcp, (uint16_t)len);
	s->fresh += len;
	if (s->fresh >= WINDOW / 4) {
		s->fresh = 0;
		tcp_set_flags(s->tcp, TF_ACK_NOW);
		(void)tcp_output(s->tcp);
	}
}

/* ---- The agent's side ---- */

/* Gives the agent what waits for it. */
static void to_agent(struct session *s)
{
	size_t n = s->in.len > 0 ? vsock_send(s->conn, s->in.data + s->in.at,
					      s->in.len) : 0;

	pipe_drop(&s->in, n);
	give_window(s, n);
}

/* Callbacks; the argument is NULL once the session is gone. */

static void on_writable(struct vsock_conn *conn)
{
	struct session *s = vsock_arg(conn);

	if (s) {
		to_agent(s);
		stack_left();
	}
}

static void on_agent_data(struct vsock_conn *conn, const void *data, size_t len)
{
	struct session *s = vsock_arg(conn);
	size_t done;

	if (!s) {
		return;
	}
	vsock_hold(conn, len);
	s->heard = true;
	done = s->out.len == 0 ? write_some(s, data, len) : 0;
	/* There is room: none of what waits was credited back. */
	if (len - done > sizeof(s->out.data) - s->out.len) {
		(void)reset(s);
	} else {
		pipe_put(&s->out, (const uint8_t *)data + done, len - done);
		(void)to_peer(s);
	}
	stack_left();
}

static void on_agent_close(struct vsock_conn *conn, int error)
{
	struct session *s = vsock_arg(conn);

	if (!s) {
		return;
	}
	s->conn = NULL;
	(void)(s->heard ? end(s) :
	       refuse(s, error == ECONNREFUSED ? "the agent does not listen" :
		      "the connection to the agent broke"));
	stack_left();
}

static const struct vsock_ops agent_ops = {
	.on_open = on_writable,
	.on_data = on_agent_data,
	.on_writable = on_writable,
	.on_close = on_agent_close,
	.credit = CREDIT,
};

/* Asks for the agent's connection as soon as there is an agent. */
static bool call_agent(struct session *s)
{
	if (linux_state(s->guest) != LINUX_RUNNING) {
		return refuse(s, linux_state(s->guest) == LINUX_FROZEN ?
			      "that Linux is a template" :
			      "Linux is not running");
	}
	if (!linux_ready(s->guest)) {
		return true;
	}
	s->conn = vsock_connect(s->vs, AGENT_PORT, &agent_ops, s);
	s->state = RELAYING;
	return s->conn ? true : refuse(s, "Linux's side of the channel is not "
				       "up, or has too much to do");
}

/* ---- The peer's side ---- */

static void tell_in(const struct session *s)
{
	uint64_t now = loop_uptime_ms();

	if (strcmp(control.told, s->peer) != 0 ||
	    now > control.told_at + TOLD_MS) {
		notice("control: %s is in", s->peer);
	}
	strlcpy(control.told, s->peer, sizeof(control.told));
	control.told_at = now;
}

/* The first line, without its end. */
static bool log_in(struct session *s, char *line)
{
	char *name = line + strcspn(line, " ");

	if (*name) {
		*name++ = '\0';
	}
	if (!challenge_answered(control.key, s->challenge, line)) {
		control.status.wrong++;
		control.closed_until = loop_uptime_ms() + WRONG_MS;
		notice("control: %s: wrong answer", s->peer);
		say(s, "wrong\n", 6);
		return end(s);
	}
	tell_in(s);
	control.status.began++;
	say(s, "ok\n", 3);
	s->state = WAITING;
	if (!control.find(name, &s->guest, &s->vs)) {
		return refuse(s, "there is no Linux of that name");
	}
	return to_peer(s) && call_agent(s);
}

/* Looks for the first line in what has come. */
static bool look_for_line(struct session *s)
{
	uint8_t *from = s->in.data + s->in.at;
	size_t most = s->in.len < LOGIN_LINE ? s->in.len : LOGIN_LINE;
	uint8_t *nl = memchr(from, '\n', most);
	char line[LOGIN_LINE];
	size_t len;

	if (!nl) {
		return most < LOGIN_LINE || reset(s);
	}
	len = (size_t)(nl - from);
	memcpy(line, from, len);
	line[len] = '\0';
	pipe_drop(&s->in, len + 1);
	give_window(s, len + 1);
	return log_in(s, line);
}

/* Keeps what has come; of what nobody reads any more nothing. */
static bool keep(struct session *s, const struct pbuf *p)
{
	for (; p; p = p->next) {
		size_t done = s->state == ENDING ? p->len : 0;

		if (s->conn && s->in.len == 0) {
			done = vsock_send(s->conn, p->payload, p->len);
		}
		give_window(s, done);
		/* The window: there is room. */
		if (p->len - done > sizeof(s->in.data) - s->in.len) {
			return false;
		}
		pipe_put(&s->in, (const uint8_t *)p->payload + done,
			 p->len - done);
	}
	return true;
}

static err_t on_peer_data(void *arg, struct tcp_pcb *tcp, struct pbuf *p,
			  err_t error)
{
	struct session *s = arg;
	bool ok;

	(void)error;
	if (!p && s->shut) {
		forget(s);		/* both have ended: lwIP does the rest */
		return ERR_OK;
	}
	if (!p) {
		(void)reset(s);
		return ERR_ABRT;
	}
	ok = keep(s, p) || reset(s);
	pbuf_free(p);
	(void)tcp;
	return ok && (s->state != STRANGER || look_for_line(s)) ?
	       ERR_OK : ERR_ABRT;
}

/* The peer has it: so much of the agent's credit is free again. */
static err_t on_sent(void *arg, struct tcp_pcb *tcp, uint16_t len)
{
	struct session *s = arg;
	size_t ours = len < s->ours ? len : s->ours;

	(void)tcp;
	s->ours -= ours;
	s->owed -= len < s->owed ? len : s->owed;
	if (s->conn && len > ours) {
		vsock_release(s->conn, len - ours);
	}
	return to_peer(s) ? ERR_OK : ERR_ABRT;
}

/* lwIP has ended the connection, and forgotten it. */
static void on_error(void *arg, err_t error)
{
	struct session *s = arg;

	(void)error;
	s->tcp = NULL;
	forget(s);
}

/* Whether something of a session is to be done now; it may be gone then. */
static void tick(struct session *s, uint64_t now)
{
	if (s->state == STRANGER && s->until <= now) {
		(void)reset(s);
	} else if (s->state == WAITING) {
		(void)call_agent(s);
	} else if (s->shut && s->owed == 0 && s->until <= now) {
		(void)reset(s);
	} else {
		(void)to_peer(s);
	}
}

static void on_tick(struct loop_timer *timer)
{
	uint64_t now = loop_uptime_ms();
	struct session *next;

	for (struct session *s = control.all; s; s = next) {
		next = s->next;
		tick(s, now);
	}
	control.ticking = control.all != NULL;
	if (control.ticking) {
		loop_timer_set(timer, TICK_MS, on_tick);
	}
	stack_left();
}

/* Makes room among those who have not answered: the one who came first goes. */
static void limit_strangers(void)
{
	struct session *oldest = NULL;
	unsigned count = 0;

	for (struct session *s = control.all; s; s = s->next) {
		if (s->state == STRANGER) {
			oldest = s;
			count++;
		}
	}
	if (count >= STRANGERS) {
		(void)reset(oldest);
	}
}

static void ask(struct session *s)
{
	char text[64];
	int len;

	challenge_make(s->challenge);
	len = snprintf(text, sizeof(text), "isthmus control, challenge %s: ",
		       s->challenge);
	say(s, text, (size_t)len);
	(void)to_peer(s);
}

static err_t on_connection(void *arg, struct tcp_pcb *tcp, err_t error)
{
	struct session *s = NULL;

	(void)arg;
	(void)error;
	if (tcp && loop_uptime_ms() >= control.closed_until) {
		limit_strangers();
		s = control.status.sessions < SESSIONS ?
		    malloc(sizeof(*s)) : NULL;
	}
	if (!s) {
		control.status.refused++;
		return ERR_MEM;		/* it is reset */
	}
	memset(s, 0, offsetof(struct session, in));
	s->in.at = s->in.len = s->out.at = s->out.len = 0;
	s->tcp = tcp;
	s->until = loop_uptime_ms() + LOGIN_MS;
	s->next = control.all;
	control.all = s;
	control.status.sessions++;
	stack_text(&tcp->remote_ip, s->peer);
	/* No more has been announced yet: a SYN's window is of 16 bits. */
	tcp->rcv_wnd = tcp->rcv_ann_wnd = WINDOW;
	tcp->rcv_ann_right_edge = tcp->rcv_nxt + WINDOW;
	tcp_arg(tcp, s);
	tcp_recv(tcp, on_peer_data);
	tcp_sent(tcp, on_sent);
	tcp_err(tcp, on_error);
	tcp_nagle_disable(tcp);
	ip_set_option(tcp, SOF_KEEPALIVE);
	if (!control.ticking) {
		control.ticking = true;
		loop_timer_set(&control.timer, TICK_MS, on_tick);
	}
	ask(s);
	return ERR_OK;
}

/** See control.h. Once. */
void control_start(const char *port, const char *key, control_find *find)
{
	unsigned long number;
	char *rest;

	if (!port || !key) {
		notice("control: it takes a %s in the manifest too",
		       port ? "control-key" : "port");
		return;
	}
	if (!challenge_key(key, control.key)) {
		notice("control: control-key: it is not 64 hexadecimal digits");
		return;
	}
	number = strtoul(port, &rest, 10);
	if (*rest || number < 1 || number > UINT16_MAX ||
	    listen_tcp((uint16_t)number, on_connection) != 0) {
		notice("control: port \"%s\" cannot be had", port);
		return;
	}
	control.find = find;
	control.status.port = (uint16_t)number;
	control.status.most = SESSIONS;
	notice("control: on TCP port %lu, not encrypted", number);
}

/** See control.h. */
void control_get_status(struct control_status *status)
{
	*status = control.status;
}
