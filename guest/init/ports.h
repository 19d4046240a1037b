/* SPDX-License-Identifier: MIT */
/*
 * Ports that programs listen on, for the host (proto/ports.h): who hears of them
 * from the kernel (ports_bpf.c), those that were there before (ports_diag.c), what of
 * them is for the outside (ports_set.c, pure), and the process that tells the host
 * (ports.c).
 */
#ifndef GUEST_PORTS_H
#define GUEST_PORTS_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>

#include "proto/ports.h"

#define PORTS_SOCKETS	1024u	/* that listen, at once */

/* A socket that listens, as the kernel's programs write it down. */
struct ports_socket {
	uint32_t port;		/* 0: not bound yet */
	uint32_t family, proto;
	uint32_t ip4, ip6[4];	/* of its family; network order */
};

/* Sockets by their cookie, and a ring that is readable when they are others. */
struct ports_bpf {
	int map, ring;
	uint64_t *read;		/* how far the ring was read */
	const uint64_t *written;
	const uint8_t *data;	/* twice, one after the other */
};

/* The interface's addresses: packets from the outside come to no others. */
struct ports_own {
	unsigned count4, count6;
	struct in_addr ip4[4];
	struct in6_addr ip6[4];
};

struct ports_set {
	uint32_t count;
	struct ports_listener listener[PORTS_MAX];
};

const char *ports_bpf_start(struct ports_bpf *b);
bool ports_bpf_changed(struct ports_bpf *b);
bool ports_bpf_next(const struct ports_bpf *b, uint64_t *cookie,
		    struct ports_socket *s, bool first);
bool ports_bpf_add(const struct ports_bpf *b, uint64_t cookie,
		   const struct ports_socket *s);
void ports_bpf_remove(const struct ports_bpf *b, uint64_t cookie);

void ports_diag_add(const struct ports_bpf *b);

bool ports_set_add(struct ports_set *set, const struct ports_own *own,
		   const struct ports_socket *s);
bool ports_set_same(const struct ports_set *a, const struct ports_set *b);

#endif
