/* SPDX-License-Identifier: MIT */
/* See net_peers.h. */
#include "net_fixture.h"
#include "net_peers.h"

#define SHIFT	4u		/* of the stack's windows: TCP_RCV_SCALE */
#define SYN	2u
#define ACK	0x10u

struct peer peers[PEERS];

void peer_send(struct peer *p, uint8_t flags, const void *data, size_t len)
{
	uint8_t s[1500] = { 0 }, pseudo[12] = { 0 };
	size_t header = flags & SYN ? 24 : 20;

	put16(s, p->port);
	put16(s + 2, p->to);
	put32(s + 4, p->next);
	put32(s + 8, p->got);
	s[12] = (uint8_t)(header / 4 << 4);
	s[13] = flags;
	put16(s + 14, 65535);
	if (flags & SYN) {
		/* No scale of its own. [RFC 7323 "TCP Window Scale Option"] */
		memcpy(s + 20, (uint8_t[]){ 3, 3, 0, 1 }, 4);
	}
	memcpy(s + header, data, len);
	put32(pseudo, ROUTER_IP);
	put32(pseudo + 4, HOST_IP);
	pseudo[9] = 6;
	put16(pseudo + 10, (uint16_t)(header + len));
	put16(s + 16, test_sum(s, header + len,
			       (uint16_t)~test_sum(pseudo, 12, 0)));
	p->next += (uint32_t)len + ((flags & 3) != 0);
	p->room -= (uint32_t)len;
	net_ip(6, ROUTER_IP, HOST_IP, s, header + len);
}

void peer_segment(struct peer *p, uint8_t flags, const char *text)
{
	peer_send(p, flags, text, strlen(text));
}

/* The last of what has come. */
static void keep(struct peer *p, const uint8_t *data, size_t len)
{
	size_t had = strlen(p->said);

	p->len += len;
	if (had + len >= sizeof(p->said)) {
		had = 0;
	}
	memcpy(p->said + had, data, len);
	p->said[had + len] = '\0';
}

void peers_take(const uint8_t *ip, size_t len)
{
	const uint8_t *s = ip + 20;
	size_t header = (size_t)(s[12] >> 4) * 4, data = len - 20 - header;
	struct peer *p = peers;

	if (ip[0] >> 4 != 4 || ip[9] != 6) {
		return;
	}
	while (p < peers + PEERS && p->port != get16(s + 2)) {
		p++;
	}
	if (p == peers + PEERS) {
		return;		/* of one that another has replaced */
	}
	if (s[13] & 4) {
		p->reset = true;
		return;
	}
	p->acked = get32(s + 8);
	p->room = (uint32_t)get16(s + 14) << (s[13] & SYN ? 0 : SHIFT);
	p->room -= p->next - p->acked;
	if ((s[13] & (SYN | ACK)) == (SYN | ACK)) {
		p->open = true;
		p->got = get32(s + 4) + 1;
		peer_segment(p, ACK, "");
		return;
	}
	if (p->deaf || get32(s + 4) != p->got) {
		return;
	}
	keep(p, s + header, data);
	p->got += (uint32_t)data + (s[13] & 1);
	p->ended |= s[13] & 1;
	if (data > 0 || (s[13] & 1)) {
		peer_segment(p, ACK, "");
	}
}

struct peer *peer_connect(unsigned i, uint16_t to)
{
	static uint16_t port = 40000;
	struct peer *p = &peers[i];

	*p = (struct peer){ .port = ++port, .to = to, .next = 1000 };
	peer_segment(p, SYN, "");
	net_run(50);
	return p;
}

void peer_say(struct peer *p, const char *text)
{
	p->said[0] = '\0';
	peer_segment(p, 0x18, text);
	net_run(300);
}
