/* SPDX-License-Identifier: MIT */
/*
 * Neighbours of the wire that have been asked for their addresses, because somebody
 * sends to them. lwIP has one table of neighbours, and one room for packets that wait
 * until a neighbour answers. So of each sender only so many neighbours may be in it
 * that have not answered, with so much that waits: who sends to addresses that nobody
 * has takes no place of others.
 */
#ifndef ISTHMUS_NEIGHBOURS_H
#define ISTHMUS_NEIGHBOURS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEIGHBOURS_SENDERS	18u
/* Of each sender, at a time. */
#define NEIGHBOURS_ASKED	6u
/* A datagram of 64 KiB, 45 frames, waits whole. */
#define NEIGHBOURS_PACKETS	64u
#define NEIGHBOURS_BYTES	(128u << 10)

/* Whether a packet of that length may be given to lwIP, which does not know the
 * neighbour that it is for; it counts as waiting then. An IPv4 address is mapped
 * [RFC 4291 2.5.5.2]. known: whether lwIP knows it now. */
bool neighbours_wait(unsigned sender, const uint8_t address[16], size_t len,
		     uint64_t now_ms,
		     bool (*known)(const uint8_t address[16]));

#endif
