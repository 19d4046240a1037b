/* SPDX-License-Identifier: MIT */
/* See nic_e1000.h. What a driver tells it is checked against the manual. */
#include "fake/nic_e1000.h"

#define CTRL_RST	(1u << 26)
#define TX		0x3800u
#define RX		0x2800u
#define DESC		16u

struct fake_e1000 dev;

static uint32_t *reg(uint32_t at)
{
	assert_true(at % 4 == 0 && at < E1000_REGS_BYTES);
	return &dev.regs[at / 4];
}

/* An input is asserted as long as there is a cause; a message is for one that has
 * come. */
static void cause(uint32_t bits, uint32_t ims)
{
	uint32_t before = dev.icr & dev.ims;

	dev.icr |= bits;
	dev.ims = ims;
	card.interrupt |= (dev.icr & ims & (dev.msix ? ~before : ~0u)) != 0;
}

/* The descriptor at a queue's head; NULL: the queue is empty. */
static uint8_t *head(uint32_t queue)
{
	uint32_t i = *reg(queue + 0x10);
	uint64_t base = (uint64_t)*reg(queue + 4) << 32 | *reg(queue);

	if (i == *reg(queue + 0x18)) {
		return NULL;
	}
	assert_int_equal(base % 128, 0);
	assert_true(*reg(queue + 8) % 128 == 0 && i < *reg(queue + 8) / DESC);
	return fake_bus(base + i * DESC, DESC);
}

static void step_head(uint32_t queue)
{
	*reg(queue + 0x10) = (*reg(queue + 0x10) + 1) %
			     (*reg(queue + 8) / DESC);
}

/* [8254x "Legacy Transmit Descriptor Format"] */
void e1000_step(void)
{
	uint8_t *desc;

	while (!card.hangs && *reg(0x400) & 2 && (desc = head(TX)) != NULL) {
		uint64_t addr;
		uint16_t len;

		memcpy(&addr, desc, 8);
		memcpy(&len, desc + 8, 2);
		/* whole frames, with their check sequence, told of */
		assert_int_equal(desc[11], 1 | 2 | 8);
		assert_int_equal(desc[10], 0);
		assert_int_equal(desc[12], 0);
		assert_true(len >= 14 && len <= 1514);
		assert_true(*reg(0x400) & 8);
		wire_out(fake_bus(addr, len), len, NULL);
		desc[12] |= 1;
		step_head(TX);
		cause(1 | (dev.msix ? 1u << 22 : 0), dev.ims);
	}
}

bool e1000_write(uint16_t length, uint8_t status, uint8_t errors)
{
	uint8_t *desc = head(RX);

	if (!(*reg(0x100) & 2) || !desc) {
		return false;
	}
	assert_int_equal(desc[12], 0);
	memcpy(desc + 8, &length, 2);
	desc[12] = status;
	desc[13] = errors;
	step_head(RX);
	cause(1u << 7 | (dev.msix ? 1u << 20 : 0), dev.ims);
	return true;
}

bool e1000_arrive(const uint8_t *data, size_t len)
{
	uint8_t *desc = head(RX);
	uint64_t addr;

	/* buffers of 2048 bytes, without the check sequence; groups' frames,
	 * not all */
	assert_int_equal(*reg(0x100) & 0x04030028, 0x04000000);
	if (desc) {
		memcpy(&addr, desc, 8);
		memcpy(fake_bus(addr, 2048), data, len);
	}
	return e1000_write((uint16_t)len, dev.status, dev.errors);
}

void e1000_link(bool up)
{
	if (dev.link != up) {
		dev.link = up;
		cause(1u << 2 | (dev.msix ? 1u << 24 : 0), dev.ims);
	}
}

static void reset(void)
{
	if (!dev.keeps) {
		memset(dev.regs, 0, sizeof(dev.regs));
		dev.icr = dev.ims = 0;
	}
	*reg(0x5404) = 0;
	if (!dev.eeprom_only) {
		memcpy(reg(0x5400), dev.mac, 4);
		*reg(0x5404) = dev.mac[4] | (uint32_t)dev.mac[5] << 8 |
			       1u << 31;
	}
	*reg(0) = card.stuck ? CTRL_RST : 0;
	card.resets++;
}

uint64_t fake_in(volatile void *regs, uint32_t at, unsigned size)
{
	uint32_t value;

	if (chaos) {
		return chaos_value();
	}
	assert_ptr_equal(regs, REGS);
	assert_int_equal(size, 4);
	switch (at) {
	case 0x0000: case 0x5400: case 0x5404:
		return *reg(at);
	case 0x0014:
		value = *reg(at) >> 8 & 0xff;
		assert_true(value < 3 && *reg(at) & 1);
		return value << 8 | 0x10 | (uint32_t)dev.mac[2 * value] << 16 |
		       (uint32_t)dev.mac[2 * value + 1] << 24;
	case 0x0008:
		return 1 | (dev.link ? 2 : 0);
	case 0x00c0:
		/* an 82574L keeps them [82574 "Interrupt Cause Read"] */
		value = dev.icr;
		dev.icr = dev.msix ? dev.icr : 0;
		return value;
	}
	fail_msg("reads register %x", at);
	return 0;
}

void fake_out(volatile void *regs, uint32_t at, unsigned size, uint64_t value)
{
	static const uint16_t known[] = {
		0x0000, 0x0014, 0x00c4, 0x0100, 0x0400, 0x0410, 0x2800, 0x2804, 0x2808,
		0x2810, 0x2818, 0x2820, 0x282c, 0x3800, 0x3804, 0x3808, 0x3810,
		0x3818, 0x5000, 0x5400, 0x5404,
	};
	bool found = at >= 0x5200 && at < 0x5400;

	if (chaos) {
		return;
	}
	assert_ptr_equal(regs, REGS);
	assert_int_equal(size, 4);
	if (at == 0xc0) {
		dev.icr &= (uint32_t)~value;
		return;
	}
	if (at == 0xd0 || at == 0xd8) {
		cause(0, at == 0xd0 ? dev.ims | (uint32_t)value :
		      dev.ims & (uint32_t)~value);
		return;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		found |= known[i] == at;
	}
	found |= dev.msix && (at == 0xe4 || at == 0xe8);
	if (!found) {
		fail_msg("writes register %x", at);
	}
	/* heads are set while a queue is off only */
	if (at == TX + 0x10 || at == RX + 0x10) {
		assert_int_equal(*reg(at == TX + 0x10 ? 0x400 : 0x100) & 2, 0);
	}
	*reg(at) = (uint32_t)value;
	if (at == 0 && value & CTRL_RST) {
		assert_int_equal((*reg(0x100) | *reg(0x400)) & 2, 0);
		assert_int_equal(dev.ims, 0);
		reset();
	}
}
