/* SPDX-License-Identifier: MIT */
/*
 * A device's registers in memory, and what a device reads and writes in memory
 * of ours. x86 keeps uncached stores in order with all others
 * [SDM3 "Memory Ordering in P6 and More Recent Processor Families"], so a store
 * to a register comes after what was written for the device before: only the
 * compiler is to be held.
 */
#ifndef ISTHMUS_MMIO_H
#define ISTHMUS_MMIO_H

#include <stdint.h>

static inline void mmio_order(void)
{
	__asm__ volatile("" : : : "memory");
}

/* A store to memory comes before loads that follow, too: what a device is told in
 * memory, before its word there is read. */
static inline void mmio_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline uint8_t mmio_in8(volatile void *regs, uint32_t at)
{
	uint8_t value = *(volatile uint8_t *)((volatile char *)regs + at);

	mmio_order();
	return value;
}

static inline uint16_t mmio_in16(volatile void *regs, uint32_t at)
{
	uint16_t value = *(volatile uint16_t *)((volatile char *)regs + at);

	mmio_order();
	return value;
}

static inline uint32_t mmio_in32(volatile void *regs, uint32_t at)
{
	uint32_t value = *(volatile uint32_t *)((volatile char *)regs + at);

	mmio_order();
	return value;
}

static inline void mmio_out8(volatile void *regs, uint32_t at, uint8_t value)
{
	mmio_order();
	*(volatile uint8_t *)((volatile char *)regs + at) = value;
}

static inline void mmio_out16(volatile void *regs, uint32_t at, uint16_t value)
{
	mmio_order();
	*(volatile uint16_t *)((volatile char *)regs + at) = value;
}

static inline void mmio_out32(volatile void *regs, uint32_t at, uint32_t value)
{
	mmio_order();
	*(volatile uint32_t *)((volatile char *)regs + at) = value;
}

#endif
