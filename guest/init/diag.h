/* SPDX-License-Identifier: MIT */
/* Sockets as the kernel lists them (sock_diag(7)). */
#ifndef GUEST_DIAG_H
#define GUEST_DIAG_H

#include <stdint.h>
#include <linux/inet_diag.h>

/* States as the kernel numbers them [Linux "include/net/tcp_states.h"]; a UDP socket
 * without a peer is closed. */
#define DIAG_TIME_WAIT	6u
#define DIAG_CLOSE	7u
#define DIAG_LISTEN	10u

void diag_each(uint8_t family, uint8_t proto, uint32_t states,
	       void (*take)(void *arg, uint8_t proto,
			    const struct inet_diag_msg *m), void *arg);
void diag_end(const struct inet_diag_msg *m, uint8_t proto);

#endif
