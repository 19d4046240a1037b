/* SPDX-License-Identifier: MIT */
/* See nic_virtio.h. What a driver gives it is checked against the specification. */
#include "fake/nic_virtio.h"

struct fake_virtio dev;

static struct virtio_desc *entry(const struct fake_queue *q, unsigned i)
{
	assert_true(i < q->size);
	return fake_bus(q->desc + i * sizeof(struct virtio_desc),
			sizeof(struct virtio_desc));
}

uint16_t *word(uint64_t at)
{
	return fake_bus(at, 2);
}

void use(unsigned queue, uint32_t id, uint32_t len)
{
	struct fake_queue *q = &dev.queues[queue];
	uint32_t *elem = fake_bus(q->used + 4 + q->used_idx++ % q->size * 8u,
				  8);

	elem[0] = id;
	elem[1] = len;
	*word(q->used + 2) = q->used_idx;
	card.interrupt |= !(*word(q->avail) & 1);
}

/* The next buffer that it has been told of; false: there is none. */
static bool next(struct fake_queue *q, uint16_t *head)
{
	if (!(dev.status & 4) || q->seen == q->known) {
		return false;
	}
	*head = *word(q->avail + 4 + q->seen++ % q->size * 2u);
	return true;
}

/* [virtio 1.2 "Packet Transmission"] */
static void send_one(struct fake_queue *q, uint16_t head)
{
	static uint8_t data[70000];
	struct virtio_desc *d = entry(q, head);
	struct nic_offload off = { 0 };
	size_t len = 0;
	uint8_t h[12];
	uint16_t w[5];

	for (unsigned i = 0; ; i++, d = entry(q, d->next)) {
		assert_true(i < q->size);
		assert_true(len + d->len <= sizeof(data));
		assert_int_equal(d->flags & ~1, 0);
		memcpy(data + len, fake_bus(d->addr, d->len), d->len);
		len += d->len;
		if (!(d->flags & 1)) {
			break;
		}
	}
	assert_true(len >= sizeof(h));
	memcpy(h, data, sizeof(h));
	memcpy(w, h + 2, sizeof(w));
	assert_true(h[0] <= 1);
	assert_true(!h[0] || dev.accepted & 1);
	off = (struct nic_offload){
		.csum = h[0], .csum_start = w[2], .csum_offset = w[3],
		.gso = h[1] == 1 ? NIC_TSO4 : h[1] == 4 ? NIC_TSO6 : h[1],
		.gso_size = w[1],
	};
	if (off.gso) {
		assert_true(dev.accepted >> (h[1] == 1 ? 11 : 12) & 1);
		assert_true(w[0] > off.csum_start && off.csum);
	}
	wire_out(data + sizeof(h), len - sizeof(h), &off);
}

void virtio_step(void)
{
	struct fake_queue *q = &dev.queues[1];
	uint16_t heads[256];
	unsigned count = 0;

	while (!card.hangs && next(q, &heads[count])) {
		send_one(q, heads[count++]);
	}
	for (unsigned i = 0; i < count; i++) {
		use(1, heads[dev.reverse ? count - 1 - i : i], 0);
	}
}

bool virtio_arrive(const uint8_t *data, size_t len)
{
	struct fake_queue *q = &dev.queues[0];
	struct virtio_desc *d;
	uint16_t head;
	uint8_t *to;

	if (!next(q, &head)) {
		return false;
	}
	d = entry(q, head);
	assert_int_equal(d->flags, 2);
	assert_true(d->len >= 12 + len);
	to = fake_bus(d->addr, 12 + len);
	memcpy(to, dev.header, 12);
	to[10] = 1;
	memcpy(to + 12, data, len);
	use(0, head, (uint32_t)(12 + len));
	return true;
}

void virtio_link(bool up)
{
	if (dev.link != up) {
		dev.link = up;
		card.link_interrupt = dev.config_vector == 1;
		card.interrupt |= dev.config_vector == 0;
	}
}

static void reset(void)
{
	dev.status = 0;
	dev.config_vector = 0xffff;
	for (unsigned i = 0; i < 2; i++) {
		struct fake_queue *q = &dev.queues[i];

		*q = (struct fake_queue){ .size_max = q->size_max,
					  .deaf = q->deaf, .vector = 0xffff };
	}
	card.resets++;
}

static uint64_t config_in(uint32_t at, unsigned size)
{
	if (at < 6) {
		assert_int_equal(size, 1);
		return dev.mac[at];
	}
	assert_int_equal(size, 2);
	assert_true(at == 6 || at == 10);
	return at == 6 ? dev.link : dev.mtu;
}

uint64_t fake_in(volatile void *regs, uint32_t at, unsigned size)
{
	struct fake_queue *q = &dev.queues[dev.queue];

	if (chaos) {
		return chaos_value();
	}
	if (regs == REGS_DEVICE) {
		return config_in(at, size);
	}
	assert_ptr_equal(regs, REGS_COMMON);
	switch (at) {
	case 0x04: return (uint32_t)(dev.features >> 32 * dev.select[0]);
	case 0x14: return dev.status;
	case 0x18: return q->size ? q->size : q->size_max;
	case 0x1e: return 3 + dev.queue;
	}
	fail_msg("reads register %x", at);
	return 0;
}

static void status_out(uint8_t value)
{
	if (value == 0) {
		reset();
		dev.status = card.stuck ? 1 : 0;
		return;
	}
	if (value & 8 && (dev.no_features_ok ||
			  dev.accepted & ~dev.features)) {
		value &= (uint8_t)~8;
	}
	if (value & 4) {
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(dev.queues[i].enable, 1);
			/* [virtio 1.2 "Split Virtqueues"] */
			assert_int_equal(dev.queues[i].desc % 16, 0);
			assert_int_equal(dev.queues[i].vector, 0);
		}
	}
	dev.status = value;
}

/* From now on it sees what it was given. One that is deaf looks by itself. */
static void notify(uint32_t at, uint64_t value)
{
	struct fake_queue *q = &dev.queues[value];

	assert_true(value < 2);
	assert_int_equal(at, (3 + value) * 4);
	assert_true(dev.status & 4);
	q->known = *word(q->avail + 2);
	assert_true((uint16_t)(q->known - q->seen) <= q->size);
}

static void queue_out(struct fake_queue *q, uint32_t at, uint64_t value)
{
	switch (at) {
	case 0x18: q->size = (uint16_t)value; break;
	case 0x1a: q->vector = (uint16_t)value; break;
	case 0x1c: q->enable = (uint16_t)value; break;
	case 0x20: q->desc = value; break;
	case 0x28: q->avail = value; break;
	case 0x30: q->used = value; break;
	case 0x24: case 0x2c: case 0x34:
		assert_int_equal(value, 0);
		break;
	default: fail_msg("writes register %x", at);
	}
}

void fake_out(volatile void *regs, uint32_t at, unsigned size, uint64_t value)
{
	(void)size;
	if (chaos) {
		return;
	}
	if (regs == REGS_NOTIFY) {
		notify(at, value);
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
	case 0x10: dev.config_vector = (uint16_t)value; break;
	case 0x14: status_out((uint8_t)value); break;
	case 0x16:
		assert_true(value < 2);
		dev.queue = (uint16_t)value;
		break;
	default: queue_out(&dev.queues[dev.queue], at, value);
	}
}
