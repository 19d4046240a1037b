/* SPDX-License-Identifier: MIT */
/* See net_linux_fixture.h. */
#include <errno.h>
#include <string.h>

#include "net_linux_fixture.h"

#include "drivers/nic.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/net/names.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/packet.h"
#include "host-bridge/net/ports.h"
#include "host-bridge/net/stack_ports.h"
#include "host-bridge/rt/seed.h"
#include "proto/net_channel.h"

#define HEAD	sizeof(struct net_channel_head)

const uint8_t linux_ip[4] = { 10, 77, 1, 2 }, host_ip[4] = { 10, 77, 1, 1 };
const uint8_t outside[4] = { 192, 0, 2, 1 }, peer[4] = { 198, 51, 100, 7 };

/* ---- The stack, the wire and the loop ---- */

struct fake_stack fake_stack;
struct fake_names fake_names;
struct linux_net *ln, *other;
static struct nic nic = { .mtu = 1500 };

void stack_set_hooks(const struct stack_hooks *hooks)
{
	fake_stack.hooks = *hooks;
}

struct nic *stack_nic(void)
{
	return &nic;
}

bool stack_address4(uint32_t *address)
{
	memcpy(address, outside, 4);
	return fake_stack.there;
}

bool stack_address6(uint8_t address[16])
{
	(void)address;
	return false;
}

static void keep(const struct net_packet *p)
{
	fake_stack.len = p->len;
	memcpy(fake_stack.packet, p->data, p->len);
}

bool stack_to_wire(unsigned sender, struct net_packet *packet)
{
	fake_stack.sender = sender;
	fake_stack.wire++;
	keep(packet);
	return true;
}

int stack_link_new(const struct stack_link_user *user, struct stack_link **out)
{
	fake_stack.user = user;
	*out = (struct stack_link *)&fake_stack;
	return 0;
}

int names_new(struct stack_link *link, const struct names_ends *ends,
	      struct names **out)
{
	assert_ptr_equal(link, &fake_stack);
	fake_names.ends = ends;
	*out = (struct names *)&fake_names;
	return 0;
}

void names_linux_down(struct names *of)
{
	assert_ptr_equal(of, &fake_names);
	fake_names.downs++;
}

bool stack_to_host(struct stack_link *link, const struct net_packet *packet)
{
	assert_true(!link || link == (struct stack_link *)&fake_stack);
	fake_stack.host++;
	fake_stack.back += !link;
	keep(packet);
	return true;
}

void stack_link_down(struct stack_link *link)
{
	assert_ptr_equal(link, &fake_stack);
	fake_stack.downs++;
}

bool stack_ports_used(uint8_t proto, uint16_t port)
{
	return proto == UDP && port == fake_stack.taken;
}

void stack_ports_go_on(void)
{
	fake_stack.room++;
}

uint64_t seed_make(void)
{
	static uint64_t seed;

	return ++seed * 0x9e3779b97f4a7c15ull;
}

uint64_t loop_uptime_ms(void)
{
	return 1000;
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	(void)timer;
	GO(delay_ms, 1000);
	assert_non_null(fn);
}

/* ---- Packets ---- */

static void put32(uint8_t *at, uint32_t value)
{
	net_put16(at, (uint16_t)(value >> 16));
	net_put16(at + 2, (uint16_t)value);
}

struct tcp_next tcp = { .flags = 2 };

size_t make(uint8_t *ip, const uint8_t *from, const uint8_t *to,
		   uint8_t proto, uint16_t from_port, uint16_t to_port)
{
	size_t len = proto == UDP ? 40 : 60;

	memset(ip, 0, len);
	ip[0] = 0x45;
	net_put16(ip + 2, (uint16_t)len);
	ip[8] = 64;
	ip[9] = proto;
	memcpy(ip + 12, from, 4);
	memcpy(ip + 16, to, 4);
	net_put16(ip + 10, (uint16_t)~net_sum(0, ip, 20));
	net_put16(ip + 20, from_port);
	net_put16(ip + 22, to_port);
	if (proto == UDP) {
		net_put16(ip + 24, (uint16_t)(len - 20));
	} else if (proto == ICMP) {
		net_put16(ip + 22, 0);
		net_put16(ip + 24, to_port);
	} else {
		ip[32] = 0x50;
		ip[33] = tcp.flags;
		put32(ip + 24, tcp.seq);
		put32(ip + 28, tcp.ack);
	}
	return len;
}

void put_fragment(uint8_t *ip, uint16_t frag)
{
	net_put16(ip + 4, 77);
	net_put16(ip + 6, frag);
	net_put16(ip + 10, 0);
	net_put16(ip + 10, (uint16_t)~net_sum(0, ip, 20));
}

void say(const uint8_t *ip, size_t len)
{
	struct {
		struct net_channel_head head;
		uint8_t ip[60];
	} m = { .head.len = (uint32_t)(HEAD + len) };

	memcpy(m.ip, ip, len);
	GO(fake_vsock_send(&m, m.head.len), m.head.len);
	fake_vsock_step();
	assert_false(fake_vsock.end->gone);
}

void from_linux(const uint8_t *from, const uint8_t *to, uint8_t proto,
		       uint16_t from_port, uint16_t to_port)
{
	uint8_t ip[60];

	say(ip, make(ip, from, to, proto, from_port, to_port));
}

size_t to_linux(uint8_t *ip)
{
	static uint8_t got[FAKE_QUEUE];
	size_t n = fake_vsock_take(got);

	if (n > 0) {
		memcpy(ip, got + HEAD, n - HEAD);
	}
	return n > 0 ? n - HEAD : 0;
}

bool from_wire(const uint8_t *from, const uint8_t *to, uint8_t proto,
		      uint16_t from_port, uint16_t to_port)
{
	uint8_t data[NET_HEADROOM + 60];
	struct net_packet p = { .data = data + NET_HEADROOM, .space = 60 };

	p.len = make(p.data, from, to, proto, from_port, to_port);
	return fake_stack.hooks.from_wire(fake_stack.hooks.arg, &p);
}

int linux_net_setup(void **state)
{
	static struct ports_rules rules;
	const char *wrong[2];
	static bool once;

	(void)state;
	if (!once) {
		static struct fake_vsock link;

		GO(linux_net_new(NULL, 1, "work", &ln), EINVAL);
		GO(linux_net_start(&(struct linux_net_policy){ .echo = true }),
		   0);
		GO(linux_net_new(NULL, 0, "work", &ln), EINVAL);
		GO(linux_net_new(NULL, NAT_LINUXES + 1, "work", &ln), EINVAL);
		GO(linux_net_new(NULL, 2, "other", &other), 0);
		assert_true(ports_rules_read(&rules, "tcp:52022:22", NULL,
					     wrong));
		GO(linux_net_new(NULL, 1, "work", &ln), 0);
		link = fake_vsock;
		GO(linux_net_ports(ln, NULL, "Linux work", &rules), 0);
		fake_vsock = link;
		GO(linux_net_new(NULL, 1, "work", &ln), EINVAL);
		once = true;
	}
	fake_vsock_setup();
	fake_vsock_open();
	fake_stack.wire = fake_stack.host = 0;
	fake_stack.room = fake_stack.back = 0;
	fake_stack.there = true;
	fake_stack.hooks.changed(fake_stack.hooks.arg);
	return 0;
}

int linux_net_teardown(void **state)
{
	(void)state;
	fake_vsock_close();
	return 0;
}
