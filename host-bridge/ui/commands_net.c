/* SPDX-License-Identifier: MIT */
/*
 * Commands about the network: what this partition has of it, and whether others
 * answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/nic.h"
#include "host-bridge/agent/control.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/net/linux_net.h"
#include "host-bridge/net/lwip_port.h"
#include "host-bridge/net/names.h"
#include "host-bridge/net/ntp.h"
#include "host-bridge/net/ping.h"
#include "host-bridge/net/ports.h"
#include "host-bridge/net/resolve.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/net/syslog.h"
#include "host-bridge/rt/wall.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_nat.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/documents.h"

#define PINGS		4u
#define PINGS_MAX	100000u
#define PING_MS		1000u	/* from one to the next */

static void print_addresses(const struct stack_status *s)
{
	if (s->address[0]) {
		printf("    %s by %s", s->address, s->how);
		if (s->server[0]) {
			printf(" (%s), for %u s yet", s->server,
			       (unsigned)s->lease);
		}
		printf("; gateway %s\n", s->gateway[0] ? s->gateway : "none");
	} else {
		printf("    no IPv4 address\n");
	}
	for (unsigned i = 0; i < STACK_ADDRESSES && s->address6[i][0]; i++) {
		printf("    %s\n", s->address6[i]);
	}
	if (s->router6[0]) {
		printf("    router %s\n", s->router6);
	}
	printf("    name servers: %s", s->dns[0][0] ? s->dns[0] : "none");
	for (unsigned i = 1; i < STACK_SERVERS && s->dns[i][0]; i++) {
		printf(", %s", s->dns[i]);
	}
	printf("\n");
}

static void print_clock(void)
{
	struct ntp_status ntp;

	ntp_get_status(&ntp);
	if (ntp.answers == 0) {
		printf("  clock: the machine's own%s\n", ntp.refused ?
		       "; what NTP said cannot be the time" : "");
		return;
	}
	printf("  clock: by NTP, %llu answers, %lld ms off at the last, "
	       "%lld ms of it left\n", (unsigned long long)ntp.answers,
	       (long long)(ntp.offset_ns / 1000000),
	       (long long)(wall_left_ns() / 1000000));
}

/* What Linuxes have asked. */
static void print_names(void)
{
	struct names_status n;

	names_get_status(&n);
	printf("  names: %llu asked, %llu of here, %llu passed on, %llu answered, "
	       "%llu not; %llu dropped, %llu false answers\n",
	       (unsigned long long)n.asked, (unsigned long long)n.own,
	       (unsigned long long)n.passed, (unsigned long long)n.answered,
	       (unsigned long long)n.failed, (unsigned long long)n.dropped,
	       (unsigned long long)n.refused);
}

/* Sessions with agents from outside. */
static void print_control(void)
{
	struct control_status c;

	control_get_status(&c);
	if (c.port == 0) {
		return;
	}
	printf("  control: on TCP port %u, %u of %u connections, %llu sessions "
	       "begun; %llu wrong answers, %llu refused\n", c.port, c.sessions,
	       c.most, (unsigned long long)c.began, (unsigned long long)c.wrong,
	       (unsigned long long)c.refused);
}

static void print_port(void *arg, const struct ports_line *l)
{
	static const char *const families[] = { "", "IPv4", "IPv6",
						"IPv4 and IPv6" };

	*(bool *)arg = true;
	printf("  %s %5u -> %s, %u", l->proto == 6 ? "TCP" : "UDP", l->outside,
	       l->name, l->inside);
	if (l->families != 0) {
		printf(": %s%s", families[l->families & 3],
		       l->fixed ? ", by the manifest" : "");
	}
	printf("%s%s\n", l->refused[0] ? "; refused: " : "", l->refused);
}

static void print_ports(void)
{
	bool any = false;

	ports_each(print_port, &any);
	if (!any) {
		printf("  no ports lead to a Linux\n");
	}
}

/* The card, addresses, servers, and what has passed. */
static void run_net(const struct command_env *env, int argc, char **argv,
		    const char *rest)
{
	const struct lwip_port_heap *heap = lwip_port_heap();
	struct syslog_status log;
	struct stack_status s;
	char text[120];

	(void)rest;
	if (argc == 2) {
		if (strcmp(argv[1], "ports") == 0) {
			print_ports();
		} else if (strcmp(argv[1], "nat") == 0) {
			commands_nat(env);
		} else if (strcmp(argv[1], "--json") == 0) {
			documents_net(env);
		} else {
			printf("usage: net [ports|nat|--json]\n");
		}
		return;
	}
	stack_get_status(&s);
	if (!s.nic) {
		printf("  no network card\n");
		return;
	}
	nic_describe(s.nic, text, sizeof(text));
	printf("  %s\n", text);
	print_addresses(&s);
	printf("    received %llu packets, %llu bytes, %llu dropped; sent %llu, "
	       "%llu, %llu\n", (unsigned long long)s.nic->rx_packets,
	       (unsigned long long)s.nic->rx_bytes,
	       (unsigned long long)s.nic->rx_dropped,
	       (unsigned long long)s.nic->tx_packets,
	       (unsigned long long)s.nic->tx_bytes,
	       (unsigned long long)s.nic->tx_dropped);
	printf("    errors %llu, nonsense %llu, resets %llu, interrupts %llu, "
	       "link changes %llu\n",
	       (unsigned long long)s.nic->errors,
	       (unsigned long long)s.nic->nonsense,
	       (unsigned long long)s.nic->resets,
	       (unsigned long long)s.nic->interrupts,
	       (unsigned long long)s.nic->link_changes);
	printf("  stack: %u connections, %llu packets refused; memory %llu KiB, "
	       "at most %llu of %u, %llu times there was none\n", s.connections,
	       (unsigned long long)s.refused,
	       (unsigned long long)heap->used >> 10,
	       (unsigned long long)heap->most >> 10, LWIP_PORT_HEAP >> 10,
	       (unsigned long long)heap->refused);
	print_names();
	print_control();
	print_clock();
	syslog_get_status(&log);
	if (log.sent || log.lost) {
		printf("  syslog: %llu lines sent, %llu lost\n",
		       (unsigned long long)log.sent,
		       (unsigned long long)log.lost);
	}
}

/* Until it is known or ctrl-c is typed. Names of Linuxes nobody else knows. */
static bool find(const char *name, bool six, ip_addr_t *address)
{
	enum resolve_state state;
	uint8_t own[16];

	if (linux_net_named(name, six, own)) {
		stack_address_of(address, six, own);
		return true;
	}
	resolve_start(name, six);
	while ((state = resolve_look(address)) == RESOLVE_WAITS &&
	       !console_interrupted()) {
		loop_step(LOOP_FOREVER);
	}
	return state == RESOLVE_FOUND;
}

/* Linuxes are there without a card too. */
static bool there_is_a_way(const char *name)
{
	uint8_t own[16];

	if (stack_nic() || linux_net_named(name, false, own)) {
		return true;
	}
	printf("no network card\n");
	commands_fail();
	return false;
}

static void run_resolve(const struct command_env *env, int argc, char **argv,
			const char *rest)
{
	char text[STACK_TEXT];
	ip_addr_t four, six;
	bool is4, is6;

	(void)env;
	(void)argc;
	(void)rest;
	if (!there_is_a_way(argv[1])) {
		return;
	}
	is4 = find(argv[1], false, &four);
	is6 = (!is4 || IP_IS_V4(&four)) && !ipaddr_aton(argv[1], &six) &&
	      find(argv[1], true, &six);
	if (is4) {
		stack_text(&four, text);
		printf("%s\n", text);
	}
	if (is6) {
		stack_text(&six, text);
		printf("%s\n", text);
	}
	if (!is4 && !is6 && !console_interrupted()) {
		printf("no address of \"%s\" is known\n", argv[1]);
		commands_fail();
	}
}

/* One request and its answer, or a second without one. */
static bool ping_once(const char *from, unsigned number)
{
	uint64_t until = loop_now() + loop_ms_to_ticks(PING_MS);
	struct ping_reply reply;
	int error = ping_send();
	bool answered = false;

	if (error != 0) {
		printf("%u: %s\n", number, strerror(error));
	}
	while (loop_now() < until && !console_interrupted() &&
	       !(answered && number == 0)) {
		if (ping_look(&reply)) {
			answered = true;
			printf("%u bytes from %s: %u, %llu.%03u ms\n",
			       PING_BYTES + 8, from, reply.sequence,
			       (unsigned long long)(reply.us / 1000),
			       (unsigned)(reply.us % 1000));
		}
		loop_step(until);
	}
	return answered;
}

static void run_ping(const struct command_env *env, int argc, char **argv,
		     const char *rest)
{
	unsigned long count = PINGS, sent = 0, got = 0;
	char text[STACK_TEXT], *end = "";
	ip_addr_t to;
	int error;

	(void)env;
	(void)rest;
	if (argc == 4 && strcmp(argv[2], "-c") == 0) {
		count = strtoul(argv[3], &end, 10);
	}
	if (argc == 3 || (argc == 4 && strcmp(argv[2], "-c") != 0) || *end ||
	    count < 1 || count > PINGS_MAX) {
		printf("usage: ping HOST [-c 1..%u]\n", PINGS_MAX);
		return;
	}
	if (!there_is_a_way(argv[1])) {
		return;
	}
	if (!find(argv[1], false, &to)) {
		printf("no address of \"%s\" is known\n", argv[1]);
		commands_fail();
		return;
	}
	error = ping_open(&to);
	if (error != 0) {
		printf("%s\n", strerror(error));
		return;
	}
	stack_text(&to, text);
	while (sent < count && console_go_on()) {
		sent++;
		got += ping_once(text, sent < count ? (unsigned)sent : 0);
	}
	ping_close();
	printf("%lu sent, %lu answered\n", sent, got);
	if (got == 0) {
		commands_fail();
	}
}

const struct command commands_net[] = {
	{ "net", "[ports|nat|--json]", "the network: card, addresses, servers, counters",
	  "  Packets and bytes are the card's; refused are those that nobody here\n"
	  "  has asked for, or that are not as they should be. ports: those that\n"
	  "  lead to a Linux. nat: what each Linux has open beyond, and why packets\n"
	  "  were dropped. --json: all of it in one line, for programs.\n",
	  0, 1, run_net, NULL },
	{ "ping", "HOST [-c N]", "whether a host answers, N times; else 4",
	  "  HOST is a name or an address; ctrl-c ends it.\n",
	  1, 3, run_ping, NULL },
	{ "resolve", "NAME", "the addresses of a name, by the name servers",
	  "  linux.isthmus.internal, host.isthmus.internal and a partition's name\n"
	  "  there are known without.\n", 1, 1, run_resolve, NULL },
	{ 0 }
};
