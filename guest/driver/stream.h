/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * isthmus driver: a connection that the driver itself has with the host: a stream
 * made of the same packets as any vsock connection, but kept here. Its local port
 * is below 1024, which no unprivileged process can bind, so that the host knows
 * who speaks. Credit as in virtio-vsock; what we give is without bound where what
 * comes goes to memory that its request has set aside.
 *
 * All with ch->lock held.
 */
#ifndef ISTHMUS_STREAM_H
#define ISTHMUS_STREAM_H

#include "isthmus.h"

#define STREAM_ALLOC	0x40000000u	/* no bound */

struct stream {
	u32 port;		/* local; 0: none yet */
	u32 peer;		/* the host's port */
	u32 tx_cnt;		/* bytes ever sent */
	u32 peer_fwd;		/* of these, consumed */
	u32 peer_alloc;		/* the host's buffer */
	u32 rx_cnt;		/* bytes ever received */
	u32 less;		/* so much below STREAM_ALLOC the host may send */
};

/* A message on its way into the ring, packet by packet. */
struct stream_put {
	struct isthmus *ch;
	struct ring_packet packet;
	u32 left;	/* of the message, from this packet on */
	u32 at;		/* bytes of this packet's payload written */
};

bool stream_connect(struct isthmus *ch, struct stream *s);
bool stream_packet(struct isthmus *ch, struct stream *s, u16 op);
bool stream_begin(struct isthmus *ch, struct stream *s, struct stream_put *p,
		  u32 size);
void stream_bytes(struct stream_put *p, const void *data, u32 n);
bool stream_credit(struct stream *s, const struct ring_packet *packet);

#endif
