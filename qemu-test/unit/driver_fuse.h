/* SPDX-License-Identifier: MIT */
/*
 * FUSE mounts on the driver's fixture: the host's file server as far as a test
 * wants it, and requests of Linux'. The server answers HELLO and INIT by
 * itself, everything else is the test's.
 */
#ifndef DRIVER_FUSE_H
#define DRIVER_FUSE_H

#include "driver_fixture.h"
#include "guest/driver/fuse.h"

#define STREAM_MAX	0x60000u
#ifndef ASK_BYTES
#define ASK_BYTES	4096u		/* of a request's body */
#endif

/* The host's server: what it knows of the session, what it has received. */
static struct {
	u32 port;			/* Linux' of the connection */
	u32 credit;			/* that it gives */
	bool silent;			/* answers nothing by itself */
	bool careless;			/* loses what has no space */
	bool forgetful;			/* knows no session */
	bool hasty;			/* tells something at once */
	u64 session, hellos, notified, forgets;
	u64 room;			/* blocks that it says it has */
	u64 received;			/* bytes, for credit */
	u32 connects, rsts;
	u32 have;			/* of the stream */
	u8 stream[STREAM_MAX];
} server;

/* The message that server_next() has taken. */
static struct fuse_in_header got;
static u8 got_body[FUSE_MESSAGE_MAX];

/* A packet to the mount. Linux is not told. */
static inline void server_packet(u16 op, const void *payload, u32 len)
{
	struct ring_packet packet = {
		.src_cid = 2, .dst_cid = 3, .src_port = FUSE_CHANNEL_PORT,
		.dst_port = server.port, .len = len, .op = op,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.buf_alloc = server.credit, .fwd_cnt = (u32)server.received,
	};

	assert(host_put(&packet, payload) == RING_OK || server.careless);
}

/* A message: header and body. */
static inline void server_say(u64 unique, int error, const void *body, u32 len)
{
	u8 message[RING_PAYLOAD_MAX];
	struct fuse_out_header head = {
		.len = (u32)sizeof(head) + len, .error = error,
		.unique = unique,
	};

	memcpy(message, &head, sizeof(head));
	if (len) {
		memcpy(message + sizeof(head), body, len);
	}
	server_packet(VIRTIO_VSOCK_OP_RW, message, head.len);
}

/* The same, and Linux looks. */
static inline void server_reply(u64 unique, int error, const void *body,
				u32 len)
{
	server_say(unique, error, body, len);
	ring_linux();
	fake_run();
}

static inline void server_hello(void)
{
	const struct fuse_channel_hello *hello = (const void *)got_body;
	const struct fuse_channel_node root = { FUSE_ROOT_ID };
	struct fuse_channel_hello_out out = {
		.version = FUSE_CHANNEL_VERSION, .forgets = server.forgets,
		.room = server.room,
		.flags = !server.forgetful && server.session == hello->session
			 ? FUSE_CHANNEL_RESUMED : 0,
	};

	assert(got.unique == FUSE_UNIQUE_NONE && hello->session != 0);
	server.session = hello->session;
	server.notified = hello->notified;
	server.hellos++;
	server_say(FUSE_UNIQUE_NONE, 0, &out, sizeof(out));
	if (server.hasty) {
		server_say(0, FUSE_CHANNEL_NOTIFY_FLUSH, &root, sizeof(root));
	}
}

/* Packets off the ring, to the stream. The next one rings. */
static inline void server_take(void)
{
	struct ring_packet packet;

	while (server.have < STREAM_MAX - RING_PAYLOAD_MAX &&
	       host_take(&packet)) {
		if (packet.dst_port != FUSE_CHANNEL_PORT) {
			continue;
		}
		switch (packet.op) {
		case VIRTIO_VSOCK_OP_REQUEST:
			server.connects++;
			server.port = packet.src_port;
			server.received = 0;
			server.have = 0;
			if (!server.silent) {
				server_packet(VIRTIO_VSOCK_OP_RESPONSE, NULL,
					      0);
			}
			break;
		case VIRTIO_VSOCK_OP_RST:
			server.rsts++;
			break;
		case VIRTIO_VSOCK_OP_RW:
			assert(server.have + packet.len <= STREAM_MAX);
			memcpy(server.stream + server.have, host_payload,
			       packet.len);
			server.have += packet.len;
			server.received += packet.len;
			break;
		default:
			abort();
		}
	}
	ring_rx_arm(&host_ring);
}

/* The next message, whole. False: none. */
static inline bool server_next(void)
{
	server_take();
	if (server.have < sizeof(got)) {
		return false;
	}
	memcpy(&got, server.stream, sizeof(got));
	assert(got.len >= sizeof(got) && got.len <= FUSE_MESSAGE_MAX);
	if (server.have < got.len) {
		return false;
	}
	memcpy(got_body, server.stream + sizeof(got), got.len - sizeof(got));
	server.have -= got.len;
	memmove(server.stream, server.stream + got.len, server.have);
	return true;
}

/* Does what a server does by itself; leaves the first message that is the
 * test's. True: there is one, in got. */
static inline bool server_run(void)
{
	while (server_next()) {
		struct fuse_init_out init = {
			.major = FUSE_KERNEL_VERSION, .minor = 36,
		};

		if (server.silent) {
			return true;
		}
		switch (got.opcode) {
		case FUSE_CHANNEL_HELLO:
			server_hello();
			break;
		case FUSE_INIT:
			server_say(got.unique, 0, &init, sizeof(init));
			break;
		case FUSE_DESTROY:
			server_say(got.unique, 0, NULL, 0);
			server.session = 0;
			break;
		case FUSE_FORGET:
			server.forgets++;
			break;
		case FUSE_BATCH_FORGET:
			server.forgets += *(const u32 *)got_body;
			break;
		default:
			return true;
		}
	}
	return false;
}

/* Everybody's turn while somebody waits. */
static inline void server_turn(void)
{
	settle();
	server_run();
	ring_linux();
	fake_run();
	fake_run_queues();
}

/* Until nothing happens any more. */
static inline void server_settle(void)
{
	for (int i = 0; i < 6; i++) {
		server_turn();
	}
}

static inline int fuse_mounted(struct super_block **sb)
{
	int err;

	fake.sleep = server_turn;
	err = fake_mount(NULL, sb);
	fake.sleep = NULL;
	return err;
}

static inline void fuse_unmounted(struct super_block *sb)
{
	fake.sleep = server_turn;
	fake_umount(sb);
	fake.sleep = NULL;
}

/* ---- A test's mount, and requests in it ---- */

static struct super_block *sb;
static struct fuse_mount *fm;

static inline void load(void)
{
	memset(&server, 0, offsetof(__typeof__(server), stream));
	server.credit = HOST_CREDIT;
	server.room = 1 << 20;
	driver_start();
}

static inline void start(void)
{
	load();
	assert(fuse_mounted(&sb) == 0);
	fm = sb->s_fs_info;
	assert(server.hellos == 1);
}

static inline void stop(void)
{
	host_polite = true;
	server.silent = false;
	fuse_unmounted(sb);
	server_settle();
	driver_unload();
}

/* A request with `in` bytes of body and room for `out`. */
struct ask {
	struct fuse_args_pages ap;
	struct fuse_req *req;
	u8 in[ASK_BYTES], out[256];
	bool ended;
	int error;
};

static inline void ask_end(struct fuse_mount *mount, struct fuse_args *args,
		    int error)
{
	struct ask *ask = container_of(args, struct ask, ap.args);

	(void)mount;
	ask->ended = true;
	ask->error = error;
}

static inline struct ask ask_of(u32 opcode, u32 in, u32 out)
{
	struct ask ask = { .ap.args = {
		.opcode = opcode, .nodeid = 7, .end = ask_end,
		.in_numargs = in != 0, .in_args[0].size = in,
		.out_numargs = out != 0, .out_args[0].size = out,
	} };

	memset(ask.in, (int)opcode, sizeof(ask.in));
	return ask;
}

static inline void ask_send(struct ask *ask)
{
	ask->ap.args.in_args[0].value = ask->in;
	ask->ap.args.out_args[0].value = ask->out;
	ask->req = fake_request(fm, &ask->ap.args, false);
}

static inline bool is_answered(const struct ask *ask)
{
	return test_bit(FR_FINISHED, &ask->req->flags);
}

#endif
