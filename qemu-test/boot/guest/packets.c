/* SPDX-License-Identifier: MIT */
/*
 * packets KIND COUNT ADDRESS LAST: sends so many packets as nobody should, as fast
 * as the interface takes them, to addresses from ADDRESS on, of which LAST is the last
 * byte of the last one. KIND: syn (requests for TCP connections), spoof (the same, from
 * any source), udp (a datagram to any port), fragments (second ones of datagrams that
 * have no first), open (first ones, of which the rest never comes), six (IPv6: a
 * datagram to any address in the /64 of ADDRESS). Says how many the interface took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PAYLOAD	64

static uint32_t random_bits(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

static uint16_t sum(const void *data, size_t len, uint32_t start)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i += 2) {
		start += (uint32_t)(p[i] << 8 | (i + 1 < len ? p[i + 1] : 0));
	}
	while (start >> 16) {
		start = (start & 0xffff) + (start >> 16);
	}
	return htons((uint16_t)~start);
}

struct packet {
	struct iphdr ip;
	union {
		struct tcphdr tcp;
		struct udphdr udp;
		unsigned char bytes[PAYLOAD];
	};
};

/* Returns its length. */
static size_t make(struct packet *p, const char *kind, uint32_t from,
		   uint32_t to)
{
	uint16_t tcp = strcmp(kind, "syn") == 0 || strcmp(kind, "spoof") == 0;
	size_t len = tcp ? sizeof(p->tcp) : PAYLOAD;
	uint32_t pseudo = (ntohl(from) >> 16) + (ntohl(from) & 0xffff) +
			  (ntohl(to) >> 16) + (ntohl(to) & 0xffff);

	memset(p, 0, sizeof(*p));
	p->ip.version = 4;
	p->ip.ihl = 5;
	p->ip.ttl = 64;
	p->ip.id = htons((uint16_t)random_bits());
	p->ip.protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	p->ip.tot_len = htons((uint16_t)(sizeof(p->ip) + len));
	p->ip.saddr = from;
	p->ip.daddr = to;
	if (tcp) {
		p->tcp.source = htons((uint16_t)random_bits() | 1024);
		p->tcp.dest = htons((uint16_t)random_bits() | 1);
		p->tcp.seq = random_bits();
		p->tcp.syn = 1;
		p->tcp.doff = 5;
		p->tcp.window = 0xffff;
		p->tcp.check = sum(&p->tcp, len, pseudo + IPPROTO_TCP + len);
	} else {
		p->udp.source = htons((uint16_t)random_bits() | 1024);
		p->udp.dest = htons((uint16_t)random_bits() | 1);
		p->udp.len = htons(PAYLOAD);
	}
	if (strcmp(kind, "open") == 0) {
		p->ip.frag_off = htons(0x2000);
		p->udp.len = htons(1000);
	} else if (strcmp(kind, "fragments") == 0) {
		p->ip.frag_off = htons(0x2000 | (8 + random_bits() % 64));
	}
	return sizeof(p->ip) + len;
}

static void said(const char *kind, unsigned long took, unsigned long count)
{
	printf("%s: %lu of %lu\n", kind, took, count);
}

/* Whether the interface took it; ends for what nobody expects. */
static bool sent(int s, const void *data, size_t len, const void *to,
		 socklen_t size)
{
	if (sendto(s, data, len, 0, to, size) == (ssize_t)len) {
		return true;
	}
	if (errno != ENOBUFS && errno != EPERM && errno != EAGAIN) {
		perror("packets");
		exit(1);
	}
	return false;
}

static int six(char **argv)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	int s = socket(AF_INET6, SOCK_DGRAM, 0);
	unsigned long count = strtoul(argv[2], NULL, 10), many = 0;

	if (inet_pton(AF_INET6, argv[3], &to.sin6_addr) != 1 || s < 0) {
		perror("packets");
		return 2;
	}
	for (unsigned long i = 0; i < count; i++) {
		uint32_t bits[2] = { random_bits(), random_bits() | 0x10000 };

		memcpy(to.sin6_addr.s6_addr + 8, bits, sizeof(bits));
		to.sin6_port = htons((uint16_t)random_bits() | 1);
		many += sent(s, "six", 3, &to, sizeof(to));
	}
	said(argv[1], many, count);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	unsigned long count, took = 0;
	uint32_t first, many, own = inet_addr("10.77.1.2");
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (argc < 5 || s < 0) {
		perror("packets");
		return 2;
	}
	if (strcmp(argv[1], "six") == 0) {
		return six(argv);
	}
	count = strtoul(argv[2], NULL, 10);
	first = ntohl(inet_addr(argv[3]));
	many = (uint32_t)atoi(argv[4]) - (first & 255) + 1;
	for (unsigned long i = 0; i < count; i++) {
		struct packet p;
		uint32_t from = strcmp(argv[1], "spoof") == 0 ? random_bits() :
				own;
		size_t len;

		to.sin_addr.s_addr = htonl(first + random_bits() % many);
		len = make(&p, argv[1], from, to.sin_addr.s_addr);
		took += sent(s, &p, len, &to, sizeof(to));
	}
	said(argv[1], took, count);
	return 0;
}
