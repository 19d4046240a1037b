/* SPDX-License-Identifier: MIT */
/*
 * Access to a 16550's registers. Those of 32 bits count by their lowest eight:
 * see struct boot_uart.
 */
#include "drivers/portio.h"
#include "drivers/uart_regs.h"

/** See uart_regs.h. Memory is mapped where at->base says. Any context. */
uint8_t uart_get(const struct boot_uart *at, enum uart_register reg)
{
	if (at->kind == BOOT_UART_PORTS) {
		return port_in8((uint16_t)(at->base + reg));
	}
	return at->kind == BOOT_UART_WORDS ?
	       (uint8_t)((volatile uint32_t *)(uintptr_t)at->base)[reg] :
	       ((volatile uint8_t *)(uintptr_t)at->base)[reg];
}

/** See uart_regs.h. */
void uart_put(const struct boot_uart *at, enum uart_register reg, uint8_t value)
{
	if (at->kind == BOOT_UART_PORTS) {
		port_out8((uint16_t)(at->base + reg), value);
	} else if (at->kind == BOOT_UART_WORDS) {
		((volatile uint32_t *)(uintptr_t)at->base)[reg] = value;
	} else {
		((volatile uint8_t *)(uintptr_t)at->base)[reg] = value;
	}
}
