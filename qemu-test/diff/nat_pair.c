// SPDX-License-Identifier: MIT
/*
 * The NAT and Linux's own side by side: packets are given to both, and what comes out
 * of both is compared: which way, and every byte but checksums, which must be
 * right in both, and ports of the outside address, which each chooses. Netfilter
 * is behind tun devices lin0, lin1, wan0, and host0, to which goes a copy of what it
 * lets in to the machine itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qemu-test/diff/nat_pair.h"

static const char *const names[DIFFERENCES] = {
	"the same", "another port of a known address",
	"a port of Linux's, from a stranger", "TCP that fits no state",
	"what belongs to such TCP",
};

struct list got[2];
unsigned failures;
const struct flow *current;
bool show;

static int fds[4];			/* lin0, lin1, wan0, host0 */
static unsigned counts[DIFFERENCES], packets;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* ---- Netfilter ---- */

static int tun(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) != 0) {
		die(name);
	}
	return fd;
}

/** All connections go. */
void pair_flush(void)
{
	static int fd = -1;
	struct {
		struct nlmsghdr head;
		struct nfgenmsg gen;
	} m = {
		.head = { .nlmsg_len = sizeof(m),
			  .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 |
					IPCTNL_MSG_CT_DELETE,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.gen = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 },
	};
	struct { struct nlmsghdr head; int error; char rest[256]; } answer;

	if (fd < 0) {
		fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	}
	if (send(fd, &m, sizeof(m), 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < 0 ||
	    answer.head.nlmsg_type != NLMSG_ERROR || answer.error != 0) {
		die("flushing connections");
	}
}

/* What Linux says of its own accord. */
static bool is_chatter(const uint8_t *ip)
{
	return ip[0] >> 4 == 6 && (ip[24] == 0xff || ip[8] == 0xfe);
}

static void collect(void)
{
	static const enum nat_way ways[] = { NAT_LINUX, NAT_LINUX, NAT_WIRE,
					     NAT_HOST };

	for (unsigned i = 0; i < 4; i++) {
		struct list *l = &got[1];

		while (l->count < RESULTS) {
			struct result *r = &l->r[l->count];
			ssize_t len = read(fds[i], r->data, sizeof(r->data));

			if (len <= 0) {
				break;
			}
			if (is_chatter(r->data)) {
				continue;
			}
			r->len = (size_t)len;
			r->way = ways[i];
			r->to = i < 2 ? i : 0;
			l->count++;
		}
	}
}

/* A device that has just got its reader sends nothing until a worker of Linux's has
 * noticed: waits until something comes out of each. */
static void wait_ready(void)
{
	static const struct { unsigned by; struct spec s; } probes[] = {
		{ 2, { .proto = UDP, .from = PEER, .to = OUTSIDE, .dport = 22 } },
		{ 1, { .proto = UDP, .from = LINUX_1, .to = PEER, .hops = 1 } },
		{ 0, { .proto = UDP, .from = LINUX_0, .to = PEER } },
		{ 2, { .proto = UDP, .from = PEER, .to = OUTSIDE, .dport = 23 } },
	};
	static struct packet packet;
	unsigned seen = 0;

	for (unsigned i = 0; i < 1000 && seen != 15; i++) {
		for (unsigned j = 0; j < 4; j++) {
			make(&packet, &probes[j].s);
			if (write(fds[probes[j].by], packet.p.data,
				  packet.p.len) < 0) {
				die("write");
			}
			while (read(fds[j], packet.p.data, 2000) > 0) {
				seen |= 1u << j;
			}
		}
		pair_flush();
		usleep(10000);
	}
	if (seen != 15) {
		printf("not all devices are ready: %#x\n", seen);
		exit(2);
	}
}

/* ---- Ours ---- */

static void keep(enum nat_way way, unsigned which, const uint8_t *data,
		 size_t len)
{
	struct list *l = &got[0];

	if ((way == NAT_WIRE || way == NAT_LINUX || way == NAT_HOST) &&
	    l->count < RESULTS) {
		struct result *r = &l->r[l->count++];

		r->way = way;
		r->to = way == NAT_LINUX ? which : 0;
		r->len = len;
		memcpy(r->data, data, len);
	}
}

/** Gives a packet to both; it may have another port for each. from: a Linux, or 2,
 * the wire. */
void pair_give(unsigned from, struct packet *ours, struct packet *theirs)
{
	enum nat_way way;

	packets++;
	if (write(fds[from], theirs->p.data, theirs->p.len) < 0) {
		die("write");
	}
	way = from == 2 ? in(ours) : out(from, ours);
	keep(way, to, ours->p.data, ours->p.len);
	for (unsigned i = 0; i < deliveries; i++) {
		keep(delivered[i].way, delivered[i].to, delivered[i].data,
		     delivered[i].len);
	}
	deliveries = 0;
	collect();
}

/* ---- Comparing ---- */

/* A port of the outside address: 1, what the flow was given; 2, it was not; 0,
 * nobody knows yet. */
static void level_port(uint8_t *at, unsigned whose)
{
	uint16_t seen = current != NULL ? current->seen[whose] : 0;

	net_put16(at, seen == 0 ? 0 : net_get16(at) == seen ? 1 : 2);
}

/* Headers of a packet or of what is within an error: sums are left out, of errors
 * that were made here or there also what no rule says. whose: 0, ours. */
static void level(uint8_t *ip, size_t len, unsigned whose, bool host, bool within)
{
	bool six = ip[0] >> 4 == 6;
	size_t at = six ? 40 : 20;
	uint8_t proto = six ? ip[6] : ip[9];
	const uint8_t *from = ip + (six ? 8 : 12), *dest = from + (six ? 16 : 4);
	bool outside[2] = {
		memcmp(from, whos[OUTSIDE][six].b, six ? 16 : 4) == 0,
		memcmp(dest, whos[OUTSIDE][six].b, six ? 16 : 4) == 0,
	};

	if (len < at + 8) {
		return;
	}
	if (!six) {
		ip[10] = ip[11] = 0;
	}
	if (host) {		/* the copy has one hop less, and must not be cut */
		ip[six ? 7 : 8] = 0;
		ip[six ? 1 : 6] = 0;
	}
	if (proto == TCP || proto == UDP) {
		for (unsigned i = 0; i < 2; i++) {
			if (outside[i]) {
				level_port(ip + at + 2 * i, whose);
			}
		}
		if (proto == UDP || len >= at + 18) {
			net_put16(ip + at + (proto == TCP ? 16 : 6), 0);
		}
	} else if (proto == (six ? ICMPV6 : ICMP)) {
		uint8_t type = ip[at];
		bool error = six ? type < 128 : (type == 3 || type == 11);

		ip[at + 2] = ip[at + 3] = 0;
		if (!error && (outside[0] || outside[1])) {
			level_port(ip + at + 4, whose);
		}
		if (error && !within) {
			level(ip + at + 8, len - at - 8, whose, false, true);
			ip[six ? 7 : 8] = 0;
			memset(ip, 0, six ? 4 : 2);
			memset(ip + 4, 0, six ? 0 : 4);
		}
	}
}

/* Puts the fragments of one datagram together, if they are all. */
static void join(struct list *l)
{
	static struct result whole;
	size_t size = 0, have = 0;

	if (l->count < 2) {
		return;
	}
	whole = l->r[0];
	for (unsigned i = 0; i < l->count; i++) {
		uint8_t *ip = l->r[i].data;
		bool six = ip[0] >> 4 == 6;
		size_t head = six ? 48 : 20, at, len = l->r[i].len - head;
		unsigned field = net_get16(ip + (six ? 42 : 6));

		if (six ? ip[6] != 44 : (field & 0x3fff) == 0) {
			return;
		}
		at = six ? field & 0xfff8u : (field & 0x1fffu) * 8;
		if (at + len + head > sizeof(whole.data) ||
		    l->r[i].way != whole.way) {
			return;
		}
		memcpy(whole.data + head + at, ip + head, len);
		have += len;
		if ((six ? field & 1 : field & 0x2000) == 0) {
			size = at + len;
		}
		if (at == 0) {
			memcpy(whole.data, ip, head);
		}
		if (ip[six ? 7 : 8] != l->r[0].data[six ? 7 : 8]) {
			return;
		}
	}
	if (size == 0 || have != size) {
		return;
	}
	if (whole.data[0] >> 4 == 6) {		/* without a fragment header */
		whole.data[6] = whole.data[40];
		memmove(whole.data + 40, whole.data + 48, size);
		net_put16(whole.data + 4, (uint16_t)size);
		whole.len = size + 40;
	} else {
		net_put16(whole.data + 6, net_get16(whole.data + 6) & 0x4000);
		net_put16(whole.data + 2, (uint16_t)(size + 20));
		net_put16(whole.data + 10, 0);
		uint16_t sum = (uint16_t)~net_sum(0, whole.data, 20);

		net_put16(whole.data + 10, sum);
		whole.len = size + 20;
	}
	l->r[0] = whole;
	l->count = 1;
}

static void print(const char *who, const struct list *l)
{
	static const char *const ways[] = { "drop", "wire", "linux", "host", "held" };

	for (unsigned i = 0; i < l->count; i++) {
		printf("  %s: %s %u, %zu bytes:", who, ways[l->r[i].way],
		       l->r[i].to, l->r[i].len);
		for (size_t j = 0; j < l->r[i].len && j < 100; j++) {
			printf("%s%02x", j % 4 == 0 ? " " : "", l->r[i].data[j]);
		}
		printf("\n");
	}
	if (l->count == 0) {
		printf("  %s: nothing\n", who);
	}
}

static bool alike(void)
{
	static struct result pair[2];

	if (got[0].count != got[1].count) {
		return false;
	}
	for (unsigned i = 0; i < got[0].count; i++) {
		for (unsigned j = 0; j < 2; j++) {
			pair[j] = got[j].r[i];
			if (!sums_right(pair[j].data, pair[j].len, false)) {
				printf("a checksum is wrong\n");
				return false;
			}
			level(pair[j].data, pair[j].len, j,
			      pair[j].way == NAT_HOST, false);
		}
		if (pair[0].way != pair[1].way || pair[0].to != pair[1].to ||
		    pair[0].len != pair[1].len ||
		    memcmp(pair[0].data, pair[1].data, pair[0].len) != 0) {
			return false;
		}
	}
	return true;
}

/** The way of what came out of one, or NAT_DROP. */
enum nat_way pair_way(unsigned i)
{
	return got[i].count == 0 ? NAT_DROP : got[i].r[0].way;
}

/** After a step: may is what the two may differ in here, and how. Whether they did
 * not. */
bool pair_compare(const char *what, enum difference may, enum nat_way ours,
		  enum nat_way theirs)
{
	enum difference is = SAME;

	join(&got[0]);
	join(&got[1]);
	if (show) {
		printf("%s\n", what);
		print("ours  ", &got[0]);
		print("theirs", &got[1]);
	}
	if (!alike()) {
		is = may;
		if (may == SAME || pair_way(0) != ours || pair_way(1) != theirs) {
			failures++;
			printf("%s: they differ\n", what);
			print("ours  ", &got[0]);
			print("theirs", &got[1]);
			return false;
		}
	}
	counts[is]++;
	return is == SAME;
}

/** Devices, of the namespace that qemu-test/diff/nat has made. */
void pair_open(void)
{
	static const char *const devices[] = { "lin0", "lin1", "wan0", "host0" };

	for (unsigned i = 0; i < 4; i++) {
		fds[i] = tun(devices[i]);
	}
	wait_ready();
}

/** What was seen. */
void pair_summary(unsigned long sequences)
{
	printf("%lu sequences, %u packets; comparisons:\n", sequences, packets);
	for (unsigned i = 0; i < DIFFERENCES; i++) {
		printf("%8u %s\n", counts[i], names[i]);
	}
	printf("%8u that nobody has argued for\n", failures);
}
