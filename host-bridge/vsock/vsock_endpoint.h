/* SPDX-License-Identifier: MIT */
/*
 * The host's end of a channel: what the event loop needs beside vsock.h.
 *
 * The loop calls vsock_event() after every wake-up, and before it blocks if
 * vsock_due(), for as long as that returns true: it follows the state table, takes
 * packets, makes the callbacks and sends what is queued, in this order. Ring
 * work of vsock_send() and its like becomes visible to the peer there.
 */
#ifndef ISTHMUS_VSOCK_ENDPOINT_H
#define ISTHMUS_VSOCK_ENDPOINT_H

#include "vsock.h"

struct vsock_channel {
	/* The channel region: state table first (abi/channel.h). */
	void *region;
	unsigned peer;		/* own peer number, 0 or 1 */
	/* Rings the other end. */
	void (*doorbell)(void *ctx);
	/* Sets the own word of the state table (CHANNEL_STATE_*). */
	void (*set_state)(void *ctx, uint32_t state);
	/* TSC ticks that a callback may take: vsock_slice_end(). */
	uint64_t slice;
	void *ctx;
};

struct vsock_status {
	bool up;		/* both ends READY, traffic flows */
	uint32_t generation;
	uint32_t resets;	/* times the channel went down */
	const char *reason;	/* of the last one, "none" before it */
	uint32_t connections;
	uint32_t output_size;
	uint32_t tx_used;	/* bytes in our ring */
	uint32_t rx_used;	/* bytes in the peer's ring */
	uint32_t peer_live;	/* the peer's liveness word */
	uint64_t rx_packets;
	uint64_t tx_packets;
	uint64_t rx_bytes;	/* payload */
	uint64_t tx_bytes;
	uint64_t doorbells;	/* rung by us */
	uint64_t dropped;	/* packets with foreign addresses */
};

struct vsock *vsock_init(const struct vsock_channel *channel);
/* vsock_channel.c: one of the machine's channels, driven by the event loop. */
struct vsock *vsock_channel_open(unsigned channel);
/* Begins nothing more after until (TSC), but does something in any case. */
bool vsock_event(struct vsock *vs, uint64_t until);
/* Whether calls of vsock.h have left something for vsock_event(). */
bool vsock_due(const struct vsock *vs);
void vsock_tick(struct vsock *vs, uint64_t now_ms);
void vsock_get_status(const struct vsock *vs, struct vsock_status *status);

/* services.c: echo, discard and chargen. Returns 0 or an errno value. */
int services_init(struct vsock *vs, uint64_t (*idle)(void));

#endif
