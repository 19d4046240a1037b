/* SPDX-License-Identifier: MIT */
/*
 * 16550A UART. The interrupt line may be edge triggered (ISA), so a service
 * ends only when the identification register shows nothing pending: a cause
 * left over would hold the line and no edge would ever follow.
 * [PC16550D data sheet, "Interrupt Identification Register"]
 */
#include <string.h>

#include "drivers/uart16550.h"
#include "drivers/uart_regs.h"

#define IER_RX		0x01u
#define IER_THRE	0x02u
#define IIR_NONE	0x01u
#define IIR_CAUSE	0x0eu
#define IIR_MODEM	0x00u

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
		uart_put(&uart->at, UART_DATA,
			 uart->tx[uart->tx_tail++ % UART_TX_SIZE]);
	}
}

/* The "holding register empty" interrupt is on while bytes are queued. None is if
 * the UART is polled: its interrupts stay off. */
static void update_ier(struct uart16550 *uart)
{
	uint8_t ier = uart->polled ? 0 : IER_RX;

	if (!uart->polled && uart->tx_tail != uart->tx_head) {
		ier |= IER_THRE;
	}
	if (ier != uart->ier) {
		uart->ier = ier;
		uart_put(&uart->at, UART_IER, ier);
	}
}

/** Lets finish what others sent before, sets the rate and enables the receive
 * interrupt; what was received before is dropped. */
bool uart16550_init(struct uart16550 *uart, const struct boot_uart *at,
		    bool polled)
{
	memset(uart, 0, offsetof(struct uart16550, tx));
	uart->at = *at;
	uart->polled = polled;
	if (at->base == 0) {
		return false;
	}
	uart_set_up(at);
	uart->present = uart_get(at, UART_LCR) == UART_LCR_8N1;
	if (!uart->present) {
		return false;
	}
	uart_put(at, UART_MCR, UART_MCR_ON | (polled ? 0 : UART_MCR_OUT2));
	(void)uart_get(at, UART_LSR);
	(void)uart_get(at, UART_MSR);
	update_ier(uart);
	return true;
}

/* Everything that is in the FIFO. */
static void receive(struct uart16550 *uart)
{
	for (int i = 0; i < MAX_ROUNDS; i++) {
		uint8_t byte;

		if (!(uart_get(&uart->at, UART_LSR) & UART_LSR_DATA)) {
			break;
		}
		byte = uart_get(&uart->at, UART_DATA);
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
		uint8_t iir = uart_get(&uart->at, UART_IIR);

		/* Data and room are looked for whatever the cause: reading
		 * the cause acknowledges "empty", and no event may be lost
		 * to someone else's look at it. */
		receive(uart);
		if (uart_get(&uart->at, UART_LSR) & UART_LSR_THRE) {
			fill_fifo(uart);
			update_ier(uart);
		}
		if (iir & IIR_NONE) {
			break;
		}
		if ((iir & IIR_CAUSE) == IIR_MODEM) {
			(void)uart_get(&uart->at, UART_MSR);
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
		uint8_t lsr = uart_get(&uart->at, UART_LSR);

		if (uart->tx_tail != uart->tx_head) {
			if (lsr & UART_LSR_THRE) {
				fill_fifo(uart);
				polls = DRAIN_POLLS;
			}
		} else if (lsr & UART_LSR_TEMT) {
			break;
		}
	}
}
