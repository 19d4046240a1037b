// SPDX-License-Identifier: MIT
/*
 * The ring under Frama-C EVA: any sequence of calls that the contracts in
 * proto/ring.h allow, against a peer whose section holds any bytes, different
 * ones at every read (ring_load() reads through a volatile pointer; packet
 * bytes are unknown). EVA must show that no call reads or writes outside the
 * sections and the buffers, for all of them: 0 alarms.
 *
 * The sizes are small ones (see run): EVA tells the positions in the data area
 * apart one by one.
 */
#include "ring.h"

#define SECTION	(RING_HEADER_SIZE + RING_DATA_MIN)

extern volatile uint32_t any;	/* another value at every read */

uint8_t own[SECTION] __attribute__((aligned(4096)));
uint8_t peer[SECTION] __attribute__((aligned(4096)));
uint8_t buffer[RING_PAYLOAD_MAX];

void Frama_C_make_unknown(char *p, unsigned long l);

static void receive(struct ring *r)
{
	struct ring_packet packet;

	if (ring_rx_next(r, &packet) == RING_OK) {
		uint32_t offset = any;
		uint32_t n = any;

		//@ assert packet.len <= RING_PAYLOAD_MAX;
		ring_rx_copy(r, 0, buffer, packet.len);
		/* A part of it, as the FUSE transport takes it. */
		if (offset <= packet.len && n <= RING_PAYLOAD_MAX &&
		    n <= packet.len - offset) {
			//@ split offset;
			ring_rx_copy(r, offset, buffer, n);
			//@ merge offset;
		}
		ring_rx_done(r);
	}
}

static void transmit(struct ring *r)
{
	struct ring_packet packet = { 0 };
	uint32_t len = any;

	if (len <= RING_PAYLOAD_MAX) {
		packet.len = len;
		ring_tx_packet(r, &packet, buffer);
	}
}

static bool begin(struct ring *r)
{
	Frama_C_make_unknown((char *)own, sizeof(own));
	Frama_C_make_unknown((char *)peer, sizeof(peer));
	Frama_C_make_unknown((char *)buffer, sizeof(buffer));
	return ring_init(r, own, peer, SECTION, any) == RING_OK &&
	       ring_attach(r) == RING_OK;
}

/* A payload of any length at any place, taken where it lies, as the file server
 * does. By itself: each length with each place is looked at. */
int place(void)
{
	struct ring r;
	uint32_t len = any;
	const void *at;

	if (!begin(&r) || len > RING_PAYLOAD_MAX) {
		return 1;
	}
	r.cons = any;
	//@ split len;
	at = ring_rx_at(&r, len);
	if (at) {
		memcpy(buffer, at, len);
	}
	return 0;
}

int main(void)
{
	struct ring r;

	if (!begin(&r)) {
		return 1;
	}
	while (any) {
		switch (any) {
		case 0:
			receive(&r);
			break;
		case 1:
			transmit(&r);
			break;
		case 2:
			ring_tx_commit(&r);
			break;
		case 3:
			ring_rx_commit(&r);
			break;
		case 4:
			ring_rx_arm(&r);
			break;
		case 5:
			ring_rx_disarm(&r);
			break;
		default:
			ring_tx_arm(&r, any);
		}
	}
	return 0;
}
