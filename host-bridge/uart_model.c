/* SPDX-License-Identifier: MIT */
/*
 * Model of a 16550A. Drivers find its type by writing registers and looking
 * (FIFO bits, scratch register, loopback), so those behave.
 * [PC16550D data sheet, "Registers"]
 */
#include "host-bridge/uart_model.h"

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

/** Registers as after a reset. */
void uart_model_reset(struct uart_model *uart)
{
	*uart = (struct uart_model){ .divisor = { 1, 0 } };
}

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

/** Reads a register; some reads acknowledge. */
uint8_t uart_model_in(struct uart_model *uart, unsigned port)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (port & 7) {
	case 0:
		if (dlab) {
			return uart->divisor[0];
		}
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

/** Writes a register; see uart_model.h for the result. */
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
