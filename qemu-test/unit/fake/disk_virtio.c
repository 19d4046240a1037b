/* SPDX-License-Identifier: MIT */
/* See disk_virtio.h. What a driver gives it is checked against the specification. */
#include "fake/disk_virtio.h"

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct fake_virtio dev;

/* Aligned, so that no entry lies in two pages [virtio 1.2 "Split Virtqueues"]. */
static struct desc *entry(uint64_t table, unsigned i)
{
	assert_int_equal(table % sizeof(struct desc), 0);
	return fake_bus(table + i * sizeof(struct desc), sizeof(struct desc));
}

uint16_t *word(uint64_t at)
{
	return fake_bus(at, 2);
}

void use(uint32_t id, uint32_t len)
{
	uint32_t *elem = fake_bus(dev.used + 4 +
				  dev.used_idx++ % dev.size * 8u, 8);

	elem[0] = id;
	elem[1] = len;
	*word(dev.used + 2) = dev.used_idx;
	dev.interrupt = true;
}

/* Carries out one request, and checks how it was put
 * [virtio 1.2 "Block Device", "Device Operation"]. */
static void finish(uint16_t head)
{
	struct desc *d = entry(dev.desc, head);
	uint64_t table = dev.desc, sector;
	uint32_t *h, written = 0;
	uint64_t at;

	if (d->flags & 4) {
		assert_true(dev.accepted >> 28 & 1);
		assert_int_equal(d->flags, 4);
		table = d->addr;
		d = entry(table, 0);
	}
	assert_int_equal(d->len, 16);
	assert_int_equal(d->flags, 1);
	h = fake_bus(d->addr, 16);
	sector = h[2] | (uint64_t)h[3] << 32;
	at = sector * 512;
	dev.types[h[0]]++;
	if ((int)sector == dev.hang_sector) {
		return;
	}
	for (d = entry(table, d->next); d->flags & 1;
	     d = entry(table, d->next)) {
		void *data = fake_bus(d->addr, d->len);

		assert_int_equal(!!(d->flags & 2), h[0] == 0 ||
				 h[0] == 8);
		if (h[0] == 8) {
			assert_int_equal(d->len, 20);
			memcpy(data, "0123456789abcdefghij", 20);
			written = 20;
		} else if (h[0] >= 11) {
			uint32_t *range = data;

			assert_int_equal(d->len, 16);
			assert_true(range[2] <= dev.discard_max);
			memset(medium + range[0] * 512, 0, range[2] * 512);
		} else if (dev.answer == 0 && h[0] == 1) {
			memcpy(medium + at, data, d->len);
		} else if (dev.answer == 0) {
			memcpy(data, medium + at, d->len);
			written += d->len;
		}
		at += d->len;
	}
	assert_int_equal(d->flags, 2);
	assert_int_equal(d->len, 1);
	if (!dev.silent) {
		*(uint8_t *)fake_bus(d->addr, 1) = h[0] == 8 && dev.no_id ? 2 :
						   dev.answer;
	}
	use(head, dev.short_read ? 1 : written + 1);
	dev.finished++;
}

bool fake_step(void)
{
	bool interrupt;

	while (dev.head_count > 0 && !dev.hangs) {
		unsigned i = dev.reverse ? dev.head_count - 1 : 0;
		uint16_t head = dev.heads[i];

		memmove(dev.heads + i, dev.heads + i + 1,
			(--dev.head_count - i) * sizeof(*dev.heads));
		if (dev.hang_next > 0) {
			dev.hang_next--;
		} else {
			finish(head);
		}
	}
	interrupt = dev.interrupt;
	dev.interrupt = false;
	return interrupt;
}

static void reset(void)
{
	dev.status = 0;
	dev.seen = dev.used_idx = 0;
	dev.head_count = 0;
	dev.enable = 0;
	dev.vectors[0] = dev.vectors[1] = 0xffff;
	dev.resets++;
}

static uint32_t config_in(uint32_t at)
{
	switch (at) {
	case 0: return MEDIUM_BYTES / 512;
	case 12: return 126;
	case 20: return dev.blk_size;
	case 36: case 48: return dev.discard_max;
	}
	return 0;
}

uint64_t fake_in(volatile void *regs, uint32_t at, unsigned size)
{
	if (chaos) {
		return chaos_value();
	}
	if (regs == REGS_DEVICE) {
		assert_true(at + size <= 60);
		return config_in(at);
	}
	assert_ptr_equal(regs, REGS_COMMON);
	switch (at) {
	case 0x04: return (uint32_t)(dev.features >> 32 * dev.select[0]);
	case 0x14: return dev.status;
	case 0x18: return dev.size ? dev.size : dev.size_max;
	case 0x1e: return 3;
	}
	fail_msg("reads register %x", at);
	return 0;
}

static void status_out(uint8_t value)
{
	if (value == 0) {
		reset();
		dev.status = dev.stuck_reset ? 1 : 0;
		return;
	}
	if (value & 8 && (dev.no_features_ok ||
			  dev.accepted & ~dev.features)) {
		value &= (uint8_t)~8;
	}
	if (value & 4) {
		assert_int_equal(dev.enable, 1);
		assert_int_equal(dev.vectors[1], 0);
	}
	dev.status = value;
}

void fake_out(volatile void *regs, uint32_t at, unsigned size, uint64_t value)
{
	if (chaos) {
		return;
	}
	(void)size;
	if (regs == REGS_NOTIFY) {
		assert_int_equal(at, 3 * 4);
		assert_true(dev.status & 4);
		while (dev.seen != *word(dev.avail + 2)) {
			assert_true(dev.head_count < dev.size);
			dev.heads[dev.head_count++] = *word(dev.avail + 4 +
				dev.seen++ % dev.size * 2u);
		}
		return;
	}
	assert_ptr_equal(regs, REGS_COMMON);
	switch (at) {
	case 0x00: dev.select[0] = (uint32_t)value; break;
	case 0x08: dev.select[1] = (uint32_t)value; break;
	case 0x0c:
		dev.accepted &= ~(0xffffffffull << 32 * dev.select[1]);
		dev.accepted |= value << 32 * dev.select[1];
		break;
	case 0x10: dev.vectors[0] = (uint16_t)value; break;
	case 0x14: status_out((uint8_t)value); break;
	case 0x16: assert_int_equal(value, 0); break;
	case 0x18: dev.size = (uint16_t)value; break;
	case 0x1a: dev.vectors[1] = (uint16_t)value; break;
	case 0x1c: dev.enable = (uint16_t)value; break;
	case 0x20: dev.desc = value; break;
	case 0x28: dev.avail = value; break;
	case 0x30: dev.used = value; break;
	case 0x24: case 0x2c: case 0x34:
		assert_int_equal(value, 0);
		break;
	default: fail_msg("writes register %x", at);
	}
}
