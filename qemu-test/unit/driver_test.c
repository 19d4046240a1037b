// SPDX-License-Identifier: MIT
/*
 * The Linux driver in a fake kernel: mounts and sockets as they should be, what
 * a hostile host may send, and the device taken away while all is in use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fixture.h"
#include "driver_play.h"

static struct p9_client client;

static void start_mounted(void)
{
	driver_start();
	assert_int_equal(mount(&client), 0);
	assert_int_equal(client.status, Connected);
	assert_int_equal(accept_port, PORT_MOUNT);
}

static void stop(void)
{
	host_polite = true;
	*host_word(0) = CHANNEL_STATE_DOWN;
	unmount(&client);
	driver_unload();
}

/* Sends one request, room bytes for its answer. */
static struct p9_req_t *ask(u8 id, u32 fid, u32 room)
{
	int err;
	struct p9_req_t *req = request(&client, id, fid, 11, room, &err);

	assert_int_equal(err, 0);
	return req;
}

static void drop(struct p9_req_t *req, int status, int error)
{
	assert_int_equal(req->status, status);
	assert_int_equal(req->t_err, error);
	assert_int_equal(p9_req_put(&client, req), 1);
}

/* The host says len bytes of the mount's stream, and rings. */
static void say(const void *data, u32 len)
{
	host_send(accept_port, VIRTIO_VSOCK_OP_RW, data, len);
	ring_linux();
}

static void test_request_and_reply(void **state)
{
	u8 reply[100];
	struct p9_req_t *req;
	struct ring_packet packet;

	(void)state;
	start_mounted();
	req = ask(P9_TREAD, 5, 100);
	assert_true(host_take(&packet));
	assert_int_equal(packet.op, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(packet.src_port, PORT_MOUNT);
	assert_int_equal(packet.len, 11);
	assert_int_equal(host_payload[4], P9_TREAD);
	say(reply, reply_make(reply, req->tc.tag, sizeof(reply)));
	assert_memory_equal(req->rc.sdata, reply, sizeof(reply));
	assert_int_equal(req->rc.size, sizeof(reply));
	drop(req, REQ_STATUS_RCVD, 0);
	stop();
}

/* Each way to cut a stream of two replies into two packets. */
static void test_split_replies(void **state)
{
	u8 stream[50];

	(void)state;
	start_mounted();
	for (u32 cut = 1; cut < sizeof(stream); cut++) {
		struct p9_req_t *a = ask(P9_TREAD, 1, 20);
		struct p9_req_t *b = ask(P9_TREAD, 1, 30);

		reply_make(stream, a->tc.tag, 20);
		reply_make(stream + 20, b->tc.tag, 30);
		say(stream, cut);
		say(stream + cut, sizeof(stream) - cut);
		assert_memory_equal(a->rc.sdata, stream, 20);
		assert_memory_equal(b->rc.sdata, stream + 20, 30);
		drop(a, REQ_STATUS_RCVD, 0);
		drop(b, REQ_STATUS_RCVD, 0);
		host_take_all(0);
	}
	stop();
}

/* Longer than there is room for: that request fails, the stream goes on. A size
 * below a header's is no 9P: the connection ends. */
static void test_reply_sizes(void **state)
{
	u8 reply[100];
	struct p9_req_t *a, *b;

	(void)state;
	start_mounted();
	a = ask(P9_TREAD, 1, 99);
	b = ask(P9_TREAD, 1, 50);
	say(reply, reply_make(reply, a->tc.tag, 100));
	drop(a, REQ_STATUS_ERROR, -EIO);
	say(reply, reply_make(reply, 77, 60));		/* nobody's */
	say(reply, reply_make(reply, 0xffff, 7));
	say(reply, reply_make(reply, b->tc.tag, 50));
	drop(b, REQ_STATUS_RCVD, 0);

	a = ask(P9_TREAD, 1, 99);
	host_take_all(0);
	put_unaligned_le32(6, reply);
	say(reply, 7);
	drop(a, REQ_STATUS_ERROR, -ECONNRESET);
	assert_int_equal(host_take_all(VIRTIO_VSOCK_OP_RST), 1);
	stop();
}

static int later(u8 id, u32 fid)
{
	int err;
	struct p9_req_t *req = request(&client, id, fid, 11, 11, &err);

	assert_int_equal(err, 0);
	if (req->status == REQ_STATUS_RCVD) {
		drop(req, REQ_STATUS_RCVD, 0);
		return -1;
	}
	return req->tc.tag;
}

static void answer(int tag)
{
	u8 reply[11];

	assert_true(tag >= 0);
	say(reply, reply_make(reply, (u16)tag, sizeof(reply)));
	drop(client.tags[tag], REQ_STATUS_RCVD, 0);
}

/* Given up in the middle of its answer, whose rest comes all the same. */
static void test_cancelled(void **state)
{
	u8 reply[100];
	struct p9_req_t *req;

	(void)state;
	start_mounted();
	req = ask(P9_TREAD, 1, sizeof(reply));
	reply_make(reply, req->tc.tag, sizeof(reply));
	say(reply, 50);
	assert_int_equal(fake_p9->cancel(&client, req), 1);
	fake_p9->cancelled(&client, req);
	drop(req, REQ_STATUS_SENT, 0);
	say(reply + 50, 50);
	req = ask(P9_TREAD, 1, sizeof(reply));
	say(reply, sizeof(reply));
	drop(req, REQ_STATUS_RCVD, 0);
	stop();
}

/* Credit for more than was ever sent. */
static void test_credit(void **state)
{
	struct ring_packet packet = {
		.src_cid = 2, .dst_cid = 3, .src_port = PORT_FILES,
		.dst_port = PORT_MOUNT, .type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = VIRTIO_VSOCK_OP_CREDIT_UPDATE,
		.buf_alloc = HOST_CREDIT, .fwd_cnt = 11,
	};
	struct p9_req_t *req;

	(void)state;
	start_mounted();
	req = ask(P9_TREAD, 1, 11);
	host_put(&packet, NULL);
	ring_linux();
	assert_int_equal(req->status, REQ_STATUS_SENT);
	host_take_all(0);
	packet.fwd_cnt++;
	host_put(&packet, NULL);
	ring_linux();
	drop(req, REQ_STATUS_ERROR, -ECONNRESET);
	assert_int_equal(host_take_all(VIRTIO_VSOCK_OP_RST), 1);
	stop();
}

/* A Tclunk is answered at once, unless the host has a result to tell with it:
 * that of setxattr. */
static void test_clunk(void **state)
{
	u8 reply[11];

	(void)state;
	start_mounted();
	assert_int_equal(later(P9_TCLUNK, 8), -1);
	assert_true(fake_run_work());
	assert_int_equal(host_take_all(VIRTIO_VSOCK_OP_RW), 1);
	say(reply, reply_make(reply, 0, 7));	/* dropped */

	answer(later(P9_TXATTRCREATE, 8));
	assert_int_equal(later(P9_TCLUNK, 9), -1);
	say(reply, reply_make(reply, 0, 7));
	answer(later(P9_TCLUNK, 8));
	/* The number means another file now. */
	assert_int_equal(later(P9_TCLUNK, 8), -1);
	say(reply, reply_make(reply, 0, 7));
	answer(later(P9_TXATTRCREATE, 8));
	answer(later(P9_TREMOVE, 8));
	assert_int_equal(later(P9_TCLUNK, 8), -1);
	stop();
}

/* One interrupt takes no more than its budget; the thread does the rest, and
 * further interrupts meanwhile nothing. */
static void test_budget(void **state)
{
	static u8 bulk[RING_PAYLOAD_MAX];
	struct p9_req_t *req;
	u32 before, turn, sent = 0;

	(void)state;
	start_mounted();
	req = ask(P9_TREAD, 1, 11);
	/* Replies that nobody waits for, of the smallest size. */
	while (ring_tx_begin(&host_ring, 7 * 300) == RING_OK) {
		for (u32 i = 0; i < 300; i++) {
			reply_make(bulk + i * 7, 999, 7);
		}
		host_send(accept_port, VIRTIO_VSOCK_OP_RW, bulk, 7 * 300);
		sent += RING_RECORD(7 * 300);
	}
	before = host_ring.own->prod - sent;
	ring_linux();
	turn = ring_load(&host_ring.peer->cons) - before;
	assert_in_range(turn, 1, sent / 4);
	assert_true(fake.thread_due);
	for (int i = 0; i < 100; i++) {
		ring_linux();
	}
	assert_int_equal(ring_load(&host_ring.peer->cons) - before, turn);
	fake_run();
	assert_int_equal(ring_load(&host_ring.peer->cons) - before, sent);
	/* And then interrupts do their work again. */
	say(bulk, reply_make(bulk, req->tc.tag, 11));
	drop(req, REQ_STATUS_RCVD, 0);
	stop();
}

/* A packet of a socket's with n bytes, of them in_pieces in pieces. */
static int send_skb(u16 op, u32 n, bool in_pieces)
{
	struct sk_buff *skb = fake_skb(n);
	struct ring_packet header = {
		.src_cid = 3, .dst_cid = 2, .src_port = 5000, .dst_port = 7,
		.len = n, .op = op, .type = VIRTIO_VSOCK_TYPE_STREAM,
	};

	memcpy(skb->head, &header, sizeof(header));
	skb_put(skb, n);
	for (u32 i = 0; i < n; i++) {
		skb->data[i] = (u8)(i * 7 + i / 251);
	}
	skb->data_len = in_pieces ? n : 0;
	return fake_transport->send_pkt(skb);
}

static void test_socket_packets(void **state)
{
	struct ring_packet packet;

	(void)state;
	start_mounted();
	for (int in_pieces = 0; in_pieces < 2; in_pieces++) {
		assert_int_equal(send_skb(VIRTIO_VSOCK_OP_RW, 65536,
					  in_pieces), 65536);
		assert_true(host_take(&packet));
		assert_int_equal(packet.len, 65536);
		for (u32 i = 0; i < 65536; i++) {
			assert_int_equal(host_payload[i],
					 (u8)(i * 7 + i / 251));
		}
		assert_false(host_take(&packet));
	}
	assert_int_equal(fake.sent, 2);
	stop();
}

/* A ring that the host does not empty, with more that waits for space or
 * not. */
static void fill_ring(bool wait)
{
	while (wait && skb_queue_empty(&isthmus_channel.tx_queue)) {
		send_skb(VIRTIO_VSOCK_OP_RW, 60000, false);
	}
	while (ring_tx_begin(&isthmus_channel.ring, 0) == RING_OK) {
		struct ring_packet packet = { .op = VIRTIO_VSOCK_OP_RW };

		assert_int_equal(ring_tx_packet(&isthmus_channel.ring,
						&packet, NULL), RING_OK);
	}
}

static unsigned int rsts;

/* The host gets its breath back, while something waits for it. */
static void host_drain(void)
{
	rsts += host_take_all(VIRTIO_VSOCK_OP_RST);
	fake_run();
	rsts += host_take_all(VIRTIO_VSOCK_OP_RST);
	fake.sleep = host_accept;
}

/* The host is told of an unmount, whatever the ring's state was; until then the
 * port is not used again. A mount waits for space. */
static void test_unmount_while_full(void **state)
{
	struct p9_client other;

	(void)state;
	start_mounted();
	fill_ring(false);
	unmount(&client);
	rsts = 0;
	memset(&other, 0, sizeof(other));
	fake.sleep = host_drain;
	assert_int_equal(fake_p9->create(&other, "host", NULL), 0);
	assert_int_equal(rsts, 1);
	assert_int_equal(accept_port, PORT_MOUNT);

	/* A fault of the host's while the ring is full. */
	fill_ring(true);
	say("\1\0\0\0\0\0\0", 7);
	host_drain();
	assert_int_equal(rsts, 2);
	unmount(&other);
	assert_int_equal(host_take_all(VIRTIO_VSOCK_OP_RST), 0);

	/* Nobody to tell: the channel went down first. */
	assert_int_equal(mount(&client), 0);
	fill_ring(true);
	unmount(&client);
	host_table[CHANNEL_ST_GENERATION]++;
	fake_interrupt(0);
	settle();
	assert_int_equal(mount(&client), 0);
	assert_int_equal(accept_port, PORT_MOUNT);
	stop();
}

/* Everything in use, and then there is no device. */
static void test_device_removed(void **state)
{
	struct p9_req_t *req;
	int err;

	(void)state;
	start_mounted();
	for (int round = 0; round < 3; round++) {
		req = ask(P9_TREAD, 1, 100);
		assert_int_equal(later(P9_TCLUNK, 8), -1);
		if (round > 0) {
			fill_ring(true);
		}
		fake_remove();
		drop(req, REQ_STATUS_ERROR, -ECONNRESET);
		request(&client, P9_TREAD, 1, 11, 100, &err);
		assert_int_equal(err, -ECONNRESET);
		assert_int_equal(send_skb(VIRTIO_VSOCK_OP_RW, 5, false),
				 -ENODEV);
		fake_transport->transport.cancel_pkt(NULL);
		assert_int_equal(fake_transport->transport.get_local_cid(),
				 3);
		if (round != 1) {
			unmount(&client);
		}
		{
			struct p9_client none;

			assert_int_equal(mount(&none), -ENODEV);
		}
		assert_int_equal(fake_probe(), 0);
		settle();
		if (round == 1) {
			/* A mount of before does not come back. */
			request(&client, P9_TREAD, 1, 11, 100, &err);
			assert_int_equal(err, -ECONNRESET);
			unmount(&client);
		}
		assert_int_equal(mount(&client), 0);
	}
	stop();
}

static unsigned int chances;

static void remove_now(void)
{
	if (chances-- == 0) {
		fake_remove();
		fake.unlocked = NULL;
	}
}

/* The device goes at each moment at which somebody else may run. */
static void test_removed_at_any_time(void **state)
{
	(void)state;
	for (unsigned int at = 0; at < 8; at++) {
		struct p9_req_t *read, *clunk;
		int err;

		start_mounted();
		chances = at;
		fake.unlocked = remove_now;
		read = request(&client, P9_TREAD, 1, 11, 100, &err);
		clunk = request(&client, P9_TCLUNK, 4, 11, 100, &err);
		send_skb(VIRTIO_VSOCK_OP_RW, 100, false);
		fake.unlocked = NULL;
		if (fake.device) {
			fake_remove();
		}
		if (read) {
			drop(read, REQ_STATUS_ERROR, -ECONNRESET);
		}
		if (clunk) {
			drop(clunk, REQ_STATUS_RCVD, 0);
		}
		stop();
	}
}

static void remove_while_waiting(void)
{
	fake_remove();
	fake.sleep = host_accept;
}

static void nothing(void)
{
}

/* Who waits, for space or for the host, is not left waiting. */
static void test_removed_while_waiting(void **state)
{
	struct p9_client other;
	int err;

	(void)state;
	start_mounted();
	fill_ring(false);
	fake.sleep = remove_while_waiting;
	request(&client, P9_TREAD, 1, 11, 100, &err);
	assert_int_equal(err, -ECONNRESET);
	assert_int_equal(fake_probe(), 0);
	settle();
	memset(&other, 0, sizeof(other));
	fake.sleep = remove_while_waiting;
	assert_int_equal(fake_p9->create(&other, "host", NULL),
			 -ECONNREFUSED);
	stop();

	/* No host, so that the channel does not come up. */
	driver_load();
	host_polite = false;
	assert_int_equal(fake_probe(), 0);
	fake.sleep = remove_while_waiting;
	assert_int_equal(fake_p9->create(&other, "host", NULL), -ENODEV);
	assert_int_equal(fake_probe(), 0);
	fake.sleep = nothing;
	assert_int_equal(fake_p9->create(&other, "host", NULL), -ENOTCONN);
	driver_unload();
}

/* Who asks for a little space, and finds it, does not take the doorbell from who
 * waits for more. */
static void test_two_wait_for_space(void **state)
{
	struct ring_packet packet;
	unsigned long flags;

	(void)state;
	start_mounted();
	send_skb(VIRTIO_VSOCK_OP_RW, 0, false);
	fill_ring(true);
	assert_true(host_take(&packet));
	fake_run();
	spin_lock_irqsave(&isthmus_channel.lock, flags);
	assert_false(isthmus_tx_wait(&isthmus_channel, 0));
	spin_unlock_irqrestore(&isthmus_channel.lock, flags);
	fake_run();
	for (int i = 0; i < 10; i++) {
		host_take_all(0);
		fake_run();
	}
	assert_true(skb_queue_empty(&isthmus_channel.tx_queue));
	stop();
}

static void test_probe_fails(void **state)
{
	(void)state;
	driver_load();
	fake.foreign_transport = true;
	assert_int_equal(fake_probe(), -EBUSY);
	fake.foreign_transport = false;
	host_table[CHANNEL_ST_OUTPUT_SIZE] = HOST_SECTION + 8;
	assert_int_equal(fake_probe(), -ENODEV);
	host_table[CHANNEL_ST_OUTPUT_SIZE] = HOST_SECTION;
	assert_int_equal(fake_probe(), 0);
	assert_int_equal(fake_probe(), -EBUSY);
	driver_unload();
}

/* Hostile hosts by the thousand; qemu-test/fuzz/driver_fuzz.c goes on. */
static void test_hostile(void **state)
{
	u8 script[512];
	u32 x = 2463534242u;

	(void)state;
	for (int round = 0; round < 1000; round++) {
		for (size_t i = 0; i < sizeof(script); i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			script[i] = (u8)(x >> 8);
		}
		driver_play(script, sizeof(script));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_and_reply),
		cmocka_unit_test(test_split_replies),
		cmocka_unit_test(test_reply_sizes),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_credit),
		cmocka_unit_test(test_clunk),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_socket_packets),
		cmocka_unit_test(test_unmount_while_full),
		cmocka_unit_test(test_two_wait_for_space),
		cmocka_unit_test(test_device_removed),
		cmocka_unit_test(test_removed_at_any_time),
		cmocka_unit_test(test_removed_while_waiting),
		cmocka_unit_test(test_probe_fails),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
