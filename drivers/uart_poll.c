/* SPDX-License-Identifier: MIT */
/*
 * A 16550 without interrupts: is it one, its set-up, and output byte by byte. For
 * programs that have the machine to themselves. [PC16550D "Registers"]
 */
#include "drivers/uart_regs.h"

#define SPIN_MAX	100000u
#define MCR_LOOP	0x10u
#define MCR_RTS		0x02u
#define MSR_LINES	0xf0u
#define MSR_LOOPED	0x90u	/* CTS by RTS, DCD by OUT2 */

static void wait_for(const struct boot_uart *at, uint8_t bit)
{
	for (uint32_t i = 0; (uart_get(at, UART_LSR) & bit) == 0 && i < SPIN_MAX; i++) {
	}
}

/**
 * Whether the scratch register holds what is written to it, and outputs come
 * back as inputs in loop mode. Memory and buses that hold a value for a while
 * do the first, but not the second. Nothing is sent.
 */
bool uart_present(const struct boot_uart *at)
{
	static const uint8_t patterns[] = { 0x5a, 0xa5 };
	uint8_t control, lines;

	for (unsigned i = 0; i < sizeof(patterns); i++) {
		uart_put(at, UART_SCRATCH, patterns[i]);
		if (uart_get(at, UART_SCRATCH) != patterns[i]) {
			return false;
		}
	}
	uart_put(at, UART_LCR, UART_LCR_8N1);
	uart_put(at, UART_IER, 0);
	control = uart_get(at, UART_MCR);
	uart_put(at, UART_MCR, MCR_LOOP | UART_MCR_OUT2 | MCR_RTS);
	lines = uart_get(at, UART_MSR) & MSR_LINES;
	uart_put(at, UART_MCR, control);
	return lines == MSR_LOOPED;
}

/** See uart_regs.h; FIFOs are on and empty. */
void uart_set_up(const struct boot_uart *at)
{
	wait_for(at, UART_LSR_TEMT);
	if (at->divisor != 0) {
		uart_put(at, UART_LCR, UART_LCR_DLAB | UART_LCR_8N1);
		uart_put(at, UART_DATA, (uint8_t)at->divisor);
		uart_put(at, UART_IER, (uint8_t)(at->divisor >> 8));
	}
	uart_put(at, UART_LCR, UART_LCR_8N1);
	uart_put(at, UART_IER, 0);
	uart_put(at, UART_FCR, UART_FCR_ENABLE);
	uart_put(at, UART_MCR, UART_MCR_ON);
}

/** See uart_regs.h. */
void uart_send(const struct boot_uart *at, uint8_t byte)
{
	wait_for(at, UART_LSR_THRE);
	uart_put(at, UART_DATA, byte);
}
