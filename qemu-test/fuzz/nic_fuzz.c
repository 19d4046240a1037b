// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: the drivers of network cards, with a card whose registers read
 * as the input says, and which writes what the input says into the memory that the
 * driver has set aside for it, while frames are sent and time goes by. What must
 * hold: no bad access; what is handed on is of a possible length; the card's
 * frames in flight are no more than were sent; and a failed card has lost the bus.
 */
#include <stdlib.h>
#include <string.h>

#include "drivers/e1000.h"
#include "drivers/virtio_net.h"
#include "host-bridge/dev/dma.h"

#define POOL		(4u << 20)
#define SENT		700u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *pool;
static size_t pool_used;
static uint64_t now_ms;
static struct loop_timer *timers[4];
static const uint8_t *at, *end;
static bool cut, again;
static unsigned good;			/* registers that are as they should */

static uint32_t take(unsigned bytes)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes && at < end; i++) {
		value |= (uint32_t)*at++ << (8 * i);
	}
	return value;
}

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

void *dma_alloc(size_t size, size_t align)
{
	uint8_t *p;

	pool_used = (pool_used + align - 1) / align * align;
	p = pool + pool_used;
	check(pool_used + size <= POOL);
	pool_used += size;
	memset(p, 0, size);
	return p;
}

void dma_free(void *memory, size_t size)
{
	(void)memory;
	(void)size;
}

uint64_t dma_bus(const void *memory)
{
	check((const uint8_t *)memory >= pool &&
	      (const uint8_t *)memory < pool + pool_used);
	return 0x40000000 + (uint64_t)((const uint8_t *)memory - pool);
}

void loop_timer_cancel(struct loop_timer *timer)
{
	for (unsigned i = 0; i < 4; i++) {
		timers[i] = timers[i] == timer ? NULL : timers[i];
	}
	timer->deadline = 0;
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	unsigned i = 0;

	loop_timer_cancel(timer);
	while (timers[i]) {
		i++;
	}
	timers[i] = timer;
	timer->fn = fn;
	timer->deadline = now_ms + delay_ms;
}

uint64_t loop_uptime_ms(void)
{
	return now_ms;
}

/* A start goes well if nobody says anything else. */
static uint64_t usual(volatile void *regs, uint32_t reg)
{
	if (regs == (void *)0x1000) {
		return reg == 0x04 ? 0xffffffff : reg == 0x14 ? (good++ % 2) * 8 :
		       reg == 0x18 ? 256 : 0;
	}
	return reg == 0x5400 ? 0x00545200 | 2 : reg == 0x5404 ? 1u << 31 :
	       reg == 0x0008 ? 2 : reg == 6 ? 1 : reg < 6 ? 2 : 0;
}

uint64_t fake_in(volatile void *regs, uint32_t reg, unsigned size)
{
	uint8_t how = (uint8_t)take(1);

	return how < 0xe0 ? usual(regs, reg) : take(size);
}

void fake_out(volatile void *regs, uint32_t reg, unsigned size, uint64_t value)
{
	(void)regs;
	(void)reg;
	(void)size;
	(void)value;
}

uint32_t fake_port_in(uint16_t port, unsigned size)
{
	(void)port;
	(void)size;
	abort();
}

void fake_port_out(uint16_t port, unsigned size, uint32_t value)
{
	(void)port;
	(void)size;
	(void)value;
	abort();
}

static void fake_cut(void *arg)
{
	(void)arg;
	cut = true;
}

static void on_again(void *arg)
{
	(void)arg;
	again = true;
}

static void receive(void *arg, const void *frame, size_t len, unsigned flags)
{
	const struct nic_seg seg = { frame, len };

	(void)flags;
	check(len >= NIC_HEADER && len <= NIC_FRAME_MAX);
	if (len % 3 == 0) {
		(void)nic_send(arg, &seg, 1, NULL);
	}
}

static void tick(unsigned ms)
{
	now_ms += ms;
	for (unsigned i = 0; i < 4; i++) {
		struct loop_timer *timer = timers[i];

		if (timer && timer->deadline <= now_ms) {
			timers[i] = NULL;
			timer->deadline = 0;
			timer->fn(timer);
		}
	}
}

static void send(struct nic *nic)
{
	static uint8_t frame[NIC_SEND_MAX];
	uint32_t bits = take(2);
	struct nic_seg segs[] = { { frame, bits % 1600 },
				  { frame + 1600, take(1) } };
	struct nic_offload off = {
		.csum = bits & 0x4000, .gso = take(1) & 7,
		.csum_start = (uint16_t)take(1), .csum_offset = 16,
		.gso_size = (uint16_t)take(2),
	};

	if (bits & 0x2000) {
		segs[1].len = 40000;
		memcpy(frame + 12, bits & 0x1000 ? "\x86\xdd\x60" : "\x08\0E", 3);
		frame[23] = frame[20] = 6;
		frame[46] = frame[66] = 0x50;
	}
	(void)nic_send(nic, segs, 2, bits & 0x8000 ? &off : NULL);
}

/* Into its rings mostly, which are the first of its memory. */
static void scribble(size_t begin)
{
	uint32_t bits = take(3), value = take(2);
	size_t where = begin + bits % (bits & 0x800000 ? 20000 : 8192);

	if (where + 2 <= pool_used) {
		memcpy(pool + where / 2 * 2, &value, 2);
	}
}

static void run(struct nic *nic)
{
	nic->receive = receive;
	nic->arg = nic;
	nic->again = on_again;
	nic_start(nic);
	while (at < end) {
		uint32_t op = take(1);

		switch (op & 7) {
		case 0: tick(3); break;
		case 1: tick(op << 4); break;
		case 2: nic_interrupt(nic); break;
		case 3: nic_link_interrupt(nic); break;
		case 4: send(nic); break;
		case 5: nic_poll(nic); break;
		default: scribble(0); break;
		}
		if (again) {
			again = false;
			nic_interrupt(nic);
		}
		check(nic->in_flight <= SENT);
		check(nic->state != NIC_FAILED || cut);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_regs virtio = {
		.common = (void *)0x1000, .device = (void *)0x2000,
		.device_size = 12, .notify = (void *)0x3000,
		.notify_size = 4096, .notify_multiplier = 4, .cut = fake_cut,
	};
	struct e1000_regs e1000 = { .base = (void *)0x4000, .cut = fake_cut };
	struct nic *nic;
	uint32_t kind;

	if (!pool) {
		pool = aligned_alloc(4096, POOL);
	}
	at = data;
	end = data + size;
	pool_used = 0;
	now_ms = 0;
	good = 0;
	cut = again = false;
	memset(timers, 0, sizeof(timers));
	kind = take(1);
	e1000.express = kind & 2;
	nic = kind & 1 ? virtio_net_new(&virtio, kind & 2) :
			 e1000_new(&e1000, kind & 2);
	run(nic);
	free(nic);
	return 0;
}
