/* SPDX-License-Identifier: MIT */
/*
 * The DMA pool: a bit for each page, first fit. What is kept of it lies outside,
 * where no device can write. One CPU, no interrupts: no locks.
 */
#include <string.h>

#include "proto/host_info.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/rt/hc.h"

#define PAGE		4096u
#define PAGES_MAX	(HOST_DMA_MAX / PAGE)

static uint8_t *pool;		/* NULL: there is none */
static size_t pages, used;
static uint64_t bus;
static bool guarded;
static uint8_t taken[PAGES_MAX / 8];

static bool is_taken(size_t page)
{
	return (taken[page / 8] >> page % 8 & 1) != 0;
}

static void mark(size_t page, size_t count, bool take)
{
	for (size_t i = page; i < page + count; i++) {
		taken[i / 8] = (uint8_t)(take ? taken[i / 8] | 1u << i % 8 :
					 taken[i / 8] & ~(1u << i % 8));
	}
	used = take ? used + count : used - count;
}

/**
 * Asks the hypervisor for the pool, of which nothing is in use. Without one, every
 * dma_alloc() fails.
 */
void dma_init(void)
{
	struct hc_regs r = { 0 };

	pages = used = 0;
	memset(taken, 0, sizeof(taken));
	if (hc_pci(HC_PCI_DMA, 0, &r) == HC_OK && r.rsi <= HOST_DMA_MAX) {
		pool = (uint8_t *)(uintptr_t)r.rdi;
		pages = r.rsi / PAGE;
		bus = r.rdx;
		guarded = r.r10 != 0;
	}
}

/** See dma.h. */
void *dma_alloc(size_t size, size_t align)
{
	size_t count = (size + PAGE - 1) / PAGE, step, run, at = 0;

	step = align > PAGE ? align / PAGE : 1;
	if (size == 0 || size > pages * PAGE) {
		return NULL;
	}
	/* the pool begins at a multiple of 2 MiB for both sides, and the step is
	 * one for the device: bus + at * PAGE must be a multiple of align */
	at = (size_t)(-(bus / PAGE) & (step - 1));
	while (at + count <= pages) {
		for (run = 0; run < count && !is_taken(at + run); run++) {
		}
		if (run == count) {
			mark(at, count, true);
			return memset(pool + at * PAGE, 0, count * PAGE);
		}
		/* behind the page that was in the way */
		at += (run + step) / step * step;
	}
	return NULL;
}

/** See dma.h. */
void dma_free(void *memory, size_t size)
{
	if (memory) {
		mark((size_t)((uint8_t *)memory - pool) / PAGE,
		     (size + PAGE - 1) / PAGE, false);
	}
}

/** See dma.h. */
uint64_t dma_bus(const void *memory)
{
	return bus + (uint64_t)((const uint8_t *)memory - pool);
}

/** Bytes of the pool; 0: there is none. */
size_t dma_size(void)
{
	return pages * PAGE;
}

/** Not in one piece, perhaps. */
size_t dma_room(void)
{
	return (pages - used) * PAGE;
}

/** See dma.h. */
bool dma_guarded(void)
{
	return guarded;
}
