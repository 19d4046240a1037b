/* SPDX-License-Identifier: MIT */
/*
 * The driver's network interface, with a host on the other end of the channel that
 * has a network, has none, or does not do as it should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "driver_net.h"

/* ---- Linux ---- */

static struct {
	u32 count, len;
	struct sk_buff skb;
} got;

static u8 byte_at(const struct sk_buff *skb, u32 i)
{
	u32 begin = skb_headlen(skb);

	if (i < begin) {
		return skb->data[i];
	}
	for (int f = 0;; f++) {
		if (i - begin < skb->frags[f].size) {
			return skb->frags[f].bytes[i - begin];
		}
		begin += skb->frags[f].size;
	}
}

static void receive(struct sk_buff *skb)
{
	got.count++;
	got.len = skb->len;
	got.skb = *skb;
	assert_ptr_equal(skb->dev, fake_net.dev);
	for (u32 i = 1; i < skb->len; i++) {
		assert(byte_at(skb, i) == bytes(i, skb->len));
	}
	dev_kfree_skb_any(skb);
}

static struct sk_buff *make_skb(u32 len, bool in_pieces)
{
	struct sk_buff *skb = fake_skb(len);

	skb_put(skb, len);
	for (u32 i = 0; i < len; i++) {
		skb->data[i] = bytes(i, len);
	}
	skb->data_len = in_pieces ? len : 0;
	return skb;
}

static int setup(void **state)
{
	(void)state;
	memset(&isthmus_net, 0, sizeof(isthmus_net));
	memset(&host, 0, sizeof(host));
	memset(&got, 0, sizeof(got));
	memset(&fake_net, 0, sizeof(fake_net));
	host.credit = 0x60000;
	host_net = true;
	fake_net.receive = receive;
	driver_start();
	fake_ifup(true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake.no_memory = false;
	driver_unload();
	assert_null(fake_net.dev);
	return 0;
}

static int setup_up(void **state)
{
	setup(state);
	turn();
	assert_true(fake_net.dev->carrier);
	return 0;
}

/* ---- The connection ---- */

static void carrier_follows_the_connection(void **state)
{
	(void)state;
	assert_false(fake_net.dev->carrier);
	turn();
	assert_true(fake_net.dev->carrier);
	/* The channel goes down, and comes again. */
	*host_word(0) = CHANNEL_STATE_DOWN;
	fake_interrupt(0);
	fake_run();
	assert_false(fake_net.dev->carrier);
	settle();
	turn();
	assert_true(fake_net.dev->carrier);
	GO(host.requests, 2);
	/* The host ends it: again a moment later. */
	host_packet(VIRTIO_VSOCK_OP_RST, NULL, 0);
	turn();
	assert_false(fake_net.dev->carrier);
	GO(host.requests, 2);
	assert_true(fake_run_work());
	turn();
	assert_true(fake_net.dev->carrier);
	GO(host.requests, 3);
	GO(host.rsts, 0);
}

static void a_host_without_a_network_is_not_asked_again(void **state)
{
	(void)state;
	host.refuses = true;
	turn();
	fake_run_work();
	turn();
	GO(host.requests, 1);
	assert_false(fake_net.dev->carrier);
	/* But the next one is. */
	host.refuses = false;
	*host_word(0) = CHANNEL_STATE_DOWN;
	fake_interrupt(0);
	settle();
	turn();
	GO(host.requests, 2);
	assert_true(fake_net.dev->carrier);
}

static void no_carrier_no_packets(void **state)
{
	(void)state;
	GO(fake_xmit(make_skb(100, false)), NETDEV_TX_OK);
	GO(fake_net.dev->stats.tx_dropped, 1);
	turn();
	GO(host.messages, 0);
	/* Nor without a device. */
	fake_remove();
	GO(fake_xmit(make_skb(100, false)), NETDEV_TX_OK);
	GO(fake_net.dev->stats.tx_dropped, 2);
	assert_false(fake_net.dev->carrier);
}

static void what_offers_the_interface(void **state)
{
	const struct net_device *dev = fake_net.dev;

	(void)state;
	assert_string_equal(dev->name, "isthmus%d");
	GO(dev->type, ARPHRD_NONE);
	GO(dev->mtu, 1500);
	GO(dev->max_mtu, MAX);
	GO(dev->tso_max, MAX);
	GO(dev->features & (NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_TSO),
	   NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_TSO);
}

static void without_an_interface_there_is_no_module(void **state)
{
	(void)state;
	memset(&isthmus_net, 0, sizeof(isthmus_net));
	memset(&fake_net, 0, sizeof(fake_net));
	fake_net.no_device = true;
	memset(&fake, 0, sizeof(fake));
	GO(fake_module_init(), -ENOMEM);
}

/* ---- To the host ---- */

static u32 wanted_len;

static void check_message(const struct net_channel_head *head, const u8 *packet)
{
	GO(head->len, HEAD + wanted_len);
	GO(head->flags, NET_CHANNEL_NEEDS_CSUM);
	GO(head->gso_type, NET_CHANNEL_GSO_TCPV4);
	GO(head->gso_size, 1448);
	GO(head->csum_start, 20);
	GO(head->csum_offset, 16);
	for (u32 i = 0; i < wanted_len; i++) {
		assert(packet[i] == bytes(i, wanted_len));
	}
}

static void packets_go_whole(void **state)
{
	static const u32 lens[] = { 1, 40, 1500, 65519, MAX };

	(void)state;
	host.message = check_message;
	for (unsigned int i = 0; i < 10; i++) {
		struct sk_buff *skb;

		wanted_len = lens[i / 2];
		skb = make_skb(wanted_len, i % 2);
		skb->ip_summed = CHECKSUM_PARTIAL;
		skb->gso_type = NET_CHANNEL_GSO_TCPV4;
		skb->gso_size = 1448;
		skb->csum_start = 20;
		skb->csum_offset = 16;
		host_doorbells = 0;
		GO(fake_xmit(skb), NETDEV_TX_OK);
		GO(host_doorbells, 1);
		host_serve();
		GO(host.messages, i + 1);
	}
	GO(fake_net.dev->stats.tx_packets, 10);
	/* What was not offered: longer, or of another kind. */
	GO(fake_xmit(make_skb(MAX + 1, true)), NETDEV_TX_OK);
	wanted_len = 100;
	{
		struct sk_buff *skb = make_skb(100, false);

		skb->gso_type = 5;
		GO(fake_xmit(skb), NETDEV_TX_OK);
	}
	GO(fake_net.dev->stats.tx_dropped, 2);
	turn();
	GO(host.messages, 10);
}

static void many_have_one_doorbell(void **state)
{
	(void)state;
	host_doorbells = 0;
	fake_net.more = true;
	for (int i = 0; i < 5; i++) {
		GO(fake_xmit(make_skb(200, false)), NETDEV_TX_OK);
	}
	GO(host_doorbells, 0);
	fake_net.more = false;
	GO(fake_xmit(make_skb(200, false)), NETDEV_TX_OK);
	GO(host_doorbells, 1);
	host_serve();
	GO(host.messages, 6);
}

/* The host answers while Linux sends: the answer is there when that ends. */
static void answer_at_once(void)
{
	static bool inside;

	if (!inside) {
		inside = true;
		host_serve();
		host_send(500);
		inside = false;
	}
}

static void who_sends_finds_the_answer(void **state)
{
	(void)state;
	fake.doorbell = answer_at_once;
	GO(fake_xmit(make_skb(300, false)), NETDEV_TX_OK);
	GO(got.count, 1);
	GO(got.len, 500);
	assert_false(fake.thread_due);
}

static void the_queue_waits_for_credit(void **state)
{
	struct sk_buff *skb = make_skb(MAX, true);
	int sent = 0;

	(void)state;
	while (fake_xmit(skb) == NETDEV_TX_OK) {
		skb = make_skb(MAX, true);
		sent++;
	}
	/* The ring's, or the host's credit's end. */
	assert_in_range(sent, 1, 6);
	assert_true(fake_net.dev->stopped);
	ring_linux();
	fake_run();
	assert_true(fake_net.dev->stopped || !isthmus_net.full);
	host_serve();
	host_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	turn();
	assert_false(fake_net.dev->stopped);
	GO(fake_xmit(skb), NETDEV_TX_OK);
	host_serve();
	GO(host.messages, sent + 1);
	/* A host that has none left, and one whose credit is a lie. */
	host.credit = 1000;
	host_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	turn();
	skb = make_skb(1000, false);
	GO(fake_xmit(skb), NETDEV_TX_BUSY);
	turn();
	assert_true(fake_net.dev->stopped);
	host.received++;
	host_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	turn();
	assert_false(fake_net.dev->carrier);
	GO(host.rsts, 1);
	assert_false(fake_net.dev->stopped);
	kfree_skb(skb);
}

static void the_queue_waits_for_space(void **state)
{
	struct sk_buff *skb = make_skb(MAX, false);
	int sent = 0;

	(void)state;
	host.credit = 0x1000000;
	host_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	turn();
	while (fake_xmit(skb) == NETDEV_TX_OK) {
		skb = make_skb(MAX, false);
		sent++;
	}
	GO(sent, 3);
	assert_true(fake_net.dev->stopped);
	turn();
	assert_false(fake_net.dev->stopped);
	GO(fake_xmit(skb), NETDEV_TX_OK);
	turn();
	GO(host.messages, 4);
}

/* ---- From the host ---- */

static void packets_come_whole_and_in_pieces(void **state)
{
	static const u32 lens[] = { 1, 28, 1600, 1601, 9000, 65519, MAX };
	static u8 data[4 * (HEAD + MAX)];
	u32 len = 0;

	(void)state;
	for (unsigned int i = 0; i < 7; i++) {
		host_send(lens[i]);
		turn();
		GO(got.count, i + 1);
		GO(got.len, lens[i]);
		GO(got.skb.protocol, htons(ETH_P_IP));
	}
	/* Some in one ring packet, and one in many. */
	for (unsigned int i = 0; i < 4; i++) {
		len += fill_message(data + len, (struct net_channel_head){ 0 },
				    lens[i] + 3);
	}
	len += fill_message(data + len, (struct net_channel_head){ 0 }, 30000);
	host_say(data, len, 65536);
	turn();
	GO(got.count, 12);
	for (u32 piece = 7; piece < 30; piece += 11) {
		host_say(data, 3000, piece);
		turn();
		host_say(data + 3000, len - 3000, 9000);
		turn();
	}
	GO(got.count, 12 + 3 * 5);
	GO(got.len, 30000);
}

static void what_the_host_says_of_a_packet(void **state)
{
	struct net_channel_head head = {
		.flags = NET_CHANNEL_NEEDS_CSUM, .csum_start = 40,
		.csum_offset = 16, .gso_type = NET_CHANNEL_GSO_TCPV6,
		.gso_size = 1428,
	};
	static u8 data[HEAD + 5000];
	u32 len = fill_message(data, head, 5000);

	(void)state;
	data[HEAD] = 0x60;
	host_say(data, len, 65536);
	turn();
	GO(got.count, 1);
	GO(got.skb.protocol, htons(ETH_P_IPV6));
	GO(got.skb.ip_summed, CHECKSUM_PARTIAL);
	GO(got.skb.gso_size, 1428);
	head = (struct net_channel_head){ .flags = NET_CHANNEL_DATA_VALID };
	host_say(data, fill_message(data, head, 100), 65536);
	turn();
	GO(got.skb.ip_summed, CHECKSUM_UNNECESSARY);
	/* No IP; a checksum beyond the end. */
	fill_message(data, head, 100);
	data[HEAD] = 0x35;
	host_say(data, HEAD + 100, 65536);
	head = (struct net_channel_head){ .flags = 1, .csum_start = 99 };
	host_say(data, fill_message(data, head, 100), 65536);
	turn();
	GO(got.count, 2);
	GO(fake_net.dev->stats.rx_errors, 2);
	assert_true(fake_net.dev->carrier);
}

static void no_memory_no_packet(void **state)
{
	(void)state;
	fake.no_memory = true;
	host_send(3000);
	turn();
	GO(fake_net.dev->stats.rx_dropped, 1);
	fake.no_memory = false;
	host_send(3001);
	turn();
	GO(got.count, 1);
	GO(got.len, 3001);
}

static void lengths_that_cannot_be_end_it(void **state)
{
	static const u32 wrong[] = { 0, 15, 16, HEAD + MAX + 1, U32_MAX };

	(void)state;
	for (u32 i = 0; i < 5; i++) {
		struct net_channel_head head = { .len = wrong[i] };

		host_say((const u8 *)&head, HEAD, HEAD);
		turn();
		GO(host.rsts, i + 1);
		assert_false(fake_net.dev->carrier);
		fake_run_work();
		turn();
		assert_true(fake_net.dev->carrier);
	}
	GO(got.count, 0);
}

/* It has been asked for the connection, and sends before it has answered. */
static void packets_before_the_answer(void **state)
{
	(void)state;
	host_send(100);
	ring_linux();
	fake_softirq();
	GO(got.count, 0);
	host.refuses = true;
	turn();
	GO(host.rsts, 1);
	GO(got.count, 0);
	assert_false(fake_net.dev->carrier);
}

/* What nobody takes is bounded by what the host is told. */
static void what_waits_counts(void **state)
{
	(void)state;
	GO(host.said_alloc, NET_QUEUE_MAX);
	local_bh_disable();
	for (int i = 0; i < 6; i++) {
		host_send(MAX);
		ring_linux();
		fake_run();
	}
	GO(got.count, 0);
	GO(isthmus_net.held, 6 * MAX);
	local_bh_enable();
	GO(got.count, 6);
	GO(isthmus_net.held, 0);
	GO(isthmus_net.stream.less, NET_LESS);
}

static void the_host_is_told_when_it_may_send(void **state)
{
	(void)state;
	local_bh_disable();
	for (int i = 0; i < 5; i++) {
		host_send(MAX);
		ring_linux();
		fake_run();
	}
	/* A packet meanwhile tells how little it may. */
	fake_net.dev->netdev_ops->ndo_start_xmit(make_skb(60, false),
						 fake_net.dev);
	host_serve();
	GO(host.said_alloc, NET_QUEUE_MAX - 5 * MAX);
	GO(host.updates, 0);
	local_bh_enable();
	GO(got.count, 5);
	host_serve();
	GO(host.updates, 1);
	GO(host.said_alloc, NET_QUEUE_MAX);
	/* Few packets need none. */
	host_send(100);
	turn();
	GO(host.updates, 1);
}

/* Found by a process, not an interrupt: the thread has NAPI's turn come. */
static void packets_that_others_find(void **state)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;

	(void)state;
	host_send(700);
	spin_lock_irqsave(&ch->lock, flags);
	isthmus_tx_done(ch, flags);
	GO(got.count, 0);
	GO(isthmus_net.held, 700);
	assert_true(fake.thread_due);
	fake_run();
	GO(got.count, 1);
}

static void more_than_napis_budget(void **state)
{
	(void)state;
	fake_net.budget = 4;
	for (int i = 0; i < 23; i++) {
		host_send(100);
	}
	turn();
	GO(got.count, 23);
}

static void an_interface_that_is_down(void **state)
{
	static u8 data[HEAD + 3000];
	u32 len = fill_message(data, (struct net_channel_head){ 0 }, 3000);

	(void)state;
	/* In the midst of a message, and with one that waits. */
	local_bh_disable();
	host_send(100);
	host_say(data, 2000, 2000);
	ring_linux();
	fake_net.bh = 0;
	fake_ifup(false);
	host_say(data + 2000, len - 2000, len);
	host_send(300);
	turn();
	GO(got.count, 0);
	GO(isthmus_net.held, 0);
	assert_true(fake_net.dev->carrier);
	fake_ifup(true);
	host_send(400);
	turn();
	GO(got.count, 1);
	GO(got.len, 400);
}

#define TEST(f, s)	cmocka_unit_test_setup_teardown(f, s, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(carrier_follows_the_connection, setup),
		TEST(a_host_without_a_network_is_not_asked_again, setup),
		TEST(no_carrier_no_packets, setup),
		TEST(what_offers_the_interface, setup_up),
		TEST(packets_go_whole, setup_up),
		TEST(many_have_one_doorbell, setup_up),
		TEST(who_sends_finds_the_answer, setup_up),
		TEST(the_queue_waits_for_credit, setup_up),
		TEST(the_queue_waits_for_space, setup_up),
		TEST(packets_come_whole_and_in_pieces, setup_up),
		TEST(what_the_host_says_of_a_packet, setup_up),
		TEST(no_memory_no_packet, setup_up),
		TEST(lengths_that_cannot_be_end_it, setup_up),
		TEST(packets_before_the_answer, setup),
		TEST(what_waits_counts, setup_up),
		TEST(the_host_is_told_when_it_may_send, setup_up),
		TEST(packets_that_others_find, setup_up),
		TEST(more_than_napis_budget, setup_up),
		TEST(an_interface_that_is_down, setup_up),
		cmocka_unit_test(without_an_interface_there_is_no_module),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
