/* SPDX-License-Identifier: MIT */
/*
 * Sockets that listened before anybody was told: the agent is not always the first.
 * The kernel lists them, with their cookies (sock_diag(7)). Of UDP it does not say
 * who chose the port: those of the range that it chooses from itself are left out.
 * A kernel that cannot do it has none for us, without a word.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "ports.h"

/* States as the kernel numbers them [Linux "include/net/tcp_states.h"]; a UDP socket
 * without a peer is closed. */
#define STATE_CLOSE	7u
#define STATE_LISTEN	10u

#define SEEN_MAX	PORTS_MAX

struct seen {
	unsigned count;
	uint64_t cookie[SEEN_MAX];
	bool there[SEEN_MAX];
};

struct walk {
	const struct ports_bpf *bpf;
	struct seen *seen;
	bool again;			/* the second time: who is left */
	unsigned first, last;		/* of the kernel's own choice */
};

static void take(const struct walk *w, const struct inet_diag_msg *m,
		 uint8_t proto)
{
	struct ports_socket s = {
		.port = ntohs(m->id.idiag_sport), .family = m->idiag_family,
		.proto = proto, .ip4 = m->id.idiag_src[0],
	};
	uint64_t cookie = (uint64_t)m->id.idiag_cookie[1] << 32 |
			  m->id.idiag_cookie[0];

	memcpy(s.ip6, m->id.idiag_src, sizeof(s.ip6));
	if (proto == IPPROTO_UDP && s.port >= w->first && s.port <= w->last) {
		return;
	}
	if (!w->again && w->seen->count < SEEN_MAX &&
	    ports_bpf_add(w->bpf, cookie, &s)) {
		w->seen->cookie[w->seen->count++] = cookie;
	}
	for (unsigned i = 0; w->again && i < w->seen->count; i++) {
		w->seen->there[i] |= w->seen->cookie[i] == cookie;
	}
}

/* One answer; true: more follow. */
static bool take_all(const struct walk *w, const char *data, size_t len,
		     uint8_t proto)
{
	const struct nlmsghdr *h = (const void *)data;

	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		    h->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg))) {
			return false;
		}
		take(w, NLMSG_DATA(h), proto);
	}
	return true;
}

static void dump(const struct walk *w, int s, uint8_t family, uint8_t proto)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 want;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.want = { .sdiag_family = family, .sdiag_protocol = proto,
			  .idiag_states = 1u << (proto == IPPROTO_TCP ?
						 STATE_LISTEN : STATE_CLOSE) },
	};
	char data[16384] __attribute__((aligned(8)));
	ssize_t len = send(s, &request, sizeof(request), 0);

	while (len > 0) {
		len = recv(s, data, sizeof(data), 0);
		if (len > 0 && !take_all(w, data, (size_t)len, proto)) {
			break;
		}
	}
}

static void dump_all(const struct walk *w)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };

	for (unsigned i = 0; i < 4; i++) {
		/* One for each: what is left of an answer is nobody's. */
		int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			       NETLINK_SOCK_DIAG);

		if (s >= 0) {
			dump(w, s, families[i & 1], protocols[i >> 1]);
			close(s);
		}
	}
}

/**
 * Adds those that were there before. One that was closed while it was listed would
 * stay: what is not listed a second time is taken out.
 */
void ports_diag_add(const struct ports_bpf *b)
{
	static struct seen seen;
	struct walk w = { .bpf = b, .seen = &seen, .first = 32768,
			  .last = 60999 };
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (f) {
		if (fscanf(f, "%u %u", &w.first, &w.last) != 2) {
			w.first = 32768;
		}
		fclose(f);
	}
	dump_all(&w);
	w.again = true;
	dump_all(&w);
	for (unsigned i = 0; i < seen.count; i++) {
		if (!seen.there[i]) {
			ports_bpf_remove(b, seen.cookie[i]);
		}
	}
}
