/* SPDX-License-Identifier: MIT */
/*
 * The network console: lines over TCP, as telnet in its line mode or nc send them,
 * from one peer at a time that knows the manifest's password, or its key. It is off
 * unless the manifest has a port and one of these, and nothing of it is encrypted:
 * for a network that is trusted. Who comes, is refused, is in, goes, and each command,
 * is a notice.
 *
 * The key is not said: the peer answers a challenge (challenge.h).
 *
 * A peer who does not say the right word within half a minute is sent away, one who
 * says a wrong one too, and for some seconds nobody is let in: so the one place
 * cannot be kept, nor the word be guessed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/tcp.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/challenge.h"
#include "host-bridge/net/listen.h"
#include "host-bridge/net/netconsole.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/notice.h"

#define PROMPT		"isthmus> "
#define TYPED		1024u
#define CTRL_C		3
#define CTRL_BRACKET	29
#define IAC		255u		/* [RFC 854 "Standard Representation"] */
#define IAC_IP		244u
#define IAC_WILL	251u
#define IAC_LAST	254u
#define LOGIN_MS	30000u
#define IDLE_MS		(15u * 60u * 1000u)
#define WRONG_MS	5000u
/* So much may be on its way before a command pauses. */
#define BUSY		32768u

static struct {
	const char *password;		/* NULL: there is none */
	bool has_key;
	uint8_t key[SHA256_SIZE];
	char challenge[CHALLENGE_LEN + 1];
	struct tcp_pcb *tcp;		/* NULL: nobody is there */
	bool in, working;		/* a line of its is being done */
	char peer[STACK_TEXT];
	char typed[TYPED];
	size_t len;
	unsigned skip;			/* bytes of a telnet option yet to come */
	bool cr, iac;
	uint64_t closed_until;		/* ms: after a wrong password */
	struct loop_timer timer;	/* ends it */
} nc;

static void put(const void *data, size_t len)
{
	if (nc.tcp && len <= tcp_sndbuf(nc.tcp)) {
		(void)tcp_write(nc.tcp, data, (uint16_t)len,
				TCP_WRITE_FLAG_COPY);
		(void)tcp_output(nc.tcp);
	}
}

static void say(const char *text)
{
	put(text, strlen(text));
}

/* The peer is forgotten; its connection is the caller's. */
static void forget(const char *why)
{
	struct tcp_pcb *tcp = nc.tcp;

	nc.tcp = NULL;
	loop_timer_cancel(&nc.timer);
	if (tcp) {
		tcp_arg(tcp, NULL);
		tcp_recv(tcp, NULL);
		tcp_sent(tcp, NULL);
		tcp_err(tcp, NULL);
	}
	notice("network console: %s: %s", nc.peer, why);
	/* Whose output waits for it need not wait any more. */
	serial_drained(SERIAL_CONSOLE);
}

/* False: it could only be aborted, and lwIP must hear that in its callback. */
static bool end(const char *why)
{
	struct tcp_pcb *tcp = nc.tcp;

	forget(why);
	if (tcp_close(tcp) != ERR_OK) {
		tcp_abort(tcp);
		return false;
	}
	return true;
}

static void on_idle(struct loop_timer *timer)
{
	(void)timer;
	(void)end(nc.in ? "idle for too long" : "no password");
	stack_left();
}

static void take_line(char *line, size_t size)
{
	size_t len = (size_t)((char *)memchr(nc.typed, '\n', nc.len) - nc.typed);
	size_t part = len < size ? len : size - 1;

	memcpy(line, nc.typed, part);
	line[part] = '\0';
	nc.len -= len + 1;
	memmove(nc.typed, nc.typed + len + 1, nc.len);
}

static bool right(const char *word)
{
	return (nc.has_key && challenge_answered(nc.key, nc.challenge, word)) ||
	       (nc.password && challenge_same(word, nc.password));
}

static void ask(void)
{
	char text[100];

	challenge_make(nc.challenge);
	snprintf(text, sizeof(text), "isthmus, %s%s%s%s: ",
		 nc.has_key ? "challenge " : "",
		 nc.has_key ? nc.challenge : "",
		 nc.has_key && nc.password ? " or " : "",
		 nc.password ? "password" : "");
	say(text);
}

/* The first line is the password, or the answer. False as of end(). */
static bool log_in(void)
{
	char word[128];

	take_line(word, sizeof(word));
	if (!right(word)) {
		memset(word, 0, sizeof(word));
		nc.closed_until = loop_uptime_ms() + WRONG_MS;
		say("wrong\r\n");
		return end(nc.has_key ? "wrong password or answer" :
			   "wrong password");
	}
	memset(word, 0, sizeof(word));
	nc.in = true;
	notice("network console: %s is in", nc.peer);
	say(PROMPT);
	return true;
}

/* One byte: of telnet's own, or typed. */
static void type(uint8_t byte)
{
	if (nc.skip > 0) {
		nc.skip--;
		return;
	}
	if (nc.iac) {
		nc.iac = false;
		nc.skip = byte >= IAC_WILL && byte <= IAC_LAST;
		if (byte != IAC_IP) {
			return;
		}
		byte = CTRL_C;
	} else if (byte == IAC) {
		nc.iac = true;
		return;
	}
	/* CR LF and CR NUL are one end of a line. */
	if (nc.cr && (byte == '\n' || byte == '\0')) {
		nc.cr = false;
		return;
	}
	nc.cr = byte == '\r';
	nc.typed[nc.len++] = byte == '\r' ? '\n' : (char)byte;
}

static err_t on_data(void *arg, struct tcp_pcb *tcp, struct pbuf *p, err_t error)
{
	bool room;

	(void)arg;
	(void)error;
	if (!p) {
		return end("gone") ? ERR_OK : ERR_ABRT;
	}
	room = p->tot_len <= TYPED - nc.len;
	for (uint16_t i = 0; room && i < p->tot_len; i++) {
		type(pbuf_get_at(p, i));
	}
	tcp_recved(tcp, p->tot_len);
	pbuf_free(p);
	if (!room) {
		return end("too much at once") ? ERR_OK : ERR_ABRT;
	}
	loop_timer_set(&nc.timer, nc.in ? IDLE_MS : LOGIN_MS, on_idle);
	if (!nc.in && memchr(nc.typed, '\n', nc.len) && !log_in()) {
		return ERR_ABRT;
	}
	return ERR_OK;
}

/* tcp_sndbuf() says 64 KiB at most. */
static bool busy(void)
{
	return nc.tcp && nc.tcp->snd_buf < TCP_SND_BUF - BUSY;
}

static err_t on_sent(void *arg, struct tcp_pcb *tcp, uint16_t len)
{
	(void)arg;
	(void)tcp;
	(void)len;
	if (!busy()) {
		serial_drained(SERIAL_CONSOLE);
	}
	return ERR_OK;
}

/* lwIP has ended the connection, and forgotten it. */
static void on_error(void *arg, err_t error)
{
	(void)arg;
	(void)error;
	nc.tcp = NULL;
	forget("broken");
}

static err_t on_connection(void *arg, struct tcp_pcb *tcp, err_t error)
{
	(void)arg;
	(void)error;
	/* What is still being done was for another. */
	if (!tcp || nc.tcp || nc.working ||
	    loop_uptime_ms() < nc.closed_until) {
		return ERR_MEM;		/* it is reset */
	}
	nc.tcp = tcp;
	nc.in = false;
	nc.len = nc.skip = 0;
	nc.cr = nc.iac = false;
	stack_text(&tcp->remote_ip, nc.peer);
	tcp_recv(tcp, on_data);
	tcp_sent(tcp, on_sent);
	tcp_err(tcp, on_error);
	ip_set_option(tcp, SOF_KEEPALIVE);
	loop_timer_set(&nc.timer, LOGIN_MS, on_idle);
	notice("network console: %s has come", nc.peer);
	ask();
	return ERR_OK;
}

/** See netconsole.h. */
void netconsole_start(const char *port, const char *password, const char *key)
{
	unsigned long number;
	char *rest;

	if (!port || !(password || key)) {
		notice("network console: it takes a %s in the manifest too",
		       port ? "password or a key" : "port");
		return;
	}
	if (key && !challenge_key(key, nc.key)) {
		notice("network console: key: it is not 64 hexadecimal digits");
		return;
	}
	number = strtoul(port, &rest, 10);
	if (*rest || number < 1 || number > UINT16_MAX ||
	    listen_tcp((uint16_t)number, on_connection) != 0) {
		notice("network console: port \"%s\" cannot be had", port);
		return;
	}
	nc.password = password;
	nc.has_key = key != NULL;
	notice("network console: on TCP port %lu, not encrypted", number);
}

/** See netconsole.h. Top level. */
bool netconsole_line(char *line, size_t size)
{
	if (!nc.tcp || !nc.in || !memchr(nc.typed, '\n', nc.len)) {
		return false;
	}
	take_line(line, size);
	notice("network console: %s: %s", nc.peer, line);
	nc.working = true;
	return true;
}

/** See netconsole.h. */
void netconsole_done(void)
{
	nc.working = false;
	say(PROMPT);
	stack_left();
}

/* For the command that runs. Once its peer is gone all of it is lost. */
static void write_bytes(const void *data, size_t len)
{
	const char *from = data;

	while (len > 0) {
		size_t part = len < 16384 ? len : 16384;

		put(from, part);
		from += part;
		len -= part;
	}
	stack_left();
}

static int read_byte(void)
{
	int byte = -1;

	if (nc.working && !nc.tcp) {
		return CTRL_BRACKET;	/* who leaves, leaves Linux's shell */
	}
	if (nc.len > 0) {
		byte = (unsigned char)nc.typed[0];
		memmove(nc.typed, nc.typed + 1, --nc.len);
	}
	return byte;
}

/* It is over when nobody is there to see it. */
static bool typed(uint8_t byte)
{
	const char *at = nc.tcp ? memchr(nc.typed, byte, nc.len) : NULL;

	if (at) {
		nc.len -= (size_t)(at + 1 - nc.typed);
		memmove(nc.typed, at + 1, nc.len);
	}
	return at || (nc.working && !nc.tcp);
}

/* What is on its way arrives. */
static void drop(void)
{
}

const struct serial_other netconsole_serial = {
	.write = write_bytes, .read = read_byte, .typed = typed, .busy = busy,
	.drop = drop,
};
