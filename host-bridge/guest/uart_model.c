/* SPDX-License-Identifier: MIT */
/*
 * Model of a 16550A. Drivers find its type by writing registers and looking
 * (FIFO bits, scratch register, loopback), so those behave. There is no time in
 * it: a byte is sent when it is written, so the transmitter is always empty. No
 * interrupt is ever raised; the registers that speak of interrupts are right
 * for a driver that polls them. Any write is safe. [PC16550D data sheet,
 * "Registers"]
 */
#include <string.h>

#include "host-bridge/guest/uart_model.h"

#define LCR_DLAB	0x80u
#define IER_RX		0x01u
#define IER_THRE	0x02u
#define IER_MASK	0x0fu
#define IIR_NONE	0x01u
#define IIR_THRE	0x02u
#define IIR_RX		0x04u
#define IIR_FIFO	0xc0u
#define FCR_ENABLE	0x01u
#define MCR_MASK	0x1fu
#define MCR_LOOP	0x10u
#define LSR_DATA	0x01u
#define LSR_EMPTY	0x60u	/* transmitter and holding register */
#define MSR_READY	0xb0u	/* DCD, DSR, CTS */

/**
 * Registers as after a reset; rate divisor 1, 115200 baud, which nothing
 * depends on.
 */
void uart_model_reset(struct uart_model *uart)
{
	*uart = (struct uart_model){ .divisor = { 1, 0 } };
}

/** See uart_model.h. */
size_t uart_model_save(const struct uart_model *uart, uint8_t saved[])
{
	const uint8_t bytes[] = {
		uart->ier, uart->fcr, uart->lcr, uart->mcr, uart->scratch,
		uart->divisor[0], uart->divisor[1], uart->thr_event,
		uart->loop_data, uart->loop_byte,
	};

	memcpy(saved, bytes, sizeof(bytes));
	return sizeof(bytes);
}

/** See uart_model.h. */
size_t uart_model_restore(struct uart_model *uart, const uint8_t saved[])
{
	*uart = (struct uart_model){
		.ier = saved[0] & IER_MASK, .fcr = saved[1], .lcr = saved[2],
		.mcr = saved[3] & MCR_MASK, .scratch = saved[4],
		.divisor = { saved[5], saved[6] }, .thr_event = saved[7] & 1,
		.loop_data = saved[8] & 1, .loop_byte = saved[9],
	};
	return 10;
}

/* The identification register: the cause with the highest priority that is
 * enabled, and whether the FIFO is on. Reading it takes "empty" back. */
static uint8_t interrupt_id(struct uart_model *uart)
{
	uint8_t fifo = uart->fcr & FCR_ENABLE ? IIR_FIFO : 0;

	if ((uart->ier & IER_RX) && uart->loop_data) {
		return fifo | IIR_RX;
	}
	if ((uart->ier & IER_THRE) && uart->thr_event) {
		uart->thr_event = false;	/* reading acknowledges it */
		return fifo | IIR_THRE;
	}
	return fifo | IIR_NONE;
}

/* In loopback mode the modem control outputs come back as inputs: RTS as
 * CTS, DTR as DSR, OUT1 as RI, OUT2 as DCD. */
static uint8_t modem_status(const struct uart_model *uart)
{
	uint8_t mcr = uart->mcr;

	if (!(mcr & MCR_LOOP)) {
		return MSR_READY;
	}
	return (uint8_t)((mcr & 0x0c) << 4 | (mcr & 0x02) << 3 |
			 (mcr & 0x01) << 5);
}

/**
 * Reads a register of the eight; some reads acknowledge. Only the low three
 * bits of port count.
 */
uint8_t uart_model_in(struct uart_model *uart, unsigned port)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (port & 7) {
	case 0:
		if (dlab) {
			return uart->divisor[0];
		}
		/* What was sent in loopback mode, the only input there is. */
		uart->loop_data = false;
		return uart->loop_byte;
	case 1:
		return dlab ? uart->divisor[1] : uart->ier;
	case 2:
		return interrupt_id(uart);
	case 3:
		return uart->lcr;
	case 4:
		return uart->mcr;
	case 5:
		return LSR_EMPTY | (uart->loop_data ? LSR_DATA : 0);
	case 6:
		return modem_status(uart);
	default:
		return uart->scratch;
	}
}

/* A byte into the holding register: to the line (returned), or back to the
 * receiver in loopback mode (-1). */
static int transmit(struct uart_model *uart, uint8_t value)
{
	uart->thr_event = true;
	if (uart->mcr & MCR_LOOP) {
		uart->loop_byte = value;
		uart->loop_data = true;
		return -1;
	}
	return value;
}

/**
 * Writes a register; returns the byte that thereby goes out on the line, or -1.
 * The caller need not look at the mode: a byte in loopback is none.
 */
int uart_model_out(struct uart_model *uart, unsigned port, uint8_t value)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (port & 7) {
	case 0:
		if (!dlab) {
			return transmit(uart, value);
		}
		uart->divisor[0] = value;
		break;
	case 1:
		if (dlab) {
			uart->divisor[1] = value;
			break;
		}
		/* Enabling this interrupt while the register is empty raises it
		 * at once; drivers start sending that way. */
		if (value & ~uart->ier & IER_THRE) {
			uart->thr_event = true;
		}
		uart->ier = value & IER_MASK;
		break;
	case 2:
		uart->fcr = value;
		break;
	case 3:
		uart->lcr = value;
		break;
	case 4:
		uart->mcr = value & MCR_MASK;
		break;
	case 7:
		uart->scratch = value;
		break;
	default:		/* line and modem status are read-only */
		break;
	}
	return -1;
}
