/* SPDX-License-Identifier: MIT */
/*
 * The serial port Linux sees: a 16550A without interrupt line and without
 * input, always ready to send. Enough for the kernel's console and for a
 * tty driver that polls.
 */
#ifndef ISTHMUS_UART_MODEL_H
#define ISTHMUS_UART_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UART_MODEL_PORT		0x3f8u
#define UART_MODEL_PORT_LAST	0x3ffu

struct uart_model {
	uint8_t ier, fcr, lcr, mcr, scratch;
	uint8_t divisor[2];
	bool thr_event;		/* "holding register empty" not yet seen */
	bool loop_data;		/* a byte sent in loopback mode waits */
	uint8_t loop_byte;
};

void uart_model_reset(struct uart_model *uart);
/* Its registers as 10 bytes, and as such say, which may be any; returns 10. */
size_t uart_model_save(const struct uart_model *uart, uint8_t saved[]);
size_t uart_model_restore(struct uart_model *uart, const uint8_t saved[]);
uint8_t uart_model_in(struct uart_model *uart, unsigned port);
/* Returns the byte sent on the line, or -1. */
int uart_model_out(struct uart_model *uart, unsigned port, uint8_t value);

#endif
