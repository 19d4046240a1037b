// SPDX-License-Identifier: MIT
/*
 * The Linux driver in a fake kernel: the state table beside a host that does not
 * follow it, and what happens between two looks at the ring.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse.h"

/* A socket's packet with n bytes; false: it was refused. */
static bool send_socket(u32 n)
{
	struct ring_packet header = {
		.src_cid = 3, .dst_cid = 2, .src_port = 5000, .dst_port = 7,
		.len = n, .op = VIRTIO_VSOCK_OP_RW,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
	};
	struct sk_buff *skb = fake_skb(n);

	memcpy(skb->head, &header, sizeof(header));
	memset(skb_put(skb, n), 0x5a, n);
	return fake_transport->send_pkt(skb) == (int)n;
}

/* Until one has no space, and waits. */
static void send_until_one_waits(void)
{
	while (skb_queue_empty(&isthmus_channel.tx_queue)) {
		assert_true(send_socket(60000));
	}
}

/* ---- States ---- */

/* A host that took no notice of the new generation is not spoken to. */
static void test_new_generation(void **state)
{
	(void)state;
	load();
	host_polite = false;
	host_table[CHANNEL_ST_GENERATION]++;
	fake_interrupt(0);
	fake_run();
	assert_int_equal(*host_word(1), CHANNEL_STATE_DOWN);
	assert_false(send_socket(1));
	host_polite = true;
	*host_word(0) = CHANNEL_STATE_DOWN;
	fake_interrupt(0);
	settle();
	assert_int_equal(*host_word(1), CHANNEL_STATE_READY);
	assert_true(send_socket(1));
	driver_unload();
}

/* One that comes while Linux waits for the host is in the header of its ring. */
static void test_new_generation_early(void **state)
{
	const struct ring_header *own;

	(void)state;
	driver_load();
	host_polite = false;
	own = (const void *)(fake.region +
			     CHANNEL_OUTPUT_OFFSET(1, HOST_SECTION));
	assert_int_equal(fake_probe(), 0);
	assert_int_equal(*host_word(1), CHANNEL_STATE_INIT);
	assert_int_equal(own->generation, 1);
	host_table[CHANNEL_ST_GENERATION] = 7;
	fake_interrupt(0);
	fake_run();
	assert_int_equal(*host_word(1), CHANNEL_STATE_INIT);
	assert_int_equal(own->generation, 7);
	driver_unload();
}

/* A host that says READY with a header that is none, or of another life. */
static void test_header(void **state)
{
	struct ring_header *header;

	(void)state;
	for (int wrong = 0; wrong < 4; wrong++) {
		driver_load();
		host_polite = false;
		assert_int_equal(fake_probe(), 0);
		assert_true(host_step());
		header = (void *)(fake.region +
				  CHANNEL_OUTPUT_OFFSET(0, HOST_SECTION));
		header->magic += wrong == 1;
		header->version += wrong == 2;
		header->generation += wrong == 3;
		*host_word(0) = CHANNEL_STATE_READY;
		fake_interrupt(0);
		fake_run();
		assert_int_equal(*host_word(1), wrong ? CHANNEL_STATE_DOWN :
				 CHANNEL_STATE_READY);
		assert_int_equal(send_socket(1), !wrong);
		driver_unload();
	}
}

/* What sockets wanted to say in the life before is not said in the next, and they
 * are told: once, and not of what never was up. */
static void test_sockets_of_before(void **state)
{
	(void)state;
	load();
	assert_int_equal(fake.resets, 0);
	send_until_one_waits();
	host_table[CHANNEL_ST_GENERATION]++;
	*host_word(0) = CHANNEL_STATE_DOWN;
	fake_interrupt(0);
	fake_run();
	assert_int_equal(fake.resets, 1);
	settle();
	assert_int_equal(*host_word(1), CHANNEL_STATE_READY);
	assert_int_equal(host_take_all(VIRTIO_VSOCK_OP_RW), 0);
	assert_true(send_socket(10));
	assert_int_equal(host_take_all(VIRTIO_VSOCK_OP_RW), 1);
	/* It goes, comes to INIT, and goes. */
	host_polite = false;
	for (int i = 0; i < 2; i++) {
		*host_word(0) = CHANNEL_STATE_DOWN;
		fake_interrupt(0);
		fake_run();
		assert_int_equal(*host_word(1), CHANNEL_STATE_INIT);
		assert_int_equal(fake.resets, 2);
		host_table[CHANNEL_ST_GENERATION]++;
	}
	driver_unload();
}

/* ---- The ring ---- */

/* What was put and not published is, before anybody waits for space. */
static void test_waits_and_publishes(void **state)
{
	struct isthmus *ch = &isthmus_channel;
	const struct ring_packet packet = { .op = VIRTIO_VSOCK_OP_RW };
	unsigned int put = 0, bells;
	unsigned long flags;

	(void)state;
	load();
	host_take_all(0);
	ring_rx_arm(&host_ring);
	bells = host_doorbells;
	spin_lock_irqsave(&ch->lock, flags);
	while (isthmus_tx_put(ch, &packet, NULL)) {
		put++;
	}
	assert_true(isthmus_tx_wait(ch, 0));
	spin_unlock_irqrestore(&ch->lock, flags);
	assert_int_equal(host_doorbells, bells + 1);
	assert_int_equal(host_take_all(VIRTIO_VSOCK_OP_RW), put);
	driver_unload();
}

static struct ask late;
static u64 late_unique;

/* Linux has found nothing more, and asks for a doorbell only then. */
static void answer_late(void)
{
	fake.doorbell = host_doorbell;
	server_say(late_unique, 0, late.out, 10);
}

/* A packet that comes between a look at the ring and the wish for a doorbell. */
static void test_looks_again(void **state)
{
	(void)state;
	start();
	late = ask_of(FUSE_GETATTR, 10, 10);
	ask_send(&late);
	assert_true(server_run());
	late_unique = got.unique;
	/* The host waits for space: what Linux takes makes it ring. */
	host_ring.own->cons_event = ring_load(&host_ring.peer->cons);
	server_say(0x7777777, 0, NULL, 0);
	fake.doorbell = answer_late;
	ring_linux();
	assert_ptr_equal(fake.doorbell, host_doorbell);
	assert_true(is_answered(&late));
	assert_int_equal(fake_answered(late.req), 0);
	stop();
}

static int wanted;

static void answer_now(void)
{
	struct ring_packet packet = {
		.src_cid = 2, .dst_cid = 3, .src_port = FUSE_CHANNEL_PORT,
		.dst_port = server.port, .op = VIRTIO_VSOCK_OP_CREDIT_UPDATE,
		.type = VIRTIO_VSOCK_TYPE_STREAM, .buf_alloc = server.credit,
		.fwd_cnt = (u32)server.received,
	};

	assert_int_equal(ring_tx_packet(&host_ring, &packet, NULL), RING_OK);
	wanted = ring_tx_commit(&host_ring);
}

/* Who sends looks for the answer without a doorbell; who sends nothing wants
 * one. */
static void test_no_doorbell_for_an_answer(void **state)
{
	struct ask a = ask_of(FUSE_GETATTR, 10, 10);

	(void)state;
	start();
	server_take();
	answer_now();
	assert_int_equal(wanted, true);
	ring_linux();
	wanted = -1;
	fake.doorbell = answer_now;
	ask_send(&a);
	assert_int_equal(wanted, false);
	fake.doorbell = host_doorbell;
	assert_true(server_run());
	server_reply(got.unique, 0, a.out, 10);
	assert_int_equal(fake_answered(a.req), 0);
	stop();
}

/* Requests of mounts do not overtake socket packets that wait for space. */
static void test_sockets_before_requests(void **state)
{
	struct ask a = ask_of(FUSE_GETATTR, 10, 10);
	struct ring_packet packet;
	bool sockets = true;
	unsigned int n = 0;

	(void)state;
	start();
	server_take();
	send_until_one_waits();
	/* There is space for little. */
	ask_send(&a);
	assert_false(skb_queue_empty(&isthmus_channel.tx_queue));
	for (int i = 0; i < 4; i++) {
		while (host_take(&packet)) {
			assert_true(sockets || packet.src_port != 5000);
			sockets = packet.src_port == 5000;
			n += sockets;
		}
		fake_run();
	}
	assert_false(sockets);
	assert_true(n > 1);
	server_reply(a.req->in.h.unique, 0, a.out, 10);
	assert_int_equal(fake_answered(a.req), 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_generation),
		cmocka_unit_test(test_new_generation_early),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_sockets_of_before),
		cmocka_unit_test(test_waits_and_publishes),
		cmocka_unit_test(test_looks_again),
		cmocka_unit_test(test_no_doorbell_for_an_answer),
		cmocka_unit_test(test_sockets_before_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
