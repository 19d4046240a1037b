/* SPDX-License-Identifier: MIT */
/* See net_fixture.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "net_fixture.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/cpu.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/stage.h"

#define QUEUE	1024u

static const uint8_t host_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
static const uint8_t router_mac[6] = { 0x52, 0x55, 10, 0, 2, 2 };

struct nic net_nic;
struct router router;
char net_said[8192];
uint64_t net_ms = 1000;
int net_send_error;
unsigned net_flags;
struct notice_listener *net_listener;

static struct loop_timer *timers;
/* On the wire: from us. */
static struct { uint8_t *data; size_t len; } queue[QUEUE];
static unsigned queued;

void loop_timer_cancel(struct loop_timer *timer)
{
	for (struct loop_timer **at = &timers; *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			return;
		}
	}
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	loop_timer_cancel(timer);
	timer->fn = fn;
	timer->deadline = net_ms + delay_ms;
	timer->next = timers;
	timers = timer;
}

uint64_t loop_uptime_ms(void)
{
	return net_ms;
}

uint64_t loop_ms_to_ticks(uint64_t ms)
{
	return ms * 1000000;
}

uint64_t tsc_now(void)
{
	return net_ms * 1000000;
}

void cpu_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	abort();
}

const char *stage_mark(void)
{
	return "\1secret";
}

void nic_poll(struct nic *of)
{
	(void)of;
}

void notice_listener_add(struct notice_listener *listener)
{
	net_listener = listener;
}

void notice(const char *fmt, ...)
{
	size_t used = strlen(net_said);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(net_said + used, sizeof(net_said) - used, fmt, ap);
	va_end(ap);
	strncat(net_said, "\n", sizeof(net_said) - strlen(net_said) - 1);
}

int nic_send(struct nic *nic, const struct nic_seg *segs, unsigned count,
	     const struct nic_offload *off)
{
	size_t len = 0;

	(void)off;
	assert_ptr_equal(nic, &net_nic);
	if (net_send_error || !nic->link || queued == QUEUE) {
		return net_send_error ? net_send_error :
		       nic->link ? ENOBUFS : ENETDOWN;
	}
	for (unsigned i = 0; i < count; i++) {
		len += segs[i].len;
	}
	queue[queued].data = malloc(len);
	queue[queued].len = len;
	len = 0;
	for (unsigned i = 0; i < count; i++) {
		memcpy(queue[queued].data + len, segs[i].data, segs[i].len);
		len += segs[i].len;
	}
	queued++;
	return 0;
}

uint16_t test_sum(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < len; i++) {
		sum += (uint32_t)at[i] << (i % 2 ? 0 : 8);
	}
	while (sum >> 16) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

/* From the heap, exactly so long: reads beyond it are found. */
void net_frame(const void *frame, size_t len)
{
	void *copy = malloc(len > 0 ? len : 1);

	memcpy(copy, frame, len);
	if (net_nic.receive) {
		net_nic.receive(net_nic.arg, copy, len, net_flags);
	}
	free(copy);
}

void net_fragment(uint8_t protocol, uint32_t from, uint32_t to, uint16_t id,
		  uint16_t frag, const void *payload, size_t len)
{
	uint8_t frame[2048] = { 0 }, *ip = frame + 14;

	assert_true(len <= sizeof(frame) - 34);
	memcpy(frame, to == 0xffffffff ? (const uint8_t *)"\xff\xff\xff\xff\xff\xff" :
	       host_mac, 6);
	memcpy(frame + 6, router_mac, 6);
	put16(frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(20 + len));
	put16(ip + 4, id);
	put16(ip + 6, frag);
	ip[8] = 64;
	ip[9] = protocol;
	put32(ip + 12, from);
	put32(ip + 16, to);
	put16(ip + 10, test_sum(ip, 20, 0));
	memcpy(ip + 20, payload, len);
	net_frame(frame, 34 + len);
}

void net_ip(uint8_t protocol, uint32_t from, uint32_t to, const void *payload,
	    size_t len)
{
	static uint16_t id;

	net_fragment(protocol, from, to, ++id, 0, payload, len);
}

static void udp_to(uint32_t from, uint16_t from_port, uint32_t to,
		   uint16_t to_port, const void *data, size_t len)
{
	uint8_t udp[1600] = { 0 };

	put16(udp, from_port);
	put16(udp + 2, to_port);
	put16(udp + 4, (uint16_t)(8 + len));
	memcpy(udp + 8, data, len);
	net_ip(17, from, to, udp, 8 + len);
}

void net_udp(uint32_t from, uint16_t from_port, uint16_t to_port,
	     const void *data, size_t len)
{
	udp_to(from, from_port, router.gives, to_port, data, len);
}

/* For all of 10.0.2/24 that are not ours. */
static void answer_arp(const uint8_t *arp)
{
	uint8_t frame[42] = { 0 };
	uint32_t wanted = get32(arp + 24);

	router.arps++;
	if (get16(arp + 6) != 1 || wanted >> 8 != ROUTER_IP >> 8 ||
	    wanted == router.gives) {
		return;
	}
	memcpy(frame, host_mac, 6);
	memcpy(frame + 6, router_mac, 6);
	put16(frame + 12, 0x0806);
	memcpy(frame + 14, "\0\1\x08\0\6\4\0\2", 8);
	memcpy(frame + 22, router_mac, 6);
	put32(frame + 28, wanted);
	memcpy(frame + 32, arp + 8, 10);
	net_frame(frame, sizeof(frame));
}

static uint8_t *option(uint8_t *at, uint8_t code, uint32_t value)
{
	*at++ = code;
	*at++ = 4;
	put32(at, value);
	return at + 4;
}

/* [RFC 2131, RFC 2132] */
static void answer_dhcp(const uint8_t *asked, size_t len)
{
	uint8_t said[300] = { 2, 1, 6 }, *at = said + 240;
	uint8_t type = 0;

	for (size_t i = 240; i + 2 < len && asked[i] != 255;
	     i += 2u + asked[i + 1]) {
		type = asked[i] == 53 ? asked[i + 2] : type;
	}
	router.discovers += type == 1;
	router.requests += type == 3;
	if (type != 1 && type != 3) {
		return;
	}
	memcpy(said + 4, asked + 4, 4);
	put32(said + 16, router.gives);
	memcpy(said + 28, asked + 28, 16);
	put32(said + 236, 0x63825363);
	*at++ = 53;
	*at++ = 1;
	*at++ = type == 1 ? 2 : 5;
	at = option(at, 54, ROUTER_IP);
	at = option(at, 51, router.lease);
	at = option(at, 1, 0xffffff00);
	at = option(at, 3, ROUTER_IP);
	at = option(at, 6, router.names ? router.names : SERVER_IP);
	if (router.names2) {
		at[-5] = 8;
		put32(at, router.names2);
		at += 4;
	}
	*at = 255;
	udp_to(ROUTER_IP, 67, router.gives, 68, said, sizeof(said));
}

/* "there.example" is 192.0.2.7; of others there are none [RFC 1035]. */
static void answer_dns(uint16_t port, const uint8_t *asked, size_t len)
{
	static const char there[] = "\5there\7example";
	uint8_t said[512];
	bool known = len > 12 + sizeof(there) + 3 &&
		     memcmp(asked + 12, there, sizeof(there)) == 0 &&
		     get16(asked + 12 + sizeof(there)) == 1;

	router.queries++;
	router.asked_from = port;
	assert_true(len < 480);
	memcpy(said, asked, len);
	put16(said + 2, known ? 0x8180 : 0x8183);
	if (known) {
		put16(said + 6, 1);
		memcpy(said + len, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7", 16);
		len += 16;
	}
	net_udp(SERVER_IP, 53, port, said, len);
}

/* [RFC 4330] */
static void answer_ntp(uint16_t port, const uint8_t *asked)
{
	int64_t ms = (int64_t)net_ms + router.ntp_ahead_ms;
	uint8_t said[48] = { (uint8_t)(router.ntp_leap << 6 | 0x24), 2 };

	router.ntp_asked++;
	router.ntp_from = port;
	memcpy(said + 24, asked + 40, 8);
	for (unsigned i = 32; i < 48; i += 8) {
		put32(said + i, (uint32_t)(ms / 1000) + 2208988800u);
		put32(said + i + 4, (uint32_t)((uint64_t)(ms % 1000) *
					       4294967296 / 1000));
	}
	net_udp(ROUTER_IP, 123, port, said, sizeof(said));
}

static void take_udp(uint32_t server, const uint8_t *udp, size_t len)
{
	uint16_t from = get16(udp), to = get16(udp + 2);

	if (to == 67) {
		answer_dhcp(udp + 8, len - 8);
	} else if (to == 53 && router.query) {
		router.query(server, from, udp + 8, len - 8);
	} else if (to == 53) {
		answer_dns(from, udp + 8, len - 8);
	} else if (to == 123) {
		answer_ntp(from, udp + 8);
	} else if (router.datagram) {
		router.datagram(to, udp + 8, len - 8);
	}
}

static void take_ip(const uint8_t *ip, size_t len)
{
	bool fragment = (get16(ip + 6) & 0x3fff) != 0;
	uint8_t echo[1600];

	assert_true(len >= 20 && get16(ip + 2) <= len);
	assert_int_equal(test_sum(ip, 20, 0), 0);
	len = get16(ip + 2);
	if (ip[9] == 17 && !fragment) {
		take_udp(get32(ip + 16), ip + 20, len - 20);
	} else if (ip[9] == 1 && ip[20] == 8) {
		router.pings++;
		router.ping_id = get16(ip + 24);
		memcpy(echo, ip + 20, len - 20);
		echo[0] = 0;
		put16(echo + 2, 0);
		put16(echo + 2, test_sum(echo, len - 20, 0));
		net_ip(1, get32(ip + 16), get32(ip + 12), echo, len - 20);
	} else {
		router.pongs += ip[9] == 1 && ip[20] == 0;
		if (router.packet) {
			router.packet(ip, len);
		}
	}
}

static void deliver(void)
{
	while (queued > 0) {
		uint8_t *data = queue[0].data;
		size_t len = queue[0].len;

		memmove(queue, queue + 1, --queued * sizeof(queue[0]));
		router.frames++;
		assert_true(len >= 14 && len <= 1514);
		assert_memory_equal(data + 6, host_mac, 6);
		if (router.deaf) {
			/* nothing */
		} else if (get16(data + 12) == 0x0806) {
			answer_arp(data + 14);
		} else if (get16(data + 12) == 0x0800) {
			take_ip(data + 14, len - 14);
		} else if (router.packet) {
			router.packet(data + 14, len - 14);
		}
		free(data);
	}
}

void net_run(uint64_t ms)
{
	uint64_t end = net_ms + ms;

	deliver();
	while (net_ms < end) {
		net_ms++;
		for (struct loop_timer *t = timers; t;) {
			if (t->deadline <= net_ms) {
				loop_timer_cancel(t);
				t->fn(t);
				t = timers;
			} else {
				t = t->next;
			}
		}
		deliver();
	}
}

void net_plug(void)
{
	net_nic.known = net_nic.link = true;
	net_nic.changed(net_nic.arg);
	net_run(100);
}

void net_begin(void)
{
	net_nic = (struct nic){ .model = "test", .mtu = 1500 };
	memcpy(net_nic.mac, host_mac, 6);
	router = (struct router){ .lease = 86400, .gives = HOST_IP };
}
