// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: the host's vsock endpoint with its services, and a Linux
 * partition whose packets, header words and state changes come from the input.
 * What must hold: no bad access, the connection table and what we publish
 * stay within bounds, and after everything the channel comes up and serves.
 */
#include <stdlib.h>

#include "vsock_peer.h"

static uint64_t idle(void)
{
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	const uint8_t *end;
};

static uint32_t take(struct input *in, unsigned bytes)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes && in->at < in->end; i++) {
		value |= (uint32_t)*in->at++ << (8 * i);
	}
	return value;
}

static void packet(struct peer *p, struct input *in)
{
	static const uint32_t ports[] = { 7, 9, 19, 100, 0x10000, 0x10001 };
	uint32_t bits = take(in, 2);
	struct ring_packet packet = {
		.src_port = bits & 3,
		.dst_port = ports[(bits >> 2) % 6],
		.op = (bits >> 5) & 15,
		.flags = (bits >> 9) & 3,
		.type = (bits >> 11) & 3,
		.buf_alloc = bits & 0x2000 ? take(in, 4) : PEER_CREDIT,
		.fwd_cnt = bits & 0x4000 ? take(in, 4) : 0,
		.len = bits & 0x8000 ? take(in, 2) : 0,
	};

	peer_put(p, &packet, p->payload);
}

static void step(struct peer *p, struct input *in)
{
	static const struct vsock_ops none;
	uint32_t op = take(in, 1);
	struct ring_packet taken;
	struct vsock_conn *conn;

	switch (op & 15) {
	default:
		packet(p, in);
		break;
	case 8:
		((uint32_t *)p->ring.own)[take(in, 1) % 96] = take(in, 4);
		break;
	case 9:
		p->table[CHANNEL_ST_STATE(1)] = op >> 4;
		break;
	case 10:
		peer_restart(p);
		break;
	case 11:
		vsock_tick(p->vs, take(in, 2));
		break;
	case 12:
		conn = vsock_connect(p->vs, op >> 4, &none, NULL);
		if (conn != NULL) {
			vsock_send(conn, p->payload, take(in, 2));
		}
		break;
	case 13:
		while (peer_take(p, &taken) == RING_OK) {
		}
		break;
	case 14:
	case 15:
		peer_run(p, 3);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct peer peer;
	struct input in = { data, data + size };
	struct vsock_status status;
	struct ring_packet packet;

	peer_init(&peer);
	services_init(peer.vs, idle);
	while (in.at < in.end) {
		step(&peer, &in);
		vsock_get_status(peer.vs, &status);
		if (status.connections > 256) {
			abort();
		}
	}
	peer_restart(&peer);
	peer_restart(&peer);
	peer_send(&peer, 1, VSOCK_PORT_ECHO, OP_REQUEST, 0, NULL, 0);
	peer_run(&peer, 10);
	if (peer_take(&peer, &packet) != RING_OK || packet.op != OP_RESPONSE) {
		abort();
	}
	peer_fini(&peer);
	return 0;
}
