/* SPDX-License-Identifier: MIT */
/*
 * The registers of a 16550, at ports or in memory, and what can be done with one
 * without interrupts. [PC16550D "Registers"]
 */
#ifndef ISTHMUS_UART_REGS_H
#define ISTHMUS_UART_REGS_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/include/abi/boot_info.h"

enum uart_register {
	UART_DATA = 0,		/* receive, transmit; DLAB: divisor low */
	UART_IER = 1,		/* interrupt enable; DLAB: divisor high */
	UART_IIR = 2,		/* read: interrupt identification */
	UART_FCR = 2,		/* write: FIFO control */
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCRATCH = 7,
};

#define UART_FCR_ENABLE	0x07u	/* FIFOs on and cleared, trigger at 1 byte */
#define UART_LCR_8N1	0x03u
#define UART_LCR_DLAB	0x80u
#define UART_MCR_ON	0x03u	/* DTR, RTS */
#define UART_MCR_OUT2	0x08u	/* gates the interrupt */
#define UART_LSR_DATA	0x01u
#define UART_LSR_THRE	0x20u
#define UART_LSR_TEMT	0x40u

/* One register; where nothing is, a port reads as all ones. */
uint8_t uart_get(const struct boot_uart *at, enum uart_register reg);
void uart_put(const struct boot_uart *at, enum uart_register reg, uint8_t value);

/* Does a 16550 answer there? One that does has its interrupts off afterwards. */
bool uart_present(const struct boot_uart *at);
/* Lets end what is being sent; then 8N1, the divisor unless that is 0, interrupts off. */
void uart_set_up(const struct boot_uart *at);
/* Sends a byte, by polling; a line that is stuck costs a while for each. */
void uart_send(const struct boot_uart *at, uint8_t byte);

#endif
