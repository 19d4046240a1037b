// SPDX-License-Identifier: MIT
/*
 * The network of each Linux: linux_net.h. A packet's way:
 *
 *   link.c --> nat_from_linux() --> stack_to_wire(), stack_to_host(), link_send()
 *   wire   --> stack's hook     --> nat_from_wire() --> link_send(), or the stack's
 *   stack  --> link_send()
 *
 * A packet stays where it came into memory of ours, and is changed there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/nic.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/net/linux_net.h"
#include "host-bridge/net/link.h"
#include "host-bridge/net/names.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/neighbours.h"
#include "host-bridge/net/ports.h"
#include "host-bridge/net/probe.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/net/stack_ports.h"
#include "host-bridge/rt/seed.h"

#define SESSIONS	4096u		/* of each Linux */
#define RATE		2000u		/* new ones a second */
#define TICK_MS		1000u
#define PROTO_ICMP	1u
#define PROTO_TCP	6u
#define PROTO_UDP	17u
#define PROTO_ICMP6	58u
#define PORT_ECHO	7u
#define PORT_DISCARD	9u
#define PORT_SENDER	19u
#define PORT_DNS	53u
#define PORT_DHCP	68u

_Static_assert(NAT_LINUXES < NEIGHBOURS_SENDERS, "each, and the wire");

struct linux_net {
	unsigned which;
	enum linux_net_reach reach;
	struct link *link;
	struct stack_link *stack;
	struct stack_link_user user;	/* of that */
	struct nat_link ends;
	struct ports *ports;		/* NULL: none lead to it */
	struct names *names;
	struct names_ends named;	/* of that */
	char words[128];
};

static struct linux_net *all[NAT_LINUXES];
static struct nat *nat;
static struct nat_addr outside[2];	/* the wire's, of each family */
static struct linux_net_policy allowed;
static struct loop_timer tick;

/* Whether what is of one Linux, or NAT_LINUXES: of the wire, may come to another. */
static bool may_meet(unsigned from, unsigned to)
{
	return to < NAT_LINUXES && all[to] && all[to]->reach != LINUX_NET_NONE &&
	       (from == NAT_LINUXES || from == to || !all[from] ||
		all[from]->reach == LINUX_NET_ALL);
}

/* A packet goes where the NAT says. which: the Linux that it is of; NAT_LINUXES:
 * it is the wire's. What the way has no room for is lost, and counted there. */
static void pass(enum nat_way way, unsigned which, unsigned to,
		 struct net_packet *packet)
{
	switch (way) {
	case NAT_WIRE:
		(void)stack_to_wire(which, packet);
		break;
	case NAT_LINUX:
		if (may_meet(which, to)) {
			(void)link_send(all[to]->link, packet);
		}
		break;
	case NAT_HOST:
		if (which == NAT_LINUXES || all[which]) {
			(void)stack_to_host(which == NAT_LINUXES ? NULL :
					    all[which]->stack, packet);
		}
		break;
	default:
		break;
	}
}

/* ---- What the link, the stack and the NAT call ---- */

static bool wanted(void *arg)
{
	const struct linux_net *ln = arg;

	return ln->reach != LINUX_NET_NONE;
}

static void from_linux(void *arg, struct net_packet *packet)
{
	struct linux_net *ln = arg;
	unsigned to;
	enum nat_way way;

	if (ln->reach != LINUX_NET_NONE) {
		way = nat_from_linux(nat, ln->which, packet, loop_uptime_ms(),
				     &to);
		pass(way, ln->which, to, packet);
	}
}

static bool from_wire(void *arg, struct net_packet *packet)
{
	unsigned to;
	enum nat_way way = nat_from_wire(nat, packet, loop_uptime_ms(), &to);

	(void)arg;
	if (way == NAT_HOST) {
		return false;
	}
	pass(way, NAT_LINUXES, to, packet);
	return true;
}

/* Of TCP, IPv4 without options: whether the port is a Linux's. */
static bool joins(void *arg, const uint8_t *ip)
{
	bool six = ip[0] >> 4 == 6;

	(void)arg;
	return memcmp(ip + (six ? 24 : 16), &outside[six], six ? 16 : 4) == 0 &&
	       nat_uses(nat, six, PROTO_TCP, net_get16(ip + (six ? 42 : 22)));
}

/* A packet of the NAT's own, or one that has waited there. */
static void deliver(void *arg, enum nat_way way, unsigned to,
		    struct net_packet *packet)
{
	(void)arg;
	pass(way, to, to, packet);
}

static bool from_stack(void *arg, const struct net_packet *packet)
{
	const struct linux_net *ln = arg;

	return ln->reach == LINUX_NET_NONE || link_send(ln->link, packet) != ENOBUFS;
}

static void on_room(void *arg)
{
	(void)arg;
	stack_ports_go_on();
}

/* One of an open TCP connection is asked whether it is there. It answers somebody
 * who is not, so the stack resets it. */
static void ask(void *arg, const struct nat_line *session)
{
	const struct linux_net *ln = arg;
	const struct nat_addr *own = &outside[session->six];
	uint8_t room[NET_HEADROOM + PROBE_MAX];
	struct net_packet packet = {
		.data = room + NET_HEADROOM, .space = PROBE_MAX,
	};

	if (session->which != ln->which || session->fixed ||
	    session->class != NAT_TCP ||
	    memcmp(session->remote, own, session->six ? 16 : 4) == 0) {
		return;
	}
	packet.len = probe_make(packet.data, session, own);
	(void)stack_to_wire(ln->which, &packet);
}

/* A Linux that is there begins with nothing. Who spoke to one that is gone hears of
 * it: those who only wait would do so for ever. */
static void on_link(void *arg, bool up)
{
	struct linux_net *ln = arg;

	nat_each(nat, ask, ln);
	stack_link_down(ln->stack);
	nat_linux_down(nat, ln->which);
	names_linux_down(ln->names);
	if (ln->ports) {
		ports_linux_down(ln->ports);
	}
	if (up && nat_linux_up(nat, ln->which, &ln->ends) == 0 && ln->ports &&
	    ln->reach == LINUX_NET_ALL) {
		ports_linux_up(ln->ports);
	}
}

static bool host_port(void *arg, unsigned which, uint8_t proto, uint16_t port)
{
	(void)arg;
	return proto == PROTO_ICMP || proto == PROTO_ICMP6 ||
	       port == PORT_DNS ||
	       (allowed.echo && all[which]->reach == LINUX_NET_ALL &&
		(port == PORT_ECHO || (proto == PROTO_TCP &&
		(port == PORT_DISCARD || port == PORT_SENDER))));
}

/* What lies above the NAT's ports never is a Linux's, so the stack takes ports for its
 * calls there without asking (lwipopts.h). DHCP's may not be open yet. */
static bool taken(void *arg, bool six, uint8_t proto, uint16_t port)
{
	(void)arg;
	(void)six;
	return port > NAT_LAST || (proto == PROTO_UDP && port == PORT_DHCP) ||
	       stack_ports_used(proto, port);
}

/* The wire's addresses may be others. */
static void on_wire(void *arg)
{
	const struct nic *nic = stack_nic();
	uint32_t four;

	(void)arg;
	memset(outside, 0, sizeof(outside));
	if (stack_address4(&four)) {
		memcpy(outside[0].b, &four, sizeof(four));
	}
	(void)stack_address6(outside[1].b);
	nat_outside(nat, outside, nic ? nic->mtu : 1500);
}

static void on_tick(struct loop_timer *timer)
{
	nat_tick(nat, loop_uptime_ms());
	ports_tick();
	loop_timer_set(timer, TICK_MS, on_tick);
}

/* ---- The calls ---- */

/** See linux_net.h. */
int linux_net_start(const struct linux_net_policy *policy)
{
	static const struct stack_hooks hooks = {
		.from_wire = from_wire, .joins = joins, .changed = on_wire,
	};
	struct nat_config config = {
		.sessions = SESSIONS, .rate = RATE, .host_port = host_port,
		.taken = taken, .deliver = deliver,
	};

	allowed = *policy;
	for (unsigned i = 0; i < 4; i++) {
		config.seed[i] = seed_make() | 1;
	}
	nat = nat_new(&config);
	if (!nat) {
		return ENOMEM;
	}
	stack_set_hooks(&hooks);
	on_wire(NULL);
	loop_timer_set(&tick, TICK_MS, on_tick);
	return 0;
}

/* 10.77.N.1 and .2, fd69:7374:686d:N::1 and ::2; "isthm" is in the prefix. */
static void set_ends(struct linux_net *ln, unsigned number)
{
	const uint8_t four[4] = { 10, 77, (uint8_t)number, 1 };
	const uint8_t six[16] = { 0xfd, 0x69, 0x73, 0x74, 0x68, 0x6d, 0,
				  (uint8_t)number, [15] = 1 };

	memcpy(ln->ends.host_end[0].b, four, 4);
	memcpy(ln->ends.host_end[1].b, six, 16);
	ln->ends.linux_end[0] = ln->ends.host_end[0];
	ln->ends.linux_end[1] = ln->ends.host_end[1];
	ln->ends.linux_end[0].b[3] = ln->ends.linux_end[1].b[15] = 2;
	memcpy(ln->user.address4, four, 4);
	memcpy(ln->user.address6, six, 16);
	memcpy(ln->named.host4, four, 4);
	memcpy(ln->named.host6, six, 16);
	memcpy(ln->named.linux4, ln->ends.linux_end[0].b, 4);
	memcpy(ln->named.linux6, ln->ends.linux_end[1].b, 16);
	snprintf(ln->words, sizeof(ln->words), "isthmus.net=10.77.%u.2/24,"
		 "10.77.%u.1,fd69:7374:686d:%x::2/64,fd69:7374:686d:%x::1",
		 number, number, number, number);
}

/** See linux_net.h. What was begun when it fails stays, and is not used. */
int linux_net_new(struct vsock *vs, unsigned number, const char *name,
		  struct linux_net **out)
{
	struct linux_net *ln;
	int error;

	if (!nat || number == 0 || number > NAT_LINUXES || all[number - 1]) {
		return EINVAL;
	}
	ln = calloc(1, sizeof(*ln));
	if (!ln) {
		return ENOMEM;
	}
	ln->which = number - 1;
	set_ends(ln, number);
	ln->named.title = name;
	ln->user.arg = ln;
	ln->user.send = from_stack;
	error = stack_link_new(&ln->user, &ln->stack);
	if (error == 0) {
		error = names_new(ln->stack, &ln->named, &ln->names);
	}
	if (error == 0) {
		error = link_new(vs, &(struct link_user){
			.arg = ln, .wanted = wanted, .receive = from_linux, .writable = on_room,
			.changed = on_link,
		}, &ln->link);
	}
	if (error == 0) {
		all[ln->which] = ln;
		*out = ln;
	}
	return error;
}

/** See linux_net.h. */
void linux_net_reach(struct linux_net *ln, enum linux_net_reach reach)
{
	if (ln) {
		ln->reach = reach;
	}
}

/** See linux_net.h. */
int linux_net_ports(struct linux_net *ln, struct vsock *vs, const char *title,
		    const struct ports_rules *rules)
{
	return ports_new(vs, nat, ln->which, title, rules, &ln->ports);
}

/** See linux_net.h. */
bool linux_net_named(const char *name, bool six, uint8_t *address)
{
	bool is = false;

	for (unsigned i = 0; i < NAT_LINUXES && !is; i++) {
		is = all[i] && names_of_ends(name, six, &all[i]->named, address);
	}
	return is;
}

/** See linux_net.h. */
const char *linux_net_words(const struct linux_net *ln)
{
	return ln->reach == LINUX_NET_NONE ? "isthmus.net=off" : ln->words;
}

/** See linux_net.h. */
const struct nat *linux_net_nat(void)
{
	return nat;
}

/** See linux_net.h. */
void linux_net_status(const struct linux_net *ln,
		      struct linux_net_status *status)
{
	status->which = ln->which;
	status->sessions = nat_sessions(nat, ln->which);
	status->most = SESSIONS;
	link_get_status(ln->link, &status->link);
}
