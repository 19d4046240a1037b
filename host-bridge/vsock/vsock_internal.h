/* SPDX-License-Identifier: MIT */
/*
 * Shared by vsock_conn.c (the calls of vsock.h, connections), vsock_packet.c
 * (what goes over the ring) and vsock_link.c (state table, event loop). Nothing
 * else includes this.
 */
#ifndef ISTHMUS_VSOCK_INTERNAL_H
#define ISTHMUS_VSOCK_INTERNAL_H

#include "abi/channel.h"
#include "proto/channel_device.h"
#include "proto/ring.h"
#include "host-bridge/rt/seed.h"
#include "vsock_endpoint.h"

#define VSOCK_CONNS		256
#define VSOCK_CONNS_PEER	240	/* the rest is for our own connects */
#define VSOCK_CONNS_ANY		176	/* of them for ports that need no right */
#define VSOCK_LISTENERS		16
#define VSOCK_BUCKET_BITS	8
#define VSOCK_QUEUE_SIZE	0x40000u	/* unsent bytes we keep */
#define VSOCK_CONNECT_MS	5000u
#define VSOCK_CLOSE_MS		8000u
#define VSOCK_PORT_FIRST	0x10000u	/* of our own connections */
#define VSOCK_LATE		32u	/* RST packets that wait for company */

/* [virtio 1.2 "Socket Device: Device Operation"] */
#define VSOCK_TYPE_STREAM	1u
enum vsock_op {
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE = 2,
	VSOCK_OP_RST = 3,
	VSOCK_OP_SHUTDOWN = 4,
	VSOCK_OP_RW = 5,
	VSOCK_OP_CREDIT_UPDATE = 6,
	VSOCK_OP_CREDIT_REQUEST = 7,
};

enum conn_state {
	CONN_FREE = 0,
	CONN_CONNECTING,	/* REQUEST owed or sent */
	CONN_OPEN,
	CONN_CLOSING,		/* we shut both ways down, awaiting RST */
	CONN_DEAD,		/* on_close due, then free */
};

/* Control packets a connection has still to send. */
#define OWE_REQUEST	0x01u
#define OWE_RESPONSE	0x02u
#define OWE_CREDIT	0x04u
#define OWE_RST		0x08u
#define OWE_LATE	0x10u	/* the RST has time: see vsock_send_late() */

struct vsock_conn {
	struct vsock *vs;
	const struct vsock_ops *ops;
	void *arg;
	struct vsock_conn *hash_next;	/* or the next free one */
	struct vsock_conn *work_next;
	enum conn_state state;
	uint32_t local_port;
	uint32_t peer_port;
	int error;		/* for on_close */
	uint8_t owed;
	uint8_t shut_wish;	/* what vsock_shutdown() asked for */
	uint8_t shut_sent;
	uint8_t shut_peer;
	bool on_work;
	bool want_room;		/* on_writable is due when there is room */
	uint64_t deadline;	/* ms; 0: none */
	/* Receive credit: counts of bytes, free running. */
	uint32_t buf_alloc;	/* what we offer */
	uint32_t rx_cnt;
	uint32_t held;
	uint32_t busy;		/* being consumed by on_data now */
	uint32_t fwd_sent;	/* last fwd_cnt the peer was told */
	/* Transmit credit. */
	uint32_t tx_cnt;
	uint32_t peer_fwd;
	uint32_t peer_alloc;
	/* Circular, VSOCK_QUEUE_SIZE bytes, allocated when first needed. */
	uint8_t *queue;
	uint32_t queue_head;
	uint32_t queued;
};

struct vsock_listener {
	uint32_t port;
	const struct vsock_ops *ops;
	void *arg;
};

struct vsock {
	struct vsock_channel channel;
	const uint32_t *table;		/* state table */
	uint32_t output_size;
	uint32_t own_state;
	uint32_t generation;
	bool attached;			/* ring usable */
	uint32_t dead;			/* connections with on_close due */
	bool due;			/* work or ring changed since */
	struct ring ring;
	enum ring_status fault;		/* RING_BAD_*: reset the channel */
	bool tx_blocked;		/* waiting for tx_need payload bytes */
	uint32_t tx_need;
	uint32_t listeners;
	uint32_t next_port;
	uint64_t now_ms;
	uint64_t seed;			/* of the table bucket[] */
	struct vsock_status stats;
	uint32_t late_count;
	struct ring_packet late[VSOCK_LATE];
	struct vsock_conn *work_head;	/* connections to service, FIFO */
	struct vsock_conn *work_tail;
	struct vsock_conn *free;
	struct vsock_conn *bucket[1 << VSOCK_BUCKET_BITS];
	struct vsock_listener listener[VSOCK_LISTENERS];
	struct vsock_conn conn[VSOCK_CONNS];
	uint8_t rx_buffer[RING_PAYLOAD_MAX];
};

/* vsock_conn.c */
struct vsock_conn *vsock_conn_find(struct vsock *vs, uint32_t local_port,
				   uint32_t peer_port);
struct vsock_conn *vsock_conn_new(struct vsock *vs, uint32_t local_port,
				  uint32_t peer_port,
				  const struct vsock_ops *ops, void *arg);
void vsock_conn_work(struct vsock_conn *conn);
void vsock_conn_kill(struct vsock_conn *conn, int error, bool send_rst);
void vsock_conn_free(struct vsock_conn *conn);
const struct vsock_listener *vsock_listener_find(const struct vsock *vs,
						 uint32_t port);

/* vsock_packet.c */
uint32_t vsock_conn_credit(const struct vsock_conn *conn);
void vsock_credit_check(struct vsock_conn *conn);
bool vsock_send_data(struct vsock_conn *conn, const void *data, uint32_t len);
bool vsock_send_gathered(struct vsock_conn *conn,
			 const struct vsock_piece *pieces, size_t skip,
			 uint32_t len);
void vsock_input(struct vsock *vs, const struct ring_packet *packet);
bool vsock_service(struct vsock_conn *conn);
void vsock_send_late(struct vsock *vs);

#endif
