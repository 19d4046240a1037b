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

#include "diag.h"
#include "ports.h"

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

static void take(void *arg, uint8_t proto, const struct inet_diag_msg *m)
{
	const struct walk *w = arg;
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

static void dump_all(struct walk *w)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };

	for (unsigned i = 0; i < 2; i++) {
		diag_each(families[i], IPPROTO_TCP, 1u << DIAG_LISTEN, take, w);
		diag_each(families[i], IPPROTO_UDP, 1u << DIAG_CLOSE, take, w);
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
