/* SPDX-License-Identifier: MIT */
/* See disk_ata.h. What a driver gives it is checked against the specification. */
#include "fake/disk_ata.h"

struct drive drives[2];

struct fake_ata ch;

static struct drive *drive(void)
{
	return &drives[ch.selected];
}

static uint64_t lba(bool ext)
{
	uint64_t low = (ch.lba[0] & 0xffu) | (ch.lba[1] & 0xffu) << 8 |
		       (ch.lba[2] & 0xffu) << 16;

	if (!ext) {
		return low | (uint64_t)(ch.device & 0xf) << 24;
	}
	return low | (uint64_t)(ch.lba[0] >> 8) << 24 |
	       (uint64_t)(ch.lba[1] >> 8) << 32 |
	       (uint64_t)(ch.lba[2] >> 8) << 40;
}

/* Copies between the drive and the memory that the table names; how much the
 * table has beyond. */
static int64_t dma(uint8_t *data, uint32_t len, bool to_memory)
{
	uint32_t table = ch.prd_table;
	int64_t beyond = -(int64_t)len;

	assert_int_equal(table & 3, 0);
	assert_int_equal(!!(ch.bm_command & 8), to_memory);
	for (;;) {
		uint32_t *prd = fake_bus(table, 8);
		uint32_t size = prd[1] & 0xffff ? prd[1] & 0xffff : 0x10000;
		uint32_t part = size < len ? size : len;
		uint8_t *memory = fake_bus(prd[0], size);

		assert_int_equal(prd[1] & 0x7fff0001, 0);
		assert_true((prd[0] & 0xffff) + size <= 0x10000);
		memcpy(to_memory ? memory : data,
		       to_memory ? data : memory, part);
		data += part;
		len -= part;
		beyond += size;
		if (prd[1] & 0x80000000) {
			return beyond;
		}
		table += 8;
		assert_true((table >> 16) == (ch.prd_table >> 16));
	}
}

static void raise(uint8_t status)
{
	ch.status = status;
	ch.command = 0;
	if (!(ch.control & 2)) {
		ch.bm_status |= 4;
		ch.interrupt = true;
	}
}

static void trim(struct drive *d)
{
	uint64_t ranges[64];

	assert_int_equal(ch.features, 1);
	assert_int_equal(ch.count, 1);
	assert_int_equal(dma((uint8_t *)ranges, 512, false), 0);
	for (unsigned i = 0; i < 64; i++) {
		uint64_t at = ranges[i] & 0xffffffffffff;
		uint64_t n = ranges[i] >> 48;

		if ((at + n) * d->sector_size <= MEDIUM_BYTES) {
			memset(medium + at * d->sector_size, 0,
			       n * d->sector_size);
		}
	}
}

/* The command that runs is carried out, as far as the drive does so. */
static void finish(void)
{
	struct drive *d = drive();
	uint8_t c = ch.command;
	bool ext = c == 0x25 || c == 0x35 || c == 0x3d;
	bool to_memory = c == 0x25 || c == 0xc8;
	uint32_t count = ext ? ch.count : (ch.count & 0xff) ?
			 (ch.count & 0xff) : 256;
	uint32_t bytes = count * d->sector_size;
	int64_t beyond;

	if (d->hangs || d->hang_next > 0 || (c == 0x2f && d->wear_hangs) ||
	    (c != 0x06 && (int)lba(ext) == d->hang_at)) {
		d->hang_next -= d->hang_next > 0;
		ch.command = 0;
		ch.status = 0x80;
		return;
	}
	if (c == 0xe7 || c == 0xea) {
		raise(0x50);
		return;
	}
	if (c == 0x2f) {
		assert_int_equal(lba(true), 7 << 8 | 4);
		assert_int_equal(ch.count, 1);
		ch.data_at = 0;
		ch.data = (const uint16_t *)d->wear;
		raise(d->wear[0] == 0 ? 0x51 : 0x58);
		return;
	}
	if (!(ch.bm_status & 1)) {
		return;			/* waits for the engine */
	}
	if (c == 0x06) {
		trim(d);
		ch.bm_status &= (uint8_t)~1;
		raise(0x50);
		return;
	}
	assert_true(ch.device & 0x40);
	if ((int)lba(ext) == d->error_at) {
		ch.bm_status &= (uint8_t)~1;
		raise(0x51);
		return;
	}
	beyond = dma(medium + d->base + lba(ext) * d->sector_size,
		     d->short_dma ? bytes - 512 : bytes, to_memory);
	if (beyond <= 0) {
		ch.bm_status &= (uint8_t)~1;
	}
	assert_true(beyond == 0 || d->short_dma);
	if (d->bm_error) {
		ch.bm_status = (ch.bm_status & 0x60) | 6;
	}
	raise(d->drq_stays ? 0x58 : 0x50);
}

bool fake_step(void)
{
	bool interrupt;

	if (ch.delay > 0) {
		ch.delay--;
	} else if (ch.command) {
		finish();
	}
	interrupt = ch.interrupt;
	ch.interrupt = false;
	return interrupt;
}

uint64_t fake_in(volatile void *regs, uint32_t at, unsigned size)
{
	fail_msg("%p %x %u", regs, at, size);
	return 0;
}

void fake_out(volatile void *regs, uint32_t at, unsigned size, uint64_t value)
{
	fail_msg("%p %x %u %llx", regs, at, size, (unsigned long long)value);
}

static uint32_t command_in(unsigned reg, unsigned size)
{
	if (!drive()->present) {
		return ch.floats ? 0xff : 0;
	}
	if (reg == 0) {
		assert_int_equal(size, 2);
		assert_true(ch.status & 8);
		if (ch.data_at == 255) {
			ch.status = 0x50;
		}
		return ch.data[ch.data_at++ & 255];
	}
	if (reg == 7) {
		ch.interrupt = false;
		return ch.delay > 0 || ch.command ? 0x80 : ch.status;
	}
	return reg == 4 ? ch.lba[1] & 0xff : reg == 5 ? ch.lba[2] & 0xff : 0;
}

uint32_t fake_port_in(uint16_t port, unsigned size)
{
	if (chaos) {
		return chaos_value();
	}
	if (port >= COMMAND && port < COMMAND + 8) {
		return command_in(port - COMMAND, size);
	}
	assert_int_equal(size, 1);
	assert_int_equal(port, BUS_MASTER + 2);
	return ch.bm_status;
}

static void command_out(uint8_t value)
{
	if (!drive()->present) {
		return;
	}
	drive()->commands[value]++;
	assert_false(ch.status & 0x88);
	assert_int_equal(ch.command, 0);
	if (value == 0xec) {
		ch.status = drive()->packet ? 0x51 : 0x58;
		ch.data_at = 0;
		ch.data = drive()->identify;
		return;
	}
	ch.command = value;
	ch.delay = 1;
}

static void control_out(uint8_t value)
{
	if (ch.control & 4 && !(value & 4)) {
		ch.resets++;
		ch.delay = 5;
		ch.command = 0;
		ch.selected = 0;
		ch.status = drives[0].no_reset ? 0x80 : 0x50;
		ch.lba[1] = ch.lba[2] = 0;
	}
	ch.control = value;
}

static void bm_out(unsigned reg, uint32_t value)
{
	if (reg == 0) {
		if (value & 1 && !(ch.bm_command & 1)) {
			ch.bm_status |= 1;
		} else if (!(value & 1)) {
			ch.bm_status &= (uint8_t)~1;
		}
		ch.bm_command = (uint8_t)value;
	} else if (reg == 2) {
		ch.bm_status = (uint8_t)((value & 0x60) | (ch.bm_status & 1) |
					 (ch.bm_status & 6 & ~value));
	} else {
		assert_int_equal(reg, 4);
		ch.prd_table = value;
	}
}

void fake_port_out(uint16_t port, unsigned size, uint32_t value)
{
	uint8_t byte = (uint8_t)value;

	if (chaos) {
		return;
	}
	if (port >= BUS_MASTER && port < BUS_MASTER + 8) {
		assert_int_equal(size, port == BUS_MASTER + 4 ? 4 : 1);
		bm_out(port - BUS_MASTER, value);
		return;
	}
	assert_int_equal(size, 1);
	switch (port) {
	case CONTROL: control_out(byte); break;
	case COMMAND + 1: ch.features = (uint16_t)(ch.features << 8 | byte);
		break;
	case COMMAND + 2: ch.count = (uint16_t)(ch.count << 8 | byte); break;
	case COMMAND + 3: case COMMAND + 4: case COMMAND + 5:
		ch.lba[port - COMMAND - 3] = (uint16_t)
			(ch.lba[port - COMMAND - 3] << 8 | byte);
		break;
	case COMMAND + 6:
		ch.device = byte;
		ch.selected = byte >> 4 & 1;
		if (drive()->packet) {
			ch.lba[1] = 0x14;
			ch.lba[2] = 0xeb;
		}
		break;
	case COMMAND + 7: command_out(byte); break;
	default: fail_msg("writes port %x", port);
	}
}

void set_text(uint16_t *words, const char *text, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned a = *text ? (uint8_t)*text++ : ' ';
		unsigned b = *text ? (uint8_t)*text++ : ' ';

		words[i] = (uint16_t)(a << 8 | b);
	}
}

void sum(uint16_t *words)
{
	uint8_t total = 0xa5;

	for (unsigned i = 0; i < 255; i++) {
		total = (uint8_t)(total + words[i] + (words[i] >> 8));
	}
	words[255] = (uint16_t)((uint8_t)-total << 8 | 0xa5);
}

void make(struct drive *d, unsigned sector_size)
{
	uint32_t sectors = MEDIUM_BYTES / 2 / sector_size;

	*d = (struct drive) { .present = true, .sector_size = sector_size,
			      .error_at = -1, .hang_at = -1 };
	d->base = d == drives ? 0 : MEDIUM_BYTES / 2;
	set_text(d->identify + 10, "S-0001", 10);
	set_text(d->identify + 27, d == drives ? "FAKE disk" :
		 "Other \x01 disk", 20);
	d->identify[49] = 0x300;
	d->identify[60] = (uint16_t)sectors;
	d->identify[61] = (uint16_t)(sectors >> 16);
	d->identify[83] = 0x4000 | 1 << 10 | 1 << 12 | 1 << 13;
	d->identify[84] = 0x4000 | 1 << 6;
	d->identify[100] = (uint16_t)sectors;
	d->identify[101] = (uint16_t)(sectors >> 16);
	d->identify[169] = 1;
	d->identify[217] = 7200;
	if (sector_size != 512) {
		d->identify[106] = 0x5000;
		d->identify[117] = (uint16_t)(sector_size / 2);
	}
	sum(d->identify);
}
