/* SPDX-License-Identifier: MIT */
/* Echo requests: see ping.c. */
#ifndef ISTHMUS_PING_H
#define ISTHMUS_PING_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/ip_addr.h"

#define PING_BYTES	56u	/* with each, as others have it */

struct ping_reply {
	uint16_t sequence;
	uint64_t us;		/* since it was sent */
};

/* One at a time, until ping_close(). 0 or an errno value. */
int ping_open(const ip_addr_t *to);
/* The next request. EHOSTUNREACH: there is no way there. */
int ping_send(void);
/* Whether an answer to the last request has come since the last call. */
bool ping_look(struct ping_reply *reply);
void ping_close(void);

#endif
