/* SPDX-License-Identifier: MIT */
/*
 * The network interface on the driver's fixture: a host that has a network, as far
 * as a test wants it.
 */
#ifndef DRIVER_NET_H
#define DRIVER_NET_H

#include "qemu-test/unit/fake/kernel_netdev.h"
#include "driver_fixture.h"
#include "guest/driver/net.h"

#define GO	assert_int_equal
#define HEAD	sizeof(struct net_channel_head)
#define MAX	NET_CHANNEL_PACKET_MAX

/* ---- The host ---- */

static struct {
	bool refuses, open;
	u32 credit, received;
	u32 said_alloc;			/* as Linux last told */
	u32 requests, rsts, updates, messages;
	u32 have;
	u8 stream[4 * (HEAD + MAX)];
	/* Is called for each message. */
	void (*message)(const struct net_channel_head *head, const u8 *packet);
} host;

static inline void host_packet(u16 op, const void *data, u32 len)
{
	struct ring_packet packet = {
		.src_cid = 2, .dst_cid = 3, .src_port = NET_CHANNEL_PORT,
		.dst_port = NET_PORT, .len = len, .op = op,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.buf_alloc = host.credit, .fwd_cnt = host.received,
	};

	assert(host_put(&packet, data) == RING_OK);
}

static inline void host_messages(void)
{
	struct net_channel_head head;

	while (host.have >= HEAD) {
		memcpy(&head, host.stream, HEAD);
		assert_in_range(head.len, HEAD + 1, HEAD + MAX);
		if (host.have < head.len) {
			break;
		}
		host.messages++;
		if (host.message) {
			host.message(&head, host.stream + HEAD);
		}
		host.have -= head.len;
		memmove(host.stream, host.stream + head.len, host.have);
	}
}

/* Serves what has come; and asks for a doorbell when there is nothing more. */
static inline void host_serve(void)
{
	struct ring_packet packet;

	while (host_take(&packet) ||
	       (ring_rx_arm(&host_ring) && host_take(&packet))) {
		if (packet.dst_port != NET_CHANNEL_PORT) {
			continue;
		}
		GO(packet.src_port, NET_PORT);
		host.said_alloc = packet.buf_alloc;
		switch (packet.op) {
		case VIRTIO_VSOCK_OP_REQUEST:
			host.requests++;
			host.open = !host.refuses;
			host.have = host.received = 0;
			host_packet(host.open ? VIRTIO_VSOCK_OP_RESPONSE :
				    VIRTIO_VSOCK_OP_RST, NULL, 0);
			break;
		case VIRTIO_VSOCK_OP_RST:
			host.rsts++;
			host.open = false;
			break;
		case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
			host.updates++;
			break;
		default:
			GO(packet.op, VIRTIO_VSOCK_OP_RW);
			assert(host.have + packet.len <= sizeof(host.stream));
			memcpy(host.stream + host.have, host_payload,
			       packet.len);
			host.have += packet.len;
			host.received += packet.len;
			host_messages();
		}
	}
}

static inline void turn(void)
{
	for (int i = 0; i < 6; i++) {
		host_serve();
		ring_linux();
		fake_softirq();
		fake_run();
		fake_softirq();
	}
}

/* A message of the host's with a packet of that length, in ring packets of so many
 * bytes. */
static inline u8 bytes(u32 i, u32 seed)
{
	return (u8)((i + seed) * 2654435761u >> 12);
}

static inline u32 fill_message(u8 *to, struct net_channel_head head, u32 len)
{
	head.len = HEAD + len;
	memcpy(to, &head, HEAD);
	for (u32 i = 0; i < len; i++) {
		to[HEAD + i] = bytes(i, len);
	}
	to[HEAD] = 0x45;
	return HEAD + len;
}

static inline void host_say(const u8 *data, u32 len, u32 piece)
{
	while (len != 0) {
		u32 n = min(len, piece);

		host_packet(VIRTIO_VSOCK_OP_RW, data, n);
		data += n;
		len -= n;
	}
}

static inline void host_send(u32 len)
{
	static u8 data[HEAD + MAX];

	host_say(data, fill_message(data, (struct net_channel_head){ 0 }, len),
		 RING_PAYLOAD_MAX);
}

#endif
