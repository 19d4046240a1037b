/* SPDX-License-Identifier: MIT */
/* See xhci.h. [xHCI 1.2] */
#include "fake/xhci.h"

#define OP		0x40u
#define RUNTIME		0x600u
#define DOORBELLS	0x800u
#define SLOTS		8u

struct trb {
	uint64_t parameter;
	uint32_t status, control;
};

struct played played;

/* Into what another end reads next; the driver's memory alone. */
static bool next(uint64_t *at, uint32_t *cycle, struct trb *trb)
{
	for (unsigned i = 0; i < 2; i++) {
		memcpy(trb, fake_bus(*at, sizeof(*trb)), sizeof(*trb));
		if ((trb->control & 1) != *cycle) {
			return false;
		}
		if ((trb->control >> 10 & 0x3f) != 6) {
			*at += sizeof(*trb);
			return true;
		}
		*at = trb->parameter;
		*cycle ^= trb->control >> 1 & 1;
	}
	fail_msg("a ring of links");
	return false;
}

static void post(uint64_t parameter, uint32_t status, uint32_t control)
{
	uint64_t *piece = fake_bus(played.table, 16);
	struct trb *trb = fake_bus(piece[0] + played.event * sizeof(*trb),
				   sizeof(*trb));

	*trb = (struct trb){ parameter, status, control | played.events_cycle };
	if (++played.event == piece[1]) {
		played.event = 0;
		played.events_cycle ^= 1;
	}
	played.pending = true;
}

static void port_event(unsigned port)
{
	if (played.command & 1) {
		post((uint64_t)port << 24, 1u << 24, 34u << 10);
	}
}

static struct played_device *by_slot(unsigned slot)
{
	for (unsigned i = 0; i < PLAYED_DEVICES; i++) {
		if (played.device[i].kind && slot && played.device[i].slot == slot) {
			return &played.device[i];
		}
	}
	return NULL;
}

static struct played_device *by_place(unsigned root, unsigned port)
{
	for (unsigned i = 0; i < PLAYED_DEVICES; i++) {
		struct played_device *d = &played.device[i];

		if (d->kind && d->root == root && d->port == port) {
			return d;
		}
	}
	return NULL;
}

/* A device gets its address: it must be as its context says. */
static bool address(uint64_t input, unsigned slot)
{
	uint32_t *words = fake_bus(input, 3 * played.context);
	uint32_t *is = words + played.context / 4, *ep = is + played.context / 4;
	uint64_t *contexts = fake_bus(played.contexts, 8 * (SLOTS + 1));
	struct played_device *d = by_place(is[1] >> 16 & 0xff, is[0] & 0xf);

	assert_int_equal(words[1], 3);
	assert_non_null(d);
	assert_int_equal(is[0] >> 20 & 0xf, d->speed);
	assert_int_equal(is[0] >> 27, 1);
	assert_int_equal(ep[1] >> 16, d->speed == 3 ? 64 : d->speed == 4 ? 512 : 8);
	(void)fake_bus(contexts[slot], 32 * played.context);
	if (d->port && d->speed < 3 && by_place(d->root, 0)->speed == 3) {
		assert_int_equal(is[2], by_place(d->root, 0)->slot | d->port << 8);
	}
	d->slot = slot;
	d->ring = (ep[2] & ~15u) | (uint64_t)ep[3] << 32;
	d->cycle = ep[2] & 1;
	return true;
}

static bool configure(uint64_t input, struct played_device *d)
{
	uint32_t *words = fake_bus(input, 33 * played.context / 2);
	uint32_t *is = words + played.context / 4;
	unsigned index = is[0] >> 27;
	uint32_t *ep = is + index * played.context / 4;

	assert_int_equal(words[1], 1 | 1u << index);
	assert_int_equal(ep[1] >> 3 & 7, 7);
	assert_int_equal(is[0] >> 26 & 1, d->kind == HUB);
	assert_true(d->configured);
	d->endpoint = index;
	d->reports = (ep[2] & ~15u) | (uint64_t)ep[3] << 32;
	d->reports_cycle = ep[2] & 1;
	return true;
}

static void command(const struct trb *trb, uint64_t at)
{
	unsigned type = trb->control >> 10 & 0x3f, slot = trb->control >> 24;
	struct played_device *d = by_slot(slot);
	bool ok = true;

	switch (type) {
	case 9:
		slot = ++played.enabled;
		break;
	case 10:
		played.disabled++;
		if (d) {
			d->slot = 0;
			d->wants = d->configured = false;
		}
		break;
	case 11:
		ok = address(trb->parameter, slot);
		break;
	case 12:
		ok = d && configure(trb->parameter, d);
		break;
	case 13:
		break;
	default:
		fail_msg("command %u", type);
	}
	post(at, (ok ? 1u : 5u) << 24, 33u << 10 | slot << 24);
}

static void run_commands(void)
{
	struct trb trb;

	while (next(&played.commands, &played.commands_cycle, &trb)) {
		if (!played.deaf) {
			command(&trb, played.commands - sizeof(trb));
		}
	}
}

static const uint8_t keyboard[] = {
	9, 2, 34, 0, 1, 1, 0, 0xa0, 50,		9, 4, 0, 0, 1, 3, 1, 1, 0,
	9, 0x21, 0x11, 1, 0, 1, 0x22, 63, 0,	7, 5, 0x81, 3, 8, 0, 10,
};
static const uint8_t hub[] = {
	9, 2, 25, 0, 1, 1, 0, 0xe0, 0,		9, 4, 0, 0, 1, 9, 0, 0, 0,
	7, 5, 0x81, 3, 1, 0, 255,
};
static const uint8_t stick[] = {
	9, 2, 32, 0, 1, 1, 0, 0x80, 50,		9, 4, 0, 0, 2, 8, 6, 80, 0,
	7, 5, 0x81, 2, 0, 2, 0,			7, 5, 2, 2, 0, 2, 0,
};

static void hub_request(unsigned request, unsigned feature, unsigned port,
			uint8_t *out)
{
	uint32_t *status = &played.hub_port[port];

	assert_in_range(port, 1, 4);
	switch (request) {
	case 0x00a3:
		memcpy(out, status, 4);
		break;
	case 0x0323:
		if (feature == 4 && (*status & 1)) {
			*status |= 0x100002;		/* reset, at once */
		}
		break;
	case 0x0123:
		*status &= ~(1u << feature);
		break;
	default:
		fail_msg("request %x", request);
	}
}

/* What a device does for a request; what it says in out. */
static void request(struct played_device *d, uint64_t setup, uint8_t *out)
{
	const uint8_t first[8] = { 18, 1, 0, 2, d->kind == HUB ? 9 : 0, 0, 0,
				   d->speed == 3 ? 64 : 8 };
	unsigned what = setup & 0xffff, value = setup >> 16 & 0xffff;

	if (what == 0x0680 && value == 0x100) {
		memcpy(out, first, 8);
	} else if (what == 0x0680 && value == 0x200 && d->liar) {
		for (unsigned i = 0; i < 512; i += 2) {
			out[i] = 2;
			out[i + 1] = 0xff;
		}
		out[2] = out[3] = 0xff;
		out[4] = 2;
	} else if (what == 0x0680 && value == 0x200) {
		memcpy(out, d->kind == KEYBOARD ? keyboard : d->kind == HUB ? hub : stick,
		       d->kind == KEYBOARD ? sizeof(keyboard) :
		       d->kind == HUB ? sizeof(hub) : sizeof(stick));
	} else if (what == 0x0900) {
		d->configured = value == 1;
	} else if (what == 0x0b21 && d->kind == KEYBOARD) {
		d->boot_protocol = value == 0;
	} else if (what == 0x06a0 && d->kind == HUB) {
		memcpy(out, (uint8_t []){ 9, 0x29, 4, 0, 0, 50, 0, 0 }, 8);
	} else if (d->kind == HUB) {
		hub_request(what, value, setup >> 32 & 0xffff, out);
	} else {
		fail_msg("request %x", what);
	}
}

static void run_control(struct played_device *d)
{
	struct trb setup, trb;
	uint8_t out[512] = { 0 };

	while (next(&d->ring, &d->cycle, &setup)) {
		unsigned len = setup.parameter >> 48;

		assert_int_equal(setup.control >> 10 & 0x3f, 2);
		assert_int_equal(setup.status, 8);
		assert_true(setup.control & 0x40);
		assert_int_equal(setup.control >> 16 & 3, len ? 3 : 0);
		if (!d->silent) {
			request(d, setup.parameter, out);
		}
		assert_true(next(&d->ring, &d->cycle, &trb));
		if (len) {
			assert_int_equal(trb.control >> 10 & 0x3f, 3);
			memcpy(fake_bus(trb.parameter, len), out, len);
			assert_true(next(&d->ring, &d->cycle, &trb));
		}
		assert_int_equal(trb.control >> 10 & 0x3f, 4);
		if (!d->silent) {
			post(d->ring - sizeof(trb), 1u << 24,
			     32u << 10 | 1u << 16 | d->slot << 24);
		}
	}
}

static void doorbell(unsigned slot, uint32_t target)
{
	struct played_device *d = by_slot(slot);

	if (slot == 0) {
		run_commands();
	} else if (d && target == 1) {
		run_control(d);
	} else if (d && target == d->endpoint) {
		d->wants = true;
	}
}

static bool report(struct played_device *d, const void *data, size_t len,
		   uint32_t code)
{
	struct trb trb;

	if (!d->wants || !next(&d->reports, &d->reports_cycle, &trb)) {
		return false;
	}
	d->wants = false;
	memcpy(fake_bus(trb.parameter, trb.status), data,
	       len < trb.status ? len : trb.status);
	post(d->reports - sizeof(trb), code << 24,
	     32u << 10 | d->endpoint << 16 | d->slot << 24);
	return true;
}

bool played_report(struct played_device *d, const void *data, size_t len)
{
	return report(d, data, len, 1);
}

bool played_fault(struct played_device *d)
{
	return report(d, "", 0, 4);
}

static void port_write(unsigned port, uint32_t value)
{
	uint32_t *p = &played.portsc[port];

	assert_false(value & 2);		/* that would turn it off */
	*p &= ~(value & 0xfe0000);
	if ((value & 0x10) && (*p & 1)) {
		*p |= 0x200002;			/* reset, at once */
		port_event(port);
	}
}

static void op_write(uint32_t at, uint32_t value)
{
	switch (at) {
	case 0:
		played.command = value & ~2u;
		if (value & 1) {
			for (unsigned i = 1; i <= PLAYED_PORTS; i++) {
				if (played.portsc[i] & 1) {
					port_event(i);
				}
			}
		}
		break;
	case 0x18:
		played.commands = value & ~63u;
		played.commands_cycle = value & 1;
		break;
	case 0x30:
		played.contexts = value;
		break;
	case 0x38:
		played.config = value;
		break;
	default:
		if (at >= 0x400) {
			port_write((at - 0x400) / 16 + 1, value);
		}
	}
}

uint64_t fake_in(volatile void *regs, uint32_t at, unsigned size)
{
	(void)regs;
	assert_int_equal(size, 4);
	assert_true(at + size <= PLAYED_SIZE);
	if (chaos) {
		return chaos_value();
	}
	switch (at) {
	case 0:
		return 0x01000000 | OP;
	case 4:
		return SLOTS | 1u << 8 | PLAYED_PORTS << 24;
	case 8:
		return 2u << 27;
	case 0x10:
		return played.context == 64 ? 4 : 0;
	case 0x14:
		return played.doorbells_at;
	case 0x18:
		return RUNTIME;
	case OP:
		return played.command;
	case OP + 4:
		if (played.never_ready) {
			fake_tick();
			return 0x800;
		}
		return played.command & 1 ? 0 : 1;
	case OP + 8:
		return 1;
	default:
		return at >= OP + 0x400 && at < OP + 0x420
		       ? played.portsc[(at - OP - 0x400) / 16 + 1] : 0;
	}
}

void fake_out(volatile void *regs, uint32_t at, unsigned size, uint64_t value)
{
	(void)regs;
	assert_int_equal(size, 4);
	assert_true(at + size <= PLAYED_SIZE);
	if (chaos) {
		return;
	}
	if (at >= DOORBELLS) {
		doorbell((at - DOORBELLS) / 4, (uint32_t)value);
	} else if (at == RUNTIME + 0x30) {
		played.table = value;
	} else if (at == RUNTIME + 0x38) {
		played.dequeue = value;
	} else if (at >= OP && at < RUNTIME) {
		op_write(at - OP, (uint32_t)value);
	}
}

void played_reset(void)
{
	played = (struct played){ .context = 32, .doorbells_at = DOORBELLS,
				  .events_cycle = 1, .portsc = { 0, 0x200, 0x200 } };
}

struct played_device *played_plug(enum played_kind kind, unsigned root,
				  unsigned port, unsigned speed)
{
	struct played_device *d = played.device;

	while (d->kind) {
		d++;
	}
	*d = (struct played_device){ kind, root, port, speed, false, false, 0, false,
				     false, 0, 0, 0, 0, 0, false };
	if (port) {
		played.hub_port[port] = 0x10101 | (speed == 2 ? 0x200 : 0) |
					(speed == 3 ? 0x400 : 0);
		(void)played_report(by_place(root, 0), (uint8_t []){ 1u << port }, 1);
	} else {
		played.portsc[root] = 0x20201 | speed << 10;
		port_event(root);
	}
	return d;
}

void played_unplug(struct played_device *d)
{
	if (d->port) {
		played.hub_port[d->port] = 0x10100;
		(void)played_report(by_place(d->root, 0),
				    (uint8_t []){ 1u << d->port }, 1);
	} else {
		played.portsc[d->root] = 0x20200;
		port_event(d->root);
	}
	d->kind = NOTHING;
}

void played_run(struct xhci *x, unsigned ms)
{
	for (; ms > 0; ms--) {
		fake_tick();
		for (unsigned i = 0; i < 8 && played.pending; i++) {
			played.pending = false;
			xhci_interrupt(x);
		}
	}
}
