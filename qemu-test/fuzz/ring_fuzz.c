// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: one end of the ring, and a peer whose every word comes from
 * the input. The input is a string of steps: an opcode byte and its operands.
 * What must hold: no access outside the sections and the buffer (ASan), no
 * packet longer than allowed, and our own section never tells of more than
 * we did.
 */
#include <stdlib.h>

#include "proto/ring.h"

#define SECTION	(RING_HEADER_SIZE + RING_DATA_MIN)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t take32(const uint8_t **at, const uint8_t *end)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < 4 && *at < end; i++) {
		value |= (uint32_t)*(*at)++ << (8 * i);
	}
	return value;
}

/* A word of the peer's header: small steps are as good as wild values. */
static void poke(struct ring *r, uint8_t *peer, uint8_t which, uint32_t value)
{
	static const unsigned words[] = { 16, 32, 48, 64 };

	switch (which & 3) {
	case 0:
		value = r->cons + (value & 0x3ff) * RING_ALIGN;
		break;
	case 1:
		value = r->published - (value & 0x3ff) * RING_ALIGN;
		break;
	}
	((uint32_t *)peer)[words[(which >> 2) & 3]] = value;
}

static enum ring_status receive(struct ring *r, uint8_t *buffer)
{
	struct ring_packet packet;
	enum ring_status status = ring_rx_next(r, &packet);

	if (status == RING_OK) {
		if (packet.len > RING_PAYLOAD_MAX) {
			abort();
		}
		ring_rx_copy(r, 0, buffer, packet.len);
		ring_rx_done(r);
	}
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(4096) uint8_t own[SECTION], peer[SECTION];
	static uint8_t buffer[RING_PAYLOAD_MAX];
	const uint8_t *end = data + size;
	struct ring r;

	memset(peer, 0, RING_HEADER_SIZE);
	ring_init(&r, own, peer, SECTION, 1);
	while (data < end) {
		enum ring_status status = RING_OK;
		struct ring_packet packet = { 0 };
		uint8_t op = *data++;

		switch (op & 7) {
		case 0:
		case 1:
			poke(&r, peer, op >> 3, take32(&data, end));
			break;
		case 2:		/* the length field of the next packet */
			((uint32_t *)(peer + RING_HEADER_SIZE))
				[((r.cons + 24) & (r.size - 1)) / 4] =
				take32(&data, end);
			break;
		case 3:
			status = receive(&r, buffer);
			break;
		case 4:
			packet.len = take32(&data, end) % (RING_PAYLOAD_MAX + 1);
			status = ring_tx_packet(&r, &packet, buffer);
			break;
		case 5:
			ring_tx_commit(&r);
			ring_rx_commit(&r);
			break;
		case 6:
			ring_rx_arm(&r);
			status = ring_tx_arm(&r, take32(&data, end) & 0xffff);
			break;
		default:
			ring_rx_disarm(&r);
		}
		if (r.own->prod != r.published ||
		    r.own->cons != r.cons_published ||
		    r.prod - r.peer_cons > r.size) {
			abort();
		}
		if (status > RING_FULL) {
			ring_init(&r, own, peer, SECTION, 1);
		}
	}
	return 0;
}
