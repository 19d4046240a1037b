/* SPDX-License-Identifier: MIT */
/* See net_names_peers.h. */
#include <stdlib.h>

#include "lwip/priv/tcp_priv.h"

#include "net_names_peers.h"

#include "host-bridge/net/nat.h"

#define PEERS	16u
#define QUEUE	256u

static struct peer peers[PEERS];
enum peers_do servers_do;
unsigned calls;
/* On their way to Linux: not looked at within lwIP. */
static struct { uint8_t *ip; size_t len; } queue[QUEUE];
static unsigned queued;

static void send_segment(const struct peer *p, uint8_t flags, const void *data,
			 size_t len)
{
	static uint8_t tcp[24 + 65535];
	size_t header = flags & SYN ? 24 : 20;
	uint8_t pseudo[12] = { 0 };

	memset(tcp, 0, 20);
	/* Windows may be large. */
	memcpy(tcp + 20, "\1\3\3\0", 4);
	put16(tcp, p->port);
	put16(tcp + 2, p->to);
	put32(tcp + 4, p->next);
	put32(tcp + 8, p->seen);
	tcp[12] = (uint8_t)(header << 2);
	tcp[13] = flags;
	put16(tcp + 14, 65535);
	if (len > 0) {
		memcpy(tcp + header, data, len);
	}
	len += header;
	if (!p->server) {
		linux_sends(p->six, 2, 6, tcp, len);
		return;
	}
	put32(pseudo, p->address);
	put32(pseudo + 4, HOST_IP);
	pseudo[9] = 6;
	put16(pseudo + 10, (uint16_t)len);
	put16(tcp + 16, test_sum(tcp, len, (uint16_t)~test_sum(pseudo, 12, 0)));
	net_ip(6, p->address, HOST_IP, tcp, len);
}

void put(struct peer *p, uint8_t flags, const void *data, size_t len)
{
	send_segment(p, flags, data, len);
	p->next += (uint32_t)len + ((flags & (SYN | FIN)) != 0);
}

static void take_segment(struct peer *p, const uint8_t *tcp, size_t len)
{
	size_t header = (size_t)(tcp[12] >> 4) * 4;
	uint8_t flags = tcp[13];

	len -= header;
	if (flags & RST) {
		p->reset = true;
		return;
	}
	if (flags & SYN) {
		p->seen = get32(tcp + 4) + 1;
		p->open = true;
		put(p, p->server ? SYN | ACK : ACK, NULL, 0);
		return;
	}
	if (get32(tcp + 4) != p->seen || p->silent) {
		return;
	}
	assert_true(p->len + len <= sizeof(p->data));
	memcpy(p->data + p->len, tcp + header, len);
	p->len += len;
	p->seen += (uint32_t)len + (flags & FIN);
	p->ended |= flags & FIN;
	if (len > 0 || (flags & FIN)) {
		put(p, ACK, NULL, 0);
	}
}

struct peer *make_peer(bool server_end, uint32_t address, uint16_t port,
		       uint16_t to)
{
	struct peer *p = peers;

	while (p->used) {
		assert_true(++p < peers + PEERS);
	}
	*p = (struct peer){
		.used = true, .server = server_end, .address = address,
		.port = port, .to = to, .next = 1000,
	};
	return p;
}

static struct peer *find(bool server_end, uint32_t address, uint16_t port,
			 uint16_t to)
{
	for (struct peer *p = peers; p < peers + PEERS; p++) {
		if (p->used && p->server == server_end && p->address == address &&
		    p->port == port && p->to == to) {
			return p;
		}
	}
	return NULL;
}

static void to_server(const uint8_t *ip, size_t len)
{
	uint32_t address = get32(ip + 16);
	const uint8_t *tcp = ip + 20;
	struct peer *p;

	if (ip[0] >> 4 != 4 || ip[9] != 6) {
		return;
	}
	p = find(true, address, get16(tcp + 2), get16(tcp));
	if (tcp[13] & SYN) {
		calls++;
		GO(get16(tcp + 2), 53);
		assert_in_range(get16(tcp), NAT_LAST + 1, 65535);
		if (servers_do == SILENT) {
			return;
		}
		p = make_peer(true, address, 53, get16(tcp));
		if (servers_do == REFUSE) {
			p->seen = get32(tcp + 4) + 1;
			put(p, RST | ACK, NULL, 0);
			p->used = false;
			return;
		}
	}
	if (p) {
		take_segment(p, tcp, len - 20);
	}
}

static void to_linux(const uint8_t *ip, size_t len)
{
	assert_true(queued < QUEUE);
	queue[queued].ip = memcpy(malloc(len), ip, len);
	queue[queued++].len = len;
}

void run(uint64_t ms)
{
	for (uint64_t i = 0; i <= ms; i++) {
		for (unsigned at = 0; at < queued; at++) {
			const uint8_t *ip = queue[at].ip;
			size_t header = ip[0] >> 4 == 6 ? 40 : 20;
			struct peer *p = find(false, 0, get16(ip + header + 2),
					      get16(ip + header));

			if (p && (header == 40 || ip[9] == 6)) {
				take_segment(p, ip + header,
					     queue[at].len - header);
			}
			free(queue[at].ip);
		}
		queued = 0;
		net_run(i < ms);
	}
}

struct peer *dial(bool six)
{
	static uint16_t next_port = 20000;
	struct peer *p = make_peer(false, 0, next_port++, 53);

	p->six = six;
	put(p, SYN, NULL, 0);
	run(1);
	return p;
}

struct peer *server(void)
{
	struct peer *newest = NULL;

	for (struct peer *p = peers; p < peers + PEERS; p++) {
		newest = p->used && p->server && !p->reset ? p : newest;
	}
	return newest;
}

unsigned connections(void)
{
	unsigned count = 0;

	for (const struct tcp_pcb *t = tcp_active_pcbs; t; t = t->next) {
		count++;
	}
	return count;
}

void peers_setup(void)
{
	router.packet = to_server;
	linux_packet = to_linux;
	servers_do = SERVE;
	memset(peers, 0, sizeof(peers));
	calls = 0;
}
