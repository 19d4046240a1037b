/* SPDX-License-Identifier: MIT */
/* The virtio network driver against a card that does what the specification says,
 * or something else. */
#include "fake/nic_virtio.h"

static struct nic *new(bool translated, bool link_vector)
{
	struct virtio_regs regs = {
		.common = REGS_COMMON, .device = REGS_DEVICE,
		.device_size = 12, .notify = REGS_NOTIFY, .notify_size = 4096,
		.notify_multiplier = 4, .translated = translated,
		.cut = fake_cut,
	};

	return virtio_net_new(&regs, link_vector);
}

static int setup(void **state)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 };

	memset(&dev, 0, sizeof(dev));
	dev.features = F_USUAL;
	dev.queues[0].size_max = dev.queues[1].size_max = 256;
	memcpy(dev.mac, mac, sizeof(mac));
	dev.link = true;
	card = (struct card){ .step = virtio_step, .arrive = virtio_arrive,
			      .set_link = virtio_link, .depth = 256 };
	return nic_setup(state, new(true, true));
}

static int teardown(void **state)
{
	return nic_teardown(state);
}

static void says_what_it_is(void **state)
{
	struct nic *nic = nic_ready(state);
	char line[160];

	nic_describe(nic, line, sizeof(line));
	assert_string_equal(line, "virtio network card, 52:54:00:01:02:03, "
			    "link up, checksums, TSO");
	assert_true(dev.accepted == F_USUAL);
	assert_int_equal(nic->offers, NIC_CSUM | NIC_TSO4 | NIC_TSO6);
	assert_int_equal(nic->mtu, 1500);
	assert_int_equal(told_changed, 1);
}

/* One interrupt for all; without F_STATUS the link is always up. */
static void one_vector(void **state)
{
	struct nic *nic;

	(void)nic_teardown(state);
	(void)nic_setup(state, new(true, false));
	link_goes(state);
	(void)nic_teardown(state);
	dev.features &= ~(1ull << 16);
	dev.link = false;
	(void)nic_setup(state, new(true, true));
	nic = *state;
	nic_start(nic);
	nic_run(nic, 20);
	assert_true(nic->link);
}

/* What was sent may be done with in any order. */
static void other_order(void **state)
{
	dev.reverse = true;
	many_rounds(state);
}

static void small_queues(void **state)
{
	dev.queues[0].size_max = 64;
	dev.queues[1].size_max = 8;
	card.depth = 8;
	full_queue(state);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(come_frame(100));
		nic_run(*state, 1);
		handed_on(1);
	}
}

static void smaller_mtu(void **state)
{
	struct nic *nic = *state;

	dev.features |= 1ull << 3;
	dev.mtu = 1280;
	(void)nic_ready(state);
	assert_int_equal(nic->mtu, 1280);
	assert_int_equal(send_frame(nic, 1295, 100), EMSGSIZE);
	assert_int_equal(send_frame(nic, 1294, 100), 0);
	nic_run(nic, 1);
	on_wire(1);
}

/* What is more than a slot goes whole. */
static void large_sends(void **state)
{
	static uint8_t data[65549];
	struct nic *nic = nic_ready(state);
	struct nic_seg segs[] = { { data, 54 }, { data + 54, 65549 - 54 } };
	const struct nic_offload off = {
		.csum = true, .gso = NIC_TSO4, .csum_start = 34,
		.csum_offset = 16, .gso_size = 1448,
	};

	data[12] = 8;
	data[14] = 0x45;
	data[23] = 6;
	data[46] = 0x50;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(nic_send(nic, segs, 2, &off), 0);
		nic_run(nic, 1);
	}
	for (unsigned i = 0; i < 7; i++) {
		assert_int_equal(nic_send(nic, segs, 2, &off), 0);
	}
	assert_int_equal(nic_send(nic, segs, 2, &off), ENOBUFS);
	segs[1].len++;
	assert_int_equal(nic_send(nic, segs, 2, &off), EMSGSIZE);
	assert_int_equal(nic->nonsense, 0);
}

/* What it says of sums counts if it may, and where they would be in the frame. */
static void sums_of_what_comes(void **state)
{
	struct nic *nic = nic_ready(state);

	dev.header[0] = 2;
	assert_true(come_frame(60));
	nic_run(nic, 1);
	handed_on(1);
	assert_int_equal(got_flags, NIC_RX_CSUM_GOOD);
	dev.header[0] = 1;
	dev.header[6] = 34;		/* csum_start */
	dev.header[8] = 24;		/* csum_offset: the last two bytes */
	assert_true(come_frame(60));
	nic_run(nic, 1);
	handed_on(1);
	assert_int_equal(got_flags, NIC_RX_CSUM_OPEN);
	assert_int_equal(nic->open.csum_start, 34);
	assert_int_equal(nic->open.csum_offset, 24);
	assert_int_equal(nic->nonsense, 0);
	for (unsigned i = 0; i < 3; i++) {
		dev.header[6] = i == 1 ? 13 : 34;
		dev.header[7] = i == 2 ? 0xff : 0;
		dev.header[8] = i == 0 ? 25 : 0;
		assert_true(card.arrive((uint8_t [60]){ 1 }, 60));
		nic_run(nic, 1);
		assert_int_equal(nic->nonsense, i + 1);
	}
	handed_on(0);
	(void)nic_teardown(state);
	dev.features &= ~2ull;
	(void)nic_setup(state, new(true, true));
	nic = nic_ready(state);
	assert_true(come_frame(60));
	nic_run(nic, 1);
	handed_on(1);
	assert_int_equal(got_flags, 0);
}

static uint16_t next_place(void)
{
	struct fake_queue *q = &dev.queues[0];

	return *word(q->avail + 4 + q->seen++ % q->size * 2u);
}

/* Answers to what nobody asked: counted, and nothing else. */
static void nonsense(void **state)
{
	static const uint32_t ids[] = { 5, 255, 256, 0x80000001, 0xffffffff };
	struct nic *nic = nic_ready(state);
	uint16_t head;

	card.hangs = true;
	assert_int_equal(send_frame(nic, 60, 60), 0);
	for (unsigned i = 0; i < 5; i++) {
		use(1, ids[i], 0);
		card.interrupt = true;
		nic_run(nic, 1);
		assert_int_equal(nic->nonsense, i + 1);
	}
	assert_int_equal(nic->in_flight, 1);
	for (unsigned i = 2; i < 5; i++) {
		use(0, ids[i], 100);
		nic_run(nic, 1);
		assert_int_equal(nic->nonsense, i + 4);
	}
	/* too short for a head; longer than its place */
	head = next_place();
	use(0, head, 11);
	nic_run(nic, 1);
	assert_int_equal(nic->nonsense, 9);
	head = next_place();
	use(0, head, 2049);
	nic_run(nic, 1);
	assert_int_equal(nic->nonsense, 10);
	handed_on(0);
	assert_int_equal(nic->resets, 0);
	/* Further ahead than the queue is long: it is lost. */
	for (unsigned i = 0; i < 2; i++) {
		*word(dev.queues[i].used + 2) =
			(uint16_t)(dev.queues[i].used_idx + 300);
		card.interrupt = true;
		nic_run(nic, 2000);
		assert_int_equal(nic->resets, i + 1);
		assert_int_equal(nic->state, NIC_READY);
	}
}

static void asks_for_a_reset(void **state)
{
	struct nic *nic = nic_ready(state);

	dev.status |= 64;
	card.link_interrupt = true;
	nic_run(nic, 2000);
	assert_int_equal(nic->resets, 1);
	assert_int_equal(nic->errors, 1);
	assert_int_equal(nic->state, NIC_READY);
	/* One that does so all the time gets a second of rest each time. */
	for (unsigned i = 0; i < 10000; i++) {
		dev.status |= dev.status & 4 ? 64 : 0;
		card.link_interrupt = true;
		nic_run(nic, 1);
	}
	assert_in_range(nic->resets, 5, 12);
}

static void not_of_virtio_1(void **state)
{
	dev.features &= ~(1ull << 32);
	nic_refused(*state, "it is not of virtio 1");
}

static void past_the_iommu(void **state)
{
	dev.features &= ~(1ull << 33);
	nic_refused(*state, "it bypasses the IOMMU (no ACCESS_PLATFORM)");
	(void)nic_teardown(state);
	/* Without one it does as well as any. */
	(void)nic_setup(state, new(false, true));
	both_ways(state);
}

static void odd_devices(void **state)
{
	static const uint16_t sizes[] = { 0, 3, 48 };

	for (unsigned i = 0; i < 3; i++) {
		dev.queues[1].size_max = sizes[i];
		nic_refused(*state, "its queues are not usable");
		(void)nic_teardown(state);
		(void)nic_setup(state, new(true, true));
	}
	dev.queues[1].size_max = 256;
	dev.mac[0] |= 1;
	nic_refused(*state, "it has no address");
	memset(dev.mac, 0, 6);
	cuts = 0;
	nic_refused(*state, "it has no address");
	cuts = 0;
	dev.no_features_ok = true;
	nic_refused(*state, "it refuses its own features");
}

/* A card that is another one after its reset is not used any more. */
static void changes_at_a_reset(void **state)
{
	struct nic *nic = nic_ready(state);

	dev.features &= ~1ull;
	nic_start(nic);
	nic_run(nic, 2000);
	assert_int_equal(nic->state, NIC_FAILED);
	assert_int_equal(told_changed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_what_it_is), NIC_TESTS, TEST(one_vector),
		TEST(other_order), TEST(small_queues), TEST(smaller_mtu),
		TEST(large_sends), TEST(sums_of_what_comes),
		TEST(nonsense), TEST(asks_for_a_reset),
		TEST(not_of_virtio_1), TEST(past_the_iommu), TEST(odd_devices),
		TEST(changes_at_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
