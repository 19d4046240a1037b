/* SPDX-License-Identifier: MIT */
/* The e1000 driver against a card that does what its manual says, or something
 * else. */
#include "fake/nic_e1000.h"

static struct nic *new(bool express)
{
	struct e1000_regs regs = {
		.base = REGS, .express = express, .cut = fake_cut,
	};

	dev.msix = express;
	return e1000_new(&regs, express);
}

static int setup(void **state)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 };

	memset(&dev, 0, sizeof(dev));
	memcpy(dev.mac, mac, sizeof(mac));
	dev.link = true;
	dev.status = 7;			/* done, whole, sums not looked at */
	card = (struct card){ .step = e1000_step, .arrive = e1000_arrive,
			      .set_link = e1000_link, .depth = 255 };
	return nic_setup(state, new(false));
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
	assert_string_equal(line, "Intel 82540EM, 52:54:00:01:02:03, link up");
	assert_int_equal(nic->offers, 0);
	assert_int_equal(nic->interrupts, 0);
}

static void express(void **state)
{
	void (*const tests[])(void **) = {
		both_ways, full_queue, flood, link_goes, hangs_and_again,
		reset_in_flight,
	};

	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		(void)teardown(state);
		(void)setup(state);
		(void)teardown(state);
		(void)nic_setup(state, new(true));
		tests[i](state);
	}
	assert_string_equal(((struct nic *)*state)->model, "Intel 82574L");
}

/* A reset that leaves queues and rings as they were. */
static void keeps_registers(void **state)
{
	dev.keeps = true;
	reset_in_flight(state);
}

/* Only those whose turn it is, as often as it says so. */
static void turns(void **state)
{
	struct nic *nic = nic_ready(state);

	/* the card has sent what nobody gave it: the next frame's place says
	 * so already, until it is filled */
	for (unsigned i = 0; i < 600; i++) {
		uint64_t base = (uint64_t)dev.regs[0x3804 / 4] << 32 |
				dev.regs[0x3800 / 4];

		((uint8_t *)fake_bus(base + i % 256 * 16, 16))[12] = 1;
		card.interrupt = true;
		nic_run(nic, 1);
		assert_int_equal(nic->in_flight, 0);
		assert_int_equal(send_frame(nic, 60, 60), 0);
		nic_run(nic, 1);
		on_wire(1);
	}
	assert_int_equal(nic->tx_packets, 600);
}

static void odd_frames(void **state)
{
	static const uint8_t bad[] = { 1, 2, 4, 0x10, 0x80 };
	struct nic *nic = nic_ready(state);

	for (unsigned i = 0; i < 5; i++) {
		assert_true(e1000_write(60, 7, bad[i]));
		nic_run(nic, 1);
		assert_int_equal(nic->errors, i + 1);
	}
	assert_true(e1000_write(2049, 7, 0));
	assert_true(e1000_write(0xffff, 7, 0));
	nic_run(nic, 1);
	assert_int_equal(nic->nonsense, 2);
	assert_true(e1000_write(0, 7, 0));
	assert_true(e1000_write(13, 7, 0));
	assert_true(e1000_write(1519, 7, 0));
	nic_run(nic, 1);
	assert_int_equal(nic->rx_dropped, 3);
	/* one frame in several pieces, and the one behind it */
	assert_true(e1000_write(2048, 1, 0));
	assert_true(e1000_write(2048, 1, 0));
	nic_run(nic, 1);
	assert_true(e1000_write(100, 3, 0));
	assert_true(come_frame(100));
	nic_run(nic, 1);
	handed_on(1);
	assert_int_equal(nic->rx_dropped, 4);
	assert_int_equal(nic->nonsense, 2);
}

static unsigned last_flags;

static void note_flags(void *arg, const void *frame, size_t len,
		       unsigned flags)
{
	(void)arg;
	(void)frame;
	(void)len;
	last_flags = flags;
}

/* Good are sums that the card has looked at, and found so. */
static void checksums(void **state)
{
	static const struct {
		uint8_t status, errors;
		unsigned flags;
	} rows[] = {
		{ 0x63, 0, NIC_RX_CSUM_GOOD }, { 0x23, 0, NIC_RX_CSUM_GOOD },
		{ 0x67, 0, 0 }, { 0x43, 0, 0 }, { 0x63, 0x20, 0 },
		{ 0x63, 0x40, 0 }, { 0x03, 0, 0 },
	};
	struct nic *nic = nic_ready(state);
	uint8_t frame[60];

	memset(frame, 0xff, sizeof(frame));
	nic->receive = note_flags;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		dev.status = rows[i].status;
		dev.errors = rows[i].errors;
		last_flags = 99;
		assert_true(e1000_arrive(frame, sizeof(frame)));
		nic_run(nic, 1);
		assert_int_equal(last_flags, rows[i].flags);
	}
}

static void address_in_the_eeprom(void **state)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 };
	struct nic *nic = *state;

	dev.eeprom_only = true;
	hangs_and_again(state);
	assert_memory_equal(nic->mac, mac, 6);
	assert_int_equal(dev.regs[0x5404 / 4], 0x80000302);
}

static void no_address(void **state)
{
	memset(dev.mac, 0, 6);
	nic_refused(*state, "it has no address");
	cuts = 0;
	dev.mac[0] = 1;
	nic_refused(*state, "it has no address");
}

/* One that has been pulled out reads as all ones: no time limit is waited for, and
 * no loop. */
static void is_gone(void **state)
{
	struct nic *nic = nic_ready(state);

	dev.icr = ~0u;
	card.stuck = true;
	card.interrupt = true;
	nic_run(nic, 1);
	assert_int_equal(nic->state, NIC_STARTING);
	nic_run(nic, 2 * NIC_START_MS);
	assert_int_equal(nic->state, NIC_FAILED);
	assert_int_equal(cuts, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_what_it_is), NIC_TESTS, TEST(express),
		TEST(keeps_registers), TEST(turns), TEST(odd_frames),
		TEST(checksums), TEST(address_in_the_eeprom), TEST(no_address), TEST(is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
