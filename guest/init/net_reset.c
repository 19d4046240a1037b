/* SPDX-License-Identifier: MIT */
/*
 * Connections that a template had, in its child: the other end knows nothing of
 * this Linux, and the address that they were made from is not its own. Who waits
 * for something to come would wait for ever; so they are reset.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "diag.h"
#include "net.h"

/* From one of these addresses? A socket of IPv6 may have one of IPv4. */
static bool is_from(const struct net_side sides[2],
		    const struct inet_diag_msg *m)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	const unsigned char *at = (const void *)m->id.idiag_src;
	bool four = m->idiag_family == AF_INET;

	if (!four && memcmp(at, mapped, sizeof(mapped)) == 0) {
		four = true;
		at += sizeof(mapped);
	}
	return sides[!four].there &&
	       memcmp(at, sides[!four].address, sides[!four].size) == 0;
}

static void end_one(void *sides, uint8_t proto, const struct inet_diag_msg *m)
{
	if (is_from(sides, m)) {
		diag_end(m, proto);
	}
}

/**
 * Resets the connections, and frees the UDP sockets with a peer, that were made
 * from these addresses. What listens, listens on; what is between the processes of
 * this Linux stays.
 */
void net_reset(struct net_side sides[2])
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	const uint32_t none = 1u << DIAG_LISTEN | 1u << DIAG_CLOSE |
			      1u << DIAG_TIME_WAIT;

	for (unsigned i = 0; i < 4; i++) {
		diag_each(families[i & 1], protocols[i >> 1], ~none, end_one,
			  sides);
	}
}
