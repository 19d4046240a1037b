/* SPDX-License-Identifier: MIT */
/*
 * Names for a Linux: port 53, UDP and TCP, of the host partition's end of its link.
 * What is asked of this machine itself is answered, all else is passed on to the
 * servers of the host partition, whichever they are now [RFC 5625].
 */
#ifndef ISTHMUS_NAMES_H
#define ISTHMUS_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/net/names_message.h"

struct names;
struct stack_link;

/* Queries of all Linuxes. */
struct names_status {
	uint64_t asked, own, passed, answered;
	/* Nobody answered; did not count as an answer; was not passed on. */
	uint64_t failed, refused, dropped;
};

/* Begins to answer on that link. *ends and what it names must stay. Returns 0, ENOMEM
 * or EADDRINUSE. */
int names_new(struct stack_link *link, const struct names_ends *ends,
	      struct names **out);
/* Linux is another one: what was asked before is forgotten. */
void names_linux_down(struct names *names);
void names_get_status(struct names_status *status);

#endif
