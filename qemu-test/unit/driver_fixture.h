/* SPDX-License-Identifier: MIT */
/*
 * The channel driver in a fake kernel, and a host partition on the other end of
 * its channel, which the test can make as hostile as it likes: `host_ring` is
 * its end of the ring, `host_table` the state table, and all of it is ordinary
 * memory. The host does nothing by itself but follow the state table.
 */
#ifndef DRIVER_FIXTURE_H
#define DRIVER_FIXTURE_H

#include "guest/driver/isthmus.h"

#define HOST_SECTION	(RING_HEADER_SIZE + RING_DATA_MIN)
#define HOST_CREDIT	0x100000u
#define PORT_FILES	564u
#define PORT_MOUNT	600u		/* of the first mount */
#define P9_HEADER	7u

static u32 *host_table;
static struct ring host_ring;
static bool host_polite = true;		/* follows the state table */
static u8 host_payload[RING_PAYLOAD_MAX];	/* of the last packet taken */
static unsigned int host_doorbells;

static inline u32 *host_word(unsigned int n)
{
	return &host_table[CHANNEL_ST_STATE(n)];
}

/* A step of the host's by the rules of docs/channel.md. False: none to take. */
static inline bool host_step(void)
{
	u32 own = *host_word(0), peer = *host_word(1), next = own;

	if (own == CHANNEL_STATE_DOWN && peer != CHANNEL_STATE_READY) {
		ring_init(&host_ring, fake.region +
			  CHANNEL_OUTPUT_OFFSET(0, HOST_SECTION),
			  fake.region + CHANNEL_OUTPUT_OFFSET(1, HOST_SECTION),
			  HOST_SECTION, host_table[CHANNEL_ST_GENERATION]);
		next = CHANNEL_STATE_INIT;
	} else if (own == CHANNEL_STATE_INIT && peer != CHANNEL_STATE_DOWN) {
		next = CHANNEL_STATE_READY;
	} else if (own == CHANNEL_STATE_READY && peer == CHANNEL_STATE_DOWN) {
		next = CHANNEL_STATE_DOWN;
	}
	*host_word(0) = next;
	return next != own;
}

static inline void host_steps(void)
{
	while (host_polite && host_step()) {
		if (fake.locks == 0) {
			fake_interrupt(0);
		}
	}
}

/* The driver sets its word: the hypervisor's part. */
static inline void host_state(u32 state)
{
	*host_word(1) = state;
	host_steps();
}

static inline void host_doorbell(void)
{
	host_doorbells++;
}

/* Until the channel is up, or does not come up. */
static inline void settle(void)
{
	for (int i = 0; i < 8; i++) {
		fake_run();
		host_steps();
	}
}

static inline void ring_linux(void)
{
	fake_interrupt(1);
}

/* A packet that may have any field. Linux is not told. */
static inline enum ring_status host_put(const struct ring_packet *packet,
					const void *payload)
{
	enum ring_status status = ring_tx_packet(&host_ring, packet, payload);

	ring_tx_commit(&host_ring);
	return status;
}

/* A packet of the file server's to the mount at port. */
static inline void host_send(u32 port, u16 op, const void *payload, u32 len)
{
	struct ring_packet packet = {
		.src_cid = 2, .dst_cid = 3, .src_port = PORT_FILES,
		.dst_port = port, .len = len, .op = op,
		.type = VIRTIO_VSOCK_TYPE_STREAM, .buf_alloc = HOST_CREDIT,
	};

	assert(host_put(&packet, payload) == RING_OK);
}

/* The next packet of the driver's, if there is one. */
static inline bool host_take(struct ring_packet *packet)
{
	if (ring_rx_next(&host_ring, packet) != RING_OK) {
		return false;
	}
	ring_rx_copy(&host_ring, 0, host_payload, packet->len);
	ring_rx_done(&host_ring);
	if (ring_rx_commit(&host_ring)) {
		ring_linux();
	}
	return true;
}

/* Takes all there is; the number of packets of that operation. */
static inline unsigned int host_take_all(u16 op)
{
	struct ring_packet packet;
	unsigned int n = 0;

	while (host_take(&packet)) {
		n += packet.op == op;
	}
	return n;
}

/* The module with a device whose host is there. */
static inline void driver_load(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.region_size = CHANNEL_REGION_SIZE(HOST_SECTION);
	fake.region = aligned_alloc(4096, fake.region_size);
	memset(fake.region, 0, fake.region_size);
	fake.state = host_state;
	fake.doorbell = host_doorbell;
	host_polite = true;
	host_table = (u32 *)fake.region;
	host_table[CHANNEL_ST_MAGIC] = CHANNEL_MAGIC;
	host_table[CHANNEL_ST_VERSION] = CHANNEL_VERSION;
	host_table[CHANNEL_ST_GENERATION] = 1;
	host_table[CHANNEL_ST_OUTPUT_SIZE] = HOST_SECTION;
	assert(fake_module_init() == 0);
}

static inline void driver_unload(void)
{
	fake_module_exit();
	assert(!fake.device && !fake.transport_registered && !fake_p9);
	free(fake.region);
}

static inline void driver_start(void)
{
	driver_load();
	assert(fake_probe() == 0);
	settle();
	assert(*host_word(0) == CHANNEL_STATE_READY &&
	       *host_word(1) == CHANNEL_STATE_READY);
}

/* ---- The 9P client's side ---- */

static u32 accept_port;

/* What the host does while a mount waits for it: accepts. */
static inline void host_accept(void)
{
	struct ring_packet packet;

	settle();
	while (host_take(&packet)) {
		if (packet.op == VIRTIO_VSOCK_OP_REQUEST) {
			accept_port = packet.src_port;
			host_send(accept_port, VIRTIO_VSOCK_OP_RESPONSE, NULL,
				  0);
		}
	}
	ring_linux();
	fake_run();
}

/* Mounts; the client's port goes to accept_port. */
static inline int mount(struct p9_client *client)
{
	int err;

	memset(client, 0, sizeof(*client));
	fake.sleep = host_accept;
	err = fake_p9->create(client, "host", NULL);
	fake.sleep = NULL;
	return err;
}

static inline void unmount(struct p9_client *client)
{
	fake_p9->close(client);
	assert(!client->trans);
	for (unsigned int i = 0; i < FAKE_TAGS; i++) {
		assert(!client->tags[i]);
	}
}

/* A request as the client makes it, with the client's reference and the
 * transport's. NULL, and both given back: it could not be sent. fid is the one it is
 * about. */
static inline struct p9_req_t *request(struct p9_client *client, u8 id,
				       u32 fid, u32 size, u32 room, int *err)
{
	struct p9_req_t *req = calloc(1, sizeof(*req));
	u16 tag = 0;

	while (client->tags[tag]) {
		tag++;
	}
	assert(size >= P9_HEADER + 4);
	INIT_LIST_HEAD(&req->req_list);
	req->tc = (struct p9_fcall){ .size = size, .id = id, .tag = tag,
				     .capacity = size,
				     .sdata = calloc(1, size) };
	put_unaligned_le32(size, req->tc.sdata);
	req->tc.sdata[4] = id;
	put_unaligned_le16(tag, req->tc.sdata + 5);
	put_unaligned_le32(fid, req->tc.sdata + P9_HEADER);
	req->rc = (struct p9_fcall){ .capacity = room,
				     .sdata = malloc(room) };
	req->refcount = 2;
	client->tags[tag] = req;
	*err = fake_p9->request(client, req);
	if (*err) {
		assert(!p9_req_put(client, req) && p9_req_put(client, req));
		req = NULL;
	}
	return req;
}

/* The whole of a reply, in the host's hands. */
static inline u32 reply_make(u8 *out, u16 tag, u32 size)
{
	memset(out, (int)tag + 1, size);
	put_unaligned_le32(size, out);
	out[4] = 1;
	put_unaligned_le16(tag, out + 5);
	return size;
}

#endif
