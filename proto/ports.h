/* SPDX-License-Identifier: MIT */
/*
 * Ports that programs in Linux listen on, as its agent (guest/init/ports*.c) tells
 * them to the host (host-bridge/net/ports*.c), so that the outside finds them there.
 * A vsock connection from a reserved port of Linux's for each report: all that there
 * are now; the host takes the difference, answers with those that it refuses, and
 * Linux ends the connection. All integers little-endian.
 */
#ifndef ISTHMUS_PROTO_PORTS_H
#define ISTHMUS_PROTO_PORTS_H

#include <stdint.h>

#define PORTS_PORT	567u		/* the host's */
#define PORTS_MAX	512u
#define PORTS_TEXT	56u

#define PORTS_IPV4	1u
#define PORTS_IPV6	2u

/* Before both lists. */
struct ports_head {
	uint32_t count;			/* at most PORTS_MAX */
};

/* In ascending order of proto, then port; each once. */
struct ports_listener {
	uint16_t port;			/* not 0 */
	uint8_t proto;			/* IP's: 6 TCP, 17 UDP */
	uint8_t families;		/* PORTS_IPV4, PORTS_IPV6: at least one */
};

/* Which of the families it is not forwarded for, why as Linux numbers errors, and
 * in words that go on after "not forwarded: ". */
struct ports_refusal {
	struct ports_listener listener;
	uint32_t error;
	char text[PORTS_TEXT];		/* ends with 0 */
};

_Static_assert(sizeof(struct ports_listener) == 4, "listener is 4 bytes");
_Static_assert(sizeof(struct ports_refusal) == 64, "refusal is 64 bytes");

#endif
