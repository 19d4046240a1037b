/* SPDX-License-Identifier: MIT */
/*
 * A script of bytes played against the driver: what the host writes, into the
 * ring's words too, and says, and what Linux does meanwhile, with mounts and
 * sockets. What must hold: the rules that
 * the fake kernel asserts, no bad access, every request ended once; and at the
 * end, with a host that behaves again, a mount works.
 */
#ifndef DRIVER_FUSE_PLAY_H
#define DRIVER_FUSE_PLAY_H

#ifndef ASK_BYTES
#define ASK_BYTES	64u
#endif

#include "driver_fuse.h"

#define PLAY_ASKS	24u
#define PLAY_PAGES	4u

static struct {
	const u8 *at, *end;
	u32 sleeps;
	bool mounted;
	u32 poked;			/* host_inits of the ring that was */
	bool used[PLAY_ASKS], background[PLAY_ASKS];
	struct page *list[PLAY_PAGES];
	struct fuse_page_desc descs[PLAY_PAGES];
	/* What does not begin as zeros: most of it a script never uses. */
	struct ask asks[PLAY_ASKS];
	struct page pages[PLAY_PAGES];
} play;

static inline u32 play_take(unsigned int bytes)
{
	u32 value = 0;

	for (unsigned int i = 0; i < bytes && play.at < play.end; i++) {
		value |= (u32)*play.at++ << (8 * i);
	}
	return value;
}

/* Those that have their answer are taken. */
static inline void play_collect(void)
{
	for (u32 i = 0; i < PLAY_ASKS; i++) {
		struct ask *ask = &play.asks[i];

		if (play.used[i] && play.background[i]) {
			play.used[i] = !ask->ended;
		} else if (play.used[i] && is_answered(ask)) {
			fake_answered(ask->req);
			play.used[i] = false;
		}
	}
}

/* A number that may be somebody's. */
static inline u64 play_unique(u32 bits)
{
	struct ask *ask = &play.asks[bits % PLAY_ASKS];

	play_collect();
	switch (bits >> 5) {
	case 0:
		return 0;
	case 1:
		return FUSE_UNIQUE_NONE;
	case 2:
		return play_take(4);
	default:
		return play.used[bits % PLAY_ASKS] ? ask->req->in.h.unique :
						     2;
	}
}

/* A message of the host's, more or less one. */
static inline u32 play_message(u8 *out)
{
	static const int errors[] = { 0, 0, 0, -2, -512, 3, 4097, 6 };
	u32 bits = play_take(2);
	struct fuse_out_header head = {
		.error = errors[bits & 7],
		.unique = play_unique(bits >> 3 & 0xff),
	};
	u32 len = bits & 0x800 ? play_take(1) : bits & 0x1000 ? play_take(2) :
		  16;

	len = min(len, RING_PAYLOAD_MAX / 2);
	head.len = (u32)sizeof(head) + len;
	if ((bits & 0xe000) == 0xe000) {
		head.len = play_take(4);
	}
	memset(out, 1, sizeof(head) + len);
	memcpy(out, &head, sizeof(head));
	/* Part of it, so that packets and messages do not end together. */
	return (bits & 0xe000) == 0x6000 ? play_take(1) & 31 :
					  (u32)sizeof(head) + len;
}

/* It says more than there is. */
static inline void play_long_packet(struct ring_packet *packet)
{
	if (ring_tx_begin(&host_ring, 0) == RING_OK) {
		packet->len = play_take(4);
		ring_tx_put(&host_ring, 0, packet, RING_PACKET_HEADER);
		ring_tx_end(&host_ring, 0);
		ring_tx_commit(&host_ring);
	}
}

static inline void play_packet(void)
{
	static const u16 ops[] = {
		VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_RW,
		VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_RESPONSE,
		VIRTIO_VSOCK_OP_CREDIT_UPDATE, VIRTIO_VSOCK_OP_RST,
		VIRTIO_VSOCK_OP_SHUTDOWN,
	};
	static u8 bytes[RING_PAYLOAD_MAX];
	u32 bits = play_take(2);
	struct ring_packet packet = {
		.src_cid = 2, .dst_cid = 3, .src_port = FUSE_CHANNEL_PORT,
		.dst_port = server.port, .type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = ops[bits & 7], .buf_alloc = HOST_CREDIT,
		.fwd_cnt = (u32)server.received,
	};

	if (packet.op == VIRTIO_VSOCK_OP_RW || bits & 8) {
		packet.len = play_message(bytes);
	}
	if ((bits & 0x30) == 0x30) {
		packet.fwd_cnt = play_take(4);
	}
	if ((bits & 0x50) == 0x50) {
		packet.buf_alloc = play_take(2);
	}
	if ((bits & 0x700) == 0x700) {
		packet.type = (u16)play_take(1);
		packet.op = (u16)play_take(1);
		packet.dst_port = play_take(2);
	}
	if ((bits & 0xf000) == 0xf000) {
		play_long_packet(&packet);
	} else {
		host_put(&packet, bytes);
	}
}

/* Words of the host's that the driver reads, at will. What it reads itself makes
 * no sense to the host either from here on, until its ring is made anew. */
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

	play.poked = host_inits;
	if (bits >> 4 == 0) {
		*word = play_take(4);
	} else if (bits >> 4 < 4) {
		host_ring.tx_data[play_take(3) % host_ring.size] ^= bits | 1;
	} else {
		*word += (bits & 15) * 8;
	}
}

/* A server that does its part, or takes without a word. */
static inline void play_server(bool silent)
{
	struct ring_packet packet;

	server.silent = silent;
	if (play.poked != host_inits) {
		server_run();
		return;
	}
	while (host_take(&packet)) {
	}
}

static inline void play_host(void)
{
	u32 op = play_take(1);

	switch (op & 15) {
	default:
		play_packet();
		break;
	case 8:
	case 9:
		play_server(op & 0x80);
		break;
	case 10:
		fake_run();
		break;
	case 11:
		host_polite = op & 0x80;
		host_steps();
		break;
	case 12:
		host_table[CHANNEL_ST_GENERATION]++;
		fake_interrupt(0);
		break;
	case 13:
		/* Linux may make its ring anew, and the host does not. */
		play.poked = host_inits;
		*host_word(0) = op >> 6;
		fake_interrupt(0);
		break;
	case 14:
		server.forgets = play_take(1);
		server.forgetful = (op & 0xc0) == 0xc0;
		break;
	case 15:
		play_poke();
		break;
	}
	if (op & 0x10) {
		ring_linux();
	}
}

/* Somebody in Linux waits: the host goes on, but not for ever. */
static inline void play_sleep(void)
{
	play.sleeps++;
	fake.killed = play.sleeps > 6;
	fake.time += HZ;
	play_host();
	fake_run();
	fake_run_queues();
	if (play.sleeps > 10) {
		fake_run_work();
	}
}

static inline void play_request(void)
{
	static const u32 opcodes[] = {
		FUSE_LOOKUP, FUSE_READ, FUSE_WRITE, FUSE_GETATTR,
		FUSE_RELEASE, FUSE_SETLKW, FUSE_MKDIR, FUSE_FLUSH,
	};
	u32 bits = play_take(2), i = 0;
	struct ask *ask;

	play_collect();
	while (i < PLAY_ASKS && play.used[i]) {
		i++;
	}
	if (i == PLAY_ASKS || !play.mounted) {
		return;
	}
	ask = &play.asks[i];
	*ask = ask_of(opcodes[bits & 7], ASK_BYTES, bits >> 3 & 63);
	memset(ask->in, (int)(bits >> 9), sizeof(ask->in));
	ask->ap.pages = play.list;
	ask->ap.descs = play.descs;
	ask->ap.num_pages = bits >> 9 & 3;
	ask->ap.args.out_argvar = ask->ap.args.out_numargs && (bits & 0x800);
	if (opcodes[bits & 7] == FUSE_READ) {
		ask->ap.args.out_numargs = 1;
		ask->ap.args.out_pages = true;
		ask->ap.args.page_zeroing = ask->ap.args.out_argvar = true;
		ask->ap.args.out_args[0].size = ask->ap.num_pages * PAGE_SIZE;
	} else if (opcodes[bits & 7] == FUSE_WRITE) {
		ask->ap.args.in_numargs = 2;
		ask->ap.args.in_pages = true;
		ask->ap.args.in_args[1].size = ask->ap.num_pages * PAGE_SIZE;
	}
	play.used[i] = true;
	play.background[i] = bits & 0x4000;
	ask->ap.args.may_block = bits & 0x8000;
	ask->ap.args.in_args[0].value = ask->in;
	ask->ap.args.out_args[0].value = ask->out;
	ask->req = fake_request(fm, &ask->ap.args, play.background[i]);
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

/* One packet, or as many as the ring takes. */
static inline void play_sockets(bool many)
{
	do {
		play_socket();
	} while (many && isthmus_channel.up &&
		 skb_queue_empty(&isthmus_channel.tx_queue));
}

static inline void play_signal(u32 op)
{
	u32 i = op % PLAY_ASKS;

	play_collect();
	if (play.used[i] && !play.background[i] &&
	    !test_bit(FR_INTERRUPTED, &play.asks[i].req->flags)) {
		fake_signal(play.asks[i].req, op & 0x80);
	}
}

/* Nobody waits any more for anything, as it is where a mount ends. */
static inline void play_unmount(void)
{
	if (!play.mounted) {
		return;
	}
	play.mounted = false;
	for (u32 i = 0; i < PLAY_ASKS; i++) {
		play_collect();
		if (play.used[i] && !play.background[i]) {
			fake_signal(play.asks[i].req, true);
		}
	}
	play_collect();
	fake_umount(sb);
	play_collect();
	for (u32 i = 0; i < PLAY_ASKS; i++) {
		assert(!play.used[i]);
	}
}

static inline void play_linux(void)
{
	u32 op = play_take(1);

	play.sleeps = 0;
	fake.sleep = play_sleep;
	switch (op & 15) {
	case 0:
	case 1:
		if (!play.mounted) {
			play.mounted = fake_mount(NULL, &sb) == 0;
			fm = play.mounted ? sb->s_fs_info : NULL;
		}
		break;
	case 2:
		if (op & 0x40) {
			play_unmount();
		}
		break;
	case 3:
		fake.time += HZ;
		fake_run_work();
		break;
	case 4:
		fake.no_memory = op & 0x10;
		break;
	case 5:
		if (op & 0x80) {
			if (fake.device) {
				fake_remove();
			} else {
				fake_probe();
			}
		}
		break;
	case 6:
		play_signal(play_take(1));
		break;
	case 7:
		if (play.mounted) {
			fake_forget(fm, op, 1);
		}
		break;
	case 8:
	case 9:
		fake_run_queues();
		break;
	case 10:
		play_sockets(op & 0x10);
		break;
	default:
		play_request();
	}
	fake.killed = false;
	fake.sleep = NULL;
}

/* The last word: everybody behaves, and it works. */
static inline void play_end(void)
{
	struct ask ask = ask_of(FUSE_GETATTR, 10, 10);

	fake.no_memory = false;
	host_polite = true;
	server.silent = server.forgetful = server.careless = false;
	if (!fake.device) {
		assert(fake_probe() == 0);
	}
	play.sleeps = 0;
	fake.sleep = play_sleep;
	play_unmount();
	fake.killed = false;
	fake.sleep = NULL;
	*host_word(0) = CHANNEL_STATE_DOWN;
	host_table[CHANNEL_ST_GENERATION]++;
	fake_interrupt(0);
	server_settle();
	server.session = server.received = 0;
	server.credit = HOST_CREDIT;
	assert(fuse_mounted(&sb) == 0);
	fm = sb->s_fs_info;
	ask_send(&ask);
	assert(server_run());
	server_reply(got.unique, 0, ask.out, 10);
	assert(fake_answered(ask.req) == 0);
	fuse_unmounted(sb);
	server_settle();
	driver_unload();
}

/** Plays a whole script, from the module's loading to its end. */
static inline void driver_fuse_play(const u8 *script, size_t size)
{
	memset(&play, 0, offsetof(__typeof__(play), asks));
	play.at = script;
	play.end = script + size;
	host_inits = 0;
	for (u32 i = 0; i < PLAY_PAGES; i++) {
		play.list[i] = &play.pages[i];
		play.descs[i] = (struct fuse_page_desc){ PAGE_SIZE, 0 };
	}
	load();
	server.careless = true;
	if (play_take(1) & 1) {
		play.mounted = fuse_mounted(&sb) == 0;
		fm = play.mounted ? sb->s_fs_info : NULL;
	}
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
