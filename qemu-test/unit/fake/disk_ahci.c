/* SPDX-License-Identifier: MIT */
/* See disk_ahci.h. What a driver gives it is checked against the specification. */
#include "fake/disk_ahci.h"

struct port ports[4];

struct fake_ahci dev;

void cause(struct port *p, uint32_t bits)
{
	p->is |= bits;
	if (p->is & p->ie) {
		dev.is |= 1u << (p - ports);
		dev.interrupt |= !!(dev.ghc & 2);
	}
}

static void error(struct port *p)
{
	p->tfd = 0x51;
	dev.dropped = true;
	cause(p, 1u << 30);
}

static void data(uint32_t *header, uint64_t table, uint8_t *at, uint32_t bytes,
		 bool write)
{
	unsigned count = header[0] >> 16;
	uint32_t sum = 0;

	assert_int_equal(!!(header[0] & 1 << 6), write);
	for (unsigned i = 0; i < count; i++) {
		uint32_t *prd = fake_bus(table + 128 + i * 16, 16);
		uint32_t len = (prd[3] & 0x3fffff) + 1;
		uint8_t *memory = fake_bus(prd[0] | (uint64_t)prd[1] << 32,
					   len);

		assert_int_equal(prd[0] & 1, 0);
		assert_int_equal(len & 1, 0);
		assert_true(sum + len <= bytes);
		memcpy(write ? at + sum : memory, write ? memory : at + sum,
		       len);
		sum += len;
	}
	assert_int_equal(sum, bytes);
	header[1] = dev.short_read && !write ? bytes - 512 : bytes;
}

static void trim(uint32_t *header, uint64_t table)
{
	uint64_t ranges[64];

	data(header, table, (uint8_t *)ranges, 512, true);
	for (unsigned i = 0; i < 64; i++) {
		memset(medium + (ranges[i] & 0xffffffffffff) * dev.sector_size,
		       0, (ranges[i] >> 48) * dev.sector_size);
	}
}

/* One command of port 2. */
static void finish(struct port *p, unsigned slot)
{
	uint32_t *header = fake_bus(p->clb + slot * 32, 32);
	uint64_t table = header[2] | (uint64_t)header[3] << 32;
	uint8_t *fis = fake_bus(table, 20);
	bool queued = fis[2] == 0x60 || fis[2] == 0x61;
	bool ext = queued || fis[2] == 0x25 || fis[2] == 0x35 ||
		   fis[2] == 0x3d;
	uint64_t lba = fis[4] | fis[5] << 8 | fis[6] << 16 |
		       (ext ? (uint64_t)fis[8] << 24 | (uint64_t)fis[9] << 32 :
			(uint64_t)(fis[7] & 15) << 24);
	uint32_t count = queued ? fis[3] | fis[11] << 8u :
			 fis[12] | fis[13] << 8u;
	bool write = fis[2] == 0x61 || fis[2] == 0xca || fis[2] == 0x35 ||
		     fis[2] == 0x3d;

	assert_int_equal(table & 127, 0);
	assert_int_equal(header[0] & 31, 5);
	assert_int_equal(fis[0], 0x27);
	assert_int_equal(fis[1], 0x80);
	assert_int_equal(queued, p->sact >> slot & 1);
	assert_true(!queued || fis[12] == slot << 3);
	dev.commands[fis[2]]++;
	dev.last_device = fis[7];
	count = count || ext ? count : 256;
	if (fis[2] == 0xec) {
		data(header, table, (uint8_t *)dev.identify, 512, false);
		header[1] = 512;
	} else if (fis[2] == 0x2f) {
		assert_int_equal(lba, 0x704);
		assert_int_equal(count, 1);
		if (dev.wear_hangs) {
			dev.dropped = true;
			return;
		}
		if (!dev.wear[0]) {
			error(p);
			return;
		}
		data(header, table, (uint8_t *)dev.wear, 512, false);
	} else if (fis[2] == 0x06) {
		assert_int_equal(fis[3], 1);
		trim(header, table);
	} else if (fis[2] != 0xe7 && fis[2] != 0xea) {
		assert_int_equal(fis[7] & 0x40, 0x40);
		if ((int)lba == dev.error_at) {
			if (!queued && !dev.keeps_ci) {
				p->ci &= ~(1u << slot);
			}
			error(p);
			return;
		}
		data(header, table, medium + lba * dev.sector_size,
		     count * dev.sector_size, write);
	}
	p->ci &= ~(1u << slot);
	p->sact &= ~(1u << slot);
	cause(p, queued ? 8 : 1);
}

bool fake_step(void)
{
	struct port *p = &ports[2];
	uint32_t todo = p->ci | p->sact;
	bool interrupt;

	if (dev.busy > 0 && p->sctl == 0 && --dev.busy == 0 && p->cmd & 16) {
		p->tfd = 0x50;
	}
	if (dev.bohc_delay > 0 && dev.bohc & 2 && --dev.bohc_delay == 0) {
		dev.bohc &= ~1u;
	}
	/* Never both kinds at once. */
	assert_true(p->sact == 0 || (p->ci & ~p->sact) == 0);
	while (todo && !dev.hangs && !dev.dropped && p->cmd & 1) {
		unsigned slot = dev.reverse ? 31 - __builtin_clz(todo) :
				__builtin_ctz(todo);

		todo &= ~(1u << slot);
		if (dev.hang_next > 0) {
			dev.hang_next--;
			dev.dropped = true;
		} else {
			finish(p, slot);
		}
	}
	interrupt = dev.interrupt;
	dev.interrupt = false;
	return interrupt;
}

uint64_t fake_in(volatile void *regs, uint32_t at, unsigned size)
{
	if (chaos) {
		return chaos_value();
	}
	assert_ptr_equal(regs, REGS);
	assert_int_equal(size, 4);
	if (at >= 0x100) {
		struct port *p = &ports[(at - 0x100) / 0x80];

		assert_true(at < SIZE);
		switch (at & 0x7f) {
		case 0x10: return p->is;
		case 0x18: return p->cmd;
		case 0x20: return p->tfd;
		case 0x24: return p->sig;
		case 0x28: return p->ssts;
		case 0x34: return p->sact;
		case 0x38: return p->ci;
		}
	}
	switch (at) {
	case 0x00: return dev.cap;
	case 0x08: return dev.is;
	case 0x0c: return 5 | 1u << 20;	/* and one beyond its registers */
	case 0x24: return dev.cap2;
	case 0x28: return dev.bohc;
	}
	fail_msg("reads register %x", at);
	return 0;
}

static void cmd_out(struct port *p, uint32_t value)
{
	uint32_t running = p->cmd & 0xc000;

	assert_true(!(value & 1) || value & 16);
	running = value & 1 ? running | 1 << 15 : dev.engine_stuck ? running :
		  running & ~(1u << 15);
	running = value & 16 ? running | 1 << 14 : running & ~(1u << 14);
	if (!(value & 1)) {
		p->ci = p->sact = 0;
	}
	p->cmd = (value & ~0xc000u) | running;
}

static void sctl_out(struct port *p, uint32_t value)
{
	if ((p->sctl & 15) == 1 && (value & 15) == 0) {
		dev.resets += p == &ports[2];
		p->tfd = 0x80;
		p->ssts = p == &ports[2] && dev.sector_size ? 0x113 : 0;
		dev.busy = 10;
		dev.dropped = false;
	}
	p->sctl = value;
}

static void port_out(struct port *p, uint32_t reg, uint32_t value)
{
	switch (reg) {
	case 0x00:
		assert_int_equal(value & 1023, 0);
		assert_int_equal(p->cmd & 0x8001, 0);
		p->clb = value;
		break;
	case 0x08:
		assert_int_equal(value & 255, 0);
		p->fb = value;
		break;
	case 0x04: case 0x0c: assert_int_equal(value, 0); break;
	case 0x10: p->is &= ~value; break;
	case 0x14: p->ie = value; cause(p, 0); break;
	case 0x18: cmd_out(p, value); break;
	case 0x2c: sctl_out(p, value); break;
	case 0x30: p->serr &= ~value; break;
	case 0x34: assert_true(p->cmd & 1); p->sact |= value; break;
	case 0x38: assert_true(p->cmd & 1); p->ci |= value; break;
	default: fail_msg("writes port register %x", reg);
	}
}

void fake_out(volatile void *regs, uint32_t at, unsigned size, uint64_t value)
{
	if (chaos) {
		return;
	}
	assert_ptr_equal(regs, REGS);
	assert_int_equal(size, 4);
	if (at >= 0x100) {
		assert_true(at < SIZE);
		port_out(&ports[(at - 0x100) / 0x80], at & 0x7f,
			 (uint32_t)value);
		return;
	}
	switch (at) {
	case 0x04: dev.ghc = (uint32_t)value; break;
	case 0x08: dev.is &= ~(uint32_t)value; break;
	case 0x28: dev.bohc = (uint32_t)value; break;
	default: fail_msg("writes register %x", at);
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

void make(unsigned sector_size)
{
	uint32_t sectors = MEDIUM_BYTES / sector_size;

	dev.sector_size = sector_size;
	set_text(dev.identify + 10, "S9", 10);
	set_text(dev.identify + 27, "FAKE SATA", 20);
	dev.identify[49] = 0x300;
	dev.identify[75] = 31;
	dev.identify[76] = 1 << 8;
	dev.identify[83] = 0x4000 | 1 << 10 | 1 << 12 | 1 << 13;
	dev.identify[84] = 0x4000 | 1 << 6;
	dev.identify[100] = (uint16_t)sectors;
	dev.identify[101] = (uint16_t)(sectors >> 16);
	dev.identify[169] = 1;
	dev.identify[217] = 1;
	if (sector_size != 512) {
		dev.identify[106] = 0x5000;
		dev.identify[117] = (uint16_t)(sector_size / 2);
	}
}
