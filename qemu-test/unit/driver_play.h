/* SPDX-License-Identifier: MIT */
/*
 * A script of bytes played against the Linux driver: what the host writes, says
 * and does, and what Linux does meanwhile. What must hold: the rules that the
 * fake kernel asserts, no bad access, every request answered once; and at the
 * end, with a host that behaves again, a mount works.
 */
#ifndef DRIVER_PLAY_H
#define DRIVER_PLAY_H

#include "driver_fixture.h"

#define PLAY_CLIENTS	3u
#define PLAY_SLEEPS	6u	/* then the process is killed */

static struct {
	const u8 *at, *end;
	unsigned int sleeps;
	struct p9_client clients[PLAY_CLIENTS];
} play;

static inline u32 play_take(unsigned int bytes)
{
	u32 value = 0;

	for (unsigned int i = 0; i < bytes && play.at < play.end; i++) {
		value |= (u32)*play.at++ << (8 * i);
	}
	return value;
}

/* Bytes of a 9P stream, more or less: size and tag are worth looking at. */
static inline u32 play_stream(u8 *out)
{
	u32 bits = play_take(1), at = 0;

	for (u32 i = 0; i <= (bits & 7); i++) {
		u32 size = bits & 0x80 ? play_take(4) : play_take(1) + 4;
		u32 n = min(size, RING_PAYLOAD_MAX / 8);

		memset(out + at, 0, n + P9_HEADER);
		put_unaligned_le32(size, out + at);
		out[at + 4] = (u8)bits;
		put_unaligned_le16((u16)(play_take(1) & 7), out + at + 5);
		at += n;
	}
	/* Part of it, so that packets and replies do not end together. */
	return bits & 0x40 ? min(at, play_take(1)) : at;
}

static inline void play_packet(void)
{
	static const u32 src[] = { PORT_FILES, PORT_FILES, PORT_FILES, 7 };
	static const u16 ops[] = {
		VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_RW,
		VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_RESPONSE,
		VIRTIO_VSOCK_OP_CREDIT_UPDATE, VIRTIO_VSOCK_OP_RST,
		VIRTIO_VSOCK_OP_SHUTDOWN,
	};
	static u8 stream[RING_PAYLOAD_MAX + 64];
	u32 bits = play_take(2);
	struct ring_packet packet = {
		.src_cid = 2, .dst_cid = 3, .src_port = src[bits & 3],
		.dst_port = PORT_MOUNT + (bits >> 2 & 3),
		.type = VIRTIO_VSOCK_TYPE_STREAM, .op = ops[bits >> 4 & 7],
		.buf_alloc = HOST_CREDIT,
	};

	if (packet.op == VIRTIO_VSOCK_OP_RW || bits & 0x80) {
		packet.len = play_stream(stream);
	}
	if (bits & 0x100) {
		packet.fwd_cnt = play_take(4);
	}
	if (bits & 0x200) {
		packet.buf_alloc = play_take(2);
	}
	if ((bits & 0xc00) == 0xc00) {
		packet.type = (u16)play_take(1);
		packet.op = (u16)play_take(1);
		packet.dst_port = play_take(2);
	}
	if ((bits & 0xf000) == 0xf000) {
		/* It says more than there is. */
		if (ring_tx_begin(&host_ring, 0) == RING_OK) {
			packet.len = play_take(4);
			ring_tx_put(&host_ring, 0, &packet,
				    RING_PACKET_HEADER);
			ring_tx_end(&host_ring, 0);
			ring_tx_commit(&host_ring);
		}
		return;
	}
	host_put(&packet, stream);
}

/* Words of the host's that the driver reads, at will. */
static inline void play_poke(void)
{
	static const u16 words[] = {
		offsetof(struct ring_header, magic) / 4,
		offsetof(struct ring_header, generation) / 4,
		offsetof(struct ring_header, prod) / 4,
		offsetof(struct ring_header, cons) / 4,
		offsetof(struct ring_header, prod_event) / 4,
		offsetof(struct ring_header, cons_event) / 4,
	};
	u32 bits = play_take(1);
	u32 *word = (u32 *)host_ring.own + words[bits % 6];

	switch (bits >> 4) {
	case 0:
		*word = play_take(4);
		break;
	case 1:
		host_table[CHANNEL_ST_GENERATION]++;
		fake_interrupt(0);
		break;
	case 2:
		*host_word(0) = bits & 3;
		fake_interrupt(0);
		break;
	case 3:
		host_ring.tx_data[play_take(3) % host_ring.size] ^= bits | 1;
		break;
	default:
		*word += (bits & 15) * 8;
	}
}

static inline void play_host(void)
{
	struct ring_packet packet;
	u32 op = play_take(1);

	switch (op & 15) {
	default:
		play_packet();
		break;
	case 8:
		play_poke();
		break;
	case 9:
		for (u32 i = 0; i <= op >> 4 && host_take(&packet); i++) {
		}
		break;
	case 10:
		fake_run();
		break;
	case 11:
		host_polite = op & 0x80;
		host_steps();
		break;
	case 12:
	case 13:
		break;
	}
	if (op & 0x10) {
		ring_linux();
	}
}

/* Somebody in Linux waits: the host goes on, but not for ever. */
static inline void play_sleep(void)
{
	fake.killed = play.sleeps++ >= PLAY_SLEEPS;
	play_host();
	fake_run();
}

/* A client takes its answers; all: also gives up what was not answered. */
static inline void play_collect(struct p9_client *client, bool all)
{
	for (unsigned int i = 0; i < FAKE_TAGS; i++) {
		struct p9_req_t *req = client->tags[i];

		if (req && all && req->status == REQ_STATUS_SENT) {
			fake_p9->cancelled(client, req);
		}
		if (req && (all || req->status != REQ_STATUS_SENT)) {
			assert(p9_req_put(client, req) == 1);
		}
	}
}

static inline void play_request(struct p9_client *client)
{
	static const u8 ids[] = {
		P9_TREAD, P9_TCLUNK, P9_TXATTRCREATE, P9_TREMOVE,
	};
	u32 bits = play_take(2);
	u32 size = bits & 0x80 ? play_take(3) % (RING_PAYLOAD_MAX * 2) : 0;
	int err;

	play_collect(client, false);
	if (client->trans && !client->tags[7]) {
		request(client, ids[bits & 3], bits >> 2 & 7,
			size + P9_HEADER + 4, (bits >> 8) + 4, &err);
	}
}

static inline void play_unmount(struct p9_client *client)
{
	if (client->trans) {
		play_collect(client, true);
		unmount(client);
	}
}

static inline void play_socket(void)
{
	u32 n = play.at < play.end ? play_take(2) : 50000;
	struct sk_buff *skb = fake_skb(n);
	struct ring_packet header = { .len = n, .op = VIRTIO_VSOCK_OP_RW };

	memcpy(skb->head, &header, sizeof(header));
	memset(skb_put(skb, n), 1, n);
	skb->data_len = n & 1 ? n : 0;
	skb->reply = n & 2;
	if (fake_transport) {
		fake_transport->send_pkt(skb);
	} else {
		kfree_skb(skb);
	}
}

static inline void play_linux(void)
{
	u32 op = play_take(1);
	struct p9_client *client = &play.clients[op % PLAY_CLIENTS];

	play.sleeps = 0;
	fake.sleep = play_sleep;
	switch (op >> 4) {
	case 0:
		if (!client->trans && op & 8) {
			mount(client);
		} else if (!client->trans) {
			memset(client, 0, sizeof(*client));
			fake_p9->create(client, "host", NULL);
		}
		break;
	case 1:
		play_unmount(client);
		break;
	case 2:
		/* One, or as many as the ring takes. */
		do {
			play_socket();
		} while (op & 8 && isthmus_channel.up &&
			 skb_queue_empty(&isthmus_channel.tx_queue));
		break;
	case 3:
		fake_run_work();
		break;
	case 4:
		fake.no_memory = op & 1;
		break;
	case 5:
		if (fake.device) {
			fake_remove();
		} else {
			fake_probe();
		}
		break;
	default:
		play_request(client);
	}
	fake.killed = false;
	fake.sleep = NULL;
}

/* The last word: everybody behaves, and it works. */
static inline void play_end(void)
{
	struct p9_req_t *req;
	u8 reply[11];
	int err;

	fake.no_memory = false;
	host_polite = true;
	if (!fake.device) {
		assert(fake_probe() == 0);
	}
	*host_word(0) = CHANNEL_STATE_DOWN;
	host_table[CHANNEL_ST_GENERATION]++;
	fake_interrupt(0);
	settle();
	for (unsigned int i = 0; i < PLAY_CLIENTS; i++) {
		play_collect(&play.clients[i], false);
		play_unmount(&play.clients[i]);
	}
	assert(mount(&play.clients[0]) == 0);
	req = request(&play.clients[0], P9_TREAD, 1, 11, 11, &err);
	assert(err == 0 && req->status == REQ_STATUS_SENT);
	host_send(accept_port, VIRTIO_VSOCK_OP_RW, reply,
		  reply_make(reply, req->tc.tag, 11));
	ring_linux();
	assert(req->status == REQ_STATUS_RCVD);
	play_unmount(&play.clients[0]);
	driver_unload();
}

/** Plays a whole script, from the module's loading to its end. */
static inline void driver_play(const u8 *script, size_t size)
{
	play.at = script;
	play.end = script + size;
	memset(play.clients, 0, sizeof(play.clients));
	driver_start();
	while (play.at < play.end) {
		u32 how = play_take(1);

		if (how & 1) {
			play_linux();
		} else {
			play_host();
		}
		if (how & 6) {
			fake_run();
		}
	}
	play_end();
}

#endif
