/* SPDX-License-Identifier: MIT */
/*
 * A Linux partition for tests: the other end of a channel region in ordinary
 * memory, and the state table that the hypervisor keeps. Packets go in and
 * out one by one, as raw as the test wants them.
 */
#ifndef VSOCK_PEER_H
#define VSOCK_PEER_H

#include <stdlib.h>
#include <string.h>

#include "abi/channel.h"
#include "proto/channel_device.h"
#include "proto/ring.h"
#include "host-bridge/vsock/vsock_endpoint.h"

#define PEER_SECTION	(RING_HEADER_SIZE + RING_DATA_MIN)
#define PEER_CREDIT	0x40000u
#ifndef PEER_SLICE
#define PEER_SLICE	0u	/* vsock_channel.slice */
#endif

enum {
	OP_REQUEST = 1, OP_RESPONSE, OP_RST, OP_SHUTDOWN, OP_RW,
	OP_CREDIT_UPDATE, OP_CREDIT_REQUEST,
};

struct peer {
	uint32_t *table;
	uint8_t *region;
	struct ring ring;
	struct vsock *vs;
	unsigned doorbells;
	uint8_t payload[RING_PAYLOAD_MAX];	/* of the last packet taken */
};

static inline void peer_doorbell(void *ctx)
{
	((struct peer *)ctx)->doorbells++;
}

static inline void peer_host_state(void *ctx, uint32_t state)
{
	((struct peer *)ctx)->table[CHANNEL_ST_STATE(0)] = state;
}

/* Own section fresh, own state word READY. */
static inline void peer_up(struct peer *p)
{
	ring_init(&p->ring, p->region + CHANNEL_OUTPUT_OFFSET(1, PEER_SECTION),
		  p->region + CHANNEL_OUTPUT_OFFSET(0, PEER_SECTION),
		  PEER_SECTION, p->table[CHANNEL_ST_GENERATION]);
	p->table[CHANNEL_ST_STATE(1)] = CHANNEL_STATE_READY;
}

/* Runs the endpoint until it wants to block, at most `most` times, and once
 * more, as its tick would: some packets wait for that. */
static inline unsigned peer_run(struct peer *p, unsigned most)
{
	unsigned n = 0;

	while (n < most && vsock_event(p->vs, UINT64_MAX)) {
		n++;
	}
	(void)vsock_event(p->vs, UINT64_MAX);
	return n;
}

/* Down, then up again as Linux' driver does it. */
static inline void peer_restart(struct peer *p)
{
	p->table[CHANNEL_ST_STATE(1)] = CHANNEL_STATE_DOWN;
	peer_run(p, 10);
	p->table[CHANNEL_ST_STATE(1)] = CHANNEL_STATE_INIT;
	peer_run(p, 10);
	peer_up(p);
	peer_run(p, 10);
}

static inline void peer_init(struct peer *p)
{
	struct vsock_channel channel = {
		.peer = 0, .doorbell = peer_doorbell,
		.set_state = peer_host_state, .ctx = p, .slice = PEER_SLICE,
	};

	memset(p, 0, sizeof(*p));
	p->region = aligned_alloc(4096, CHANNEL_REGION_SIZE(PEER_SECTION));
	memset(p->region, 0, CHANNEL_REGION_SIZE(PEER_SECTION));
	p->table = (uint32_t *)p->region;
	p->table[CHANNEL_ST_MAGIC] = CHANNEL_MAGIC;
	p->table[CHANNEL_ST_VERSION] = CHANNEL_VERSION;
	p->table[CHANNEL_ST_GENERATION] = 1;
	p->table[CHANNEL_ST_OUTPUT_SIZE] = PEER_SECTION;
	channel.region = p->region;
	p->vs = vsock_init(&channel);
	peer_restart(p);
}

static inline void peer_fini(struct peer *p)
{
	peer_restart(p);	/* closes what is open */
	free(p->vs);
	free(p->region);
}

/* A packet from Linux; the caller may have set any field it likes. */
static inline enum ring_status peer_put(struct peer *p,
					struct ring_packet *packet,
					const void *payload)
{
	enum ring_status status;

	if (packet->src_cid == 0) {
		packet->src_cid = VSOCK_CID_GUEST;
		packet->dst_cid = VSOCK_CID_HOST;
	}
	packet->type = packet->type ? packet->type : 1;
	status = ring_tx_packet(&p->ring, packet, payload);
	ring_tx_commit(&p->ring);
	return status;
}

static inline enum ring_status peer_send(struct peer *p, uint32_t src,
					 uint32_t dst, uint16_t op,
					 uint32_t fwd_cnt,
					 const void *payload, uint32_t len)
{
	struct ring_packet packet = {
		.src_port = src, .dst_port = dst, .op = op, .len = len,
		.buf_alloc = PEER_CREDIT, .fwd_cnt = fwd_cnt,
		.flags = op == OP_SHUTDOWN ? 3 : 0,
	};

	return peer_put(p, &packet, payload);
}

/* The next packet for Linux, if there is one. */
static inline enum ring_status peer_take(struct peer *p,
					 struct ring_packet *packet)
{
	enum ring_status status = ring_rx_next(&p->ring, packet);

	if (status == RING_OK) {
		ring_rx_copy(&p->ring, 0, p->payload, packet->len);
		ring_rx_done(&p->ring);
		ring_rx_commit(&p->ring);
	}
	return status;
}

#endif
