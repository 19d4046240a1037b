/* SPDX-License-Identifier: MIT */
/*
 * Frames thrown at the stack, as a script: each step is a kind, a length and bytes.
 * Some are wrapped into what gets further than bytes by chance: answers to what
 * was asked last, segments of the connection that is there. Sums are not looked
 * at. lwIP lives on from one script to the next; from time to time enough of it
 * passes for all to be forgotten.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/netif.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/echo.h"
#include "host-bridge/net/lwip_port.h"
#include "host-bridge/net/ntp.h"
#include "host-bridge/net/resolve.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/net/stack_int.h"
#include "host-bridge/rt/cpu.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/seed.h"
#include "host-bridge/rt/stage.h"
#include "host-bridge/rt/wall.h"

#define FRAME		1600u
#define FORGET_MS	400000u
#define FORGET_STEP_MS	8000u
#define FORGET_RUNS	256u

enum kind {
	RAW, IP4, IP6, FRAGMENT, DHCP, DNS, NTP, SEGMENT, TIME, ASK, OTHERS, LINK,
	KINDS,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nic nic = { .model = "fuzz", .mtu = 1500 };
static uint64_t now_ms = 1000;
static struct loop_timer *timers;
/* What was sent last: a number of DHCP's, a question and its port, TCP's next. */
static uint8_t dhcp_id[4], dns_id[2], ntp_time[8];
static uint16_t dns_port, ntp_port;
static uint32_t tcp_next, tcp_got;

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
	timer->deadline = now_ms + delay_ms;
	timer->next = timers;
	timers = timer;
}

uint64_t loop_uptime_ms(void)
{
	return now_ms;
}

uint64_t loop_ms_to_ticks(uint64_t ms)
{
	return ms * 1000000;
}

uint64_t tsc_now(void)
{
	return now_ms * 1000000;
}

/* The same each time. */
uint64_t seed_make(void)
{
	static uint64_t seed = 1;

	return seed += 2;
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
	(void)listener;
}

void notice(const char *fmt, ...)
{
	(void)fmt;
}

static void learn(const uint8_t *ip, size_t len)
{
	if (len < 40 || ip[0] != 0x45) {
		return;
	}
	if (ip[9] == 6) {
		memcpy(&tcp_next, ip + 28, 4);	/* what it waits for */
		memcpy(&tcp_got, ip + 24, 4);
		tcp_got = __builtin_bswap32(__builtin_bswap32(tcp_got) +
			(uint32_t)(len - 20 - (size_t)(ip[32] >> 4) * 4) +
			((ip[33] & 3) != 0));
	} else if (ip[9] == 17 && ip[23] == 67 && len >= 36) {
		memcpy(dhcp_id, ip + 32, 4);
	} else if (ip[9] == 17 && ip[23] == 53) {
		memcpy(&dns_port, ip + 20, 2);
		memcpy(dns_id, ip + 28, 2);
	} else if (ip[9] == 17 && ip[23] == 123 && len >= 76) {
		memcpy(&ntp_port, ip + 20, 2);
		memcpy(ntp_time, ip + 68, 8);
	}
}

int nic_send(struct nic *to, const struct nic_seg *segs, unsigned count,
	     const struct nic_offload *off)
{
	uint8_t frame[1 << 16];
	size_t len = 0;

	(void)to;
	(void)off;
	for (unsigned i = 0; i < count && len + segs[i].len <= sizeof(frame);
	     i++) {
		memcpy(frame + len, segs[i].data, segs[i].len);
		len += segs[i].len;
	}
	if (len > 14) {
		learn(frame + 14, len - 14);
	}
	return now_ms % 64 == 0 ? ENOBUFS : 0;
}

static void pass(uint64_t ms)
{
	uint64_t end = now_ms + ms;

	while (now_ms < end) {
		now_ms += ms < 16 ? 1 : ms / 16;
		for (struct loop_timer *t = timers; t;) {
			if (t->deadline <= now_ms) {
				loop_timer_cancel(t);
				t->fn(t);
				t = timers;
			} else {
				t = t->next;
			}
		}
	}
}

/* From the heap, exactly so long. */
static void receive(const uint8_t *frame, size_t len)
{
	void *copy = malloc(len > 0 ? len : 1);
	unsigned flags = len & 1 ? NIC_RX_CSUM_GOOD : 0;

	memcpy(copy, frame, len);
	if (len % 4 == 2 && len >= 52) {
		nic.open = (struct nic_offload){ .csum_start = 34,
						 .csum_offset = 16 };
		flags = NIC_RX_CSUM_OPEN;
	}
	nic.receive(nic.arg, copy, len, flags);
	free(copy);
}

static size_t header4(uint8_t *frame, uint8_t proto, size_t len)
{
	static const uint8_t start[] = {
		0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x52, 0x55, 10, 0, 2, 2, 8, 0,
		0x45, 0, 0, 0, 0, 1, 0, 0, 64, 0, 0, 0,
		10, 0, 2, 2, 10, 0, 2, 15,
	};

	memcpy(frame, start, sizeof(start));
	frame[16] = (uint8_t)((len + 20) >> 8);
	frame[17] = (uint8_t)(len + 20);
	frame[23] = proto;
	return sizeof(start);
}

static void udp(uint16_t from, uint16_t to_net, const uint8_t *head,
		size_t head_len, const uint8_t *data, size_t len)
{
	uint8_t frame[FRAME] = { 0 };
	size_t at = header4(frame, 17, 8 + head_len + len);

	frame[at] = (uint8_t)(from >> 8);
	frame[at + 1] = (uint8_t)from;
	memcpy(frame + at + 2, &to_net, 2);
	frame[at + 4] = (uint8_t)((8 + head_len + len) >> 8);
	frame[at + 5] = (uint8_t)(8 + head_len + len);
	if (from == 53) {
		frame[29] = 3;		/* the server of names */
	}
	memcpy(frame + at + 8, head, head_len);
	memcpy(frame + at + 8 + head_len, data, len);
	receive(frame, at + 8 + head_len + len);
}

static void dhcp(const uint8_t *data, size_t len)
{
	uint8_t head[240] = { 2, 1, 6 };

	memcpy(head + 4, dhcp_id, 4);
	memcpy(head + 16, "\x0a\0\2\x0f", 4);
	memcpy(head + 28, nic.mac, 6);
	memcpy(head + 236, "\x63\x82\x53\x63", 4);
	udp(67, __builtin_bswap16(68), head, sizeof(head), data, len);
}

static void segment(const uint8_t *data, size_t len)
{
	uint8_t frame[FRAME] = { 0 };
	size_t at = header4(frame, 6, 20 + len);

	frame[at] = 0x90;
	frame[at + 3] = 7;
	memcpy(frame + at + 4, &tcp_next, 4);
	memcpy(frame + at + 8, &tcp_got, 4);
	frame[at + 12] = len > 2 ? data[2] : 0x50;
	frame[at + 13] = len > 0 ? data[0] : 2;
	frame[at + 14] = len > 1 ? data[1] : 255;
	memcpy(frame + at + 20, data, len);
	receive(frame, at + 20 + len);
}

static bool look(void *arg, struct net_packet *packet)
{
	uint8_t sum = 0;

	(void)arg;
	for (size_t i = 0; i < packet->len; i++) {
		sum ^= packet->data[i];
	}
	return (sum & 15) == 15;
}

static bool joins(void *arg, const uint8_t *ip)
{
	(void)arg;
	return ip[ip[0] >> 4 == 6 ? 43 : 23] & 1;
}

static bool link_send(void *arg, const struct net_packet *packet)
{
	(void)arg;
	return packet->len <= 65535;
}

static struct stack_link *to_linux;

static void clock_set(void)
{
}

static void begin(void)
{
	static const struct config_network want = { .echo = true };
	static const struct stack_link_user user = {
		.send = link_send, .address4 = { 10, 77, 1, 1 },
		.address6 = { 0xfd, 1, [15] = 1 },
	};

	memcpy(nic.mac, "\x52\x54\0\x12\x34\x56", 6);
	nic.known = nic.link = true;
	wall_init(1800000000, 0, 1000000000);
	stack_init();
	if (stack_start(&nic, &want) != 0 || echo_start() != 0 ||
	    stack_link_new(&user, &to_linux) != 0) {
		abort();
	}
	stack_set_hooks(&(struct stack_hooks){ .from_wire = look, .joins = joins });
	NETIF_SET_CHECKSUM_CTRL(&stack.wire, NETIF_CHECKSUM_ENABLE_ALL & 0xff);
	ntp_start(NULL, clock_set);
	/* A lease, so that there is an address from the start. */
	pass(10);
	dhcp((const uint8_t *)"\x35\1\2\x36\4\x0a\0\2\2\1\4\xff\xff\xff\0\xff", 16);
	pass(10);
	dhcp((const uint8_t *)"\x35\1\5\x36\4\x0a\0\2\2\1\4\xff\xff\xff\0"
	     "\x33\4\0\1\0\0\3\4\x0a\0\2\2\6\4\x0a\0\2\3\x2a\4\x0a\0\2\2\xff", 40);
	pass(10);
}

static void others(const uint8_t *data, size_t len)
{
	uint8_t room[NET_HEADROOM + 256];
	struct net_packet p = { .data = room + NET_HEADROOM + (len & 7),
				.len = len > 8 ? len - 8 : 0 };

	if (len < 9) {
		return;
	}
	memcpy(p.data, data + 8, p.len);
	p.flags = data[0];
	p.gso_type = data[1];
	p.csum_start = (uint16_t)(data[2] | (data[3] & 1) << 8);
	p.csum_offset = data[4];
	p.gso_size = data[5];
	(void)stack_to_wire(0, &p);
}

static void step(enum kind kind, const uint8_t *data, size_t len)
{
	uint8_t frame[FRAME] = { 0 };
	struct net_packet packet = { .data = frame, .len = len };
	size_t at = 14;

	switch (kind) {
	case RAW:
		receive(data, len);
		return;
	case IP4:
	case FRAGMENT:
		at = header4(frame, kind == FRAGMENT || len == 0 ? 17 : data[0],
			     len);
		if (kind == FRAGMENT && len > 1) {
			frame[20] = data[0] & 0x21;
			frame[21] = data[1] & 3;
		}
		break;
	case IP6:
		memcpy(frame, nic.mac, 6);
		frame[12] = 0x86;
		frame[13] = 0xdd;
		frame[14] = 0x60;
		frame[19] = (uint8_t)len;
		frame[18] = (uint8_t)(len >> 8);
		frame[20] = len > 0 && data[0] & 1 ? 58 : len > 1 ? data[1] : 0;
		frame[21] = 255;
		frame[22] = 0xfe;
		frame[23] = 0x80;
		frame[37] = 2;
		memcpy(frame + 38, netif_ip6_addr(&stack.wire, 0)->addr, 16);
		at = 54;
		break;
	case DHCP:
		dhcp(data, len);
		return;
	case DNS:
		udp(53, dns_port, dns_id, 2, data, len);
		return;
	case NTP:
		udp(123, ntp_port, (uint8_t [24]){ 0x24, 2 }, 24, ntp_time, 8);
		udp(123, ntp_port, data, len, ntp_time, 8);
		return;
	case SEGMENT:
		segment(data, len);
		return;
	case TIME:
		nic.received(nic.arg);
		pass(len > 0 ? data[0] * (len > 1 ? 100u : 1u) : 1);
		return;
	case ASK:
		resolve_start("a.example", len & 1);
		return;
	case OTHERS:
		others(data, len);
		return;
	case LINK:
		memcpy(frame, data, len);
		if (len > 19) {
			memcpy(frame + 16, "\x0a\x4d\1\1", 4);
		}
		(void)stack_to_host(to_linux, &packet);
		return;
	default:
		return;
	}
	memcpy(frame + at, data, len);
	receive(frame, at + len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	static unsigned runs;

	if (!begun) {
		begin();
		begun = true;
	}
	while (size >= 2) {
		size_t len = data[1] < size - 2 ? data[1] : size - 2;

		step(data[0] % KINDS, data + 2, len);
		data += 2 + len;
		size -= 2 + len;
	}
	if (++runs % FORGET_RUNS == 0) {
		for (uint64_t ms = 0; ms < FORGET_MS; ms += FORGET_STEP_MS) {
			pass(FORGET_STEP_MS);
		}
		if (lwip_port_heap()->used > LWIP_PORT_HEAP / 64) {
			abort();
		}
	}
	return 0;
}
