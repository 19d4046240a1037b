/* SPDX-License-Identifier: MIT */
/* A channel's end by hand: the payload's own, for what no driver would do. */
#ifndef GUEST_PAYLOAD_LINK_H
#define GUEST_PAYLOAD_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/ring.h"

#define OP_REQUEST	1u
#define OP_RESPONSE	2u
#define OP_RST		3u
#define OP_SHUTDOWN	4u
#define OP_RW		5u
#define OP_CREDIT_UPDATE	6u
#define OP_CREDIT_REQUEST	7u
#define TYPE_STREAM	1u
#define PORT_ECHO	7u
#define PORT_DISCARD	9u
#define PORT_CHARGEN	19u

/* One connection of the enemy's. */
struct stream {
	uint32_t local, remote;
	uint32_t sent, got;		/* bytes */
	uint32_t credit, consumed;	/* the other end's words */
	bool ended;			/* by RST or SHUTDOWN */
};

/* link.c */
extern struct ring link_ring;
uint64_t link_ticks(uint32_t ms);
bool link_up(void);
void link_down(void);
bool link_is_up(void);
bool link_goes_down(void);
void link_bell(void);
bool link_send(const struct stream *s, uint32_t op, const void *data,
	       uint32_t len);
bool link_next(struct ring_packet *packet, uint8_t *data, uint32_t ms);
bool stream_open(struct stream *s, uint32_t local, uint32_t remote);
bool stream_put(struct stream *s, const void *data, uint32_t len);
bool stream_get(struct stream *s, void *data, uint32_t len);
void stream_close(struct stream *s);
bool stream_echoes(uint32_t local, uint32_t bytes);

#endif
