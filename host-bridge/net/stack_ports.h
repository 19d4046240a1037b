/* SPDX-License-Identifier: MIT */
/* The stack's connections: which ports they have, and what they could not send. */
#ifndef ISTHMUS_STACK_PORTS_H
#define ISTHMUS_STACK_PORTS_H

#include <stdbool.h>
#include <stdint.h>

/* Of the wire's addresses; TCP or UDP, by its number in IP. */
bool stack_ports_used(uint8_t proto, uint16_t port);
/* There was no room on a link, and there is now. */
void stack_ports_go_on(void);

#endif
