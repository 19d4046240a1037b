/* SPDX-License-Identifier: MIT */
/* See device.h. */
#include "fake/device.h"

#define ALLOCS		512u
#define BUS_BASE	0x40000000ull

bool chaos;
unsigned cuts;

static struct {
	uint8_t *data;
	size_t size;
	uint64_t bus;
} allocs[ALLOCS];
static uint64_t next_bus = BUS_BASE;
static uint64_t now_ms;
static struct loop_timer *timers[64];

void *dma_alloc(size_t size, size_t align)
{
	for (unsigned i = 0; i < ALLOCS; i++) {
		if (!allocs[i].data) {
			allocs[i].data = aligned_alloc(align,
				(size + align - 1) / align * align);
			assert_non_null(allocs[i].data);
			memset(allocs[i].data, 0, size);
			allocs[i].size = size;
			next_bus = (next_bus + align - 1) / align * align;
			allocs[i].bus = next_bus;
			next_bus += size + 64;
			return allocs[i].data;
		}
	}
	fail_msg("too many allocations");
	return NULL;
}

void dma_free(void *p, size_t size)
{
	(void)size;
	for (unsigned i = 0; i < ALLOCS; i++) {
		if (p && allocs[i].data == p) {
			free(p);
			allocs[i].data = NULL;
			return;
		}
	}
	assert_null(p);
}

uint64_t dma_bus(const void *p)
{
	for (unsigned i = 0; i < ALLOCS; i++) {
		if (allocs[i].data && (const uint8_t *)p >= allocs[i].data &&
		    (const uint8_t *)p < allocs[i].data + allocs[i].size) {
			return allocs[i].bus +
			       (uint64_t)((const uint8_t *)p - allocs[i].data);
		}
	}
	fail_msg("an address that is not for DMA");
	return 0;
}

void *fake_bus(uint64_t bus, size_t len)
{
	for (unsigned i = 0; i < ALLOCS; i++) {
		if (allocs[i].data && bus >= allocs[i].bus &&
		    bus + len <= allocs[i].bus + allocs[i].size) {
			return allocs[i].data + (bus - allocs[i].bus);
		}
	}
	fail_msg("DMA of %zu bytes at %llx, where nothing is", len,
		 (unsigned long long)bus);
	return NULL;
}

void loop_timer_cancel(struct loop_timer *timer)
{
	for (unsigned i = 0; i < 64; i++) {
		if (timers[i] == timer) {
			timers[i] = NULL;
		}
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

void fake_cut(void *arg)
{
	(void)arg;
	cuts++;
}

void fake_tick(void)
{
	now_ms++;
	for (unsigned i = 0; i < 64; i++) {
		struct loop_timer *timer = timers[i];

		if (timer && timer->deadline <= now_ms) {
			timers[i] = NULL;
			timer->deadline = 0;
			timer->fn(timer);
		}
	}
}

/* Small numbers, single bits, all of it. */
uint32_t chaos_value(void)
{
	uint32_t value = (uint32_t)rand() << 16 ^ (uint32_t)rand();

	switch (rand() % 4) {
	case 0: return value % 70;
	case 1: return 1u << value % 32;
	case 2: return rand() % 2 ? 0 : ~0u;
	default: return value;
	}
}

bool chaos_step(void)
{
	for (unsigned i = 0; i < 50; i++) {
		unsigned n = (unsigned)rand() % ALLOCS;
		uint32_t value = chaos_value();
		size_t at;

		if (!allocs[n].data) {
			continue;
		}
		at = (size_t)rand() % allocs[n].size;
		if (rand() % 2) {
			at %= 16384;
		}
		if (at + 4 <= allocs[n].size) {
			memcpy(allocs[n].data + at / 2 * 2, &value, 4);
		}
	}
	return rand() % 2;
}

void fake_none(void)
{
	chaos = false;
	for (unsigned i = 0; i < ALLOCS; i++) {
		free(allocs[i].data);
		allocs[i].data = NULL;
	}
	memset(timers, 0, sizeof(timers));
	cuts = 0;
}
