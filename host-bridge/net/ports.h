/* SPDX-License-Identifier: MIT */
/*
 * Ports that lead to a Linux: those that its manifest says, and those that programs
 * in it listen on, which its agent reports (proto/ports.h). The NAT does the rest;
 * here is who has which, and who was refused. Linux is not believed: what it says
 * can only name ports, which the manifest may deny and others may have.
 */
#ifndef ISTHMUS_PORTS_H
#define ISTHMUS_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/ports.h"

#define PORTS_RULES	32u		/* of each kind */

struct nat;
struct ports;
struct vsock;

/* A fixed one: from outside to inside. Or what is not forwarded by itself: all of
 * these; proto 0: of TCP and of UDP. */
struct ports_rule {
	uint8_t proto;
	uint16_t first, last;		/* of the outside; a fixed one has one */
	uint16_t inside;
};

struct ports_rules {
	unsigned fixed_count, denied_count;
	struct ports_rule fixed[PORTS_RULES], denied[PORTS_RULES];
};

/* One line for `net ports`. */
struct ports_line {
	const char *name;		/* the Linux' */
	uint8_t proto;
	uint16_t outside, inside;
	bool fixed;
	uint8_t families;		/* that are forwarded */
	const char *refused;		/* why others are not; "": all are */
};

/* ports_rules.c. Words of the manifest (docs/manifest.md), or NULL. False: *wrong has
 * the first of each that is none, or is one too many, or NULL. What is before it is
 * published; with one in hide all is hidden. */
bool ports_rules_read(struct ports_rules *rules, const char *publish,
		      const char *hide, const char *wrong[2]);
const struct ports_rule *ports_rules_denied(const struct ports_rules *rules,
					    uint8_t proto, uint16_t port);

/* For the Linux that the NAT calls which, whose agent is on the other end of vs.
 * *rules and name must stay. Returns 0, EADDRINUSE or ENOMEM. */
int ports_new(struct vsock *vs, struct nat *nat, unsigned which,
	      const char *name, const struct ports_rules *rules,
	      struct ports **out);
/* After nat_linux_up() and nat_linux_down(). */
void ports_linux_up(struct ports *p);
void ports_linux_down(struct ports *p);
/* Each second or so: what was refused is tried again. */
void ports_tick(void);
void ports_each(void (*line)(void *arg, const struct ports_line *line),
		void *arg);

#endif
