/* SPDX-License-Identifier: MIT */
/* Names and echo requests for who sits at the console: see resolve.c, ping.c. */
#ifndef ISTHMUS_RESOLVE_H
#define ISTHMUS_RESOLVE_H

#include <stdbool.h>

#include "lwip/ip_addr.h"

enum resolve_state { RESOLVE_WAITS, RESOLVE_FOUND, RESOLVE_NONE };

/* Begins to look for the address of a name, or of what is one; with six only for
 * one of IPv6. What was looked for before is forgotten. */
void resolve_start(const char *name, bool six);
/* What has become of it, and *address, if there is one. */
enum resolve_state resolve_look(ip_addr_t *address);

#endif
