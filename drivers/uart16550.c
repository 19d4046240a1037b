/* SPDX-License-Identifier: MIT */
/*
 * 16550A UART. The interrupt line may be edge triggered (ISA), so a service
 * ends only when the identification register shows nothing pending: a cause
 * left over would hold the line and no edge would ever follow.
 * [PC16550D data sheet, "Interrupt Identification Register"]
 */
#include <string.h>

#include "drivers/portio.h"
#include "drivers/uart16550.h"

#define UART_DATA	0	/* receive, transmit; DLAB: divisor low */
#define UART_IER	1	/* interrupt enable; DLAB: divisor high */
#define UART_IIR	2	/* read: interrupt identification */
#define UART_FCR	2	/* write: FIFO control */
#define UART_LCR	3
#define UART_MCR	4
#define UART_LSR	5
#define UART_MSR	6

#define IER_RX		0x01u
#define IER_THRE	0x02u
#define IIR_NONE	0x01u
#define IIR_CAUSE	0x0eu
#define IIR_MODEM	0x00u
#define FCR_ENABLE	0x07u	/* FIFOs on and cleared, trigger at 1 byte */
#define LCR_8N1		0x03u
#define LCR_DLAB	0x80u
#define MCR_ON		0x0bu	/* DTR, RTS, OUT2: OUT2 gates the interrupt */
#define LSR_DATA	0x01u
#define LSR_THRE	0x20u
#define LSR_TEMT	0x40u

#define FIFO_SIZE	16u
#define MAX_ROUNDS	64	/* a broken UART must not hold the loop */
#define DRAIN_POLLS	1000000

/* The FIFO is empty when the holding register is: 16 bytes fit unseen. */
static void fill_fifo(struct uart16550 *uart)
{
	for (unsigned i = 0; i < FIFO_SIZE; i++) {
		if (uart->tx_tail == uart->tx_head) {
			break;
		}
		port_out8(uart->port + UART_DATA,
			  uart->tx[uart->tx_tail++ % UART_TX_SIZE]);
	}
}

/* The "holding register empty" interrupt is on while bytes are queued. */
static void update_ier(struct uart16550 *uart)
{
	uint8_t ier = IER_RX;

	if (uart->tx_tail != uart->tx_head) {
		ier |= IER_THRE;
	}
	if (ier != uart->ier) {
		uart->ier = ier;
		port_out8(uart->port + UART_IER, ier);
	}
}

/** Lets finish what others sent before, sets the rate and enables the receive
 * interrupt; what was received before is dropped. An absent UART answers all
 * ones: it has always finished. */
bool uart16550_init(struct uart16550 *uart, uint16_t port)
{
	int polls = DRAIN_POLLS;

	memset(uart, 0, offsetof(struct uart16550, tx));
	uart->port = port;
	while (!(port_in8(port + UART_LSR) & LSR_TEMT) && polls-- > 0) {
	}
	port_out8(port + UART_LCR, LCR_DLAB | LCR_8N1);
	port_out8(port + UART_DATA, 1);		/* 115200 baud */
	port_out8(port + UART_IER, 0);
	port_out8(port + UART_LCR, LCR_8N1);
	uart->present = port_in8(port + UART_LCR) == LCR_8N1;
	if (!uart->present) {
		return false;
	}
	port_out8(port + UART_FCR, FCR_ENABLE);
	port_out8(port + UART_MCR, MCR_ON);
	(void)port_in8(port + UART_LSR);
	(void)port_in8(port + UART_MSR);
	update_ier(uart);
	return true;
}

/* Everything that is in the FIFO. */
static void receive(struct uart16550 *uart)
{
	for (int i = 0; i < MAX_ROUNDS; i++) {
		uint8_t byte;

		if (!(port_in8(uart->port + UART_LSR) & LSR_DATA)) {
			break;
		}
		byte = port_in8(uart->port + UART_DATA);
		if (uart->rx_head - uart->rx_tail == UART_RX_SIZE) {
			uart->rx_lost++;
			continue;
		}
		uart->rx[uart->rx_head++ % UART_RX_SIZE] = byte;
	}
}

/** One interrupt; harmless when there was none. */
void uart16550_interrupt(struct uart16550 *uart)
{
	if (!uart->present) {
		return;
	}
	for (int i = 0; i < MAX_ROUNDS; i++) {
		uint8_t iir = port_in8(uart->port + UART_IIR);

		/* Data and room are looked for whatever the cause: reading
		 * the cause acknowledges "empty", and no event may be lost
		 * to someone else's look at it. */
		receive(uart);
		if (port_in8(uart->port + UART_LSR) & LSR_THRE) {
			fill_fifo(uart);
			update_ier(uart);
		}
		if (iir & IIR_NONE) {
			break;
		}
		if ((iir & IIR_CAUSE) == IIR_MODEM) {
			(void)port_in8(uart->port + UART_MSR);
		}
	}
}

/** Queues what fits; an absent UART takes everything. */
size_t uart16550_write(struct uart16550 *uart, const void *data, size_t len)
{
	size_t room = uart16550_room(uart);
	uint32_t at = uart->tx_head % UART_TX_SIZE;
	size_t first;

	if (!uart->present) {
		return len;
	}
	len = len < room ? len : room;
	first = len < UART_TX_SIZE - at ? len : UART_TX_SIZE - at;
	memcpy(uart->tx + at, data, first);
	memcpy(uart->tx, (const uint8_t *)data + first, len - first);
	uart->tx_head += (uint32_t)len;
	/* Enabling the interrupt with the register empty raises it at once:
	 * the first bytes need no special case. */
	update_ier(uart);
	return len;
}

/** Takes the oldest byte from the ring. */
int uart16550_read(struct uart16550 *uart)
{
	if (uart->rx_tail == uart->rx_head) {
		return -1;
	}
	return uart->rx[uart->rx_tail++ % UART_RX_SIZE];
}

/** Looks for a byte in the ring; see uart16550.h. Bytes are looked at once,
 * however often this is asked while they wait. */
bool uart16550_take(struct uart16550 *uart, uint8_t byte)
{
	uint32_t at = uart->rx_tail;

	if (uart->rx_taken == byte &&
	    uart->rx_head - uart->rx_looked < uart->rx_head - at) {
		at = uart->rx_looked;
	}
	uart->rx_taken = byte;
	uart->rx_looked = uart->rx_head;
	for (; at != uart->rx_head; at++) {
		if (uart->rx[at % UART_RX_SIZE] == byte) {
			uart->rx_tail = at + 1;
			uart->rx_looked = at + 1;
			return true;
		}
	}
	return false;
}

/** Empties the transmit ring, for whoever does not want to see the rest. */
void uart16550_drop(struct uart16550 *uart)
{
	uart->tx_tail = uart->tx_head;
	if (uart->present) {
		update_ier(uart);
	}
}

/** Polls until the last byte has left the shift register, or the UART stands
 * still. */
void uart16550_drain(struct uart16550 *uart)
{
	int polls = DRAIN_POLLS;

	while (uart->present && polls-- > 0) {
		uint8_t lsr = port_in8(uart->port + UART_LSR);

		if (uart->tx_tail != uart->tx_head) {
			if (lsr & LSR_THRE) {
				fill_fifo(uart);
				polls = DRAIN_POLLS;
			}
		} else if (lsr & LSR_TEMT) {
			break;
		}
	}
}
