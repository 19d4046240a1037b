// SPDX-License-Identifier: MIT
/*
 * The Linux driver in a fake kernel: the ring under load, sockets' packets beside
 * mounts, and the device taken away while all is in use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse.h"

/* Credit for more than was ever sent ends the connection; the request goes to the
 * next one. */
static void test_credit(void **state)
{
	struct ask a = ask_of(FUSE_GETATTR, 10, 10);

	(void)state;
	start();
	ask_send(&a);
	assert_true(server_run());
	server_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	ring_linux();
	server_take();
	assert_int_equal(server.rsts, 0);
	server.received++;
	server_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	ring_linux();
	fake_run();
	server_take();
	assert_int_equal(server.rsts, 1);
	assert_false(is_answered(&a));
	assert_true(fake_run_work());
	server_settle();
	assert_int_equal(got.opcode, FUSE_GETATTR);
	server_reply(got.unique, 0, a.out, 10);
	assert_int_equal(fake_answered(a.req), 0);
	stop();
}

/* One interrupt takes no more than its budget; the thread does the rest, and
 * further interrupts meanwhile nothing. */
static void test_budget(void **state)
{
	static struct fuse_out_header bulk[150];
	struct ask a = ask_of(FUSE_GETATTR, 10, 10);
	u32 before, turn, sent = 0;

	(void)state;
	start();
	ask_send(&a);
	/* Replies that nobody waits for, of the smallest size. */
	for (u32 i = 0; i < 150; i++) {
		bulk[i].len = sizeof(bulk[i]);
		bulk[i].unique = 0x7777777;
	}
	while (ring_tx_begin(&host_ring, sizeof(bulk)) == RING_OK) {
		server_packet(VIRTIO_VSOCK_OP_RW, bulk, sizeof(bulk));
		sent += RING_RECORD(sizeof(bulk));
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
	assert_true(server_run());
	server_say(got.unique, 0, a.out, 10);
	ring_linux();
	assert_int_equal(fake_answered(a.req), 0);
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
	load();
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
	driver_unload();
}

/* A packet without payload, of a socket with that port and buffer whose reader has
 * taken so many bytes, and waits for so many. How many packets the host sees then. */
static unsigned int tell(u16 op, u32 port, u32 buffer, u32 taken, int lowat)
{
	struct ring_packet header = {
		.src_cid = 3, .dst_cid = 2, .src_port = port, .dst_port = 7,
		.op = op, .type = VIRTIO_VSOCK_TYPE_STREAM,
		.buf_alloc = buffer, .fwd_cnt = taken,
	};
	struct sock sk = { .sk_rcvlowat = lowat };
	struct sk_buff *skb = fake_skb(0);
	struct ring_packet packet;
	unsigned int n = 0;

	memcpy(skb->head, &header, sizeof(header));
	skb->sk = &sk;
	assert_int_equal(fake_transport->send_pkt(skb), 0);
	while (host_take(&packet)) {
		n++;
	}
	return n;
}

/* Of credit the host hears what it does not know nearly all of. */
static void test_told_credit(void **state)
{
	const u16 update = VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	const u16 request = VIRTIO_VSOCK_OP_REQUEST;
	struct ring_packet ask = {
		.src_cid = 2, .dst_cid = 3, .src_port = 7, .dst_port = 5000,
		.op = VIRTIO_VSOCK_OP_CREDIT_REQUEST,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
	};

	(void)state;
	load();
	/* of a connection that nothing is known of */
	assert_int_equal(tell(update, 5000, 4096, 1, 1), 1);
	assert_int_equal(tell(update, 5000, 4096, 257, 1), 0);
	assert_int_equal(tell(VIRTIO_VSOCK_OP_RW, 5000, 4096, 257, 1), 1);
	assert_int_equal(tell(update, 5000, 4096, 258, 1), 1);
	/* one at a time, until they are more than a sixteenth */
	for (u32 i = 1; i <= 256; i++) {
		assert_int_equal(tell(update, 5000, 4096, 258 + i, 1), 0);
	}
	assert_int_equal(tell(update, 5000, 4096, 258 + 257, 1), 1);
	/* a larger buffer, a smaller one */
	assert_int_equal(tell(update, 5000, 8192, 515, 1), 1);
	assert_int_equal(tell(update, 5000, 8192, 516, 1), 0);
	assert_int_equal(tell(update, 5000, 4096, 516, 1), 1);
	/* of a large one not more than 16 KiB */
	assert_int_equal(tell(update, 5001, 0x100000, 0, 1), 1);
	assert_int_equal(tell(update, 5001, 0x100000, 0x4000, 1), 0);
	assert_int_equal(tell(update, 5001, 0x100000, 0x4001, 1), 1);
	/* a reader who waits for much */
	assert_int_equal(tell(update, 5000, 4096, 517, 2048), 0);
	assert_int_equal(tell(update, 5000, 4096, 518, 2049), 1);
	/* an answer */
	assert_int_equal(tell(update, 5000, 4096, 518, 1), 0);
	assert_int_equal(host_put(&ask, NULL), RING_OK);
	ring_linux();
	fake_run();
	assert_int_equal(tell(update, 5000, 4096, 518, 1), 1);
	/* another one in the same place knows nothing of it */
	assert_int_equal(tell(update, 5064, 4096, 519, 1), 1);
	assert_int_equal(tell(update, 5000, 4096, 519, 1), 1);
	/* nor does the next one with these ports; counts run free */
	assert_int_equal(tell(request, 5000, 4096, 0, 1), 1);
	assert_int_equal(tell(update, 5000, 4096, 257, 1), 1);
	assert_int_equal(tell(request, 5000, 4096, -4100u, 1), 1);
	assert_int_equal(tell(update, 5000, 4096, -3850u, 1), 0);
	assert_int_equal(tell(update, 5000, 4096, 1, 1), 1);
	driver_unload();
}

static struct sk_buff *kept[4];
static unsigned int empties;
static u32 empty_credit;

/* Of data that are none, who reads the socket takes the buffer later. */
static void receive_empty(struct sk_buff *skb)
{
	assert_int_equal(virtio_vsock_hdr(skb)->len, 0);
	empty_credit = virtio_vsock_hdr(skb)->buf_alloc;
	if (virtio_vsock_hdr(skb)->op == VIRTIO_VSOCK_OP_RW) {
		kept[empties] = skb_get(skb);
	}
	empties++;
}

static void send_empty(u16 op, u32 credit)
{
	struct ring_packet packet = {
		.src_cid = 2, .dst_cid = 3, .src_port = 7, .dst_port = 5000,
		.op = op, .type = VIRTIO_VSOCK_TYPE_STREAM,
		.buf_alloc = credit,
	};

	assert_int_equal(host_put(&packet, NULL), RING_OK);
	ring_linux();
	fake_run();
	assert_int_equal(empty_credit, credit);
}

/* Packets without payload use one buffer, unless somebody keeps it. */
static void test_empty_packets(void **state)
{
	(void)state;
	load();
	fake.receive = receive_empty;
	fake.skbs = 0;
	send_empty(VIRTIO_VSOCK_OP_RESPONSE, 100);
	send_empty(VIRTIO_VSOCK_OP_RST, 101);
	assert_int_equal(fake.skbs, 1);
	send_empty(VIRTIO_VSOCK_OP_RW, 102);
	send_empty(VIRTIO_VSOCK_OP_RW, 103);
	assert_int_equal(empties, 4);
	assert_int_equal(fake.skbs, 2);
	assert_int_equal(virtio_vsock_hdr(kept[2])->buf_alloc, 102);
	assert_int_equal(virtio_vsock_hdr(kept[3])->buf_alloc, 103);
	kfree_skb(kept[2]);
	kfree_skb(kept[3]);
	send_empty(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 104);
	send_empty(VIRTIO_VSOCK_OP_SHUTDOWN, 105);
	assert_int_equal(fake.skbs, 3);
	driver_unload();
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

/* The host gets its breath back. */
static void drain(void)
{
	for (int i = 0; i < 4; i++) {
		server_take();
		fake_run();
	}
	server_take();
}

/* It takes nothing, and time goes by. */
static void host_full(void)
{
	fake.time += 3 * HZ;
	fake_run_work();
}

/* The host is told of an unmount, whatever the ring's state was; until then the
 * port is not used again. */
static void test_unmount_while_full(void **state)
{
	struct ask a = ask_of(FUSE_GETATTR, 10, 10);

	(void)state;
	start();
	fill_ring(false);
	fake.sleep = host_full;
	fake_umount(sb);
	fake.sleep = NULL;
	assert_int_equal(server.rsts, 0);
	drain();
	assert_int_equal(server.rsts, 1);
	server.session = 0;
	assert_int_equal(fuse_mounted(&sb), 0);
	fm = sb->s_fs_info;
	assert_int_equal(server.port, PORT_MOUNT);

	/* A fault of the host's while the ring is full. */
	fill_ring(true);
	ask_send(&a);
	server_packet(VIRTIO_VSOCK_OP_RW, "0123456789abcdef", 16);
	ring_linux();
	drain();
	assert_int_equal(server.rsts, 2);
	assert_true(fake_run_work());
	server_settle();
	assert_int_equal(got.opcode, FUSE_GETATTR);
	server_reply(got.unique, 0, a.out, 10);
	assert_int_equal(fake_answered(a.req), 0);

	/* The channel goes and comes back, whatever was in the ring. */
	fill_ring(true);
	ask_send(&a);
	host_table[CHANNEL_ST_GENERATION]++;
	fake_interrupt(0);
	server_settle();
	assert_int_equal(got.opcode, FUSE_GETATTR);
	server_reply(got.unique, 0, a.out, 10);
	assert_int_equal(fake_answered(a.req), 0);
	assert_int_equal(server.port, PORT_MOUNT);

	/* Nobody to tell of the end: it went down first. */
	fill_ring(true);
	host_polite = false;
	*host_word(0) = CHANNEL_STATE_DOWN;
	fake_interrupt(0);
	fake_run();
	fake_umount(sb);
	host_polite = true;
	server_settle();
	server.session = 0;
	assert_int_equal(fuse_mounted(&sb), 0);
	assert_int_equal(server.port, PORT_MOUNT);
	assert_int_equal(server.rsts, 2);
	stop();
}

/* Everything in use, and then there is no device. */
static void test_device_removed(void **state)
{
	struct ask a = ask_of(FUSE_LOOKUP, 10, 10);
	struct super_block *none;

	(void)state;
	start();
	for (int round = 0; round < 3; round++) {
		fake_forget(fm, 40, 1);
		ask_send(&a);
		if (round > 0) {
			fill_ring(true);
		}
		fake_remove();
		assert_int_equal(fake_answered(a.req), -ENOTCONN);
		ask_send(&a);
		assert_int_equal(fake_answered(a.req), -ENOTCONN);
		assert_int_equal(send_skb(VIRTIO_VSOCK_OP_RW, 5, false),
				 -ENODEV);
		fake_transport->transport.cancel_pkt(NULL);
		assert_int_equal(fake_transport->transport.get_local_cid(),
				 3);
		if (round != 1) {
			fake_umount(sb);
		}
		assert_int_equal(fuse_mounted(&none), -ENODEV);
		assert_int_equal(fake_probe(), 0);
		settle();
		if (round == 1) {
			/* A mount of before does not come back. */
			ask_send(&a);
			assert_int_equal(fake_answered(a.req), -ENOTCONN);
			fake_umount(sb);
		}
		server.session = 0;
		assert_int_equal(fuse_mounted(&sb), 0);
		fm = sb->s_fs_info;
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
	for (unsigned int at = 0; at < 16; at++) {
		struct ask read = ask_of(FUSE_READLINK, 0, 10);
		struct ask end = ask_of(FUSE_RELEASE,
					sizeof(struct fuse_release_in), 0);

		start();
		memset(end.in, 0, sizeof(end.in));
		((struct fuse_release_in *)end.in)->fh = 9;
		chances = at;
		fake.unlocked = remove_now;
		ask_send(&read);
		ask_send(&end);
		fake_forget(fm, 40, 1);
		send_skb(VIRTIO_VSOCK_OP_RW, 100, false);
		fake.unlocked = NULL;
		if (fake.device) {
			fake_remove();
		}
		assert_int_equal(fake_answered(read.req), -ENOTCONN);
		assert_true(is_answered(&end));
		fake_answered(end.req);
		fake_umount(sb);
		driver_unload();
	}
}

static void remove_while_waiting(void)
{
	fake_remove();
	fake.sleep = server_turn;
}

static void nothing(void)
{
}

/* Who waits, for space or for the host, is not left waiting. */
static void test_removed_while_waiting(void **state)
{
	struct ask a = ask_of(FUSE_LOOKUP, 10, 10);

	(void)state;
	start();
	fill_ring(false);
	ask_send(&a);
	assert_false(is_answered(&a));
	fake_remove();
	assert_int_equal(fake_answered(a.req), -ENOTCONN);
	fake_umount(sb);
	assert_int_equal(fake_probe(), 0);
	settle();
	fake.sleep = remove_while_waiting;
	assert_int_equal(fake_mount(NULL, &sb), -ECONNREFUSED);
	driver_unload();

	/* No host, so that the channel does not come up. */
	driver_load();
	host_polite = false;
	assert_int_equal(fake_probe(), 0);
	fake.sleep = remove_while_waiting;
	assert_int_equal(fake_mount(NULL, &sb), -ENODEV);
	assert_int_equal(fake_probe(), 0);
	fake.sleep = nothing;
	assert_int_equal(fake_mount(NULL, &sb), -ENOTCONN);
	fake.sleep = NULL;
	driver_unload();
}

/* Who asks for a little space, and finds it, does not take the doorbell from who
 * waits for more. */
static void test_two_wait_for_space(void **state)
{
	struct ring_packet packet;
	unsigned long flags;

	(void)state;
	load();
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
	driver_unload();
}

static void test_probe_fails(void **state)
{
	static const u32 sizes[] = { HOST_SECTION + 8, 0x7ffff000, 0x7ffff800,
				     0x80000000, 0xfffff000, 0xffffffff };
	static const u32 words[] = { CHANNEL_ST_MAGIC, CHANNEL_ST_VERSION };
	unsigned i;

	(void)state;
	driver_load();
	fake.foreign_transport = true;
	assert_int_equal(fake_probe(), -EBUSY);
	fake.foreign_transport = false;
	/* beyond the device; what wraps to no size at all */
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		host_table[CHANNEL_ST_OUTPUT_SIZE] = sizes[i];
		assert_int_equal(fake_probe(), -ENODEV);
	}
	host_table[CHANNEL_ST_OUTPUT_SIZE] = HOST_SECTION;
	/* another table, another version of it, an end that there is not */
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		host_table[words[i]]++;
		assert_int_equal(fake_probe(), -ENODEV);
		host_table[words[i]]--;
	}
	fake.end = 2;
	assert_int_equal(fake_probe(), -ENODEV);
	fake.end = 0;
	assert_int_equal(fake_probe(), 0);
	assert_int_equal(fake_probe(), -EBUSY);
	driver_unload();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_credit),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_socket_packets),
		cmocka_unit_test(test_told_credit),
		cmocka_unit_test(test_unmount_while_full),
		cmocka_unit_test(test_two_wait_for_space),
		cmocka_unit_test(test_empty_packets),
		cmocka_unit_test(test_device_removed),
		cmocka_unit_test(test_removed_at_any_time),
		cmocka_unit_test(test_removed_while_waiting),
		cmocka_unit_test(test_probe_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
