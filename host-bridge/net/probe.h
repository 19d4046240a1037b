/* SPDX-License-Identifier: MIT */
/*
 * A TCP segment that an open connection's peer answers, whatever it expects: below
 * the numbers of its window and without data, as keep-alives are. [RFC 9293 "TCP
 * Keep-Alives", "SEGMENT ARRIVES: Other States"]
 */
#ifndef ISTHMUS_PROBE_H
#define ISTHMUS_PROBE_H

#include <stddef.h>
#include <stdint.h>

#define PROBE_MAX	72u		/* bytes */

struct nat_addr;
struct nat_line;

/* Makes one to the peer of a session of TCP's, as from the outside address; returns
 * its length. */
size_t probe_make(uint8_t ip[PROBE_MAX], const struct nat_line *session,
		  const struct nat_addr *outside);

#endif
