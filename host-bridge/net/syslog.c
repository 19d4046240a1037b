/* SPDX-License-Identifier: MIT */
/*
 * The machine's log over UDP [RFC 5424, RFC 5426]: each line of the hypervisor's
 * and each notice of this program, from the first on, as soon as there is an
 * address and who is next on the way is known. Until then the hypervisor keeps
 * its log, and we keep notices, both as far as there is room.
 *
 * When this program ends, or the hypervisor does, nothing can be relied on, lwIP least
 * of all. So what a frame there begins with is kept ready, and the card is asked by
 * polling.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lwip/etharp.h"
#include "lwip/udp.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/packet.h"
#include "host-bridge/net/stack_int.h"
#include "host-bridge/net/syslog.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/sink.h"
#include "host-bridge/rt/stage.h"
#include "host-bridge/rt/wall.h"

#define PORT		514u
#define TICK_MS		100u
#define LINES		64u		/* in a tick */
#define PIECE		24u		/* of the hypervisor's log */
#define LINE		480u		/* bytes of one; the rest is another */
#define MESSAGE		(LINE + 120u)
#define KEPT		16384u		/* bytes of notices */
#define QUIET_MS	250u		/* after which a panic has said all */
#define HEADERS		42u		/* of Ethernet, IPv4, UDP */
#define INFO		134u		/* [RFC 5424 "PRI"]: local0, informational */
#define CRITICAL	130u

static struct {
	struct udp_pcb *udp;
	ip_addr_t to;
	uint16_t port;
	struct loop_timer timer;
	struct notice_listener listener;
	syslog_read read;
	uint64_t at;			/* of the hypervisor's log */
	char line[LINE + 1];		/* of that, so far */
	size_t len;
	char kept[KEPT];		/* notices, each with a NUL */
	size_t kept_len;
	struct syslog_status status;
	bool ready;			/* the headers are */
	uint8_t frame[HEADERS + MESSAGE];
	char last[LINE + 1];		/* words: the line so far */
	size_t last_len;
} syslog;

/** See syslog.h. */
void syslog_get_status(struct syslog_status *status)
{
	*status = syslog.status;
}

/* The line as a message; its length. The secret mark stays here. */
static size_t message(char *out, const char *from, const char *line)
{
	size_t mark = strlen(stage_mark());
	int64_t ns = wall_now_ns();
	time_t s = (time_t)(ns / 1000000000);
	char date[32];
	struct tm tm;
	bool bad;
	int len;

	if (strncmp(line, stage_mark(), mark) == 0) {
		line += mark;
	}
	bad = strstr(line, "FAILED") || strstr(line, "panic") ||
	      strstr(line, "PANIC");
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));
	len = snprintf(out, MESSAGE, "<%u>1 %s.%03uZ %.63s %s - - - %.*s",
		       bad ? CRITICAL : INFO, date,
		       (unsigned)(ns % 1000000000 / 1000000), stack.hostname, from,
		       (int)LINE, line);
	return (size_t)len < MESSAGE ? (size_t)len : MESSAGE - 1;
}

/* False: not now. An empty line is nothing. */
static bool send_line(const char *from, const char *line)
{
	struct pbuf *p;
	char text[MESSAGE];
	size_t len;
	err_t error;

	if (line[0] == '\0') {
		return true;
	}
	len = message(text, from, line);
	p = pbuf_alloc(PBUF_TRANSPORT, (uint16_t)len, PBUF_RAM);
	if (!p) {
		return false;
	}
	memcpy(p->payload, text, len);
	error = udp_sendto(syslog.udp, p, &syslog.to, syslog.port);
	pbuf_free(p);
	syslog.status.sent += error == ERR_OK;
	return error == ERR_OK;
}

/* Keeps what a frame begins with, for the end. */
static void keep_headers(const struct eth_addr *next)
{
	uint8_t *f = syslog.frame, *ip = f + 14, *udp = f + 34;

	memcpy(f, next->addr, 6);
	memcpy(f + 6, stack.nic->mac, 6);
	net_put16(f + 12, 0x0800);
	memset(ip, 0, 28);
	ip[0] = 0x45;
	ip[8] = 64;
	ip[9] = IP_PROTO_UDP;
	memcpy(ip + 12, &netif_ip4_addr(&stack.wire)->addr, 4);
	memcpy(ip + 16, &ip_2_ip4(&syslog.to)->addr, 4);
	net_put16(udp, syslog.udp->local_port);
	net_put16(udp + 2, syslog.port);
	syslog.ready = true;
}

/* Whether there is a way, or it has been asked for. */
static bool way(void)
{
	const ip4_addr_t *to = ip_2_ip4(&syslog.to), *ip;
	struct eth_addr *next;

	if (!stack.added || !netif_is_link_up(&stack.wire) ||
	    netif_ip4_addr(&stack.wire)->addr == 0) {
		return false;
	}
	if (((to->addr ^ netif_ip4_addr(&stack.wire)->addr) &
	     netif_ip4_netmask(&stack.wire)->addr) != 0) {
		to = netif_ip4_gw(&stack.wire);
	}
	if (etharp_find_addr(&stack.wire, to, &next, &ip) < 0) {
		(void)etharp_request(&stack.wire, to);
		return false;
	}
	keep_headers(next);
	return true;
}

/* Lines of the hypervisor's log, as many as there may be; what has not come to its
 * end stays. False: not all. */
static bool send_log(unsigned *lines)
{
	char line[LINE + 1];

	for (;;) {
		char *end = memchr(syslog.line, '\n', syslog.len);
		size_t len = end ? (size_t)(end - syslog.line) : syslog.len;

		if (!end && len + PIECE <= LINE) {
			len = syslog.read(NULL, &syslog.at, syslog.line + len,
					  PIECE);
			syslog.len += len;
			if (len == 0) {
				return true;
			}
			continue;
		}
		memcpy(line, syslog.line, len);
		line[len] = '\0';
		if (*lines == 0 || !send_line("hypervisor", line)) {
			return false;
		}
		(*lines)--;
		len += end != NULL;
		syslog.len -= len;
		memmove(syslog.line, syslog.line + len, syslog.len);
	}
}

static void send_kept(unsigned *lines)
{
	size_t at = 0;

	while (at < syslog.kept_len && *lines > 0 &&
	       send_line("host-bridge", syslog.kept + at)) {
		at += strlen(syslog.kept + at) + 1;
		(*lines)--;
	}
	syslog.kept_len -= at;
	memmove(syslog.kept, syslog.kept + at, syslog.kept_len);
}

static void on_tick(struct loop_timer *timer)
{
	unsigned lines = LINES;

	if (way() && send_log(&lines)) {
		send_kept(&lines);
	}
	stack_left();
	loop_timer_set(timer, TICK_MS, on_tick);
}

/* From anywhere: only kept, sent when there is time. */
static void on_notice(struct notice_listener *listener, const char *text)
{
	size_t len = strnlen(text, LINE);

	(void)listener;
	if (syslog.kept_len + len + 1 > KEPT) {
		syslog.status.lost++;
		return;
	}
	memcpy(syslog.kept + syslog.kept_len, text, len);
	syslog.kept_len += len;
	syslog.kept[syslog.kept_len++] = '\0';
}

/* Last words, a line in a frame. */
static void send_last(const char *from)
{
	uint8_t *ip = syslog.frame + 14;
	size_t len = message((char *)syslog.frame + HEADERS, from, syslog.last);
	struct nic_seg seg = { syslog.frame, HEADERS + len };
	uint16_t sum;

	net_put16(ip + 2, (uint16_t)(28 + len));
	net_put16(ip + 24, (uint16_t)(8 + len));
	memset(ip + 10, 0, 2);
	sum = (uint16_t)~net_sum(0, ip, 20);
	net_put16(ip + 10, sum);
	(void)nic_send(stack.nic, &seg, 1, NULL);
	nic_poll(stack.nic);
}

/* In pieces: once there is a line it goes. */
static void last_text(const char *from, const char *text, size_t len)
{
	for (size_t i = 0; syslog.ready && i < len; i++) {
		if (text[i] != '\n' && syslog.last_len < LINE) {
			syslog.last[syslog.last_len++] = text[i];
		}
		if (text[i] == '\n' && syslog.last_len > 0) {
			syslog.last[syslog.last_len] = '\0';
			syslog.last_len = 0;
			send_last(from);
		}
	}
}

/* When this program ends. */
static void on_last(const char *text, size_t len)
{
	last_text("host-bridge", text, len);
}

/* When the hypervisor has: what is in its log and not yet sent, and comes there as
 * it is still writing. */
static void on_panic(void)
{
	uint64_t patience = loop_ms_to_ticks(QUIET_MS), until;
	char piece[PIECE];
	size_t n;

	last_text("hypervisor", syslog.line, syslog.len < LINE ? syslog.len : LINE);
	until = loop_now() + patience;
	while (loop_now() < until) {
		n = syslog.read(NULL, &syslog.at, piece, PIECE);
		if (n > 0) {
			last_text("hypervisor", piece, n);
			until = loop_now() + patience;
		}
	}
}

/* "192.0.2.9" or "192.0.2.9 514" */
static bool read_where(const char *where)
{
	size_t len = strcspn(where, " ");
	unsigned long port = PORT;
	char word[64], *end = "";

	snprintf(word, sizeof(word), "%.*s", (int)len, where);
	if (where[len]) {
		port = strtoul(where + len, &end, 10);
	}
	syslog.port = (uint16_t)port;
	return !*end && port > 0 && port <= UINT16_MAX &&
	       stack_read_address(word, &syslog.to) && IP_IS_V4(&syslog.to);
}

/** See syslog.h. Once, when the stack has been started. */
void syslog_start(const char *where, syslog_read read)
{
	if (!read_where(where)) {
		notice("network: syslog: \"%s\" is not as \"192.0.2.9 514\"",
		       where);
		return;
	}
	syslog.udp = udp_new_ip_type(IPADDR_TYPE_V4);
	if (!syslog.udp || udp_bind(syslog.udp, IP4_ADDR_ANY, 0) != ERR_OK) {
		notice("network: syslog: no memory");
		return;
	}
	syslog.read = read;
	syslog.listener.line = on_notice;
	notice_listener_add(&syslog.listener);
	sink_set_last(on_last, on_panic);
	loop_timer_set(&syslog.timer, TICK_MS, on_tick);
}
