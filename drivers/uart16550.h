/* SPDX-License-Identifier: MIT */
/*
 * Driver of a 16550A UART, 8N1: interrupt-driven or asked now and then, with a
 * transmit and a receive ring. It never waits: the caller learns how much was taken
 * and is told by its own interrupt event when there is room again.
 */
#ifndef ISTHMUS_UART16550_H
#define ISTHMUS_UART16550_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor/include/abi/boot_info.h"

#define UART_TX_SIZE	(256u << 10)	/* powers of two */
#define UART_RX_SIZE	4096u

struct uart16550 {
	struct boot_uart at;
	bool present;
	bool polled;		/* its interrupts are off */
	uint8_t ier;
	uint32_t tx_head;	/* free running: bytes queued ... */
	uint32_t tx_tail;	/* ... and bytes given to the UART */
	uint32_t rx_head;
	uint32_t rx_tail;
	uint32_t rx_lost;	/* bytes received with the ring full */
	uint32_t rx_looked;	/* none before it is rx_taken, ... */
	uint8_t rx_taken;	/* ... which was asked for last */
	uint8_t tx[UART_TX_SIZE];
	uint8_t rx[UART_RX_SIZE];
};

/* Sets the UART up, with the divisor unless that is 0, and with the receive
 * interrupt enabled, or polled. False (and all later output is dropped) when
 * nothing answers there, or base is 0. */
bool uart16550_init(struct uart16550 *uart, const struct boot_uart *at,
		    bool polled);
/* To be called at each interrupt, or now and then: serves all causes. */
void uart16550_interrupt(struct uart16550 *uart);
/* Queues up to len bytes; returns how many were taken. */
size_t uart16550_write(struct uart16550 *uart, const void *data, size_t len);
/* Next received byte, or -1. */
int uart16550_read(struct uart16550 *uart);
/* Removes received bytes up to the first one of this value and returns true;
 * none there: removes nothing. */
bool uart16550_take(struct uart16550 *uart, uint8_t byte);
/* Forgets what is queued; what the UART has already is sent. */
void uart16550_drop(struct uart16550 *uart);
/* Sends all that is queued by polling: for the last words of a program. */
void uart16550_drain(struct uart16550 *uart);

static inline size_t uart16550_queued(const struct uart16550 *uart)
{
	return uart->tx_head - uart->tx_tail;
}

static inline size_t uart16550_room(const struct uart16550 *uart)
{
	return UART_TX_SIZE - uart16550_queued(uart);
}

#endif
