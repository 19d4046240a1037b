/* SPDX-License-Identifier: MIT */
/*
 * Included before everything else when a disk's driver is built for a unit
 * test: registers and ports become functions of the test, which has a device
 * behind them; memory for DMA has addresses on the bus that no pointer has; and
 * the loop's clock is the test's.
 */
#ifndef DISK_MACHINE_H
#define DISK_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ISTHMUS_MMIO_H
#define ISTHMUS_PORTIO_H

/* The test's device: size in bytes. regs are what the test gave the driver. */
uint64_t fake_in(volatile void *regs, uint32_t at, unsigned size);
void fake_out(volatile void *regs, uint32_t at, unsigned size, uint64_t value);
uint32_t fake_port_in(uint16_t port, unsigned size);
void fake_port_out(uint16_t port, unsigned size, uint32_t value);

static inline void mmio_order(void)
{
	__asm__ volatile("" : : : "memory");
}

static inline void mmio_fence(void)
{
	__asm__ volatile("" : : : "memory");
}

static inline uint8_t mmio_in8(volatile void *regs, uint32_t at)
{
	return (uint8_t)fake_in(regs, at, 1);
}

static inline uint16_t mmio_in16(volatile void *regs, uint32_t at)
{
	return (uint16_t)fake_in(regs, at, 2);
}

static inline uint32_t mmio_in32(volatile void *regs, uint32_t at)
{
	return (uint32_t)fake_in(regs, at, 4);
}

static inline void mmio_out8(volatile void *regs, uint32_t at, uint8_t value)
{
	fake_out(regs, at, 1, value);
}

static inline void mmio_out16(volatile void *regs, uint32_t at, uint16_t value)
{
	fake_out(regs, at, 2, value);
}

static inline void mmio_out32(volatile void *regs, uint32_t at, uint32_t value)
{
	fake_out(regs, at, 4, value);
}

static inline uint8_t port_in8(uint16_t port)
{
	return (uint8_t)fake_port_in(port, 1);
}

static inline uint16_t port_in16(uint16_t port)
{
	return (uint16_t)fake_port_in(port, 2);
}

static inline uint32_t port_in32(uint16_t port)
{
	return fake_port_in(port, 4);
}

static inline void port_out8(uint16_t port, uint8_t value)
{
	fake_port_out(port, 1, value);
}

static inline void port_out16(uint16_t port, uint16_t value)
{
	fake_port_out(port, 2, value);
}

static inline void port_out32(uint16_t port, uint32_t value)
{
	fake_port_out(port, 4, value);
}

#endif
